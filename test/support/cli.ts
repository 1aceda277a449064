/** A command line run in the test's own process: what went in, what came out. */
import { run } from '../../src/cli/main.ts';
import type { CliIo } from '../../src/cli/main.ts';

export interface CliResult {
  readonly exitCode: number;
  readonly stdout: string;
  readonly stderr: string;
}

export interface CliOptions extends Partial<Pick<CliIo, 'up' | 'interrupted' | 'clock'>> {
  readonly env?: Readonly<Record<string, string>>;
  readonly stdin?: string;
  /** As on a terminal of that width. */
  readonly terminalColumns?: number;
  /** Told of every piece of stdout as it comes. */
  readonly onStdout?: (text: string) => void;
}

export async function mayfly(argv: readonly string[], options: CliOptions = {}): Promise<CliResult> {
  const { env = {}, stdin = '', terminalColumns, onStdout, ...rest } = options;
  const collected = { stdout: '', stderr: '' };
  const terminal = terminalColumns === undefined ? {} : { isTTY: true, columns: terminalColumns };
  const output = (name: 'stdout' | 'stderr') => ({
    ...terminal,
    write(text: string, done?: (error?: Error | null) => void) {
      collected[name] += text;
      if (name === 'stdout') onStdout?.(text);
      done?.();
    },
  });
  const exitCode = await run(argv, {
    stdout: output('stdout'),
    stderr: output('stderr'),
    stdin: (async function* () {
      yield stdin;
    })(),
    env,
    up: () => Promise.reject(new Error('this test starts nothing')),
    ...rest,
  });
  return { exitCode, ...collected };
}
