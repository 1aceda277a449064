/** The request line (RFC 9112 §3): method SP target SP version CRLF, with exactly these spaces. */
import { ascii, ASTERISK, CR, DIGIT_0, LF, SLASH, SP, TARGET, TOKEN } from './ascii.ts';
import { COMPLETE, INCOMPLETE, REFUSED } from './head-result.ts';
import type { HeadResult } from './head-result.ts';
import { GET, isOtherMethod, knownMethod, OPTIONS, OTHER } from './methods.ts';
import type { Method } from './methods.ts';
import { REFUSALS } from './refusals.ts';
import type { Refusal } from './refusals.ts';

const EMPTY_LINE = 0;
const METHOD = 1;
const TARGET_PART = 2;
const VERSION = 3;

/** The longest known one has 11 letters. */
const MAX_METHOD_BYTES = 24;
const HTTP_1 = ascii('HTTP/1.');
const HTTP_2 = ascii('HTTP/2.0');

export const ORIGIN_FORM = 0;
export const ABSOLUTE_FORM = 1;
export const ASTERISK_FORM = 2;
export type TargetForm = typeof ORIGIN_FORM | typeof ABSOLUTE_FORM | typeof ASTERISK_FORM;

export class RequestLine {
  method: Method = GET;
  /** Its name where `method` is `OTHER`. */
  otherName = '';
  form: TargetForm = ORIGIN_FORM;
  /** 0 or 1. */
  minorVersion = 1;
  /** Positions, relative to the start of the head. The first byte is not 0 where an empty line comes before it. */
  start = 0;
  targetStart = 0;
  targetEnd = 0;
  end = 0;
  refusal: Refusal | undefined = undefined;
  readonly #maxTargetBytes: number;
  #phase = EMPTY_LINE;
  #pos = 0;

  constructor(maxTargetBytes: number) {
    this.#maxTargetBytes = maxTargetBytes;
  }

  begin(): void {
    this.#phase = EMPTY_LINE;
    this.#pos = 0;
    this.start = 0;
    this.otherName = '';
  }

  /** `COMPLETE`: `end` is where the fields begin. */
  read(buffer: Buffer, base: number, end: number): HeadResult {
    let pos = base + this.#pos;
    if (this.#phase === EMPTY_LINE) {
      if (pos >= end) return INCOMPLETE;
      // §2.2: one empty line before the request line is ignored; some clients end a body with one too many.
      if (buffer[pos] === CR) {
        if (pos + 1 >= end) return INCOMPLETE;
        if (buffer[pos + 1] !== LF) return this.#refuse(REFUSALS.bareCr);
        pos += 2;
        this.start = 2;
      }
      this.#phase = METHOD;
    }
    if (this.#phase === METHOD) {
      const start = base + this.start;
      while (pos < end && TOKEN[buffer[pos] as number] === 1) pos++;
      if (pos - start > MAX_METHOD_BYTES) return this.#refuse(REFUSALS.badMethod);
      if (pos >= end) return this.#suspend(pos - base);
      if (buffer[pos] !== SP || pos === start) return this.#refuse(REFUSALS.badMethod);
      const refusal = this.#readMethod(buffer, start, pos);
      if (refusal !== undefined) return this.#refuse(refusal);
      pos++;
      this.targetStart = pos - base;
      this.#phase = TARGET_PART;
    }
    if (this.#phase === TARGET_PART) {
      while (pos < end && TARGET[buffer[pos] as number] === 1) pos++;
      if (pos - base - this.targetStart > this.#maxTargetBytes) return this.#refuse(REFUSALS.targetTooLong);
      if (pos >= end) return this.#suspend(pos - base);
      const refusal = this.#readTarget(buffer, base, pos);
      if (refusal !== undefined) return this.#refuse(refusal);
      pos++;
      this.#phase = VERSION;
    }
    return this.#readVersion(buffer, base, pos, end);
  }

  #readMethod(buffer: Buffer, start: number, end: number): Refusal | undefined {
    const known = knownMethod(buffer, start, end);
    if (known !== undefined) {
      this.method = known;
      return undefined;
    }
    this.method = OTHER;
    this.otherName = buffer.toString('latin1', start, end);
    // PRI is judged by its version: with HTTP/2.0 it is that protocol's greeting.
    if (this.otherName === 'PRI' || isOtherMethod(this.otherName)) return undefined;
    return this.otherName === 'CONNECT' ? REFUSALS.connectMethod : REFUSALS.unknownMethod;
  }

  /** `pos`: at the byte that is no part of the target. */
  #readTarget(buffer: Buffer, base: number, pos: number): Refusal | undefined {
    if (buffer[pos] !== SP) {
      // A line that ends here is one of HTTP/0.9; a control character, `#` or a byte beyond ASCII is none of a target.
      const byte = buffer[pos];
      return byte === CR || byte === LF ? REFUSALS.badRequestLine : REFUSALS.badTarget;
    }
    this.targetEnd = pos - base;
    const length = this.targetEnd - this.targetStart;
    if (length === 0) return REFUSALS.badRequestLine;
    const first = buffer[base + this.targetStart];
    if (first === SLASH) this.form = ORIGIN_FORM;
    else if (first === ASTERISK && length === 1) {
      this.form = ASTERISK_FORM;
      if (this.method !== OPTIONS && this.otherName !== 'PRI') return REFUSALS.asteriskForm;
    } else this.form = ABSOLUTE_FORM;
    return undefined;
  }

  #readVersion(buffer: Buffer, base: number, pos: number, end: number): HeadResult {
    // HTTP/1.x CR LF
    if (end - pos < 10) return this.#suspend(pos - base);
    if (this.method === OTHER && this.otherName === 'PRI')
      return this.#refuse(startsWith(buffer, pos, HTTP_2) ? REFUSALS.http2Preface : REFUSALS.unknownMethod);
    const minor = (buffer[pos + 7] as number) - DIGIT_0;
    if (!startsWith(buffer, pos, HTTP_1)) {
      const another = startsWith(buffer, pos, HTTP_1.subarray(0, 5));
      return this.#refuse(another ? REFUSALS.version : REFUSALS.badRequestLine);
    }
    if (minor !== 0 && minor !== 1) return this.#refuse(REFUSALS.version);
    if (buffer[pos + 8] !== CR)
      return this.#refuse(buffer[pos + 8] === LF ? REFUSALS.bareLf : REFUSALS.badRequestLine);
    if (buffer[pos + 9] !== LF) return this.#refuse(REFUSALS.bareCr);
    this.minorVersion = minor;
    this.end = pos + 10 - base;
    return COMPLETE;
  }

  #suspend(pos: number): typeof INCOMPLETE {
    this.#pos = pos;
    return INCOMPLETE;
  }

  #refuse(refusal: Refusal): typeof REFUSED {
    this.refusal = refusal;
    return REFUSED;
  }
}

function startsWith(buffer: Buffer, at: number, text: Buffer): boolean {
  for (let i = 0; i < text.length; i++) if (buffer[at + i] !== text[i]) return false;
  return true;
}
