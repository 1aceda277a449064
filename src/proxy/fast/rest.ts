/** What has arrived of a client and is not dealt with yet: a body whose request waits, or requests that were sent ahead. */
const NOTHING = Buffer.alloc(0);

export class Rest {
  /** From `from` to its end. */
  buffer: Buffer = NOTHING;
  from = 0;

  get length(): number {
    return this.buffer.length - this.from;
  }

  set(buffer: Buffer, from: number): void {
    const empty = from >= buffer.length;
    this.buffer = empty ? NOTHING : buffer;
    this.from = empty ? 0 : from;
  }

  /** Behind what is there. */
  add(chunk: Buffer): void {
    this.set(this.length === 0 ? chunk : Buffer.concat([this.buffer.subarray(this.from), chunk]), 0);
  }
}
