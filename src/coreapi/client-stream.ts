/** Reads a stream of JSON lines: skips the empty ones that keep it alive, and throws what its last line tells of. */
import { PlatformError } from '../errors.ts';
import { fromProblem } from './problem.ts';

/** Longer than any line a server sends. */
const MAX_LINE_LENGTH = 4 * 1024 ** 2;

/** Ends when the stream does. Errors: those of a problem line, `internal` (what comes is no such stream). */
export async function* jsonLines(body: ReadableStream<Uint8Array>): AsyncGenerator {
  const decoder = new TextDecoder();
  let rest = '';
  for await (const chunk of body) {
    const lines = (rest + decoder.decode(chunk, { stream: true })).split('\n');
    rest = lines.pop() ?? '';
    if (rest.length > MAX_LINE_LENGTH) throw notLines();
    for (const line of lines) {
      if (line === '') continue;
      const item = parse(line);
      if (isProblemLine(item)) throw fromProblem(item.problem) ?? notLines();
      yield item;
    }
  }
}

function parse(line: string): unknown {
  try {
    return JSON.parse(line);
  } catch {
    throw notLines();
  }
}

function isProblemLine(item: unknown): item is { problem: unknown } {
  return (
    typeof item === 'object' && item !== null && 'type' in item && item.type === 'error' && 'problem' in item
  );
}

function notLines(): PlatformError {
  return new PlatformError('internal', 'the server sent something else than lines of JSON', {
    hint: 'check that the address is that of a Mayfly Core API',
  });
}
