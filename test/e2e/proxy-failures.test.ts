import type { RequestListener } from 'node:http';
import type { Socket } from 'node:net';
import { describe, expect, it } from 'vitest';
import { fullBacklog } from '../support/full-backlog.ts';
import { exchangeRaw, RawClient } from '../support/raw-http.ts';
import { activation, ScriptedControlPlane } from '../support/scripted-control-plane.ts';
import { ask, testProxy } from '../support/upstreams-proxy.ts';
import { httpUpstream, rawUpstream, readBody } from '../support/upstreams.ts';
import type { Upstream } from '../support/upstreams.ts';
import { until } from '../support/until.ts';

const GET = 'GET / HTTP/1.1\r\nHost: a.test\r\n\r\n';
const HANDSHAKE =
  'GET /ws HTTP/1.1\r\nHost: a.test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n';

async function before(
  upstream: Upstream,
  options: Parameters<typeof testProxy>[0] = {},
  requestTimeoutMs = 10_000,
) {
  const proxy = await testProxy(options);
  proxy.control.app('a', {
    route: { requestTimeoutMs },
    activate: async () => activation([upstream.endpoint], 'warm'),
  });
  return {
    proxy,
    upstream,
    async [Symbol.asyncDispose]() {
      await proxy[Symbol.asyncDispose]();
      await upstream.close();
    },
  };
}

const app = async (
  listener: RequestListener,
  options?: Parameters<typeof testProxy>[0],
  timeoutMs?: number,
) => before(await httpUpstream(listener), options, timeoutMs);

const bytes = async (onRequest: (socket: Socket, text: string) => void, timeoutMs?: number) =>
  before(
    await rawUpstream((socket) => {
      socket.on('data', (data: Buffer) => onRequest(socket, data.toString('latin1')));
      socket.on('end', () => socket.end());
    }),
    {},
    timeoutMs,
  );

describe('a client that goes away', () => {
  it('frees the container at once, while the app still thinks', async () => {
    let closed = false;
    await using world = await app((_req, res) => res.once('close', () => (closed = true)));
    await using client = await RawClient.open(world.proxy.port);
    client.send(GET);
    await until(
      'the request at the app',
      () => world.proxy.snapshot().inFlight === 1 && world.upstream.sockets.size === 1,
    );
    client.socket.destroy();
    await until('the app to see it close', () => closed);
    expect(world.proxy.snapshot()).toMatchObject({ inFlight: 0, clientAborts: 1 });
  });

  it('frees the container in the middle of a download', async () => {
    let closed = false;
    await using world = await app((_req, res) => {
      res.once('close', () => (closed = true));
      res.on('error', () => undefined);
      const chunk = Buffer.alloc(65_536);
      const more = () => {
        while (!res.destroyed && res.write(chunk));
        if (!res.destroyed) res.once('drain', more);
      };
      more();
    });
    await using client = await RawClient.open(world.proxy.port);
    client.send(GET);
    await client.saw('200 OK');
    client.socket.destroy();
    await until('the app to see it close', () => closed);
    await until('the slot to come back', () => world.proxy.snapshot().inFlight === 0);
  });

  it('breaks its upload off at the app as well: the app never takes a part for the whole', async () => {
    let outcome = '';
    await using world = await app(
      (req, res) =>
        void readBody(req).then(
          () => {
            outcome = 'whole';
            res.end();
          },
          () => (outcome = 'broken off'),
        ),
    );
    await using client = await RawClient.open(world.proxy.port);
    client.send('POST / HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n');
    await until('the upload at the app', () => world.upstream.sockets.size === 1);
    client.socket.destroy();
    await until('the app to know', () => outcome !== '');
    expect(outcome).toBe('broken off');
  });
});

describe('an app that is too busy to accept a connection', () => {
  it('is tried twice, then the client is told that it takes too long', async () => {
    await using busy = await fullBacklog();
    await using proxy = await testProxy({ limits: { connectTimeoutMs: 50 } });
    const endpoint = { containerId: 'ctr_1', host: busy.host, port: busy.port, concurrencyLimit: 10 };
    proxy.control.app('a', { activate: async () => activation([endpoint], 'warm') });
    const answer = await ask(proxy);
    expect([answer.status, answer.headers['mayfly-error']]).toEqual([504, 'upstream_timeout']);
    expect(proxy.control.suspected).toEqual(['ctr_1', 'ctr_1']);
    expect(proxy.control.activated).toEqual(['a']); // it is in use still
  });
});

describe('an answer that is cut short', () => {
  it.each([
    ['with a length', 'HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nonly this'],
    ['in chunks', 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n'],
    ['in the middle of a chunk', 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nff\r\nhello'],
    [
      'with garbage for a chunk',
      'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\nXYZ\r\n',
    ],
  ])('%s breaks the client’s connection at once', async (_how, answer) => {
    for (const cut of ['end', 'destroy', 'resetAndDestroy'] as const) {
      await using world = await bytes((socket) =>
        socket.write(answer, () => setImmediate(() => socket[cut]())),
      );
      await using client = await RawClient.open(world.proxy.port);
      client.send(GET);
      await client.rest();
      expect(client.statuses.length).toBeLessThanOrEqual(1);
      expect(client.received).not.toMatch(/\r\n0\r\n\r\n$/);
      expect(world.proxy.snapshot()).toMatchObject({ inFlight: 0, truncated: 1 });
      expect(world.proxy.control.suspected).toEqual(['ctr_1']);
    }
  });

  it('is visible to an HTTP/1.0 client, to whom the end of the connection says "complete"', async () => {
    await using world = await bytes((socket) =>
      socket.write('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n'),
    );
    await using client = await RawClient.open(world.proxy.port);
    client.send('GET / HTTP/1.0\r\nHost: a.test\r\n\r\n');
    await client.saw('hello');
    for (const socket of world.upstream.sockets) socket.destroy();
    await until('the reset', () => client.closed);
    expect(client.error).toMatchObject({ code: 'ECONNRESET' });
  });
});

describe('an app that breaks the connection', () => {
  it.each([
    ['closes without a word', (socket: Socket) => socket.end()],
    ['resets', (socket: Socket) => socket.resetAndDestroy()],
    ['talks garbage', (socket: Socket) => socket.end('SSH-2.0-OpenSSH_9.6\r\n')],
    ['stops in the middle of its head', (socket: Socket) => socket.end('HTTP/1.1 200 OK\r\nX-A: ')],
    ['has a head without end', writeForever],
    [
      'sends both lengths',
      (socket: Socket) =>
        socket.write(
          'HTTP/1.1 200 OK\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n',
        ),
    ],
    [
      'sends two lengths',
      (socket: Socket) =>
        socket.write('HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabc'),
    ],
    [
      'switches to a protocol nobody asked for',
      (socket: Socket) =>
        socket.write('HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n'),
    ],
  ])('and %s: 502, and the next request is served', async (_how, misbehave) => {
    let well = false;
    await using world = await bytes((socket) => {
      if (well) socket.write('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok');
      else misbehave(socket);
    });
    const answer = await ask(world.proxy, { method: 'POST', body: 'x' });
    expect([answer.status, answer.headers['mayfly-error']]).toEqual([502, 'upstream_broken']);
    expect(answer.text).not.toMatch(/ECONN|HPE|127\.0\.0\.1|ctr_1/);
    expect(world.proxy.logged.map(({ level }) => level)).toEqual(['warn']);
    well = true;
    expect((await ask(world.proxy)).text).toBe('ok');
    expect(world.proxy.snapshot().inFlight).toBe(0);
  });

  function writeForever(socket: Socket): void {
    const line = `X-Fill: ${'x'.repeat(1_000)}\r\n`.repeat(50);
    socket.write('HTTP/1.1 200 OK\r\n');
    const more = () => {
      if (!socket.destroyed) socket.write(line, () => setImmediate(more));
    };
    more();
  }

  it('after it has answered the rest of an upload is dropped, and the client’s next request is served', async () => {
    let requests = 0;
    await using world = await app((_req, res) => res.end(`answer ${++requests}`));
    await using client = await RawClient.open(world.proxy.port);
    client
      .send('POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 1000000\r\n\r\n')
      .send(Buffer.alloc(300_000));
    await client.saw('answer 1');
    client.send(Buffer.alloc(700_000)).send(GET);
    await client.saw('answer 2');
    expect(client.statuses).toEqual([200, 200]);
  });

  it('after it has answered the rest of an upload is not waited for longer than its time, however it dribbles', async () => {
    await using world = await app((_req, res) => res.end('answer'), { limits: { clientStallMs: 200 } });
    await using client = await RawClient.open(world.proxy.port);
    client.send('POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 1000000\r\n\r\n');
    await client.saw('answer');
    await until('the connection to be closed', () => client.send('x').ended);
    expect(client.statuses).toEqual([200]);
  });

  it.each([
    ['malformed', (client: RawClient) => client.send('no chunk\r\n')],
    ['not to come', (client: RawClient) => client.socket.end()],
  ])('after it has answered it is no second answer that the rest of an upload is %s', async (_what, go) => {
    await using world = await app((_req, res) => res.end('answer'));
    await using client = await RawClient.open(world.proxy.port);
    client.send('POST / HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n');
    await client.saw('answer');
    go(client);
    await client.rest();
    expect(client.statuses).toEqual([200]);
    expect(world.proxy.snapshot().errors).toEqual({});
  });

  it('and ended the connection, as its client wanted, that answer is not lost in what the client has sent ahead', async () => {
    const body = 'answer'.repeat(50_000);
    const { promise: sent, resolve } = Promise.withResolvers<undefined>();
    await using world = await app((_req, res) => void sent.then(() => res.end(body)));
    await using client = await RawClient.open(world.proxy.port);
    client.send(GET.replace('\r\n\r\n', '\r\nConnection: close\r\n\r\n')).send(GET.repeat(20_000));
    await until('it to be under way', () => world.proxy.snapshot().inFlight === 1);
    client.socket.pause();
    resolve(undefined);
    await until('the answer to be over', () => world.proxy.snapshot().inFlight === 0);
    client.socket.resume();
    expect((await client.rest()).endsWith(body)).toBe(true);
    expect(client.statuses).toEqual([200]);
  });
});

describe('a connection that was kept', () => {
  it('is used again, and closed when its container is taken out of use', async () => {
    await using world = await app((_req, res) => res.end('ok'));
    for (let i = 0; i < 5; i++) await ask(world.proxy);
    expect(world.upstream.accepted).toBe(1);
    await world.proxy.control.dataPlane.drain('ctr_1');
    await until('it to be closed', () => world.upstream.sockets.size === 0);
  });

  it('in use while its container is drained ends with its answer', async () => {
    let answer: (() => void) | undefined;
    await using world = await app((_req, res) => (answer = () => res.end('late')));
    const asked = ask(world.proxy);
    await until('the request at the app', () => answer !== undefined);
    let drained = false;
    const done = world.proxy.control.dataPlane.drain('ctr_1').then((result) => {
      drained = true;
      return result;
    });
    await new Promise((resolve) => setImmediate(resolve));
    expect(drained).toBe(false);
    answer?.();
    expect((await asked).text).toBe('late');
    await expect(done).resolves.toEqual({ drained: true });
    await until('it to be closed', () => world.upstream.sockets.size === 0);
  });

  it('and that the app closes as it is taken is replaced for a request that may be sent twice', async () => {
    await using world = await closesSecond();
    expect((await ask(world.proxy)).text).toBe('1');
    expect((await ask(world.proxy)).text).toBe('3');
    expect(world.proxy.snapshot()).toMatchObject({ staleRetries: 1, inFlight: 0 });
    expect(world.proxy.control.suspected).toEqual([]);
  });

  it('is not replaced for one that may not: 502, and the app sees it once', async () => {
    await using world = await closesSecond();
    expect((await ask(world.proxy)).text).toBe('1');
    expect((await ask(world.proxy, { method: 'POST', body: 'pay' })).status).toBe(502);
    expect(world.proxy.snapshot().staleRetries).toBe(0);
    expect((await ask(world.proxy)).text).toBe('3');
  });

  it('is not replaced twice', async () => {
    let requests = 0;
    await using world = await bytes((socket) => {
      if (++requests === 1) socket.write('HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n1');
      else socket.destroy();
    });
    await ask(world.proxy);
    expect((await ask(world.proxy)).status).toBe(502);
    expect(requests).toBe(3);
  });

  /** An app that closes the connection when its second request arrives, unanswered. */
  function closesSecond() {
    let requests = 0;
    return bytes((socket) => {
      if (++requests === 2) socket.destroy();
      else socket.write(`HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n${requests}`);
    });
  }
});

describe('time', () => {
  it('for an answer’s head is bounded: 504, and the app is told', async () => {
    let closed = false;
    await using world = await app((_req, res) => res.once('close', () => (closed = true)), {}, 50);
    const answer = await ask(world.proxy);
    expect([answer.status, answer.headers['mayfly-error']]).toEqual([504, 'upstream_timeout']);
    await until('the app to see it close', () => closed);
    expect(world.proxy.snapshot().inFlight).toBe(0);
  });

  it('for an answer’s body is not: a slow one passes', async () => {
    await using world = await app(
      (_req, res) => {
        res.write('a');
        setTimeout(() => res.end('b'), 150);
      },
      {},
      50,
    );
    expect((await ask(world.proxy)).text).toBe('ab');
  });

  it('starts anew with every part of an upload that arrives', async () => {
    await using world = await app(
      (req, res) => void readBody(req).then((body) => res.end(String(body.length))),
      { limits: { clientStallMs: 300 } },
      300,
    );
    await using client = await RawClient.open(world.proxy.port);
    client.send('POST / HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\nContent-Length: 10\r\n\r\n');
    for (let i = 0; i < 10; i++) {
      await new Promise((resolve) => setTimeout(resolve, 60)); // together twice the time allowed for a pause
      client.send('x');
    }
    expect(await client.rest()).toContain('\r\n\r\n10');
  });

  it('of a client that stops in the middle of its body is up: 408', async () => {
    let broken = false;
    await using world = await app((req) => void readBody(req).catch(() => (broken = true)), {
      limits: { clientStallMs: 50, lingerMs: 20 },
    });
    await using client = await RawClient.open(world.proxy.port);
    client.send('POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 10\r\n\r\nx');
    expect(await client.rest()).toMatch(/^HTTP\/1\.1 408 [^]*request_timeout/);
    await until('the app to know', () => broken);
  });

  it('of a client that stops taking its answer is up: it is cut off and the container freed', async () => {
    await using world = await app(
      (_req, res) => {
        res.on('error', () => undefined);
        res.end(Buffer.alloc(50_000_000));
      },
      { limits: { clientStallMs: 100 } },
    );
    await using client = await RawClient.open(world.proxy.port);
    client.socket.pause();
    client.send(GET);
    await until(
      'the slot to come back',
      () => world.proxy.snapshot().requests === 1 && world.proxy.snapshot().inFlight === 0,
    );
    await until('the app to be free', () => world.upstream.sockets.size === 0);
  });
});

describe('a container whose drain deadline has passed', () => {
  it('has what is in flight broken off: an answer that began is cut, one that had not is 502', async () => {
    await using world = await app((req, res) => {
      if (req.url === '/begun') res.write('some');
    });
    await using begun = await RawClient.open(world.proxy.port);
    begun.send('GET /begun HTTP/1.1\r\nHost: a.test\r\n\r\n');
    await begun.saw('some');
    const waiting = ask(world.proxy);
    await until('both in flight', () => world.proxy.snapshot().inFlight === 2);
    const drained = world.proxy.control.dataPlane.drain('ctr_1');
    world.proxy.control.dataPlane.abort('ctr_1');
    await expect(drained).resolves.toEqual({ drained: true });
    expect((await waiting).status).toBe(502);
    expect(await begun.rest()).not.toMatch(/\r\n0\r\n\r\n$/);
  });

  it('has its WebSockets closed', async () => {
    await using world = await bytes((socket) => socket.write(SWITCHED));
    await using client = await RawClient.open(world.proxy.port);
    client.send(HANDSHAKE);
    await client.saw(' 101 ');
    const drained = world.proxy.control.dataPlane.drain('ctr_1');
    world.proxy.control.dataPlane.abort('ctr_1');
    await expect(drained).resolves.toEqual({ drained: true });
    await client.rest();
    await until('the app’s side to close', () => world.upstream.sockets.size === 0);
  });
});

const SWITCHED =
  'HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nX-App: 1\r\nMayfly-Forged: 1\r\n\r\n';

it('what an app has answered before it closes on the rest of an upload arrives', async () => {
  const upload = Buffer.alloc(3_000_000);
  await using world = await before(
    await rawUpstream((socket) =>
      socket.once('data', () => {
        socket.pause();
        socket.end('HTTP/1.1 413 Too Large\r\nContent-Length: 8\r\nConnection: close\r\n\r\ntoo much', () =>
          socket.destroy(),
        );
      }),
    ),
  );
  // An HTTP/1.0 client is served by node:http in any case.
  for (const version of ['1.1', '1.0']) {
    await using client = await RawClient.open(world.proxy.port);
    client.send(`POST / HTTP/${version}\r\nHost: a.test\r\nContent-Length: ${upload.length}\r\n\r\n`);
    client.send(upload);
    expect(await client.saw('\r\n\r\n')).toMatch(/^HTTP\/1\.1 413 /);
    await client.saw('too much');
  }
  await until('the slots to come back', () => world.proxy.snapshot().inFlight === 0);
  expect(world.upstream.sockets.size).toBe(0);
});

describe('an upgrade', () => {
  it('passes what either side says right behind its head, and the app’s own fields', async () => {
    let got = '';
    await using world = await bytes((socket, text) => {
      if (text.startsWith('GET')) socket.write(`${SWITCHED}first from app`);
      got += text;
    });
    await using client = await RawClient.open(world.proxy.port);
    client.send(`${HANDSHAKE}first from client`);
    const answer = await client.saw('first from app');
    expect(answer).toContain('X-App: 1');
    expect(answer).not.toContain('Forged');
    await until('the client’s words at the app', () => got.includes('first from client'));
    expect(got).toMatch(/^GET \/ws HTTP\/1\.1\r\n[^]*Connection: Upgrade\r\nUpgrade: websocket\r\n/);
  });

  it('that the app declines gives the client the app’s own answer', async () => {
    await using world = await app((_req, res) => res.writeHead(403, { 'X-Why': 'no' }).end('not you'));
    const answer = await exchangeRaw(world.proxy.port, HANDSHAKE);
    expect(answer).toMatch(/^HTTP\/1\.1 403 [^]*X-Why: no\r\n/);
    expect(answer).toContain('not you');
    await until('the slot to come back', () => world.proxy.snapshot().inFlight === 0);
  });

  it('that the app declines at length is passed with backpressure and whole', async () => {
    await using world = await app((_req, res) => res.end(Buffer.alloc(20_000_000, 'z')));
    const answer = await exchangeRaw(world.proxy.port, HANDSHAKE);
    expect(answer.length - answer.indexOf('\r\n\r\n') - 4).toBe(20_000_000);
  });

  it('for an unknown host is 404, to an app that cannot start its error', async () => {
    await using world = await app((_req, res) => res.end());
    expect(await exchangeRaw(world.proxy.port, HANDSHAKE.replace('a.test', 'nobody.test'))).toMatch(
      /^HTTP\/1\.1 404 /,
    );
    world.proxy.control.app('b', { activate: () => Promise.reject(new Error('no')) });
    expect(await exchangeRaw(world.proxy.port, HANDSHAKE.replace('a.test', 'b.test'))).toMatch(
      /^HTTP\/1\.1 500 /,
    );
  });

  it('to any other protocol is served without it: h2c carries nothing past us', async () => {
    await using world = await app((req, res) => res.end(`upgrade: ${req.headers.upgrade ?? 'none'}`));
    const answer = await exchangeRaw(
      world.proxy.port,
      'GET / HTTP/1.1\r\nHost: a.test\r\nConnection: Upgrade, HTTP2-Settings, close\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n\r\n',
    );
    expect(answer).toMatch(/^HTTP\/1\.1 200 [^]*upgrade: none/);
  });

  it('of a request with a body is served without it: where the body ends must not be guessed', async () => {
    await using world = await app(
      (req, res) =>
        void readBody(req).then((body) => res.end(`${req.headers.upgrade ?? 'none'} ${body.toString()}`)),
    );
    const answer = await exchangeRaw(
      world.proxy.port,
      HANDSHAKE.replace('\r\n\r\n', '\r\nContent-Length: 3\r\nConnection: close\r\n\r\nabc'),
    );
    expect(answer).toContain('none abc');
  });

  it('passes a half-close, and what the other side still has to say', async () => {
    await using world = await before(
      await rawUpstream((socket) => {
        socket.on('data', (data: Buffer) => {
          if (data.toString().startsWith('GET')) socket.write(SWITCHED);
        });
        socket.on('end', () => socket.end('last words'));
      }),
    );
    await using client = await RawClient.open(world.proxy.port);
    client.send(HANDSHAKE);
    await client.saw(' 101 ');
    client.socket.end();
    expect(await client.rest()).toMatch(/last words$/);
    await until(
      'everything to be closed',
      () => world.upstream.sockets.size === 0 && world.proxy.snapshot().inFlight === 0,
    );
  });

  it('passes a half-close of the app, and what the client still has to say', async () => {
    let heard = '';
    await using world = await before(
      await rawUpstream((socket) => {
        socket.once('data', () => {
          socket.end(`${SWITCHED}that is all`);
          socket.on('data', (chunk: Buffer) => (heard += chunk.toString()));
        });
      }),
    );
    await using client = await RawClient.open(world.proxy.port);
    client.send(HANDSHAKE);
    expect(await client.rest()).toMatch(/that is all$/);
    client.send('one word, ');
    await until('a word of the client', () => heard === 'one word, ');
    client.socket.end('and another');
    await until(
      'everything to be closed',
      () => world.upstream.sockets.size === 0 && world.proxy.snapshot().inFlight === 0,
    );
    expect(heard).toBe('one word, and another');
  });

  it('half-closed and then silent is closed after a while', async () => {
    await using world = await before(
      await rawUpstream((socket) => socket.on('data', () => socket.write(SWITCHED))),
      { limits: { halfCloseMs: 50 } },
    );
    await using client = await RawClient.open(world.proxy.port);
    client.send(HANDSHAKE);
    await client.saw(' 101 ');
    client.socket.end();
    await client.rest();
    await until('the slot to come back', () => world.proxy.snapshot().inFlight === 0);
  });

  it.each(['destroy', 'resetAndDestroy', 'end'] as const)(
    'ends for the app when the client does (%s)',
    async (how) => {
      await using world = await before(
        await rawUpstream((socket) => {
          socket.on('data', () => socket.write(SWITCHED));
          socket.on('end', () => socket.end());
        }),
      );
      await using client = await RawClient.open(world.proxy.port);
      client.send(HANDSHAKE);
      await client.saw(' 101 ');
      client.socket[how]();
      await until(
        'everything to be closed',
        () => world.upstream.sockets.size === 0 && world.proxy.snapshot().inFlight === 0,
      );
    },
  );

  it('ends for the client when the app crashes', async () => {
    await using world = await bytes((socket) => socket.write(SWITCHED));
    await using client = await RawClient.open(world.proxy.port);
    client.send(HANDSHAKE);
    await client.saw(' 101 ');
    for (const socket of world.upstream.sockets) socket.resetAndDestroy();
    await client.rest();
    await until('the slot to come back', () => world.proxy.snapshot().inFlight === 0);
  });
});

describe('a proxy that closes', () => {
  it('lets what is in flight end, tells its client to leave, and takes nobody new', async () => {
    let answer: (() => void) | undefined;
    await using world = await app((_req, res) => (answer = () => res.end('in time')));
    await using idle = await RawClient.open(world.proxy.port);
    await using busy = await RawClient.open(world.proxy.port);
    busy.send(GET);
    await until('the request at the app', () => answer !== undefined);
    const closed = world.proxy.close({ graceMs: 10_000 });
    await expect(RawClient.open(world.proxy.port)).rejects.toMatchObject({ code: 'ECONNREFUSED' });
    answer?.();
    const text = await busy.rest();
    expect(text).toMatch(/Connection: close/i);
    expect(text).toContain('in time');
    await closed;
    await idle.rest();
    expect(world.proxy.control.attached).toBe(false);
    await until('its connections to be closed', () => world.upstream.sockets.size === 0);
  });

  it('breaks what is left when its grace is over: held requests are told, streams are cut', async () => {
    await using world = await app((_req, res) => void res.write('stream'));
    world.proxy.control.app('b', { activate: () => new Promise(() => undefined) });
    await using stream = await RawClient.open(world.proxy.port);
    stream.send(GET);
    await stream.saw('stream');
    await using held = await RawClient.open(world.proxy.port);
    held.send(GET.replace('a.test', 'b.test'));
    await until('one held', () => world.proxy.snapshot().held === 1);
    await world.proxy.close({ graceMs: 30 });
    expect(await held.rest()).toMatch(/^HTTP\/1\.1 503 [^]*shutting_down/);
    await stream.rest();
    expect(world.proxy.snapshot()).toMatchObject({ held: 0, inFlight: 0, containers: 1 });
    await until('its connections to be closed', () => world.upstream.sockets.size === 0);
  });

  it('says which port was taken when it cannot begin, and leaves the control plane', async () => {
    await using world = await app((_req, res) => res.end());
    const control = world.proxy.control;

    const other = new ScriptedControlPlane();
    await expect(
      testProxy({ control: other, listen: { host: '127.0.0.1', port: world.proxy.port } }),
    ).rejects.toMatchObject({ code: 'EADDRINUSE' });
    expect(other.attached).toBe(false);
    expect(control.attached).toBe(true);
  });
});
