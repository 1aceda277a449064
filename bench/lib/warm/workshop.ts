/**
 * What a run works with, and what it has to leave behind as it found it: a temporary folder, child processes, two cores.
 * Ctrl-C, SIGTERM and SIGHUP abort its signal; whoever waits then throws, and `close` ends and removes everything.
 */
import { execFile } from 'node:child_process';
import { constants } from 'node:fs';
import { access, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { promisify } from 'node:util';
import { Children } from './children.ts';
import { chooseCores, pin, type Cores } from './cores.ts';

/** The Debian package that a program comes in. */
const PACKAGES = {
  nginx: 'nginx',
  haproxy: 'haproxy',
  caddy: 'caddy',
  wrk: 'wrk',
  taskset: 'util-linux',
  openssl: 'openssl',
} as const;
export type ProgramName = keyof typeof PACKAGES;

const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;

export interface Workshop {
  readonly folder: string;
  readonly cores: Cores;
  readonly children: Children;
  readonly signal: AbortSignal;
  /** Sentences for the end of the report. */
  readonly notes: Set<string>;
  /** The path of a program; undefined where it is not installed, which a note then says. */
  find(program: ProgramName): Promise<string | undefined>;
  /** The same for one that nothing works without. Errors: it is not installed, with its package. */
  need(program: ProgramName): Promise<string>;
  close(): Promise<void>;
}

export async function openWorkshop(): Promise<Workshop> {
  const abort = new AbortController();
  const onSignal = (name: NodeJS.Signals) => abort.abort(new Error(`interrupted by ${name}`));
  for (const name of SIGNALS) process.on(name, onSignal);
  const folder = await mkdtemp(join(tmpdir(), 'mayfly-warm-'));
  const children = new Children(folder, abort.signal);
  const notes = new Set<string>();
  const missing = (program: ProgramName) =>
    `${program} is not installed: apt-get install ${PACKAGES[program]}`;
  const workshop: Workshop = {
    folder,
    cores: chooseCores(),
    children,
    signal: abort.signal,
    notes,
    async find(program) {
      const path = await findProgram(program);
      if (path === undefined) notes.add(`${missing(program)} to see its rows`);
      return path;
    },
    async need(program) {
      const path = await findProgram(program);
      if (path === undefined) throw new Error(missing(program));
      return path;
    },
    async close() {
      await children.close();
      await rm(folder, { recursive: true, force: true });
      for (const name of SIGNALS) process.off(name, onSignal);
    },
  };
  try {
    await Promise.all([workshop.need('taskset'), workshop.need('wrk')]);
    await pin(process.pid, workshop.cores.load);
    return workshop;
  } catch (thrown) {
    await workshop.close();
    throw thrown;
  }
}

/** The first figure with a dot in it that a program tells of itself. */
export async function versionOf(path: string, args: readonly string[]): Promise<string> {
  // wrk tells its version and then fails.
  const told = await promisify(execFile)(path, args).catch((failure: unknown) => failure);
  const { stdout = '', stderr = '' } = told as { stdout?: string; stderr?: string };
  return /\d+\.[\w.]+/.exec(stdout + stderr)?.[0] ?? 'unknown';
}

/** Servers are often in folders that only root's PATH names. */
async function findProgram(program: ProgramName): Promise<string | undefined> {
  const folders = [...(process.env['PATH'] ?? '').split(delimiter), '/usr/local/sbin', '/usr/sbin', '/sbin'];
  for (const path of folders.filter((folder) => folder !== '').map((folder) => join(folder, program))) {
    const runs = await access(path, constants.X_OK).then(
      () => true,
      () => false,
    );
    if (runs) return path;
  }
  return undefined;
}
