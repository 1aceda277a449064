/**
 * Streams of JSON lines. A line is produced only when the client has taken the one before; an empty line now and then
 * keeps a silent stream from looking dead; a failure on the way is a last line `{"type":"error","problem":…}`, since the
 * status has been sent by then. Whoever goes away ends the source.
 */
import type { Clock } from '../../clock.ts';
import type { PlatformError } from '../../errors.ts';
import { toProblem } from '../problem.ts';

export const NDJSON_TYPE = 'application/x-ndjson';

/** Well under the five minutes after which fetch gives up on a silent body. */
export const HEARTBEAT_MS = 20_000;

export interface NdjsonOptions {
  readonly clock: Clock;
  /** Ends every stream, with the PlatformError that is its reason as the last line. */
  readonly shutdown: AbortSignal;
  /** Told of a failure before it is put in the stream; returns what is put there. */
  readonly onError: (thrown: unknown) => PlatformError;
}

/**
 * A 200 answer with one line per item. The source is opened before the status is sent, so that what is wrong with the
 * request is answered as usual; its signal aborts when the client goes away or the server stops.
 */
export async function ndjsonResponse(
  open: (signal: AbortSignal) => AsyncIterable<unknown> | Promise<AsyncIterable<unknown>>,
  { clock, shutdown, onError }: NdjsonOptions,
): Promise<Response> {
  const clientGone = new AbortController();
  const signal = AbortSignal.any([clientGone.signal, shutdown]);
  const source = await open(signal);
  const iterator = source[Symbol.asyncIterator]();
  const lines = new LineFeed(iterator, clock);
  const encoder = new TextEncoder();

  const body = new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        const send = (text: string) => controller.enqueue(encoder.encode(`${text}\n`));
        try {
          const line = await lines.next();
          if (line !== undefined) {
            send(line);
            return;
          }
          if (shutdown.aborted) throw shutdown.reason;
        } catch (thrown) {
          if (clientGone.signal.aborted) return;
          send(JSON.stringify({ type: 'error', problem: toProblem(onError(thrown)) }));
        }
        controller.close();
      },
      async cancel() {
        clientGone.abort();
        await iterator.return?.();
      },
    },
    // Nothing is read ahead; a HEAD request, whose body nobody reads, starts nothing.
    { highWaterMark: 0 },
  );
  return new Response(body, { headers: { 'content-type': NDJSON_TYPE, 'cache-control': 'no-store' } });
}

/** The source's items as lines, an empty one after each `HEARTBEAT_MS` without; undefined at the end. */
class LineFeed {
  readonly #iterator: AsyncIterator<unknown>;
  readonly #clock: Clock;
  /** The source is being asked; its answer goes to `#outcome` and wakes whoever waits. */
  #asking = false;
  #outcome: { result: IteratorResult<unknown> } | { thrown: unknown } | undefined;
  #wake: () => void = () => undefined;

  constructor(iterator: AsyncIterator<unknown>, clock: Clock) {
    this.#iterator = iterator;
    this.#clock = clock;
  }

  async next(): Promise<string | undefined> {
    if (!this.#asking) this.#ask();
    if (!this.#outcome) await this.#outcomeOrHeartbeat();
    const outcome = this.#outcome;
    if (!outcome) return '';
    this.#asking = false;
    this.#outcome = undefined;
    if ('thrown' in outcome) throw outcome.thrown;
    return outcome.result.done === true ? undefined : JSON.stringify(outcome.result.value);
  }

  #ask(): void {
    this.#asking = true;
    void this.#iterator
      .next()
      .then(
        (result) => {
          this.#outcome = { result };
        },
        (thrown: unknown) => {
          this.#outcome = { thrown };
        },
      )
      .then(() => this.#wake());
  }

  async #outcomeOrHeartbeat(): Promise<void> {
    await new Promise<void>((resolve) => {
      const cancel = this.#clock.after(HEARTBEAT_MS, resolve);
      this.#wake = () => {
        cancel();
        resolve();
      };
    });
  }
}
