/**
 * Reads the logs of containers. Whoever reads one holds a connection to the engine, as long as he follows it or takes to read
 * it, so there are only so many at once: of one container, that nobody has them all, and in all.
 */
import { PlatformError } from '../../errors.ts';
import type { LogLine, LogOptions } from '../engine.ts';
import { explain } from './api.ts';
import type { DockerApi } from './api.ts';
import { logLines } from './logs.ts';

/** Readers of one container's log at most. */
export const MAX_READERS_OF_ONE = 16;
/** … and of all of the node. */
const MAX_READERS = 512;

export class LogReader {
  readonly #api: DockerApi;
  /** How many read each log that is read. */
  readonly #readers = new Map<string, number>();
  #inAll = 0;

  constructor(api: DockerApi) {
    this.#api = api;
  }

  /** By the engine's id. Ends without a word when the signal aborts. Errors: the engine's, `quota_exceeded`. */
  async *read(engineId: string, options: LogOptions): AsyncGenerator<LogLine> {
    const { signal } = options;
    const gaveUp = () => signal.aborted;
    if (gaveUp()) return;
    this.#enter(engineId);
    try {
      for await (const line of logLines(await this.#api.logs(engineId, options))) {
        if (gaveUp()) return;
        yield line;
      }
    } catch (thrown) {
      if (!gaveUp()) throw explain(thrown, this.#api.socketPath);
    } finally {
      this.#leave(engineId);
    }
  }

  #enter(engineId: string): void {
    const others = this.#readers.get(engineId) ?? 0;
    if (others >= MAX_READERS_OF_ONE || this.#inAll >= MAX_READERS) {
      const who = others >= MAX_READERS_OF_ONE ? `${others} read this log` : `${this.#inAll} read logs`;
      throw new PlatformError('quota_exceeded', `${who} already, which is as many as may at once`, {
        hint: 'End the followers (mayfly logs -f) that nobody looks at.',
      });
    }
    this.#readers.set(engineId, others + 1);
    this.#inAll++;
  }

  #leave(engineId: string): void {
    const others = (this.#readers.get(engineId) ?? 0) - 1;
    if (others > 0) this.#readers.set(engineId, others);
    else this.#readers.delete(engineId);
    this.#inAll--;
  }
}
