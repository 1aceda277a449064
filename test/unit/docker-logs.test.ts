import { describe, expect, it } from 'vitest';
import { MAX_LINE_BYTES, logLines } from '../../src/compute/docker/logs.ts';
import type { LogLine } from '../../src/compute/engine.ts';

const AT = '2026-01-31T10:20:30.123456789Z';
const AT_MS = Date.parse('2026-01-31T10:20:30.123Z');

function frame(stream: 1 | 2, text: string | Buffer): Buffer {
  const message = Buffer.concat([Buffer.from(`${AT} `), Buffer.from(text)]);
  const header = Buffer.alloc(8);
  header[0] = stream;
  header.writeUInt32BE(message.length, 4);
  return Buffer.concat([header, message]);
}

/** The same bytes in chunks of `size`, as a socket may deliver them. */
async function* chunked(bytes: Buffer, size: number) {
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size);
}

async function read(bytes: Buffer, size = bytes.length): Promise<LogLine[]> {
  const lines: LogLine[] = [];
  for await (const line of logLines(chunked(bytes, size))) lines.push(line);
  return lines;
}

describe('the log stream of Docker', () => {
  it.each([1, 2, 7, 8, 9, 1000])('is read the same in chunks of %i bytes', async (size) => {
    const bytes = Buffer.concat([
      frame(1, 'one\n'),
      frame(2, 'oops\r\n'),
      frame(1, 'zwölf\n'),
      frame(1, '\n'),
    ]);
    expect(await read(bytes, size)).toEqual([
      { atMs: AT_MS, stream: 'stdout', text: 'one' },
      { atMs: AT_MS, stream: 'stderr', text: 'oops' },
      { atMs: AT_MS, stream: 'stdout', text: 'zwölf' },
      { atMs: AT_MS, stream: 'stdout', text: '' },
    ]);
  });

  it('joins the pieces of a long line, per stream, and ends with an unfinished one', async () => {
    const bytes = Buffer.concat([frame(1, 'a'), frame(2, 'x'), frame(1, 'b\n'), frame(2, 'y')]);
    expect((await read(bytes)).map(({ stream, text }) => [stream, text])).toEqual([
      ['stdout', 'ab'],
      ['stderr', 'xy'],
    ]);
  });

  it('cuts a line at the bound, not inside a character, and forgets the rest of it', async () => {
    const long = `${'x'.repeat(MAX_LINE_BYTES - 1)}é`;
    const bytes = Buffer.concat([
      frame(1, long),
      frame(1, 'more'),
      frame(1, ' and more\n'),
      frame(1, 'next\n'),
    ]);
    expect((await read(bytes)).map(({ text }) => text)).toEqual(['x'.repeat(MAX_LINE_BYTES - 1), 'next']);
  });

  it('that announces an absurd message is broken, and is not waited for', async () => {
    await expect(read(Buffer.from([1, 0, 0, 0, 0xff, 0xff, 0xff, 0xff]))).rejects.toThrow('4294967295 bytes');
  });
});
