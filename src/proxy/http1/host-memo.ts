/**
 * The Host of the last request on a connection. The next one nearly always has the same, and comparing its bytes is
 * quicker than reading it: its name is the same then, and what was found for that. One that differs is packed as it is read,
 * without making a string.
 */
import { normalizeHost } from '../../hostname.ts';
import { hashOf, MAX_PACKED_LENGTH, mixWord, PackedName } from '../packed-name.ts';
import { copyBytes, TOKEN } from './ascii.ts';

/** No Host with a valid hostname in it is longer, in any encoding. */
const MAX_RAW_BYTES = 1024;
const FIRST_CAPACITY = 64;
const NOTHING = Buffer.alloc(0);

/** Above the character. What may not stand side by side adds up to more than a word and a dot: a dot and a dot, or a hyphen. */
const WORD = 0x100;
const HYPHEN = 0x200;
const DOT = 0x300;
const KIND = 0x300;

/** Of what nearly all hosts are made: the kind, and the character in lower case. 0: anything else. */
const PLAIN = Uint16Array.from({ length: 256 }, (_, byte) => {
  const text = String.fromCharCode(byte).toLowerCase();
  const kind = text === '.' ? DOT : text === '-' ? HYPHEN : /^[a-z0-9_]$/.test(text) ? WORD : 0;
  return kind === 0 ? 0 : kind | text.charCodeAt(0);
});

/** Both of `PLAIN`. */
function follows(before: number, plain: number): boolean {
  return plain !== 0 && (before & KIND) + (plain & KIND) <= WORD + DOT;
}

export class HostMemo {
  /** Normalised: lower case, no port, no trailing dot, IDN as punycode. Empty when nothing has been read yet. */
  readonly name = new PackedName().pack('');
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

  /** Takes the bytes in [from, to). False: it is not `uri-host [ ":" port ]` (RFC 9110 §7.2), and there is no name. */
  read(buffer: Buffer, from: number, to: number): boolean {
    const length = to - from;
    if (length === this.#length && length > 0 && this.#same(buffer, from)) return true;
    if (!this.#readPlain(buffer, from, to) && !this.#readOther(buffer, from, to)) {
      this.name.pack('');
      this.#length = 0;
      return false;
    }
    if (length > this.#raw.length) this.#raw = Buffer.alloc(Math.max(length, FIRST_CAPACITY));
    copyBytes(buffer, from, to, this.#raw, 0);
    this.#length = length;
    return true;
  }

  #same(buffer: Buffer, from: number): boolean {
    const raw = this.#raw;
    const length = this.#length;
    for (let i = 0; i < length; i++) if (raw[i] !== buffer[from + i]) return false;
    return true;
  }

  /** A short name without a port, in any case. False: it is something else. */
  #readPlain(buffer: Buffer, from: number, to: number): boolean {
    const length = to - from;
    if (length > MAX_PACKED_LENGTH) return false;
    const { words } = this.name;
    let hash = hashOf(length);
    let before = DOT;
    let at = 0;
    let pos = from;
    for (; pos + 3 < to; pos += 4) {
      const a = PLAIN[buffer[pos] as number] as number;
      const b = PLAIN[buffer[pos + 1] as number] as number;
      const c = PLAIN[buffer[pos + 2] as number] as number;
      const d = PLAIN[buffer[pos + 3] as number] as number;
      if (!follows(before, a) || !follows(a, b) || !follows(b, c) || !follows(c, d)) return false;
      before = d;
      const word = (a & 0xff) | ((b & 0xff) << 8) | ((c & 0xff) << 16) | (d << 24);
      words[at++] = word;
      hash = mixWord(hash, word);
    }
    let word = 0;
    for (let shift = 0; pos < to; pos++, shift += 8) {
      const plain = PLAIN[buffer[pos] as number] as number;
      if (!follows(before, plain)) return false;
      before = plain;
      word |= (plain & 0xff) << shift;
    }
    if ((before & KIND) !== WORD) return false;
    if (word !== 0) {
      words[at] = word;
      hash = mixWord(hash, word);
    }
    this.name.packedTo(length, hash);
    this.idn = false;
    this.isToken = true;
    return true;
  }

  #readOther(buffer: Buffer, from: number, to: number): boolean {
    if (from === to || to - from > MAX_RAW_BYTES) return false;
    const idn = hasHighBytes(buffer, from, to);
    const host = normalizeHost(idn ? buffer.toString('utf8', from, to) : buffer.toString('latin1', from, to));
    if (host === undefined) return false;
    this.name.pack(host);
    this.idn = idn;
    this.isToken = isToken(buffer, from, to);
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
