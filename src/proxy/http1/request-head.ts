/**
 * The head of a request (RFC 9112 §3, §5), read in one pass over its bytes and in exactly one way: what could be read in two
 * is refused. Of each connection there is one of these, used for one request after the other; it keeps numbers, not strings.
 *
 * All positions are relative to the start of the head: `parse` may be given the same bytes in another buffer when more of
 * them have arrived, and whoever writes the head later says where it is then.
 */
import type { PackedName } from '../packed-name.ts';
import { AbsoluteForm } from './absolute-form.ts';
import { SCAN_END, SCAN_FIELD, SCAN_INCOMPLETE } from './field-scanner.ts';
import { BY_LENGTH, CHUNKED, NO_BODY, UNSAID } from './framing.ts';
import type { Framing } from './framing.ts';
import { COMPLETE, INCOMPLETE, ODD, REFUSED } from './head-result.ts';
import type { HeadResult } from './head-result.ts';
import { DEFAULT_REQUEST_HEAD_LIMITS } from './limits.ts';
import type { HeadLimits } from './limits.ts';
import { GET, METHOD_NAMES, OTHER, TRACE } from './methods.ts';
import type { Method } from './methods.ts';
import { cutNamed } from './named-fields.ts';
import { REFUSALS } from './refusals.ts';
import type { Refusal } from './refusals.ts';
import { Repetition } from './repetition.ts';
import { RequestFields } from './request-fields.ts';
import { ABSOLUTE_FORM, ASTERISK_FORM, ORIGIN_FORM, RequestLine } from './request-line.ts';

/** First lines up to this length are kept with the fields of the request before, where those repeat. */
const LINE_ROOM = 256;

const LINE = 0;
const FIELDS = 1;
const OVER = 2;
const BROKEN = 3;

export class RequestHead {
  readonly line: RequestLine;
  readonly fields: RequestFields;
  /** What the request before said in its field lines. */
  readonly repetition = new Repetition(LINE_ROOM);

  // All below: after `COMPLETE`, until the next `parse`.

  /** Whether the client keeps its connection for another request (RFC 9112 §9.3). */
  keepAlive = false;
  /** From the start of the head to its body. */
  headBytes = 0;
  framing: Framing = NO_BODY;
  /** Bytes of the body; 0 unless `BY_LENGTH`. */
  contentLength = 0;
  /** Whether the client will wait for an interim answer before it sends its body (RFC 9110 §10.1.1). */
  expectsContinue = false;
  /** Bits of `ODD`; 0 nearly always. */
  odd = 0;
  /** Its field lines are those of the request before. */
  repeats = false;
  /** After `REFUSED`. */
  refusal: Refusal | undefined = undefined;

  readonly #headBytesLimit: number;
  #absolute: AbsoluteForm | undefined = undefined;
  #phase = LINE;

  /** `noting`: what only an access log asks for is looked for too. */
  constructor(limits: HeadLimits = DEFAULT_REQUEST_HEAD_LIMITS, noting = false) {
    this.#headBytesLimit = limits.headBytes;
    this.line = new RequestLine(limits.targetBytes);
    this.fields = new RequestFields(limits.fieldLines, noting);
  }

  /** Whom it is for, unless `ODD.noHost`; the same object for all of them. */
  get name(): PackedName {
    return this.fields.memo.name;
  }

  /** The same as a text: normalised, empty if `ODD.noHost`. */
  get host(): string {
    return (this.odd & ODD.noHost) === 0 ? this.name.text : '';
  }

  /** One head has been read, and nothing of the next. */
  get isBetween(): boolean {
    return this.#phase === OVER;
  }

  get method(): Method {
    return this.line.method;
  }

  /** A string that exists already, unless the method is an odd one. */
  get methodName(): string {
    return this.line.method === OTHER ? this.line.otherName : (METHOD_NAMES[this.line.method] as string);
  }

  /** 0 or 1. */
  get minorVersion(): number {
    return this.line.minorVersion;
  }

  /** The target as it was sent; makes a string. */
  target(source: Buffer, start: number): string {
    return source.toString('latin1', start + this.line.targetStart, start + this.line.targetEnd);
  }

  /** In the absolute form, where the authority ends and the path begins. */
  get pathStart(): number {
    return this.line.form === ABSOLUTE_FORM && this.#absolute !== undefined
      ? this.#absolute.authorityEnd
      : this.line.targetStart;
  }

  /** Whether the Host comes from the target alone: there is no line to pass on (HTTP/1.0). */
  get hostFromTarget(): boolean {
    return this.fields.hosts === 0 && this.line.form === ABSOLUTE_FORM;
  }

  /** Whether `Content-Length` was sent, 0 included. */
  get saysLength(): boolean {
    return this.fields.saidLength !== UNSAID;
  }

  /** Forgets what was read of a head; the next one begins. The Host is remembered. */
  reset(): void {
    this.#phase = LINE;
    this.line.begin();
    this.#begin();
  }

  #begin(): void {
    this.repetition.forget();
    this.fields.reset();
    this.repeats = false;
    this.keepAlive = false;
    this.headBytes = 0;
    this.framing = NO_BODY;
    this.contentLength = 0;
    this.expectsContinue = false;
    this.odd = 0;
    this.refusal = undefined;
  }

  /**
   * Reads on. `start`: where this head begins in the buffer; `end`: of what has arrived. After `COMPLETE` the next call
   * begins another head; after `REFUSED` every call returns that until `reset`.
   */
  parse(buffer: Buffer, start: number, end: number): HeadResult {
    if (this.#phase === OVER) {
      this.#phase = LINE;
      this.line.begin();
    } else if (this.#phase === BROKEN) return REFUSED;
    const limit = start + this.#headBytesLimit;
    const bound = end < limit ? end : limit;
    if (this.#phase === LINE) {
      const result = this.line.read(buffer, start, bound);
      if (result === REFUSED) return this.#refuse(this.line.refusal);
      if (result === INCOMPLETE) return bound === limit ? this.#refuse(REFUSALS.targetTooLong) : INCOMPLETE;
      if (this.#repeated(buffer, start, bound)) return COMPLETE;
      const refusal = this.#beginFields(buffer, start);
      if (refusal !== undefined) return this.#refuse(refusal);
    }
    const { fields } = this;
    const { scanner } = fields;
    for (;;) {
      const result = scanner.next(buffer, start, bound);
      if (result === SCAN_FIELD) {
        const refusal = fields.read(buffer, start, this.line.minorVersion);
        if (refusal !== undefined) return this.#refuse(refusal);
      } else if (result === SCAN_END) return this.#finish(buffer, start);
      else if (result === SCAN_INCOMPLETE)
        return bound === limit ? this.#refuse(REFUSALS.headTooLarge) : INCOMPLETE;
      else return this.#refuse(scanner.refusal);
    }
  }

  /** Whether all that follows is known already. */
  #repeated(buffer: Buffer, start: number, bound: number): boolean {
    const { line, repetition } = this;
    if (line.form !== ORIGIN_FORM || !repetition.isAt(buffer, start + line.end, bound, repetitionKey(line)))
      return false;
    this.repeats = true;
    const headBytes = line.end + repetition.saidBytes;
    if (headBytes !== this.headBytes) this.fields.moveBy(headBytes - this.headBytes);
    this.headBytes = headBytes;
    this.#phase = OVER;
    return true;
  }

  #beginFields(buffer: Buffer, start: number): Refusal | undefined {
    const { line } = this;
    this.#begin();
    this.#phase = FIELDS;
    this.fields.scanner.begin(line.end);
    if (line.method === OTHER) this.odd |= ODD.method;
    if (line.form === ASTERISK_FORM) this.odd |= ODD.asteriskForm;
    if (line.form !== ABSOLUTE_FORM) return undefined;
    this.odd |= ODD.absoluteForm;
    this.#absolute ??= new AbsoluteForm();
    return this.#absolute.read(buffer, start, line.targetStart, line.targetEnd);
  }

  #finish(buffer: Buffer, start: number): HeadResult {
    const { line, fields } = this;
    this.headBytes = fields.scanner.lineEnd;
    if (fields.chunked) {
      if (fields.saidLength !== UNSAID) return this.#refuse(REFUSALS.lengthAndEncoding);
      this.framing = CHUNKED;
    } else if (fields.saidLength > 0) {
      this.framing = BY_LENGTH;
      this.contentLength = fields.saidLength;
    }
    if (this.framing !== NO_BODY && line.method === TRACE) return this.#refuse(REFUSALS.bodyOfTrace);
    const refusal = this.#addressee(buffer, start);
    if (refusal !== undefined) return this.#refuse(refusal);
    this.expectsContinue = fields.expectsContinue && this.framing !== NO_BODY;
    if (fields.oddExpectation) this.odd |= ODD.expectation;
    if (fields.announcesTrailers) this.odd |= ODD.trailers;
    const { connection } = fields;
    this.keepAlive = !connection.close && (line.minorVersion === 1 || connection.keepAlive);
    if (fields.webSocket && connection.upgrade && line.method === GET && line.minorVersion === 1)
      this.odd |= ODD.webSocket;
    if (connection.named > 0) cutNamed(buffer, start, line.end, this.headBytes, connection, fields.cuts);
    this.#phase = OVER;
    return COMPLETE;
  }

  /** Whom it is for: what Host says, and the target does not contradict it (RFC 9112 §3.2). */
  #addressee(buffer: Buffer, start: number): Refusal | undefined {
    const { line, fields } = this;
    const { memo } = fields;
    if (fields.hosts === 0 && line.minorVersion === 1) return REFUSALS.noHost;
    if (line.form === ABSOLUTE_FORM) {
      const absolute = this.#absolute as AbsoluteForm;
      const sent = fields.hosts > 0;
      const refusal = absolute.check(buffer, start, sent ? memo.name.text : undefined, memo.raw);
      if (refusal !== undefined) return refusal;
      if (!sent) memo.read(buffer, start + absolute.authorityStart, start + absolute.authorityEnd);
    } else if (fields.hosts === 0) {
      this.odd |= ODD.noHost;
      return undefined;
    }
    if (memo.idn) this.odd |= ODD.idnHost;
    return undefined;
  }

  #refuse(refusal: Refusal | undefined): typeof REFUSED {
    this.#phase = BROKEN;
    this.refusal = refusal;
    return REFUSED;
  }
}

/** What the meaning of field lines depends on, beside themselves. */
export function repetitionKey({ method, minorVersion }: RequestLine): number {
  return 2 * method + minorVersion;
}
