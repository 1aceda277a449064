/** What the fields of a request's head say that matters to a proxy, taken from one line after the other. */
import { ascii, DASH, equalsFolded, equalsLower, listHas, LOWER } from './ascii.ts';
import { ConnectionOptions } from './connection-options.ts';
import { FieldCuts } from './field-cuts.ts';
import { FieldScanner, interestIn } from './field-scanner.ts';
import { isChunked, LENGTH_MALFORMED, LENGTH_TOO_LARGE, readLength, UNSAID } from './framing.ts';
import { HostMemo } from './host-memo.ts';
import {
  CONNECTION,
  CONTENT_LENGTH,
  EXPECT,
  FORWARDED,
  HOST,
  HTTP2_SETTINGS,
  isOfFamily,
  KEEP_ALIVE,
  MAYFLY,
  PROXY,
  TE,
  TRAILER,
  TRANSFER_ENCODING,
  UPGRADE,
  USER_AGENT,
  X_FORWARDED,
  X_REAL_IP,
  X_REQUEST_ID,
} from './names.ts';
import { REFUSALS } from './refusals.ts';
import type { Refusal } from './refusals.ts';

/** The names looked at, by first letter. */
const NAMES = {
  c: [10, 14], // connection, content-length
  e: [6], // expect
  f: [9], // forwarded
  h: [4, 14], // host, http2-settings
  k: [10], // keep-alive
  m: 'family', // mayfly-*
  p: 'family', // proxy, proxy-*
  t: [2, 7, 17], // te, trailer, transfer-encoding
  u: [7], // upgrade
  x: 'family', // x-forwarded-*, x-real-ip, x-request-id
} as const;
const INTEREST = interestIn(NAMES);
/** Those, and the ones that only an access log tells. */
const INTEREST_NOTING = interestIn({ ...NAMES, u: [...NAMES.u, 10] }); // user-agent

const CONTINUE = ascii('100-continue');
const TRAILERS = ascii('trailers');
const WEBSOCKET = ascii('websocket');

export class RequestFields {
  readonly scanner: FieldScanner;
  /** Lines that are not passed on as they are. */
  readonly cuts = new FieldCuts();
  readonly connection = new ConnectionOptions();
  readonly memo = new HostMemo();
  hosts = 0;
  /** The Content-Length, or `UNSAID`. */
  saidLength = UNSAID;
  chunked = false;
  /** `Expect: 100-continue`. */
  expectsContinue = false;
  /** It expects something else. */
  oddExpectation = false;
  /** `TE: trailers`. */
  acceptsTrailers = false;
  /** There is a `Trailer`. */
  announcesTrailers = false;
  /** `Upgrade: websocket`. */
  webSocket = false;
  /** It has fields about where it came from, which count if whoever sent them is trusted. */
  claimsOrigin = false;
  /** Where the value of `User-Agent` is, if it is noted, and that of `X-Request-Id`; empty where there is none. */
  userAgentFrom = 0;
  userAgentTo = 0;
  requestIdFrom = 0;
  requestIdTo = 0;

  constructor(maxLines: number, noting = false) {
    this.scanner = new FieldScanner(noting ? INTEREST_NOTING : INTEREST, maxLines);
  }

  /** Forgets all but the Host. */
  reset(): void {
    this.cuts.clear();
    this.connection.clear();
    this.hosts = 0;
    this.saidLength = UNSAID;
    this.chunked = false;
    this.expectsContinue = false;
    this.oddExpectation = false;
    this.acceptsTrailers = false;
    this.announcesTrailers = false;
    this.webSocket = false;
    this.claimsOrigin = false;
    this.userAgentFrom = this.userAgentTo = 0;
    this.requestIdFrom = this.requestIdTo = 0;
  }

  /** The same lines stand elsewhere in their head. */
  moveBy(bytes: number): void {
    this.cuts.moveBy(bytes);
    this.userAgentFrom += bytes;
    this.userAgentTo += bytes;
    this.requestIdFrom += bytes;
    this.requestIdTo += bytes;
  }

  /** A line whose name begins as one of those that matter. */
  read(buffer: Buffer, base: number, minorVersion: number): Refusal | undefined {
    const fields = this.scanner;
    const at = base + fields.nameStart;
    const length = fields.nameEnd - fields.nameStart;
    switch (LOWER[buffer[at] as number] as number) {
      case 0x63: // c
        if (length === 10) {
          if (equalsLower(buffer, at, CONNECTION)) return this.#connection(buffer, base);
        } else if (equalsFolded(buffer, at, CONTENT_LENGTH)) return this.#contentLength(buffer, base, at);
        return undefined;
      case 0x65: // e
        if (equalsLower(buffer, at, EXPECT)) this.#expect(buffer, base, minorVersion);
        return undefined;
      case 0x66: // f
        if (equalsLower(buffer, at, FORWARDED)) this.#cutOrigin();
        return undefined;
      case 0x68: // h
        if (length === 4) return equalsLower(buffer, at, HOST) ? this.#host(buffer, base) : undefined;
        if (equalsFolded(buffer, at, HTTP2_SETTINGS)) this.#cut();
        return undefined;
      case 0x6b: // k
        if (equalsFolded(buffer, at, KEEP_ALIVE)) this.#cut();
        return undefined;
      case 0x6d: // m
        if (isOfFamily(buffer, at, length, MAYFLY)) this.#cut();
        return undefined;
      case 0x70: // p
        if (isOfFamily(buffer, at, length, PROXY)) this.#cut();
        return undefined;
      case 0x74: // t
        return this.#fieldInT(buffer, base, at, length, minorVersion);
      case 0x75: // u
        if (length !== UPGRADE.length) this.#noteUserAgent(buffer, at);
        else if (equalsLower(buffer, at, UPGRADE)) this.#upgrade(buffer, base);
        return undefined;
      default: // x
        if (isOfFamily(buffer, at, length, X_FORWARDED)) this.#cutOrigin();
        else if (length === X_REAL_IP.length && equalsFolded(buffer, at, X_REAL_IP)) this.#cut();
        else if (length === X_REQUEST_ID.length) this.#noteRequestId(buffer, at);
        return undefined;
    }
  }

  #fieldInT(
    buffer: Buffer,
    base: number,
    at: number,
    length: number,
    minorVersion: number,
  ): Refusal | undefined {
    if (length === 2) {
      if (!equalsLower(buffer, at, TE)) return undefined;
      this.#cut();
      const { valueStart, valueEnd } = this.scanner;
      if (listHas(buffer, base + valueStart, base + valueEnd, TRAILERS)) this.acceptsTrailers = true;
    } else if (length === 7) {
      if (equalsLower(buffer, at, TRAILER)) this.announcesTrailers = true;
    } else if (equalsFolded(buffer, at, TRANSFER_ENCODING))
      return this.#transferEncoding(buffer, base, at, minorVersion);
    return undefined;
  }

  #host(buffer: Buffer, base: number): Refusal | undefined {
    if (this.hosts++ > 0) return REFUSALS.repeatedHost;
    const { valueStart, valueEnd } = this.scanner;
    return this.memo.read(buffer, base + valueStart, base + valueEnd) ? undefined : REFUSALS.badHost;
  }

  #connection(buffer: Buffer, base: number): Refusal | undefined {
    this.#cut();
    const { valueStart, valueEnd } = this.scanner;
    return this.connection.read(buffer, base, valueStart, valueEnd) ? undefined : REFUSALS.tooManyNamed;
  }

  #contentLength(buffer: Buffer, base: number, at: number): Refusal | undefined {
    // Content_Length is no Content-Length, but an app behind a gateway of the CGI kind might take it for one.
    if (buffer[at + 7] !== DASH) {
      this.#cut();
      return undefined;
    }
    if (this.saidLength !== UNSAID) return REFUSALS.repeatedLength;
    const { valueStart, valueEnd } = this.scanner;
    const bytes = readLength(buffer, base + valueStart, base + valueEnd);
    if (bytes === LENGTH_MALFORMED) return REFUSALS.badLength;
    if (bytes === LENGTH_TOO_LARGE) return REFUSALS.lengthTooLarge;
    this.saidLength = bytes;
    return undefined;
  }

  #transferEncoding(buffer: Buffer, base: number, at: number, minorVersion: number): Refusal | undefined {
    this.#cut(); // written anew, in one spelling
    if (buffer[at + 8] !== DASH) return undefined;
    if (minorVersion === 0) return REFUSALS.encodingInHttp10;
    if (this.chunked) return REFUSALS.repeatedEncoding;
    const { valueStart, valueEnd } = this.scanner;
    if (!isChunked(buffer, base + valueStart, base + valueEnd)) return REFUSALS.badEncoding;
    this.chunked = true;
    return undefined;
  }

  /** HTTP/1.0 has no Expect (RFC 9110 §10.1.1): not passed on, as we would pass it on in HTTP/1.1. */
  #expect(buffer: Buffer, base: number, minorVersion: number): void {
    if (minorVersion === 0) {
      this.#cut();
      return;
    }
    const from = base + this.scanner.valueStart;
    const to = base + this.scanner.valueEnd;
    if (to - from === CONTINUE.length && equalsLower(buffer, from, CONTINUE)) this.expectsContinue = true;
    else this.oddExpectation = true;
  }

  #upgrade(buffer: Buffer, base: number): void {
    this.#cut();
    const { valueStart, valueEnd } = this.scanner;
    if (listHas(buffer, base + valueStart, base + valueEnd, WEBSOCKET)) this.webSocket = true;
  }

  #noteUserAgent(buffer: Buffer, at: number): void {
    if (!equalsLower(buffer, at, USER_AGENT)) return;
    this.userAgentFrom = this.scanner.valueStart;
    this.userAgentTo = this.scanner.valueEnd;
  }

  #noteRequestId(buffer: Buffer, at: number): void {
    if (!equalsLower(buffer, at, X_REQUEST_ID)) return;
    this.requestIdFrom = this.scanner.valueStart;
    this.requestIdTo = this.scanner.valueEnd;
  }

  #cutOrigin(): void {
    this.claimsOrigin = true;
    this.#cut();
  }

  #cut(): void {
    this.cuts.add(this.scanner.nameStart, this.scanner.lineEnd);
  }
}
