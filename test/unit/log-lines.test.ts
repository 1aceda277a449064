import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { constants, mkdtempSync, openSync, readSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { LogLines } from '../../src/log-lines.ts';

const lineOf = (number: number) => `${JSON.stringify({ number, padding: 'x'.repeat(150) })}\n`;

/** A pipe of which both ends are open; with O_NONBLOCK in `flags`, a write fails where it would wait. */
function openPipe(flags = 0) {
  const folder = mkdtempSync(join(tmpdir(), 'mayfly-test.'));
  const path = join(folder, 'pipe');
  execFileSync('mkfifo', [path]);
  const fd = openSync(path, constants.O_RDWR | flags);
  rmSync(folder, { recursive: true });
  const read = () => {
    const chunk = Buffer.alloc(1 << 20);
    return chunk.toString('utf8', 0, readSync(fd, chunk));
  };
  return { fd, read };
}

describe('log lines', () => {
  it('that nobody reads are lost, counted, and told of as soon as somebody does', () => {
    const pipe = openPipe(constants.O_NONBLOCK);
    const log = new LogLines(pipe.fd);
    for (let number = 0; number < 2_000; number++) log.write(lineOf(number));
    const before = pipe.read();
    log.write(lineOf(2_000));
    const lines = (before + pipe.read()).trimEnd().split('\n');
    const read = lines.map((line) => JSON.parse(line) as { number?: number; lines?: number });
    const [told] = read.splice(-2, 1);
    expect(told).toMatchObject({ level: 40, lines: 2_001 - read.length });
    expect(read.at(-1)).toMatchObject({ number: 2_000 });
    expect(read.slice(0, -1).map(({ number }) => number)).toEqual(read.slice(0, -1).map((_, i) => i));
  });

  it('that cannot be written at all do no harm', () => {
    const log = new LogLines(openSync('/dev/full', 'w'));
    log.write(lineOf(1));
    log.write(lineOf(2));
  });
});

it.each([
  ['a pipe that nobody reads', () => openPipe().fd],
  ['a full disk', () => openSync('/dev/full', 'w')],
])('a program whose standard error is %s goes on', async (_, stderr) => {
  const script = `
    import { createLog } from ${JSON.stringify(join(import.meta.dirname, '../../src/log.ts'))};
    const log = createLog('info');
    for (let i = 0; i < 2000; i++) log.info({ i }, 'x'.repeat(100));
    console.log('goes on');`;
  const child = spawn(process.execPath, ['--input-type=module', '--eval', script], {
    stdio: ['ignore', 'pipe', stderr()],
  });
  let said = '';
  child.stdout?.on('data', (chunk: Buffer) => (said += chunk.toString()));
  const late = setTimeout(() => child.kill('SIGKILL'), 20_000);
  const [code] = (await once(child, 'exit')) as [number];
  clearTimeout(late);
  expect([code, said]).toEqual([0, 'goes on\n']);
});
