/** What the access log says of traffic, on both transports: what each client saw, no more and no secret. */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import type { RequestListener } from 'node:http';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { systemClock } from '../../src/clock.ts';
import { AccessLog } from '../../src/proxy/access-log/access-log.ts';
import { exchangeRaw, RawClient } from '../support/raw-http.ts';
import { activation } from '../support/scripted-control-plane.ts';
import { ask, testProxy } from '../support/upstreams-proxy.ts';
import { httpUpstream, rawUpstream } from '../support/upstreams.ts';
import { until } from '../support/until.ts';

type Line = Readonly<Record<string, unknown>>;

let folder: string;
let files = 0;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'mayfly-access-log-'));
});
afterAll(() => rmSync(folder, { recursive: true }));

const quiet = { warn: () => undefined, error: () => undefined };

async function world(transport: 'fast' | 'http', listener: RequestListener, sample = 1) {
  const path = join(folder, `${files++}.log`);
  const requestLog = new AccessLog({ path, sample, clock: systemClock, log: quiet });
  const upstream = await httpUpstream(listener);
  const proxy = await testProxy({ transport, requestLog });
  proxy.control.app('a', { activate: async () => activation([upstream.endpoint], 'started') });
  return {
    proxy,
    upstream,
    /** All that has been logged by now. */
    text: () => readFileSync(path, 'utf8'),
    async lines(count: number): Promise<Line[]> {
      const read = () => readFileSync(path, 'utf8').split('\n').slice(0, -1);
      await until(`${count} lines`, () => read().length >= count);
      return read().map((line) => JSON.parse(line) as Line);
    },
    async [Symbol.asyncDispose]() {
      await proxy[Symbol.asyncDispose]();
      await requestLog.close();
      await upstream.close();
    },
  };
}

const hello: RequestListener = (req, res) => {
  req.resume();
  req.once('end', () => res.end(`hello ${req.url ?? ''}`));
};

describe.each(['fast', 'http'] as const)('the access log of the %s transport', (transport) => {
  it('has a line for each request, with what the client saw', async () => {
    await using on = await world(transport, hello);
    const beforeMs = Date.now();
    const headers = {
      'user-agent': 'test/1',
      'x-request-id': 'r-17',
      authorization: 'Bearer s3cret',
      cookie: 'id=s3cret',
    };
    const cold = await ask(on.proxy, { path: '/first?x=1', headers });
    const body = 'b'.repeat(10_000);
    await ask(on.proxy, { path: '/second', method: 'POST', body });
    await ask(on.proxy, { host: 'nobody.test', path: '/third', headers });
    await exchangeRaw(on.proxy.port, 'no request\r\n\r\n');
    const [first, second, third, noRequest] = await on.lines(4);
    expect(first).toMatchObject({
      client: '127.0.0.1',
      scheme: 'http',
      protocol: 'HTTP/1.1',
      method: 'GET',
      host: 'a.test',
      path: '/first?x=1',
      status: 200,
      app: 'a',
      appId: 'a',
      containerId: on.upstream.endpoint.containerId,
      userAgent: 'test/1',
      requestId: 'r-17',
    });
    const { totalMs, firstByteMs, heldMs, time, sentBytes } = first as Record<string, number>;
    expect(heldMs).toBeGreaterThan(0);
    expect(firstByteMs).toBeGreaterThanOrEqual(heldMs ?? 0);
    expect(totalMs).toBeGreaterThanOrEqual(firstByteMs ?? 0);
    expect(sentBytes).toBeGreaterThan(cold.body.length);
    expect(Date.parse(String(time))).toBeGreaterThanOrEqual(beforeMs - 1);
    expect(Date.parse(String(time))).toBeLessThanOrEqual(Date.now());
    expect(second).toMatchObject({ method: 'POST', path: '/second', status: 200 });
    expect(second).not.toHaveProperty('heldMs');
    expect(second?.['receivedBytes']).toBeGreaterThan(body.length);
    expect(second?.['receivedBytes']).toBeLessThan(body.length + 1_000);
    expect(third).toMatchObject({ host: 'nobody.test', path: '/third', status: 404, error: 'unknown_host' });
    expect(third).not.toHaveProperty('app');
    expect(noRequest).toMatchObject({ status: 400 });
    for (const told of [second, noRequest])
      for (const others of ['userAgent', 'requestId']) expect(told).not.toHaveProperty(others);
    expect(on.text()).not.toContain('s3cret');
  });

  it('tells apart the requests of one connection, and of several at once', async () => {
    const waiting: (() => void)[] = [];
    await using on = await world(transport, (req, res) => {
      if (req.url?.startsWith('/slow') === true) waiting.push(() => res.end('slow'));
      else res.end('quick');
    });
    await ask(on.proxy, { path: '/warm-up' });
    const slow = [1, 2, 3].map((i) =>
      ask(on.proxy, { path: `/slow-${i}`, headers: { 'user-agent': `slow/${i}` } }),
    );
    await until('three requests to wait', () => waiting.length === 3);
    const pipelined = [4, 5, 6].map(
      (i) =>
        `GET /quick-${i} HTTP/1.1\r\nHost: a.test\r\nUser-Agent: quick/${i}\r\n${i === 6 ? 'Connection: close\r\n' : ''}\r\n`,
    );
    await exchangeRaw(on.proxy.port, pipelined.join(''));
    for (const answer of waiting) answer();
    await Promise.all(slow);
    const lines = (await on.lines(7)).slice(1);
    const seen = lines.map(
      ({ path, userAgent, status }) => `${String(path)} ${String(userAgent)} ${String(status)}`,
    );
    expect(seen.slice(0, 3)).toEqual([4, 5, 6].map((i) => `/quick-${i} quick/${i} 200`));
    expect(seen.slice(3).sort()).toEqual([1, 2, 3].map((i) => `/slow-${i} slow/${i} 200`));
    const received = lines.slice(0, 3).reduce((sum, line) => sum + Number(line['receivedBytes']), 0);
    expect(received).toBe(pipelined.join('').length);
  });

  it('says what went wrong: no request, a client that left, an app that broke off', async () => {
    await using on = await world(transport, hello);
    await exchangeRaw(on.proxy.port, 'GET / HTTP/1.1\r\nHost: a.test\r\nHost: b.test\r\n\r\n');
    const [refused] = await on.lines(1);
    expect(refused).toMatchObject({ status: 400, error: 'ambiguous_http' });

    let asked = 0;
    const silent = await rawUpstream(() => asked++, { containerId: 'ctr_silent' });
    on.proxy.control.app('silent', { activate: async () => activation([silent.endpoint]) });
    const client = connect(on.proxy.port, '127.0.0.1');
    client.write('GET /left HTTP/1.1\r\nHost: silent.test\r\n\r\n');
    await until('the app to be asked', () => asked === 1);
    client.destroy();
    const [, left] = await on.lines(2);
    expect(left).toMatchObject({ path: '/left', status: 499, error: 'client_closed_request', app: 'silent' });
    expect(left).not.toHaveProperty('firstByteMs');

    const broken = await rawUpstream(
      (socket) =>
        socket.once('data', () => socket.end('HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nshort')),
      { containerId: 'ctr_broken' },
    );
    on.proxy.control.app('broken', { activate: async () => activation([broken.endpoint]) });
    await expect(ask(on.proxy, { host: 'broken.test', path: '/broken' })).rejects.toThrow();
    const [, , truncated] = await on.lines(3);
    expect(truncated).toMatchObject({
      path: '/broken',
      status: 200,
      error: 'upstream_broken',
      app: 'broken',
    });
    await Promise.all([silent.close(), broken.close()]);
  });

  // What node:http reads, and when, nobody is told.
  if (transport === 'fast')
    it('counts what nobody wanted of an upload for no other request', async () => {
      await using on = await world(transport, (req, res) => res.end(req.url));
      const length = 1_000_000;
      await using client = await RawClient.open(on.proxy.port);
      client.send(`POST /early HTTP/1.1\r\nHost: a.test\r\nContent-Length: ${length}\r\n\r\n`);
      await client.saw('\r\n\r\n/early');
      await on.lines(1);
      const next = 'GET /next HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n\r\n';
      client.send(Buffer.alloc(length)).send(next);
      expect(await client.rest()).toMatch(/\/next$/);
      const [early, second] = await on.lines(2);
      expect(early).toMatchObject({ path: '/early', status: 200 });
      expect(second).toMatchObject({ path: '/next', status: 200, receivedBytes: next.length });
    });

  it('has every answer of 500 and above, however few of the others', async () => {
    await using on = await world(
      transport,
      (req, res) => {
        res.statusCode = req.url === '/bad' ? 500 : 200;
        res.end();
      },
      1e-9,
    );
    for (let i = 0; i < 20; i++) await ask(on.proxy, { path: '/good' });
    for (let i = 0; i < 3; i++) await ask(on.proxy, { path: '/bad' });
    const lines = await on.lines(3);
    expect(lines.map(({ path, status }) => [path, status])).toEqual([
      ['/bad', 500],
      ['/bad', 500],
      ['/bad', 500],
    ]);
  });
});

describe('without an access log', () => {
  it('nothing is counted of one', async () => {
    await using proxy = await testProxy();
    expect(proxy.snapshot().accessLog).toBeUndefined();
  });
});
