/**
 * Every failure a user can meet has a stable code; one table says what it is over HTTP. `docs/errors.md` explains each
 * code, and a test holds the two together.
 */

interface CodeInfo {
  /** The HTTP status that carries the error, from the proxy and from the Core API alike. */
  readonly status: number;
  /** The same for every occurrence of the code (the `title` of an RFC 9457 problem document). */
  readonly title: string;
}

export const ERROR_CODES = {
  // What the caller sent.
  bad_request: { status: 400, title: 'The request is malformed' },
  ambiguous_http: { status: 400, title: 'The request can be read in more than one way' },
  invalid_body: { status: 400, title: 'The body does not match the schema' },
  invalid_config: { status: 400, title: 'The configuration is not valid' },
  unauthorized: { status: 401, title: 'A valid token is needed' },
  forbidden: { status: 403, title: 'This token may not do that' },
  need_missing: { status: 403, title: 'The app that asks does not need what it asks for' },
  not_found: { status: 404, title: 'There is no such thing' },
  unknown_host: { status: 404, title: 'No app has this hostname' },
  method_not_allowed: { status: 405, title: 'This path does not take that method' },
  request_timeout: { status: 408, title: 'The request did not arrive in time' },
  conflict: { status: 409, title: 'It was changed by someone else meanwhile' },
  name_taken: { status: 409, title: 'The name is taken' },
  host_taken: { status: 409, title: 'Another app has this hostname' },
  app_needed: { status: 409, title: 'Other apps need it' },
  invalid_transition: { status: 409, title: 'The state does not allow that' },
  precondition_failed: { status: 412, title: 'It is no longer what If-Match names' },
  body_too_large: { status: 413, title: 'The body is too large' },
  uri_too_long: { status: 414, title: 'The request target is too long' },
  unsupported_media_type: { status: 415, title: 'The body is of a type that is not taken here' },
  unknown_grade: { status: 422, title: 'There is no such grade' },
  image_not_found: { status: 422, title: 'The image cannot be found' },
  unsupported: { status: 422, title: 'This engine cannot do that' },
  quota_exceeded: { status: 429, title: 'The quota is used up' },
  headers_too_large: { status: 431, title: 'The header section is too large' },
  client_closed_request: { status: 499, title: 'The client went away' },
  // What we, or the app, did.
  internal: { status: 500, title: 'Something broke in Mayfly' },
  upstream_broken: { status: 502, title: 'The app broke the connection' },
  hold_full: { status: 503, title: 'Too many requests are waiting for this app' },
  wake_limit: { status: 503, title: 'The app has been woken as often as it may be' },
  start_failed: { status: 503, title: 'The app could not be started' },
  start_backoff: { status: 503, title: 'The app failed to start and is tried again later' },
  need_failed: { status: 503, title: 'An app that this one needs could not be started' },
  no_capacity: { status: 503, title: 'No node has room for the app' },
  engine_unavailable: { status: 503, title: 'The container engine does not answer' },
  store_unavailable: { status: 503, title: 'The database does not answer' },
  shutting_down: { status: 503, title: 'The server is stopping' },
  not_ready: { status: 503, title: 'The server is not ready yet' },
  api_unavailable: { status: 503, title: 'The Core API does not answer' },
  revision_compacted: { status: 503, title: 'The change feed no longer reaches that far back' },
  upstream_timeout: { status: 504, title: 'The app did not answer in time' },
} as const satisfies Record<string, CodeInfo>;

export type ErrorCode = keyof typeof ERROR_CODES;

export interface PlatformErrorOptions {
  /** What made it happen; kept for logs, never shown to visitors. */
  cause?: unknown;
  /** What the reader can do about it, one sentence. */
  hint?: string;
  /** When to try again, in milliseconds; becomes `Retry-After`. */
  retryAfterMs?: number;
  /** The input fields at fault, each with its reason. */
  fields?: readonly FieldError[];
}

export interface FieldError {
  /** Path of the field, e.g. `policy.cpu`. */
  readonly field: string;
  readonly reason: string;
}

/** The one error type that crosses module borders. `message` names the thing at fault; `code` never changes its meaning. */
export class PlatformError extends Error {
  readonly code: ErrorCode;
  readonly hint: string | undefined;
  readonly retryAfterMs: number | undefined;
  readonly fields: readonly FieldError[];

  constructor(code: ErrorCode, message: string, options: PlatformErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = 'PlatformError';
    this.code = code;
    this.hint = options.hint;
    this.retryAfterMs = options.retryAfterMs;
    this.fields = options.fields ?? [];
  }

  get status(): number {
    return ERROR_CODES[this.code].status;
  }

  /** The thing itself if it is a PlatformError, else `internal` with the thing as its cause. */
  static from(thrown: unknown): PlatformError {
    if (thrown instanceof PlatformError) return thrown;
    const message = thrown instanceof Error ? thrown.message : String(thrown);
    return new PlatformError('internal', message, { cause: thrown });
  }
}

export function isPlatformError(thrown: unknown, code?: ErrorCode): thrown is PlatformError {
  return thrown instanceof PlatformError && (code === undefined || thrown.code === code);
}
