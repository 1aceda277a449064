/** Lines reach their file in whole blocks; a disk that is slow, full or moved costs lines that are counted, and nothing else. */
import { execFileSync } from 'node:child_process';
import { constants, existsSync, mkdtempSync, readFileSync, renameSync, rmSync } from 'node:fs';
import { open } from 'node:fs/promises';
import type { FileHandle } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { systemClock } from '../../src/clock.ts';
import { LogFile } from '../../src/proxy/access-log/log-file.ts';
import { until } from '../support/until.ts';

const LINE_BYTES = 100;
let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'mayfly-access-log-'));
});
afterAll(() => rmSync(folder, { recursive: true }));

function openLog(path: string, maxBytes?: number) {
  const complaints: object[] = [];
  const complain = (fields: object) => void complaints.push(fields);
  const file = new LogFile({ path, clock: systemClock, log: { warn: complain, error: complain }, maxBytes });
  let next = 0;
  return {
    file,
    complaints,
    /** Lines with ascending numbers, of 100 bytes each. */
    add: (count: number) => {
      for (let i = 0; i < count; i++)
        file.add(
          LINE_BYTES,
          (out, at) => at + out.write(`${String(next++).padEnd(LINE_BYTES - 1, '.')}\n`, at, 'latin1'),
        );
    },
  };
}

const numbersIn = (text: string) =>
  text
    .split('\n')
    .slice(0, -1)
    .map((line) => {
      expect(line).toHaveLength(LINE_BYTES - 1);
      return Number.parseInt(line, 10);
    });

const upTo = (count: number) => Array.from({ length: count }, (_, i) => i);

describe('the file of the access log', () => {
  it('has every line, in order, soon after it was added and when it is closed', async () => {
    const path = join(folder, 'plain.log');
    const { file, add } = openLog(path);
    add(3);
    await until('three lines', () => numbersIn(readFileSync(path, 'utf8')).length === 3);
    add(20_000);
    await file.close();
    expect(numbersIn(readFileSync(path, 'utf8'))).toEqual(upTo(20_003));
    expect(file.stats()).toEqual({ linesTotal: 20_003, droppedTotal: 0, bufferedBytes: 0 });
  });

  it('is appended to by several processes at once, whole lines each', async () => {
    const path = join(folder, 'shared.log');
    const logs = [openLog(path), openLog(path), openLog(path)];
    for (let round = 0; round < 50; round++) for (const { add } of logs) add(100);
    await Promise.all(logs.map(({ file }) => file.close()));
    const numbers = numbersIn(readFileSync(path, 'utf8'));
    expect(numbers.sort((a, b) => a - b)).toEqual(upTo(5_000).flatMap((i) => [i, i, i]));
  });

  it('is made anew when it has been renamed, and no line is lost', async () => {
    const path = join(folder, 'rotated.log');
    const { file, add } = openLog(path);
    add(10);
    await until('ten lines to be written', () => file.stats().linesTotal === 10);
    renameSync(path, `${path}.1`);
    let added = 10;
    await until('the file to be there again', () => {
      add(1);
      added++;
      return existsSync(path);
    });
    await file.close();
    const numbers = [
      ...numbersIn(readFileSync(`${path}.1`, 'utf8')),
      ...numbersIn(readFileSync(path, 'utf8')),
    ];
    expect(numbers).toEqual(upTo(added));
  });

  it('drops lines beyond its bound while nobody takes them, counts them, and goes on with whole lines', async () => {
    const path = join(folder, 'slow.pipe');
    execFileSync('mkfifo', [path]);
    const reader = await open(path, constants.O_RDONLY | constants.O_NONBLOCK);
    const bound = 512 * 1024;
    const { file, add } = openLog(path, bound);
    add(50_000);
    const { droppedTotal, bufferedBytes } = file.stats();
    expect(bufferedBytes).toBeLessThanOrEqual(bound);
    expect(droppedTotal).toBeGreaterThan(40_000);

    const kept = 50_000 - droppedTotal;
    const text = await readLines(reader, kept);
    expect(numbersIn(text)).toEqual(upTo(kept));
    await until('the buffer to be empty', () => file.stats().bufferedBytes === 0);
    add(5);
    expect(numbersIn(await readLines(reader, 5))).toEqual(upTo(5).map((i) => kept + i));
    await file.close();
    await reader.close();
  });

  it('counts what a full disk does not take, and says so once', async () => {
    const { file, add, complaints } = openLog('/dev/full');
    add(10);
    await until('ten lines to be dropped', () => file.stats().droppedTotal === 10);
    add(10);
    await file.close();
    expect(file.stats()).toEqual({ linesTotal: 0, droppedTotal: 20, bufferedBytes: 0 });
    expect(complaints).toHaveLength(1);
  });

  it('that cannot be opened is named', () => {
    expect(() => openLog(join(folder, 'no', 'such', 'folder.log'))).toThrow(
      /no\/such\/folder\.log cannot be opened/,
    );
  });
});

async function readLines(reader: FileHandle, count: number): Promise<string> {
  let text = '';
  await until('the lines in the pipe', async () => {
    const { bytesRead, buffer } = await reader
      .read(Buffer.alloc(1 << 20))
      .catch(() => ({ bytesRead: 0, buffer: Buffer.alloc(0) }));
    text += buffer.toString('latin1', 0, bytesRead);
    return text.length >= count * LINE_BYTES;
  });
  return text;
}
