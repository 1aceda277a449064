import { describe, expect, it } from 'vitest';
import { requestHeaders } from '../../src/proxy/forward-headers.ts';
import { fieldLines } from '../../src/proxy/http1/field-lines.ts';
import { COMPLETE } from '../../src/proxy/http1/head-result.ts';
import type { HEAD } from '../../src/proxy/http1/methods.ts';
import { GET } from '../../src/proxy/http1/methods.ts';
import { Origin } from '../../src/proxy/http1/origin.ts';
import type { Peer } from '../../src/proxy/doors/peer.ts';
import { RequestHead } from '../../src/proxy/http1/request-head.ts';
import { ResponseHead } from '../../src/proxy/http1/response-head.ts';
import { maxRequestBytes, writeRequest } from '../../src/proxy/http1/write-request.ts';
import type { RequestAdditions } from '../../src/proxy/http1/write-request.ts';
import {
  maxResponseBytes,
  SEND_CHUNKED,
  SEND_CLOSE,
  SEND_KEEP_ALIVE,
  writeResponse,
} from '../../src/proxy/http1/write-response.ts';
import { REQUESTS } from '../corpus/requests.ts';

const bytes = (text: string) => Buffer.from(text, 'latin1');
const TRUSTED = { address: '10.0.0.1', protocol: 'http', trusted: true } as const;
const PLAIN = { address: '192.0.2.7', protocol: 'http', trusted: false } as const;

function forwarded(text: string, options: Peer = PLAIN, additions?: RequestAdditions): string {
  const head = new RequestHead();
  const source = bytes(text);
  expect([head.parse(source, 0, source.length), head.refusal]).toEqual([COMPLETE, undefined]);
  const origin = new Origin(options);
  const most = maxRequestBytes(head, origin, additions);
  const out = Buffer.alloc(most + 7, '#');
  const end = writeRequest(head, source, 0, out, 7, origin, additions);
  expect(end).toBeLessThanOrEqual(7 + most);
  expect(source.toString('latin1')).toBe(text);
  return out.toString('latin1', 7, end);
}

const linesOf = (head: string) => head.split('\r\n').slice(1, -2);

describe('the head that goes to the app', () => {
  it('is the client’s, byte for byte, but for what concerns the connection and where it came from', () => {
    expect(
      forwarded(
        'GET /a?b HTTP/1.1\r\nHost: a.test\r\nConnection: keep-alive\r\nuser-agent:  x \r\nAccept: */*\r\n\r\n',
      ),
    ).toBe(
      'GET /a?b HTTP/1.1\r\nHost: a.test\r\nuser-agent:  x \r\nAccept: */*\r\n' +
        'X-Forwarded-For: 192.0.2.7\r\nX-Forwarded-Host: a.test\r\nX-Forwarded-Proto: http\r\n' +
        'Forwarded: for=192.0.2.7;host=a.test;proto=http\r\n\r\n',
    );
  });

  it('is HTTP/1.1 whatever the client speaks', () => {
    expect(forwarded('GET / HTTP/1.0\r\nHost: a.test\r\n\r\n')).toMatch(
      /^GET \/ HTTP\/1\.1\r\nHost: a\.test\r\n/,
    );
    expect(forwarded('\r\nGET / HTTP/1.0\r\nHost: a.test\r\n\r\n')).toMatch(/^GET \/ HTTP\/1\.1\r\n/);
    expect(forwarded('GET http://a.test/ HTTP/1.0\r\n\r\n')).toMatch(
      /^GET \/ HTTP\/1\.1\r\nHost: a\.test\r\n/,
    );
  });

  it('says that there is no body where the method usually has one', () => {
    for (const method of ['POST', 'PUT', 'PATCH', 'PROPFIND'])
      expect(forwarded(`${method} / HTTP/1.1\r\nHost: a.test\r\n\r\n`)).toContain(
        '\r\nContent-Length: 0\r\n',
      );
    for (const method of ['GET', 'HEAD', 'DELETE', 'OPTIONS', 'TRACE'])
      expect(forwarded(`${method} / HTTP/1.1\r\nHost: a.test\r\n\r\n`)).not.toMatch(/content-length/i);
  });

  it('asks for the upgrade where it is to be passed on, and only there', () => {
    const text =
      'GET / HTTP/1.1\r\nHost: a.test\r\nConnection: Upgrade, X-A\r\nX-A: 1\r\nUpgrade: WebSocket\r\nSec-WebSocket-Key: k\r\n\r\n';
    expect(linesOf(forwarded(text, PLAIN, { upgrade: true }))).toEqual(
      expect.arrayContaining(['Connection: Upgrade', 'Upgrade: websocket', 'Sec-WebSocket-Key: k']),
    );
    expect(forwarded(text)).not.toMatch(/upgrade|x-a/i);
  });

  it('takes lines of ours', () => {
    const lines = fieldLines(['Mayfly-Hop', '1', 'Via', '1.1 mayfly']);
    expect(forwarded('GET / HTTP/1.1\r\nHost: a.test\r\n\r\n', PLAIN, { lines })).toMatch(
      /\r\nMayfly-Hop: 1\r\nVia: 1\.1 mayfly\r\n\r\n$/,
    );
  });

  it('is the same from another place in memory, and for the next request of the connection', () => {
    const head = new RequestHead();
    const origin = new Origin(PLAIN);
    const out = Buffer.alloc(1000);
    const texts = ['GET /1 HTTP/1.1\r\nHost: a.test\r\n\r\n', 'GET /2 HTTP/1.1\r\nHost: b.test:81\r\n\r\n'];
    for (const text of texts) {
      head.parse(bytes(text), 0, text.length);
      const moved = bytes(`elsewhere${text}`);
      const end = writeRequest(head, moved, 9, out, 0, origin);
      expect(out.toString('latin1', 0, end)).toBe(forwarded(text));
    }
  });
});

describe('where a request came from', () => {
  it('is told with brackets and quotes where RFC 7239 wants them', () => {
    const head = forwarded('GET / HTTP/1.1\r\nHost: [::1]:8080\r\n\r\n', {
      address: '2001:db8::7',
      protocol: 'https',
      trusted: false,
    });
    expect(linesOf(head)).toEqual([
      'Host: [::1]:8080',
      'X-Forwarded-For: 2001:db8::7',
      'X-Forwarded-Host: [::1]:8080',
      'X-Forwarded-Proto: https',
      'Forwarded: for="[2001:db8::7]";host="[::1]:8080";proto=https',
    ]);
  });

  const claims = [
    'X-Forwarded-For: 192.0.2.7',
    'x-forwarded-FOR:192.0.2.8, 192.0.2.9',
    'X_Forwarded_For: 6.6.6.6',
    'X-Forwarded-For:',
    'X-Forwarded-Proto: https',
    'X-Forwarded-Proto: ftp',
    'X-Forwarded-Host: shop.example ',
    'X-Forwarded-Port: 443',
    'X-Real-IP: 6.6.6.6',
    'Forwarded: for=192.0.2.7;proto=https',
    'Forwarded: for=192.0.2.8',
  ];
  const text = `GET / HTTP/1.1\r\n${claims.slice(0, 4).join('\r\n')}\r\nHost: a.test\r\nX-A: b\r\n${claims.slice(4).join('\r\n')}\r\n\r\n`;

  it('is added to what a trusted peer says', () => {
    expect(linesOf(forwarded(text, TRUSTED))).toEqual([
      'Host: a.test',
      'X-A: b',
      'X-Forwarded-For: 192.0.2.7, 192.0.2.8, 192.0.2.9, 10.0.0.1',
      'X-Forwarded-Host: shop.example',
      'X-Forwarded-Proto: https',
      'Forwarded: for=192.0.2.7;proto=https, for=192.0.2.8, for=10.0.0.1;host=a.test;proto=http',
    ]);
  });

  it('is said by us alone if the peer is not trusted, or claims nothing', () => {
    expect(linesOf(forwarded(text))).toEqual([
      'Host: a.test',
      'X-A: b',
      'X-Forwarded-For: 192.0.2.7',
      'X-Forwarded-Host: a.test',
      'X-Forwarded-Proto: http',
      'Forwarded: for=192.0.2.7;host=a.test;proto=http',
    ]);
    expect(linesOf(forwarded('GET / HTTP/1.1\r\nHost: a.test\r\n\r\n', TRUSTED))).toContain(
      'X-Forwarded-For: 10.0.0.1',
    );
  });
});

describe('beside the transport on node:http', () => {
  const plain = REQUESTS.filter((one) => one.end === 'idle' && one.requests.length === 1).filter(
    ({ bytes: text }) => !/^\S+ http|HTTP\/1\.0|_/i.test(text),
  );

  it.each(plain.map((one) => [`${one.family}: ${one.name}`, one.bytes] as const))(
    'the app sees the same fields of %s',
    (_name, text) => {
      const head = new RequestHead();
      const source = bytes(text);
      head.parse(source, 0, source.length);
      const [line = '', ...lines] = text
        .trimStart()
        .slice(0, text.trimStart().indexOf('\r\n\r\n'))
        .split('\r\n');
      const rawHeaders = lines.flatMap((one) => {
        const colon = one.indexOf(':');
        return [one.slice(0, colon), one.slice(colon + 1).replace(/^[ \t]+|[ \t]+$/g, '')];
      });
      const expected = requestHeaders({
        method: line.split(' ', 1)[0] ?? '',
        version: '1.1',
        head: {
          host: head.host,
          hostHeader: head.fields.memo.raw,
          target: '/',
          body: (['none', 'length', 'chunked', 'none'] as const)[head.framing],
          contentLength: head.contentLength,
        },
        rawHeaders,
        peer: PLAIN,
        upgrade: undefined,
      });
      const pairs = (fields: string[]) =>
        fields
          .flatMap((name, i) => (i % 2 === 0 ? [`${name}: ${fields[i + 1] ?? ''}`] : []))
          .map((one) => one.replace('Connection: keep-alive, TE', 'Connection: TE'))
          .sort();
      const actual = linesOf(forwarded(text)).flatMap((one) => {
        const colon = one.indexOf(':');
        return [one.slice(0, colon), one.slice(colon + 1).replace(/^[ \t]+|[ \t]+$/g, '')];
      });
      expect(pairs(actual)).toEqual(pairs(expected));
    },
  );
});

describe('the head that goes to the client', () => {
  function answered(
    text: string,
    send: number,
    lines?: Buffer,
    method: typeof GET | typeof HEAD = GET,
  ): string {
    const head = new ResponseHead();
    const source = bytes(text);
    expect([head.parse(source, 0, source.length, method), head.refusal]).toEqual([COMPLETE, undefined]);
    const most = maxResponseBytes(head, lines);
    const out = Buffer.alloc(most + 3);
    const end = writeResponse(head, source, 0, out, 3, send, lines);
    expect(end).toBeLessThanOrEqual(3 + most);
    return out.toString('latin1', 3, end);
  }

  it('is the app’s, byte for byte, but for what concerns the connection', () => {
    expect(
      answered('HTTP/1.1 200 Fine\r\nX-A:b\r\nConnection: close\r\nContent-Length: 3\r\n\r\nabc', 0),
    ).toBe('HTTP/1.1 200 Fine\r\nX-A:b\r\nContent-Length: 3\r\n\r\n');
  });

  it('says how the body to the client is framed, and what becomes of the connection', () => {
    const text = 'HTTP/1.0 200 OK\r\nX-A: b\r\n\r\n';
    expect(answered(text, SEND_CHUNKED | SEND_CLOSE)).toBe(
      'HTTP/1.1 200 OK\r\nX-A: b\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n',
    );
    expect(answered(text, SEND_KEEP_ALIVE)).toBe(
      'HTTP/1.1 200 OK\r\nX-A: b\r\nConnection: keep-alive\r\n\r\n',
    );
  });

  it('takes lines of ours, and none of the app’s that look like them', () => {
    const lines = fieldLines([
      'Server-Timing',
      'mayfly-start;dur=12',
      'Mayfly-Cold-Start',
      'started; total=12',
    ]);
    expect(
      answered('HTTP/1.1 200 OK\r\nMayfly-Cold-Start: forged\r\nServer-Timing: app;dur=1\r\n\r\n', 0, lines),
    ).toBe(
      'HTTP/1.1 200 OK\r\nServer-Timing: app;dur=1\r\nServer-Timing: mayfly-start;dur=12\r\nMayfly-Cold-Start: started; total=12\r\n\r\n',
    );
  });

  it('has its space where the app left it out', () => {
    expect(answered('HTTP/1.1 404\r\nConnection: close\r\nX-A: b\r\n\r\n', 0)).toBe(
      'HTTP/1.1 404 \r\nX-A: b\r\n\r\n',
    );
  });
});

describe('lines of our own', () => {
  it('that could not be read back are a mistake of the caller', () => {
    expect(() => fieldLines(['X A', 'b'])).toThrow(TypeError);
    expect(() => fieldLines(['', 'b'])).toThrow(TypeError);
    expect(() => fieldLines(['X-A', 'b\r\nX-B: c'])).toThrow(TypeError);
    expect(() => fieldLines(['X-A', '\u0142'])).toThrow(TypeError);
    expect(fieldLines([]).length).toBe(0);
  });
});
