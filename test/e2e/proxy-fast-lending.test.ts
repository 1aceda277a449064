/**
 * All sockets of the fast transport read into the same few bytes, and what is still being written is lent, not copied. Whoever
 * does not take what is sent to him must neither get what was read later, nor hold up what is another's.
 */
import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import type { Socket } from 'node:net';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { Content } from '../soak/content.ts';
import { RawClient } from '../support/raw-http.ts';
import { activation } from '../support/scripted-control-plane.ts';
import { testProxy } from '../support/upstreams-proxy.ts';
import { rawUpstream } from '../support/upstreams.ts';
import { until } from '../support/until.ts';

const OK = 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok';
/** More than is copied (16 KiB), less than holds up whoever sends (64 KiB). */
const PIECE_BYTES = 40_000;
const LATER_BYTES = 20_000;

/** All sockets that were made to connect, in this process: those of the proxy to its apps among them. */
const connecting: Socket[] = [];
const onConnecting = (message: unknown) => connecting.push((message as { socket: Socket }).socket);
/** Ports of all that connected and are not closed yet on this side. */
const accepted = new Set<number>();
const onAccepted = (message: unknown) => {
  const { socket } = message as { socket: Socket };
  const { remotePort = 0 } = socket;
  accepted.add(remotePort);
  socket.once('close', () => accepted.delete(remotePort));
};
beforeEach(() => {
  connecting.length = 0;
  subscribe('net.client.socket', onConnecting);
  subscribe('net.server.socket', onAccepted);
});
afterEach(() => {
  unsubscribe('net.client.socket', onConnecting);
  unsubscribe('net.server.socket', onAccepted);
});

/** A warm app that notes what it is sent, connection by connection, and answers each head that it sees. */
async function world(answer: (head: string, socket: Socket) => void, limits = {}) {
  const seen = new Map<Socket, string>();
  const upstream = await rawUpstream((socket) => {
    seen.set(socket, '');
    socket.on('data', (data: Buffer) => {
      const text = data.toString('latin1');
      seen.set(socket, (seen.get(socket) ?? '') + text);
      for (const head of text.match(/(?:GET|POST) \/[^]*?\r\n\r\n/g) ?? []) answer(head, socket);
    });
    socket.on('end', () => socket.end());
  });
  const proxy = await testProxy({ transport: 'fast', limits });
  proxy.control.app('a', { activate: async () => activation([upstream.endpoint], 'warm') });
  return {
    proxy,
    upstream,
    /** What came on the connection on which this came. */
    seenWith: (text: string) => [...seen.values()].find((bytes) => bytes.includes(text)) ?? '',
    /** The proxy's end of the connection on which this came. */
    nearEnd(text: string): Socket {
      const [far] = [...seen].find(([, bytes]) => bytes.includes(text)) ?? [];
      const near = connecting.find(({ localPort }) => localPort === far?.remotePort);
      if (near === undefined) throw new Error(`nobody sent ${text}`);
      return near;
    },
    /** Sends, and waits until the proxy has read it. */
    async read(client: RawClient, bytes: string | Buffer): Promise<void> {
      const { receivedBytes } = proxy.snapshot();
      client.send(bytes);
      await until(
        'the proxy to have read it',
        () => proxy.snapshot().receivedBytes === receivedBytes + bytes.length,
      );
    },
    async [Symbol.asyncDispose]() {
      await proxy[Symbol.asyncDispose]();
      await upstream.close();
    },
  };
}

const get = (path: string, more = '') => `GET ${path} HTTP/1.1\r\nHost: a.test\r\n${more}\r\n`;
const post = (path: string, length: number) =>
  `POST ${path} HTTP/1.1\r\nHost: a.test\r\nContent-Length: ${length}\r\n\r\n`;

describe('an upload that an app is slow to take', () => {
  it('is not read over by what comes later of it', async () => {
    const length = 2 * PIECE_BYTES + LATER_BYTES;
    const body = new Content('upload').bytes(0, length);
    await using w = await world((head, socket) => {
      if (head.startsWith('GET')) socket.write(OK);
    });
    await using client = await RawClient.open(w.proxy.port);
    client.send(get('/first'));
    await client.saw('ok');
    // From here on large pieces are read.
    await w.read(
      client,
      Buffer.concat([Buffer.from(post('/upload', length)), body.subarray(0, PIECE_BYTES)]),
    );
    await until('the app to have it', () => w.seenWith('/upload').length > PIECE_BYTES);
    const near = w.nearEnd('/upload');
    near.cork(); // as if the kernel took nothing
    await w.read(client, body.subarray(PIECE_BYTES, 2 * PIECE_BYTES));
    expect(near.writableLength).toBe(PIECE_BYTES);
    await w.read(client, body.subarray(2 * PIECE_BYTES));
    near.uncork();
    await until('all of it', () => w.seenWith('/upload').endsWith(body.toString('latin1', length - 100)));
    expect(w.seenWith('/upload').split('\r\n\r\n').at(-1)).toBe(body.toString('latin1'));
  });

  it('behind one that nobody took is not read over either', async () => {
    const dropped = 120_000;
    const length = PIECE_BYTES + LATER_BYTES;
    const body = new Content('second').bytes(0, length);
    const waiting: Socket[] = [];
    await using w = await world((head, socket) => {
      // Two connections, both kept; then an answer to a request whose body has yet to come.
      if (head.startsWith('GET')) waiting.push(socket);
      else if (head.startsWith('POST /dropped')) socket.write(OK);
      if (waiting.length === 2) for (const one of waiting.splice(0)) one.write(OK);
    });
    await using client = await RawClient.open(w.proxy.port);
    await using other = await RawClient.open(w.proxy.port);
    client.send(get('/one'));
    other.send(get('/two'));
    await Promise.all([client.saw('ok'), other.saw('ok')]);
    client.send(post('/dropped', dropped));
    await until('the early answer', () => client.statuses.length === 2);
    const near = w.nearEnd(w.seenWith('/one').includes('/dropped') ? '/two' : '/one');
    near.cork();
    const junk = new Content('dropped').bytes(0, dropped);
    await w.read(client, junk.subarray(0, -1_000));
    // Read together: the end of the one body, and the beginning of the other.
    await w.read(
      client,
      Buffer.concat([
        junk.subarray(-1_000),
        Buffer.from(post('/second', length)),
        body.subarray(0, PIECE_BYTES),
      ]),
    );
    expect(near.writableLength).toBeGreaterThan(PIECE_BYTES);
    await w.read(client, body.subarray(PIECE_BYTES));
    near.uncork();
    await until('all of it', () => w.seenWith('/second').endsWith(body.toString('latin1', length - 100)));
    expect(w.seenWith('/second').split('\r\n\r\n').at(-1)).toBe(body.toString('latin1'));
  });
});

describe('a head and what little comes behind it, that an app is slow to take,', () => {
  it('are not written over by what is sent to others', async () => {
    await using w = await world((_head, socket) => socket.write(OK));
    await using client = await RawClient.open(w.proxy.port);
    client.send(get('/first'));
    await client.saw('ok');
    const near = w.nearEnd('/first');
    near.cork();
    await w.read(client, post('/mine', 4_000));
    const body = new Content('mine').bytes(0, 4_000);
    await w.read(client, body.subarray(0, 1_000));
    await w.read(client, body.subarray(1_000));
    await using other = await RawClient.open(w.proxy.port);
    const others = new Content('theirs').bytes(0, 4_000);
    other.send(Buffer.concat([Buffer.from(post('/theirs', 4_000)), others]));
    await other.saw('ok');
    near.uncork();
    await until('all of it', () => w.seenWith('/mine').endsWith(body.toString('latin1', 3_900)));
    expect(w.seenWith('/mine')).toMatch(
      /POST \/mine HTTP\/1\.1\r\nHost: a\.test\r\nContent-Length: 4000\r\n/,
    );
    expect(w.seenWith('/mine').split('\r\n\r\n').at(-1)).toBe(body.toString('latin1'));
  });
});

describe('a client that takes nothing', () => {
  it('of a download gets it whole in the end, piece by piece as it came', async () => {
    const most = 800;
    const content = new Content('download');
    let app: Socket | undefined;
    await using w = await world((_head, socket) => {
      app = socket;
      socket.write('HTTP/1.1 200 OK\r\n\r\n'); // until the connection ends
    });
    await using client = await RawClient.open(w.proxy.port);
    client.send(get('/download'));
    await client.saw('chunked');
    client.socket.pause();
    let pieces = 0;
    const push = async () => {
      const { sentBytes } = w.proxy.snapshot();
      app?.write(content.bytes(PIECE_BYTES * pieces++, PIECE_BYTES));
      for (let turn = 0; turn < 2_000 && w.proxy.snapshot().sentBytes < sentBytes + PIECE_BYTES; turn++)
        await new Promise((resolve) => setImmediate(resolve));
      return w.proxy.snapshot().sentBytes >= sentBytes + PIECE_BYTES;
    };
    // Until the proxy reads no further: some of what it has read is still being written.
    while (pieces < most && (await push()));
    expect(pieces).toBeLessThan(most);
    app?.end();
    client.socket.resume();
    await client.saw('\r\n0\r\n\r\n');
    let body = '';
    const bytes = client.received.slice(client.received.indexOf('\r\n\r\n') + 4);
    for (let at = 0; ;) {
      const line = bytes.indexOf('\r\n', at);
      const size = parseInt(bytes.slice(at, line), 16);
      if (size === 0) break;
      body += bytes.slice(line + 2, line + 2 + size);
      at = line + 2 + size + 2;
    }
    const expected = content.bytes(0, PIECE_BYTES * pieces).toString('latin1');
    expect(body.length).toBe(expected.length);
    expect(body === expected).toBe(true);
  });

  it('of its answers holds no place at the app, and has to leave after a while', async () => {
    const ahead = 4_000;
    const answer = `HTTP/1.1 200 OK\r\nContent-Length: 14000\r\n\r\n${'x'.repeat(14_000)}`;
    let asked = 0;
    await using w = await world(
      (_head, socket) => {
        asked++;
        socket.write(answer);
      },
      { clientStallMs: 1_000 },
    );
    await using client = await RawClient.open(w.proxy.port);
    client.socket.pause();
    client.send(get('/').repeat(ahead));
    let before = -1;
    let looks = 0;
    await until('nothing to move any more', () => {
      looks = asked > 0 && asked === before ? looks + 1 : 0;
      before = asked;
      return looks >= 20;
    });
    // The answers are whole; what the client has not taken of them is between the two of us.
    expect(asked).toBeLessThan(ahead);
    expect(w.proxy.snapshot()).toMatchObject({ requests: asked, inFlight: 0 });
    await until('it to be cut off', () => !accepted.has(client.socket.localPort ?? 0));
    expect(w.proxy.snapshot()).toMatchObject({ inFlight: 0, clientAborts: 0 });
  });
});
