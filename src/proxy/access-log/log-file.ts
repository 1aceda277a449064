/**
 * Where the lines of the access log go: into blocks of memory, and from there to the file in large writes, one at a time, off
 * the path of the requests. When the disk is slower than they are, blocks fill up to a bound; then lines are dropped and
 * counted, and no request waits.
 *
 * The file is appended to whole blocks of whole lines at a time (O_APPEND), so several processes may write the same one. Whether
 * it is still the file of that name is looked at before a write, once a second at most: a program that rotates logs only has
 * to rename it.
 */
import { close, constants, fstat, open, openSync, stat, write } from 'node:fs';
import { promisify } from 'node:util';
import type { Clock } from '../../clock.ts';
import { sleep } from '../../clock.ts';
import { PlatformError } from '../../errors.ts';
import type { RequestLogStats } from '../request-log.ts';
import type { ProxyLog } from '../transport.ts';

const BLOCK_BYTES = 256 * 1_024;
const DEFAULT_MAX_BYTES = 8 * 1_024 * 1_024;
/** A line is in the file after this time, if the disk can. */
const FLUSH_AFTER_MS = 200;
const LOOK_EVERY_MS = 1_000;
/** A disk that is full is said to be so this often. */
const COMPLAIN_EVERY_MS = 60_000;
/** How long the end of the program waits for a slow disk. */
const CLOSE_TIMEOUT_MS = 2_000;
/** Appended to, and never waited for: a pipe that nobody reads fails at once. Visitors' addresses are not for everybody. */
const FLAGS = constants.O_APPEND | constants.O_CREAT | constants.O_WRONLY | constants.O_NONBLOCK;
const MODE = 0o640;
const STDOUT = 1;

const openFile = promisify(open);
const closeFile = promisify(close);
const writeFile = promisify(write);
const statFile = promisify(stat);
const statFd = promisify(fstat);

export interface LogFileOptions {
  /** `-`: standard output. */
  readonly path: string;
  readonly clock: Clock;
  readonly log: ProxyLog;
  /** Lines that have not been written occupy no more than this, to the next block of 256 KiB. */
  readonly maxBytes?: number | undefined;
}

class Block {
  readonly bytes = Buffer.allocUnsafeSlow(BLOCK_BYTES);
  length = 0;
  lines = 0;
}

export class LogFile {
  readonly #options: LogFileOptions;
  readonly #maxBlocks: number;
  #fd: number;
  #current = new Block();
  /** Full ones, oldest first. */
  readonly #full: Block[] = [];
  #spare: Block | undefined;
  #writing: Promise<void> | undefined;
  #cancelFlush: (() => void) | undefined;
  #closed: Promise<void> | undefined;
  #lookAtMs = 0;
  #complainAtMs = 0;
  #lines = 0;
  #dropped = 0;

  /** Errors: `invalid_config` (the file cannot be opened). */
  constructor(options: LogFileOptions) {
    this.#options = options;
    this.#maxBlocks = Math.max(2, Math.ceil((options.maxBytes ?? DEFAULT_MAX_BYTES) / BLOCK_BYTES));
    this.#fd = options.path === '-' ? STDOUT : openNow(options.path);
  }

  stats(): RequestLogStats {
    const bufferedBytes = this.#full.reduce((sum, { length }) => sum + length, this.#current.length);
    return { linesTotal: this.#lines, droppedTotal: this.#dropped, bufferedBytes };
  }

  /**
   * Adds what `writeLine` writes to `out` at `at`: one line of at most `maxBytes`, whose end it returns. Where there is no room
   * it is not called.
   */
  add(maxBytes: number, writeLine: (out: Buffer, at: number) => number): void {
    if (this.#current.length + maxBytes > BLOCK_BYTES && !this.#turn()) {
      this.#dropped++;
      return;
    }
    const block = this.#current;
    block.length = writeLine(block.bytes, block.length);
    block.lines++;
    if (this.#cancelFlush === undefined && this.#writing === undefined)
      this.#cancelFlush = this.#options.clock.after(FLUSH_AFTER_MS, () => this.#flush());
  }

  /** Writes what is there, for two seconds at most. Nothing is added afterwards. */
  close(): Promise<void> {
    return (this.#closed ??= this.#close());
  }

  async #close(): Promise<void> {
    const { clock } = this.#options;
    const patience = new AbortController();
    const late = sleep(clock, CLOSE_TIMEOUT_MS, patience.signal).catch(() => undefined);
    const written = (async () => {
      await this.#writing;
      this.#flush();
      await this.#writing;
    })();
    await Promise.race([written, late]);
    patience.abort();
    // What is still being written to is not closed under it: the process is about to end.
    if (this.#fd !== STDOUT && this.#writing === undefined) await closeFile(this.#fd);
  }

  /** Begins another block. False: all are full. */
  #turn(): boolean {
    if (this.#full.length + 1 >= this.#maxBlocks) return false;
    this.#full.push(this.#current);
    this.#current = this.#spare ?? new Block();
    this.#spare = undefined;
    this.#flush();
    return true;
  }

  #flush(): void {
    this.#cancelFlush?.();
    this.#cancelFlush = undefined;
    this.#writing ??= this.#writeAll().finally(() => {
      this.#writing = undefined;
    });
  }

  async #writeAll(): Promise<void> {
    for (;;) {
      const [block] = this.#full;
      if (block === undefined) {
        if (this.#current.length === 0) return;
        this.#full.push(this.#current);
        this.#current = this.#spare ?? new Block();
        this.#spare = undefined;
        continue;
      }
      try {
        await this.#follow();
        await this.#write(block);
        this.#lines += block.lines;
      } catch (error) {
        this.#dropped += block.lines;
        this.#complain(error);
      }
      this.#full.shift();
      block.length = block.lines = 0;
      this.#spare = block;
    }
  }

  async #write({ bytes, length }: Block): Promise<void> {
    for (let from = 0; from < length;) {
      try {
        const { bytesWritten } = await writeFile(this.#fd, bytes, from, length - from, null);
        from += bytesWritten;
      } catch (error) {
        // A pipe whose reader is slow.
        if ((error as NodeJS.ErrnoException).code !== 'EAGAIN') throw error;
        await sleep(this.#options.clock, FLUSH_AFTER_MS);
      }
    }
  }

  /** Opens the file anew where its name is another file's by now, or none's. */
  async #follow(): Promise<void> {
    const { path, clock } = this.#options;
    if (path === '-' || clock.monotonicMs() < this.#lookAtMs) return;
    this.#lookAtMs = clock.monotonicMs() + LOOK_EVERY_MS;
    const own = await statFd(this.#fd);
    const named = await statFile(path).catch(() => undefined);
    if (named?.ino === own.ino && named.dev === own.dev) return;
    try {
      const fd = await openFile(path, FLAGS, MODE);
      await closeFile(this.#fd);
      this.#fd = fd;
    } catch (error) {
      this.#complain(error);
    }
  }

  #complain(error: unknown): void {
    const { clock, log, path } = this.#options;
    if (clock.monotonicMs() < this.#complainAtMs) return;
    this.#complainAtMs = clock.monotonicMs() + COMPLAIN_EVERY_MS;
    log.error({ err: error, path, dropped: this.#dropped }, 'the access log cannot be written');
  }
}

function openNow(path: string): number {
  try {
    return openSync(path, FLAGS, MODE);
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new PlatformError('invalid_config', `the access log ${path} cannot be opened: ${reason}`, {
      cause,
      hint: 'Name a file in a folder that exists with --access-log, or - for standard output.',
    });
  }
}
