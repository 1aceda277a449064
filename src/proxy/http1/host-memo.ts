/**
 * The Host of the last request on a connection. The next one nearly always has the same, and comparing its bytes is
 * quicker than making a string of them, normalising it and having it hashed: the same string object comes back, which has its
 * hash already and can be compared by identity.
 */
import { normalizeHost } from '../../hostname.ts';
import { copyBytes, TOKEN } from './ascii.ts';

/** No Host with a valid hostname in it is longer, in any encoding. */
const MAX_RAW_BYTES = 1024;
const FIRST_CAPACITY = 64;
const NOTHING = Buffer.alloc(0);

export class HostMemo {
  /** Normalised: lower case, no port, no trailing dot, IDN as punycode. Empty when nothing has been read yet. */
  host = '';
  /** Whether it was sent with bytes that are not ASCII, which a Host may not have but some clients send for an IDN. */
  idn = false;
  /** Whether it may stand where a token may (RFC 9110 §5.6.2): it has no port, and is no IPv6 address. */
  isToken = false;
  #raw = NOTHING;
  #length = 0;

  /** As it was sent, port included; latin1. */
  get raw(): string {
    return this.#raw.toString('latin1', 0, this.#length);
  }

  get rawBytes(): number {
    return this.#length;
  }

  /** Writes it as it was sent; returns where it ends. */
  write(out: Buffer, at: number): number {
    return copyBytes(this.#raw, 0, this.#length, out, at);
  }

  /** Takes the bytes in [from, to). False: it is not `uri-host [ ":" port ]` (RFC 9110 §7.2). */
  read(buffer: Buffer, from: number, to: number): boolean {
    const length = to - from;
    if (length === this.#length && length > 0 && this.#same(buffer, from)) return true;
    if (length === 0 || length > MAX_RAW_BYTES) return false;
    const idn = hasHighBytes(buffer, from, to);
    const host = normalizeHost(idn ? buffer.toString('utf8', from, to) : buffer.toString('latin1', from, to));
    if (host === undefined) return false;
    if (length > this.#raw.length) this.#raw = Buffer.alloc(Math.max(length, FIRST_CAPACITY));
    buffer.copy(this.#raw, 0, from, to);
    this.#length = length;
    this.host = host;
    this.idn = idn;
    this.isToken = isToken(buffer, from, to);
    return true;
  }

  #same(buffer: Buffer, from: number): boolean {
    const raw = this.#raw;
    const length = this.#length;
    for (let i = 0; i < length; i++) if (raw[i] !== buffer[from + i]) return false;
    return true;
  }
}

function isToken(buffer: Buffer, from: number, to: number): boolean {
  for (let pos = from; pos < to; pos++) if (TOKEN[buffer[pos] as number] === 0) return false;
  return true;
}

function hasHighBytes(buffer: Buffer, from: number, to: number): boolean {
  for (let pos = from; pos < to; pos++) if ((buffer[pos] as number) >= 0x80) return true;
  return false;
}
