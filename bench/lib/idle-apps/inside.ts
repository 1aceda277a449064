/** A program that can be looked into while it runs: its timers and its memory, its CPU time and how often it woke up. */
import { readFileSync, rmSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { readStat } from '../../../src/compute/process/proc.ts';
import { startProgram, type Program } from '../../../test/support/program.ts';
import { until } from '../../../test/support/until.ts';

export interface Inside {
  readonly timers: number;
  readonly residentBytes: number;
  readonly heapBytes: number;
}

/** Since its start. */
export interface Spent {
  readonly cpuMs: number;
  /** How often its main thread had waited for something and went on. */
  readonly wakeUps: number;
}

export interface OpenProgram {
  readonly program: Program;
  inside(): Promise<Inside>;
  spent(): Spent;
  close(): Promise<void>;
}

/** On the process engine, with a data folder of its own, which `fill` may put something into before it starts. */
export async function openProgram(fill: (dataDir: string) => Promise<void>): Promise<OpenProgram> {
  const folder = await mkdtemp(join(tmpdir(), 'mayfly-bench-idle-'));
  try {
    await fill(folder);
    const path = join(folder, 'look.json');
    const preload = join(import.meta.dirname, 'look-inside.ts');
    const program = await startProgram({
      ...{ engine: 'process', data: folder, detached: true },
      env: { NODE_OPTIONS: `--import=${preload}`, MAYFLY_BENCH_LOOK: path },
    });
    return {
      program,
      async inside() {
        rmSync(path, { force: true });
        process.kill(program.pid, 'SIGUSR2');
        const text = await until('the program to tell what is in it', () => readIfThere(path));
        return JSON.parse(text) as Inside;
      },
      spent: () => ({ cpuMs: readStat(program.pid)?.cpuMs ?? NaN, wakeUps: wakeUpsOf(program.pid) }),
      async close() {
        await program.stop();
        await rm(folder, { recursive: true });
      },
    };
  } catch (thrown) {
    await rm(folder, { recursive: true });
    throw thrown;
  }
}

function wakeUpsOf(pid: number): number {
  const status = readFileSync(`/proc/${pid}/status`, 'utf8');
  return Number(/^voluntary_ctxt_switches:\s+(\d+)$/m.exec(status)?.[1]);
}

function readIfThere(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return undefined; // not told yet
  }
}
