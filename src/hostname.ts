/**
 * Hostnames in one form. A `Host` header, an API caller and the database may spell the same name in many ways; routing
 * compares strings, so everything passes through here first: lower case, no port, no trailing dot, IDN as punycode.
 */
import { isIPv4, isIPv6 } from 'node:net';
import { domainToASCII } from 'node:url';

/** RFC 1035 §2.3.4, less the root's dot. */
const MAX_NAME_LENGTH = 253;
/** Longer text is not looked at: the longest name, a port and a dot fit, in any encoding that shrinks to it. */
const MAX_TEXT_LENGTH = 1024;
/** LDH labels (RFC 952, RFC 1123 §2.1) and the underscore, which names inside container networks do have. */
const LABEL = /^[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?$/;
/** What a `Host` looks like nearly always, in normal form already. */
const PLAIN = /^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?(?:\.[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?)*$/;
const ASCII = /^[\x00-\x7f]*$/;

/**
 * The normal form of a host with an optional port (`uri-host [ ":" port ]`, RFC 9110 §7.2), or undefined where it is not
 * one. IPv6 literals keep their brackets: `[::1]`.
 */
export function normalizeHost(headerValue: string): string | undefined {
  if (headerValue.length <= MAX_NAME_LENGTH && PLAIN.test(headerValue)) return headerValue;
  if (headerValue.length === 0 || headerValue.length > MAX_TEXT_LENGTH) return undefined;
  if (headerValue.startsWith('[')) {
    const end = headerValue.indexOf(']');
    if (end === -1 || !isPortSuffix(headerValue.slice(end + 1))) return undefined;
    return normalizeIpv6(headerValue.slice(1, end));
  }
  const colon = headerValue.indexOf(':');
  if (colon === -1) return normalizeName(headerValue);
  return isPortSuffix(headerValue.slice(colon)) ? normalizeName(headerValue.slice(0, colon)) : undefined;
}

export type HostPattern =
  | { readonly ok: true; readonly pattern: string; readonly wildcard: boolean }
  | { readonly ok: false; readonly reason: string };

/**
 * Reads what an API caller gives as an app's host: a name (`a.example`), or `*.` before one, which stands for one or more
 * labels. The reason is for people and names the text's fault.
 */
export function parseHostPattern(text: string): HostPattern {
  const wildcard = text.startsWith('*.');
  const name = wildcard ? text.slice(2) : text;
  if (name.length === 0) return { ok: false, reason: 'is empty' };
  if (name.length > MAX_TEXT_LENGTH) return { ok: false, reason: 'is too long' };
  if (name.includes('*'))
    return { ok: false, reason: 'may have a wildcard only as its first label, as in *.example.com' };
  if (name.includes('/')) return { ok: false, reason: 'is a hostname alone, without scheme or path' };
  const normal = normalizeHost(name);
  if (normal === undefined) return { ok: false, reason: 'is not a valid hostname' };
  if (name.startsWith('[') ? !name.endsWith(']') : name.includes(':'))
    return { ok: false, reason: 'is a hostname alone, without a port' };
  if (!wildcard) return { ok: true, pattern: normal, wildcard };
  if (isAddress(normal)) return { ok: false, reason: 'has a wildcard before an IP address' };
  if (normal.length + 2 > MAX_NAME_LENGTH) return { ok: false, reason: 'is too long' };
  return { ok: true, pattern: `*.${normal}`, wildcard };
}

/**
 * The wildcard patterns that match a normalised host, longest (most specific) first: `a.b.example` gives `*.b.example`,
 * `*.example`. An address has none.
 */
export function wildcardsOf(host: string): string[] {
  const patterns: string[] = [];
  if (isAddress(host)) return patterns;
  for (let dot = host.indexOf('.'); dot !== -1; dot = host.indexOf('.', dot + 1))
    patterns.push(`*${host.slice(dot)}`);
  return patterns;
}

/** Whether a normalised pattern (exact or `*.`) covers a normalised host. */
export function hostMatches(pattern: string, host: string): boolean {
  if (!pattern.startsWith('*.')) return pattern === host;
  return host.length > pattern.length - 1 && host.endsWith(pattern.slice(1)) && !isAddress(host);
}

function isAddress(host: string): boolean {
  return host.startsWith('[') || isIPv4(host);
}

/** Nothing, or `:` and a port; an empty port is allowed (RFC 3986 §3.2.3). */
function isPortSuffix(text: string): boolean {
  if (text === '' || text === ':') return true;
  return /^:\d{1,5}$/.test(text) && Number(text.slice(1)) <= 65535;
}

function normalizeName(text: string): string | undefined {
  const ascii = ASCII.test(text) ? text.toLowerCase() : domainToASCII(text);
  const name = ascii.endsWith('.') ? ascii.slice(0, -1) : ascii;
  if (name.length === 0 || name.length > MAX_NAME_LENGTH) return undefined;
  return name.split('.').every((label) => LABEL.test(label)) ? name : undefined;
}

function normalizeIpv6(address: string): string | undefined {
  // A zone (`%eth0`) means nothing to another machine; isIPv6 takes it, a URL does not.
  if (!isIPv6(address) || address.includes('%')) return undefined;
  return new URL(`http://[${address}]/`).hostname;
}
