import { appendFile, mkdtemp, readdir, rm, stat, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { LogLine } from '../../src/compute/engine.ts';
import { LineSplitter } from '../../src/compute/process/log-lines.ts';
import { LogFile, readLogs } from '../../src/compute/process/logs.ts';
import { FakeClock } from '../support/fake-clock.ts';
import { until } from '../support/until.ts';

const texts = (lines: readonly { text: string }[]) => lines.map(({ text }) => text);

describe('cutting bytes into lines', () => {
  /** The lines of a text that arrives in pieces of this many bytes. */
  function split(text: string, pieceBytes: number): string[] {
    const bytes = Buffer.from(text);
    const splitter = new LineSplitter(0);
    const lines: string[] = [];
    for (let i = 0; i < bytes.length; i += pieceBytes)
      lines.push(...texts(splitter.push(bytes.subarray(i, i + pieceBytes))));
    return [...lines, ...texts(splitter.flush())];
  }

  it('is the same however the bytes arrive', () => {
    const text = 'one\n\ntwo\r\nthrée €\nlast';
    for (const pieceBytes of [1, 2, 3, 5, 100])
      expect(split(text, pieceBytes)).toEqual(['one', '', 'two', 'thrée €', 'last']);
  });

  it('keeps 16 KiB of a line and never half a character', () => {
    const long = `${'x'.repeat(16 * 1024 - 1)}€ and more\nnext\n`;
    for (const pieceBytes of [1_000, 100_000])
      expect(split(long, pieceBytes)).toEqual(['x'.repeat(16 * 1024 - 1), 'next']);
    const exact = 'y'.repeat(16 * 1024);
    expect(split(`${exact}\r\nnext`, 4_096)).toEqual([exact, 'next']);
  });
});

describe('a log file', () => {
  const MAX_BYTES = 1_000;
  let folder: string;
  let path: string;
  let clock: FakeClock;
  let log: LogFile;

  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'mayfly-logs-'));
    path = join(folder, 'stdout.log');
    clock = new FakeClock();
    log = new LogFile('stdout', path, clock, MAX_BYTES);
    await writeFile(path, '');
  });

  afterEach(() => rm(folder, { recursive: true }));

  it('is emptied when it has grown too far, and its end is still there to be read', async () => {
    const line = (i: number) => `line ${String(i).padStart(4, '0')}`;
    for (let i = 0; i < 500; i++) await appendFile(path, `${line(i)}\n`);
    await log.check();
    expect((await stat(path)).size).toBe(0);
    expect((await stat(`${path}.1`)).size).toBe(MAX_BYTES);
    await appendFile(path, 'after\n');
    expect(texts((await log.tail(3)).lines)).toEqual([line(498), line(499), 'after']);
  });

  it('that is emptied again and again holds no more than twice its bound', async () => {
    for (let round = 0; round < 5; round++) {
      await appendFile(path, 'x'.repeat(99).concat('\n').repeat(30));
      await log.check();
      expect((await stat(path)).size + (await stat(`${path}.1`)).size).toBeLessThanOrEqual(2 * MAX_BYTES);
    }
  });

  it('is emptied also where there is no room for the copy of its end', async () => {
    await symlink('/dev/full', `${path}.1`);
    await writeFile(path, 'x\n'.repeat(MAX_BYTES));
    await log.check();
    expect((await stat(path)).size).toBe(0);
    expect(await readdir(folder)).toEqual(['stdout.log']); // no half copy either
  });

  it('stamps a line with the first check that found it', async () => {
    await appendFile(path, 'one\n');
    await log.check();
    const firstMs = clock.nowMs();
    await clock.advance(5_000);
    await appendFile(path, 'two\n');
    await log.check();
    expect((await log.tail(10)).lines).toEqual([
      { atMs: firstMs, stream: 'stdout', text: 'one' },
      { atMs: firstMs + 5_000, stream: 'stdout', text: 'two' },
    ]);
  });

  it('is read backwards only as far as is asked for, across a great many lines', async () => {
    const big = new LogFile('stdout', path, clock);
    await writeFile(path, Array.from({ length: 50_000 }, (_, i) => `line ${i}\n`).join(''));
    const { lines } = await big.tail(10_000);
    expect(lines).toHaveLength(10_000);
    expect(lines[0]?.text).toBe('line 40000');
    expect(lines.at(-1)?.text).toBe('line 49999');
  });

  it('followed, goes on after it was emptied, and ends with a line that was never ended', async () => {
    let ended = false;
    const lines: LogLine[] = [];
    const following = (async () => {
      const source = { files: [log], hasEnded: () => ended };
      const options = { follow: true, tailLines: 10, signal: new AbortController().signal };
      for await (const line of readLogs(source, options, clock)) lines.push(line);
    })();
    const seen = (text: string) =>
      until(text, async () => {
        await clock.advance(100);
        return texts(lines).includes(text);
      });
    await appendFile(path, 'one\n');
    await seen('one');
    await appendFile(path, 'x'.repeat(2 * MAX_BYTES).concat('\nbefore\n'));
    await seen('before');
    await log.check(); // empties it
    await appendFile(path, 'after\nunended');
    await seen('after');
    ended = true;
    await seen('unended');
    await following;
    expect(texts(lines)).toEqual(['one', 'x'.repeat(2 * MAX_BYTES), 'before', 'after', 'unended']);
  });

  it('that grows faster than it is followed is left out in part, which is said', async () => {
    await appendFile(path, 'first\n');
    let ended = false;
    const lines: string[] = [];
    const following = (async () => {
      const source = { files: [log], hasEnded: () => ended };
      const options = { follow: true, tailLines: 10, signal: new AbortController().signal };
      for await (const line of readLogs(source, options, clock)) lines.push(line.text);
    })();
    await until('the first line', () => lines.length === 1);
    await appendFile(path, `${'y\n'.repeat(5 << 20)}last\n`);
    ended = true;
    await until('the end', async () => {
      await clock.advance(100);
      return lines.includes('last');
    });
    await following;
    expect(lines.slice(0, 2)).toEqual([
      'first',
      expect.stringMatching(/^\[\d+ bytes came faster than they are read here, and are left out\]$/),
    ]);
    expect(lines.length).toBeLessThan(200_000);
  });
});
