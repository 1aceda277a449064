/** The options of `Connection` (RFC 9110 §7.6.1): how long the connection lives, and which fields end with it. */
import { ascii, COMMA, equalsLower, HTAB, LOWER, SP } from './ascii.ts';

const CLOSE = ascii('close');
const KEEP_ALIVE = ascii('keep-alive');
const UPGRADE = ascii('upgrade');
const TE = ascii('te');
/** These frame or route the message, or let its body come: naming them does not remove them. */
const NEVER_NAMED = [ascii('host'), ascii('content-length'), ascii('transfer-encoding'), ascii('expect')];

/** Each is compared with every field; clients name two or three. */
const MAX_NAMED = 16;

export class ConnectionOptions {
  close = false;
  keepAlive = false;
  upgrade = false;
  /** How many fields it names that are not known to end with a connection anyway. */
  named = 0;
  /** Where their names are, starts and ends in turn, relative to the start of the head. Made at the first one. */
  #ranges: Int32Array | undefined = undefined;

  clear(): void {
    this.close = false;
    this.keepAlive = false;
    this.upgrade = false;
    this.named = 0;
  }

  /** Reads a value in [from, to), relative to `base`. False: it names too many. An empty element means nothing. */
  read(buffer: Buffer, base: number, from: number, to: number): boolean {
    if (to - from === KEEP_ALIVE.length && equalsLower(buffer, base + from, KEEP_ALIVE)) {
      this.keepAlive = true; // what browsers say
      return true;
    }
    const end = base + to;
    let pos = base + from;
    while (pos < end) {
      while (pos < end && isBlank(buffer[pos] as number)) pos++;
      const start = pos;
      while (pos < end && buffer[pos] !== COMMA) pos++;
      let stop = pos;
      while (stop > start && isBlank(buffer[stop - 1] as number)) stop--;
      if (stop > start && !this.#option(buffer, base, start, stop)) return false;
      pos++;
    }
    return true;
  }

  /** Whether the field whose name stands in [from, to) is named. */
  names(buffer: Buffer, base: number, from: number, to: number): boolean {
    for (let i = 0; i < this.named; i++) {
      const start = this.#ranges?.[2 * i] ?? 0;
      const length = (this.#ranges?.[2 * i + 1] ?? 0) - start;
      if (length === to - from && sameName(buffer, base + start, base + from, length)) return true;
    }
    return false;
  }

  #option(buffer: Buffer, base: number, start: number, stop: number): boolean {
    const length = stop - start;
    if (length === 10 && equalsLower(buffer, start, KEEP_ALIVE)) this.keepAlive = true;
    else if (length === 5 && equalsLower(buffer, start, CLOSE)) this.close = true;
    else if (length === 7 && equalsLower(buffer, start, UPGRADE)) this.upgrade = true;
    else if (length === 2 && equalsLower(buffer, start, TE)) return true;
    else if (!NEVER_NAMED.some((name) => name.length === length && equalsLower(buffer, start, name))) {
      if (this.named === MAX_NAMED) return false;
      this.#ranges ??= new Int32Array(2 * MAX_NAMED);
      this.#ranges[2 * this.named] = start - base;
      this.#ranges[2 * this.named + 1] = stop - base;
      this.named++;
    }
    return true;
  }
}

function isBlank(byte: number): boolean {
  return byte === SP || byte === HTAB || byte === COMMA;
}

function sameName(buffer: Buffer, a: number, b: number, length: number): boolean {
  for (let i = 0; i < length; i++)
    if (LOWER[buffer[a + i] as number] !== LOWER[buffer[b + i] as number]) return false;
  return true;
}
