/**
 * What the app is told about where a request came from: `X-Forwarded-*` and `Forwarded` (RFC 7239). It is what we saw, and
 * the same for every request of a connection that has the same Host: the lines are made once. What a client claims is
 * removed; what a trusted peer says is kept, and we add to it.
 */
import type { Peer } from '../doors/peer.ts';
import { ascii, COMMA, COLON, copyBytes, equalsLower, HTAB, LF, SP } from './ascii.ts';
import type { RequestHead } from './request-head.ts';

const X_FORWARDED_FOR = ascii('x-forwarded-for');
const X_FORWARDED_HOST = ascii('x-forwarded-host');
const X_FORWARDED_PROTO = ascii('x-forwarded-proto');
const FORWARDED = ascii('forwarded');

const FOR_LINE = ascii('X-Forwarded-For: ');
const HOST_LINE = ascii('X-Forwarded-Host: ');
const PROTO_LINE = ascii('X-Forwarded-Proto: ');
const FORWARDED_LINE = ascii('Forwarded: ');
/** The names, separators and line ends of all four. */
const FIXED_BYTES = 192;
const NOTHING: Buffer = Buffer.alloc(0);

export class Origin {
  readonly trusted: boolean;
  readonly #peer: Peer;
  /** The lines for the Host with this serial number. */
  #serial = -1;
  #lines = NOTHING;
  /** What stands in them. */
  #host = '';
  #element = '';

  constructor(peer: Peer) {
    this.#peer = peer;
    this.trusted = peer.trusted;
  }

  /** No more than this is written beside what the head itself has of it. */
  maxBytes(head: RequestHead): number {
    return FIXED_BYTES + 3 * this.#peer.address.length + 3 * head.fields.memo.rawBytes;
  }

  /** Writes the four lines to `out` at `at`; returns where they end. */
  write(head: RequestHead, source: Buffer, start: number, out: Buffer, at: number): number {
    if (head.fields.memo.serial !== this.#serial) this.#prepare(head);
    if (this.trusted && head.fields.claimsOrigin) return this.#writeAfter(head, source, start, out, at);
    return copyBytes(this.#lines, 0, this.#lines.length, out, at);
  }

  #prepare(head: RequestHead): void {
    const host = head.fields.memo.raw;
    const { address, protocol } = this.#peer;
    // RFC 7239 §6: an IPv6 address is bracketed and quoted; a Host with a port is no token, so quoted.
    const node = address.includes(':') ? `"[${address}]"` : address;
    const element = `for=${node};host=${/^[\w.-]+$/.test(host) ? host : `"${host}"`};proto=${protocol}`;
    this.#serial = head.fields.memo.serial;
    this.#host = host;
    this.#element = element;
    this.#lines = ascii(
      `X-Forwarded-For: ${address}\r\nX-Forwarded-Host: ${host}\r\nX-Forwarded-Proto: ${protocol}\r\nForwarded: ${element}\r\n`,
    );
  }

  /** What the peer said, and then what we say; of host and protocol only what was said first. */
  #writeAfter(head: RequestHead, source: Buffer, start: number, out: Buffer, at: number): number {
    let end = this.#list(head, source, start, out, at, FOR_LINE, X_FORWARDED_FOR, ascii(this.#peer.address));
    end = this.#first(head, source, start, out, end, HOST_LINE, X_FORWARDED_HOST, ascii(this.#host));
    end = this.#first(
      head,
      source,
      start,
      out,
      end,
      PROTO_LINE,
      X_FORWARDED_PROTO,
      ascii(this.#peer.protocol),
    );
    return this.#list(head, source, start, out, end, FORWARDED_LINE, FORWARDED, ascii(this.#element));
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

function endLine(out: Buffer, at: number): number {
  out[at] = 0x0d;
  out[at + 1] = 0x0a;
  return at + 2;
}
