/** What one connection leaves to the next: memory, and nothing that its client said. */
import { expect, it } from 'vitest';
import { Heads } from '../../src/proxy/fast/heads.ts';
import { COMPLETE, INCOMPLETE } from '../../src/proxy/http1/head-result.ts';
import { DEFAULT_REQUEST_HEAD_LIMITS } from '../../src/proxy/http1/limits.ts';

const FIRST = 'GET /a HTTP/1.1\r\nHost: a.test\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n';

it('a connection reads with what another has given back, as if it were new', () => {
  const heads = new Heads(DEFAULT_REQUEST_HEAD_LIMITS, false);
  const head = heads.take();
  const source = Buffer.from(FIRST, 'latin1');
  expect(head.parse(source, 0, source.length)).toBe(COMPLETE);
  head.repetition.remember(0, source, 0, source.length, source, 0, source.length);
  heads.giveBack(head);
  const again = heads.take();
  expect(again).toBe(head);
  expect(again).toMatchObject({ contentLength: 0, expectsContinue: false, repeats: false, headBytes: 0 });
  expect(again.repetition.isAt(source, 0, source.length, 0)).toBe(false);
  const second = Buffer.from('GET /b HTTP/1.1\r\nHost: b.test\r\n\r\n', 'latin1');
  expect(again.parse(second, 0, second.length)).toBe(COMPLETE);
  expect(again).toMatchObject({ host: 'b.test', contentLength: 0, expectsContinue: false });
});

it('one that was given back in the middle of a head begins another', () => {
  const heads = new Heads(DEFAULT_REQUEST_HEAD_LIMITS, false);
  const head = heads.take();
  const source = Buffer.from(FIRST, 'latin1');
  expect(head.parse(source, 0, 30)).toBe(INCOMPLETE);
  heads.giveBack(head);
  expect(heads.take().parse(source, 0, source.length)).toBe(COMPLETE);
});
