/**
 * Which header fields pass. What concerns one connection ends at it (RFC 9110 §7.6.1); what says where a request came from
 * is said by us, never by the client; `Mayfly-*` is ours in both directions. Everything else passes as it was sent: its
 * order, its case, its repetitions.
 */
import type { Peer } from './doors/peer.ts';
import type { RequestHead } from './request-head.ts';

/** Fields of one connection. `te` and `trailer` come back where they apply. */
const HOP_BY_HOP = new Set([
  'connection',
  'keep-alive',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
  'proxy',
  'http2-settings',
]);
/** Fields that frame or route the message: a `Connection` that names one of them does not remove it. */
const NEVER_NAMED = new Set(['host', 'content-length', 'transfer-encoding']);

export interface RequestHeaderOptions {
  readonly method: string;
  readonly version: string;
  readonly head: RequestHead;
  readonly rawHeaders: readonly string[];
  readonly peer: Peer;
  /** The protocol to upgrade to. */
  readonly upgrade: 'websocket' | undefined;
}

/** The fields of the request that goes to the container: names and values in turn. */
export function requestHeaders(options: RequestHeaderOptions): string[] {
  const { head, rawHeaders, method, version, upgrade } = options;
  const named = namedByConnection(rawHeaders);
  const headers: string[] = [];
  const told = new Origin();
  let acceptsTrailers = false;
  for (let i = 0; i < rawHeaders.length; i += 2) {
    const sent = rawHeaders[i] ?? '';
    const value = rawHeaders[i + 1] ?? '';
    const name = sent.toLowerCase();
    if (name === 'te') acceptsTrailers ||= hasToken(value, 'trailers');
    if (name === 'trailer' && head.body === 'chunked') headers.push(sent, value);
    if (isHopByHop(name) || isOurs(name) || named?.has(name) === true) continue;
    if (told.reads(name, value)) continue;
    if (name === 'host') headers.push(sent, head.hostHeader ?? value);
    else if (name === 'expect' && version === '1.0') continue;
    else headers.push(sent, value);
  }
  if (head.body === 'chunked') headers.push('Transfer-Encoding', 'chunked');
  else if (head.body === 'none' && mayHaveBody(method) && !hasName(headers, 'content-length'))
    headers.push('Content-Length', '0');
  if (!hasName(headers, 'host') && head.hostHeader !== undefined) headers.push('Host', head.hostHeader);
  if (upgrade !== undefined) headers.push('Connection', 'Upgrade', 'Upgrade', upgrade);
  else if (acceptsTrailers) headers.push('Connection', 'keep-alive, TE', 'TE', 'trailers');
  told.write(headers, options);
  return headers;
}

export interface ResponseHeaderOptions {
  readonly rawHeaders: readonly string[];
  /** Whether the answer to the client can carry trailers. */
  readonly trailers: boolean;
  /** Fields to add: names and values in turn. */
  readonly extra?: readonly string[] | undefined;
  readonly upgrade?: string | undefined;
}

/** The fields of the answer that goes to the client: names and values in turn. */
export function responseHeaders(options: ResponseHeaderOptions): string[] {
  const { rawHeaders, trailers, extra, upgrade } = options;
  const named = namedByConnection(rawHeaders);
  const headers: string[] = [];
  for (let i = 0; i < rawHeaders.length; i += 2) {
    const sent = rawHeaders[i] ?? '';
    const value = rawHeaders[i + 1] ?? '';
    const name = sent.toLowerCase();
    if (name === 'trailer' && trailers) headers.push(sent, value);
    if (isHopByHop(name) || isOurs(name) || named?.has(name) === true) continue;
    headers.push(sent, value);
  }
  if (upgrade !== undefined) headers.push('Connection', 'Upgrade', 'Upgrade', upgrade);
  if (extra !== undefined) headers.push(...extra);
  return headers;
}

/** Trailer fields that may pass: none that frame, route or belong to a connection (RFC 9110 §6.5.1). */
export function trailerFields(rawTrailers: readonly string[]): [string, string][] {
  const fields: [string, string][] = [];
  for (let i = 0; i < rawTrailers.length; i += 2) {
    const name = rawTrailers[i] ?? '';
    const lower = name.toLowerCase();
    if (isHopByHop(lower) || isOurs(lower) || isOrigin(lower) || NEVER_NAMED.has(lower)) continue;
    fields.push([name, rawTrailers[i + 1] ?? '']);
  }
  return fields;
}

/** Whether a comma-separated field value has this (lower-case) token. */
export function hasToken(value: string, token: string): boolean {
  return value.split(',').some((part) => part.split(';', 1)[0]?.trim().toLowerCase() === token);
}

/** What was said, by a trusted peer, about where the request came from; and what we say. */
class Origin {
  readonly #forwardedFor: string[] = [];
  readonly #forwarded: string[] = [];
  #host: string | undefined;
  #proto: string | undefined;

  /** Takes the field if it is about the origin: true. */
  reads(name: string, value: string): boolean {
    if (!isOrigin(name)) return false;
    if (name === 'x-forwarded-for') this.#forwardedFor.push(value);
    else if (name === 'forwarded') this.#forwarded.push(value);
    else if (name === 'x-forwarded-host') this.#host ??= value;
    else if (name === 'x-forwarded-proto') this.#proto ??= value;
    return true;
  }

  write(headers: string[], { peer, head }: RequestHeaderOptions): void {
    const { address, protocol, trusted } = peer;
    const host = head.hostHeader ?? head.host;
    const element = `for=${forwardedNode(address)};host=${quotedUnlessToken(host)};proto=${protocol}`;
    const before = trusted ? this : new Origin();
    headers.push(
      'X-Forwarded-For',
      [...before.#forwardedFor, address].join(', '),
      'X-Forwarded-Host',
      before.#host ?? host,
      'X-Forwarded-Proto',
      before.#proto ?? protocol,
      'Forwarded',
      [...before.#forwarded, element].join(', '),
    );
  }
}

/** RFC 7239 §6: an IPv6 address is bracketed and quoted. */
function forwardedNode(address: string): string {
  return address.includes(':') ? `"[${address}]"` : address;
}

function quotedUnlessToken(value: string): string {
  return /^[\w!#$%&'*+.^`|~-]+$/.test(value) ? value : `"${value.replace(/[\\"]/g, '\\$&')}"`;
}

function isHopByHop(name: string): boolean {
  return HOP_BY_HOP.has(name) || name.startsWith('proxy-');
}

/** With `_` for `-` as well: gateways of the CGI kind cannot tell the two apart. */
function isOurs(name: string): boolean {
  return name.startsWith('mayfly-') || name.startsWith('mayfly_');
}

function isOrigin(name: string): boolean {
  if (name === 'forwarded') return true;
  if (!name.startsWith('x')) return false;
  return /^x[-_](?:forwarded(?:[-_]|$)|real[-_]ip$)/.test(name);
}

function namedByConnection(rawHeaders: readonly string[]): Set<string> | undefined {
  let named: Set<string> | undefined;
  for (let i = 0; i < rawHeaders.length; i += 2) {
    const name = rawHeaders[i];
    if (name?.length !== 10 || name.toLowerCase() !== 'connection') continue;
    for (const part of (rawHeaders[i + 1] ?? '').split(',')) {
      const token = part.trim().toLowerCase();
      if (token === '' || token === 'close' || token === 'keep-alive' || NEVER_NAMED.has(token)) continue;
      named ??= new Set();
      named.add(token);
    }
  }
  return named;
}

function hasName(headers: readonly string[], name: string): boolean {
  for (let i = 0; i < headers.length; i += 2) if (headers[i]?.toLowerCase() === name) return true;
  return false;
}

/** Methods whose request says that it has no body (RFC 9110 §8.6). */
function mayHaveBody(method: string): boolean {
  return !['GET', 'HEAD', 'DELETE', 'OPTIONS', 'TRACE'].includes(method);
}
