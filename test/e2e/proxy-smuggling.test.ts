/**
 * Requests that two readers could take differently, each as the bytes an attacker would send. What counts is that nothing
 * of them reaches an app: neither the request nor what hides behind it.
 */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { transportUnderTest } from '../support/proxy-transport.ts';
import { exchangeRaw, RawClient } from '../support/raw-http.ts';
import { activation } from '../support/scripted-control-plane.ts';
import { testProxy } from '../support/upstreams-proxy.ts';
import type { TestProxy } from '../support/upstreams-proxy.ts';
import { httpUpstream, readBody } from '../support/upstreams.ts';
import type { Upstream } from '../support/upstreams.ts';

let proxy: TestProxy;
let upstream: Upstream;
const seen: string[] = [];

beforeAll(async () => {
  upstream = await httpUpstream((req, res) => {
    seen.push(`${req.method ?? ''} ${req.url ?? ''}`);
    readBody(req).then(
      (body) => res.end(`${req.headers.host ?? ''}|${req.url ?? ''}|${body.length}`),
      () => seen.push('broken off'),
    );
  });
  proxy = await testProxy({ limits: { lingerMs: 50, headersTimeoutMs: 400 } });
  proxy.control.app('a', {
    hosts: ['a.test', '*.a.test'],
    activate: async () => activation([upstream.endpoint]),
  });
});
afterAll(async () => {
  await proxy.close({ graceMs: 0 });
  await upstream.close();
});

const HIDDEN = 'GET /hidden HTTP/1.1\r\nHost: a.test\r\n\r\n';

describe('is refused and not forwarded, with all that follows on the connection:', () => {
  it.each<[string, string]>([
    ['no Host', 'GET / HTTP/1.1\r\n\r\n'],
    ['two Hosts', 'GET / HTTP/1.1\r\nHost: a.test\r\nHost: b.test\r\n\r\n'],
    ['the same Host twice', 'GET / HTTP/1.1\r\nHost: a.test\r\nhost: a.test\r\n\r\n'],
    ['two Hosts in HTTP/1.0', 'GET / HTTP/1.0\r\nHost: a.test\r\nHost: b.test\r\n\r\n'],
    ['an empty Host', 'GET / HTTP/1.1\r\nHost:\r\n\r\n'],
    ['two hosts in one Host', 'GET / HTTP/1.1\r\nHost: a.test, b.test\r\n\r\n'],
    ['a Host with a path', 'GET / HTTP/1.1\r\nHost: a.test/x\r\n\r\n'],
    ['a Host with user information', 'GET / HTTP/1.1\r\nHost: u@a.test\r\n\r\n'],
    ['a Host with a bad port', 'GET / HTTP/1.1\r\nHost: a.test:x\r\n\r\n'],
    ['an absolute target that names another host', 'GET http://b.test/ HTTP/1.1\r\nHost: a.test\r\n\r\n'],
    ['an absolute target with user information', 'GET http://u@a.test/ HTTP/1.1\r\nHost: a.test\r\n\r\n'],
    ['an absolute target without a Host', 'GET http://a.test/ HTTP/1.1\r\n\r\n'],
    [
      'Content-Length and Transfer-Encoding',
      `POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 6\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n${HIDDEN}`,
    ],
    [
      'Transfer-Encoding and Content-Length',
      `POST / HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\nContent-Length: 6\r\n\r\n0\r\n\r\n${HIDDEN}`,
    ],
    [
      'Transfer-Encoding in HTTP/1.0',
      `POST / HTTP/1.0\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n${HIDDEN}`,
    ],
    [
      'two Transfer-Encodings',
      'POST / HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n',
    ],
    [
      'a Transfer-Encoding other than chunked',
      'POST / HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n',
    ],
    [
      'chunked that is not last',
      'POST / HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n',
    ],
    ['identity', `POST / HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: identity\r\n\r\n${HIDDEN}`],
    [
      'an unknown Transfer-Encoding',
      'POST / HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n',
    ],
    [
      'a quoted Transfer-Encoding',
      'POST / HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: "chunked"\r\n\r\n0\r\n\r\n',
    ],
    [
      'a vertical tab before chunked',
      'POST / HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n',
    ],
    [
      'two differing Content-Lengths',
      `POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 0\r\nContent-Length: 40\r\n\r\n${HIDDEN}`,
    ],
    [
      'the same Content-Length twice',
      'POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 3\r\nContent-Length: 3\r\n\r\nabc',
    ],
    ['a list of Content-Lengths', 'POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 3, 3\r\n\r\nabc'],
    ['a signed Content-Length', 'POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: +3\r\n\r\nabc'],
    ['a negative Content-Length', 'POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: -3\r\n\r\nabc'],
    ['a hexadecimal Content-Length', 'POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 0x3\r\n\r\nabc'],
    [
      'a Content-Length beyond counting',
      'POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 99999999999999999999\r\n\r\nabc',
    ],
    ['an empty Content-Length', `POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length:\r\n\r\n${HIDDEN}`],
    ['a space before the colon', 'POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length : 3\r\n\r\nabc'],
    [
      'a space before the colon of Transfer-Encoding',
      'POST / HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding : chunked\r\n\r\n0\r\n\r\n',
    ],
    ['a folded field', 'GET / HTTP/1.1\r\nHost: a.test\r\nX-A: one\r\n two\r\n\r\n'],
    [
      'a folded Transfer-Encoding',
      'POST / HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n',
    ],
    ['a first field that begins with a space', 'GET / HTTP/1.1\r\n Host: a.test\r\n\r\n'],
    ['a bare LF after a field', 'GET / HTTP/1.1\r\nHost: a.test\nX-A: b\r\n\r\n'],
    ['bare LFs alone', 'GET / HTTP/1.1\nHost: a.test\n\n'],
    ['a bare CR in a field', 'GET / HTTP/1.1\r\nHost: a.test\r\nX-A: b\rX-C: d\r\n\r\n'],
    ['a NUL in a field', 'GET / HTTP/1.1\r\nHost: a.test\r\nX-A: b\x00c\r\n\r\n'],
    ['a NUL in a field name', 'GET / HTTP/1.1\r\nHost: a.test\r\nX\x00A: b\r\n\r\n'],
    ['a field without a name', 'GET / HTTP/1.1\r\nHost: a.test\r\n: b\r\n\r\n'],
    ['a field without a colon', 'GET / HTTP/1.1\r\nHost: a.test\r\nGarbage\r\n\r\n'],
    ['an HTTP/2.0 request line', 'GET / HTTP/2.0\r\nHost: a.test\r\n\r\n'],
    ['an HTTP/1.2 request line', 'GET / HTTP/1.2\r\nHost: a.test\r\n\r\n'],
    ['an HTTP/0.9 request line', 'GET / HTTP/0.9\r\nHost: a.test\r\n\r\n'],
    ['no version at all', 'GET /\r\nHost: a.test\r\n\r\n'],
    ['a tab in the request line', 'GET\t/ HTTP/1.1\r\nHost: a.test\r\n\r\n'],
    ['a space in the target', 'GET /a b HTTP/1.1\r\nHost: a.test\r\n\r\n'],
    ['a fragment in the target', 'GET /a#b HTTP/1.1\r\nHost: a.test\r\n\r\n'],
    ['a target that is no path', 'GET a.test HTTP/1.1\r\nHost: a.test\r\n\r\n'],
    ['* with another method than OPTIONS', 'GET * HTTP/1.1\r\nHost: a.test\r\n\r\n'],
    ['CONNECT', `CONNECT a.test:80 HTTP/1.1\r\nHost: a.test\r\n\r\n${HIDDEN}`],
    ['a method nobody knows', 'SPY / HTTP/1.1\r\nHost: a.test\r\n\r\n'],
    ['a lower-case method', 'get / HTTP/1.1\r\nHost: a.test\r\n\r\n'],
    ['a TLS greeting', '\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03'],
  ])('%s', async (_what, bytes) => {
    seen.length = 0;
    const before = upstream.accepted;
    const answer = await exchangeRaw(proxy.port, bytes + HIDDEN);
    const [status, ...further] = [...answer.matchAll(/HTTP\/1\.1 (\d{3}) /g)].map((match) => match[1]);
    expect(status).toBe('400');
    expect(further).toEqual([]);
    expect(answer).toMatch(/mayfly-error: (?:ambiguous_http|bad_request)\r\n/i);
    expect(answer).toMatch(/connection: close\r\n/i);
    expect(seen).toEqual([]);
    expect(upstream.accepted).toBe(before);
  });

  it('a chunk size that is not one: the app sees the request broken off, never ended', async () => {
    seen.length = 0;
    for (const chunks of [
      'zz\r\nabc\r\n0\r\n\r\n',
      '3\nabc\r\n0\r\n\r\n',
      '3\r\nabcd\r\n0\r\n\r\n',
      '0x3\r\nabc\r\n0\r\n\r\n',
      '-3\r\nabc\r\n',
    ]) {
      const answer = await exchangeRaw(
        proxy.port,
        `POST /body HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n${chunks}${HIDDEN}`,
      );
      expect(answer).not.toMatch(/ 200 /);
      expect(answer).not.toContain('hidden');
    }
    expect(seen).not.toContain('GET /hidden');
  });

  it('an HTTP/2 preface', async () => {
    const answer = await exchangeRaw(proxy.port, 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n');
    expect(answer).not.toMatch(/ 200 /);
  });
});

describe('is read in the one way it can be read:', () => {
  it.each<[string, string, string]>([
    [
      'an absolute target that agrees with Host',
      'GET http://A.test/x?y HTTP/1.1\r\nHost: a.test\r\n',
      'a.test|/x?y|0',
    ],
    ['an absolute target without a path', 'GET http://a.test?y HTTP/1.1\r\nHost: a.test\r\n', 'a.test|/?y|0'],
    ['an absolute target in HTTP/1.0 without Host', 'GET http://a.test/x HTTP/1.0\r\n', 'a.test|/x|0'],
    ['HTTP/1.0 with a Host', 'GET /x HTTP/1.0\r\nHost: a.test\r\n', 'a.test|/x|0'],
    [
      'a Host in capitals with dot and port',
      'GET /x HTTP/1.1\r\nHost: A.Test.:8080\r\n',
      'A.Test.:8080|/x|0',
    ],
    ['OPTIONS *', 'OPTIONS * HTTP/1.1\r\nHost: a.test\r\n', 'a.test|*|0'],
    [
      'a path with dots and slashes as it is',
      'GET //x/../y/%2e%2e/ HTTP/1.1\r\nHost: a.test\r\n',
      'a.test|//x/../y/%2e%2e/|0',
    ],
    [
      'Chunked in any case',
      'POST /x HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: Chunked\r\n',
      'a.test|/x|3',
    ],
    ['a host under a wildcard', 'GET /x HTTP/1.1\r\nHost: b.c.a.test\r\n', 'b.c.a.test|/x|0'],
  ])('%s', async (_what, head, expected) => {
    const body = head.includes('Chunked') ? '3\r\nabc\r\n0\r\n\r\n' : '';
    expect(await exchangeRaw(proxy.port, `${head}Connection: close\r\n\r\n${body}`)).toContain(expected);
  });
});

it('two spaces before the target are refused, by node:http alone taken for one', async () => {
  const answer = await exchangeRaw(
    proxy.port,
    'GET  /x HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n\r\n',
  );
  expect(answer).toMatch(
    transportUnderTest() === 'http' ? /^HTTP\/1\.1 200 [^]*a\.test\|\/x\|0/ : /^HTTP\/1\.1 400 /,
  );
});

describe('a request that is too large or too slow', () => {
  it('has too long a target: 414', async () => {
    const answer = await exchangeRaw(
      proxy.port,
      `GET /${'x'.repeat(9_000)} HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n\r\n`,
    );
    expect(answer).toMatch(/^HTTP\/1\.1 414 /);
  });

  it('has too large a header section: 431, and the client can read it', async () => {
    for (const bytes of [20_000, 3_000_000]) {
      const answer = await exchangeRaw(
        proxy.port,
        `GET / HTTP/1.1\r\nHost: a.test\r\nX-A: ${'x'.repeat(bytes)}\r\n\r\n`,
      );
      expect(answer).toMatch(/^HTTP\/1\.1 431 /);
      expect(answer).toContain('headers_too_large');
    }
  });

  it('has more fields than Node keeps by default: all of them are looked at', async () => {
    const many = Array.from({ length: 2_500 }, () => 'a:\r\n').join('');
    const answer = await exchangeRaw(
      proxy.port,
      `GET / HTTP/1.1\r\nHost: a.test\r\n${many}Host: b.test\r\n\r\n`,
    );
    expect(answer).toMatch(/^HTTP\/1\.1 400 /);
  });

  it('dribbles its header section: 408', async () => {
    await using client = await RawClient.open(proxy.port);
    client.send('GET / HTTP/1.1\r\nHost: a.te');
    const answer = await client.rest();
    expect(answer).toMatch(/^HTTP\/1\.1 408 /);
    expect(answer).toContain('request_timeout');
  });

  it('says nothing at all: its connection is closed without a word', async () => {
    expect(await exchangeRaw(proxy.port, '')).toBe('');
  });
});

describe('what is wrong with a later request on a connection', () => {
  it('is never taken for the answer to an earlier one', async () => {
    await using client = await RawClient.open(proxy.port);
    client.send('GET /first HTTP/1.1\r\nHost: a.test\r\n\r\nGARBAGE\r\n\r\n');
    expect(await client.rest()).toContain('/first');
    // It has its own answer, or none.
    expect(client.statuses).toEqual(transportUnderTest() === 'http' ? [200] : [200, 400]);
  });

  it('is answered in its turn when the earlier ones are done', async () => {
    await using client = await RawClient.open(proxy.port);
    client.send('GET /first HTTP/1.1\r\nHost: a.test\r\n\r\n');
    await client.saw('/first');
    client.send('GARBAGE\r\n\r\n');
    await client.rest();
    expect(client.statuses).toEqual([200, 400]);
  });
});
