/**
 * A head that did not arrive in one piece. Nothing is copied for one that did; here the pieces are put together, in a buffer
 * that grows with them and never beyond the bound of a head.
 */
import { CR, LF } from './ascii.ts';

const FIRST_CAPACITY = 1024;

export class PartialHead {
  /** The pieces, from 0 to `length`. */
  buffer: Buffer;
  length = 0;
  readonly #maxBytes: number;

  /** `maxBytes`: the bound of the head (`HeadLimits.headBytes`), beyond which `parse` refuses anyway. */
  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
    this.buffer = Buffer.allocUnsafeSlow(Math.min(FIRST_CAPACITY, maxBytes));
  }

  /** Nothing has arrived but an end of line, which may stand before a request (RFC 9112 §2.2). */
  get blank(): boolean {
    const { buffer, length } = this;
    return (
      length === 0 ||
      (length === 1 && buffer[0] === CR) ||
      (length === 2 && buffer[0] === CR && buffer[1] === LF)
    );
  }

  /**
   * Appends as much of [from, to) as a head can have. When `parse` then says `COMPLETE`, the first
   * `headBytes - lengthBefore` of these bytes were the head's; the rest follows it.
   */
  add(piece: Buffer, from: number, to: number): void {
    const wanted = Math.min(this.length + to - from, this.#maxBytes);
    if (wanted > this.buffer.length) {
      const grown = Buffer.allocUnsafeSlow(
        Math.min(Math.max(wanted, 2 * this.buffer.length), this.#maxBytes),
      );
      this.buffer.copy(grown, 0, 0, this.length);
      this.buffer = grown;
    }
    piece.copy(this.buffer, this.length, from, from + wanted - this.length);
    this.length = wanted;
  }
}
