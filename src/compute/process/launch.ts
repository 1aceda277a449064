/**
 * Starting a process so that it is never lost. It is started behind a gate: a shell that waits for a line before it
 * becomes the app's command. Behind the gate we put it into its cgroup and write down who it is; then we open. Should we
 * be killed before that, the pipe closes and the shell ends: a process that nobody has noted never runs the app.
 */
import { spawn, type ChildProcess } from 'node:child_process';
import { constants } from 'node:fs';
import { access, open, stat } from 'node:fs/promises';
import { delimiter, dirname, join, resolve } from 'node:path';
import { PlatformError } from '../../errors.ts';
import type { StartSpec } from '../engine.ts';
import type { ContainerPaths } from './state-folder.ts';

const GATE = 'read -r MAYFLY_GATE && exec "$@" </dev/null';

/** The variable that marks every process of a container, however it was forked. */
export const CONTAINER_VARIABLE = 'MAYFLY_CONTAINER_ID';

export interface Launch {
  readonly executable: string;
  readonly args: readonly string[];
  readonly cwd: string;
  readonly env: Readonly<Record<string, string>>;
}

/** A process that waits behind the gate. */
export interface GatedProcess {
  readonly child: ChildProcess;
  readonly pid: number;
  readonly open: () => void;
}

/**
 * Finds out what is to run, and refuses what cannot. The platform's own environment, which may hold secrets, is not
 * handed on: an app gets PATH, HOME, LANG, TMPDIR, what its revision sets, and PORT and HOST.
 * Errors: `start_failed`, naming the command or the folder.
 */
export async function planLaunch(
  spec: StartSpec & { readonly workload: { readonly type: 'command' } },
  port: number,
  scratch: string,
): Promise<Launch> {
  const { command, cwd } = spec.workload;
  const [program, ...args] = command;
  if (program === undefined || program === '')
    throw new PlatformError('start_failed', `the command of app ${spec.appId} is empty`);
  const folder = resolve(cwd);
  const isFolder = await stat(folder).then(
    (found) => found.isDirectory(),
    () => false,
  );
  if (!isFolder)
    throw new PlatformError('start_failed', `${folder} is not a folder`, {
      hint: 'Set cwd to the folder on this machine that the command runs in.',
    });
  const env = {
    // The Node that runs us comes last: an app that is started with `node` finds one on any machine.
    PATH: [process.env['PATH'] ?? '/usr/local/bin:/usr/bin:/bin', dirname(process.execPath)].join(delimiter),
    HOME: scratch,
    TMPDIR: scratch,
    LANG: process.env['LANG'] ?? 'C.UTF-8',
    ...spec.env,
    PORT: String(port),
    HOST: '127.0.0.1',
    [CONTAINER_VARIABLE]: spec.containerId,
  };
  return { executable: await findExecutable(program, folder, env.PATH), args, cwd: folder, env };
}

async function findExecutable(program: string, cwd: string, path: string): Promise<string> {
  const inPath = !program.includes('/');
  const candidates = inPath
    ? path.split(delimiter).map((folder) => join(resolve(cwd, folder), program))
    : [resolve(cwd, program)];
  for (const candidate of candidates) {
    const isFile = await stat(candidate).then(
      (found) => found.isFile(),
      () => false,
    );
    const runs = await access(candidate, constants.X_OK).then(
      () => true,
      () => false,
    );
    if (isFile && runs) return candidate;
  }
  throw new PlatformError(
    'start_failed',
    inPath
      ? `the command ${program} was not found in PATH`
      : `${resolve(cwd, program)} is not a file that can be executed`,
    { hint: 'Check the command of the revision; a path in it is taken from its cwd.' },
  );
}

/** Errors: `start_failed`. */
export async function launchGated(launch: Launch, paths: ContainerPaths): Promise<GatedProcess> {
  // The app writes to its log files itself: nothing of it depends on our being alive.
  await using stdout = await open(paths.stdout, 'a', 0o600);
  await using stderr = await open(paths.stderr, 'a', 0o600);
  const child = spawn('/bin/sh', ['-c', GATE, 'sh', launch.executable, ...launch.args], {
    cwd: launch.cwd,
    env: launch.env,
    detached: true, // a session and a process group of its own: neither our death nor our terminal's ends it
    stdio: ['pipe', stdout.fd, stderr.fd],
  });
  const gate = child.stdin;
  gate?.on('error', () => {}); // it died behind the gate; its exit says so
  const { pid } = child;
  if (pid === undefined) {
    const cause = await new Promise<Error>((done) => child.once('error', done));
    throw new PlatformError('start_failed', `${launch.executable}: ${cause.message}`, { cause });
  }
  child.unref();
  return { child, pid, open: () => gate?.end('\n') };
}
