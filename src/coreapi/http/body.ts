/** Reads a request's body up to a bound, before anything looks at it. */
import type { MiddlewareHandler } from 'hono';
import { PlatformError } from '../../errors.ts';

/** A body that is too large is read so far beyond, for a caller hears the answer only once it is done sending. */
const DRAINED_BYTES = 16 * 1024 ** 2;

/** Errors: `body_too_large`, `bad_request` (not UTF-8), `client_closed_request`. */
export function boundedBody(maxBytes: number): MiddlewareHandler {
  return async (c, next) => {
    const { raw } = c.req;
    if (raw.body) {
      const text = toText(await readBytes(raw.body, maxBytes));
      const { url, method, headers, signal } = raw;
      // The same request, with a body that is here already.
      c.req.raw = new Request(url, { method, headers, signal, ...(text !== '' && { body: text }) });
    }
    return next();
  };
}

async function readBytes(body: ReadableStream<Uint8Array>, maxBytes: number): Promise<Buffer> {
  const chunks: Uint8Array[] = [];
  let size = 0;
  const reader = body.getReader();
  while (size <= DRAINED_BYTES) {
    const { done, value } = await reader.read().catch((thrown: unknown) => {
      throw new PlatformError('client_closed_request', 'the body ended early', { cause: thrown });
    });
    if (done) break;
    size += value.length;
    if (size <= maxBytes) chunks.push(value);
    else chunks.length = 0;
  }
  if (size <= maxBytes) return Buffer.concat(chunks);
  throw new PlatformError('body_too_large', `the body is larger than ${maxBytes} bytes`);
}

function toText(bytes: Buffer): string {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch {
    throw new PlatformError('bad_request', 'the body is not UTF-8 text');
  }
}
