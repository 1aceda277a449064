/**
 * A container's two log files. The app itself appends to them, so they survive us; they are kept small by copying the
 * end away and emptying the file (what is written between these two steps is lost).
 *
 * Nobody stamps a line when it is written. `atMs` is the earliest time at which we know that it was there: when a
 * follower saw it, when `check` found the file that long, or else the file's last write. So it is late by up to the time
 * between two checks for what was written under this process, and by more for what was written under an earlier one.
 */
import { statSync } from 'node:fs';
import { open, rm, truncate, type FileHandle } from 'node:fs/promises';
import { sleep, type Clock } from '../../clock.ts';
import type { LogLine, LogOptions } from '../engine.ts';
import { LineSplitter } from './log-lines.ts';

/** A file is emptied at the first look that finds it greater. Twice this is kept: the file and the copy before it. */
const MAX_LOG_BYTES = 5 * 1024 * 1024;

const FOLLOW_INTERVAL_MS = 100;
const CHUNK_BYTES = 64 * 1024;
/**
 * A follower is given so much at a look, to the next chunk: an app that prints a gigabyte a second would have the whole event loop
 * for its log. Of what lies further behind than `MAX_BEHIND_BYTES`, the older part is left out.
 */
const MAX_LOOK_BYTES = 256 * 1024;
const MAX_LOOK_LINES = 1_000;
const LOOK_CHUNK_BYTES = 8 * 1024;
const MAX_BEHIND_BYTES = 4 * MAX_LOOK_BYTES;
/** Looks remembered per stream; older ones are forgotten and their lines get the time of the next. */
const MAX_MARKS = 1_000;

/** At `atMs` the file was `offset` bytes long. */
interface Mark {
  readonly offset: number;
  readonly atMs: number;
}

export class LogFile {
  readonly #stream: LogLine['stream'];
  readonly #path: string;
  readonly #clock: Clock;
  readonly #maxBytes: number;
  #marks: Mark[] = [];

  constructor(stream: LogLine['stream'], path: string, clock: Clock, maxBytes = MAX_LOG_BYTES) {
    this.#stream = stream;
    this.#path = path;
    this.#clock = clock;
    this.#maxBytes = maxBytes;
  }

  /** Notes how far the file has grown by now, and empties it when it has grown too far. */
  async check(): Promise<void> {
    // In place: a detour over Node's thread pool costs fifty times as much (200 and 3 µs), and every second each container
    // has two of these.
    const { size } = statSync(this.#path);
    const last = this.#marks.at(-1);
    if (size > (last?.offset ?? 0)) this.#marks.push({ offset: size, atMs: this.#clock.nowMs() });
    if (this.#marks.length > MAX_MARKS) this.#marks.shift();
    if (size <= this.#maxBytes) return;
    // The copy is worth less than the room it takes: on a full disk all that helps is to empty the file.
    await copyEnd(this.#path, this.#oldPath, this.#maxBytes).catch(() => rm(this.#oldPath, { force: true }));
    await truncate(this.#path);
    this.#marks = [];
  }

  /** The last lines there are, and a cursor behind them. */
  async tail(maxLines: number): Promise<{ lines: LogLine[]; cursor: LogCursor }> {
    const current = await this.#read(this.#path, maxLines, this.#marks);
    const missing = maxLines - current.lines.length;
    const old = missing > 0 ? (await this.#read(this.#oldPath, missing, [])).lines : [];
    return { lines: [...old, ...current.lines], cursor: new LogCursor(this, current.splitter) };
  }

  /**
   * Some of what was written behind the splitter's offset, and whether that was all; from the file's start where it was emptied
   * meanwhile. Of what comes faster than it is read, the older part is left out.
   */
  async readOn(splitter: LineSplitter) {
    await using file = await open(this.#path, 'r');
    const { size } = await file.stat();
    let from = size < splitter.offset ? new LineSplitter(0) : splitter;
    const lines: LogLine[] = [];
    const add = (text: string) => lines.push(this.#line(text, this.#clock.nowMs()));
    if (size - from.offset > MAX_BEHIND_BYTES) {
      const goOnAt = size - MAX_LOOK_BYTES;
      add(`[${goOnAt - from.offset} bytes came faster than they are read here, and are left out]`);
      from = new LineSplitter(goOnAt);
    }
    const end = Math.min(size, from.offset + MAX_LOOK_BYTES);
    for await (const chunk of chunks(file, from.offset, end, LOOK_CHUNK_BYTES)) {
      for (const { text } of from.push(chunk)) add(text);
      if (lines.length >= MAX_LOOK_LINES) break;
    }
    return { lines, splitter: from, isAll: from.offset >= size };
  }

  /** The line that was not ended when the container was. */
  flush(splitter: LineSplitter): LogLine[] {
    return splitter.flush().map(({ text }) => this.#line(text, this.#clock.nowMs()));
  }

  get #oldPath(): string {
    return `${this.#path}.1`;
  }

  #line(text: string, atMs: number): LogLine {
    return { atMs, stream: this.#stream, text };
  }

  async #read(path: string, maxLines: number, marks: readonly Mark[]) {
    const opened = await open(path, 'r').catch(() => undefined);
    if (opened === undefined) return { lines: [], splitter: new LineSplitter(0) };
    await using file = opened;
    const { size, mtimeMs } = await file.stat();
    const splitter = new LineSplitter(await startOfLastLines(file, size, maxLines, this.#maxBytes));
    const lines: LogLine[] = [];
    for await (const chunk of chunks(file, splitter.offset, size))
      for (const { text, endOffset } of splitter.push(chunk)) {
        const mark = marks.find(({ offset }) => offset >= endOffset);
        lines.push(this.#line(text, mark?.atMs ?? mtimeMs));
      }
    return { lines, splitter };
  }
}

/** Goes on where a tail ended. */
export class LogCursor {
  readonly #file: LogFile;
  #splitter: LineSplitter;

  constructor(file: LogFile, splitter: LineSplitter) {
    this.#file = file;
    this.#splitter = splitter;
  }

  /** What comes next, not much at a time; `isAll`: there is no more for now. */
  async next(): Promise<{ lines: LogLine[]; isAll: boolean }> {
    const { lines, splitter, isAll } = await this.#file.readOn(this.#splitter);
    this.#splitter = splitter;
    return { lines, isAll };
  }

  flush(): LogLine[] {
    return this.#file.flush(this.#splitter);
  }
}

export interface LogSource {
  readonly files: readonly LogFile[];
  /** Nothing is written any more. */
  readonly hasEnded: () => boolean;
}

/** The lines of all files: first what there is, in order of time, then, if asked for, what comes. */
export async function* readLogs(
  source: LogSource,
  { tailLines, follow, signal }: LogOptions,
  clock: Clock,
): AsyncGenerator<LogLine> {
  // Asked before the read: what ends after it was asked may write between the two.
  let ended = !follow || source.hasEnded();
  const tails = await Promise.all(source.files.map((file) => file.tail(tailLines)));
  const cursors = tails.map(({ cursor }) => cursor);
  const existing = tails.flatMap(({ lines }) => lines).sort((a, b) => a.atMs - b.atMs);
  const unfinished = ended ? cursors.flatMap((cursor) => cursor.flush()) : [];
  const shown = [...existing, ...unfinished];
  yield* shown.slice(Math.max(0, shown.length - tailLines));
  const isAborted = () => signal.aborted;
  while (!ended && !isAborted()) {
    ended = source.hasEnded();
    for (const cursor of cursors) {
      for (let isAll = false; !isAll;) {
        const next = await cursor.next();
        for (const line of next.lines) {
          if (isAborted()) return;
          yield line;
        }
        // What is not all yet is gone on with at the next look, unless there is none.
        isAll = next.isAll || !ended;
      }
      if (ended) yield* cursor.flush();
    }
    if (!ended) await sleep(clock, FOLLOW_INTERVAL_MS, signal).catch(() => {}); // aborted: the loop ends
  }
}

/** Reads `from` … `to` piece by piece. A chunk is valid until the next is asked for. */
async function* chunks(
  file: FileHandle,
  from: number,
  to: number,
  size = CHUNK_BYTES,
): AsyncGenerator<Buffer> {
  const buffer = Buffer.allocUnsafe(size);
  for (let offset = from; offset < to;) {
    const { bytesRead } = await file.read(buffer, 0, Math.min(size, to - offset), offset);
    if (bytesRead === 0) return; // emptied meanwhile
    yield buffer.subarray(0, bytesRead);
    offset += bytesRead;
  }
}

/** Where the last `maxLines` lines begin, looking back at most `maxBytes`. */
async function startOfLastLines(file: FileHandle, size: number, maxLines: number, maxBytes: number) {
  if (maxLines === 0) return size;
  const buffer = Buffer.allocUnsafe(CHUNK_BYTES);
  const first = Math.max(0, size - maxBytes);
  let newlines = 0;
  for (let end = size; end > first;) {
    const start = Math.max(first, end - CHUNK_BYTES);
    const { bytesRead } = await file.read(buffer, 0, end - start, start);
    for (let i = bytesRead - 1; i >= 0; i--)
      // The newline that ends the last line is not the start of one more.
      if (buffer[i] === 10 && start + i !== size - 1 && ++newlines === maxLines) return start + i + 1;
    end = start;
  }
  return first;
}

async function copyEnd(fromPath: string, toPath: string, maxBytes: number): Promise<void> {
  await using from = await open(fromPath, 'r');
  await using to = await open(toPath, 'w', 0o600);
  const { size } = await from.stat();
  for await (const chunk of chunks(from, Math.max(0, size - maxBytes), size)) await to.write(chunk);
}
