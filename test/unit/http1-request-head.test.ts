import { describe, expect, it } from 'vitest';
import { BY_LENGTH, CHUNKED, NO_BODY } from '../../src/proxy/http1/framing.ts';
import { COMPLETE, INCOMPLETE, ODD, REFUSED } from '../../src/proxy/http1/head-result.ts';
import { GET, HEAD, isIdempotent, OTHER, POST, PUT } from '../../src/proxy/http1/methods.ts';
import { PartialHead } from '../../src/proxy/http1/partial-head.ts';
import { REFUSALS } from '../../src/proxy/http1/refusals.ts';
import { RequestHead } from '../../src/proxy/http1/request-head.ts';

const bytes = (text: string) => Buffer.from(text, 'latin1');

function parsed(text: string, head = new RequestHead()): RequestHead {
  const buffer = bytes(text);
  expect([head.parse(buffer, 0, buffer.length), head.refusal]).toEqual([COMPLETE, undefined]);
  return head;
}

const get = (lines = '') => parsed(`GET / HTTP/1.1\r\nHost: a.test\r\n${lines}\r\n`);

describe('a complete head', () => {
  it('says where its body begins and what it is', () => {
    const text = 'POST /a?b HTTP/1.1\r\nHost: A.test:80\r\nContent-Length: 5\r\n\r\nhello and more';
    const head = parsed(text);
    expect(text.slice(head.headBytes)).toBe('hello and more');
    expect([head.method, head.methodName, head.minorVersion, head.host]).toEqual([POST, 'POST', 1, 'a.test']);
    expect([head.framing, head.contentLength]).toEqual([BY_LENGTH, 5]);
    expect(head.target(bytes(text), 0)).toBe('/a?b');
    expect(head.odd).toBe(0);
  });

  it('is found anywhere in a buffer, with another behind it', () => {
    const one = 'HEAD /1 HTTP/1.1\r\nHost: a.test\r\n\r\n';
    const two = 'PUT /2 HTTP/1.1\r\nHost: b.test\r\nTransfer-Encoding: chunked\r\n\r\n';
    const buffer = bytes(`behind${one}${two}0\r\n\r\n`);
    const head = new RequestHead();
    expect(head.parse(buffer, 6, buffer.length)).toBe(COMPLETE);
    expect([head.method, head.host, head.framing]).toEqual([HEAD, 'a.test', NO_BODY]);
    const start = 6 + head.headBytes;
    expect(head.parse(buffer, start, buffer.length)).toBe(COMPLETE);
    expect([head.method, head.host, head.framing, head.headBytes]).toEqual([
      PUT,
      'b.test',
      CHUNKED,
      two.length,
    ]);
    expect(head.target(buffer, start)).toBe('/2');
  });

  it('leaves nothing of itself to the next one but its Host', () => {
    const head = parsed(
      'PROPFIND http://a.test/ HTTP/1.1\r\nHost: a.test\r\nConnection: close, X-A\r\nX-A: 1\r\nTE: trailers\r\nTrailer: X-B\r\nForwarded: for=a\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n',
    );
    expect([head.methodName, head.method, head.keepAlive, head.expectsContinue]).toEqual([
      'PROPFIND',
      OTHER,
      false,
      true,
    ]);
    expect(head.odd).toBe(ODD.method | ODD.absoluteForm | ODD.trailers);
    const { host } = head;
    parsed('GET / HTTP/1.1\r\nHost: a.test\r\n\r\n', head);
    expect([head.methodName, head.keepAlive, head.expectsContinue, head.odd]).toEqual([
      'GET',
      true,
      false,
      0,
    ]);
    expect([head.framing, head.contentLength, head.fields.cuts.count]).toEqual([NO_BODY, 0, 0]);
    const { acceptsTrailers, announcesTrailers, claimsOrigin } = head.fields;
    expect([acceptsTrailers, announcesTrailers, claimsOrigin]).toEqual([false, false, false]);
    expect(head.host).toBe(host);
  });
});

describe('whether the connection goes on', () => {
  it.each([
    ['HTTP/1.1', '', true],
    ['HTTP/1.1', 'Connection: keep-alive\r\n', true],
    ['HTTP/1.1', 'Connection: close\r\n', false],
    ['HTTP/1.1', 'Connection: CLOSE\r\n', false],
    ['HTTP/1.1', 'Connection: X-A ,\tClose ,\r\n', false],
    ['HTTP/1.1', 'Connection: keep-alive, close\r\n', false],
    ['HTTP/1.1', 'Connection: keep-alive\r\nConnection: close\r\n', false],
    ['HTTP/1.1', 'Connection: closed\r\n', true],
    ['HTTP/1.1', 'X-Connection: close\r\n', true],
    ['HTTP/1.0', '', false],
    ['HTTP/1.0', 'Connection: keep-alive\r\n', true],
    ['HTTP/1.0', 'Connection: Keep-Alive, X-A\r\n', true],
    ['HTTP/1.0', 'Connection: keep-alive, close\r\n', false],
    ['HTTP/1.0', 'Proxy-Connection: keep-alive\r\n', false],
  ])('%s with %j: %s', (version, lines, keepAlive) => {
    expect(parsed(`GET / ${version}\r\nHost: a.test\r\n${lines}\r\n`).keepAlive).toBe(keepAlive);
  });
});

describe('an Expect', () => {
  const post = (lines: string, version = '1.1') =>
    parsed(`POST / HTTP/${version}\r\nHost: a.test\r\n${lines}\r\n`);

  it('of 100-continue, in any case, makes the client wait if there is a body', () => {
    expect(post('Expect: 100-Continue\r\nContent-Length: 1\r\n').expectsContinue).toBe(true);
    expect(post('Transfer-Encoding: chunked\r\nExpect:100-continue\r\n').expectsContinue).toBe(true);
    expect(post('Expect: 100-continue\r\n').expectsContinue).toBe(false);
    expect(post('Expect: 100-continue\r\nContent-Length: 0\r\n').expectsContinue).toBe(false);
  });

  it('means nothing in HTTP/1.0', () => {
    expect(post('Expect: 100-continue\r\nContent-Length: 1\r\n', '1.0').expectsContinue).toBe(false);
  });

  it('of anything else is odd', () => {
    const head = post('Expect: 200-ok\r\nContent-Length: 1\r\n');
    expect([head.expectsContinue, head.odd]).toEqual([false, ODD.expectation]);
  });
});

describe('what is odd', () => {
  it.each<[string, string, number]>([
    [
      'a WebSocket handshake',
      'GET / HTTP/1.1\r\nHost: a.test\r\nConnection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n',
      ODD.webSocket,
    ],
    [
      'one in other words',
      'GET / HTTP/1.1\r\nHost: a.test\r\nUpgrade: h2c, WebSocket\r\nConnection: UPGRADE\r\n',
      ODD.webSocket,
    ],
    ['an absolute target', 'GET http://a.test/ HTTP/1.1\r\nHost: a.test\r\n', ODD.absoluteForm],
    ['an asterisk', 'OPTIONS * HTTP/1.1\r\nHost: a.test\r\n', ODD.asteriskForm],
    [
      'announced trailers',
      'POST / HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n',
      ODD.trailers,
    ],
    ['another method', 'M-SEARCH / HTTP/1.1\r\nHost: a.test\r\n', ODD.method],
    ['HTTP/1.0 without a Host', 'GET / HTTP/1.0\r\n', ODD.noHost],
    ['a Host in UTF-8', 'GET / HTTP/1.1\r\nHost: m\xc3\xbcnchen.example\r\n', ODD.idnHost],
  ])('%s', (_what, text, odd) => {
    expect(parsed(`${text}\r\n`).odd).toBe(odd);
  });

  it.each([
    [
      'an upgrade to h2c',
      'GET / HTTP/1.1\r\nHost: a.test\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AA\r\n',
    ],
    ['an Upgrade that Connection does not name', 'GET / HTTP/1.1\r\nHost: a.test\r\nUpgrade: websocket\r\n'],
    [
      'an upgrade by POST',
      'POST / HTTP/1.1\r\nHost: a.test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n',
    ],
    [
      'an upgrade in HTTP/1.0',
      'GET / HTTP/1.0\r\nHost: a.test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n',
    ],
    ['OPTIONS of a path', 'OPTIONS / HTTP/1.1\r\nHost: a.test\r\n'],
    ['HTTP/1.0 with a Host', 'GET / HTTP/1.0\r\nHost: a.test\r\n'],
  ])('is not %s', (_what, text) => {
    expect(parsed(`${text}\r\n`).odd).toBe(0);
  });

  it('a request without a host is for nobody, whoever the one before was for', () => {
    const head = get();
    parsed('GET / HTTP/1.0\r\n\r\n', head);
    expect(head.host).toBe('');
  });
});

describe('the Host', () => {
  it('is that of these bytes, whatever the ones before were', () => {
    const head = get();
    parsed('GET /2 HTTP/1.1\r\nHost: a.test\r\n\r\n', head);
    expect(head.host).toBe('a.test');
    parsed('GET /2 HTTP/1.1\r\nHost: A.test\r\n\r\n', head);
    expect([head.host, head.fields.memo.raw]).toEqual(['a.test', 'A.test']);
    parsed('GET /2 HTTP/1.1\r\nHost: b.test.:80\r\n\r\n', head);
    expect(head.host).toBe('b.test');
    parsed('GET /2 HTTP/1.1\r\nHost: b.test\r\n\r\n', head);
    expect(head.fields.memo.raw).toBe('b.test');
  });

  it('that is longer than any before is kept whole', () => {
    const head = get();
    const long = `${'x'.repeat(60)}.${'y'.repeat(60)}.test`;
    parsed(`GET / HTTP/1.1\r\nHost: ${long}\r\n\r\n`, head);
    expect([head.host, head.fields.memo.raw]).toEqual([long, long]);
  });
});

describe('a head in pieces', () => {
  const text = 'POST /abc HTTP/1.1\r\nHost: a.test\r\nX-A: b\r\nContent-Length: 3\r\n\r\nabc';

  it('is incomplete until its last byte, in whatever buffer the bytes are by then', () => {
    const head = new RequestHead();
    const length = text.indexOf('abc', 20);
    for (let have = 0; have < length; have++) {
      const start = have % 5;
      const buffer = bytes(`${'?'.repeat(start)}${text.slice(0, have)}`);
      expect(head.parse(buffer, start, buffer.length)).toBe(INCOMPLETE);
    }
    expect(head.parse(bytes(text), 0, text.length)).toBe(COMPLETE);
    expect([head.headBytes, head.contentLength]).toEqual([length, 3]);
  });

  it('is not read again from its start: of what was read, nothing is looked at twice but a line that is kept', () => {
    const head = new RequestHead();
    const line = `GET /${'x'.repeat(1000)} HTTP/1.1\r\nHost: a.test\r\nX-A: ${'y'.repeat(5000)}`;
    const first = bytes(line);
    expect(head.parse(first, 0, first.length)).toBe(INCOMPLETE);
    // What has been judged is not judged again: were it read, these bytes would be refused.
    const then = Buffer.concat([Buffer.alloc(line.length, 0), bytes('z\r\n\r\n')]);
    expect(head.parse(then, 0, then.length)).toBe(COMPLETE);
  });

  it('is put together in a buffer that grows no further than a head may', () => {
    const partial = new PartialHead(4096);
    partial.add(bytes('abc'), 1, 3);
    expect(partial.buffer.length).toBe(1024);
    for (let i = 0; i < 10; i++) partial.add(bytes('x'.repeat(1000)), 0, 1000);
    expect([partial.length, partial.buffer.length]).toEqual([4096, 4096]);
    expect(partial.buffer.toString('latin1', 0, 5)).toBe('bcxxx');
  });
});

describe('the limits', () => {
  const limits = { headBytes: 200, targetBytes: 50, fieldLines: 4 };
  const result = (text: string) => {
    const head = new RequestHead(limits);
    const outcome = head.parse(bytes(text), 0, text.length);
    return outcome === REFUSED ? head.refusal : outcome;
  };
  const padded = (headBytes: number) => {
    const text = 'GET / HTTP/1.1\r\nHost: a.test\r\nX: \r\n\r\n';
    return text.replace('X: ', `X: ${'x'.repeat(headBytes - text.length)}`);
  };

  it('of a head are what it may have, to the byte', () => {
    expect(padded(200)).toHaveLength(200);
    expect(result(padded(200))).toBe(COMPLETE);
    expect(result(padded(201))).toBe(REFUSALS.headTooLarge);
    expect(result(padded(201).slice(0, 200))).toBe(REFUSALS.headTooLarge);
    expect(result(padded(201).slice(0, 199))).toBe(INCOMPLETE);
  });

  it('of a head do not count what is behind it', () => {
    expect(result(padded(200) + 'x'.repeat(1000))).toBe(COMPLETE);
  });

  it('of a target are what it may have, to the byte', () => {
    const target = (length: number) => `GET ${'/'.repeat(length)} HTTP/1.1\r\nHost: a.test\r\n\r\n`;
    expect(result(target(50))).toBe(COMPLETE);
    expect(result(target(51))).toBe(REFUSALS.targetTooLong);
    expect(result(target(51).slice(0, 55))).toBe(REFUSALS.targetTooLong);
    expect(result(target(51).slice(0, 54))).toBe(INCOMPLETE);
  });

  it('of fields are as many as there may be', () => {
    expect(result(`GET / HTTP/1.1\r\nHost: a.test\r\n${'a:\r\n'.repeat(3)}\r\n`)).toBe(COMPLETE);
    expect(result(`GET / HTTP/1.1\r\nHost: a.test\r\n${'a:\r\n'.repeat(4)}\r\n`)).toBe(
      REFUSALS.tooManyFields,
    );
  });
});

describe('after a refusal', () => {
  it('nothing is read any more, until it is reset', () => {
    const head = new RequestHead();
    const bad = bytes('GET / HTTP/1.1\r\n\r\n');
    const good = bytes('GET / HTTP/1.1\r\nHost: a.test\r\n\r\n');
    expect(head.parse(bad, 0, bad.length)).toBe(REFUSED);
    expect(head.refusal).toBe(REFUSALS.noHost);
    expect(head.parse(good, 0, good.length)).toBe(REFUSED);
    head.reset();
    expect(head.parse(good, 0, good.length)).toBe(COMPLETE);
  });
});

describe('a greeting of HTTP/2', () => {
  it('is told from other refusals, and leaves nothing to a head that is read after it', () => {
    const head = new RequestHead();
    const preface = bytes('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n');
    expect(head.parse(preface, 0, preface.length)).toBe(REFUSED);
    expect(head.refusal).toBe(REFUSALS.http2Preface);
    head.reset();
    const asterisk = bytes('POST * HTTP/1.1\r\nHost: a.test\r\n\r\n');
    expect(head.parse(asterisk, 0, asterisk.length)).toBe(REFUSED);
    expect(head.refusal).toBe(REFUSALS.asteriskForm);
  });
});

describe('methods', () => {
  it('that do the same when sent twice may be sent twice', () => {
    expect([isIdempotent(GET), isIdempotent(HEAD), isIdempotent(PUT)]).toEqual([true, true, true]);
    expect([isIdempotent(POST), isIdempotent(OTHER)]).toEqual([false, false]);
  });
});
