/** What has arrived of a client and is not dealt with yet: a body whose request waits, or requests that were sent ahead. */
const NOTHING = Buffer.alloc(0);

export class Rest {
  /** It is in [from, to) of this. */
  buffer: Buffer = NOTHING;
  from = 0;
  to = 0;

  get length(): number {
    return this.to - this.from;
  }

  set(buffer: Buffer, from: number, to: number): void {
    if (from < to) {
      this.buffer = buffer;
      this.from = from;
      this.to = to;
    } else this.clear();
  }

  /** What lies before this has been dealt with. */
  advance(from: number): void {
    if (from < this.to) this.from = from;
    else this.clear();
  }

  clear(): void {
    this.buffer = NOTHING;
    this.from = this.to = 0;
  }

  /** Behind what is there. */
  add(buffer: Buffer, from: number, to: number): void {
    if (this.length === 0) this.set(buffer, from, to);
    else {
      const joined = Buffer.concat([this.buffer.subarray(this.from, this.to), buffer.subarray(from, to)]);
      this.set(joined, 0, joined.length);
    }
  }

  /** Into memory of its own. */
  detach(): void {
    if (this.length > 0) this.set(Buffer.from(this.buffer.subarray(this.from, this.to)), 0, this.length);
  }
}
