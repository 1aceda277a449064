/** Clients that people have: each asks in its own way, none may see a failure, and what they count is what the proxy counts. */
import { execFile } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import WebSocket, { WebSocketServer } from 'ws';
import { makePair, shown } from '../support/certificates.ts';
import { whyNoProgram } from '../support/programs.ts';
import { activation } from '../support/scripted-control-plane.ts';
import { testProxy } from '../support/upstreams-proxy.ts';
import type { TestProxy } from '../support/upstreams-proxy.ts';
import { httpUpstream, readBody } from '../support/upstreams.ts';
import type { Upstream } from '../support/upstreams.ts';
import { until } from '../support/until.ts';

const ROOT = join(import.meta.dirname, '..', '..');
const HOST = 'Host: a.test';
const REQUESTS = 2_000;

let proxy: TestProxy;
let upstream: Upstream;
let folder: string;
/** What the app was asked. */
let asked = 0;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'mayfly-tools-'));
  const sockets = new WebSocketServer({ noServer: true });
  upstream = await httpUpstream(
    (req, res) => {
      asked++;
      readBody(req).then(
        (body) => res.end(`${req.method ?? ''} ${body.length} ${sha(body)}\n`),
        () => undefined,
      );
    },
    {
      configure: (server) => {
        server.on('upgrade', (req, socket, early) => {
          asked++;
          sockets.handleUpgrade(req, socket, early, (webSocket) =>
            webSocket.on('message', (data, isBinary) => webSocket.send(data, { binary: isBinary })),
          );
        });
      },
    },
  );
});
afterAll(async () => {
  await upstream.close();
  await rm(folder, { recursive: true, force: true });
});

/** Each client has a proxy of its own, whose counters begin at nothing. */
beforeEach(async () => {
  asked = 0;
  proxy = await testProxy({
    transport: 'fast',
    tls: {
      listen: { host: '127.0.0.1', port: 0 },
      certificates: [shown('a', await makePair(['a.test']), { isDefault: true })],
    },
  });
  proxy.control.app('a', { activate: async () => activation([upstream.endpoint], 'warm') });
  return () => proxy.close({ graceMs: 0 });
});

const sha = (bytes: Buffer) => createHash('sha1').update(bytes).digest('hex').slice(0, 8);

async function run(program: string, args: readonly string[]): Promise<string> {
  const { stdout } = await promisify(execFile)(program, [...args], { maxBuffer: 16 * 1024 * 1024 });
  return stdout;
}

/** The figure behind a label. */
function figure(text: string, pattern: RegExp): number {
  const found = pattern.exec(text)?.[1];
  if (found === undefined) throw new Error(`no ${String(pattern)} in:\n${text}`);
  return Number(found);
}

/** So many requests were counted, no other, and each was answered well. */
async function expectCounted(requests: number): Promise<void> {
  await until('everything to be over', () => proxy.snapshot().inFlight === 0);
  const { status2xx, errors, clientAborts, truncated, latency } = proxy.snapshot();
  const counted = { requests: proxy.snapshot().requests, status2xx, errors, clientAborts, truncated };
  expect(counted).toEqual({ requests, status2xx: requests, errors: {}, clientAborts: 0, truncated: 0 });
  expect([asked, latency.count]).toEqual([requests, requests]);
}

/** So many answers were counted at least; what was under way when its client had enough was answered, or left. */
async function expectCountedAtLeast(requests: number, underWay: number): Promise<void> {
  await until('everything to be over', () => proxy.snapshot().inFlight === 0);
  const { requests: counted, status2xx, clientAborts, errors } = proxy.snapshot();
  expect(counted).toBeGreaterThanOrEqual(requests);
  expect(counted).toBeLessThanOrEqual(requests + underWay);
  expect([status2xx + clientAborts, errors]).toEqual([counted, {}]);
}

describe('autocannon', () => {
  const connections = 20;
  const cannon = async (how: readonly string[]) => {
    const url = `http://127.0.0.1:${proxy.port}/`;
    const args = ['-j', '-n', '-a', String(REQUESTS), '-c', String(connections), '-H', HOST, ...how, url];
    const program = join(ROOT, 'node_modules/autocannon/autocannon.js');
    return JSON.parse(await run(process.execPath, [program, ...args])) as Record<string, number>;
  };
  const well = { non2xx: 0, errors: 0, timeouts: 0, mismatches: 0 };

  it.each([
    ['without bodies', []],
    ['with bodies', ['-m', 'POST', '-b', 'x'.repeat(5_000)]],
  ])('%s', async (_how, how) => {
    expect(await cannon(how)).toMatchObject({ '2xx': REQUESTS, ...well });
    await expectCounted(REQUESTS);
  });

  it('ten requests ahead', async () => {
    const result = await cannon(['-p', '10']);
    expect(result).toMatchObject(well);
    // It leaves when it has sent so many, and does not wait for the last answers.
    expect(result['2xx']).toBeGreaterThanOrEqual(REQUESTS - 10 * connections);
    await expectCountedAtLeast(result['2xx'] ?? 0, 10 * connections);
  });
});

describe('wrk', () => {
  it('counts what the proxy counts, but for what is under way when its time is up', async ({ skip }) => {
    const reason = whyNoProgram('wrk', 'wrk');
    skip(reason !== undefined, reason);
    const connections = 20;
    const url = `http://127.0.0.1:${proxy.port}/`;
    const said = await run('wrk', ['-t', '2', '-c', String(connections), '-d', '1s', '-H', HOST, url]);
    expect(said).not.toMatch(/Socket errors|Non-2xx/);
    await expectCountedAtLeast(figure(said, /(\d+) requests in/), connections);
  });
});

describe('ab', () => {
  it.for([
    ['-k: HTTP/1.0 that asks to be kept', ['-k'], REQUESTS],
    ['without -k: a connection for each', [], 0],
  ] as const)('%s', async ([_how, how, kept], { skip }) => {
    const reason = whyNoProgram('ab', 'apache2-utils');
    skip(reason !== undefined, reason);
    const url = `http://127.0.0.1:${proxy.port}/`;
    const said = await run('ab', ['-q', ...how, '-n', String(REQUESTS), '-c', '20', '-H', HOST, url]);
    expect(figure(said, /Complete requests:\s+(\d+)/)).toBe(REQUESTS);
    expect(figure(said, /Failed requests:\s+(\d+)/)).toBe(0);
    expect(said).not.toMatch(/Non-2xx|Write errors/);
    if (kept > 0) expect(figure(said, /Keep-Alive requests:\s+(\d+)/)).toBe(kept);
    await expectCounted(REQUESTS);
  });
});

describe('h2load', () => {
  it.for([
    ['HTTP/2', ['-m', '20']],
    ['HTTP/1.1', ['--h1']],
  ] as const)('%s over TLS', async ([_version, how], { skip }) => {
    const reason = whyNoProgram('h2load', 'nghttp2-client');
    skip(reason !== undefined, reason);
    const url = `https://a.test:${proxy.tlsPort ?? 0}/`;
    const args = [
      '-n',
      String(REQUESTS),
      '-c',
      '8',
      `--connect-to=127.0.0.1:${proxy.tlsPort ?? 0}`,
      ...how,
      url,
    ];
    const said = await run('h2load', args);
    expect(said).toMatch(
      new RegExp(`requests: ${REQUESTS} total, .* ${REQUESTS} succeeded, 0 failed, 0 errored, 0 timeout`),
    );
    expect(said).toContain(`status codes: ${REQUESTS} 2xx, 0 3xx, 0 4xx, 0 5xx`);
    await expectCounted(REQUESTS);
  });
});

describe('curl', () => {
  it.for([
    ['--http1.0', '--http1.0'],
    ['--http1.1, an upload that waits to be told to go on', '--http1.1', '-H', 'Expect: 100-continue'],
    ['an upload whose length is not said', '-H', 'Transfer-Encoding: chunked'],
    ['--http2-prior-knowledge', '--http2-prior-knowledge'],
    ['--http2, which offers an upgrade that is not taken', '--http2'],
  ] as const)('%s', async ([_how, ...how], { skip }) => {
    const reason = whyNoProgram('curl', 'curl');
    skip(reason !== undefined, reason);
    const body = randomBytes(1_500_000);
    const path = join(folder, 'body');
    await writeFile(path, body);
    const url = `http://127.0.0.1:${proxy.port}/`;
    const base = ['--silent', '--show-error', '--fail', '--max-time', '20', '-H', HOST, ...how];
    expect(await run('curl', [...base, '-T', path, url])).toBe(`PUT ${body.length} ${sha(body)}\n`);
    // Without a body to go with it, the others would be the same once more.
    const twice = how.length === 1 && how[0] !== '--http2';
    if (twice) expect(await run('curl', [...base, url])).toBe(`GET 0 ${sha(Buffer.alloc(0))}\n`);
    await expectCounted(twice ? 2 : 1);
  });
});

describe('ws', () => {
  it('many at once, each with its own messages, on both doors', async () => {
    const clients = 40;
    await Promise.all(
      Array.from({ length: clients }, async (_, client) => {
        const options = { headers: { host: 'a.test' }, rejectUnauthorized: false };
        const door =
          client % 2 === 0 ? `ws://127.0.0.1:${proxy.port}` : `wss://127.0.0.1:${proxy.tlsPort ?? 0}`;
        const socket = new WebSocket(door, options);
        await once(socket, 'open');
        for (const size of [0, 10, 70_000, 300_000]) {
          const sent = Buffer.alloc(size, `client ${client} `);
          socket.send(sent);
          const [came] = (await once(socket, 'message')) as [Buffer];
          expect(came.equals(sent)).toBe(true);
        }
        socket.close();
        const [code] = (await once(socket, 'close')) as [number];
        expect(code).toBe(1005);
      }),
    );
    await until('everything to be over', () => proxy.snapshot().inFlight === 0);
    expect(proxy.snapshot()).toMatchObject({
      requests: clients,
      status1xx: clients,
      errors: {},
      clientAborts: 0,
    });
  });
});
