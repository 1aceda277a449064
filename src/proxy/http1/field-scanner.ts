/**
 * Reads field lines (RFC 9112 §5) in one pass, each byte judged by one table load, and stops only at the few whose name
 * may matter: told by the first letter and the length, before anything is compared. It can be stopped at any byte and goes
 * on there, so a head that arrives in pieces is still read once.
 *
 * All positions are relative to the start of the head: the bytes may have moved to another buffer by the next call.
 */
import { COLON, CR, HTAB, LF, SP, TOKEN } from './ascii.ts';
import { REFUSALS } from './refusals.ts';
import type { Refusal } from './refusals.ts';
import { skipFieldValue } from './skip-value.ts';

/** More bytes are needed. */
export const SCAN_INCOMPLETE = 0;
/** A line whose name may be of interest; the positions tell where. */
export const SCAN_FIELD = 1;
/** The empty line has been read. */
export const SCAN_END = 2;
/** `refusal` says why. */
export const SCAN_REFUSED = 3;
export type ScanResult = typeof SCAN_INCOMPLETE | typeof SCAN_FIELD | typeof SCAN_END | typeof SCAN_REFUSED;

const LINE = 0;
const NAME = 1;
const VALUE = 2;

/** Which names to stop at: by first letter, a bit for each length below 31; the top bit for families of names. */
export type Interest = Uint32Array;

const ANY_LENGTH = 31;
/** The third letters of `mayfly-`, `proxy-`, `x-forwarded-` and `x-real-ip`: names of other families are passed by. */
const FAMILY_LETTERS = Uint8Array.from({ length: 256 }, (_, byte) =>
  'YyOoFfRr'.includes(String.fromCharCode(byte)) ? 1 : 0,
);

/** Names of these lengths, by first letter; `family`: of any length. */
export function interestIn(lengths: Readonly<Record<string, readonly number[] | 'family'>>): Interest {
  const interest = new Uint32Array(256);
  for (const [letter, wanted] of Object.entries(lengths)) {
    let mask = 0;
    if (wanted === 'family') mask = 1 << ANY_LENGTH;
    else for (const length of wanted) mask |= 1 << length;
    interest[letter.charCodeAt(0)] = mask;
    interest[letter.toUpperCase().charCodeAt(0)] = mask;
  }
  return interest;
}

export class FieldScanner {
  /** The line at which it stopped. */
  nameStart = 0;
  nameEnd = 0;
  /** Without the white space around it. */
  valueStart = 0;
  valueEnd = 0;
  /** Behind its CRLF; after `SCAN_END`, behind the empty line. */
  lineEnd = 0;
  refusal: Refusal | undefined = undefined;
  readonly #interest: Interest;
  readonly #maxLines: number;
  #lines = 0;
  #phase = LINE;
  #pos = 0;

  constructor(interest: Interest, maxLines: number) {
    this.#interest = interest;
    this.#maxLines = maxLines;
  }

  /** Begins a section at this position. */
  begin(at: number): void {
    this.#pos = at;
    this.#phase = LINE;
    this.#lines = 0;
    this.refusal = undefined;
  }

  /** Goes on to the next line of interest. `base`: where the head starts in this buffer; `end`: of what has arrived. */
  next(buffer: Buffer, base: number, end: number): ScanResult {
    let pos = base + this.#pos;
    let phase = this.#phase;
    let nameStart = base + this.nameStart;
    let nameEnd = base + this.nameEnd;
    const interest = this.#interest;
    const maxLines = this.#maxLines;
    let lines = this.#lines;
    for (;;) {
      if (phase === LINE) {
        if (pos >= end) break;
        if (buffer[pos] === CR) {
          if (pos + 1 >= end) break;
          if (buffer[pos + 1] !== LF) return this.#refuse(REFUSALS.bareCr);
          this.lineEnd = pos + 2 - base;
          return SCAN_END;
        }
        if (++lines > maxLines) return this.#refuse(REFUSALS.tooManyFields);
        nameStart = pos;
        phase = NAME;
      }
      if (phase === NAME) {
        while (pos < end && TOKEN[buffer[pos] as number] === 1) pos++;
        if (pos >= end) break;
        if (buffer[pos] !== COLON || pos === nameStart)
          return this.#refuse(badName(buffer[pos] as number, pos === nameStart, lines === 1));
        nameEnd = pos++;
        phase = VALUE;
      }
      pos = skipFieldValue(buffer, pos, end);
      if (pos >= end) break;
      if (buffer[pos] !== CR) return this.#refuse(badValue(buffer[pos] as number));
      if (pos + 1 >= end) break;
      if (buffer[pos + 1] !== LF) return this.#refuse(REFUSALS.bareCr);
      const valueEnd = pos;
      pos += 2;
      phase = LINE;
      const mask = interest[buffer[nameStart] as number] as number;
      if (mask !== 0 && isWanted(mask, nameEnd - nameStart, buffer[nameStart + 2] as number)) {
        this.#phase = LINE;
        this.#lines = lines;
        this.#pos = this.lineEnd = pos - base;
        this.nameStart = nameStart - base;
        this.nameEnd = nameEnd - base;
        this.#trim(buffer, base, valueEnd);
        return SCAN_FIELD;
      }
    }
    this.#phase = phase;
    this.#lines = lines;
    this.#pos = pos - base;
    this.nameStart = nameStart - base;
    this.nameEnd = nameEnd - base;
    return SCAN_INCOMPLETE;
  }

  /** OWS (RFC 9110 §5.6.3) is not part of the value. */
  #trim(buffer: Buffer, base: number, lineValueEnd: number): void {
    let from = base + this.nameEnd + 1;
    let to = lineValueEnd;
    while (from < to && (buffer[from] === SP || buffer[from] === HTAB)) from++;
    while (from < to && (buffer[to - 1] === SP || buffer[to - 1] === HTAB)) to--;
    this.valueStart = from - base;
    this.valueEnd = to - base;
  }

  #refuse(refusal: Refusal): typeof SCAN_REFUSED {
    this.refusal = refusal;
    return SCAN_REFUSED;
  }
}

function isWanted(mask: number, length: number, thirdLetter: number): boolean {
  if (mask >>> ANY_LENGTH !== 0) return FAMILY_LETTERS[thirdLetter] === 1;
  return length < ANY_LENGTH && ((mask >>> length) & 1) !== 0;
}

/** Why a field name may not go on with this byte. */
export function badName(byte: number, atStart: boolean, onFirstLine: boolean): Refusal {
  if (byte === LF) return REFUSALS.bareLf;
  if (byte === 0) return REFUSALS.nul;
  if (byte === SP || byte === HTAB) {
    if (!atStart) return REFUSALS.spaceBeforeColon;
    return onFirstLine ? REFUSALS.leadingSpace : REFUSALS.obsFold;
  }
  return byte === CR ? REFUSALS.noColon : REFUSALS.badFieldName;
}

/** Why a field value may not go on with this byte. */
export function badValue(byte: number): Refusal {
  if (byte === LF) return REFUSALS.bareLf;
  return byte === 0 ? REFUSALS.nul : REFUSALS.control;
}
