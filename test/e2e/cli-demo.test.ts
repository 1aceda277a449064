/** The README's first command, as a person runs it: what it shows, and that nothing of it stays. */
import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync, readFileSync } from 'node:fs';
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import WebSocket from 'ws';
import { leftovers, whyNoDocker } from '../support/docker.ts';
import { freePort, get } from '../support/program.ts';
import { until } from '../support/until.ts';

const DEMO = join(import.meta.dirname, '../../bin/demo');
const ENGINES = ['process', 'docker'] as const;
const noDocker = await whyNoDocker();

let folder: string;
let demo: Demo | undefined;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'mayfly-demo-test-'));
});

afterEach(async () => {
  await demo?.end('SIGTERM');
  demo = undefined;
  await rm(folder, { recursive: true, force: true });
});

/** A demo whose temporary files are in the test's own folder. */
class Demo {
  readonly proxyPort: number;
  readonly #child: ChildProcess;
  output = '';

  /** What `args` say of ports wins. */
  private constructor(engine: string, args: readonly string[], proxyPort: number, apiPort: number) {
    this.proxyPort = proxyPort;
    const ports = ['--proxy-port', String(proxyPort), '--api-port', String(apiPort)];
    this.#child = spawn(DEMO, ['--engine', engine, ...ports, ...args], {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { ...process.env, TMPDIR: folder },
    });
    for (const stream of [this.#child.stdout, this.#child.stderr]) {
      stream?.setEncoding('utf8').on('data', (text: string) => (this.output += text));
    }
  }

  static async start(engine: string, ...args: string[]): Promise<Demo> {
    demo = new Demo(engine, args, await freePort(), await freePort());
    return demo;
  }

  get pid(): number {
    return this.#child.pid ?? 0;
  }

  get hasEnded(): boolean {
    return this.#child.exitCode !== null || this.#child.signalCode !== null;
  }

  /** What it says, once it has said that. */
  async says(text: string): Promise<string> {
    await until(
      `the demo to say ${text}`,
      () => {
        if (this.hasEnded && !this.output.includes(text)) throw new Error(`the demo ended:\n${this.output}`);
        return this.output.includes(text);
      },
      90_000,
    );
    return this.output;
  }

  /** As by `| head`: nobody reads what it says from now on. */
  leave(): void {
    this.#child.stdout?.destroy();
  }

  /** Waits for its end, which a signal may bring about. Returns the exit code. */
  async end(signal?: NodeJS.Signals): Promise<number | null> {
    if (signal !== undefined && !this.hasEnded) this.#child.kill(signal);
    await until('the demo to end', () => this.hasEnded, 90_000);
    return this.#child.exitCode;
  }
}

/** All processes below one, their parents first. */
function descendants(pid: number): number[] {
  const parents = new Map<number, number>();
  for (const name of readdirSync('/proc')) {
    if (!/^\d+$/.test(name)) continue;
    try {
      const [, parent] = /\) \S (\d+)/.exec(readFileSync(`/proc/${name}/stat`, 'utf8')) ?? [];
      parents.set(Number(name), Number(parent));
    } catch {
      // It has ended meanwhile.
    }
  }
  const below = (one: number): number[] =>
    [...parents].filter(([, parent]) => parent === one).flatMap(([child]) => [child, ...below(child)]);
  return below(pid);
}

/** A zombie has ended: it only waits for its parent to notice, which may be somebody else by now. */
function lives(pid: number): boolean {
  try {
    return !/\) [ZX] /.test(readFileSync(`/proc/${pid}/stat`, 'utf8'));
  } catch {
    return false;
  }
}

describe.each(ENGINES)('the demo on the %s engine', (engine) => {
  const reason = engine === 'docker' ? noDocker : undefined;

  test('tells the story of a container and, with --once, ends', async (context) => {
    context.skip(reason !== undefined, reason);
    const running = await Demo.start(engine, '--once');
    expect({ exitCode: await running.end(), output: running.output }).toMatchObject({ exitCode: 0 });
    const { output } = running;
    expect(output).toContain('Hello from Mayfly!');
    expect(output).toMatch(/first request: [\d.]+m?s, answered by a container that did not exist before it/);
    expect(output).toMatch(/second request: [\d.]+m?s, the container was there/);
    expect(output).toMatch(/^hello +ctr_\w+ +ready /m);
    expect(output).toMatch(/ container\.ready +hello /);
    expect(await readdir(folder)).toEqual([]);
  }, 180_000);

  test('ends with addresses that answer, and Ctrl-C leaves nothing behind', async (context) => {
    context.skip(reason !== undefined, reason);
    const running = await Demo.start(engine);
    await running.says('Ctrl-C stops everything');
    const { proxyPort: port } = running;
    expect(running.output).toContain(`curl -H 'Host: hello.localhost' 'http://127.0.0.1:${port}/'`);

    const [hello, burner, slow] = await Promise.all([
      get(port, '/', { host: 'hello.localhost' }),
      get(port, '/?ms=50', { host: 'burner.localhost' }),
      get(port, '/', { host: 'slow.localhost' }),
    ]);
    expect(hello).toMatchObject({
      status: 200,
      body: expect.stringContaining('Hello from Mayfly!') as string,
    });
    expect(JSON.parse(burner.body)).toMatchObject({ askedMs: 50 });
    expect(slow).toMatchObject({ status: 200, body: expect.stringContaining('3000 ms to start') as string });
    expect(await chat(port)).toEqual({ from: 'ada', text: 'hello' });

    const nodeId = await nodeIdIn(folder);
    const processes = descendants(running.pid);
    expect(processes.length).toBeGreaterThan(0);
    expect(await running.end('SIGINT')).toBe(0);

    expect(processes.filter(lives)).toEqual([]);
    expect(await readdir(folder)).toEqual([]);
    await expect(get(port, '/', { host: 'hello.localhost' })).rejects.toThrow('ECONNREFUSED');
    if (engine === 'docker') expect(await leftovers(nodeId)).toEqual([]);
  }, 180_000);
});

test('the demo asked for Docker says how to get it where nothing answers', async () => {
  const running = await Demo.start('docker', '--docker-socket', join(folder, 'none.sock'));
  expect(await running.end()).toBe(1);
  expect(running.output).toMatch(/^error: no Docker engine answers at .*none\.sock\nhint: /m);
  expect(await readdir(folder)).toEqual([]);
}, 60_000);

test('the demo ends when nobody reads on, and leaves nothing behind', async () => {
  const running = await Demo.start('process');
  await running.says('Mayfly is up');
  const processes = descendants(running.pid);
  expect(processes.length).toBeGreaterThan(0);
  running.leave();
  await running.end();
  expect(processes.filter(lives)).toEqual([]);
  expect(await readdir(folder)).toEqual([]);
}, 60_000);

test('the demo refuses a port that is none by its name', async () => {
  const running = await Demo.start('process', '--proxy-port', 'abc');
  expect(await running.end()).toBe(2);
  expect(running.output).toMatch(/^error: --proxy-port must be .*; it is "abc"/m);
  expect(await readdir(folder)).toEqual([]);
}, 60_000);

test('the demo takes no other server at its port for its own', async () => {
  const other = createServer((_, response) => response.end());
  other.listen(0, '127.0.0.1');
  await once(other, 'listening');
  try {
    const { port } = other.address() as AddressInfo;
    const running = await Demo.start('process', '--api-port', String(port));
    expect(await running.end()).toBe(1);
    expect(running.output).toContain(`port ${port} is taken by another program`);
  } finally {
    other.close();
  }
}, 60_000);

/** Says something over WebSocket; resolves to what the room heard. */
async function chat(port: number): Promise<{ from: string; text: string }> {
  const socket = new WebSocket(`ws://127.0.0.1:${port}/ws`, { headers: { host: 'chat.localhost' } });
  try {
    const heard = new Promise<string>((resolve, reject) => {
      socket.on('error', reject);
      socket.on('open', () => socket.send(JSON.stringify({ from: 'ada', text: 'hello' })));
      socket.on('message', (data: Buffer) => resolve(data.toString()));
    });
    const { from, text } = JSON.parse(await heard) as { from: string; text: string };
    return { from, text };
  } finally {
    socket.terminate();
  }
}

async function nodeIdIn(temporary: string): Promise<string> {
  const [name = ''] = await readdir(temporary);
  return (await readFile(join(temporary, name, 'data', 'node-id'), 'utf8')).trim();
}
