/**
 * Mayfly itself: the real program, with its database, Core API, routes and accounting, and with apps on its process
 * engine that are warm before anything is measured. All of the program's own processes count, whatever carries a request.
 */
import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { createClient } from '../../../src/coreapi/client.ts';
import { freePort, get } from '../../../test/support/program.ts';
import { until } from '../../../test/support/until.ts';
import type { Peer, TlsFiles } from './peer.ts';
import { processTree } from './process-tree.ts';
import { readArrived } from './upstream.ts';
import type { Workshop } from './workshop.ts';

const MAYFLY = join(import.meta.dirname, '../../../bin/mayfly');
/** It lets requests in flight end and stops its containers. */
const STOP_MS = 45_000;
/** Apps that are started at once. */
const STARTS_AT_ONCE = 4;

export interface MayflyOptions {
  /** The hosts of each app. */
  readonly hostsByApp: readonly (readonly string[])[];
  /** What each app runs. */
  readonly command: readonly string[];
  readonly tls: TlsFiles | undefined;
  readonly accessLog: boolean;
}

export interface Mayfly {
  /** Undefined where this version has no such door or log; a note then says so. Its apps run all the same. */
  readonly peer: Peer | undefined;
  /** Where the container of each app listens on 127.0.0.1. */
  readonly upstreamPorts: readonly number[];
}

export async function startMayfly(workshop: Workshop, options: MayflyOptions): Promise<Mayfly> {
  const { folder, children, cores, notes } = workshop;
  const { hostsByApp, command, tls, accessLog } = options;
  const proxyPort = await freePort();
  const apiPort = await freePort();
  const tlsPort = await freePort();
  const token = randomBytes(24).toString('base64url');
  const known = await upOptions();
  const log = accessLog ? accessLogArgs(known, join(folder, 'mayfly-access.log')) : [];
  const door = tls ? tlsArgs(known, tls, tlsPort) : [];
  if (!log) notes.add('this mayfly has no access log to a file (--access-log FILE): no row of it there');
  if (!door) notes.add('this mayfly has no TLS door (--tls-port, --tls-cert, --tls-key): no row of it there');

  const child = await children.start({
    name: 'mayfly',
    command: MAYFLY,
    args: [
      ...['up', '--engine', 'process', '--data', join(folder, `mayfly-${apiPort}`), '--log-level', 'warn'],
      ...['--proxy-port', String(proxyPort), '--api-port', String(apiPort), '--cpu-overcommit', '100'],
      ...(log ?? []),
      ...(door ?? []),
    ],
    core: cores.proxy,
    env: { MAYFLY_OPERATOR_TOKEN: token },
    port: apiPort,
    stopMs: STOP_MS,
  });
  const client = createClient({ url: `http://127.0.0.1:${apiPort}`, token });
  await until('mayfly to be ready', () =>
    client.ready().then(
      () => true,
      () => false,
    ),
  );

  for (const [index, hosts] of hostsByApp.entries()) {
    workshop.signal.throwIfAborted();
    await client.createApp({
      name: `app${index}`,
      hosts: [...hosts],
      command: [...command],
      cwd: folder,
      policy: {
        cpu: 1,
        memoryBytes: 64 * 2 ** 20,
        maxReplicas: 1,
        concurrency: { target: 1_000, limit: 10_000 },
        idlePauseMs: null,
        idleStopMs: null,
        lifetimeMs: null,
      },
    });
  }
  const upstreamPorts: number[] = [];
  for (let first = 0; first < hostsByApp.length; first += STARTS_AT_ONCE) {
    workshop.signal.throwIfAborted();
    const starting = hostsByApp.slice(first, first + STARTS_AT_ONCE);
    upstreamPorts.push(...(await Promise.all(starting.map(([host = '']) => wake(proxyPort, host)))));
  }
  const peer: Peer = {
    name: 'mayfly',
    port: tls ? tlsPort : proxyPort,
    pids: () => processTree(child.pid),
    isJit: true,
  };
  return { peer: log && door ? peer : undefined, upstreamPorts };
}

/** Its first request starts an app; the app itself tells its port. */
async function wake(proxyPort: number, host: string): Promise<number> {
  const { status, body } = await get(proxyPort, '/check', { host });
  if (status !== 200) throw new Error(`mayfly answered ${status} for ${host}: ${body}`);
  return readArrived(body).port;
}

/** The options of `mayfly up` that take a value, and what `--help` calls it. */
async function upOptions(): Promise<ReadonlyMap<string, string>> {
  const { stdout } = await promisify(execFile)(MAYFLY, ['up', '--help']);
  const options = stdout.matchAll(/(--[a-z][a-z-]*)[ =]<([^>]+)>/g);
  return new Map([...options].map(([, name = '', value = '']) => [name, value]));
}

function accessLogArgs(known: ReadonlyMap<string, string>, path: string): string[] | undefined {
  return /file|path/.test(known.get('--access-log') ?? '') ? ['--access-log', path] : undefined;
}

function tlsArgs(known: ReadonlyMap<string, string>, tls: TlsFiles, port: number): string[] | undefined {
  const values = { '--tls-port': String(port), '--tls-cert': tls.certPath, '--tls-key': tls.keyPath };
  const has = Object.keys(values).every((name) => known.has(name));
  return has ? Object.entries(values).flat() : undefined;
}
