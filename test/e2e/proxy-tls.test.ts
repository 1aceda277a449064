import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import type { RequestListener } from 'node:http';
import { request } from 'node:https';
import type { IncomingMessage } from 'node:http';
import { connect } from 'node:tls';
import type { ConnectionOptions, TLSSocket } from 'node:tls';
import { promisify } from 'node:util';
import { WebSocket, WebSocketServer } from 'ws';
import { beforeAll, describe, expect, it } from 'vitest';
import { makePair, shown } from '../support/certificates.ts';
import type { Pair } from '../support/certificates.ts';
import { http2Session, askH2 } from '../support/http2-client.ts';
import { activation } from '../support/scripted-control-plane.ts';
import { RawClient } from '../support/raw-http.ts';
import { testProxy } from '../support/upstreams-proxy.ts';
import type { TestProxy } from '../support/upstreams-proxy.ts';
import { httpUpstream, readBody } from '../support/upstreams.ts';
import { until } from '../support/until.ts';

let fallback: Pair;
let shop: Pair;
let wild: Pair;
let rsa: Pair;
beforeAll(async () => {
  [fallback, shop, wild, rsa] = await Promise.all([
    makePair(['a.test']),
    makePair(['shop.test']),
    makePair(['*.shop.test']),
    makePair(['rsa.test'], { keyType: 'rsa' }),
  ]);
});

const echo: RequestListener = (req, res) => {
  void readBody(req).then((body) => {
    res.end(JSON.stringify({ headers: req.headers, bytes: body.length }));
  });
};

async function world(listener: RequestListener = echo, options: Parameters<typeof testProxy>[0] = {}) {
  const upstream = await httpUpstream(listener);
  const certificates = [
    shown('fallback', fallback, { isDefault: true }),
    shown('shop', shop),
    shown('wild', wild),
  ];
  const tls = { listen: { host: '127.0.0.1', port: 0 }, certificates };
  const proxy = await testProxy({ tls, ...options });
  proxy.control.app('a', { activate: async () => activation([upstream.endpoint], 'warm') });
  return {
    upstream,
    proxy,
    async [Symbol.asyncDispose]() {
      await proxy[Symbol.asyncDispose]();
      await upstream.close();
    },
  };
}

/** A handshake; rejects with its error. */
async function secure({ tlsPort = 0 }: TestProxy, options: ConnectionOptions = {}): Promise<TLSSocket> {
  const socket = connect({ port: tlsPort, host: '127.0.0.1', rejectUnauthorized: false, ...options });
  await new Promise<void>((resolve, reject) => {
    socket.once('secureConnect', resolve);
    socket.once('error', reject);
    socket.once('close', () => reject(new Error('closed')));
  });
  socket.on('error', () => undefined);
  return socket;
}

/** The first name of the certificate that is shown for a name. */
async function shownFor(proxy: TestProxy, servername: string | undefined): Promise<string | undefined> {
  const socket = await secure(proxy, servername === undefined ? {} : { servername });
  const { subject } = socket.getPeerCertificate();
  socket.destroy();
  return subject.CN as string | undefined;
}

describe('the certificate that is shown', () => {
  it.each([
    ['shop.test', 'shop.test'],
    ['SHOP.test', 'shop.test'],
    ['eu.shop.test', '*.shop.test'],
    ['a.eu.shop.test', 'a.test'],
    ['elsewhere.test', 'a.test'],
    ['a.test', 'a.test'],
    [undefined, 'a.test'],
  ])('for %s is that of %s: exact, then wildcard, then the default', async (name, expected) => {
    await using w = await world();
    expect(await shownFor(w.proxy, name)).toBe(expected);
  });

  it('is none, and the handshake fails, where no name fits and there is no default', async () => {
    await using w = await world(echo, {
      tls: { listen: { host: '127.0.0.1', port: 0 }, certificates: [shown('shop', shop)] },
    });
    await expect(secure(w.proxy, { servername: 'elsewhere.test' })).rejects.toThrow();
    expect(await shownFor(w.proxy, 'shop.test')).toBe('shop.test');
  });

  it('is of two for one name the one that lasts longer, and that of its own kind of key', async () => {
    await using w = await world();
    const longer = await makePair(['shop.test'], { days: 90, keyType: 'rsa' });
    w.proxy.changeCertificates({ remove: [], put: [shown('longer', longer), shown('rsa', rsa)] });
    const socket = await secure(w.proxy, { servername: 'shop.test' });
    expect(socket.getPeerCertificate().bits).toBe(2_048);
    socket.destroy();
    expect(await shownFor(w.proxy, 'rsa.test')).toBe('rsa.test');
  });

  it('changes for new connections, while an open one goes on as it is', async () => {
    await using w = await world();
    const before = await secure(w.proxy, { servername: 'shop.test', ALPNProtocols: ['http/1.1'] });
    await using session = await http2Session(`https://127.0.0.1:${w.proxy.tlsPort ?? 0}`, {
      ca: shop.certPem,
      servername: 'shop.test',
    });
    const newer = await makePair(['shop.test', 'new.test'], { days: 10 });
    w.proxy.changeCertificates({
      remove: ['wild', 'fallback'],
      put: [{ ...shown('shop', newer), isDefault: true }],
    });

    const after = await secure(w.proxy, { servername: 'shop.test' });
    const prints = [before, after].map((socket) => socket.getPeerCertificate().fingerprint256);
    expect(prints[0]).not.toBe(prints[1]);
    expect(await shownFor(w.proxy, 'new.test')).toBe('shop.test');
    expect(await shownFor(w.proxy, 'eu.shop.test')).toBe('shop.test');
    for (let i = 0; i < 2; i++) {
      before.write('GET / HTTP/1.1\r\nHost: a.test\r\n\r\n');
      expect(String((await once(before, 'data'))[0])).toContain('HTTP/1.1 200');
      expect((await askH2(session, {})).status).toBe(200);
    }
    before.destroy();
    after.destroy();
  });

  it('may be broken: its name fails, and is logged without its key; others are served', async () => {
    await using w = await world();
    w.proxy.changeCertificates({ remove: [], put: [{ ...shown('shop', shop), keyPem: wild.keyPem }] });
    await expect(secure(w.proxy, { servername: 'shop.test' })).rejects.toThrow();
    expect(await shownFor(w.proxy, 'eu.shop.test')).toBe('*.shop.test');
    expect(w.proxy.logged).toMatchObject([{ level: 'error', fields: { certificate: 'shop' } }]);
    expect(JSON.stringify(w.proxy.logged)).not.toContain(wild.keyPem.split('\n')[1]);
  });
});

describe('what is spoken over TLS', () => {
  async function handshake(proxy: TestProxy, ...args: string[]): Promise<string> {
    const child = promisify(execFile)('openssl', [
      's_client',
      '-connect',
      `127.0.0.1:${proxy.tlsPort ?? 0}`,
      '-servername',
      'a.test',
      ...args,
    ]);
    child.child.stdin?.end();
    const { stdout, stderr } = await child.catch(
      (failed: unknown) => failed as { stdout: string; stderr: string },
    );
    return stdout + stderr;
  }

  it.each([
    ['-tls1_3', 'TLSv1.3'],
    ['-tls1_2', 'TLSv1.2'],
  ])('may be what openssl s_client %s speaks', async (flag, version) => {
    await using w = await world();
    expect(await handshake(w.proxy, flag)).toContain(`New, ${version}, Cipher is`);
  });

  it.each([
    ['TLS 1.1', ['-tls1_1', '-cipher', 'ALL:@SECLEVEL=0']],
    ['TLS 1.0', ['-tls1', '-cipher', 'ALL:@SECLEVEL=0']],
    ['a suite without forward secrecy', ['-tls1_2', '-cipher', 'AES256-GCM-SHA384']],
    ['a suite without authenticated encryption', ['-tls1_2', '-cipher', 'ECDHE-ECDSA-AES128-SHA256']],
    ['another protocol by ALPN', ['-alpn', 'spdy/3']],
  ])('is not %s', async (_, args) => {
    await using w = await world();
    expect(await handshake(w.proxy, ...args)).not.toMatch(/New, TLSv1\.\d, Cipher is [A-Z]/);
  });

  it.each([
    [['h2', 'http/1.1'], 'h2'],
    [['http/1.1', 'h2'], 'h2'],
    [['http/1.1'], 'http/1.1'],
    [undefined, false],
  ])('for a client that offers %j is %s', async (offered, chosen) => {
    await using w = await world();
    const socket = await secure(w.proxy, offered === undefined ? {} : { ALPNProtocols: offered });
    expect(socket.alpnProtocol).toBe(chosen);
    socket.destroy();
  });

  it('is taken up again by a ticket, also at another door with the same keys, and after certificates changed', async () => {
    const ticketKeys = Buffer.alloc(48, 7).toString('hex');
    const tls = (pair: Pair) => ({
      listen: { host: '127.0.0.1', port: 0 },
      certificates: [shown('only', pair, { isDefault: true })],
      ticketKeys,
    });
    await using one = await world(echo, { tls: tls(fallback) });
    await using other = await world(echo, { tls: tls(fallback) });
    for (const maxVersion of ['TLSv1.2', 'TLSv1.3'] as const) {
      const first = connect({
        port: one.proxy.tlsPort ?? 0,
        host: '127.0.0.1',
        rejectUnauthorized: false,
        maxVersion,
        servername: 'a.test',
      });
      const [session] = (await once(first, 'session')) as [Buffer];
      first.destroy();
      other.proxy.changeCertificates({ remove: [], put: [shown('rsa', rsa)] });
      const again = await secure(other.proxy, { session, maxVersion, servername: 'a.test' });
      expect(again.isSessionReused()).toBe(true);
      again.destroy();
    }
  });

  it('is not waited for: a client that says nothing, or half a greeting, is let go', async () => {
    await using w = await world(echo, { limits: { headersTimeoutMs: 200 } });
    const { connect: plain } = await import('node:net');
    for (const said of ['', '\x16\x03\x01']) {
      const socket = plain(w.proxy.tlsPort ?? 0, '127.0.0.1');
      socket.on('error', () => undefined);
      socket.write(said, 'latin1');
      await new Promise((resolve) => socket.once('close', resolve));
    }
    const http = plain(w.proxy.tlsPort ?? 0, '127.0.0.1');
    http.on('error', () => undefined).resume();
    http.write('GET / HTTP/1.1\r\nHost: a.test\r\n\r\n');
    await new Promise((resolve) => http.once('close', resolve));
  });
});

describe('a client that ends its side', () => {
  // Nothing here is closed because of the time that it takes.
  const patient = { headersTimeoutMs: 600_000 };
  /** Which `connect` takes, and its types do not know. */
  const HALF_OPEN: object = { allowHalfOpen: true };

  it.each([
    ['no word', ''],
    ['half a greeting', '\x16\x03\x01'],
  ])('after %s is let go at once, and another has its place', async (_, said) => {
    await using w = await world(echo, { limits: { ...patient, connections: 1 } });
    for (let clients = 0; clients < 3; clients++) {
      await using client = await RawClient.open(w.proxy.tlsPort ?? 0);
      client.send(said).socket.end();
      await client.rest();
    }
    const next = await until('room for another', () => secure(w.proxy).catch(() => undefined));
    next.destroy();
  });

  it.each(['TLSv1.2', 'TLSv1.3'] as const)(
    'of a WebSocket hears what the app has still to say, over %s',
    async (maxVersion) => {
      const switched =
        'HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n';
      await using w = await world(echo, { limits: patient });
      await using chat = await httpUpstream(echo, {
        containerId: 'ctr_ws',
        configure: (http) =>
          http.on('upgrade', (_req, socket) => {
            socket.write(switched);
            socket.resume().once('end', () => socket.end('last words'));
          }),
      });
      w.proxy.control.app('chat', { activate: async () => activation([chat.endpoint], 'warm') });
      const client = await secure(w.proxy, { maxVersion, ...HALF_OPEN });
      let received = '';
      client.on('data', (chunk: Buffer) => (received += chunk.toString()));
      client.write(
        'GET / HTTP/1.1\r\nHost: chat.test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n' +
          'Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n',
      );
      await until('the app to have switched', () => received.includes(' 101 '));
      client.end();
      await once(client, 'close');
      expect(received).toMatch(/last words$/);
    },
  );
});

describe('a connection that is not taken', () => {
  it('is counted where its handshake fails, whoever breaks it off', async () => {
    await using w = await world();
    const counted = () => w.proxy.snapshot().refusedConnections.tls_handshake;
    await expect(secure(w.proxy, { ALPNProtocols: ['spdy/3'] })).rejects.toThrow();
    await until('the first to be counted', () => counted() === 1);
    await using plain = await RawClient.open(w.proxy.tlsPort ?? 0);
    await plain.send('GET / HTTP/1.1\r\nHost: a.test\r\n\r\n').rest();
    await until('the second to be counted', () => counted() === 2);
    await using gone = await RawClient.open(w.proxy.tlsPort ?? 0);
    gone.send('\x16\x03\x01').socket.end();
    await until('the third to be counted', () => counted() === 3);
    // One that stands is none of them.
    (await secure(w.proxy)).destroy();
    const { refusedConnections, requests } = w.proxy.snapshot();
    expect({ refusedConnections, requests }).toEqual({
      refusedConnections: { network: 0, proxy_header: 0, tls_handshake: 3, too_many: 0 },
      requests: 0,
    });
    expect(w.proxy.logged).toEqual([]); // whoever scans ports writes nobody's log
  });

  it('is counted where there are too many, at either door, which is said once for all of them', async () => {
    await using w = await world(echo, { limits: { connections: 1 } });
    const only = await secure(w.proxy);
    for (const port of [w.proxy.port, w.proxy.tlsPort ?? 0, w.proxy.port]) {
      await using client = await RawClient.open(port);
      expect(await client.rest()).toBe('');
    }
    expect(w.proxy.snapshot().refusedConnections).toEqual({
      ...{ network: 0, proxy_header: 0, tls_handshake: 0, too_many: 3 },
    });
    expect(w.proxy.logged).toEqual([
      { level: 'warn', fields: { connections: 1, guests: 0 }, message: 'there are too many connections' },
    ]);
    only.destroy();
  });
});

describe('HTTP/1.1 over TLS', () => {
  const ask = (proxy: TestProxy, options: object, body?: Buffer): Promise<IncomingMessage> =>
    new Promise((resolve, reject) => {
      const port = proxy.tlsPort ?? 0;
      const headers = { host: 'a.test' };
      const req = request({
        host: '127.0.0.1',
        port,
        servername: 'a.test',
        ca: fallback.certPem,
        headers,
        agent: false,
        ...options,
      });
      req.once('response', resolve).once('error', reject).end(body);
    });

  it('is told to the app as https, by the transport on sockets and by the one on node:http', async () => {
    await using w = await world();
    for (const method of ['GET', 'PROPFIND']) {
      const answer = await ask(w.proxy, { method });
      expect(JSON.parse((await readBody(answer)).toString())).toMatchObject({
        headers: {
          'x-forwarded-proto': 'https',
          'x-forwarded-for': '127.0.0.1',
          forwarded: 'for=127.0.0.1;host=a.test;proto=https',
        },
      });
    }
  });

  it('takes requests that are sent ahead, in one piece or byte by byte, and answers in order', async () => {
    await using w = await world((req, res) => res.end(`<${req.url ?? ''}>`));
    const socket = await secure(w.proxy, { ALPNProtocols: ['http/1.1'] });
    let received = '';
    socket.on('data', (chunk: Buffer) => (received += chunk.toString()));
    const requests = ['/1', '/2', '/3']
      .map((path) => `GET ${path} HTTP/1.1\r\nHost: a.test\r\n\r\n`)
      .join('');
    socket.write(requests);
    for (const byte of requests) socket.write(byte);
    await until('six answers', () => (received.match(/<\/\d>/g) ?? []).length === 6);
    expect(received.match(/<\/\d>/g)?.join('')).toBe('</1></2></3></1></2></3>');
    socket.destroy();
  });

  it('carries 20 MB each way byte for byte', async () => {
    const bytes = Buffer.alloc(20 * 1024 * 1024, 'mayfly');
    const hash = (of: Buffer) => createHash('sha1').update(of).digest('hex');
    await using w = await world((req, res) => void readBody(req).then((body) => res.end(body)));
    const answer = await ask(w.proxy, { method: 'PUT' }, bytes);
    expect(hash(await readBody(answer))).toBe(hash(bytes));
  });

  it('carries WebSockets', async () => {
    await using w = await world();
    const server = new WebSocketServer({ noServer: true });
    await using chat = await httpUpstream(echo, {
      containerId: 'ctr_ws',
      configure: (http) =>
        http.on('upgrade', (req, socket, head) =>
          server.handleUpgrade(req, socket, head, (ws) =>
            ws.on('message', (data) => ws.send(`re: ${(data as Buffer).toString()}`)),
          ),
        ),
    });
    w.proxy.control.app('chat', { activate: async () => activation([chat.endpoint], 'warm') });
    const ws = new WebSocket(`wss://127.0.0.1:${w.proxy.tlsPort ?? 0}/`, {
      headers: { host: 'chat.test' },
      rejectUnauthorized: false,
    });
    await once(ws, 'open');
    ws.send('hello');
    expect(String((await once(ws, 'message'))[0])).toBe('re: hello');
    ws.close();
    await once(ws, 'close');
  });

  it('counts both doors’ connections against one bound', async () => {
    await using w = await world(echo, { limits: { connections: 2 } });
    const { connect: plain } = await import('node:net');
    const first = await secure(w.proxy);
    const second = plain(w.proxy.port, '127.0.0.1');
    await once(second, 'connect');
    second.write('GET / HTTP/1.1\r\nHost: a.test\r\n\r\n');
    await once(second, 'data');
    await expect(secure(w.proxy)).rejects.toThrow();
    second.destroy();
    await until('room for another', () =>
      secure(w.proxy).then(
        (socket) => socket.destroy(),
        () => undefined,
      ),
    );
    first.destroy();
  });
});
