/** Whatever goes wrong while a request is served, as the one error type: validation, HTTP, and our own faults. */
import { HTTPException } from 'hono/http-exception';
import type { ZodError } from 'zod';
import { PlatformError, type FieldError } from '../../errors.ts';

type Issue = ZodError['issues'][number];

const MAX_FIELDS = 20;
const MAX_FIELD_LENGTH = 100;

/** What does not fit the schema, field by field. */
function fieldErrors(error: ZodError): FieldError[] {
  return error.issues.flatMap(errorsOf).slice(0, MAX_FIELDS);
}

function errorsOf(issue: Issue): FieldError[] {
  if (issue.code === 'unrecognized_keys') {
    return issue.keys.map((key) => ({
      field: fieldName([...issue.path, key]),
      reason: 'is not a field that is known here',
    }));
  }
  const reason = issue.code === 'invalid_key' ? (issue.issues[0]?.message ?? issue.message) : issue.message;
  return [{ field: fieldName(issue.path), reason: plain(reason) }];
}

function fieldName(path: readonly PropertyKey[]): string {
  if (path.length === 0) return 'body';
  const name = path.map(String).join('.');
  return name.length > MAX_FIELD_LENGTH ? `${name.slice(0, MAX_FIELD_LENGTH)}…` : name;
}

/** The validator's words, less its preambles. */
function plain(message: string): string {
  if (message.endsWith('received undefined')) return 'is missing';
  return message
    .replace(/^(Invalid input|Too big|Too small): /, '')
    .replace('expected int,', 'expected a whole number,');
}

/** `body` for a body, `bad_request` for the rest of a request. */
export function invalidInput(error: ZodError, target: string): PlatformError {
  const fields = fieldErrors(error);
  const told = fields.map(({ field, reason }) => `${field}: ${reason}`).join('; ');
  return new PlatformError(target === 'json' ? 'invalid_body' : 'bad_request', told, {
    fields,
    hint: '/v1/openapi.json describes every field',
  });
}

/** Whatever a handler threw, as one of ours. */
export function toPlatformError(thrown: unknown, shutdown: AbortSignal): PlatformError {
  if (thrown instanceof HTTPException) return fromHttpException(thrown);
  // What a stopping server interrupts fails in many ways, for one reason.
  if (shutdown.aborted) return PlatformError.from(shutdown.reason);
  return PlatformError.from(thrown);
}

function fromHttpException(thrown: HTTPException): PlatformError {
  if (thrown.status === 415) {
    return new PlatformError('unsupported_media_type', 'the body must be JSON', {
      hint: 'send it with the header Content-Type: application/json',
    });
  }
  return new PlatformError('bad_request', 'the body is not valid JSON', { cause: thrown });
}
