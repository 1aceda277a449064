/**
 * The head of an answer (RFC 9112 §4, §5), as strictly read as that of a request: an app that can be made to send an ambiguous
 * one would otherwise have a later visitor's request answered with what an earlier one put in. What is refused here is answered
 * 502. One of these belongs to each connection to an app.
 */
import { ascii, DIGIT_0, equalsLower, LOWER } from './ascii.ts';
import { ConnectionOptions } from './connection-options.ts';
import { FieldCuts } from './field-cuts.ts';
import { FieldScanner, interestIn, SCAN_END, SCAN_FIELD, SCAN_INCOMPLETE } from './field-scanner.ts';
import {
  BY_LENGTH,
  CHUNKED,
  isChunked,
  LENGTH_MALFORMED,
  LENGTH_TOO_LARGE,
  NO_BODY,
  readLength,
  UNSAID,
  UNTIL_CLOSE,
} from './framing.ts';
import type { Framing } from './framing.ts';
import { COMPLETE, INCOMPLETE, REFUSED } from './head-result.ts';
import type { HeadResult } from './head-result.ts';
import { DEFAULT_RESPONSE_HEAD_LIMITS } from './limits.ts';
import type { HeadLimits } from './limits.ts';
import { GET, HEAD } from './methods.ts';
import type { Method } from './methods.ts';
import { cutNamed } from './named-fields.ts';
import {
  CONNECTION,
  CONTENT_LENGTH,
  HTTP2_SETTINGS,
  isOfFamily,
  KEEP_ALIVE,
  MAYFLY,
  PROXY,
  TE,
  TRANSFER_ENCODING,
  UPGRADE,
} from './names.ts';
import { REFUSALS } from './refusals.ts';
import type { Refusal } from './refusals.ts';
import { Repetition } from './repetition.ts';
import { StatusLine } from './status-line.ts';

const INTEREST = interestIn({
  c: [10, 14], // connection, content-length
  h: [14], // http2-settings
  k: [10], // keep-alive
  m: 'family', // mayfly-*
  p: 'family', // proxy, proxy-*
  t: [2, 17], // te, transfer-encoding
  u: [7], // upgrade
});

const TIMEOUT = ascii('timeout=');

const LINE = 0;
const FIELDS = 1;
const OVER = 2;
const BROKEN = 3;

export class ResponseHead {
  readonly line = new StatusLine();
  /** Field lines that are not passed on as they are. */
  readonly cuts = new FieldCuts();
  readonly connection = new ConnectionOptions();
  /** The answer before. */
  readonly repetition = new Repetition();

  // All below: after `COMPLETE`, until the next `parse`.

  /** From the start of the head to its body. */
  headBytes = 0;
  framing: Framing = NO_BODY;
  /** Bytes of the body; 0 unless `BY_LENGTH`. */
  contentLength = 0;
  /** What `Keep-Alive: timeout=` says the app will wait for the next request, in seconds; -1 if it says nothing. */
  keepAliveTimeoutSeconds = UNSAID;
  /** The method of the request it answers. */
  method: Method = GET;
  /** It is that of the answer before, byte for byte. */
  repeats = false;
  /** What was added to it when it was written last: bits of `writeResponse`. */
  sent = 0;
  /** After `REFUSED`. */
  refusal: Refusal | undefined = undefined;

  readonly #headBytesLimit: number;
  readonly #fields: FieldScanner;
  #phase = LINE;
  #saidLength = UNSAID;
  #lengthFrom = 0;
  #lengthTo = 0;
  #chunked = false;

  constructor(limits: HeadLimits = DEFAULT_RESPONSE_HEAD_LIMITS) {
    this.#headBytesLimit = limits.headBytes;
    this.#fields = new FieldScanner(INTEREST, limits.fieldLines);
  }

  get status(): number {
    return this.line.status;
  }

  /** 0 or 1. */
  get minorVersion(): number {
    return this.line.minorVersion;
  }

  /** Another head follows for the same request (RFC 9110 §15.2); 101 is the last. */
  get interim(): boolean {
    return this.line.status < 200 && this.line.status !== 101;
  }

  /** Whether the app takes another request on this connection (RFC 9112 §9.3), once the body is over. */
  get keepAlive(): boolean {
    if (this.connection.close || this.framing === UNTIL_CLOSE || this.line.status === 101) return false;
    return this.line.minorVersion === 1 || this.connection.keepAlive;
  }

  /** Forgets what was read of a head; the next one begins. */
  reset(): void {
    this.#phase = LINE;
    this.repetition.forget();
    this.repeats = false;
    this.line.begin();
    this.cuts.clear();
    this.connection.clear();
    this.headBytes = 0;
    this.framing = NO_BODY;
    this.contentLength = 0;
    this.keepAliveTimeoutSeconds = UNSAID;
    this.refusal = undefined;
    this.#saidLength = UNSAID;
    this.#chunked = false;
  }

  /**
   * Reads on, as `RequestHead.parse` does. `method`: what was asked, as answers to HEAD have no body; `upgrade`: whether
   * it was asked to switch protocols.
   */
  parse(buffer: Buffer, start: number, end: number, method: Method, upgrade = false): HeadResult {
    if (this.#phase === OVER) {
      if (this.repetition.isAt(buffer, start, end, method)) {
        this.repeats = true;
        return COMPLETE;
      }
      this.reset();
    } else if (this.#phase === BROKEN) return REFUSED;
    this.method = method;
    const limit = start + this.#headBytesLimit;
    const bound = end < limit ? end : limit;
    if (this.#phase === LINE) {
      const result = this.line.read(buffer, start, bound);
      if (result === REFUSED) return this.#refuse(this.line.refusal);
      if (result === INCOMPLETE) return bound === limit ? this.#refuse(REFUSALS.headTooLarge) : INCOMPLETE;
      if (this.line.status === 101 && !upgrade) return this.#refuse(REFUSALS.unaskedUpgrade);
      this.#phase = FIELDS;
      this.#fields.begin(this.line.end);
    }
    const fields = this.#fields;
    for (;;) {
      const result = fields.next(buffer, start, bound);
      if (result === SCAN_FIELD) {
        const refusal = this.#field(buffer, start);
        if (refusal !== undefined) return this.#refuse(refusal);
      } else if (result === SCAN_END) return this.#finish(buffer, start, method);
      else if (result === SCAN_INCOMPLETE)
        return bound === limit ? this.#refuse(REFUSALS.headTooLarge) : INCOMPLETE;
      else return this.#refuse(fields.refusal);
    }
  }

  #field(buffer: Buffer, base: number): Refusal | undefined {
    const fields = this.#fields;
    const at = base + fields.nameStart;
    const length = fields.nameEnd - fields.nameStart;
    switch (LOWER[buffer[at] as number] as number) {
      case 0x63: // c
        if (length === 10) {
          if (equalsLower(buffer, at, CONNECTION)) return this.#connection(buffer, base);
        } else if (equalsLower(buffer, at, CONTENT_LENGTH)) return this.#contentLength(buffer, base);
        return undefined;
      case 0x68: // h
        if (equalsLower(buffer, at, HTTP2_SETTINGS)) this.#cut();
        return undefined;
      case 0x6b: // k
        if (equalsLower(buffer, at, KEEP_ALIVE)) this.#keepAlive(buffer, base);
        return undefined;
      case 0x6d: // m
        if (isOfFamily(buffer, at, length, MAYFLY)) this.#cut();
        return undefined;
      case 0x70: // p
        if (isOfFamily(buffer, at, length, PROXY)) this.#cut();
        return undefined;
      case 0x74: // t
        if (length === 2) {
          if (equalsLower(buffer, at, TE)) this.#cut();
        } else if (equalsLower(buffer, at, TRANSFER_ENCODING)) return this.#transferEncoding(buffer, base);
        return undefined;
      default: // u
        if (equalsLower(buffer, at, UPGRADE) && this.line.status !== 101) this.#cut();
        return undefined;
    }
  }

  #connection(buffer: Buffer, base: number): Refusal | undefined {
    this.#cut();
    const { valueStart, valueEnd } = this.#fields;
    return this.connection.read(buffer, base, valueStart, valueEnd) ? undefined : REFUSALS.tooManyNamed;
  }

  #contentLength(buffer: Buffer, base: number): Refusal | undefined {
    if (this.#saidLength !== UNSAID) return REFUSALS.repeatedLength;
    const fields = this.#fields;
    const bytes = readLength(buffer, base + fields.valueStart, base + fields.valueEnd);
    if (bytes === LENGTH_MALFORMED) return REFUSALS.badLength;
    if (bytes === LENGTH_TOO_LARGE) return REFUSALS.lengthTooLarge;
    this.#saidLength = bytes;
    this.#lengthFrom = fields.nameStart;
    this.#lengthTo = fields.lineEnd;
    return undefined;
  }

  #transferEncoding(buffer: Buffer, base: number): Refusal | undefined {
    this.#cut(); // written anew where the answer to the client has chunks
    if (this.line.minorVersion === 0) return REFUSALS.encodingInHttp10;
    if (this.#chunked) return REFUSALS.repeatedEncoding;
    const { valueStart, valueEnd } = this.#fields;
    if (!isChunked(buffer, base + valueStart, base + valueEnd)) return REFUSALS.badEncoding;
    this.#chunked = true;
    return undefined;
  }

  #keepAlive(buffer: Buffer, base: number): void {
    this.#cut();
    const to = base + this.#fields.valueEnd;
    for (let pos = base + this.#fields.valueStart; pos + TIMEOUT.length < to; pos++) {
      if (!equalsLower(buffer, pos, TIMEOUT)) continue;
      let seconds = 0;
      for (let at = pos + TIMEOUT.length; at < to && seconds < 1_000_000; at++) {
        const digit = (buffer[at] as number) - DIGIT_0;
        if (digit < 0 || digit > 9) break;
        seconds = seconds * 10 + digit;
      }
      this.keepAliveTimeoutSeconds = seconds;
      return;
    }
  }

  #cut(): void {
    this.cuts.add(this.#fields.nameStart, this.#fields.lineEnd);
  }

  /** Where the body ends: RFC 9112 §6.3, in its order. */
  #finish(buffer: Buffer, start: number, method: Method): HeadResult {
    const { status } = this.line;
    this.headBytes = this.#fields.lineEnd;
    if (this.#chunked && this.#saidLength !== UNSAID) return this.#refuse(REFUSALS.lengthAndEncoding);
    if (status < 200 || status === 204) {
      // §6.1, RFC 9110 §8.6: they say nothing about a body. "0" is often said, means the same, and ends here.
      if (this.#chunked || this.#saidLength > 0) return this.#refuse(REFUSALS.bodyOfBodiless);
      if (this.#saidLength === 0) this.cuts.insert(this.#lengthFrom, this.#lengthTo);
    } else if (method === HEAD || status === 304)
      this.framing = NO_BODY; // what it says is about the answer to GET
    else if (this.#chunked) this.framing = CHUNKED;
    else if (this.#saidLength === UNSAID) this.framing = UNTIL_CLOSE;
    else if (this.#saidLength > 0) {
      this.framing = BY_LENGTH;
      this.contentLength = this.#saidLength;
    }
    if (this.connection.named > 0)
      cutNamed(buffer, start, this.line.end, this.headBytes, this.connection, this.cuts);
    this.#phase = OVER;
    return COMPLETE;
  }

  #refuse(refusal: Refusal | undefined): typeof REFUSED {
    this.#phase = BROKEN;
    this.refusal = refusal;
    return REFUSED;
  }
}
