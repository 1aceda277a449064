import type { IncomingMessage, ServerResponse } from 'node:http';
import { describe, expect, it } from 'vitest';
import { WebSocket, WebSocketServer } from 'ws';
import { PlatformError } from '../../src/errors.ts';
import type { Activation } from '../../src/proxy/control-plane.ts';
import { transportUnderTest } from '../support/proxy-transport.ts';
import { RawClient } from '../support/raw-http.ts';
import { activation, deferred } from '../support/scripted-control-plane.ts';
import { ask, testProxy } from '../support/upstreams-proxy.ts';
import { deadPort, httpUpstream, readBody } from '../support/upstreams.ts';
import { until } from '../support/until.ts';

describe('the first requests for a cold app', () => {
  it('are 300 at once, start it once, and each gets the app’s own answer', async () => {
    await using upstream = await httpUpstream((req, res) => res.writeHead(201).end(`hello ${req.url ?? ''}`));
    await using proxy = await testProxy();
    const start = deferred<Activation>();
    proxy.control.app('a', { activate: () => start.promise });
    const asked = Array.from({ length: 300 }, (_, i) => ask(proxy, { path: `/${i}` }));
    await until('300 held requests', () => proxy.snapshot().held === 300);
    start.resolve(activation([upstream.endpoint]));
    const answers = await Promise.all(asked);
    expect(answers.map(({ status, text }) => `${status} ${text}`)).toEqual(
      answers.map((_, i) => `201 hello /${i}`),
    );
    expect(proxy.control.activated).toEqual(['a']);
    expect(proxy.control.resolved).toEqual(['a.test']);
    expect(proxy.control.coldStarts).toHaveLength(1);
    expect(proxy.control.coldStarts[0]).toMatchObject({ appId: 'a', kind: 'started', held: 300 });
    await until('all slots back', () => proxy.snapshot().inFlight === 0);
  });

  it('say how long the start took and where, and later ones do not', async () => {
    await using upstream = await httpUpstream((_req, res) =>
      res.setHeader('Server-Timing', 'db;dur=5').end('hi'),
    );
    await using proxy = await testProxy();
    proxy.control.app('a', { activate: async () => activation([upstream.endpoint], 'resumed') });
    const cold = await ask(proxy);
    expect(cold.headers['server-timing']).toMatch(
      /^db;dur=5, mayfly-held;dur=[\d.]+, mayfly-lookup;dur=[\d.]+, mayfly-place;dur=1, mayfly-create;dur=2, mayfly-start;dur=3, mayfly-listen;dur=4$/,
    );
    expect(cold.headers['mayfly-cold-start']).toMatch(/^resumed; total=[\d.]+$/);
    const warm = await ask(proxy);
    expect(warm.headers['server-timing']).toBe('db;dur=5');
    expect(warm.headers['mayfly-cold-start']).toBeUndefined();
  });

  it('keep their bodies: an upload that began before the container existed arrives whole', async () => {
    await using upstream = await httpUpstream(
      (req, res) =>
        void readBody(req).then((body) => res.end(`${body.length}:${body.toString('hex', 0, 4)}`)),
    );
    await using proxy = await testProxy();
    const start = deferred<Activation>();
    proxy.control.app('a', { activate: () => start.promise });
    const body = Buffer.alloc(3_000_000, 'abcd');
    const sized = ask(proxy, { method: 'POST', body });
    const chunked = ask(proxy, { method: 'POST', body, headers: { 'transfer-encoding': 'chunked' } });
    await until('both held', () => proxy.snapshot().held === 2);
    start.resolve(activation([upstream.endpoint]));
    expect((await sized).text).toBe('3000000:61626364');
    expect((await chunked).text).toBe('3000000:61626364');
  });

  it('that give up while they wait leave the queue and are not sent', async () => {
    let seen = 0;
    await using upstream = await httpUpstream((_req, res) => {
      seen++;
      res.end();
    });
    await using proxy = await testProxy();
    const start = deferred<Activation>();
    proxy.control.app('a', { activate: () => start.promise });
    const stays = ask(proxy);
    await using goes = await RawClient.open(proxy.port);
    await using halfCloses = await RawClient.open(proxy.port);
    await using pipelines = await RawClient.open(proxy.port);
    goes.send('GET / HTTP/1.1\r\nHost: a.test\r\n\r\n');
    halfCloses.send('GET / HTTP/1.1\r\nHost: a.test\r\n\r\n');
    pipelines.send('GET / HTTP/1.1\r\nHost: a.test\r\n\r\n'.repeat(3));
    // On plain sockets a connection's requests are taken up one after the other.
    const inOne = transportUnderTest() === 'http' ? 3 : 1;
    await until('all held', () => proxy.snapshot().held === 3 + inOne);
    goes.socket.resetAndDestroy();
    halfCloses.socket.end();
    pipelines.socket.destroy();
    await until('one held', () => proxy.snapshot().held === 1);
    start.resolve(activation([upstream.endpoint]));
    expect((await stays).status).toBe(200);
    expect(seen).toBe(1);
    expect(proxy.snapshot().clientAborts).toBe(2 + inOne);
  });
});

describe('long-lived connections through a cold app', () => {
  it('WebSockets are held, opened, echo both ways, and count as activity until they are closed', async () => {
    await using upstream = await httpUpstream((_req, res) => res.end());
    const server = new WebSocketServer({ noServer: true });
    await using app = await httpUpstream((_req, res) => res.end(), {
      configure: (http) =>
        http.on('upgrade', (req, socket, head) => {
          server.handleUpgrade(req, socket, head, (ws) => {
            ws.on('message', (data, isBinary) => ws.send(data, { binary: isBinary }));
          });
        }),
    });
    await using proxy = await testProxy();
    const start = deferred<Activation>();
    proxy.control.app('a', { activate: () => start.promise });
    const client = new WebSocket(`ws://127.0.0.1:${proxy.port}/chat?room=1`, { headers: { Host: 'a.test' } });
    await until('the handshake to be held', () => proxy.snapshot().held === 1);
    start.resolve(activation([app.endpoint]));
    const upgraded = await new Promise<IncomingMessage>((resolve) => client.once('upgrade', resolve));
    expect(upgraded.headers['mayfly-cold-start']).toMatch(/^started; total=/);
    await until('the socket to open', () => client.readyState === WebSocket.OPEN);
    const big = Buffer.alloc(2_000_000, 7);
    const echoed = new Promise<Buffer>((resolve) => client.once('message', resolve));
    client.send(big);
    expect(big.equals(await echoed)).toBe(true);
    expect(proxy.snapshot().inFlight).toBe(1);
    const { control } = proxy;
    await expect(control.dataPlane.drain('ctr_1', { onlyIfIdleSinceMs: Date.now() })).resolves.toMatchObject({
      drained: false,
    });
    client.close(1000, 'done');
    await until('the slot to come back', () => proxy.snapshot().inFlight === 0);
    await until('the container to be left', () => app.sockets.size === 0);
    expect(upstream.accepted).toBe(0);
  });

  it('a WebSocket client that gives up while it waits is forgotten', async () => {
    await using proxy = await testProxy();
    proxy.control.app('a', { activate: () => new Promise(() => undefined) });
    await using client = await RawClient.open(proxy.port);
    client.send(handshake('a.test'));
    await until('it to be held', () => proxy.snapshot().held === 1);
    client.socket.end();
    await until('it to be forgotten', () => proxy.snapshot().held === 0);
    expect(proxy.snapshot().clientAborts).toBe(1);
  });

  it('event streams begin at once and pass each event as it comes, until the client leaves', async () => {
    let say: ((text: string) => void) | undefined;
    let left = false;
    await using upstream = await httpUpstream((_req, res) => {
      res.writeHead(200, { 'Content-Type': 'text/event-stream' }).flushHeaders();
      say = (text) => res.write(`data: ${text}\n\n`);
      res.once('close', () => (left = true));
    });
    await using proxy = await testProxy();
    proxy.control.app('a', { activate: async () => activation([upstream.endpoint]) });
    await using client = await RawClient.open(proxy.port);
    client.send('GET /events HTTP/1.1\r\nHost: a.test\r\n\r\n');
    await client.saw('text/event-stream');
    for (const event of ['one', 'two', 'three']) {
      expect(client.received).not.toContain(event);
      say?.(event);
      await client.saw(`data: ${event}\n\n`);
    }
    expect(proxy.snapshot().inFlight).toBe(1);
    client.socket.destroy();
    await until('the app to notice', () => left);
    await until('the slot to come back', () => proxy.snapshot().inFlight === 0);
  });
});

describe('an app that cannot be started', () => {
  it('fails all that wait for it with the reason’s code and no word of its insides', async () => {
    await using proxy = await testProxy();
    const start = deferred<Activation>();
    proxy.control.app('a', { activate: () => start.promise });
    const asked = Array.from({ length: 5 }, () => ask(proxy));
    await until('five held', () => proxy.snapshot().held === 5);
    start.reject(
      new PlatformError('start_backoff', 'last log line: DB_PASSWORD=hunter2', { retryAfterMs: 3_200 }),
    );
    for (const answer of await Promise.all(asked)) {
      expect(answer.status).toBe(503);
      expect(answer.headers['mayfly-error']).toBe('start_backoff');
      expect(answer.headers['retry-after']).toBe('4');
      expect(JSON.parse(answer.text)).toMatchObject({ code: 'start_backoff', status: 503 });
      expect(answer.text).not.toContain('hunter2');
    }
  });

  it('starts for the next request when it can', async () => {
    await using upstream = await httpUpstream((_req, res) => res.end('up'));
    await using proxy = await testProxy();
    const app = proxy.control.app('a', {
      activate: () => Promise.reject(new PlatformError('no_capacity', 'full')),
    });
    expect((await ask(proxy)).status).toBe(503);
    app.activate = async () => activation([upstream.endpoint]);
    expect((await ask(proxy)).text).toBe('up');
  });
});

describe('a container that does not accept', () => {
  it('is replaced by another one, and the upload arrives there whole', async () => {
    const gone = await deadPort();
    await using upstream = await httpUpstream(
      (req, res) => void readBody(req).then((body) => res.end(String(body.length))),
      { containerId: 'ctr_2' },
    );
    await using proxy = await testProxy();
    const app = proxy.control.app('a');
    const starts = [
      activation([{ ...upstream.endpoint, containerId: 'ctr_1', port: gone }]),
      activation([upstream.endpoint]),
    ];
    app.activate = async () => starts.shift() ?? activation([]);
    const answer = await ask(proxy, { method: 'POST', body: Buffer.alloc(1_000_000) });
    expect([answer.status, answer.text]).toEqual([200, '1000000']);
    expect(proxy.control.suspected).toEqual(['ctr_1']);
    expect(proxy.control.activated).toEqual(['a', 'a']);
  });

  it('is 502 when its successor does not either, after two tries', async () => {
    const gone = await deadPort();
    await using proxy = await testProxy();
    const app = proxy.control.app('a');
    let starts = 0;
    app.activate = async () =>
      activation([{ containerId: `ctr_${++starts}`, host: '127.0.0.1', port: gone, concurrencyLimit: 10 }]);
    const answer = await ask(proxy);
    expect([answer.status, answer.headers['mayfly-error']]).toEqual([502, 'upstream_broken']);
    expect(answer.text).not.toContain(String(gone));
    expect(starts).toBe(2);
    expect(proxy.snapshot()).toMatchObject({ inFlight: 0, held: 0, apps: 0 });
  });
});

describe('the bounds of holding', () => {
  it('answer 503 with the time to come back, per app and in all, while other apps are served', async () => {
    await using upstream = await httpUpstream((_req, res) => res.end('served'), { containerId: 'ctr_b' });
    await using proxy = await testProxy({ limits: { holdRequests: 6 } });
    const never = () => new Promise<Activation>(() => undefined);
    proxy.control.app('a', { route: { holdRequests: 3 }, activate: never });
    proxy.control.app('b', { activate: async () => activation([upstream.endpoint]) });
    proxy.control.app('c', { activate: never });
    expect((await ask(proxy, { host: 'b.test' })).text).toBe('served'); // warm from here on
    const sockets: RawClient[] = [];
    const hold = async (host: string) => {
      const client = await RawClient.open(proxy.port);
      sockets.push(client.send(`GET / HTTP/1.1\r\nHost: ${host}\r\n\r\n`));
    };
    for (let i = 0; i < 3; i++) await hold('a.test');
    await until('three held', () => proxy.snapshot().held === 3);
    const perApp = await ask(proxy);
    expect([perApp.status, perApp.headers['mayfly-error']]).toEqual([503, 'hold_full']);
    expect(Number(perApp.headers['retry-after'])).toBeGreaterThan(0);
    for (let i = 0; i < 2; i++) await hold('c.test');
    await until('five held', () => proxy.snapshot().held === 5);
    expect((await ask(proxy, { host: 'c.test' })).headers['mayfly-error']).toBe('hold_full');
    expect((await ask(proxy, { host: 'b.test' })).text).toBe('served');
    expect(proxy.snapshot().holdOverflowsTotal).toBe(2);
    for (const client of sockets) await client[Symbol.asyncDispose]();
    await until('nothing held', () => proxy.snapshot().held === 0);
  });

  it('answer an upload that is too much at once, and the client can read it although it is still sending', async () => {
    await using proxy = await testProxy({ limits: { lingerMs: 200 } });
    proxy.control.app('a', {
      route: { holdBytes: 10_000 },
      activate: () => new Promise<Activation>(() => undefined),
    });
    await using client = await RawClient.open(proxy.port);
    client
      .send('POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 50000000\r\n\r\n')
      .send(Buffer.alloc(8_000_000));
    const answer = await client.saw('"hold_full"');
    expect(answer).toMatch(/^HTTP\/1\.1 503 /);
    expect(answer).toContain('Connection: close');
    client.send(Buffer.alloc(1_000_000));
    await client.rest();
    expect(client.statuses).toEqual([503]);
  });
});

describe('requests beyond the concurrency limit', () => {
  it('wait their turn and are all served, never more at once than the container is given', async () => {
    let most = 0;
    const open: ServerResponse[] = [];
    await using upstream = await httpUpstream(
      (_req, res) => {
        most = Math.max(most, open.push(res));
        if (open.length !== 3) return;
        // All three are here; a fourth would have time to come before they are answered.
        setTimeout(() => {
          for (const one of open.splice(0)) one.end('ok');
        }, 5);
      },
      { concurrencyLimit: 3 },
    );
    await using proxy = await testProxy();
    proxy.control.app('a', { activate: async () => activation([upstream.endpoint]) });
    const answers = await Promise.all(Array.from({ length: 60 }, () => ask(proxy)));
    expect(answers.every(({ text }) => text === 'ok')).toBe(true);
    expect(most).toBe(3);
    expect(proxy.control.activated).toEqual(['a']);
  });
});

function handshake(host: string): string {
  return `GET / HTTP/1.1\r\nHost: ${host}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n`;
}
