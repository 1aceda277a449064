/**
 * Peers repeat themselves: of the requests that come on one connection many differ from the one before in their first line
 * alone, and under load many answers of an app have the head of the one before, as even their `Date` changes only once a
 * second. Comparing is a twentieth of the work of reading, and what was read of the bytes before, and written for them,
 * holds again.
 */
import { copyBytes } from './ascii.ts';

const FIRST_CAPACITY = 512;
const NOTHING = Buffer.alloc(0);

export class Repetition {
  /** The bytes as they came, and as they were passed on. */
  #said: Buffer = NOTHING;
  #saidBytes = 0;
  #sent: Buffer = NOTHING;
  #sentBytes = 0;
  /** What else decided how they were read. */
  #key = 0;

  get saidBytes(): number {
    return this.#saidBytes;
  }

  get sentBytes(): number {
    return this.#sentBytes;
  }

  forget(): void {
    this.#saidBytes = 0;
  }

  /** [from, to) of `source` was passed on as [outFrom, outTo) of `out`. */
  remember(
    key: number,
    source: Buffer,
    from: number,
    to: number,
    out: Buffer,
    outFrom: number,
    outTo: number,
  ): void {
    this.#key = key;
    this.#saidBytes = to - from;
    this.#sentBytes = outTo - outFrom;
    this.#said = withRoom(this.#said, this.#saidBytes);
    this.#sent = withRoom(this.#sent, this.#sentBytes);
    source.copy(this.#said, 0, from, to);
    out.copy(this.#sent, 0, outFrom, outTo);
  }

  /** Whether the same bytes stand at `from` again, below `end`. */
  isAt(buffer: Buffer, from: number, end: number, key: number): boolean {
    const bytes = this.#saidBytes;
    if (bytes === 0 || end - from < bytes || key !== this.#key) return false;
    return buffer.compare(this.#said, 0, bytes, from, from + bytes) === 0;
  }

  /** Writes what was passed on then; returns where it ends. */
  write(out: Buffer, at: number): number {
    return copyBytes(this.#sent, 0, this.#sentBytes, out, at);
  }
}

function withRoom(buffer: Buffer, bytes: number): Buffer {
  return bytes <= buffer.length ? buffer : Buffer.allocUnsafeSlow(Math.max(bytes, FIRST_CAPACITY));
}
