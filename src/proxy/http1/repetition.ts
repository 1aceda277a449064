/**
 * Peers repeat themselves: of the requests that come on one connection many differ from the one before in their first line
 * alone, and under load many answers of an app have the head of the one before, as even their `Date` changes only once a
 * second. Comparing is a twentieth of the work of reading, and what was read of the bytes before, and written for them,
 * holds again.
 */
import { copyBytes } from './ascii.ts';

/** Bytes are compared in pieces of this length. */
const PIECE_BITS = 3;
const PIECE_BYTES = 1 << PIECE_BITS;
/** Memory is made in steps of this, so that it is seldom made anew. */
const STEP_BYTES = 512;
const NOTHING = Buffer.alloc(0);

export class Repetition {
  /**
   * All in one place, as every other one is another miss of the processor's cache: room for a line, what was said, its last
   * piece once more (so that a rest that is no piece needs no other way to compare), and what was sent.
   */
  #memory: Buffer = NOTHING;
  #pieces = new Float64Array(0);
  readonly #lineRoom: number;
  #saidBytes = 0;
  #sentFrom = 0;
  #sentBytes = 0;
  /** What else decided how they were read. */
  #key = 0;

  /** `lineRoom`: the longest line that `withLine` puts before what was said. */
  constructor(lineRoom = 0) {
    this.#lineRoom = ceilToPiece(lineRoom);
  }

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
    const bytes = to - from;
    this.#saidBytes = 0;
    if (bytes < PIECE_BYTES) return;
    const at = this.#lineRoom;
    const lastAt = at + ceilToPiece(bytes);
    this.#sentFrom = lastAt + PIECE_BYTES;
    this.#sentBytes = outTo - outFrom;
    this.#key = key;
    this.#makeRoom(this.#sentFrom + this.#sentBytes);
    source.copy(this.#memory, at, from, to);
    source.copy(this.#memory, lastAt, to - PIECE_BYTES, to);
    out.copy(this.#memory, this.#sentFrom, outFrom, outTo);
    this.#saidBytes = bytes;
  }

  /** Whether the same bytes stand at `from` again, below `end`. */
  isAt(buffer: Buffer, from: number, end: number, key: number): boolean {
    const bytes = this.#saidBytes;
    if (bytes === 0 || end - from < bytes || key !== this.#key) return false;
    // A call into the runtime takes longer than this does for a head. As numbers, bytes that differ are equal only if they are
    // the two zeros, and no head that was read has a NUL; bytes that are equal but no number are read once more.
    const pieces = this.#pieces;
    const view = viewOf(buffer);
    let piece = this.#lineRoom >> PIECE_BITS;
    let at = from;
    for (const last = from + bytes - PIECE_BYTES; at < last; at += PIECE_BYTES)
      if (view.getFloat64(at, true) !== pieces[piece++]) return false;
    const lastPiece = (this.#sentFrom >> PIECE_BITS) - 1;
    return view.getFloat64(from + bytes - PIECE_BYTES, true) === pieces[lastPiece];
  }

  /** Writes what was passed on then; returns where it ends. */
  write(out: Buffer, at: number): number {
    return copyBytes(this.#memory, this.#sentFrom, this.#sentFrom + this.#sentBytes, out, at);
  }

  /**
   * Where a line and what was said then stand one after the other, in `memory`, until something else is remembered. The line
   * is in [from, to) of `source`. -1: it is too long.
   */
  withLine(source: Buffer, from: number, to: number): number {
    const at = this.#lineRoom - (to - from);
    if (at >= 0) copyBytes(source, from, to, this.#memory, at);
    return at < 0 ? -1 : at;
  }

  get memory(): Buffer {
    return this.#memory;
  }

  #makeRoom(bytes: number): void {
    if (bytes <= this.#memory.length) return;
    const memory = new ArrayBuffer(Math.ceil(bytes / STEP_BYTES) * STEP_BYTES);
    this.#memory = Buffer.from(memory);
    this.#pieces = new Float64Array(memory);
  }
}

function ceilToPiece(bytes: number): number {
  return Math.ceil(bytes / PIECE_BYTES) * PIECE_BYTES;
}

/** Nearly always that of the memory that all sockets read into, one after the other. */
let viewed: Buffer = NOTHING;
let view = new DataView(viewed.buffer);

function viewOf(buffer: Buffer): DataView {
  if (buffer !== viewed) {
    view = new DataView(buffer.buffer, buffer.byteOffset, buffer.length);
    viewed = buffer;
  }
  return view;
}
