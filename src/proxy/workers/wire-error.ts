/** A PlatformError on its way to another process: all that a caller acts on. Its cause stays where it was thrown. */
import { ERROR_CODES, PlatformError } from '../../errors.ts';
import type { ErrorCode, FieldError } from '../../errors.ts';

export interface WireError {
  readonly code: ErrorCode;
  readonly message: string;
  readonly hint?: string | undefined;
  readonly retryAfterMs?: number | undefined;
  readonly fields: readonly FieldError[];
}

export function toWire(thrown: unknown): WireError {
  const { code, message, hint, retryAfterMs, fields } = PlatformError.from(thrown);
  return { code, message, hint, retryAfterMs, fields };
}

/** A code that this process does not know (the other one is of another version) becomes `internal`. */
export function fromWire({ code, message, hint, retryAfterMs, fields }: WireError): PlatformError {
  return new PlatformError(Object.hasOwn(ERROR_CODES, code) ? code : 'internal', message, {
    ...(hint === undefined ? {} : { hint }),
    ...(retryAfterMs === undefined ? {} : { retryAfterMs }),
    fields,
  });
}
