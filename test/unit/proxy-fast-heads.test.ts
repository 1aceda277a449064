/** What one connection leaves to the next: memory, and to one from the same address what was made of the same bytes. */
import { expect, it } from 'vitest';
import { Heads } from '../../src/proxy/fast/heads.ts';
import type { Reading } from '../../src/proxy/fast/heads.ts';
import { COMPLETE, INCOMPLETE, REFUSED } from '../../src/proxy/http1/head-result.ts';
import { DEFAULT_REQUEST_HEAD_LIMITS } from '../../src/proxy/http1/limits.ts';
import { writeRequest } from '../../src/proxy/http1/write-request.ts';

const ONE = { address: '192.0.2.1', protocol: 'http', trusted: false } as const;
const CLOSING = 'GET /a HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n\r\n';
const FULL = 'GET /a HTTP/1.1\r\nHost: a.test\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n';

/** Reads a head on a connection, and says what is sent to the app. */
function forwarded({ head, origin }: Reading, text: string): string {
  const source = Buffer.from(text, 'latin1');
  expect(head.parse(source, 0, source.length)).toBe(COMPLETE);
  const out = Buffer.alloc(1_024);
  return out.toString('latin1', 0, writeRequest(head, source, 0, out, 0, origin));
}

it('a connection from the same address is read with what has been read before', () => {
  const heads = new Heads(DEFAULT_REQUEST_HEAD_LIMITS, false);
  const first = heads.take(ONE);
  const sent = forwarded(first, CLOSING);
  expect(sent).toContain('X-Forwarded-For: 192.0.2.1\r\n');
  heads.giveBack(first);
  const second = heads.take({ ...ONE });
  expect(forwarded(second, CLOSING)).toBe(sent);
  expect(second.head).toMatchObject({ repeats: true, keepAlive: false, host: 'a.test' });
  expect(forwarded(second, FULL)).toContain('Content-Length: 3\r\n');
  expect(second.head).toMatchObject({ repeats: false, keepAlive: true, contentLength: 3 });
});

it.each([
  { what: 'another address', peer: { ...ONE, address: '192.0.2.2' } },
  { what: 'another door', peer: { ...ONE, protocol: 'https' as const } },
  { what: 'one whose word counts', peer: { ...ONE, trusted: true } },
])('a connection from $what reads with the memory alone, as if it were new', ({ peer }) => {
  const heads = new Heads(DEFAULT_REQUEST_HEAD_LIMITS, false);
  const first = heads.take(ONE);
  forwarded(first, FULL);
  heads.giveBack(first);
  const second = heads.take(peer);
  expect(second.head).toBe(first.head);
  expect(second.head).toMatchObject({ contentLength: 0, expectsContinue: false, headBytes: 0 });
  const sent = forwarded(second, FULL);
  expect(second.head.repeats).toBe(false);
  expect(sent).toContain(`X-Forwarded-For: ${peer.address}\r\n`);
  expect(sent).toContain(`X-Forwarded-Proto: ${peer.protocol}\r\n`);
});

it.each([
  { what: 'in the middle of a head', said: FULL.slice(0, 30), result: INCOMPLETE },
  { what: 'after what is no head', said: 'GET /a HTTP/1.1\r\nHost : a.test\r\n\r\n', result: REFUSED },
])('one that was given back $what begins another', ({ said, result }) => {
  const heads = new Heads(DEFAULT_REQUEST_HEAD_LIMITS, false);
  const first = heads.take(ONE);
  const source = Buffer.from(FULL, 'latin1');
  expect(first.head.parse(Buffer.from(said, 'latin1'), 0, said.length)).toBe(result);
  heads.giveBack(first);
  expect(heads.take(ONE).head.parse(source, 0, source.length)).toBe(COMPLETE);
});
