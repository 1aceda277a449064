/**
 * The whole program as a user starts it: `bin/mayfly up` in a process and a data folder of its own. For tests that must
 * see what a user sees, kill -9 included.
 */
import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { request } from 'node:http';
import { createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createClient } from '../../src/coreapi/client.ts';
import type { Client } from '../../src/coreapi/client.ts';
import { until } from './until.ts';

const MAYFLY = join(import.meta.dirname, '..', '..', 'bin', 'mayfly');

export interface ProgramOptions {
  readonly engine: 'docker' | 'process' | 'auto';
  /** One that exists already; else a temporary one, which `stop` removes. */
  readonly data?: string;
  /** Further words of the command line. */
  readonly args?: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  /** Of a program on the same data folder before this one. */
  readonly token?: string;
  readonly proxyPort?: number;
  readonly apiPort?: number;
  /** In a session of its own: Ctrl-C at the terminal reaches whoever started it alone, who then stops it in order. */
  readonly detached?: boolean;
}

export interface Answer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly body: string;
}

export interface Program {
  readonly pid: number;
  readonly data: string;
  readonly token: string;
  readonly proxyPort: number;
  readonly apiUrl: string;
  readonly client: Client;
  /** All that it has written to stdout and stderr. */
  output(): string;
  /** A request to the proxy, for a hostname. */
  get(host: string, path?: string, headers?: Readonly<Record<string, string>>): Promise<Answer>;
  /** SIGTERM and the exit code; removes the data folder unless it was given. */
  stop(): Promise<number | null>;
  /** SIGKILL; the data folder stays. Resolves when the process is gone. */
  kill(): Promise<void>;
}

/** Resolves when `/readyz` says yes; rejects with the output where the program ends before that. */
export async function startProgram(options: ProgramOptions): Promise<Program> {
  const data = options.data ?? (await mkdtemp(join(tmpdir(), 'mayfly-e2e-')));
  const token = options.token ?? randomBytes(24).toString('base64url');
  const proxyPort = options.proxyPort ?? (await freePort());
  const apiPort = options.apiPort ?? (await freePort());
  const apiUrl = `http://127.0.0.1:${apiPort}`;
  const child = spawn(
    MAYFLY,
    [
      ...['up', '--data', data, '--engine', options.engine],
      ...['--proxy-port', String(proxyPort), '--api-port', String(apiPort), ...(options.args ?? [])],
    ],
    {
      stdio: ['ignore', 'pipe', 'pipe'],
      detached: options.detached ?? false,
      env: { ...process.env, MAYFLY_OPERATOR_TOKEN: token, ...options.env },
    },
  );
  let output = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (text: string) => (output += text));
  }
  const program: Program = {
    pid: child.pid ?? 0,
    data,
    token,
    proxyPort,
    apiUrl,
    client: createClient({ url: apiUrl, token }),
    output: () => output,
    get: (host, path = '/', headers = {}) => get(proxyPort, path, { ...headers, host }),
    async stop() {
      await end(child, 'SIGTERM');
      if (options.data === undefined) await rm(data, { recursive: true, force: true });
      return child.exitCode;
    },
    kill: () => end(child, 'SIGKILL'),
  };
  try {
    await until(
      'mayfly up to be ready',
      async () => {
        if (hasEnded(child))
          throw new Error(`mayfly up ended with ${child.exitCode ?? child.signalCode}:\n${output}`);
        const answer = await fetch(`${apiUrl}/readyz`).catch(() => undefined);
        await answer?.body?.cancel();
        return answer?.ok;
      },
      20_000,
    );
  } catch (thrown) {
    await program.stop();
    throw new Error(`${thrown instanceof Error ? thrown.message : String(thrown)}\n${output}`, {
      cause: thrown,
    });
  }
  return program;
}

/** A port that nothing listened on a moment ago. */
export async function freePort(): Promise<number> {
  const probe = createServer();
  await new Promise<void>((resolve) => probe.listen(0, '127.0.0.1', resolve));
  const { port } = probe.address() as AddressInfo;
  await new Promise((resolve) => probe.close(resolve));
  return port;
}

function hasEnded(child: ChildProcess): boolean {
  return child.exitCode !== null || child.signalCode !== null;
}

async function end(child: ChildProcess, signal: NodeJS.Signals): Promise<void> {
  child.kill(signal);
  await until('mayfly up to end', () => hasEnded(child), 45_000);
}

/** A GET on a connection of its own, to this machine unless told. */
export function get(
  port: number,
  path: string,
  headers: Record<string, string>,
  host = '127.0.0.1',
): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const outgoing = request({ host, port, path, headers, agent: false }, (response) => {
      let body = '';
      response.setEncoding('utf8');
      response.on('data', (text: string) => (body += text));
      response.on('error', reject);
      response.on('end', () =>
        resolve({ status: response.statusCode ?? 0, headers: response.headers, body }),
      );
    });
    outgoing.on('error', reject);
    outgoing.end();
  });
}
