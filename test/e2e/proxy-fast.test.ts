/** What the transport on plain sockets does that nothing above it can: order, framing, what it hands over, and its bounds. */
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import type { RequestListener } from 'node:http';
import type { Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';
import { describe, expect, it } from 'vitest';
import { makePair, shown } from '../support/certificates.ts';
import { exchangeRaw, RawClient } from '../support/raw-http.ts';
import { activation } from '../support/scripted-control-plane.ts';
import { testProxy } from '../support/upstreams-proxy.ts';
import { httpUpstream, rawUpstream, readBody } from '../support/upstreams.ts';
import type { Upstream } from '../support/upstreams.ts';
import { until } from '../support/until.ts';

async function front(upstream: Upstream, options: Parameters<typeof testProxy>[0] = {}) {
  const proxy = await testProxy({ ...options, transport: 'fast' });
  proxy.control.app('a', { activate: async () => activation([upstream.endpoint], 'warm') });
  return {
    proxy,
    upstream,
    async [Symbol.asyncDispose]() {
      await proxy[Symbol.asyncDispose]();
      await upstream.close();
    },
  };
}

const app = async (listener: RequestListener, options?: Parameters<typeof testProxy>[0]) =>
  front(await httpUpstream(listener), options);

/** An app of bytes: one call per piece that arrives. */
const bytes = async (
  onData: (socket: Socket, text: string) => void,
  options?: Parameters<typeof testProxy>[0],
) =>
  front(
    await rawUpstream((socket) => {
      socket.on('data', (data: Buffer) => onData(socket, data.toString('latin1')));
      socket.on('end', () => socket.end());
    }),
    options,
  );

/** Says what it was asked, and the checksum of what it was sent. */
const echo: RequestListener = (req, res) =>
  void readBody(req).then(
    (body) =>
      res.end(
        `<${req.method ?? ''} ${req.url ?? ''} ${createHash('sha1').update(body).digest('hex').slice(0, 8)}>`,
      ),
    () => undefined,
  );

const sha = (text: string | Buffer) => createHash('sha1').update(text).digest('hex').slice(0, 8);

function get(path: string, more = ''): string {
  return `GET ${path} HTTP/1.1\r\nHost: a.test\r\n${more}\r\n`;
}

/** No two of its pieces are alike. */
function noise(length: number): Buffer {
  const body = Buffer.alloc(length);
  for (let at = 0; at + 4 <= length; at += 4) body.writeUInt32LE((at * 2_654_435_761) >>> 0, at);
  return body;
}

describe('requests sent ahead', () => {
  it('with large bodies arrive whole at an app that is slow to take them, also behind one that nobody took', async () => {
    const [dropped, sent] = [3_000_000, 12_000_000];
    const hash = createHash('sha1');
    let slow: Socket | undefined;
    let arrived = -1;
    await using world = await front(
      await rawUpstream((socket) => {
        socket.on('data', (data: Buffer) => {
          const text = data.toString('latin1');
          if (text.startsWith('POST /early')) socket.write('HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n');
          else if (text.startsWith('POST /slow')) {
            arrived = 0;
            (slow = socket).pause();
            socket.unshift(data.subarray(text.indexOf('\r\n\r\n') + 4));
          } else if (arrived >= 0) {
            hash.update(data);
            if ((arrived += data.length) === sent)
              socket.end('HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\nwhole');
          }
        });
      }),
    );
    await using client = await RawClient.open(world.proxy.port);
    const post = (path: string, length: number) =>
      `POST ${path} HTTP/1.1\r\nHost: a.test\r\nContent-Length: ${length}\r\n\r\n`;
    client.send(post('/early', dropped));
    await client.saw('200 OK');
    // In one go, so that the end of one body and the beginning of the next are read together.
    client.send(Buffer.concat([noise(dropped), Buffer.from(post('/slow', sent)), noise(sent)]));
    let before = -1;
    await until('nothing to move any more', () => {
      const { bytesWritten } = client.socket;
      const still = slow !== undefined && bytesWritten === before;
      before = bytesWritten;
      return still;
    });
    slow?.resume();
    await client.saw('whole');
    expect(hash.digest('hex')).toBe(createHash('sha1').update(noise(sent)).digest('hex'));
  });

  it('are answered in turn, each with its own answer, whatever their bodies are', async () => {
    await using world = await app((req, res) => {
      // The later ones are the quicker ones.
      setTimeout(() => echo(req, res), req.url === '/1' ? 30 : 0);
    });
    await using client = await RawClient.open(world.proxy.port);
    client.send(
      get('/1') +
        'POST /2 HTTP/1.1\r\nHost: a.test\r\nContent-Length: 5\r\n\r\nhello' +
        'PUT /3 HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n3;x=y\r\nabc\r\n2\r\nde\r\n0\r\n\r\n' +
        'HEAD /4 HTTP/1.1\r\nHost: a.test\r\n\r\n' +
        get('/5', 'Connection: close\r\n') +
        get('/6'),
    );
    const answer = await client.rest();
    expect(client.statuses).toEqual([200, 200, 200, 200, 200]);
    expect([...answer.matchAll(/<(.*?)>/g)].map((match) => match[1])).toEqual([
      `GET /1 ${sha('')}`,
      `POST /2 ${sha('hello')}`,
      `PUT /3 ${sha('abcde')}`,
      `GET /5 ${sha('')}`,
    ]);
    expect(world.proxy.snapshot()).toMatchObject({ requests: 5, inFlight: 0, clientAborts: 0 });
  });

  it.each([
    ['small', 5_000, 14_000],
    ['large', 400, 200_000],
  ])(
    'wait when the client takes none of its %s answers, and then come as they were',
    async (_size, ahead, bodyBytes) => {
      let asked = 0;
      const body = (path: string) => `<${path}>`.padEnd(bodyBytes, path);
      await using world = await app((req, res) => {
        asked++;
        res.end(body(req.url ?? ''));
      });
      await using client = await RawClient.open(world.proxy.port);
      client.socket.removeAllListeners('data');
      client.socket.pause();
      for (let i = 0; i < ahead; i++)
        client.send(get(`/${i}`, i === ahead - 1 ? 'Connection: close\r\n' : ''));
      let before = -1;
      let looks = 0;
      await until('nothing to move any more', () => {
        looks = asked > 0 && asked === before ? looks + 1 : 0;
        before = asked;
        return looks >= 20;
      });
      // What the kernel takes for some sockets, of 70 MB or more.
      expect(asked).toBeLessThan(ahead / 2);
      expect(world.proxy.snapshot().inFlight).toBeLessThanOrEqual(1);
      const parts: Buffer[] = [];
      client.socket.on('data', (chunk: Buffer) => parts.push(chunk));
      client.socket.resume();
      await client.rest();
      const bodies = Buffer.concat(parts)
        .toString('latin1')
        .split(/HTTP\/1\.1 200 OK\r\n[^<]*\r\n\r\n(?=<)/)
        .slice(1);
      expect(bodies).toHaveLength(ahead);
      expect(bodies.findIndex((text, i) => text !== body(`/${i}`))).toBe(-1);
    },
  );
});

describe('however the bytes are cut', () => {
  it('requests and answers are the same', async () => {
    const answer =
      'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n6;a="b"\r\n world\r\n0\r\nX-Sum: 7\r\n\r\n';
    let got = '';
    await using world = await bytes((socket, text) => {
      got += text;
      if (!got.endsWith('0\r\n\r\n')) return;
      void (async () => {
        for (const byte of answer) {
          socket.write(byte);
          await new Promise((resolve) => setImmediate(resolve));
        }
      })();
    });
    await using client = await RawClient.open(world.proxy.port);
    const request =
      'POST /cut HTTP/1.1\r\nHost: a.test\r\nX-A: b\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n';
    for (const byte of request) {
      client.send(byte);
      await new Promise((resolve) => setImmediate(resolve));
    }
    await client.saw('X-Sum: 7\r\n\r\n');
    expect(got).toMatch(
      /^POST \/cut HTTP\/1\.1\r\nHost: a\.test\r\nX-A: b\r\n[^]*\r\n\r\n3\r\nabc\r\n0\r\n\r\n$/,
    );
    expect(client.received.split('\r\n\r\n').slice(1).join('\r\n\r\n')).toBe(
      answer.split('\r\n\r\n').slice(1).join('\r\n\r\n'),
    );
  });
});

describe('what goes to node:http', () => {
  it.each<[string, string]>([
    ['HTTP/1.0', 'GET /odd HTTP/1.0\r\nHost: a.test\r\nConnection: keep-alive\r\n\r\n'],
    ['an absolute target', 'GET http://a.test/odd HTTP/1.1\r\nHost: a.test\r\n\r\n'],
    ['a rare method', 'PROPFIND /odd HTTP/1.1\r\nHost: a.test\r\n\r\n'],
    [
      'an expectation',
      'POST /odd HTTP/1.1\r\nHost: a.test\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\nabc',
    ],
    [
      'announced trailers',
      'POST /odd HTTP/1.1\r\nHost: a.test\r\nTrailer: X-A\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nX-A: 1\r\n\r\n',
    ],
  ])('%s keeps its place on the connection, between those before and behind it', async (_what, odd) => {
    await using world = await app(echo);
    await using client = await RawClient.open(world.proxy.port);
    client.send(get('/before') + odd + get('/behind', 'Connection: close\r\n'));
    const answer = await client.rest();
    expect([...answer.matchAll(/<\w+ (.*?) \w+>/g)].map((match) => match[1])).toEqual([
      '/before',
      '/odd',
      '/behind',
    ]);
    const { requests, status2xx, status1xx, inFlight, sentBytes, receivedBytes } = world.proxy.snapshot();
    expect([requests, status2xx, status1xx, inFlight]).toEqual([3, 3, 0, 0]);
    expect(receivedBytes).toBe(
      odd.length + get('/before').length + get('/behind', 'Connection: close\r\n').length,
    );
    await until('its bytes to be counted', () => world.proxy.snapshot().sentBytes >= sentBytes);
    expect(world.proxy.latency.count).toBe(3);
  });

  it('an early hint for a request that is not the next to be answered does not end up in its answer', async () => {
    let hinted = false;
    await using world = await bytes((socket, text) => {
      const answer = 'HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n';
      if (text.includes('/first'))
        void until('the hint', () => hinted).then(() => socket.write(`${answer}one`));
      else {
        socket.write(`HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n${answer}two`);
        hinted = true;
      }
    });
    await using client = await RawClient.open(world.proxy.port);
    client.send(
      'GET http://a.test/first HTTP/1.1\r\nHost: a.test\r\n\r\n' + get('/second', 'Connection: close\r\n'),
    );
    const answer = await client.rest();
    expect(client.statuses.at(-1)).toBe(200);
    expect(answer).toMatch(/\r\n\r\noneHTTP[^]*\r\n\r\ntwo$/);
    expect(answer.slice(answer.lastIndexOf('HTTP/1.1 200'))).not.toContain('103');
  });

  it('over TLS: many requests sent ahead are all answered, although the first answer is late', async () => {
    const [first, ahead] = [30, 150];
    const answer = 'x'.repeat(20_000);
    const pair = await makePair(['a.test']);
    const tls = {
      listen: { host: '127.0.0.1', port: 0 },
      certificates: [shown('a', pair, { isDefault: true })],
    };
    let asked = 0;
    let held: () => void = () => undefined;
    await using world = await app(
      (req, res) => {
        asked++;
        if (req.url === '/odd') held = () => res.end(answer);
        else res.end(answer);
      },
      { tls },
    );
    const port = world.proxy.tlsPort ?? 0;
    const socket = connectTls({ port, host: '127.0.0.1', ca: pair.certPem, servername: 'a.test' });
    await once(socket, 'secureConnect');
    const parts: Buffer[] = [];
    socket.on('data', (part: Buffer) => parts.push(part)).pause();
    const filler = `X-Filler: ${'y'.repeat(3_000)}\r\n`;
    const some = (from: number, to: number) =>
      Array.from({ length: to - from }, (_, i) =>
        get(`/${from + i}`, from + i === ahead - 1 ? `${filler}Connection: close\r\n` : filler),
      ).join('');
    // Handed over; from the second one on, more answers wait than node:http wants to have waiting.
    socket.write(`GET http://a.test/odd HTTP/1.1\r\nHost: a.test\r\n\r\n${some(1, first)}`);
    await until('the first to be asked for', () => asked === first);
    await until('their answers', () => world.proxy.snapshot().status2xx === first - 1);
    const { bytesWritten } = socket;
    socket.write(some(first, ahead));
    await until(
      'the others to be sent',
      () => socket.bytesWritten > bytesWritten && socket.writableLength === 0,
    );
    held();
    socket.resume();
    await until('the end', () => socket.closed || socket.readableEnded);
    expect(
      Buffer.concat(parts)
        .toString('latin1')
        .match(/HTTP\/1\.1 200 /g),
    ).toHaveLength(ahead);
    expect(world.proxy.snapshot()).toMatchObject({ requests: ahead, errors: {}, clientAborts: 0 });
  });

  it('a head that came in pieces is handed over whole', async () => {
    await using world = await app(echo);
    await using client = await RawClient.open(world.proxy.port);
    let sent = 0;
    for (const piece of [
      'GET http://a.t',
      'est/odd HTTP/1.1\r\nHo',
      'st: a.test\r\nConnection: close\r\n\r\n',
    ]) {
      client.send(piece);
      sent += piece.length;
      await until('it to have come', () => world.proxy.snapshot().receivedBytes >= sent);
    }
    expect(await client.rest()).toContain(`<GET /odd ${sha('')}>`);
  });

  it('a slow head on a connection that was handed over is timed out as well', async () => {
    await using world = await app(echo, { limits: { headersTimeoutMs: 200 } });
    await using client = await RawClient.open(world.proxy.port);
    client.send('GET http://a.test/odd HTTP/1.1\r\nHost: a.test\r\n\r\n');
    await client.saw('/odd');
    client.send('GET / HTTP/1.1\r\nHo');
    expect(await client.rest()).toContain('408');
  });
});

describe('an answer without a length', () => {
  it('ends with the app’s connection, and the client’s goes on', async () => {
    await using world = await bytes((socket, text) =>
      socket.end(`HTTP/1.1 200 OK\r\n\r\n<${/\/\d/.exec(text)?.[0] ?? ''}>`),
    );
    await using client = await RawClient.open(world.proxy.port);
    client.send(get('/1') + get('/2', 'Connection: close\r\n'));
    const answer = await client.rest();
    const chunked = /Transfer-Encoding: chunked\r\n(?:[^\r]+\r\n)*\r\n4\r\n<\/\d>\r\n0\r\n\r\n/g;
    expect(answer.match(chunked)).toHaveLength(2);
    expect(world.proxy.snapshot().sentBytes).toBe(answer.length);
  });

  it('that is broken off is no end', async () => {
    await using world = await bytes((socket) => socket.write('HTTP/1.1 200 OK\r\n\r\nsome'));
    await using client = await RawClient.open(world.proxy.port);
    client.send(get('/'));
    await client.saw('some');
    for (const socket of world.upstream.sockets) socket.resetAndDestroy();
    expect(await client.rest()).not.toMatch(/\r\n0\r\n\r\n$/);
    expect(world.proxy.snapshot()).toMatchObject({ truncated: 1, inFlight: 0 });
  });
});

describe('a connection to an app', () => {
  it('on which more came than an answer is not used again, and nobody is given that', async () => {
    let requests = 0;
    await using world = await bytes((socket) => {
      requests++;
      const answer = 'HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n';
      socket.write(requests === 1 ? `${answer}one${answer}bad` : `${answer}two`);
    });
    await using client = await RawClient.open(world.proxy.port);
    client.send(get('/1'));
    await client.saw('one');
    client.send(get('/2', 'Connection: close\r\n'));
    const answer = await client.rest();
    expect(answer).toContain('two');
    expect(answer).not.toContain('bad');
    expect(world.upstream.accepted).toBe(2);
  });

  it('on which the app speaks unasked is closed', async () => {
    let app: Socket | undefined;
    await using world = await bytes((socket) => {
      app = socket;
      socket.write('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok');
    });
    await exchangeRaw(world.proxy.port, get('/', 'Connection: close\r\n'));
    expect(world.upstream.sockets.size).toBe(1);
    app?.write('HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nbad');
    await until('it to be closed', () => world.upstream.sockets.size === 0);
  });

  it('that closes as it is taken, at an app that is ending, leads to another container', async () => {
    await using next = await httpUpstream((_req, res) => res.end('next'), { containerId: 'ctr_2' });
    let ending = false;
    await using upstream = await rawUpstream((socket) => {
      // Its listening socket outlives the connections by a moment.
      if (ending) setImmediate(() => socket.resetAndDestroy());
      socket.on('data', () => {
        if (ending) socket.resetAndDestroy();
        else socket.write('HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nfirst');
      });
    });
    await using proxy = await testProxy({ transport: 'fast' });
    const scripted = proxy.control.app('a', {
      activate: async () => activation([upstream.endpoint], 'warm'),
    });
    expect(await exchangeRaw(proxy.port, get('/', 'Connection: close\r\n'))).toContain('first');
    ending = true;
    scripted.activate = async () => activation([next.endpoint], 'started');
    expect(await exchangeRaw(proxy.port, get('/', 'Connection: close\r\n'))).toContain('next');
    expect(proxy.control.suspected).toEqual(['ctr_1']);
    expect(proxy.snapshot()).toMatchObject({ staleRetries: 1, inFlight: 0 });
  });

  it('is closed when it was idle for too long, and sooner if the app says so', async () => {
    await using world = await bytes(
      (socket) => socket.write('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok'),
      { limits: { upstreamKeepAliveMs: 60 } },
    );
    await exchangeRaw(world.proxy.port, get('/', 'Connection: close\r\n'));
    await until('it to be closed', () => world.upstream.sockets.size === 0);

    await using hurried = await bytes((socket) =>
      socket.write('HTTP/1.1 200 OK\r\nKeep-Alive: timeout=0\r\nContent-Length: 2\r\n\r\nok'),
    );
    await exchangeRaw(hurried.proxy.port, get('/', 'Connection: close\r\n'));
    await until('it to be closed', () => hurried.upstream.sockets.size === 0);
  });

  it('is one of a bounded number that are kept', async () => {
    await using world = await app((_req, res) => setTimeout(() => res.end('ok'), 20), {
      limits: { upstreamIdleConnections: 3 },
    });
    const answers = Array.from({ length: 10 }, () =>
      exchangeRaw(world.proxy.port, get('/', 'Connection: close\r\n')),
    );
    for (const answer of await Promise.all(answers)) expect(answer).toMatch(/^HTTP\/1\.1 200 /);
    await until('the others to be closed', () => world.upstream.sockets.size === 3);
  });
});

describe('a client that is idle', () => {
  it('is closed after a while', async () => {
    await using world = await app(echo, { limits: { keepAliveMs: 60 } });
    await using client = await RawClient.open(world.proxy.port);
    client.send(get('/'));
    await client.rest();
    expect(client.statuses).toEqual([200]);
  });
});

describe('amid aborts, resets and slow readers', () => {
  it('no answer reaches another request than its own, and nothing is left behind', async () => {
    const asked = new Set<string>();
    await using world = await app((req, res) => {
      const id = req.url ?? '';
      asked.add(id);
      const size = Number(/\d+$/.exec(id)?.[0] ?? '0') % 7 === 0 ? 300_000 : 20;
      readBody(req).then(
        () => {
          if (/3$/.test(id)) req.socket.resetAndDestroy();
          else res.end(`<${id}>${'.'.repeat(size)}</${id}>`);
        },
        () => undefined,
      );
    });
    let checked = 0;
    const visitor = async (visit: number) => {
      for (let round = 0; round < 6; round++) {
        await using client = await RawClient.open(world.proxy.port);
        const ids = Array.from(
          { length: 4 },
          (_, i) => `/v${visit}r${round}n${i}x${visit * 31 + round * 7 + i}`,
        );
        client.send(ids.map((id) => get(id)).join(''));
        if ((visit + round) % 3 === 0) {
          if (visit % 2 === 0) client.socket.resetAndDestroy();
          else client.socket.destroy();
          continue;
        }
        if (visit % 5 === 0) {
          client.socket.pause();
          await until('the app to be asked', () => asked.has(ids[0] ?? ''));
          client.socket.resume();
        }
        await until(
          'its answers',
          () => client.ended || (client.statuses.length === 4 && /<\/[^>]*>$|\}\n$/.test(client.received)),
        );
        const opened = [...client.received.matchAll(/<(\/v[^>]*)>/g)].map((match) => match[1] ?? '');
        const closed = [...client.received.matchAll(/<\/(\/v[^>]*)>/g)].map((match) => match[1] ?? '');
        const expected = ids.filter((id) => !/3$/.test(id));
        expect(opened).toEqual(expected);
        expect(closed).toEqual(expected);
        checked += opened.length;
      }
    };
    await Promise.all(Array.from({ length: 40 }, (_, visit) => visitor(visit)));
    expect(checked).toBeGreaterThan(300);
    await until('everything to be free', () => world.proxy.snapshot().inFlight === 0);
    await world.proxy.control.dataPlane.drain('ctr_1');
    await until('its connections to be closed', () => world.upstream.sockets.size === 0);
  });
});
