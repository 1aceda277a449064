/**
 * The chunked transfer coding (RFC 9112 §7.1), checked byte by byte where it frames and skipped over where it carries. Its
 * bytes are passed on as they came: what passes here has one reading only. Sizes are hexadecimal digits and nothing else,
 * lines end in CRLF, a chunk ends where its size says. Chunk extensions pass if they are well-formed and few: dropping
 * them would mean to encode anew, refusing them would refuse what is legal. Trailers pass if no field of them could change what
 * the message means or whom it is for; else the message is refused, and never ends for whoever reads it behind us.
 */
import {
  BACKSLASH,
  COLON,
  CR,
  DQUOTE,
  EQUALS,
  FIELD_VALUE,
  FOLD,
  HEX,
  LF,
  SEMICOLON,
  TOKEN,
} from './ascii.ts';
import { badName, badValue } from './field-scanner.ts';
import { DEFAULT_CHUNK_LIMITS } from './limits.ts';
import type { ChunkLimits } from './limits.ts';
import { REFUSALS } from './refusals.ts';
import type { Refusal } from './refusals.ts';
import { isForbiddenTrailer } from './trailer-fields.ts';

/** Enough for every size that can be counted, with zeros before it. */
const MAX_SIZE_DIGITS = 16;

const SIZE = 0;
const EXTENSION_NAME = 1;
const EXTENSION_VALUE = 2;
const EXTENSION_TOKEN = 3;
const EXTENSION_QUOTED = 4;
const EXTENSION_ESCAPED = 5;
const EXTENSION_END = 6;
const SIZE_LF = 7;
const DATA = 8;
const DATA_CR = 9;
const DATA_LF = 10;
const TRAILER_LINE = 11;
const TRAILER_NAME = 12;
const TRAILER_VALUE = 13;
const TRAILER_LF = 14;
const END_LF = 15;
const OVER = 16;
const BROKEN = 17;

export class Chunked {
  /** The payload that the last call has passed over; it is empty where both are the same. */
  dataStart = 0;
  dataEnd = 0;
  /** Bytes of all chunks so far, without their framing. */
  payloadBytes = 0;
  /** Once `next` has returned -1. */
  refusal: Refusal | undefined = undefined;
  readonly #limits: ChunkLimits;
  #state = SIZE;
  /** What is left of the chunk; while its size is read, the size so far. */
  #left = 0;
  #digits = 0;
  /** Of the extension part being read: at least one is needed. */
  #tokenBytes = 0;
  #extensionBytes = 0;
  #trailerBytes = 0;
  #trailerLines = 0;
  #trailerName = '';

  constructor(limits: ChunkLimits = DEFAULT_CHUNK_LIMITS) {
    this.#limits = limits;
  }

  get done(): boolean {
    return this.#state === OVER;
  }

  begin(): void {
    this.#state = SIZE;
    this.#left = 0;
    this.#digits = 0;
    this.payloadBytes = 0;
    this.refusal = undefined;
    this.#extensionBytes = 0;
    this.#trailerBytes = 0;
    this.#trailerLines = 0;
  }

  /**
   * Reads on from `from`, to the end of what has arrived, of the body, or of the first piece of payload if there is one.
   * Returns the position reached, or -1: `refusal` says why, and so will every later call.
   */
  next(buffer: Buffer, from: number, to: number): number {
    this.dataStart = this.dataEnd = from;
    if (this.#state === BROKEN) return -1;
    let pos = from;
    while (pos < to && this.#state !== OVER) {
      if (this.#state === DATA) {
        const length = this.#left < to - pos ? this.#left : to - pos;
        this.dataStart = pos;
        this.dataEnd = pos + length;
        this.payloadBytes += length;
        this.#left -= length;
        if (this.#left === 0) this.#state = DATA_CR;
        return pos + length;
      }
      const refusal = this.#byte(buffer[pos] as number);
      if (refusal !== undefined) {
        this.#state = BROKEN;
        this.refusal = refusal;
        return -1;
      }
      pos++;
    }
    return pos;
  }

  #byte(byte: number): Refusal | undefined {
    switch (this.#state) {
      case SIZE:
        return this.#size(byte);
      case SIZE_LF:
        if (byte !== LF) return REFUSALS.bareCr;
        this.#state = this.#left === 0 ? TRAILER_LINE : DATA;
        this.#digits = 0;
        return undefined;
      case DATA_CR:
        if (byte !== CR) return REFUSALS.badChunkEnd;
        this.#state = DATA_LF;
        return undefined;
      case DATA_LF:
        if (byte !== LF) return REFUSALS.badChunkEnd;
        this.#state = SIZE;
        return undefined;
      case TRAILER_LINE:
      case TRAILER_NAME:
      case TRAILER_VALUE:
      case TRAILER_LF:
      case END_LF:
        return this.#trailer(byte);
      default:
        return this.#extension(byte);
    }
  }

  #size(byte: number): Refusal | undefined {
    const digit = HEX[byte] as number;
    if (digit !== 255) {
      // Some readers would overflow earlier than we; the bound on digits is against those that do on leading zeros.
      if (++this.#digits > MAX_SIZE_DIGITS) return REFUSALS.chunkTooLarge;
      this.#left = this.#left * 16 + digit;
      return this.#left > Number.MAX_SAFE_INTEGER ? REFUSALS.chunkTooLarge : undefined;
    }
    if (this.#digits === 0) return REFUSALS.badChunkSize;
    if (byte === CR) this.#state = SIZE_LF;
    else if (byte === SEMICOLON) return this.#beginExtension();
    else return byte === LF ? REFUSALS.bareLf : REFUSALS.badChunkSize;
    return undefined;
  }

  // ---- extensions: *( ";" name [ "=" ( token / quoted-string ) ] ), RFC 9112 §7.1.1, without its optional white space

  #beginExtension(): Refusal | undefined {
    this.#state = EXTENSION_NAME;
    this.#tokenBytes = 0;
    return this.#countExtension();
  }

  #countExtension(): Refusal | undefined {
    return ++this.#extensionBytes > this.#limits.extensionBytes
      ? REFUSALS.chunkExtensionsTooLarge
      : undefined;
  }

  #extension(byte: number): Refusal | undefined {
    switch (this.#state) {
      case EXTENSION_NAME:
      case EXTENSION_TOKEN:
        if (TOKEN[byte] === 1) {
          this.#tokenBytes++;
          return this.#countExtension();
        }
        if (this.#tokenBytes === 0) return REFUSALS.badChunkExtension;
        if (byte === EQUALS && this.#state === EXTENSION_NAME) {
          this.#state = EXTENSION_VALUE;
          return this.#countExtension();
        }
        return this.#endExtension(byte);
      case EXTENSION_VALUE:
        this.#tokenBytes = 1;
        if (byte === DQUOTE) this.#state = EXTENSION_QUOTED;
        else if (TOKEN[byte] === 1) this.#state = EXTENSION_TOKEN;
        else return REFUSALS.badChunkExtension;
        return this.#countExtension();
      case EXTENSION_QUOTED:
        if (byte === DQUOTE) this.#state = EXTENSION_END;
        else if (byte === BACKSLASH) this.#state = EXTENSION_ESCAPED;
        else if (FIELD_VALUE[byte] !== 1) return REFUSALS.badChunkExtension;
        return this.#countExtension();
      case EXTENSION_ESCAPED:
        if (FIELD_VALUE[byte] !== 1) return REFUSALS.badChunkExtension;
        this.#state = EXTENSION_QUOTED;
        return this.#countExtension();
      default:
        return this.#endExtension(byte);
    }
  }

  #endExtension(byte: number): Refusal | undefined {
    if (byte === SEMICOLON) return this.#beginExtension();
    if (byte !== CR) return byte === LF ? REFUSALS.bareLf : REFUSALS.badChunkExtension;
    this.#state = SIZE_LF;
    return undefined;
  }

  // ---- trailers: field lines (RFC 9112 §7.1.2), few enough to be read a byte at a time

  #trailer(byte: number): Refusal | undefined {
    if (++this.#trailerBytes > this.#limits.trailerBytes) return REFUSALS.trailersTooLarge;
    switch (this.#state) {
      case TRAILER_LINE:
        if (byte === CR) {
          this.#state = END_LF;
          return undefined;
        }
        if (++this.#trailerLines > this.#limits.trailerLines) return REFUSALS.trailersTooLarge;
        this.#trailerName = '';
        this.#state = TRAILER_NAME;
        return this.#trailerNameByte(byte);
      case TRAILER_NAME:
        return this.#trailerNameByte(byte);
      case TRAILER_VALUE:
        if (byte === CR) this.#state = TRAILER_LF;
        else if (FIELD_VALUE[byte] !== 1) return badValue(byte);
        return undefined;
      default:
        if (byte !== LF) return REFUSALS.bareCr;
        this.#state = this.#state === END_LF ? OVER : TRAILER_LINE;
        return undefined;
    }
  }

  #trailerNameByte(byte: number): Refusal | undefined {
    if (TOKEN[byte] === 1) {
      this.#trailerName += String.fromCharCode(FOLD[byte] as number);
      return undefined;
    }
    const name = this.#trailerName;
    if (byte !== COLON || name === '') return badName(byte, name === '', this.#trailerLines === 1);
    this.#state = TRAILER_VALUE;
    return isForbiddenTrailer(name) ? REFUSALS.forbiddenTrailer : undefined;
  }
}
