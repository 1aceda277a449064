/**
 * Errors on the wire: RFC 9457 problem documents, made from a `PlatformError` on one side and turned back into the same
 * error on the other. What broke inside (`internal`) is told to the log, not to the caller.
 */
import { ERROR_CODES, PlatformError, type ErrorCode } from '../errors.ts';
import type { Problem } from './schema-views.ts';

export const PROBLEM_TYPE = 'application/problem+json';

/** The error as the API answers with it: never with its cause. */
export function toProblem(error: PlatformError): Problem {
  const internal = error.code === 'internal';
  return {
    type: problemType(error.code),
    title: ERROR_CODES[error.code].title,
    status: error.status,
    detail: internal ? 'the request could not be served; the log of the server says why' : error.message,
    code: error.code,
    ...(error.hint !== undefined && !internal && { hint: error.hint }),
    ...(error.fields.length > 0 && !internal && { errors: [...error.fields] }),
  };
}

/** The whole answer. `Retry-After` is in whole seconds (RFC 9110, section 10.2.3), rounded up. */
export function problemResponse(error: PlatformError, headers: Record<string, string> = {}): Response {
  const { retryAfterMs } = error;
  return new Response(JSON.stringify(toProblem(error)), {
    status: error.status,
    headers: {
      'content-type': PROBLEM_TYPE,
      ...(retryAfterMs !== undefined && { 'retry-after': String(Math.ceil(retryAfterMs / 1000)) }),
      ...(error.code === 'unauthorized' && { 'www-authenticate': 'Bearer realm="mayfly"' }),
      ...headers,
    },
  });
}

/**
 * The error that a problem document of a Core API tells of; undefined where it is none, which the proxy's own answers
 * are not either.
 */
export function fromProblem(
  body: unknown,
  { retryAfterMs }: { retryAfterMs?: number | undefined } = {},
): PlatformError | undefined {
  const problem = (typeof body === 'object' && body !== null ? body : {}) as Partial<Problem>;
  const { code, detail } = problem;
  if (!isErrorCode(code) || problem.type !== problemType(code) || typeof detail !== 'string')
    return undefined;
  return new PlatformError(code, detail, {
    ...(typeof problem.hint === 'string' && { hint: problem.hint }),
    ...(retryAfterMs !== undefined && { retryAfterMs }),
    ...(Array.isArray(problem.errors) && { fields: problem.errors }),
  });
}

function problemType(code: ErrorCode): string {
  return `urn:mayfly:error:${code}`;
}

function isErrorCode(code: unknown): code is ErrorCode {
  return typeof code === 'string' && Object.hasOwn(ERROR_CODES, code);
}
