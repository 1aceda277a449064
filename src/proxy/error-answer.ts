/**
 * What a visitor sees when there is no answer of the app: the status, `Mayfly-Error` with the code, and a body that a
 * program (RFC 9457) or a person can read. The app's owner finds the rest in its events: no message from inside the
 * platform, and no line of an app's log, is ever shown to a visitor.
 */
import { ERROR_CODES } from '../errors.ts';
import type { ErrorCode, PlatformError } from '../errors.ts';
import { escaped, htmlPage, PAGE_STYLE } from './html.ts';

/** What visitors are told where the error's own message is not for them. */
const DETAILS: Partial<Record<ErrorCode, string>> = {
  wake_limit: 'It sleeps, and was woken so often in the last minute that it is left alone for a moment.',
  hold_full: 'It is being started, or busy, and as many requests as may wait for it are waiting already.',
  start_failed: 'Its owner can see why in the events of the app.',
  start_backoff: 'It failed to start a moment ago, and will be tried again soon.',
  need_failed:
    'What it needs could not be started. Its owner can see what, and why, in the events of the app.',
  no_capacity: 'All machines are full at the moment.',
  engine_unavailable: 'The machine that runs it has a problem.',
  store_unavailable: 'The platform has a problem.',
  internal: 'This is a fault of the platform, not of the request.',
  upstream_broken: 'It was reached, but closed the connection or answered with something that is not HTTP.',
  upstream_timeout: 'It was reached or waited for, but the time allowed for an answer is over.',
  shutting_down: 'Another server will answer when the request is made again.',
  unknown_host: 'Check the spelling of the address.',
};

/** Errors that describe the request itself: their message is for whoever sent it. */
const ABOUT_THE_REQUEST = new Set<ErrorCode>([
  'ambiguous_http',
  'bad_request',
  'headers_too_large',
  'need_missing',
  'request_timeout',
  'uri_too_long',
]);

/** An answer that the platform gives by itself. */
export interface OwnAnswer {
  readonly status: number;
  readonly reason: string;
  /** Names and values in turn, `Content-Length` included. */
  readonly headers: string[];
  readonly body: Buffer;
}

/** `accept` is the request's `Accept` field. */
export function errorAnswer(error: PlatformError, accept: string | undefined): OwnAnswer {
  const { code, status } = error;
  const title = ERROR_CODES[code].title;
  const detail = ABOUT_THE_REQUEST.has(code) ? sentence(error.message) : (DETAILS[code] ?? '');
  const retryAfterS =
    error.retryAfterMs === undefined ? undefined : Math.max(1, Math.ceil(error.retryAfterMs / 1000));
  const html = prefersHtml(accept);
  const body = Buffer.from(
    html ? page({ code, status, title, detail, retryAfterS }) : problem({ code, status, title, detail }),
  );
  const headers = [
    'Content-Type',
    html ? 'text/html; charset=utf-8' : 'application/problem+json',
    'Content-Length',
    String(body.length),
    'Cache-Control',
    'no-store',
    'Mayfly-Error',
    code,
  ];
  if (retryAfterS !== undefined) headers.push('Retry-After', String(retryAfterS));
  return { status, reason: REASONS[status] ?? 'Error', headers, body };
}

/** The same as bytes, for a connection on which no answer has begun; it says that the connection closes. */
export function rawErrorAnswer(error: PlatformError): Buffer {
  const { status, reason, headers, body } = errorAnswer(error, undefined);
  let head = `HTTP/1.1 ${status} ${reason}\r\n`;
  for (let i = 0; i < headers.length; i += 2) head += `${headers[i] ?? ''}: ${headers[i + 1] ?? ''}\r\n`;
  return Buffer.concat([Buffer.from(`${head}Connection: close\r\n\r\n`, 'latin1'), body]);
}

const REASONS: Readonly<Record<number, string>> = {
  400: 'Bad Request',
  403: 'Forbidden',
  404: 'Not Found',
  408: 'Request Timeout',
  414: 'URI Too Long',
  431: 'Request Header Fields Too Large',
  500: 'Internal Server Error',
  502: 'Bad Gateway',
  503: 'Service Unavailable',
  504: 'Gateway Timeout',
};

/** A browser names text/html; whoever prefers JSON, or names nothing in particular, gets JSON. */
function prefersHtml(accept: string | undefined): boolean {
  if (accept?.includes('html') !== true) return false;
  return (
    quality(accept, /^(?:text\/html|application\/xhtml\+xml)$/) >
    quality(accept, /^application\/(?:.+\+)?json$/)
  );
}

/** The best `q` of the media ranges that match; 0 where none does (RFC 9110 §12.5.1). */
function quality(accept: string, type: RegExp): number {
  let best = 0;
  for (const range of accept.slice(0, 1024).toLowerCase().split(',')) {
    const [name = '', ...parameters] = range.split(';').map((part) => part.trim());
    if (!type.test(name)) continue;
    const q = parameters.find((parameter) => parameter.startsWith('q='));
    best = Math.max(best, q === undefined ? 1 : Number(q.slice(2)) || 0);
  }
  return best;
}

interface Told {
  readonly code: ErrorCode;
  readonly status: number;
  readonly title: string;
  readonly detail: string;
}

function problem({ code, status, title, detail }: Told): string {
  return `${JSON.stringify({ code, status, title, detail })}\n`;
}

function page({
  code,
  status,
  title,
  detail,
  retryAfterS,
}: Told & { retryAfterS: number | undefined }): string {
  const again =
    retryAfterS === undefined
      ? ''
      : `\n    <p>Try again in ${retryAfterS === 1 ? 'a second' : `${retryAfterS} seconds`}.</p>`;
  return htmlPage({
    title: `${status} – ${escaped(title)}`,
    style: `${PAGE_STYLE}footer { margin-top: 2rem; opacity: .6; font-size: .85rem; }`,
    body: `    <h1>${escaped(title)}</h1>
    <p>${escaped(detail)}</p>${again}
    <footer>${status} · <code>${code}</code></footer>
`,
  });
}

function sentence(message: string): string {
  return `${message.charAt(0).toUpperCase()}${message.slice(1)}.`;
}
