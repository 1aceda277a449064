/**
 * The absolute form of a request target, `http://host:port/path?query` (RFC 9112 §3.2.2), which clients send to proxies. It
 * names its host a second time: where that is another one than `Host` names, two readers would take the request to two places.
 */
import { normalizeHost } from '../../hostname.ts';
import { ascii, COLON, equalsLower, QUESTION, SLASH } from './ascii.ts';
import { REFUSALS } from './refusals.ts';
import type { Refusal } from './refusals.ts';

const HTTP = ascii('http://');
const HTTPS = ascii('https://');

export class AbsoluteForm {
  /** The authority, relative to the start of the head. */
  authorityStart = 0;
  authorityEnd = 0;
  #defaultPort = 80;

  /** Reads a target in [from, to), relative to `base`. Undefined: it is well-formed so far. */
  read(buffer: Buffer, base: number, from: number, to: number): Refusal | undefined {
    const length = to - from;
    if (length >= HTTP.length && equalsLower(buffer, base + from, HTTP)) {
      this.authorityStart = from + HTTP.length;
      this.#defaultPort = 80;
    } else if (length >= HTTPS.length && equalsLower(buffer, base + from, HTTPS)) {
      this.authorityStart = from + HTTPS.length;
      this.#defaultPort = 443;
    } else return REFUSALS.noTargetForm;
    let pos = this.authorityStart;
    while (pos < to && buffer[base + pos] !== SLASH && buffer[base + pos] !== QUESTION) {
      if (buffer[base + pos] === 0x40) return REFUSALS.userinfo;
      pos++;
    }
    this.authorityEnd = pos;
    return undefined;
  }

  /** Compares with the Host that was sent, its port included; undefined if none was. */
  check(buffer: Buffer, base: number, host: string | undefined, rawHost: string): Refusal | undefined {
    const authority = buffer.toString('latin1', base + this.authorityStart, base + this.authorityEnd);
    const meant = normalizeHost(authority);
    if (meant === undefined) return REFUSALS.badAuthority;
    if (host === undefined) return undefined;
    if (meant !== host || this.#port(authority) !== this.#port(rawHost)) return REFUSALS.authorityMismatch;
    return undefined;
  }

  #port(authority: string): number {
    const colon = authority.lastIndexOf(String.fromCharCode(COLON));
    if (colon === -1 || colon === authority.length - 1 || authority.endsWith(']')) return this.#defaultPort;
    return Number(authority.slice(colon + 1));
  }
}
