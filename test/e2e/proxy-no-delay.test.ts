/**
 * TCP_NODELAY: the second of two small writes is kept back by the kernel until the first has arrived, unless it was told not to. Telling is
 * a system call, which a connection of one answer is spared.
 */
import { connect, Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';
import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { makePair, shown } from '../support/certificates.ts';
import { askH2, http2Session } from '../support/http2-client.ts';
import { exchangeRaw, RawClient } from '../support/raw-http.ts';
import { activation } from '../support/scripted-control-plane.ts';
import { testProxy } from '../support/upstreams-proxy.ts';
import { httpUpstream } from '../support/upstreams.ts';

/** Ports of the proxy whose connections were told, once for each. */
let told: number[];

beforeEach(() => {
  told = [];
  const tell: (this: Socket, how?: boolean) => Socket = Reflect.get(Socket.prototype, 'setNoDelay');
  const isTold = new WeakSet<Socket>();
  vi.spyOn(Socket.prototype, 'setNoDelay').mockImplementation(function (this: Socket, ...how) {
    if (!isTold.has(this) && this.localPort !== undefined) told.push(this.localPort);
    isTold.add(this);
    return tell.apply(this, how);
  });
});

afterEach(() => {
  vi.restoreAllMocks();
});

async function world() {
  const arrived = Promise.withResolvers<undefined>();
  const upstream = await httpUpstream((req, res) => {
    if (req.url !== '/stream') res.end('whole');
    else res.write('first', () => void arrived.promise.then(() => res.end('second')));
  });
  const pair = await makePair(['a.test']);
  const proxy = await testProxy({
    tls: { listen: { host: '127.0.0.1', port: 0 }, certificates: [shown('a', pair, { isDefault: true })] },
  });
  proxy.control.app('a', { activate: async () => activation([upstream.endpoint], 'warm') });
  return {
    proxy,
    tlsPort: proxy.tlsPort ?? 0,
    ca: pair.certPem,
    /** The client has the first piece. */
    arrived: () => arrived.resolve(undefined),
    async [Symbol.asyncDispose]() {
      await proxy[Symbol.asyncDispose]();
      await upstream.close();
    },
  };
}

const get = (path: string, more = '') => `GET ${path} HTTP/1.1\r\nHost: a.test\r\n${more}\r\n`;
const CLOSE = 'Connection: close\r\n';

it('a connection of one answer is not told', async () => {
  await using w = await world();
  expect(await exchangeRaw(w.proxy.port, get('/', CLOSE))).toContain('whole');
  expect(told).toEqual([]);
});

it('one that is kept is told before its second answer', async () => {
  await using w = await world();
  await using client = await RawClient.open(w.proxy.port);
  client.send(get('/') + get('/', CLOSE));
  expect((await client.rest()).match(/whole/g)).toHaveLength(2);
  expect(told).toEqual([w.proxy.port]);
});

it('one whose answer comes in pieces is told before the second', async () => {
  await using w = await world();
  await using client = await RawClient.open(w.proxy.port);
  await client.send(get('/stream', CLOSE)).saw('first');
  expect(told).toEqual([]);
  w.arrived();
  expect(await client.rest()).toContain('second');
  expect(told).toEqual([w.proxy.port]);
});

it('one that another transport takes over is told, and one over TLS at once', async () => {
  await using w = await world();
  expect(await exchangeRaw(w.proxy.port, `PROPFIND${get('/', CLOSE).slice(3)}`)).toContain('whole');
  expect(told).toEqual([w.proxy.port]);
  await using session = await http2Session(`http://127.0.0.1:${w.proxy.port}`);
  expect((await askH2(session, {})).status).toBe(200);
  expect(told).toContain(w.proxy.port);
  told = [];
  const raw = connect(w.tlsPort, '127.0.0.1');
  const secure = connectTls({ socket: raw, ca: w.ca, servername: 'a.test' });
  secure.end(get('/', CLOSE));
  for await (const piece of secure) expect(String(piece)).not.toBe('');
  expect(told).toContain(w.tlsPort);
});
