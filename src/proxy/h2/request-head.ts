/**
 * The head of a request that came over HTTP/2, in the terms of HTTP/1.1, which is what apps and everything behind this are
 * told (RFC 9113 §8). What HTTP/2 forbids would mean something else over HTTP/1.1, where it ends up: it is refused here even
 * where the library below does so too.
 */
import { PlatformError } from '../../errors.ts';
import { normalizeHost } from '../../hostname.ts';
import { ambiguousHttp, malformedHttp } from '../refusals.ts';
import type { RawRequest } from '../request-head.ts';

export interface H2Head {
  /** Names and values in turn; pseudo-header fields first. */
  readonly rawHeaders: readonly string[];
  /** The stream is over with it: there is no body. */
  readonly ends: boolean;
}

/** §8.2.2, but for `te`, which may say `trailers`. */
const CONNECTION_SPECIFIC = new Set([
  'connection',
  'keep-alive',
  'proxy-connection',
  'transfer-encoding',
  'upgrade',
]);
/** A target that HTTP/1.1 has too: origin-form in visible ASCII, without a fragment. */
const ORIGIN_FORM = /^\/[\x21\x22\x24-\x7e]*$/;
const FIELD_NAME = /^[!#$%&'*+.^_`|~0-9a-z-]+$/;
/** No NUL, CR, LF, other control character but the tab, and no space around it (§8.2.1). */
const FIELD_VALUE = /^(?:[\x21-\x7e\x80-\xff](?:[\t\x20-\x7e\x80-\xff]*[\x21-\x7e\x80-\xff])?)?$/;

/** Errors: `ambiguous_http`, `bad_request`, `headers_too_large`. */
export function toHttp1({ rawHeaders, ends }: H2Head, limits: { readonly headerBytes: number }): RawRequest {
  const pseudo = new Map<string, string>();
  const hosts: string[] = [];
  const crumbs: string[] = [];
  const fields: string[] = [];
  let bytes = 0;
  let hasLength = false;
  for (let i = 0; i < rawHeaders.length; i += 2) {
    const name = rawHeaders[i] ?? '';
    const value = rawHeaders[i + 1] ?? '';
    bytes += name.length + value.length + 4;
    if (name.startsWith(':')) {
      if (pseudo.has(name) || fields.length > 0) throw ambiguousHttp(`${name} is repeated or comes too late`);
      pseudo.set(name, value);
      continue;
    }
    if (!FIELD_NAME.test(name) || !FIELD_VALUE.test(value))
      throw ambiguousHttp('a header field is malformed');
    if (CONNECTION_SPECIFIC.has(name)) throw ambiguousHttp(`HTTP/2 has no ${name}`);
    if (name === 'te' && value.toLowerCase() !== 'trailers') throw ambiguousHttp('TE is not trailers');
    if (name === 'content-length') hasLength = true;
    if (name === 'host') hosts.push(value);
    else if (name === 'cookie') crumbs.push(value);
    else fields.push(name, value);
  }
  if (bytes > limits.headerBytes)
    throw new PlatformError(
      'headers_too_large',
      `the header section is larger than ${limits.headerBytes} bytes`,
    );
  const method = pseudo.get(':method') ?? '';
  if (method === 'CONNECT' || pseudo.has(':protocol')) throw malformedHttp('there is no CONNECT here');
  if (!/^https?$/.test(pseudo.get(':scheme') ?? ''))
    throw malformedHttp('the scheme is neither http nor https');
  return {
    method,
    target: readPath(pseudo.get(':path') ?? '', method),
    version: '1.1',
    rawHeaders: [
      ...readAuthority(pseudo.get(':authority'), hosts).flatMap((host) => ['Host', host]),
      ...fields,
      // §8.2.3: crumbs of one field, for a list that HTTP/1.1 does not have.
      ...(crumbs.length > 0 ? ['cookie', crumbs.join('; ')] : []),
      ...(ends || hasLength ? [] : ['Transfer-Encoding', 'chunked']),
    ],
  };
}

function readPath(path: string, method: string): string {
  if (ORIGIN_FORM.test(path) || (path === '*' && method === 'OPTIONS')) return path;
  throw malformedHttp('the path is none that HTTP/1.1 could ask for');
}

/** §8.3.1: `:authority` is the Host; one that is sent beside it says the same. */
function readAuthority(authority: string | undefined, hosts: readonly string[]): readonly string[] {
  if (authority === undefined || authority === '') return hosts;
  const meant = spelling(authority);
  if (hosts.some((host) => spelling(host) !== meant))
    throw ambiguousHttp('Host names another host than :authority does');
  return [authority];
}

/** Host and port, in one spelling. */
function spelling(host: string): string {
  return `${normalizeHost(host) ?? host}${/:\d*$/.exec(host)?.[0] ?? ''}`;
}
