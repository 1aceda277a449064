/** Every way in which a connection can fail, as the error that the client is told: one table for each side. */
import { isPlatformError, PlatformError } from '../errors.ts';
import type { ErrorCode } from '../errors.ts';
import type { ConnectFailure } from './lease.ts';

/** Failures of this process, not of the container it wanted to reach. */
const LOCAL = new Set(['EMFILE', 'ENFILE', 'EADDRNOTAVAIL', 'ENOBUFS', 'ENOMEM']);

/** What the system calls it: `ECONNREFUSED`, `EPIPE` … */
export function errorCode(thrown: unknown): string | undefined {
  if (!(thrown instanceof Error) || !('code' in thrown)) return undefined;
  return typeof thrown.code === 'string' ? thrown.code : undefined;
}

/** Whether it says nothing about the container: another one could not be reached either. */
export function isLocalFailure(thrown: unknown): boolean {
  return LOCAL.has(errorCode(thrown) ?? '');
}

/** Why no connection came about. */
export function connectFailure(thrown: unknown): ConnectFailure {
  return isPlatformError(thrown, 'upstream_timeout') ? 'silent' : 'refused';
}

/** What went wrong between us and the container. */
export function upstreamFailure(thrown: unknown, containerId: string): PlatformError {
  if (thrown instanceof PlatformError) return thrown;
  const code = errorCode(thrown);
  if (isLocalFailure(thrown))
    return new PlatformError('internal', `this machine has no room for another connection (${code ?? ''})`, {
      cause: thrown,
    });
  const what = code?.startsWith('HPE_') === true ? 'sent something that is not HTTP' : 'broke the connection';
  return new PlatformError('upstream_broken', `${containerId} ${what}`, { cause: thrown });
}

/** What the parser found wrong with what a client sent; undefined where nobody is left to be told. */
export function clientFailure(thrown: unknown): PlatformError | undefined {
  const code = errorCode(thrown) ?? '';
  const told = clientErrorCode(code);
  return told === undefined ? undefined : new PlatformError(told.code, told.message, { cause: thrown });
}

function clientErrorCode(code: string): { code: ErrorCode; message: string } | undefined {
  switch (code) {
    case 'HPE_HEADER_OVERFLOW':
      return { code: 'headers_too_large', message: 'the header section is too large' };
    case 'ERR_HTTP_REQUEST_TIMEOUT':
      return { code: 'request_timeout', message: 'the header section did not arrive in time' };
    case 'HPE_INVALID_METHOD':
    case 'HPE_INVALID_URL':
    case 'HPE_INVALID_CONSTANT':
    case 'HPE_PAUSED_H2_UPGRADE':
      return { code: 'bad_request', message: 'this is not an HTTP/1.1 request' };
    default:
      return code.startsWith('HPE_')
        ? { code: 'ambiguous_http', message: 'the request is not well-formed HTTP/1.1' }
        : undefined;
  }
}
