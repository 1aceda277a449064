/**
 * What every command has at hand: the outside world as it was given to `run`, and the manners it keeps there. Nothing
 * below here touches `process`, so a test sees all that a person would.
 */
import { systemClock } from '../clock.ts';
import type { Clock } from '../clock.ts';
import { createClient } from '../coreapi/client.ts';
import type { Client } from '../coreapi/client.ts';
import type { UpConfig } from '../config.ts';
import { writeText } from '../write-text.ts';
import type { TextStream } from '../write-text.ts';
import { UsageError } from './exit-codes.ts';
import { renderTable } from './table.ts';
import type { Column } from './table.ts';

/** Where text goes; what is written there without waiting may be lost. */
export interface Output extends TextStream {
  write(text: string, done?: (error?: Error | null) => void): unknown;
  readonly isTTY?: boolean;
  readonly columns?: number;
}

export interface CliIo {
  readonly stdout: Output;
  readonly stderr: Output;
  readonly stdin: AsyncIterable<string | Uint8Array>;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Runs the whole program on one machine until it is told to stop; resolves to its exit code. */
  readonly up: (config: UpConfig) => Promise<number>;
  readonly createClient?: typeof createClient;
  /** Called once by a command that goes on until Ctrl-C; the signal then aborts instead of the process being killed. */
  readonly interrupted?: () => AbortSignal;
  readonly clock?: Clock;
}

/** The options that every command of the tenant's side takes. */
export interface ClientOptions {
  readonly url?: string;
  readonly token?: string;
  readonly json?: boolean;
}

export const DEFAULT_URL = 'http://127.0.0.1:9080';

/** Nobody reads stdout any more (`mayfly events | head -1`): there is nothing left to do, and that is no failure. */
export class ReaderLeft extends Error {}

const STYLES = { bold: 1, dim: 2, red: 31, green: 32, yellow: 33, cyan: 36 } as const;
export type Style = keyof typeof STYLES;

export class Context {
  readonly io: CliIo;
  /** The words of the command line as they were typed. */
  readonly argv: readonly string[];
  #interrupted: AbortSignal | undefined;

  constructor(io: CliIo, argv: readonly string[]) {
    this.io = io;
    this.argv = argv;
  }

  /** Errors: UsageError where no token was given at all. */
  client(options: ClientOptions): Client {
    const { env } = this.io;
    const url = options.url ?? (env['MAYFLY_URL'] || DEFAULT_URL);
    const token = options.token ?? (env['MAYFLY_TOKEN'] || env['MAYFLY_OPERATOR_TOKEN'] || undefined);
    if (token === undefined) {
      throw new UsageError(
        'no token was given',
        '`mayfly up` prints one when it starts for the first time; give it as MAYFLY_TOKEN or --token',
      );
    }
    const onSlow = () => this.note(`still waiting for an answer of the Core API at ${url}`);
    return (this.io.createClient ?? createClient)({ url, token, clock: this.io.clock, onSlow });
  }

  /** Aborts on Ctrl-C; the command then ends by itself. */
  get interrupted(): AbortSignal {
    this.#interrupted ??= this.io.interrupted?.() ?? new AbortController().signal;
    return this.#interrupted;
  }

  get wasInterrupted(): boolean {
    return this.#interrupted?.aborted ?? false;
  }

  nowMs(): number {
    return (this.io.clock ?? systemClock).nowMs();
  }

  /** Writes to stdout; resolves when it can take more. Errors: ReaderLeft, `internal` (a full disk). */
  async print(text: string): Promise<void> {
    try {
      await writeText(this.io.stdout, text);
    } catch (thrown) {
      throw isBrokenPipe(thrown) ? new ReaderLeft() : thrown;
    }
  }

  /** One document for scripts. */
  async printJson(value: unknown): Promise<void> {
    await this.print(`${JSON.stringify(value, null, 2)}\n`);
  }

  /** For people, or, where there is nothing to show, what to do about it (on stderr: a script's pipe stays empty). */
  async printTable<T>(columns: readonly Column<T>[], rows: readonly T[], whenEmpty: string): Promise<void> {
    if (rows.length === 0) {
      this.note(whenEmpty);
      return;
    }
    const width = this.io.stdout.isTTY ? this.io.stdout.columns : undefined;
    await this.print(renderTable(columns, rows, { width, paintTitle: (title) => this.paint('dim', title) }));
  }

  /** A line on stderr, for the person who watches. */
  note(line: string): void {
    this.io.stderr.write(`${line}\n`);
  }

  /** Colours a text of stdout, where that is a terminal and NO_COLOR (no-color.org) is not set. */
  paint(style: Style, text: string): string {
    if (!this.io.stdout.isTTY || this.io.env['NO_COLOR'] || this.io.env['TERM'] === 'dumb') return text;
    return `\u001b[${STYLES[style]}m${text}\u001b[0m`;
  }
}

function isBrokenPipe(thrown: unknown): boolean {
  return thrown instanceof Error && (thrown.cause as NodeJS.ErrnoException | undefined)?.code === 'EPIPE';
}
