/**
 * Where a connection is not read, or one side says more than the other wants to hear: what is kept stays bounded, nobody who has
 * left keeps a place, and whoever is answered early gets that answer.
 */
import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import type { Socket } from 'node:net';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Activation } from '../../src/proxy/control-plane.ts';
import { RawClient } from '../support/raw-http.ts';
import { activation, deferred } from '../support/scripted-control-plane.ts';
import { testProxy } from '../support/upstreams-proxy.ts';
import { httpUpstream, rawUpstream } from '../support/upstreams.ts';
import type { Upstream } from '../support/upstreams.ts';
import { until } from '../support/until.ts';

const OK = 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok';
const ENDLESS = 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n';
const MORE = '4\r\nmore\r\n';
const TOO_LARGE = 'HTTP/1.1 413 Content Too Large\r\nContent-Length: 5\r\nConnection: close\r\n\r\nlarge';
/** What is kept of a client's bytes before their time, and what one read may add to that. */
const KEPT_BYTES = 64 * 1024;
const READ_BYTES = 16 * 1024;
/** Less than holds up whoever sends. */
const PIECE_BYTES = 40_000;

/** Less than what an app has for its last words. */
const AT_ONCE_MS = 800;

/** Sockets that were accepted in this process and are not closed yet, by the port of whoever connected. */
const accepted = new Map<number | undefined, Socket>();
const onAccepted = (message: unknown) => {
  const { socket } = message as { socket: Socket };
  const { remotePort } = socket;
  accepted.set(remotePort, socket);
  socket.once('close', () => accepted.delete(remotePort));
};
beforeEach(() => subscribe('net.server.socket', onAccepted));
afterEach(() => unsubscribe('net.server.socket', onAccepted));

type Limits = NonNullable<Parameters<typeof testProxy>[0]>['limits'];

interface WorldOptions {
  readonly limits?: Limits;
  readonly requestTimeoutMs?: number;
}

async function front(upstream: Upstream, { limits = {}, requestTimeoutMs = 10_000 }: WorldOptions = {}) {
  const proxy = await testProxy({ transport: 'fast', limits });
  const app = proxy.control.app('a', {
    route: { requestTimeoutMs },
    activate: async () => activation([upstream.endpoint], 'warm'),
  });
  return {
    proxy,
    upstream,
    app,
    /** Sends, and waits until the proxy has read it. */
    async read(client: RawClient, bytes: string | Buffer): Promise<void> {
      const { receivedBytes } = proxy.snapshot();
      client.send(bytes);
      const expected = receivedBytes + bytes.length;
      await until('the proxy to have read it', () => proxy.snapshot().receivedBytes === expected);
    },
    /** Waits until nobody has a place at the app. */
    free: (timeoutMs?: number) =>
      until('the place to be free', () => proxy.snapshot().inFlight === 0, timeoutMs),
    async [Symbol.asyncDispose]() {
      await proxy[Symbol.asyncDispose]();
      await upstream.close();
    },
  };
}

/** Before an app of bytes: one call per head that arrives. */
const world = async (onHead: (head: string, socket: Socket) => void, options?: WorldOptions) =>
  front(
    await rawUpstream((socket) => {
      socket.on('data', (data: Buffer) => {
        const heads = data.toString('latin1').match(/(?:GET|POST) \/[^]*?\r\n\r\n/g) ?? [];
        for (const head of heads) onHead(head, socket);
      });
      socket.on('end', () => socket.end());
    }),
    options,
  );

type World = Awaited<ReturnType<typeof world>>;

/** Both, until the test is over. */
const withClient = (w: World, client: RawClient) => ({
  ...w,
  client,
  async [Symbol.asyncDispose]() {
    await client[Symbol.asyncDispose]();
    await w[Symbol.asyncDispose]();
  },
});

const get = (path: string, more = '') => `GET ${path} HTTP/1.1\r\nHost: a.test\r\n${more}\r\n`;
const post = (path: string, length: number, more = '') =>
  `POST ${path} HTTP/1.1\r\nHost: a.test\r\nContent-Length: ${length}\r\n${more}\r\n`;

/** Waits until this stays as it is for a while. */
async function settled(what: string, value: () => number): Promise<void> {
  let before = -1;
  let looks = 0;
  await until(`${what} to stay as it is`, () => {
    looks = value() > 0 && value() === before ? looks + 1 : 0;
    before = value();
    return looks >= 10;
  });
}

describe('thousands of requests sent ahead', () => {
  it('are read no further ahead than a bound, and are all answered', async () => {
    const ahead = 4_000;
    const watched = 60;
    const waiting: Socket[] = [];
    let asked = 0;
    await using w = await world((_head, socket) => {
      if (++asked > watched) socket.write(OK);
      else waiting.push(socket);
    });
    await using client = await RawClient.open(w.proxy.port);
    const request = get('/', `X-Filler: ${'y'.repeat(1_000)}\r\n`);
    client.send(request.repeat(ahead));
    for (let answered = 0; answered < watched; answered++) {
      await until('the next to be asked', () => asked === answered + 1);
      const early = w.proxy.snapshot().receivedBytes - (answered + 1) * request.length;
      expect(early).toBeLessThanOrEqual(KEPT_BYTES + READ_BYTES);
      waiting.shift()?.write(OK);
    }
    await until('all answers', () => client.statuses.length === ahead);
    expect(w.proxy.snapshot()).toMatchObject({ requests: ahead, status2xx: ahead, inFlight: 0 });
  });
});

describe('a client that is not read', () => {
  const REQUEST_TIMEOUT_MS = 600;

  /** A client that has sent so much ahead of an endless answer that nothing more is read of it. */
  const unread = async (port: number): Promise<RawClient> => {
    const client = await RawClient.open(port);
    client.send(get('/endless'));
    await client.saw('more');
    client.send(get('/ahead').repeat(3_000));
    await until('it to be read no more', () => accepted.get(client.socket.localPort)?.isPaused());
    return client;
  };

  it('because of what it sent ahead, and leaves in an endless answer, keeps its place no longer than an app may take', async () => {
    await using w = await world((_head, socket) => socket.write(ENDLESS + MORE), {
      requestTimeoutMs: REQUEST_TIMEOUT_MS,
    });
    await using client = await unread(w.proxy.port);
    client.socket.destroy();
    await w.free();
  });

  it('because the app takes nothing of its upload, and leaves, keeps its place no longer either', async () => {
    await using w = await world((_head, socket) => socket.pause().write(ENDLESS + MORE), {
      requestTimeoutMs: REQUEST_TIMEOUT_MS,
    });
    await using client = await RawClient.open(w.proxy.port);
    client.send(post('/upload', 60_000_000)).send(Buffer.alloc(50_000_000));
    await client.saw('more');
    await settled('what was read', () => w.proxy.snapshot().receivedBytes);
    client.socket.destroy();
    await w.free();
  });

  it('is not cut off as long as its answer goes on', async () => {
    let app: Socket | undefined;
    await using w = await world((_head, socket) => (app = socket).write(ENDLESS + MORE), {
      requestTimeoutMs: REQUEST_TIMEOUT_MS,
    });
    await using client = await unread(w.proxy.port);
    const parts = setInterval(() => app?.write(MORE), 20);
    const enough = ENDLESS.length + (2 * MORE.length * REQUEST_TIMEOUT_MS) / 20;
    await until('twice its time', () => client.ended || client.received.length > enough).finally(() =>
      clearInterval(parts),
    );
    expect(client.ended).toBe(false);
    expect(w.proxy.snapshot().inFlight).toBe(1);
  });

  it('while its upload of 70,000 bytes waits for a cold app is read again then: that it leaves is noticed at once', async () => {
    const ready = deferred<Activation>();
    let arrived = 0;
    await using upstream = await rawUpstream((socket) => {
      socket.on('data', (data: Buffer) => (arrived += data.length));
      socket.on('end', () => socket.end());
    });
    await using w = await front(upstream, { requestTimeoutMs: 60_000 });
    w.app.activate = () => ready.promise;
    await using client = await RawClient.open(w.proxy.port);
    // All of it is kept, and only the last read is one too many.
    await w.read(client, post('/held', 70_000) + 'x'.repeat(60_000));
    await w.read(client, 'x'.repeat(10_000));
    expect(accepted.get(client.socket.localPort)?.isPaused()).toBe(true);
    ready.resolve(activation([upstream.endpoint]));
    await until('all of it at the app', () => arrived > 70_000);
    client.socket.destroy();
    await w.free(5_000);
    await until('the app to be told', () => upstream.sockets.size === 0);
    expect(w.proxy.snapshot().clientAborts).toBe(1);
  });
});

describe('an early answer to an upload', () => {
  it('that ends its connection arrives whole, and is not reset while the client sends on', async () => {
    const length = 12_000_000;
    const body = 'early'.repeat(40_000);
    await using w = await world((_head, socket) =>
      socket.write(`HTTP/1.1 200 OK\r\nContent-Length: ${body.length}\r\n\r\n${body}`),
    );
    await using client = await RawClient.open(w.proxy.port);
    client.send(post('/', length, 'Connection: close\r\n')).send(Buffer.alloc(100_000));
    expect((await client.rest()).split('\r\n\r\n')[1]).toBe(body);
    client.socket.end(Buffer.alloc(length - 100_000));
    await until('all of it to be sent, and the connection to be closed', () => client.closed);
    expect(client.error).toBeUndefined();
    expect(client.socket.writableFinished).toBe(true);
  });

  /** The client has not taken all of it, and some lies with the proxy. */
  async function answeredSlowly(more: string, limits: Limits) {
    let app: Socket | undefined;
    const w = await world((_head, socket) => (app = socket).write('HTTP/1.1 200 OK\r\n\r\n'), { limits });
    const client = await RawClient.open(w.proxy.port);
    client.send(post('/', 1_000_000, more));
    await client.saw('chunked');
    client.socket.pause();
    // Until the kernel takes no more.
    const near = accepted.get(client.socket.localPort);
    let bodyBytes = 0;
    while (near?.writableLength === 0) {
      const { sentBytes } = w.proxy.snapshot();
      app?.write(Buffer.alloc(PIECE_BYTES, 'x'));
      bodyBytes += PIECE_BYTES;
      await until('it to be passed on', () => w.proxy.snapshot().sentBytes >= sentBytes + PIECE_BYTES);
    }
    app?.end();
    await w.free();
    return {
      ...w,
      client,
      near,
      bodyBytes,
      async [Symbol.asyncDispose]() {
        await client[Symbol.asyncDispose]();
        await w[Symbol.asyncDispose]();
      },
    };
  }

  it('waits for a client that is slow to take it, longer than for one that sends on', async () => {
    const limits = { lingerMs: 50, clientStallMs: 10_000 };
    await using w = await answeredSlowly('Connection: close\r\n', limits);
    // One whose refusal has been taken is closed when the time for that is over.
    await using other = await RawClient.open(w.proxy.port);
    other.send('no request\r\n\r\n');
    await other.saw('400');
    await until('the other to be closed', () => !accepted.has(other.socket.localPort));
    w.client.socket.resume();
    await w.client.saw('\r\n0\r\n\r\n');
    expect(w.client.received.match(/x/g)).toHaveLength(w.bodyBytes);
  });

  it('arrives whole where the client ends its side instead of sending the rest', async () => {
    await using w = await answeredSlowly('', {});
    w.client.socket.end();
    await until('the proxy to know', () => w.near?.readableEnded === true || w.near?.destroyed === true);
    w.client.socket.resume();
    await w.client.saw('\r\n0\r\n\r\n');
    expect(w.client.received.match(/x/g)).toHaveLength(w.bodyBytes);
    await until('the connection to be closed', () => w.client.closed);
  });
});

describe('a kept connection that the app has closed', () => {
  it.each(['destroy', 'resetAndDestroy'] as const)(
    'is not given to a POST that is read in the same turn of the event loop (%s)',
    async (how) => {
      let app: Socket | undefined;
      await using w = await world((_head, socket) => (app = socket).write(OK));
      await using client = await RawClient.open(w.proxy.port);
      client.send(get('/'));
      await client.saw('ok');
      // Both reach the kernel at once, in this order; the event loop finds them together.
      app?.[how]();
      client.send(post('/', 0));
      await until('its answer', () => client.statuses.length === 2);
      expect(client.statuses).toEqual([200, 200]);
      expect(w.upstream.accepted).toBe(2);
      expect(w.proxy.control.suspected).toEqual([]);
    },
  );

  it('and that a GET is written to all the same is replaced at once', async () => {
    let app: Socket | undefined;
    await using w = await world((_head, socket) => (app = socket).write(OK));
    await using client = await RawClient.open(w.proxy.port);
    client.send(get('/'));
    await client.saw('ok');
    // The other way round: the write fails before anything is read.
    client.send(get('/again'));
    app?.resetAndDestroy();
    await until('its answer', () => client.statuses.length === 2, AT_ONCE_MS);
    expect(client.statuses).toEqual([200, 200]);
    expect(w.proxy.snapshot()).toMatchObject({ staleRetries: 1, inFlight: 0 });
  });
});

describe('an app that answers 413 while the upload is under way, and closes,', () => {
  /**
   * The app has reset the connection behind its last words when more is written to it: the proxy finds what the client sends
   * first, and what the app says only then.
   */
  async function lastWords(words: string, uploadBytes: number, next = '') {
    let app: Socket | undefined;
    const w = await world((head, socket) => {
      if (head.startsWith('POST /next')) socket.write(OK);
      else (app = socket).pause();
    });
    const client = await RawClient.open(w.proxy.port);
    await w.read(client, post('/', uploadBytes) + 'x'.repeat(10_000));
    await until('the head at the app', () => app !== undefined);
    client.send('x'.repeat(10_000) + next);
    app?.write(words);
    app?.resetAndDestroy();
    return withClient(w, client);
  }

  it.each([
    ['has a length', TOO_LARGE],
    ['ends with the connection', TOO_LARGE.replace('Content-Length: 5\r\n', '')],
  ])('is heard, although a write to it fails first (the answer %s)', async (_how, answer) => {
    await using w = await lastWords(answer, 1_000_000);
    await w.client.saw('large');
    await w.free();
    expect(w.client.statuses).toEqual([413]);
    expect(w.proxy.control.suspected).toEqual([]);
    expect(w.proxy.snapshot()).toMatchObject({ truncated: 0, clientAborts: 0 });
    expect(w.proxy.snapshot().errors).toEqual({});
  });

  describe('with an answer that its client is slow to take, so that the end of it is not read yet when a write fails,', () => {
    const piece = 'x'.repeat(PIECE_BYTES);
    const end = 'the end';

    async function slowlyTaken(chunked: boolean, how: 'destroySoon' | 'resetAndDestroy') {
      let app: Socket | undefined;
      // What it has written has arrived then, and is not discarded by a reset.
      const w = await world((_head, socket) => (app = socket.setNoDelay()));
      const client = await RawClient.open(w.proxy.port);
      await w.read(client, post('/', 1_000_000));
      await until('the head at the app', () => app !== undefined);
      const says = (part: string) =>
        app?.write(chunked ? `${part.length.toString(16)}\r\n${part}\r\n` : part);
      const encoding = chunked ? 'Transfer-Encoding: chunked\r\n' : '';
      app?.write(`HTTP/1.1 413 Content Too Large\r\n${encoding}Connection: close\r\n\r\n`);
      await client.saw('413');
      client.socket.pause();
      const near = accepted.get(client.socket.localPort);
      const isFull = () => (near?.writableLength ?? 0) >= (near?.writableHighWaterMark ?? 0);
      while (!isFull()) {
        const { sentBytes } = w.proxy.snapshot();
        says(piece);
        const passedOn = () => w.proxy.snapshot().sentBytes >= sentBytes + PIECE_BYTES;
        await until('it to be passed on', () => isFull() || passedOn());
      }
      says(end);
      if (chunked) app?.write('0\r\n\r\n');
      await until('all of it to be on its way', () => app?.writableLength === 0);
      app?.[how]();
      await until('the app to have closed', () => app?.closed === true);
      // The first of these may be what the app's kernel answers with a reset.
      const { receivedBytes } = w.proxy.snapshot();
      for (let sent = 1; sent <= 3 && near?.destroyed === false; sent++) {
        client.send('x'.repeat(1_000));
        const isRead = () => w.proxy.snapshot().receivedBytes === receivedBytes + sent * 1_000;
        await until('the proxy to have read it', () => isRead() || near.destroyed);
      }
      client.socket.resume();
      return withClient(w, client);
    }

    it.each([
      ['it has chunks, and the app has reset the connection', true, 'resetAndDestroy'],
      ['the connection’s end is its own', false, 'destroySoon'],
    ] as const)('is heard to its end (%s)', async (_what, chunked, how) => {
      await using w = await slowlyTaken(chunked, how);
      await until('the end of it', () => w.client.ended || w.client.received.endsWith('\r\n0\r\n\r\n'));
      expect(w.client.received.slice(-20)).toContain(end);
      await w.free();
      expect(w.proxy.control.suspected).toEqual([]);
      expect(w.proxy.snapshot()).toMatchObject({ truncated: 0 });
    });

    it('is broken off where that would be its end, and the app has reset the connection', async () => {
      await using w = await slowlyTaken(false, 'resetAndDestroy');
      expect(await w.client.rest()).not.toContain('\r\n0\r\n\r\n');
      await w.free();
      expect(w.proxy.snapshot()).toMatchObject({ truncated: 1 });
    });
  });

  it('is asked nothing else on that connection, although the answer did not say that it closes', async () => {
    const answer = TOO_LARGE.replace('Connection: close\r\n', '');
    await using w = await lastWords(answer, 20_000, post('/next', 0));
    await until('both answers', () => w.client.statuses.length === 2);
    expect(w.client.statuses).toEqual([413, 200]);
    expect(w.proxy.control.suspected).toEqual([]);
  });

  it('and one that closes without an answer is known to have done so at once', async () => {
    await using w = await lastWords('', 1_000_000);
    await until('the 502', () => w.client.statuses.includes(502), AT_ONCE_MS);
    expect(w.proxy.control.suspected).toEqual(['ctr_1']);
  });

  it('has that answer given to each of many clients, however what they send is cut', async () => {
    const length = 4_000_000;
    const upstream = await httpUpstream((_req, res) =>
      res.writeHead(413, { Connection: 'close' }).end('large'),
    );
    await using w = await front(upstream);
    const upload = async (client: number) => {
      await using visitor = await RawClient.open(w.proxy.port);
      visitor.send(post('/', length));
      const piece = Buffer.alloc(10_000 * (client + 1));
      for (let left = length; left > 0; left -= piece.length)
        visitor.send(left < piece.length ? piece.subarray(0, left) : piece);
      return await visitor.saw('large');
    };
    const answers = await Promise.all(Array.from({ length: 20 }, (_, client) => upload(client)));
    expect(answers.filter((answer) => !answer.startsWith('HTTP/1.1 413 '))).toEqual([]);
    expect(w.proxy.control.suspected).toEqual([]);
  });
});

describe('an end of line behind a body', () => {
  it.each([
    ['all of it', '\r\n'],
    ['half of it', '\r'],
  ])(
    'is no request that is late: the idle connection is closed without a word (%s)',
    async (_what, stray) => {
      await using w = await world((_head, socket) => socket.write(OK), {
        limits: { headersTimeoutMs: 100, keepAliveMs: 400 },
      });
      await using client = await RawClient.open(w.proxy.port);
      client.send(`${post('/', 3)}abc${stray}`);
      await client.rest();
      expect(client.statuses).toEqual([200]);
      expect(w.proxy.snapshot().errors).toEqual({});
    },
  );

  it('may stand before the next request, which is served even if a head would have been timed out by then', async () => {
    await using w = await world((_head, socket) => socket.write(OK), {
      limits: { headersTimeoutMs: 100, lingerMs: 20 },
    });
    await using client = await RawClient.open(w.proxy.port);
    await w.read(client, `${post('/', 3)}abc\r\n`);
    await client.saw('ok');
    await using late = await RawClient.open(w.proxy.port);
    late.send('GET / HTTP/1.1\r\nHo');
    expect(await late.rest()).toMatch(/^HTTP\/1\.1 408 /);
    client.send(get('/next', 'Connection: close\r\n'));
    await client.rest();
    expect(client.statuses).toEqual([200, 200]);
  });

  it.each([
    ['together', [`${post('/', 3)}abc\r\nG`]],
    ['one after the other', [`${post('/', 3)}abc\r\n`, 'G']],
  ])('and the beginning of a head have to be followed by the rest in time (%s)', async (_how, pieces) => {
    await using w = await world((_head, socket) => socket.write(OK), {
      limits: { headersTimeoutMs: 100, lingerMs: 20 },
    });
    await using client = await RawClient.open(w.proxy.port);
    for (const piece of pieces) {
      await w.read(client, piece);
      await client.saw('ok');
    }
    await client.rest();
    expect(client.statuses).toEqual([200, 408]);
  });
});
