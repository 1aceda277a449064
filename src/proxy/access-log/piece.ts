/** A part of a line that is the same as in the line before, as bytes; it is made anew in the same place. */

const FIRST_CAPACITY = 256;
/** Up to here a loop is quicker than a call into the runtime. */
const LOOP_BYTES = 24;

export class Piece {
  #bytes = Buffer.allocUnsafeSlow(FIRST_CAPACITY);
  #length = 0;

  /** ASCII. */
  set(text: string): void {
    this.#reserve(text.length);
    this.#length = this.#bytes.write(text, 0, 'latin1');
  }

  clear(): void {
    this.#length = 0;
  }

  /** Takes the bytes in [from, to) as they are. */
  take(buffer: Buffer, from: number, to: number): void {
    this.#reserve(to - from);
    this.#length = buffer.copy(this.#bytes, 0, from, to);
  }

  /** Whether it is the same as the bytes in [from, to). */
  equals(buffer: Buffer, from: number, to: number): boolean {
    return to - from === this.#length && this.#bytes.compare(buffer, from, to, 0, this.#length) === 0;
  }

  write(out: Buffer, at: number): number {
    const length = this.#length;
    const bytes = this.#bytes;
    if (length > LOOP_BYTES) bytes.copy(out, at, 0, length);
    else for (let i = 0; i < length; i++) out[at + i] = bytes[i] as number;
    return at + length;
  }

  #reserve(bytes: number): void {
    if (bytes > this.#bytes.length) this.#bytes = Buffer.allocUnsafeSlow(bytes);
  }
}
