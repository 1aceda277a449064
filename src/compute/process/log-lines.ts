/** Cutting a stream of bytes into lines without ever holding more of one than is kept. */

/** What of a line is kept; the rest of it is dropped. */
export const MAX_LINE_BYTES = 16 * 1024;

const NEWLINE = 10;
const CARRIAGE_RETURN = 13;

/** A line and where it ends in the stream, its line ending included. */
export interface SplitLine {
  readonly text: string;
  readonly endOffset: number;
}

export class LineSplitter {
  #offset: number;
  #parts: Buffer[] = [];
  #keptBytes = 0;
  #isInLine = false;

  /** `offset`: where in the stream the first chunk begins. */
  constructor(offset: number) {
    this.#offset = offset;
  }

  /** Where in the stream the next chunk begins. */
  get offset(): number {
    return this.#offset;
  }

  /** Takes the next chunk; returns the lines that end in it. */
  push(chunk: Buffer): SplitLine[] {
    const lines: SplitLine[] = [];
    let from = 0;
    for (let end = chunk.indexOf(NEWLINE); end !== -1; end = chunk.indexOf(NEWLINE, from)) {
      this.#keep(chunk.subarray(from, end));
      from = end + 1;
      lines.push({ text: this.#take(), endOffset: this.#offset + from });
    }
    this.#isInLine = from < chunk.length;
    this.#keep(chunk.subarray(from));
    this.#offset += chunk.length;
    return lines;
  }

  /** The last line where the stream ended without a line ending. */
  flush(): SplitLine[] {
    if (!this.#isInLine) return [];
    this.#isInLine = false;
    return [{ text: this.#take(), endOffset: this.#offset }];
  }

  #keep(part: Buffer): void {
    // One byte more than is shown: it may be the carriage return of a line that fits.
    const room = MAX_LINE_BYTES + 1 - this.#keptBytes;
    if (room <= 0 || part.length === 0) return;
    const kept = Buffer.from(part.subarray(0, room)); // a copy: the reader uses its buffer again
    this.#parts.push(kept);
    this.#keptBytes += kept.length;
  }

  #take(): string {
    const line = this.#parts.length === 1 ? this.#parts[0] : Buffer.concat(this.#parts);
    this.#parts = [];
    this.#keptBytes = 0;
    if (line === undefined) return '';
    const length = line.at(-1) === CARRIAGE_RETURN ? line.length - 1 : line.length;
    return line.toString('utf8', 0, characterBoundary(line, Math.min(length, MAX_LINE_BYTES)));
  }
}

/** The greatest offset up to `end` that does not cut a UTF-8 character. */
function characterBoundary(bytes: Buffer, end: number): number {
  let boundary = end;
  // A continuation byte (10xxxxxx) right after the cut says that the character before it is not whole.
  while (boundary > 0 && boundary > end - 4 && ((bytes[boundary] ?? 0) & 0xc0) === 0x80) boundary--;
  return boundary;
}
