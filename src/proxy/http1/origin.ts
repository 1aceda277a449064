/**
 * What the app is told about where a request came from: `X-Forwarded-*` and `Forwarded` (RFC 7239). It is what we saw. What a
 * client claims is removed; what a trusted peer says is kept, and we add to it.
 */
import type { Peer } from '../doors/peer.ts';
import { ascii, COMMA, COLON, copyBytes, DQUOTE, equalsLower, HTAB, LF, SP, write } from './ascii.ts';
import type { HostMemo } from './host-memo.ts';
import type { RequestHead } from './request-head.ts';

const X_FORWARDED_FOR = ascii('x-forwarded-for');
const X_FORWARDED_HOST = ascii('x-forwarded-host');
const X_FORWARDED_PROTO = ascii('x-forwarded-proto');
const FORWARDED = ascii('forwarded');

const FOR_LINE = ascii('X-Forwarded-For: ');
const HOST_LINE = ascii('X-Forwarded-Host: ');
const PROTO_LINE = ascii('X-Forwarded-Proto: ');
const FORWARDED_LINE = ascii('Forwarded: ');
const FOR = ascii('for=');
const FOR_IPV6 = ascii('for="[');
const FOR_IPV6_END = ascii(']"');
const HOST = ascii(';host=');
const PROTO = ascii(';proto=');
const PROTOCOLS = { http: ascii('http'), https: ascii('https') };
/** The names, separators and line ends of all four. */
const FIXED_BYTES = 192;

export class Origin {
  readonly trusted: boolean;
  readonly #peer: Peer;

  constructor(peer: Peer) {
    this.#peer = peer;
    this.trusted = peer.trusted;
  }

  /** Whether it would tell the same of this one. */
  tellsOf({ address, protocol, trusted }: Peer): boolean {
    const own = this.#peer;
    return own.address === address && own.protocol === protocol && own.trusted === trusted;
  }

  /** No more than this is written beside what the head itself has of it. */
  maxBytes(head: RequestHead): number {
    return FIXED_BYTES + 3 * this.#peer.address.length + 3 * head.fields.memo.rawBytes;
  }

  /** Writes the four lines to `out` at `at`; returns where they end. */
  write(head: RequestHead, source: Buffer, start: number, out: Buffer, at: number): number {
    const { memo, claimsOrigin } = head.fields;
    if (this.trusted && claimsOrigin) return this.#writeAfter(head, source, start, out, at);
    const { address, protocol } = this.#peer;
    let end = write(FOR_LINE, out, at);
    end = endLine(out, writeText(address, out, end));
    end = write(HOST_LINE, out, end);
    end = endLine(out, memo.write(out, end));
    end = write(PROTO_LINE, out, end);
    end = endLine(out, write(PROTOCOLS[protocol], out, end));
    end = write(FORWARDED_LINE, out, end);
    return endLine(out, this.#writeElement(memo, out, end));
  }

  /** Of `Forwarded`. RFC 7239 §6: an IPv6 address is bracketed and quoted; a Host with a port is no token, so quoted. */
  #writeElement(memo: HostMemo, out: Buffer, at: number): number {
    const { address, protocol } = this.#peer;
    const isIpv6 = address.includes(':');
    let end = write(isIpv6 ? FOR_IPV6 : FOR, out, at);
    end = writeText(address, out, end);
    if (isIpv6) end = write(FOR_IPV6_END, out, end);
    end = write(HOST, out, end);
    if (!memo.isToken) out[end++] = DQUOTE;
    end = memo.write(out, end);
    if (!memo.isToken) out[end++] = DQUOTE;
    end = write(PROTO, out, end);
    return write(PROTOCOLS[protocol], out, end);
  }

  /** What the peer said, and then what we say; of host and protocol only what was said first. */
  #writeAfter(head: RequestHead, source: Buffer, start: number, out: Buffer, at: number): number {
    const { memo } = head.fields;
    const { address, protocol } = this.#peer;
    const element = Buffer.alloc(this.maxBytes(head));
    const elementBytes = this.#writeElement(memo, element, 0);
    let end = this.#list(head, source, start, out, at, FOR_LINE, X_FORWARDED_FOR, ascii(address));
    end = this.#first(head, source, start, out, end, HOST_LINE, X_FORWARDED_HOST, ascii(memo.raw));
    end = this.#first(head, source, start, out, end, PROTO_LINE, X_FORWARDED_PROTO, PROTOCOLS[protocol]);
    const own = element.subarray(0, elementBytes);
    return this.#list(head, source, start, out, end, FORWARDED_LINE, FORWARDED, own);
  }

  #list(
    head: RequestHead,
    source: Buffer,
    start: number,
    out: Buffer,
    at: number,
    line: Buffer,
    name: Buffer,
    own: Buffer,
  ): number {
    let end = copyBytes(line, 0, line.length, out, at);
    const said = new CutValues(head, source, start, name);
    while (said.next()) {
      end = copyBytes(source, said.from, said.to, out, end);
      out[end++] = COMMA;
      out[end++] = SP;
    }
    return endLine(out, copyBytes(own, 0, own.length, out, end));
  }

  #first(
    head: RequestHead,
    source: Buffer,
    start: number,
    out: Buffer,
    at: number,
    line: Buffer,
    name: Buffer,
    own: Buffer,
  ): number {
    const end = copyBytes(line, 0, line.length, out, at);
    const said = new CutValues(head, source, start, name);
    return endLine(
      out,
      said.next() ? copyBytes(source, said.from, said.to, out, end) : copyBytes(own, 0, own.length, out, end),
    );
  }
}

/** The values, not empty, of a field among the lines that were cut. */
class CutValues {
  /** In the source. */
  from = 0;
  to = 0;
  readonly #head: RequestHead;
  readonly #source: Buffer;
  readonly #start: number;
  readonly #name: Buffer;
  #cut = 0;
  #line = -1;

  constructor(head: RequestHead, source: Buffer, start: number, name: Buffer) {
    this.#head = head;
    this.#source = source;
    this.#start = start;
    this.#name = name;
  }

  next(): boolean {
    const { cuts } = this.#head.fields;
    while (this.#cut < cuts.count) {
      if (this.#line < 0) this.#line = this.#start + cuts.from(this.#cut);
      if (this.#line >= this.#start + cuts.to(this.#cut)) {
        this.#cut++;
        this.#line = -1;
      } else if (this.#readLine()) return true;
    }
    return false;
  }

  #readLine(): boolean {
    const source = this.#source;
    const name = this.#line;
    let colon = name;
    while (source[colon] !== COLON) colon++;
    let end = colon;
    while (source[end] !== LF) end++;
    this.#line = end + 1;
    if (colon - name !== this.#name.length || !equalsLower(source, name, this.#name)) return false;
    let from = colon + 1;
    let to = end - 1;
    while (from < to && (source[from] === SP || source[from] === HTAB)) from++;
    while (from < to && (source[to - 1] === SP || source[to - 1] === HTAB)) to--;
    this.from = from;
    this.to = to;
    return from < to;
  }
}

/** ASCII, and short. */
function writeText(text: string, out: Buffer, at: number): number {
  for (let i = 0; i < text.length; i++) out[at + i] = text.charCodeAt(i);
  return at + text.length;
}

function endLine(out: Buffer, at: number): number {
  out[at] = 0x0d;
  out[at + 1] = 0x0a;
  return at + 2;
}
