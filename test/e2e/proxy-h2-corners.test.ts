/**
 * Where HTTP/2 and HTTP/1.1 do not fit, or one side says what nobody says: no app and no client ends the process, nothing that
 * was broken off passes for whole, and whoever takes nothing has to leave.
 */
import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { constants, createServer as createHttp2Server } from 'node:http2';
import type { Http2ServerRequest, Http2ServerResponse, ServerOptions } from 'node:http2';
import type { AddressInfo, Socket } from 'node:net';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Endpoint } from '../../src/proxy/control-plane.ts';
import { answerOf, askH2, http2Session } from '../support/http2-client.ts';
import { Platform } from '../support/platform.ts';
import {
  ACK,
  DATA,
  END_HEADERS,
  END_STREAM,
  frame,
  get,
  headerBlock,
  HEADERS,
  post,
  RawH2,
  RST_STREAM,
  SETTINGS,
  WINDOW_UPDATE,
} from '../support/raw-h2.ts';
import type { Frame } from '../support/raw-h2.ts';
import { RawClient } from '../support/raw-http.ts';
import { activation, deferred, endpoint } from '../support/scripted-control-plane.ts';
import { ask, testProxy } from '../support/upstreams-proxy.ts';
import { httpUpstream, rawUpstream, readBody } from '../support/upstreams.ts';
import type { Upstream } from '../support/upstreams.ts';
import { until } from '../support/until.ts';

const { NGHTTP2_NO_ERROR, NGHTTP2_INTERNAL_ERROR, NGHTTP2_REFUSED_STREAM } = constants;
const { NGHTTP2_CANCEL, NGHTTP2_ENHANCE_YOUR_CALM } = constants;
const PREFACE_BYTES = 24;
const GET = 'GET / HTTP/1.1\r\nHost: a.test\r\n\r\n';
const POST = 'POST /early HTTP/1.1\r\nHost: a.test\r\nContent-Length: 100000\r\n\r\nhello';

type Options = Parameters<typeof testProxy>[0];

/** A proxy before a warm app. */
async function front(app: { readonly endpoint: Endpoint } & AsyncDisposable, options: Options = {}) {
  const proxy = await testProxy(options);
  proxy.control.app('a', { activate: async () => activation([app.endpoint], 'warm') });
  return {
    app,
    proxy,
    port: proxy.port,
    async [Symbol.asyncDispose]() {
      await proxy[Symbol.asyncDispose]();
      await app[Symbol.asyncDispose]();
    },
  };
}

/** An app that says these bytes to each request, whatever it is. */
function saying(bytes: string): Promise<Upstream> {
  return rawUpstream((socket) => socket.once('data', () => socket.write(bytes, 'latin1')));
}

/** An app that speaks h2c. */
async function h2cApp(
  listener: (req: Http2ServerRequest, res: Http2ServerResponse) => void,
  settings: ServerOptions['settings'] = {},
) {
  const sockets = new Set<Socket>();
  const server = createHttp2Server({ settings }, listener);
  server.on('connection', (socket: Socket) => sockets.add(socket));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  return {
    endpoint: { ...endpoint('ctr_h2c', port, 1_000), protocol: 'h2c' as const },
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

/** An app that speaks h2c in exactly these frames: to its first request, its second, and so on. */
async function framesApp(...answers: ((stream: number) => Buffer[])[]) {
  const frames: Frame[] = [];
  let asked = 0;
  const upstream = await rawUpstream((socket) => {
    let rest: Buffer = Buffer.alloc(0);
    let skipped = false;
    socket.write(frame(SETTINGS, 0, 0));
    socket.on('data', (chunk: Buffer) => {
      rest = Buffer.concat([rest, chunk]);
      if (!skipped && rest.length >= PREFACE_BYTES) rest = rest.subarray(PREFACE_BYTES);
      else if (!skipped) return;
      skipped = true;
      for (let length = size(rest); rest.length >= length; length = size(rest)) {
        const came = {
          type: rest.readUInt8(3),
          flags: rest.readUInt8(4),
          stream: rest.readUInt32BE(5),
          payload: rest.subarray(9, length),
        };
        rest = rest.subarray(length);
        frames.push(came);
        if (came.type === SETTINGS && (came.flags & ACK) === 0) socket.write(frame(SETTINGS, ACK, 0));
        if (came.type === HEADERS) socket.write(Buffer.concat(answers[asked++]?.(came.stream) ?? []));
      }
    });
  });
  return {
    endpoint: { ...upstream.endpoint, protocol: 'h2c' as const },
    /** All that it was sent. */
    frames,
    /** How many requests it has had. */
    get asked() {
      return asked;
    },
    [Symbol.asyncDispose]: () => upstream.close(),
  };
}

/** Of the frame that these bytes begin with. */
function size(bytes: Buffer): number {
  return bytes.length < 9 ? Infinity : 9 + bytes.readUIntBE(0, 3);
}

const OK = (stream: number, flags = 0): Buffer =>
  frame(HEADERS, END_HEADERS | flags, stream, headerBlock([[':status', '200']]));
const reset = (stream: number, code: number): Buffer => {
  const payload = Buffer.alloc(4);
  payload.writeUInt32BE(code);
  return frame(RST_STREAM, 0, stream, payload);
};

/** The client's first setting: how much it takes of a stream before it says so. */
const takesNothing = frame(SETTINGS, 0, 0, Buffer.from([0, 4, 0, 0, 0, 0]));
const takes = (stream: number, bytes: number): Buffer => {
  const payload = Buffer.alloc(4);
  payload.writeUInt32BE(bytes);
  return frame(WINDOW_UPDATE, 0, stream, payload);
};

/** Types and flags of a stream’s frames, until it is reset; with the code of that. */
async function untilReset(client: RawH2, stream: number): Promise<{ frames: string[]; code: number }> {
  const own = () => client.frames.filter((one) => one.stream === stream && one.type !== WINDOW_UPDATE);
  const last = await until('the stream to be reset', () => own().find(({ type }) => type === RST_STREAM));
  const names = ['DATA', 'HEADERS', '', 'RST_STREAM'];
  const frames = own().map(
    ({ type, flags }) => `${names[type] ?? type}${type !== RST_STREAM && flags & END_STREAM ? ' END' : ''}`,
  );
  return { frames, code: last.payload.readUInt32BE(0) };
}

/** What becomes of uploads that are answered before they are over; it tells at /seen. */
const EARLY_APP = `
  import { createServer } from 'node:http2';
  const seen = [];
  createServer().on('stream', (stream, headers) => {
    const path = headers[':path'];
    stream.on('error', () => undefined);
    if (path === '/seen') {
      stream.respond();
      stream.end(JSON.stringify(seen));
      return;
    }
    let ended = false;
    stream.once('end', () => (ended = true)).resume();
    stream.once('close', () => seen.push({ path, code: stream.rstCode, whole: ended && !stream.aborted }));
    if (path === '/status') stream.respond({ 'grpc-status': '12' }, { endStream: true });
    else {
      stream.respond();
      stream.end('early');
    }
  }).listen(process.env.PORT, process.env.HOST);
`;

describe('an app that speaks h2c and answers before the upload is over', () => {
  let platform: Platform;
  beforeAll(async () => {
    // The whole program, in a process that may end.
    platform = await Platform.open('process');
    const command = [process.execPath, '--input-type=module', '--eval', EARLY_APP];
    await platform.client.createApp({ name: 'a', hosts: ['a.test'], command, cwd: '/', protocol: 'h2c' });
  });
  afterAll(() => platform[Symbol.asyncDispose]());

  it.each([
    ['HTTP/1.1', '/early', false],
    ['HTTP/1.1', '/status', false],
    ['HTTP/2', '/early', true],
    ['HTTP/2', '/status', true],
  ])('over %s, with %s: the answer arrives, and the upload is reset', async (_, path, isHttp2) => {
    const { program } = platform;
    const get = async () => JSON.parse((await program.get('a.test', '/seen')).body) as { path: string }[];
    const before = (await get()).length;
    for (let i = 0; i < 5; i++) {
      if (isHttp2) {
        await using session = await http2Session(`http://127.0.0.1:${program.proxyPort}`);
        const stream = session.request({ ':authority': 'a.test', ':path': path, ':method': 'POST' });
        stream.write('hello');
        const { status, text, headers } = await answerOf(stream);
        expect({ status, text }).toEqual({ status: 200, text: path === '/early' ? 'early' : '' });
        if (path === '/status') expect(headers['grpc-status']).toBe('12');
      } else {
        await using client = await RawClient.open(program.proxyPort);
        client.send(POST.replace('/early', path));
        await client.saw(path === '/early' ? 'early' : '\r\n0\r\n\r\n');
        expect(client.statuses).toEqual([200]);
      }
    }
    const seen = await until('the app to be told', async () => {
      const all = await get();
      return all.length === before + 5 ? all.slice(before) : undefined;
    });
    for (const one of seen) expect(one).toMatchObject({ path, whole: false });
    for (const one of seen) expect(one).not.toMatchObject({ code: NGHTTP2_NO_ERROR });
  });
});

describe('an answer of HTTP/1.1 to a client of HTTP/2', () => {
  const HOP = 'HTTP2-Settings: x\r\nProxy-Connection: keep-alive\r\n';
  const OWN = 'X-Own: yes\r\n';

  it.each([
    ['in its head', `HTTP/1.1 200 OK\r\n${HOP}${OWN}Content-Length: 2\r\n\r\nok`],
    ['before it', `HTTP/1.1 103 H\r\n${HOP}${OWN}\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok`],
    ['behind it', `HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n${HOP}${OWN}\r\n`],
  ])('comes without the fields that HTTP/2 does not have, be they %s', async (_, bytes) => {
    await using w = await front(await saying(bytes));
    await using session = await http2Session(`http://127.0.0.1:${w.port}`);
    const stream = session.request({ ':authority': 'a.test' });
    let hints = {};
    stream.once('headers', (fields) => (hints = fields));
    const { status, text, headers, trailers } = await answerOf(stream);
    expect({ status, text }).toEqual({ status: 200, text: 'ok' });
    const all = { ...hints, ...headers, ...trailers };
    expect(all).toMatchObject({ 'x-own': 'yes' });
    expect(Object.keys(all)).not.toEqual(expect.arrayContaining(['http2-settings']));
    expect(Object.keys(all)).not.toEqual(expect.arrayContaining(['proxy-connection']));
  });

  it.each(['600 Odd', '999 Odd', '099 Odd', '101 Switching Protocols'])('of %s is 502', async (line) => {
    await using w = await front(await saying(`HTTP/1.1 ${line}\r\nContent-Length: 0\r\n\r\n`));
    await using session = await http2Session(`http://127.0.0.1:${w.port}`);
    expect((await askH2(session, {})).status).toBe(502);
  });

  it('of 101 that says nothing of what it switches to is 502 over HTTP/1.1, too', async () => {
    await using w = await front(await saying('HTTP/1.1 101 Switching Protocols\r\n\r\n'), {
      transport: 'http',
    });
    expect((await ask(w.proxy)).status).toBe(502);
  });

  it('has what is named like a property of every object', async () => {
    const fields = 'constructor: c\r\n__proto__: p\r\n';
    await using w = await front(await saying(`HTTP/1.1 200 OK\r\n${fields}Content-Length: 2\r\n\r\nok`));
    await using session = await http2Session(`http://127.0.0.1:${w.port}`);
    const { headers } = await askH2(session, {});
    expect(Object.entries(headers)).toEqual(
      expect.arrayContaining([
        ['constructor', 'c'],
        ['__proto__', 'p'],
      ]),
    );
  });
});

describe('a request of HTTP/1.1 to an app that speaks h2c', () => {
  it('comes without HTTP2-Settings, with what is named like a property of every object', async () => {
    await using w = await front(await h2cApp((req, res) => res.end(JSON.stringify(req.rawHeaders))));
    await using client = await RawClient.open(w.port);
    const fields = 'HTTP2-Settings: AAMAAABkAAQAAP__\r\nconstructor: c\r\n__proto__: p\r\n';
    client.send(`GET / HTTP/1.1\r\nHost: a.test\r\n${fields}Connection: close\r\n\r\n`);
    const received = await client.rest();
    expect(client.statuses).toEqual([200]);
    expect(received).toContain('"constructor","c","__proto__","p"');
    expect(received).not.toMatch(/http2-settings/i);
  });
});

describe('an upload over HTTP/2', () => {
  it.each([
    ['is reset with CANCEL', (client: RawH2) => client.send(reset(1, NGHTTP2_CANCEL))],
    ['is reset with NO_ERROR', (client: RawH2) => client.send(reset(1, NGHTTP2_NO_ERROR))],
    ['loses its connection', (client: RawH2) => client.socket.destroy()],
    ['is left half open', (client: RawH2) => client.socket.end()],
  ])('that %s is never a whole one to an app of HTTP/1.1', async (_, leave) => {
    let said = '';
    let closed = false;
    const app = await rawUpstream((socket) => {
      socket.on('data', (chunk: Buffer) => (said += chunk.toString('latin1')));
      socket.on('end', () => socket.end());
      socket.on('close', () => (closed = true));
    });
    await using w = await front(app);
    await using client = await RawH2.open(w.port);
    const stream = client.request(post(), { ends: false });
    client.send(frame(DATA, 0, stream, 'hello'));
    await until('the app to have it', () => said.includes('5\r\nhello\r\n'));
    leave(client);
    await until('the app to be left', () => closed);
    expect(said).toMatch(/5\r\nhello\r\n$/);
    await until('the slot to be free', () => w.proxy.snapshot().inFlight === 0);
  });

  it.each([
    ['with a length', 'Content-Length: 5\r\n\r\nearly', ['HEADERS', 'DATA END', 'RST_STREAM']],
    [
      'in chunks',
      'Transfer-Encoding: chunked\r\n\r\n5\r\nearly\r\n0\r\n\r\n',
      ['HEADERS', 'DATA', 'DATA END', 'RST_STREAM'],
    ],
    [
      'with trailers',
      'Transfer-Encoding: chunked\r\n\r\n5\r\nearly\r\n0\r\nX-Sum: 1\r\n\r\n',
      ['HEADERS', 'DATA', 'HEADERS END', 'RST_STREAM'],
    ],
  ])('that is answered early, %s, is told to stop behind the whole answer', async (_, bytes, expected) => {
    await using w = await front(await saying(`HTTP/1.1 413 Too Much\r\n${bytes}`));
    await using client = await RawH2.open(w.port);
    const stream = client.request(post(), { ends: false });
    client.send(frame(DATA, 0, stream, 'hello'));
    expect(await untilReset(client, stream)).toEqual({ frames: expected, code: NGHTTP2_NO_ERROR });
    expect(client.body(stream)).toBe('early');
  });
});

it('a CONNECT behind a request that is not answered yet writes nothing into that answer', async () => {
  const finish = deferred<null>();
  const app = await httpUpstream((_req, res) => {
    res.sendDate = false;
    res.writeHead(200, { 'Content-Length': 8 });
    res.write('half');
    void finish.promise.then(() => res.end('half'));
  });
  await using w = await front(app, { transport: 'http' });
  await using client = await RawClient.open(w.port);
  client.send(`${GET}CONNECT b.test:443 HTTP/1.1\r\nHost: b.test:443\r\n\r\n`);
  await client.saw('half');
  finish.resolve(null);
  expect(await client.rest()).toMatch(/^HTTP\/1\.1 200 OK\r\n(?:[^\r\n]+\r\n)+\r\nhalfhalf$/);
});

describe('an answer that is broken off', () => {
  it('where only the end of its connection could say that it is whole, is broken at a client of HTTP/1.1', async () => {
    let reset = () => undefined as unknown;
    const app = await rawUpstream((socket) => {
      socket.once('data', () => socket.write('HTTP/1.1 200 OK\r\n\r\npartial'));
      reset = () => socket.resetAndDestroy();
    });
    await using w = await front(app, { transport: 'http' });
    await using client = await RawClient.open(w.port);
    client.send(GET);
    await client.saw('partial');
    reset();
    expect(await client.rest()).toMatch(/7\r\npartial\r\n$/);
    expect(w.proxy.snapshot()).toMatchObject({ truncated: 1, inFlight: 0 });
  });

  it.each([
    ['in nothing but its connection', '', (socket: Socket) => socket.resetAndDestroy()],
    ['in a length', 'Content-Length: 20\r\n', (socket: Socket) => socket.destroy()],
    ['in a length', 'Content-Length: 20\r\n', (socket: Socket) => socket.resetAndDestroy()],
  ])('and framed %s, is a stream of HTTP/2 that is reset', async (_, framing, breaks) => {
    let app: Socket | undefined;
    const upstream = await rawUpstream((socket) => {
      app = socket;
      socket.once('data', () => socket.write(`HTTP/1.1 200 OK\r\n${framing}\r\npartial`));
    });
    await using w = await front(upstream);
    await using client = await RawH2.open(w.port);
    const stream = client.request(get());
    await until('a part of it', () => client.body(stream) === 'partial');
    if (app !== undefined) breaks(app);
    expect(await untilReset(client, stream)).toEqual({
      frames: ['HEADERS', 'DATA', 'RST_STREAM'],
      code: NGHTTP2_INTERNAL_ERROR,
    });
    await until('the slot to be free', () => w.proxy.snapshot().inFlight === 0);
    expect(w.proxy.snapshot().truncated).toBe(1);
  });

  it('by an app of HTTP/2 that says NO_ERROR and no end, is broken at its client', async () => {
    const part = (stream: number) => [
      OK(stream),
      frame(DATA, 0, stream, 'partial'),
      reset(stream, NGHTTP2_NO_ERROR),
    ];
    await using w = await front(await framesApp(part, part));
    await using client = await RawClient.open(w.port);
    client.send(GET);
    expect(await client.rest()).not.toMatch(/\r\n0\r\n\r\n$/);
    await using session = await http2Session(`http://127.0.0.1:${w.port}`);
    await expect(askH2(session, {})).rejects.toThrow(/INTERNAL_ERROR/);
    await until('the slots to be free', () => w.proxy.snapshot().inFlight === 0);
    expect(w.proxy.snapshot().truncated).toBe(2);
  });

  it('is none where the app has ended it and says NO_ERROR to the rest of the upload', async () => {
    const whole = (stream: number) => [
      OK(stream),
      frame(DATA, END_STREAM, stream, 'early'),
      reset(stream, NGHTTP2_NO_ERROR),
    ];
    await using w = await front(await framesApp(whole, whole));
    await using client = await RawClient.open(w.port);
    client.send(POST);
    expect(await client.saw('\r\n0\r\n\r\n')).toContain('early');
    await using session = await http2Session(`http://127.0.0.1:${w.port}`);
    const stream = session.request({ ':authority': 'a.test', ':method': 'POST' });
    stream.write('hello');
    expect(await answerOf(stream)).toMatchObject({ status: 200, text: 'early' });
    expect(w.proxy.snapshot().truncated).toBe(0);
  });
});

describe('a client that takes nothing', () => {
  const limits = { clientStallMs: 300, lingerMs: 100 };

  it.each([
    ['of a small answer', 'a.test', 200],
    ['of a small answer without a length', 'a.test', 201],
    ['of an error', 'nobody.test', 404],
  ])('%s loses its stream of HTTP/2, and no other', async (_, host, status) => {
    const app = await httpUpstream((req, res) => {
      if (req.url === '/other' || status === 200) res.setHeader('Content-Length', 5);
      res.writeHead(status).write('sm');
      setImmediate(() => res.end('all'));
    });
    await using w = await front(app, { limits });
    await using client = await RawH2.open(w.port);
    client.send(takesNothing);
    const stream = client.request(get().map(([name, value]) => [name, name === ':authority' ? host : value]));
    expect(await untilReset(client, stream)).toMatchObject({ code: NGHTTP2_INTERNAL_ERROR });
    expect(client.body(stream)).toBe('');
    const other = client.request(get('/other'));
    client.send(takes(other, 1_000));
    await until('the other answer', () => client.body(other) === 'small');
    await until('the slots to be free', () => w.proxy.snapshot().inFlight === 0);
  });

  it('for a while, and then all, has its answer whole', async () => {
    await using w = await front(await saying('HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nsmall'), {
      limits: { clientStallMs: 5_000 },
    });
    await using client = await RawH2.open(w.port);
    client.send(takesNothing);
    const stream = client.request(get());
    await until('the head', () => client.frames.some((one) => one.stream === stream));
    client.send(takes(stream, 1_000));
    expect(await client.fate(stream)).toBe('answered');
    expect(client.body(stream)).toBe('small');
  });

  it.each(['HTTP/1.0\r\n', 'HTTP/1.1\r\nConnection: close\r\n'])(
    'of the end of an answer to %j on node:http has its connection closed',
    async (version) => {
      /** Less than holds up whoever sends: it is the end of the answer that is not taken, not its middle. */
      const piece = Buffer.alloc(40_000);
      const accepted: Socket[] = [];
      const onAccepted = (message: unknown) => accepted.push((message as { socket: Socket }).socket);
      const app = await rawUpstream((socket) => {
        socket.once('data', () => socket.write('HTTP/1.1 200 OK\r\n\r\n'));
      });
      await using w = await front(app, { transport: 'http', limits });
      subscribe('net.server.socket', onAccepted);
      await using client = await RawClient.open(w.port);
      client.send(`GET / ${version}Host: a.test\r\n\r\n`);
      await client.saw('200 OK');
      unsubscribe('net.server.socket', onAccepted);
      client.socket.pause();
      const theirs = accepted.find(({ remotePort }) => remotePort === client.socket.localPort);
      const [ours] = app.sockets;
      for (let sent = piece.length; theirs?.writableLength === 0; sent += piece.length) {
        ours?.write(piece);
        await until('it to be passed on', () => theirs.bytesWritten >= sent);
      }
      ours?.end();
      await until('the connection to be closed', () => theirs?.closed);
    },
  );

  it('behind a request that takes its time is waited for until its turn', async () => {
    const first = deferred<null>();
    const paths: (string | undefined)[] = [];
    const app = await httpUpstream((req, res) => {
      paths.push(req.url);
      if (req.url === '/first') void first.promise.then(() => res.end('first'));
      else res.end(Buffer.alloc(1_000_000, 'x'));
    });
    await using w = await front(app, { transport: 'http', limits });
    await using client = await RawClient.open(w.port);
    client.send(`${GET.replace('/', '/first')}${GET.replace('/', '/second')}`);
    await until('both to be asked for', () => paths.length === 2);
    const askedMs = performance.now();
    await until('its time to be over', () => performance.now() - askedMs > 3 * limits.clientStallMs);
    first.resolve(null);
    await until('both answers', () => client.received.length > 1_000_000);
    expect(client.statuses).toEqual([200, 200]);
  });
});

describe('an app of HTTP/2 that', () => {
  it('takes one request at a time has none of a burst sent to it in vain', async () => {
    await using w = await front(
      await h2cApp((req, res) => void readBody(req as never).then((body) => res.end(`got ${body.length}`)), {
        maxConcurrentStreams: 1,
      }),
    );
    await using session = await http2Session(`http://127.0.0.1:${w.port}`);
    const answers = await Promise.all([
      ...Array.from({ length: 20 }, () => askH2(session, { ':method': 'POST' }, 'hello')),
      ...Array.from({ length: 20 }, () => ask(w.proxy, { method: 'POST', body: 'hello' })),
    ]);
    expect(answers.map(({ text }) => text)).toEqual(answers.map(() => 'got 5'));
    // What waits for its turn may also be called off.
    const streams = Array.from({ length: 20 }, () => session.request({ ':authority': 'a.test' }));
    for (const stream of streams) stream.on('error', () => undefined).close(NGHTTP2_CANCEL);
    await until('the slots to be free', () => w.proxy.snapshot().inFlight === 0);
    expect((await ask(w.proxy)).text).toBe('got 0');
  });

  it.each([NGHTTP2_NO_ERROR, NGHTTP2_CANCEL, NGHTTP2_INTERNAL_ERROR, NGHTTP2_ENHANCE_YOUR_CALM])(
    'resets a request with code %i on a kept connection is not asked again',
    async (code) => {
      const app = await framesApp(
        (stream) => [OK(stream, END_STREAM)],
        (stream) => [reset(stream, code)],
        (stream) => [OK(stream, END_STREAM)],
      );
      await using w = await front(app);
      expect((await ask(w.proxy)).status).toBe(200);
      expect((await ask(w.proxy)).status).toBe(502);
      expect(app.asked).toBe(2);
      expect(w.proxy.snapshot().staleRetries).toBe(0);
    },
  );

  it('may say as many fields as one of HTTP/1.1', async () => {
    const fields = Array.from({ length: 250 }, (_, i) => [`x-${i}`, String(i)] as const);
    await using w = await front(
      await h2cApp((_req, res) => {
        for (const [name, value] of fields) res.setHeader(name, value);
        res.end();
      }),
    );
    const { status, headers } = await ask(w.proxy);
    expect(status).toBe(200);
    expect(headers).toMatchObject(Object.fromEntries(fields));
  });

  it('refuses a request unseen is asked again', async () => {
    const app = await framesApp(
      (stream) => [reset(stream, NGHTTP2_REFUSED_STREAM)],
      (stream) => [OK(stream, END_STREAM)],
    );
    await using w = await front(app);
    expect((await ask(w.proxy)).status).toBe(200);
    expect(app.asked).toBe(2);
  });
});
