/** The status line (RFC 9112 §4): version SP status SP reason CRLF. */
import { ascii, CR, DIGIT_0, FIELD_VALUE, LF, SP } from './ascii.ts';
import { badValue } from './field-scanner.ts';
import { COMPLETE, INCOMPLETE, REFUSED } from './head-result.ts';
import type { HeadResult } from './head-result.ts';
import { REFUSALS } from './refusals.ts';
import type { Refusal } from './refusals.ts';

const HTTP_1 = ascii('HTTP/1.');
const HTTP_ = ascii('HTTP/');
/** Where what follows the status begins. */
const AFTER_STATUS = 12;

export class StatusLine {
  status = 0;
  /** 0 or 1. */
  minorVersion = 1;
  /** Whether the SP before an empty reason is there, as it should be; many apps leave it out, and mean the same. */
  canonical = true;
  /** Relative to the start of the head: where the fields begin. */
  end = 0;
  refusal: Refusal | undefined = undefined;
  /** In the reason, once what is before it has been read. */
  #pos = 0;

  begin(): void {
    this.#pos = 0;
  }

  /** `COMPLETE`: `end` is where the fields begin. */
  read(buffer: Buffer, base: number, end: number): HeadResult {
    if (this.#pos === 0) {
      // One byte more than the status: what ends it.
      if (end - base <= AFTER_STATUS) return INCOMPLETE;
      const refusal = this.#readStatus(buffer, base);
      if (refusal !== undefined) return this.#refuse(refusal);
      this.#pos = AFTER_STATUS;
    }
    let pos = base + this.#pos;
    while (pos < end && FIELD_VALUE[buffer[pos] as number] === 1) pos++;
    this.#pos = pos - base;
    if (pos >= end) return INCOMPLETE;
    if (buffer[pos] !== CR) return this.#refuse(badValue(buffer[pos] as number));
    if (pos + 1 >= end) return INCOMPLETE;
    if (buffer[pos + 1] !== LF) return this.#refuse(REFUSALS.bareCr);
    this.end = pos + 2 - base;
    return COMPLETE;
  }

  #readStatus(buffer: Buffer, base: number): Refusal | undefined {
    if (!startsWith(buffer, base, HTTP_1))
      return startsWith(buffer, base, HTTP_) ? REFUSALS.version : REFUSALS.badStatusLine;
    const minor = (buffer[base + 7] as number) - DIGIT_0;
    if (minor !== 0 && minor !== 1) return REFUSALS.version;
    if (buffer[base + 8] !== SP) return REFUSALS.badStatusLine;
    let status = 0;
    for (let pos = base + 9; pos < base + AFTER_STATUS; pos++) {
      const digit = (buffer[pos] as number) - DIGIT_0;
      if (digit < 0 || digit > 9) return REFUSALS.badStatusLine;
      status = status * 10 + digit;
    }
    if (status < 100 || status > 599) return REFUSALS.badStatus;
    const next = buffer[base + AFTER_STATUS];
    if (next === LF) return REFUSALS.bareLf;
    if (next !== SP && next !== CR) return REFUSALS.badStatusLine;
    this.status = status;
    this.minorVersion = minor;
    this.canonical = next === SP;
    return undefined;
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
