/**
 * Fields that may not come behind the body (RFC 9110 §6.5.1): those that frame or route the message, that a reader needs
 * before it, that say who someone is or where a request came from, or that belong to one connection. Someone behind us might
 * merge trailers into the head.
 */
const FORBIDDEN = new Set([
  // framing and routing
  'host',
  'content-length',
  'transfer-encoding',
  'trailer',
  // of one connection
  'connection',
  'http2-settings',
  'keep-alive',
  'te',
  'upgrade',
  // how the request or the answer is to be taken
  'cache-control',
  'expect',
  'max-forwards',
  'pragma',
  'range',
  'age',
  'expires',
  'location',
  'retry-after',
  'vary',
  'content-encoding',
  'content-type',
  'content-range',
  // who it is, and where it came from
  'authorization',
  'cookie',
  'set-cookie',
  'www-authenticate',
  'forwarded',
  'x-real-ip',
]);
const FORBIDDEN_PREFIXES = ['mayfly-', 'proxy-', 'x-forwarded-', 'if-'];

/** `name`: in lower case, with `-` for `_`. */
export function isForbiddenTrailer(name: string): boolean {
  return (
    FORBIDDEN.has(name) ||
    FORBIDDEN_PREFIXES.some((prefix) => name.startsWith(prefix)) ||
    name === 'proxy' ||
    name === 'x-forwarded'
  );
}
