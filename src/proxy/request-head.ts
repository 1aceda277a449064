/**
 * What a request asks, read in exactly one way. Where two readers of the same bytes could disagree about where a request
 * ends or whom it is for, the second request can be smuggled past the first reader: such requests are refused and never
 * forwarded (RFC 9112 §11.2). The parser below us refuses much already; what it lets through is checked here.
 */
import { PlatformError } from '../errors.ts';
import { normalizeHost } from '../hostname.ts';
import { ambiguousHttp, malformedHttp } from './refusals.ts';

export interface RawRequest {
  readonly method: string;
  /** The request target as it was sent. */
  readonly target: string;
  /** `1.1` */
  readonly version: string;
  /** Names and values in turn, as they were sent. */
  readonly rawHeaders: readonly string[];
}

export interface RequestHead {
  /** Normalised: whom it is for. */
  readonly host: string;
  /** As the client sent it, port included: what the app is to see in `Host`. Undefined: an HTTP/1.0 client sent none. */
  readonly hostHeader: string | undefined;
  /** Origin-form (`/path?query`), or `*`. */
  readonly target: string;
  readonly body: 'none' | 'length' | 'chunked';
  /** Bytes of the body; 0 unless `length`. */
  readonly contentLength: number;
}

/**
 * Errors: `ambiguous_http`, `bad_request`, `uri_too_long`, and `unknown_host` for an HTTP/1.0 request without a Host.
 */
export function readRequestHead(request: RawRequest, limits: { readonly targetBytes: number }): RequestHead {
  const { method, version, rawHeaders } = request;
  if (version !== '1.1' && version !== '1.0') throw ambiguousHttp(`the request line says HTTP/${version}`);
  if (request.target.length > limits.targetBytes)
    throw new PlatformError('uri_too_long', `the request target is longer than ${limits.targetBytes} bytes`);

  let hostHeader: string | undefined;
  let contentLength: string | undefined;
  let transferEncoding: string | undefined;
  for (let i = 0; i < rawHeaders.length; i += 2) {
    const name = rawHeaders[i] ?? '';
    const value = rawHeaders[i + 1] ?? '';
    switch (name.length === 4 || name.length === 14 || name.length === 17 ? name.toLowerCase() : '') {
      case 'host':
        if (hostHeader !== undefined) throw ambiguousHttp('there is more than one Host');
        hostHeader = value;
        break;
      case 'content-length':
        if (contentLength !== undefined) throw ambiguousHttp('there is more than one Content-Length');
        contentLength = value;
        break;
      case 'transfer-encoding':
        if (transferEncoding !== undefined) throw ambiguousHttp('there is more than one Transfer-Encoding');
        transferEncoding = value;
    }
  }

  const { authority, target } = readTarget(request.target, method);
  const named = readHost(hostHeader, version);
  const meant = authority === undefined ? named : readHost(authority, version);
  if (named !== undefined && meant !== named)
    throw ambiguousHttp('the request target names another host than Host does');
  if (meant === undefined)
    throw new PlatformError('unknown_host', 'the request names no host', {
      hint: 'Send a Host header; without one no app can be found.',
    });

  return {
    host: meant,
    hostHeader: hostHeader ?? authority,
    target,
    ...readFraming(contentLength, transferEncoding, version),
  };
}

/** RFC 9112 §3.2. CONNECT's authority-form never comes here. */
function readTarget(text: string, method: string): { authority: string | undefined; target: string } {
  if (text.includes('#')) throw malformedHttp('the request target has a fragment');
  if (text.startsWith('/')) return { authority: undefined, target: text };
  if (text === '*') {
    if (method !== 'OPTIONS') throw malformedHttp('only OPTIONS may have the target *');
    return { authority: undefined, target: text };
  }
  const absolute = /^https?:\/\/([^/?]*)(.*)$/i.exec(text);
  if (absolute === null) throw malformedHttp('the request target is neither a path nor an http URL');
  const [, authority = '', rest = ''] = absolute;
  // §3.2.4: an absolute URL without a path is the server as a whole for OPTIONS, else the root.
  if (rest === '') return { authority, target: method === 'OPTIONS' ? '*' : '/' };
  return { authority, target: rest.startsWith('/') ? rest : `/${rest}` };
}

function readHost(header: string | undefined, version: string): string | undefined {
  if (header === undefined) {
    if (version === '1.1') throw ambiguousHttp('there is no Host');
    return undefined;
  }
  // Header bytes arrive as latin1; a name that is not ASCII is UTF-8.
  const host = normalizeHost(Buffer.from(header, 'latin1').toString('utf8'));
  if (host === undefined) throw ambiguousHttp('the Host is not a valid hostname');
  return host;
}

/** RFC 9112 §6.3. */
function readFraming(
  contentLength: string | undefined,
  transferEncoding: string | undefined,
  version: string,
): Pick<RequestHead, 'body' | 'contentLength'> {
  if (transferEncoding !== undefined) {
    if (version === '1.0') throw ambiguousHttp('HTTP/1.0 has no Transfer-Encoding');
    if (contentLength !== undefined)
      throw ambiguousHttp('there are both Content-Length and Transfer-Encoding');
    if (transferEncoding.toLowerCase() !== 'chunked')
      throw ambiguousHttp('the Transfer-Encoding is not chunked alone');
    return { body: 'chunked', contentLength: 0 };
  }
  if (contentLength === undefined) return { body: 'none', contentLength: 0 };
  if (!/^\d{1,15}$/.test(contentLength)) throw ambiguousHttp('the Content-Length is not a number');
  const bytes = Number(contentLength);
  return { body: bytes === 0 ? 'none' : 'length', contentLength: bytes };
}
