/**
 * Docker for tests, seen from outside: a plain client of the engine's API that shares nothing with the driver under test,
 * images made without a registry, and a look at what is left of a node.
 */
import { execFile } from 'node:child_process';
import { copyFile, mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { existsSync } from 'node:fs';
import { Agent, request } from 'node:http';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { newId } from '../../src/ids.ts';
import type { Resources } from '../../src/cmdb/records.ts';
import { processCpuWeight, processLimits, processYields } from './kernel-limits.ts';

export const DOCKER_SOCKET = process.env.MAYFLY_DOCKER_SOCKET ?? '/var/run/docker.sock';

const BUSYBOX = '/bin/busybox';
const APPLETS = [
  'sh',
  'httpd',
  'nc',
  'wget',
  'sleep',
  'cat',
  'tee',
  'setsid',
  'timeout',
  'printf',
  'id',
  'ps',
  'kill',
];
const agent = new Agent({ keepAlive: false });

export interface DockerAnswer {
  readonly status: number;
  readonly body: Buffer;
}

/** One call of the engine's API. A body that is no Buffer is sent as JSON. Rejects when no engine answers. */
export function docker(
  method: string,
  path: string,
  body?: unknown,
  headers: Record<string, string> = {},
): Promise<DockerAnswer> {
  const content = body === undefined ? undefined : Buffer.isBuffer(body) ? body : JSON.stringify(body);
  const type = Buffer.isBuffer(body) ? 'application/x-tar' : 'application/json';
  return new Promise((resolve, reject) => {
    const sent = request(
      {
        socketPath: DOCKER_SOCKET,
        agent,
        method,
        path,
        headers: content === undefined ? headers : { 'Content-Type': type, ...headers },
      },
      (answer) => {
        const chunks: Buffer[] = [];
        answer.on('data', (chunk: Buffer) => chunks.push(chunk));
        answer.once('error', reject);
        answer.once('end', () => resolve({ status: answer.statusCode ?? 0, body: Buffer.concat(chunks) }));
      },
    );
    sent.once('error', reject);
    sent.end(content);
  });
}

/** The same, for what has to succeed; the answer as JSON. */
export async function dockerJson<T>(method: string, path: string, body?: unknown): Promise<T> {
  const answer = await docker(method, path, body);
  const text = answer.body.toString();
  if (answer.status >= 300) throw new Error(`${method} ${path}: ${answer.status} ${text}`);
  return (text === '' ? undefined : JSON.parse(text)) as T;
}

/** Why tests on Docker cannot run here; undefined if they can. With CI=true a missing engine is a failure, not a reason. */
export async function whyNoDocker(): Promise<string | undefined> {
  const reason = await docker('GET', '/_ping').then(
    ({ status }) =>
      status === 200 ? undefined : `the Docker Engine at ${DOCKER_SOCKET} answers with ${status}`,
    (error: unknown) => `no Docker Engine answers at ${DOCKER_SOCKET}: ${String(error)}`,
  );
  const missing =
    reason ?? (existsSync(BUSYBOX) ? undefined : `${BUSYBOX} is missing (package busybox-static)`);
  if (missing !== undefined && process.env.CI === 'true') throw new Error(missing);
  return missing;
}

export interface TestImage {
  readonly name: string;
  /** What the engine calls it: `sha256:…`. */
  readonly digest: string;
  remove(): Promise<void>;
}

export interface TestImageOptions {
  /** A unique one unless told. */
  readonly name?: string;
  /** Unless told: a web server on $PORT that serves /www and ends at SIGTERM. */
  readonly command?: readonly string[];
  /** Path in the image to content; `/www/index.html` says hello unless told. */
  readonly files?: Readonly<Record<string, string>>;
  /** None unless told. */
  readonly exposedPorts?: readonly number[];
}

/** A shell line that runs busybox's web server on $PORT and, other than a plain PID 1, ends at SIGTERM. */
export const SERVE = `trap 'exit 0' TERM; httpd -f -p "$PORT" -h /www & wait`;

/** A tiny image of busybox (package busybox-static), made without a registry. */
export async function buildTestImage(options: TestImageOptions = {}): Promise<TestImage> {
  const {
    command = ['sh', '-c', SERVE],
    files = { '/www/index.html': 'hello\n' },
    exposedPorts = [],
  } = options;
  const name = options.name ?? `mayfly-test/${newId('app').replace('_', '-')}:1`;
  const folder = await mkdtemp(join(tmpdir(), 'mayfly-image-'));
  try {
    await mkdir(join(folder, 'bin'));
    await copyFile(BUSYBOX, join(folder, 'bin/busybox'));
    for (const applet of APPLETS) await symlink('busybox', join(folder, 'bin', applet));
    for (const [path, content] of Object.entries(files)) {
      await mkdir(dirname(join(folder, path)), { recursive: true });
      await writeFile(join(folder, path), content);
    }
    const tar = await promisify(execFile)('tar', ['--owner=0', '--group=0', '-C', folder, '-c', '.'], {
      encoding: 'buffer',
      maxBuffer: 64 * 1024 * 1024,
    });
    const split = name.lastIndexOf(':');
    const query = new URLSearchParams({
      fromSrc: '-',
      repo: name.slice(0, split),
      tag: name.slice(split + 1),
    });
    query.append('changes', `CMD ${JSON.stringify(command)}`);
    for (const port of exposedPorts) query.append('changes', `EXPOSE ${port}`);
    const answer = await docker('POST', `/images/create?${query.toString()}`, tar.stdout);
    if (answer.status !== 200) throw new Error(`the import of ${name} failed: ${answer.body.toString()}`);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
  const { Id } = await dockerJson<{ Id: string }>('GET', `/images/${name}/json`);
  return { name, digest: Id, remove: () => docker('DELETE', `/images/${name}?force=true`).then(() => {}) };
}

export interface ContainerRow {
  readonly Id: string;
  readonly Names: readonly string[];
  readonly State: string;
  readonly Labels: Readonly<Record<string, string>>;
}

/** All containers with the label (`key=value`), whatever their state. */
export function containersWith(label: string): Promise<ContainerRow[]> {
  const filters = encodeURIComponent(JSON.stringify({ label: [label] }));
  return dockerJson('GET', `/containers/json?all=true&filters=${filters}`);
}

/** The sandboxes of a node. */
export async function sandboxesOf(nodeId: string): Promise<ContainerRow[]> {
  const rows = await containersWith(`mayfly.node=${nodeId}`);
  return rows.filter(({ Labels }) => Labels['mayfly.role'] === 'sandbox');
}

/** The engine's id of a container of the platform. */
export async function engineIdOf(containerId: string): Promise<string> {
  const [row] = await containersWith(`mayfly.container=${containerId}`);
  if (!row) throw new Error(`Docker has no container for ${containerId}`);
  return row.Id;
}

/** Everything in Docker that belongs to the node, one line each; empty when nothing is left. */
export async function leftovers(nodeId: string): Promise<string[]> {
  const label = `mayfly.node=${nodeId}`;
  const filters = encodeURIComponent(JSON.stringify({ label: [label] }));
  const networks = await dockerJson<{ Name: string }[]>('GET', `/networks?filters=${filters}`);
  return [
    ...(await containersWith(label)).map(({ Names, State }) => `container ${Names.join()} (${State})`),
    ...networks.map(({ Name }) => `network ${Name}`),
  ];
}

/** Removes all that belongs to the node: for what a test made on purpose behind the driver's back. */
export async function sweep(nodeId: string): Promise<void> {
  const label = `mayfly.node=${nodeId}`;
  for (const { Id } of await containersWith(label))
    await docker('DELETE', `/containers/${Id}?force=true&v=true`);
  const filters = encodeURIComponent(JSON.stringify({ label: [label] }));
  for (const { Id } of await dockerJson<{ Id: string }[]>('GET', `/networks?filters=${filters}`))
    await docker('DELETE', `/networks/${Id}`);
}

/** Runs a command inside a running container, as its user unless told; resolves with its exit code and what it printed, both streams in one. */
export async function execIn(
  engineId: string,
  command: readonly string[],
  user = '',
): Promise<{ exitCode: number; output: string }> {
  const options = { Cmd: command, AttachStdout: true, AttachStderr: true, User: user };
  const { Id } = await dockerJson<{ Id: string }>('POST', `/containers/${engineId}/exec`, options);
  const { body } = await docker('POST', `/exec/${Id}/start`, { Detach: false, Tty: false });
  let output = '';
  for (let at = 0; at + 8 <= body.length; at += 8 + body.readUInt32BE(at + 4))
    output += body.toString('utf8', at + 8, at + 8 + body.readUInt32BE(at + 4));
  const { ExitCode } = await dockerJson<{ ExitCode: number }>('GET', `/exec/${Id}/json`);
  return { exitCode: ExitCode, output };
}

/** The limits of a container as the kernel holds them, read from its cgroup (version 1 or 2). */
export async function cgroupLimits(engineId: string): Promise<Resources> {
  return processLimits(await pidOf(engineId));
}

/** What it gets of a CPU that others want as well, in proportion to them. */
export async function cgroupCpuWeight(engineId: string): Promise<number> {
  return processCpuWeight(await pidOf(engineId));
}

/** Whether others of its kind go first where it and they want a CPU. */
export async function cgroupYields(engineId: string): Promise<boolean> {
  return processYields(await pidOf(engineId));
}

async function pidOf(engineId: string): Promise<number> {
  const { State } = await dockerJson<{ State: { Pid: number } }>('GET', `/containers/${engineId}/json`);
  return State.Pid;
}
