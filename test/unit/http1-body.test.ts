import { describe, expect, it } from 'vitest';
import { BodyFraming } from '../../src/proxy/http1/body-framing.ts';
import {
  CHUNK_END,
  LAST_CHUNK,
  MAX_CHUNK_HEAD_BYTES,
  writeChunkHead,
} from '../../src/proxy/http1/chunk-encoding.ts';
import { BY_LENGTH, CHUNKED, NO_BODY, UNTIL_CLOSE } from '../../src/proxy/http1/framing.ts';
import { REFUSALS } from '../../src/proxy/http1/refusals.ts';

const bytes = (text: string) => Buffer.from(text, 'latin1');

describe('a body', () => {
  it('that is none takes nothing', () => {
    const body = new BodyFraming();
    body.begin(NO_BODY, 0);
    expect([body.done, body.wholeAtClose, body.take(bytes('abc'), 0, 3)]).toEqual([true, true, 0]);
  });

  it('by length takes as many bytes as it has, whatever else is there', () => {
    const body = new BodyFraming();
    body.begin(BY_LENGTH, 5);
    expect(body.take(bytes('abc'), 0, 3)).toBe(3);
    expect([body.done, body.wholeAtClose, body.payloadBytes]).toEqual([false, false, 3]);
    expect(body.take(bytes('..defgh'), 2, 7)).toBe(2);
    expect([body.done, body.wholeAtClose, body.payloadBytes]).toEqual([true, true, 5]);
    expect(body.take(bytes('ijk'), 0, 3)).toBe(0);
  });

  it('may be longer than 4 GiB', () => {
    const body = new BodyFraming();
    body.begin(BY_LENGTH, Number.MAX_SAFE_INTEGER);
    expect(body.take(bytes('abc'), 0, 3)).toBe(3);
    expect(body.done).toBe(false);
  });

  it('until the connection ends takes everything, and is whole when it ends', () => {
    const body = new BodyFraming();
    body.begin(UNTIL_CLOSE, 0);
    expect(body.take(bytes('abc'), 0, 3)).toBe(3);
    expect([body.done, body.wholeAtClose, body.payloadBytes]).toEqual([false, true, 3]);
  });

  it('in chunks ends with them, and says how much it carried', () => {
    const body = new BodyFraming();
    const text = '3;a=b\r\nabc\r\n0\r\nX-A: b\r\n\r\n';
    body.begin(CHUNKED, 0);
    expect(body.take(bytes(`${text}GET /`), 0, text.length + 5)).toBe(text.length);
    expect([body.done, body.payloadBytes]).toEqual([true, 3]);
    expect(body.take(bytes('GET /'), 0, 5)).toBe(0);
  });

  it('in chunks is not whole before its last line', () => {
    const body = new BodyFraming();
    body.begin(CHUNKED, 0);
    const text = '3\r\nabc\r\n0\r\n\r';
    expect(body.take(bytes(text), 0, text.length)).toBe(text.length);
    expect([body.done, body.wholeAtClose]).toEqual([false, false]);
  });

  it('that is broken stays broken, until another begins', () => {
    const body = new BodyFraming();
    body.begin(CHUNKED, 0);
    expect(body.take(bytes('x\r\n'), 0, 3)).toBe(-1);
    expect(body.refusal).toBe(REFUSALS.badChunkSize);
    expect(body.take(bytes('0\r\n\r\n'), 0, 5)).toBe(-1);
    expect([body.done, body.wholeAtClose]).toEqual([false, false]);
    body.begin(CHUNKED, 0);
    expect(body.take(bytes('0\r\n\r\n'), 0, 5)).toBe(5);
    expect([body.done, body.refusal]).toEqual([true, undefined]);
  });

  it('gives its payload piece by piece to whoever frames it otherwise', () => {
    const body = new BodyFraming();
    const buffer = bytes('3\r\nabc\r\n2;x\r\nde\r\n0\r\nX-A: b\r\n\r\nGET');
    body.begin(CHUNKED, 0);
    let payload = '';
    let pos = 0;
    while (!body.done) {
      pos += body.next(buffer, pos, buffer.length);
      payload += buffer.toString('latin1', body.dataStart, body.dataEnd);
    }
    expect([payload, buffer.toString('latin1', pos)]).toEqual(['abcde', 'GET']);
  });

  it.each([
    [BY_LENGTH, 3, 3],
    [UNTIL_CLOSE, 0, 5],
  ] as const)('with framing %i gives its payload as it comes', (framing, length, taken) => {
    const body = new BodyFraming();
    body.begin(framing, length);
    expect(body.next(bytes('..abcde'), 2, 7)).toBe(taken);
    expect([body.dataStart, body.dataEnd]).toEqual([2, 2 + taken]);
  });

  it('has bounds on what frames it', () => {
    const body = new BodyFraming({ extensionBytes: 10, trailerBytes: 20, trailerLines: 2 });
    const verdict = (text: string) => {
      body.begin(CHUNKED, 0);
      const taken = body.take(bytes(text), 0, text.length);
      return taken < 0 ? body.refusal : taken - text.length;
    };
    expect(verdict('1;a=b\r\nx\r\n1;a=b;c\r\nx\r\n0\r\n\r\n')).toBe(0);
    expect(verdict('1;a=b\r\nx\r\n1;a=b;cd\r\nx\r\n0\r\n\r\n')).toBe(REFUSALS.chunkExtensionsTooLarge);
    expect(verdict('0\r\nA: 1\r\nB: 2\r\n\r\n')).toBe(0);
    expect(verdict('0\r\nA: 1\r\nB: 2\r\nC: 3\r\n\r\n')).toBe(REFUSALS.trailersTooLarge);
    expect(verdict(`0\r\nA: ${'x'.repeat(13)}\r\n\r\n`)).toBe(0);
    expect(verdict(`0\r\nA: ${'x'.repeat(14)}\r\n\r\n`)).toBe(REFUSALS.trailersTooLarge);
  });
});

describe('chunks of our own', () => {
  it.each([1, 9, 10, 15, 16, 255, 4096, 65_535, 65_536, 2 ** 31, 2 ** 32 - 1])('of %i bytes', (size) => {
    const out = Buffer.alloc(MAX_CHUNK_HEAD_BYTES + 2, '#');
    const end = writeChunkHead(size, out, 1);
    expect(out.toString('latin1', 1, end)).toBe(`${size.toString(16)}\r\n`);
  });

  it('are read back', () => {
    const out = Buffer.alloc(100);
    let end = writeChunkHead(11, out, 0);
    end += out.write('hello world', end);
    const all = Buffer.concat([out.subarray(0, end), CHUNK_END, LAST_CHUNK]);
    const body = new BodyFraming();
    body.begin(CHUNKED, 0);
    expect(body.take(all, 0, all.length)).toBe(all.length);
    expect([body.done, body.payloadBytes]).toEqual([true, 11]);
  });
});
