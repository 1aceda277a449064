import { describe, expect, it } from 'vitest';
import { BY_LENGTH, CHUNKED, NO_BODY, UNTIL_CLOSE } from '../../src/proxy/http1/framing.ts';
import { COMPLETE, INCOMPLETE, REFUSED } from '../../src/proxy/http1/head-result.ts';
import { GET, HEAD } from '../../src/proxy/http1/methods.ts';
import type { Method } from '../../src/proxy/http1/methods.ts';
import { REFUSALS } from '../../src/proxy/http1/refusals.ts';
import { ResponseHead } from '../../src/proxy/http1/response-head.ts';

const bytes = (text: string) => Buffer.from(text, 'latin1');

function parsed(text: string, method: Method = GET, upgrade = false): ResponseHead {
  const head = new ResponseHead();
  const result = head.parse(bytes(text), 0, text.length, method, upgrade);
  expect([result, head.refusal]).toEqual([COMPLETE, undefined]);
  return head;
}

describe('where the body of an answer ends', () => {
  it.each<[string, Method, number, string, number]>([
    ['by its length', GET, 200, 'Content-Length: 5\r\n', BY_LENGTH],
    ['at once, of length 0', GET, 200, 'Content-Length: 0\r\n', NO_BODY],
    ['with its last chunk', GET, 200, 'Transfer-Encoding: chunked\r\n', CHUNKED],
    ['with the connection', GET, 200, '', UNTIL_CLOSE],
    ['at once, of an answer to HEAD by length', HEAD, 200, 'Content-Length: 5\r\n', NO_BODY],
    ['at once, of an answer to HEAD in chunks', HEAD, 200, 'Transfer-Encoding: chunked\r\n', NO_BODY],
    ['at once, of an answer to HEAD with neither', HEAD, 200, '', NO_BODY],
    ['at once, of 304', GET, 304, 'Content-Length: 5\r\n', NO_BODY],
    ['at once, of 204', GET, 204, '', NO_BODY],
    ['at once, of 103', GET, 103, '', NO_BODY],
    ['by its length, of an error', GET, 500, 'Content-Length: 5\r\n', BY_LENGTH],
    ['with the connection, of an error', GET, 404, '', UNTIL_CLOSE],
  ])('%s', (_what, method, status, lines, framing) => {
    expect(parsed(`HTTP/1.1 ${status} X\r\n${lines}\r\n`, method).framing).toBe(framing);
  });
});

describe('whether the app takes another request', () => {
  it.each<[string, boolean]>([
    ['HTTP/1.1 200 OK\r\nContent-Length: 0\r\n', true],
    ['HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n', false],
    ['HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: X-A, Close\r\n', false],
    ['HTTP/1.1 200 OK\r\n', false],
    ['HTTP/1.1 204 OK\r\n', true],
    ['HTTP/1.0 200 OK\r\nContent-Length: 0\r\n', false],
    ['HTTP/1.0 200 OK\r\nContent-Length: 0\r\nConnection: Keep-Alive\r\n', true],
  ])('%j: %s', (text, keepAlive) => {
    expect(parsed(`${text}\r\n`).keepAlive).toBe(keepAlive);
  });

  it.each<[string, number]>([
    ['Keep-Alive: timeout=5', 5],
    ['Keep-Alive: max=100, timeout=75', 75],
    ['keep-alive:TIMEOUT=0', 0],
    ['Keep-Alive: timeout=', -1],
    ['Keep-Alive: 300', -1],
    ['X-A: timeout=5', -1],
  ])('and how long it waits for it: %s', (line, seconds) => {
    const head = parsed(`HTTP/1.1 200 OK\r\nContent-Length: 0\r\n${line}\r\n\r\n`);
    expect(head.keepAliveTimeoutSeconds).toBe(seconds);
  });
});

describe('interim answers', () => {
  it('are followed by another on the same bytes', () => {
    const early = 'HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n';
    const buffer = bytes(`${early}HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok`);
    const head = new ResponseHead();
    expect(head.parse(buffer, 0, buffer.length, GET)).toBe(COMPLETE);
    expect([head.status, head.interim, head.headBytes]).toEqual([103, true, early.length]);
    expect(head.parse(buffer, early.length, buffer.length, GET)).toBe(COMPLETE);
    expect([head.status, head.interim, head.contentLength]).toEqual([200, false, 2]);
  });

  it('101 is the last, and only for whoever asked', () => {
    const text = 'HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n';
    const head = parsed(text, GET, true);
    expect([head.status, head.interim, head.keepAlive, head.framing]).toEqual([101, false, false, NO_BODY]);
    const unasked = new ResponseHead();
    expect(unasked.parse(bytes(text), 0, text.length, GET)).toBe(REFUSED);
    expect(unasked.refusal).toBe(REFUSALS.unaskedUpgrade);
  });
});

describe('an answer in pieces', () => {
  it('is incomplete until its last byte', () => {
    const text = 'HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n';
    const head = new ResponseHead();
    for (let have = 0; have < text.length; have++)
      expect(head.parse(bytes(text.slice(0, have)), 0, have, GET)).toBe(INCOMPLETE);
    expect(head.parse(bytes(text), 0, text.length, GET)).toBe(COMPLETE);
    expect(head.contentLength).toBe(3);
  });

  it('leaves nothing of itself to the next one', () => {
    const head = new ResponseHead();
    const one = bytes(
      'HTTP/1.0 200 \r\nConnection: close\r\nKeep-Alive: timeout=5\r\nContent-Length: 3\r\n\r\n',
    );
    const two = bytes('HTTP/1.1 404\r\nTransfer-Encoding: chunked\r\n\r\n');
    const three = bytes('HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n');
    for (const buffer of [one, two, three]) expect(head.parse(buffer, 0, buffer.length, GET)).toBe(COMPLETE);
    expect([head.status, head.minorVersion, head.framing, head.contentLength]).toEqual([200, 1, NO_BODY, 0]);
    expect([head.keepAlive, head.keepAliveTimeoutSeconds, head.cuts.count]).toEqual([true, -1, 0]);
  });
});
