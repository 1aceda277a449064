import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { createServer as createHttp2Server } from 'node:http2';
import type { RequestListener } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import { promisify } from 'node:util';
import { beforeAll, describe, expect, it } from 'vitest';
import { STREAM_WINDOW_BYTES } from '../../src/proxy/limits.ts';
import { makePair, shown } from '../support/certificates.ts';
import type { Pair } from '../support/certificates.ts';
import { DATA, END_STREAM, frame, get, RawH2, WINDOW_UPDATE } from '../support/raw-h2.ts';
import { answerOf, askH2, http2Session } from '../support/http2-client.ts';
import { whyNoProgram } from '../support/programs.ts';
import { activation, deferred, endpoint } from '../support/scripted-control-plane.ts';
import { ask, testProxy } from '../support/upstreams-proxy.ts';
import { httpUpstream, rawUpstream, readBody } from '../support/upstreams.ts';
import { until } from '../support/until.ts';

let pair: Pair;
beforeAll(async () => {
  pair = await makePair(['a.test']);
});

/** A proxy with both doors in front of one warm app, and a client on one of them. */
async function world(
  listener: RequestListener,
  options: Parameters<typeof testProxy>[0] = {},
  door: 'tls' | 'plain' = 'tls',
) {
  const upstream = await httpUpstream(listener);
  const tls = {
    listen: { host: '127.0.0.1', port: 0 },
    certificates: [shown('a', pair, { isDefault: true })],
  };
  const proxy = await testProxy({ tls, ...options });
  proxy.control.app('a', { activate: async () => activation([upstream.endpoint], 'warm') });
  const session =
    door === 'tls'
      ? await http2Session(`https://127.0.0.1:${proxy.tlsPort ?? 0}`, {
          ca: pair.certPem,
          servername: 'a.test',
        })
      : await http2Session(`http://127.0.0.1:${proxy.port}`);
  return {
    upstream,
    proxy,
    session,
    async [Symbol.asyncDispose]() {
      await session[Symbol.asyncDispose]();
      await proxy[Symbol.asyncDispose]();
      await upstream.close();
    },
  };
}

const echo: RequestListener = (req, res) => {
  void readBody(req).then((body) => {
    const { method, url, headers } = req;
    res.setHeader('Content-Type', 'application/json');
    res.end(JSON.stringify({ method, url, headers, bytes: body.length }));
  });
};

/** An app `cold.test` that is ready once that is said. */
function coldApp({ proxy, upstream }: Pick<Awaited<ReturnType<typeof world>>, 'proxy' | 'upstream'>) {
  const ready = deferred<null>();
  proxy.control.app('cold', {
    activate: () => ready.promise.then(() => activation([{ ...upstream.endpoint, containerId: 'ctr_9' }])),
  });
  return ready;
}

describe.each(['tls', 'plain'] as const)('a client of HTTP/2, %s', (door) => {
  it('is served by the same app, which sees HTTP/1.1 and where the request came from', async () => {
    await using w = await world(echo, {}, door);
    const answer = await askH2(
      w.session,
      { ':path': '/path?x=1', ':method': 'POST', 'x-own': 'yes' },
      'hello',
    );
    expect(answer.status).toBe(200);
    expect(JSON.parse(answer.text)).toMatchObject({
      method: 'POST',
      url: '/path?x=1',
      bytes: 5,
      headers: {
        host: 'a.test',
        'x-own': 'yes',
        'x-forwarded-for': '127.0.0.1',
        'x-forwarded-proto': door === 'tls' ? 'https' : 'http',
        'transfer-encoding': 'chunked',
      },
    });
  });

  it('is answered although the body that it announces turns out to be empty', async () => {
    await using w = await world(echo, {}, door);
    for (let i = 0; i < 3; i++) {
      const asked = w.session.request({ ':method': 'POST', ':authority': 'a.test' }, { endStream: false });
      asked.end();
      expect((await answerOf(asked)).status).toBe(200);
    }
    expect(w.proxy.snapshot()).toMatchObject({ requests: 3, inFlight: 0 });
  });

  it('gets each of many answers at once on its own stream', async () => {
    await using w = await world((req, res) => setImmediate(() => res.end(req.url)), {}, door);
    const paths = Array.from({ length: 100 }, (_, i) => `/${i}`);
    const answers = await Promise.all(paths.map((path) => askH2(w.session, { ':path': path })));
    expect(answers.map(({ text }) => text)).toEqual(paths);
    await until('the slots to be free', () => w.proxy.snapshot().inFlight === 0);
    expect(w.proxy.snapshot()).toMatchObject({ requests: 100, status2xx: 100, clientAborts: 0 });
    expect(w.proxy.latency.count).toBe(100);
  });

  it('is told of errors as any client is', async () => {
    await using w = await world(echo, {}, door);
    const answer = await askH2(w.session, { ':authority': 'nobody.test', accept: 'text/html' });
    expect(answer.status).toBe(404);
    expect(answer.headers['mayfly-error']).toBe('unknown_host');
    expect(answer.text).toContain('<!doctype html>');
  });
});

describe('an answer over HTTP/2', () => {
  it('has no field of the app’s connection, all of its cookies, and what it says twice', async () => {
    await using w = await world((_req, res) => {
      res.setHeader('Set-Cookie', ['a=1', 'b=2']);
      res.setHeader('Connection', 'close, X-Hop');
      res.setHeader('X-Hop', '1');
      res.setHeader('Keep-Alive', 'timeout=5');
      res.setHeader('Vary', ['Accept', 'Origin']);
      res.end('ok');
    });
    const { headers } = await askH2(w.session, {});
    expect(headers).toMatchObject({ ':status': 200, 'set-cookie': ['a=1', 'b=2'], vary: 'Accept, Origin' });
    expect(Object.keys(headers)).not.toEqual(expect.arrayContaining(['connection']));
    for (const gone of ['connection', 'keep-alive', 'transfer-encoding', 'x-hop'])
      expect(headers).not.toHaveProperty(gone);
  });

  it.each([
    ['HEAD', 200],
    ['GET', 204],
    ['GET', 304],
  ])('to %s with %i has no body, and ends with its head', async (method, status) => {
    await using w = await world((_req, res) => {
      if (method === 'HEAD') res.setHeader('Content-Length', '5');
      res.writeHead(status).end();
    });
    const stream = w.session.request({ ':authority': 'a.test', ':method': method });
    const [head, flags] = (await once(stream, 'response')) as [object, number];
    expect(head).toMatchObject({ ':status': status });
    expect(flags & END_STREAM).toBe(END_STREAM);
    stream.resume();
    await once(stream, 'close');
    expect(stream.rstCode).toBe(0);
  });

  it.each([
    [1, 60 * 1024],
    [250, 250],
  ])('may have a head of 60 KiB, in %i fields of %i bytes', async (count, bytes) => {
    const fields = Array.from({ length: count }, (_, i) => [`x-${i}`, 'x'.repeat(bytes)] as const);
    await using w = await world((_req, res) => {
      for (const [name, value] of fields) res.setHeader(name, value);
      res.end();
    });
    await using session = await http2Session(`http://127.0.0.1:${w.proxy.port}`, {
      maxHeaderListPairs: 300,
      settings: { maxHeaderListSize: 128 * 1024 },
    });
    const { status, headers } = await askH2(session, {});
    expect(status).toBe(200);
    expect(headers).toMatchObject(Object.fromEntries(fields));
  });

  it('brings its trailers', async () => {
    await using w = await world((_req, res) => {
      res.writeHead(200, { Trailer: 'X-Sum' });
      res.write('part');
      res.addTrailers({ 'X-Sum': '42', 'Mayfly-Internal': 'no' });
      res.end();
    });
    const { text, trailers } = await askH2(w.session, {});
    expect(text).toBe('part');
    expect(trailers).toMatchObject({ 'x-sum': '42' });
    expect(trailers).not.toHaveProperty('mayfly-internal');
  });

  it('comes after its early hints', async () => {
    await using w = await world((_req, res) =>
      res.writeEarlyHints({ link: '</style.css>; rel=preload' }, () => res.end('ok')),
    );
    const stream = w.session.request({ ':authority': 'a.test' });
    const [hints] = (await once(stream, 'headers')) as [Record<string, unknown>];
    expect(hints).toMatchObject({ ':status': 103, link: '</style.css>; rel=preload' });
    expect((await answerOf(stream)).text).toBe('ok');
  });

  it('arrives as it is written: the head alone first, then each part of an event stream', async () => {
    const next = [deferred<null>(), deferred<null>()];
    await using w = await world((_req, res) => {
      res.writeHead(200, { 'Content-Type': 'text/event-stream' });
      res.flushHeaders();
      void next[0]?.promise.then(() => res.write('data: 1\n\n'));
      void next[1]?.promise.then(() => res.end('data: 2\n\n'));
    });
    const stream = w.session.request({ ':authority': 'a.test' });
    await once(stream, 'response');
    next[0]?.resolve(null);
    expect(String((await once(stream, 'data'))[0])).toBe('data: 1\n\n');
    next[1]?.resolve(null);
    expect(String((await once(stream, 'data'))[0])).toBe('data: 2\n\n');
  });

  it('that begins before the upload is over reaches the client, who is told to stop', async () => {
    await using w = await world((_req, res) => res.writeHead(413).end('too much'));
    const stream = w.session.request({ ':authority': 'a.test', ':method': 'POST' });
    stream.write('some of it');
    const answer = await answerOf(stream);
    expect(answer).toMatchObject({ status: 413, text: 'too much' });
    await until('the slot to be free', () => w.proxy.snapshot().inFlight === 0);
  });

  it('that breaks off is a stream that is reset, never one that ends', async () => {
    await using raw = await rawUpstream((socket) => {
      socket.once('data', () => {
        socket.write('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n');
        setImmediate(() => socket.destroy());
      });
    });
    await using w = await world(echo);
    w.proxy.control.app('b', {
      activate: async () => activation([{ ...raw.endpoint, containerId: 'ctr_2' }], 'warm'),
    });
    await expect(askH2(w.session, { ':authority': 'b.test' })).rejects.toThrow(/reset|INTERNAL_ERROR/);
    expect(w.proxy.snapshot().truncated).toBe(1);
    expect((await askH2(w.session, {})).status).toBe(200);
  });
});

describe('a client of HTTP/2 that goes away', () => {
  it('from one of its streams frees the container at once, and its other streams go on', async () => {
    let gone = 0;
    await using w = await world((req, res) => {
      if (req.url !== '/slow') {
        res.end('ok');
        return;
      }
      res.writeHead(200).flushHeaders();
      res.once('close', () => gone++);
    });
    const slow = w.session.request({ ':authority': 'a.test', ':path': '/slow' });
    slow.on('error', () => undefined);
    await once(slow, 'response');
    slow.close(8);
    await until('the app to notice', () => gone === 1);
    expect((await askH2(w.session, {})).text).toBe('ok');
    await until('the slot to be free', () => w.proxy.snapshot().inFlight === 0);
  });

  it('while it waits for a cold app counts as gone, and the start goes on for others', async () => {
    await using w = await world(echo);
    const ready = coldApp(w);
    const first = w.session.request({ ':authority': 'cold.test' });
    first.on('error', () => undefined);
    const second = askH2(w.session, { ':authority': 'cold.test' });
    await until('both to wait', () => w.proxy.snapshot().held === 2);
    first.close(8);
    await until('one to be gone', () => w.proxy.snapshot().held === 1);
    ready.resolve(null);
    const answer = await second;
    expect(answer.status).toBe(200);
    expect(answer.headers['mayfly-cold-start']).toMatch(/^started; total=/);
    expect(w.proxy.snapshot().clientAborts).toBe(1);
    expect(w.proxy.control.activated.filter((appId) => appId === 'cold')).toHaveLength(1);
  });

  it('with its whole connection takes all its requests along', async () => {
    let open = 0;
    await using w = await world((_req, res) => {
      open++;
      res.once('close', () => open--);
      res.writeHead(200).flushHeaders();
    });
    const streams = Array.from({ length: 5 }, () => w.session.request({ ':authority': 'a.test' }));
    await Promise.all(
      streams.map((stream) => (stream.on('error', () => undefined), once(stream, 'response'))),
    );
    expect(open).toBe(5);
    w.session.destroy();
    await until('the app to notice', () => open === 0);
    await until('the slots to be free', () => w.proxy.snapshot().inFlight === 0);
  });
});

describe('an upload over HTTP/2 that is held', () => {
  it('counts as what may be kept of it', async () => {
    await using w = await world(echo);
    const ready = coldApp(w);
    const upload = w.session.request({ ':authority': 'cold.test', ':method': 'POST' });
    upload.write(Buffer.alloc(1_000_000));
    await until('it to wait', () => w.proxy.snapshot().held === 1);
    expect(w.proxy.snapshot().heldBytes).toBe(STREAM_WINDOW_BYTES);
    const answered = once(upload, 'response');
    ready.resolve(null);
    upload.end();
    await answered;
    expect(w.proxy.snapshot().heldBytes).toBe(0);
    upload.close();
  });
});

describe('a proxy that closes', () => {
  it('says so with GOAWAY, lets what is under way end, and then the connection is over', async () => {
    const finish = deferred<null>();
    await using w = await world((_req, res) => {
      res.writeHead(200).flushHeaders();
      void finish.promise.then(() => res.end('done'));
    });
    const stream = w.session.request({ ':authority': 'a.test' });
    await once(stream, 'response');
    const goaway = once(w.session, 'goaway');
    const closed = w.proxy.close({ graceMs: 10_000 });
    expect((await goaway)[0]).toBe(0);
    finish.resolve(null);
    expect(String(await stream.toArray())).toBe('done');
    await closed;
    await until('the connection to be over', () => w.session.closed);
  });

  it('is not held up by a client that takes nothing of what was written to it', async () => {
    await using w = await world((_req, res) => res.end(Buffer.alloc(20 * 1024 * 1024)), {}, 'plain');
    await using client = await RawH2.open(w.proxy.port);
    client.socket.pause();
    // Windows without end: nothing but the connection itself holds the answer back.
    const MUCH = Buffer.from([0x7f, 0, 0, 0]);
    client.send(frame(WINDOW_UPDATE, 0, 0, MUCH));
    const stream = client.request(get('/'), { ends: false });
    client.send(frame(WINDOW_UPDATE, 0, stream, MUCH), frame(DATA, END_STREAM, stream));
    await until('the app to be asked', () => w.upstream.accepted === 1);
    await w.proxy.close({ graceMs: 100 });
    client.socket.resume();
    await until('the connection to be over', () => client.closed);
  });

  it('breaks what is still under way when its patience ends', async () => {
    await using w = await world((_req, res) => res.writeHead(200).flushHeaders());
    const stream = w.session.request({ ':authority': 'a.test' });
    stream.on('error', () => undefined);
    const broken = new Promise((resolve) => stream.once('close', resolve));
    await once(stream, 'response');
    await w.proxy.close({ graceMs: 0 });
    await broken;
    expect(stream.rstCode).not.toBe(0);
  });
});

describe('an app that speaks h2c', () => {
  async function h2cApp(listener: Parameters<typeof createHttp2Server>[1]) {
    const server = createHttp2Server({}, listener);
    const sockets = new Set<Socket>();
    server.on('connection', (socket: Socket) =>
      sockets.add(socket.once('close', () => sockets.delete(socket))),
    );
    server.on('sessionError', () => undefined);
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const { port } = server.address() as AddressInfo;
    return {
      server,
      sockets,
      endpoint: { ...endpoint('ctr_h2c', port, 1_000), protocol: 'h2c' as const },
      async [Symbol.asyncDispose]() {
        for (const socket of sockets) socket.destroy();
        await new Promise((resolve) => server.close(resolve));
      },
    };
  }

  it('is asked in HTTP/2, whatever its clients speak, on few connections', async () => {
    await using app = await h2cApp((req, res) => {
      void readBody(req as never).then((body) =>
        res.end(JSON.stringify({ version: req.httpVersion, headers: req.headers, bytes: body.length })),
      );
    });
    await using w = await world(echo);
    w.proxy.control.app('g', { activate: async () => activation([app.endpoint], 'warm') });
    const answers = await Promise.all(
      Array.from({ length: 50 }, () =>
        askH2(w.session, { ':authority': 'g.test', ':method': 'POST' }, 'hello'),
      ),
    );
    for (const { status, text } of answers) {
      expect(status).toBe(200);
      expect(JSON.parse(text)).toMatchObject({
        version: '2.0',
        bytes: 5,
        headers: { ':authority': 'g.test' },
      });
    }
    expect(app.sockets.size).toBe(1);

    const http1 = await ask(w.proxy, { host: 'g.test', method: 'POST', body: 'x'.repeat(100_000) });
    expect(http1.status).toBe(200);
    expect(JSON.parse(http1.text)).toMatchObject({ version: '2.0', bytes: 100_000 });
    const cold = await ask(w.proxy, { host: 'g.test', headers: { connection: 'keep-alive' } });
    expect(JSON.parse(cold.text)).toMatchObject({
      version: '2.0',
      headers: { 'x-forwarded-for': '127.0.0.1' },
    });
    await until('the slots to be free', () => w.proxy.snapshot().inFlight === 0);
  });

  it('that is taken out of use loses its connection when the last request on it is done', async () => {
    const finish = deferred<null>();
    await using app = await h2cApp((_req, res) => {
      res.writeHead(200);
      res.write('x');
      void finish.promise.then(() => res.end('y'));
    });
    await using w = await world(echo);
    w.proxy.control.app('g', { activate: async () => activation([app.endpoint], 'warm') });
    const stream = w.session.request({ ':authority': 'g.test' });
    await once(stream, 'response');
    const drained = w.proxy.control.dataPlane.drain('ctr_h2c');
    finish.resolve(null);
    expect((await stream.toArray()).join('')).toBe('xy');
    expect(await drained).toEqual({ drained: true });
    await until('the connection to the app to close', () => app.sockets.size === 0);
  });

  it('that is not there, resets the stream, or breaks the connection, is an app that fails', async () => {
    await using app = await h2cApp((req, res) => {
      if (req.url === '/reset') res.stream.close(2);
      else if (req.url === '/half') {
        res.write('half');
        setImmediate(() => res.stream.close(8));
      } else res.stream.session?.destroy();
    });
    await using w = await world(echo);
    w.proxy.control.app('g', { activate: async () => activation([app.endpoint], 'warm') });
    for (const path of ['/reset', '/break']) {
      const answer = await askH2(
        w.session,
        { ':authority': 'g.test', ':path': path, ':method': 'POST' },
        'x',
      );
      expect(answer.status).toBe(502);
    }
    await expect(askH2(w.session, { ':authority': 'g.test', ':path': '/half' })).rejects.toThrow();
    await until('the slots to be free', () => w.proxy.snapshot().inFlight === 0);
  });

  it('is asked again, on a new connection, where the kept one was closed as it was used', async () => {
    await using app = await h2cApp((_req, res) => res.end('ok'));
    await using w = await world(echo);
    w.proxy.control.app('g', { activate: async () => activation([app.endpoint], 'warm') });
    expect((await askH2(w.session, { ':authority': 'g.test' })).text).toBe('ok');
    for (let i = 0; i < 5; i++) {
      for (const socket of app.sockets) socket.destroy();
      expect((await askH2(w.session, { ':authority': 'g.test' })).text).toBe('ok');
    }
  });
});

describe('clients that people use', () => {
  it('h2load: thousands of requests on a few connections, over TLS, and none fails', async ({ skip }) => {
    const reason = whyNoProgram('h2load', 'nghttp2-client');
    skip(reason !== undefined, reason);
    await using w = await world((_req, res) => res.end('x'.repeat(1_000)));
    const url = `https://127.0.0.1:${w.proxy.tlsPort ?? 0}/`;
    const args = ['-n', '1000', '-c', '4', '-m', '8', '-H', ':authority: a.test', url];
    const { stdout } = await promisify(execFile)('h2load', args);
    expect(stdout).toContain('1000 succeeded, 0 failed, 0 errored, 0 timeout');
    expect(stdout).toContain('Application protocol: h2');
    expect(w.proxy.snapshot().status2xx).toBe(1_000);
  });

  it.each([
    ['--http2', 'tls', 'HTTP/2 '],
    ['--http1.1', 'tls', 'HTTP/1.1 '],
    ['--http2-prior-knowledge', 'plain', 'HTTP/2 '],
    ['--http2', 'plain', 'HTTP/1.1 '],
  ])('curl %s on the %s door speaks %s', async (flag, door, version) => {
    await using w = await world(echo);
    const port = String(door === 'tls' ? w.proxy.tlsPort : w.proxy.port);
    const url = `${door === 'tls' ? 'https' : 'http'}://a.test:${port}/`;
    const args = ['-ski', flag, '--resolve', `a.test:${port}:127.0.0.1`, '--data-binary', 'hello', url];
    const { stdout } = await promisify(execFile)('curl', args);
    expect(stdout).toMatch(new RegExp(`^${version}200`));
    expect(stdout).toContain('"bytes":5');
  });
});

it('40 MB each way on one stream arrive byte for byte', async () => {
  const bytes = Buffer.alloc(40 * 1024 * 1024, 'mayfly');
  const hash = (of: Buffer) => createHash('sha1').update(of).digest('hex');
  await using w = await world((req, res) => void readBody(req).then((body) => res.end(body)));
  const answer = await askH2(w.session, { ':method': 'PUT' }, bytes);
  expect(hash(answer.body)).toBe(hash(bytes));
});
