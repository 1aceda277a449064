/** Text for whoever reads a stream of this process: it is written, or the writer is told why not. */
import { PlatformError } from './errors.ts';

/** `process.stdout`, or what a test collects it in. */
export interface TextStream {
  write(text: string, done: (error?: Error | null) => void): unknown;
}

/** Resolves when it is written. Errors: `internal`, with the stream's own (`ENOSPC`, `EPIPE` …) as its cause. */
export function writeText(stream: TextStream, text: string): Promise<void> {
  return new Promise((resolve, reject) => {
    stream.write(text, (cause) => {
      if (cause)
        reject(new PlatformError('internal', `the output cannot be written: ${cause.message}`, { cause }));
      else resolve();
    });
  });
}
