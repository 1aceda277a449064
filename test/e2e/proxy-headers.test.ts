import type { IncomingMessage, RequestListener, ServerResponse } from 'node:http';
import { describe, expect, it } from 'vitest';
import { Networks } from '../../src/networks.ts';
import { exchangeRaw, RawClient } from '../support/raw-http.ts';
import { activation } from '../support/scripted-control-plane.ts';
import { ask, testProxy } from '../support/upstreams-proxy.ts';
import { httpUpstream, rawUpstream, readBody } from '../support/upstreams.ts';

/** A proxy in front of one warm app. */
async function pair(listener: RequestListener, options: Parameters<typeof testProxy>[0] = {}) {
  const upstream = await httpUpstream(listener);
  const proxy = await testProxy(options);
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

/** What the app saw of a request: names in lower case, values as a list where they were repeated. */
function fields(req: IncomingMessage): Record<string, string[]> {
  const seen: Record<string, string[]> = {};
  for (let i = 0; i < req.rawHeaders.length; i += 2)
    (seen[req.rawHeaders[i]?.toLowerCase() ?? ''] ??= []).push(req.rawHeaders[i + 1] ?? '');
  return seen;
}

const echo: RequestListener = (req, res) => res.end(JSON.stringify(fields(req)));

describe('what the app is told about where a request came from', () => {
  it('is what the proxy saw; what a client claims is removed, in every spelling', async () => {
    await using world = await pair(echo);
    const answer = await exchangeRaw(
      world.proxy.port,
      [
        'GET / HTTP/1.1',
        'Host: a.test:8080',
        'X-Forwarded-For: 6.6.6.6',
        'x-forwarded-for: 7.7.7.7',
        'X_Forwarded_For: 8.8.8.8',
        'X-Forwarded-Proto: https',
        'X-Forwarded-Host: evil.test',
        'X-Forwarded-Port: 443',
        'X-Forwarded-Prefix: /admin',
        'X-Real-IP: 6.6.6.6',
        'Forwarded: for=6.6.6.6;proto=https',
        'Mayfly-Internal: yes',
        'Mayfly_Internal: yes',
        'Connection: close, X-Forwarded-For',
        '',
        '',
      ].join('\r\n'),
    );
    expect(answer).not.toContain('6.6.6.6');
    expect(answer).not.toMatch(/7\.7\.7\.7|8\.8\.8\.8|evil|admin|mayfly.internal/i);
    const seen = JSON.parse(answer.slice(answer.indexOf('{'), answer.lastIndexOf('}') + 1)) as object;
    expect(seen).toMatchObject({
      host: ['a.test:8080'],
      'x-forwarded-for': ['127.0.0.1'],
      'x-forwarded-proto': ['http'],
      'x-forwarded-host': ['a.test:8080'],
      forwarded: ['for=127.0.0.1;host="a.test:8080";proto=http'],
    });
    expect(seen).not.toHaveProperty('x-forwarded-port');
    expect(seen).not.toHaveProperty('x-real-ip');
  });

  it('is added to what a trusted proxy says', async () => {
    await using world = await pair(echo, { trustedProxies: new Networks(['127.0.0.0/8']) });
    const answer = await ask(world.proxy, {
      headers: {
        'X-Forwarded-For': '192.0.2.7',
        'X-Forwarded-Proto': 'https',
        'X-Forwarded-Host': 'shop.example',
        Forwarded: 'for=192.0.2.7;proto=https',
      },
    });
    expect(JSON.parse(answer.text)).toMatchObject({
      'x-forwarded-for': ['192.0.2.7, 127.0.0.1'],
      'x-forwarded-proto': ['https'],
      'x-forwarded-host': ['shop.example'],
      forwarded: ['for=192.0.2.7;proto=https, for=127.0.0.1;host=a.test;proto=http'],
    });
  });
});

describe('fields of one connection', () => {
  it('end at the proxy on the way to the app', async () => {
    await using world = await pair(echo);
    const answer = await exchangeRaw(
      world.proxy.port,
      [
        'GET / HTTP/1.1',
        'Host: a.test',
        'Connection: close, X-Secret-Hop, Host, Content-Length',
        'X-Secret-Hop: 1',
        'Keep-Alive: timeout=5',
        'Proxy-Connection: keep-alive',
        'Proxy-Authorization: Basic eDp5',
        'Proxy: http://evil.test',
        'TE: trailers, deflate;q=0.5',
        'Upgrade: h2c',
        'HTTP2-Settings: AAMAAABkAAQAAP__',
        'X-Kept: 1',
        'X-Kept: 2',
        '',
        '',
      ].join('\r\n'),
    );
    const seen = JSON.parse(answer.slice(answer.indexOf('{'), answer.lastIndexOf('}') + 1)) as Record<
      string,
      string[]
    >;
    for (const name of [
      'x-secret-hop',
      'keep-alive',
      'proxy-connection',
      'proxy-authorization',
      'proxy',
      'upgrade',
    ])
      expect(seen).not.toHaveProperty(name);
    expect(seen).toMatchObject({ host: ['a.test'], te: ['trailers'], 'x-kept': ['1', '2'] });
  });

  it('end at the proxy on the way back, with any that would pass for ours', async () => {
    await using world = await pair((_req, res) => {
      res.writeHead(
        200,
        [
          ['Connection', 'X-Hop'],
          ['X-Hop', '1'],
          ['Keep-Alive', 'timeout=1'],
          ['Proxy-Authenticate', 'Basic'],
          ['Mayfly-Cold-Start', 'forged'],
          ['Mayfly-Error', 'forged'],
          ['Set-Cookie', 'a=1'],
          ['Set-Cookie', 'b=2'],
          ['X-Case', 'Kept'],
        ].flat(),
      );
      res.end('x');
    });
    const answer = await ask(world.proxy);
    expect(answer.headers).not.toHaveProperty('x-hop');
    expect(answer.headers).not.toHaveProperty('proxy-authenticate');
    expect(answer.headers).not.toHaveProperty('mayfly-cold-start');
    expect(answer.headers).not.toHaveProperty('mayfly-error');
    expect(answer.headers['set-cookie']).toEqual(['a=1', 'b=2']);
    expect(answer.rawHeaders).toContain('X-Case');
    expect(answer.headers['keep-alive']).not.toBe('timeout=1');
  });
});

describe('the head of an answer', () => {
  it('may be of 60 KiB', async () => {
    const policy = 'x'.repeat(60 * 1024);
    await using world = await pair((_req, res) => res.setHeader('X-Policy', policy).end());
    const visit = (head: string) => exchangeRaw(world.proxy.port, `${head}\r\nHost: a.test\r\n\r\n`);
    expect(await visit('GET / HTTP/1.1\r\nConnection: close')).toContain(`X-Policy: ${policy}\r\n`);
    expect(await visit('GET / HTTP/1.0')).toContain(`X-Policy: ${policy}\r\n`);
  });

  it('passes with all of its fields, however many', async () => {
    // For an HTTP/1.0 client, as the fast transport takes no more than 256.
    const fields = Array.from({ length: 1_200 }, (_, i) => [`X-${i}`, '1']).flat();
    await using world = await pair((_req, res) => res.writeHead(200, fields).end());
    const answer = await exchangeRaw(world.proxy.port, 'GET / HTTP/1.0\r\nHost: a.test\r\n\r\n');
    expect(answer).toContain('\r\nX-1199: 1\r\n');
  });
});

describe('the framing of an answer', () => {
  it.each([
    ['HEAD', 200, 'Content-Length: 1234\r\n'],
    ['HEAD', 200, ''],
    ['GET', 204, ''],
    ['GET', 304, 'ETag: "x"\r\nContent-Length: 99\r\n'],
  ])('of %s %i has no body, and the connection goes on', async (method, status, head) => {
    await using upstream = await rawUpstream((socket) =>
      socket.on('data', () => socket.write(`HTTP/1.1 ${status} Fine\r\n${head}\r\n`)),
    );
    await using proxy = await testProxy();
    proxy.control.app('a', { activate: async () => activation([upstream.endpoint]) });
    await using client = await RawClient.open(proxy.port);
    for (let i = 1; i <= 2; i++) {
      client.send(`${method} / HTTP/1.1\r\nHost: a.test\r\n\r\n`);
      await client.saw('\r\n\r\n');
      expect(client.received).toMatch(new RegExp(`^HTTP/1.1 ${status} `));
      expect(client.received.endsWith('\r\n\r\n')).toBe(true);
      expect(client.received).not.toMatch(/transfer-encoding/i);
      if (head.includes('Content-Length'))
        expect(client.received).toContain(head.trim().split('\r\n').at(-1));
      client.received = '';
    }
  });

  it('suits an HTTP/1.0 client: no chunks, no interim answers, the end is the end', async () => {
    await using world = await pair((_req, res) => {
      res.writeEarlyHints({ link: '</a.css>; rel=preload' });
      res.write('one ');
      res.end('two');
    });
    const answer = await exchangeRaw(world.proxy.port, 'GET / HTTP/1.0\r\nHost: a.test\r\n\r\n');
    expect(answer).toMatch(/^HTTP\/1\.1 200 /);
    expect(answer).not.toMatch(/transfer-encoding/i);
    expect(answer.endsWith('\r\n\r\none two')).toBe(true);
  });

  it('passes an app’s answer that ends with its connection', async () => {
    await using upstream = await rawUpstream((socket) =>
      socket.once('data', () => socket.end('HTTP/1.0 200 OK\r\nX-Old: yes\r\n\r\nold style')),
    );
    await using proxy = await testProxy();
    proxy.control.app('a', { activate: async () => activation([upstream.endpoint]) });
    const answer = await ask(proxy);
    expect([answer.status, answer.headers['x-old'], answer.text]).toEqual([200, 'yes', 'old style']);
  });

  it('passes trailers both ways', async () => {
    await using world = await pair((req, res) => {
      void readBody(req).then(() => {
        res.writeHead(200, { Trailer: 'X-Sum' });
        res.write(`got ${req.trailers['x-in'] ?? 'none'}`);
        res.addTrailers({ 'X-Sum': '42', 'Mayfly-Forged': '1' });
        res.end();
      });
    });
    const answer = await exchangeRaw(
      world.proxy.port,
      'POST / HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\nTrailer: X-In\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\nX-In: 7\r\nHost: evil\r\n\r\n',
    );
    expect(answer).toContain('got 7');
    expect(answer).toMatch(/\r\n0\r\nX-Sum: 42\r\n\r\n$/);
  });

  it('keeps a request without a body one without a body', async () => {
    await using world = await pair(echo);
    const post = await exchangeRaw(
      world.proxy.port,
      'POST / HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n\r\n',
    );
    expect(post).toContain('"content-length":["0"]');
    const del = await exchangeRaw(
      world.proxy.port,
      'DELETE / HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n\r\n',
    );
    expect(del).not.toMatch(/content-length":|transfer-encoding/);
  });

  it('passes interim answers: 103 with its links', async () => {
    await using world = await pair((_req, res) => {
      res.writeEarlyHints({ link: '</a.css>; rel=preload', 'x-mark': 'early' });
      res.end('done');
    });
    const answer = await exchangeRaw(
      world.proxy.port,
      'GET / HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n\r\n',
    );
    expect(answer).toMatch(
      /^HTTP\/1\.1 103 Early Hints\r\nLink: <\/a\.css>; rel=preload\r\nx-mark: early\r\n\r\nHTTP\/1\.1 200 /i,
    );
  });
});

describe('Expect: 100-continue', () => {
  it('is asked of the app, whose 100 lets the body come', async () => {
    await using world = await pair(
      (req, res) => void readBody(req).then((body) => res.end(`read ${body.toString()}`)),
    );
    await using client = await RawClient.open(world.proxy.port);
    client.send(
      'POST / HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n',
    );
    await client.saw('HTTP/1.1 100 Continue\r\n\r\n');
    client.send('body');
    expect(await client.rest()).toContain('read body');
    expect(client.statuses).toEqual([100, 200]);
  });

  it('refused by the app is refused to the client, who sends nothing', async () => {
    await using upstream = await httpUpstream((_req, res) => res.end(), {
      configure: (server) =>
        server.on('checkContinue', (_req, res: ServerResponse) => res.writeHead(413).end('no')),
    });
    await using proxy = await testProxy();
    proxy.control.app('a', { activate: async () => activation([upstream.endpoint]) });
    await using client = await RawClient.open(proxy.port);
    client.send('POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 4000\r\nExpect: 100-continue\r\n\r\n');
    await client.saw(' 413 ');
    await client.rest();
    expect(client.statuses).toEqual([413]);
  });

  it('for an unknown host is answered without asking for the body', async () => {
    await using proxy = await testProxy({ limits: { lingerMs: 20 } });
    await using client = await RawClient.open(proxy.port);
    client.send(
      'POST / HTTP/1.1\r\nHost: nobody.test\r\nContent-Length: 4000\r\nExpect: 100-continue\r\n\r\n',
    );
    await client.rest();
    expect(client.statuses).toEqual([404]);
  });
});

describe('an error answer', () => {
  it('is JSON for programs, a page for browsers, and nothing but a head for HEAD', async () => {
    await using proxy = await testProxy();
    const forCurl = await ask(proxy, { headers: { Accept: '*/*' } });
    expect(forCurl.headers['content-type']).toBe('application/problem+json');
    expect(JSON.parse(forCurl.text)).toEqual({
      code: 'unknown_host',
      status: 404,
      title: 'No app has this hostname',
      detail: 'Check the spelling of the address.',
    });
    const browser = 'text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8';
    const forBrowser = await ask(proxy, { headers: { Accept: browser } });
    expect(forBrowser.headers['content-type']).toBe('text/html; charset=utf-8');
    expect(forBrowser.text).toMatch(
      /^<!doctype html>[^]*<h1>No app has this hostname<\/h1>[^]*<code>unknown_host<\/code>/,
    );
    const head = await ask(proxy, { method: 'HEAD', headers: { Accept: browser } });
    expect([head.status, head.text]).toEqual([404, '']);
    expect(head.headers['content-length']).toBe(String(forBrowser.body.length));
    for (const answer of [forCurl, forBrowser, head])
      expect(answer.headers['mayfly-error']).toBe('unknown_host');
  });

  it('leaves the connection usable when the request is over', async () => {
    await using world = await pair(echo);
    await using client = await RawClient.open(world.proxy.port);
    client.send('GET / HTTP/1.1\r\nHost: nobody.test\r\n\r\n');
    await client.saw('unknown_host');
    client.send('GET / HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n\r\n');
    await client.rest();
    expect(client.statuses).toEqual([404, 200]);
  });
});

describe('connections from the containers’ own networks', () => {
  it('are closed before a byte is read', async () => {
    const refuseFrom = new Networks(['127.0.0.1/32']);
    await using world = await pair(echo, { refuseFrom });
    expect(await exchangeRaw(world.proxy.port, 'GET / HTTP/1.1\r\nHost: a.test\r\n\r\n')).toBe('');
    expect(world.proxy.snapshot()).toMatchObject({ refusedConnections: { network: 1 }, requests: 0 });
  });

  it('are recognised on a socket that serves IPv4 and IPv6', async () => {
    const refuseFrom = new Networks(['127.0.0.0/8']);
    await using world = await pair(echo, { refuseFrom, listen: { host: '::', port: 0 } });
    expect(await exchangeRaw(world.proxy.port, 'GET / HTTP/1.1\r\nHost: a.test\r\n\r\n')).toBe('');
  });
});
