/**
 * What a run works with, and what it has to leave behind as it found it: a temporary folder, child processes, two cores.
 * Ctrl-C, SIGTERM and SIGHUP abort its signal; whoever waits then throws, and `close` ends and removes everything.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { findProgram, isMissing, needProgram, type ProgramName } from '../programs.ts';
import { Children } from './children.ts';
import { chooseCores, pin, type Cores } from './cores.ts';

const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;

export interface Workshop {
  readonly folder: string;
  readonly cores: Cores;
  readonly children: Children;
  readonly signal: AbortSignal;
  /** Sentences for the end of the report. */
  readonly notes: Set<string>;
  /** The path of a program; undefined where it is not installed, which a note then says. */
  find(program: ProgramName): Promise<string | undefined>;
  /** The same for one that nothing works without. Errors: it is not installed, with its package. */
  need(program: ProgramName): Promise<string>;
  close(): Promise<void>;
}

export async function openWorkshop(): Promise<Workshop> {
  const abort = new AbortController();
  const onSignal = (name: NodeJS.Signals) => abort.abort(new Error(`interrupted by ${name}`));
  for (const name of SIGNALS) process.on(name, onSignal);
  const folder = await mkdtemp(join(tmpdir(), 'mayfly-warm-'));
  const children = new Children(folder, abort.signal);
  const notes = new Set<string>();
  const workshop: Workshop = {
    folder,
    cores: chooseCores(),
    children,
    signal: abort.signal,
    notes,
    async find(program) {
      const path = await findProgram(program);
      if (path === undefined) notes.add(`${isMissing(program)} to see its rows`);
      return path;
    },
    need: needProgram,
    async close() {
      await children.close();
      await rm(folder, { recursive: true, force: true });
      for (const name of SIGNALS) process.off(name, onSignal);
    },
  };
  try {
    await Promise.all([workshop.need('taskset'), workshop.need('wrk')]);
    await pin(process.pid, workshop.cores.load);
    return workshop;
  } catch (thrown) {
    await workshop.close();
    throw thrown;
  }
}
