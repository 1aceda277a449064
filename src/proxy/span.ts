/** A part of a buffer, in an object that is used again: no new one for each request. */
const NOTHING = Buffer.alloc(0);

export class Span {
  buffer: Buffer = NOTHING;
  /** [from, to); empty where they are the same. */
  from = 0;
  to = 0;

  set(buffer: Buffer, from: number, to: number): void {
    this.buffer = buffer;
    this.from = from;
    this.to = to;
  }

  clear(): void {
    this.set(NOTHING, 0, 0);
  }
}
