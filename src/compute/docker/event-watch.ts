/**
 * The engine's event stream, kept open. A signal for speed: whenever it has to be opened anew something may have been
 * missed, so `onConnected` is told each time, and compares what is believed with what is.
 */
import { sleep } from '../../clock.ts';
import type { Clock } from '../../clock.ts';

export interface EventWatchOptions<E> {
  readonly clock: Clock;
  /** Opens the stream; it ends when it breaks or the signal aborts. */
  readonly open: (signal: AbortSignal) => Promise<AsyncIterable<E>>;
  readonly onEvent: (event: E) => void;
  /** The stream was opened again after a break. */
  readonly onReconnected: () => Promise<void>;
  readonly onError: (error: unknown) => void;
}

const FIRST_RETRY_MS = 50;
const MAX_RETRY_MS = 5_000;

export class EventWatch<E> {
  readonly #options: EventWatchOptions<E>;
  readonly #closing = new AbortController();
  #first: Promise<void> | undefined;
  #running: Promise<void> | undefined;

  constructor(options: EventWatchOptions<E>) {
    this.#options = options;
  }

  /** Resolves once events are received; from then on the watch looks after itself. Rejects when the engine is away. */
  start(): Promise<void> {
    this.#first ??= this.#open().then(
      (events) => {
        this.#running = this.#run(events);
      },
      (error: unknown) => {
        this.#first = undefined;
        throw error;
      },
    );
    return this.#first;
  }

  async close(): Promise<void> {
    this.#closing.abort();
    await this.#first?.catch(() => {}); // told to whoever called start()
    await this.#running;
  }

  #open(signal?: AbortSignal): Promise<AsyncIterable<E>> {
    const closing = this.#closing.signal;
    return this.#options.open(signal ? AbortSignal.any([closing, signal]) : closing);
  }

  async #run(first: AsyncIterable<E>): Promise<void> {
    const { onEvent, onError } = this.#options;
    const { signal } = this.#closing;
    let events: AsyncIterable<E> | undefined = first;
    while (events) {
      try {
        for await (const event of events) onEvent(event);
      } catch (error) {
        onError(error);
      }
      events = signal.aborted ? undefined : await this.#reopen();
    }
  }

  /** Tries until the stream is open and the state compared; undefined when closed meanwhile. */
  async #reopen(): Promise<AsyncIterable<E> | undefined> {
    const { clock, onError, onReconnected } = this.#options;
    const { signal } = this.#closing;
    const closed = () => signal.aborted;
    for (let retryMs = FIRST_RETRY_MS; !closed(); retryMs = Math.min(retryMs * 2, MAX_RETRY_MS)) {
      const connection = new AbortController();
      try {
        await sleep(clock, retryMs, signal);
        const events = await this.#open(connection.signal);
        await onReconnected();
        return events;
      } catch (error) {
        connection.abort();
        // Told once: that the engine is still away is no news.
        if (!closed() && retryMs === FIRST_RETRY_MS) onError(error);
      }
    }
    return undefined;
  }
}
