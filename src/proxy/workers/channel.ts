/**
 * Two processes that tell and ask each other things, in order and in batches: whatever comes up during one turn of the event
 * loop leaves as one message, and the next message waits until the one before has been taken by the system. What is told
 * twice under the same key before it has left is told once, as it is now.
 *
 * A batch that is not acknowledged in time, or a backlog beyond its bound, means that the other side is stuck.
 */
import type { Clock } from '../../clock.ts';
import { PlatformError } from '../../errors.ts';
import { fromWire, toWire } from './wire-error.ts';
import type { WireError } from './wire-error.ts';

/** What one side may say: by name, what is told, and what is asked with its answer. All of it is plain JSON. */
export interface Speech {
  readonly tells: object;
  readonly asks: Readonly<Record<string, { readonly what: unknown; readonly answer: unknown }>>;
}

export type Hearing<S extends Speech> = {
  readonly tells: { readonly [K in keyof S['tells']]: (what: S['tells'][K]) => void };
  readonly asks: {
    readonly [K in keyof S['asks']]: (what: S['asks'][K]['what']) => Promise<S['asks'][K]['answer']>;
  };
};

const TELL = 0;
const ASK = 1;
const ANSWER = 2;
const ERROR = 3;

type Operation =
  | [typeof TELL, name: string, what: unknown]
  | [typeof ASK, id: number, name: string, what: unknown]
  | [typeof ANSWER, id: number, answer: unknown]
  | [typeof ERROR, id: number, error: WireError];

export interface Batch {
  /** Which one it is; the other side acknowledges it. Absent: it need not. */
  readonly sequence?: number;
  /** The last one that was received. */
  readonly received?: number;
  readonly operations: readonly Operation[];
}

/** Questions without an answer yet; further ones are refused with `hold_full`. */
const MAX_PENDING = 20_000;
/** In one message; the rest follows in the next. */
const MAX_BATCH = 1_000;
/** Waiting to leave; beyond it the other side is stuck. */
const MAX_BACKLOG = 100_000;

export interface ChannelOptions<Theirs extends Speech> {
  /** Sends one message; `taken` is called once, when the system has it or cannot send it. */
  readonly send: (batch: Batch, taken: (error?: Error | null) => void) => void;
  readonly hearing: Hearing<Theirs>;
  /** Runs it when this turn of the event loop is over. */
  readonly defer: (flush: () => void) => void;
  /** A message that was heard could not be dealt with. */
  readonly failed: (error: unknown) => void;
  /** The other side takes or acknowledges nothing any more. Called once. */
  readonly stuck: (reason: string) => void;
  /** Acknowledgements are asked for, and have to come in so many milliseconds. */
  readonly acknowledge?: { readonly clock: Clock; readonly withinMs: number } | undefined;
}

interface Pending {
  readonly resolve: (answer: unknown) => void;
  readonly reject: (error: PlatformError) => void;
}

export class Channel<Mine extends Speech, Theirs extends Speech> {
  readonly #options: ChannelOptions<Theirs>;
  #outgoing: Operation[] = [];
  /** What may still be told anew: since the last operation whose place in the order matters. */
  readonly #mergeable = new Map<string, [typeof TELL, name: string, what: unknown]>();
  readonly #pending = new Map<number, Pending>();
  #nextId = 1;
  #sequence = 0;
  #acknowledged = 0;
  #received: number | undefined;
  #mustAcknowledge = false;
  #mustBeHeard = false;
  #scheduled = false;
  #sending = false;
  #stuck = false;
  #closed: PlatformError | undefined;
  #cancelWatch: (() => void) | undefined;

  constructor(options: ChannelOptions<Theirs>) {
    this.#options = options;
  }

  /** Questions that wait for their answer. */
  get pending(): number {
    return this.#pending.size;
  }

  /** Tells it, after all that was said before. */
  tell<K extends keyof Mine['tells'] & string>(name: K, what: Mine['tells'][K]): void {
    this.#mergeable.clear();
    this.#push([TELL, name, what]);
  }

  /**
   * Tells it once, however often it comes up in a turn: `merge` makes one of what waits and what is new (what is new, unless
   * given). Its order matters among what is told or asked by `tell` and `ask`, not among its like.
   */
  tellMerged<K extends keyof Mine['tells'] & string>(
    name: K,
    key: string,
    what: Mine['tells'][K],
    merge?: (before: Mine['tells'][K], now: Mine['tells'][K]) => Mine['tells'][K],
  ): void {
    const place = `${name} ${key}`;
    const waiting = this.#mergeable.get(place);
    if (waiting !== undefined) {
      waiting[2] = merge === undefined ? what : merge(waiting[2] as Mine['tells'][K], what);
      return;
    }
    const operation: [typeof TELL, string, unknown] = [TELL, name, what];
    this.#mergeable.set(place, operation);
    this.#push(operation);
  }

  /** Errors: the other side's, as it threw them; `hold_full` beyond the bound; `shutting_down` once it is closed. */
  ask<K extends keyof Mine['asks'] & string>(
    name: K,
    what: Mine['asks'][K]['what'],
  ): Promise<Mine['asks'][K]['answer']> {
    if (this.#closed !== undefined) return Promise.reject(this.#closed);
    if (this.#pending.size >= MAX_PENDING)
      return Promise.reject(
        new PlatformError('hold_full', `${MAX_PENDING} questions wait for the other process already`, {
          hint: 'Try again a little later.',
          retryAfterMs: 1_000,
        }),
      );
    const id = this.#nextId++;
    const { promise, resolve, reject } = Promise.withResolvers<unknown>();
    this.#pending.set(id, { resolve, reject });
    this.#mergeable.clear();
    this.#push([ASK, id, name, what]);
    return promise;
  }

  /** Has the other side acknowledge that it is there, also where there is nothing to tell it. */
  probe(): void {
    this.#mustBeHeard = true;
    this.#schedule();
  }

  /** A message from the other side. */
  receive({ sequence, received, operations }: Batch): void {
    if (this.#closed !== undefined) return;
    if (sequence !== undefined) {
      this.#received = sequence;
      this.#mustAcknowledge = true;
      this.#schedule();
    }
    if (received !== undefined) this.#heardOf(received);
    for (const operation of operations) {
      try {
        this.#hear(operation);
      } catch (thrown) {
        this.#options.failed(thrown);
      }
    }
  }

  /** Nothing is said or heard any more: the other side has gone. Whoever waits for an answer is told so. */
  close(
    error = new PlatformError('shutting_down', 'the other process has gone', { retryAfterMs: 1_000 }),
  ): void {
    if (this.#closed !== undefined) return;
    this.#closed = error;
    this.#outgoing = [];
    this.#mergeable.clear();
    this.#cancelWatch?.();
    for (const { reject } of this.#pending.values()) reject(error);
    this.#pending.clear();
  }

  #push(operation: Operation): void {
    if (this.#closed !== undefined) return;
    this.#outgoing.push(operation);
    if (this.#outgoing.length > MAX_BACKLOG) this.#giveUp(`${MAX_BACKLOG} operations wait to leave`);
    else this.#schedule();
  }

  get #hasToSend(): boolean {
    return this.#outgoing.length > 0 || this.#mustAcknowledge || this.#mustBeHeard;
  }

  #schedule(): void {
    if (this.#scheduled || this.#sending) return;
    this.#scheduled = true;
    this.#options.defer(() => {
      this.#scheduled = false;
      this.#flush();
    });
  }

  #flush(): void {
    if (this.#closed !== undefined || this.#sending) return;
    if (!this.#hasToSend) return;
    const operations = this.#outgoing.splice(0, MAX_BATCH);
    this.#mergeable.clear();
    const asksFor = this.#options.acknowledge !== undefined && (operations.length > 0 || this.#mustBeHeard);
    this.#mustAcknowledge = this.#mustBeHeard = false;
    if (asksFor) this.#watch(++this.#sequence);
    this.#sending = true;
    this.#options.send(
      {
        ...(asksFor ? { sequence: this.#sequence } : {}),
        ...(this.#received === undefined ? {} : { received: this.#received }),
        operations,
      },
      () => {
        this.#sending = false; // an error comes with the end of the other process, which is noticed elsewhere
        if (this.#hasToSend) this.#schedule();
      },
    );
  }

  #hear(operation: Operation): void {
    switch (operation[0]) {
      case TELL: {
        const [, name, what] = operation;
        const hear = this.#options.hearing.tells[name as keyof Theirs['tells']];
        hear(what as Theirs['tells'][keyof Theirs['tells']]);
        return;
      }
      case ASK: {
        const [, id, name, what] = operation;
        const hear = this.#options.hearing.asks[name as keyof Theirs['asks']];
        hear(what).then(
          (answer) => this.#reply([ANSWER, id, answer]),
          (error: unknown) => this.#reply([ERROR, id, toWire(error)]),
        );
        return;
      }
      case ANSWER:
        this.#take(operation[1])?.resolve(operation[2]);
        return;
      case ERROR:
        this.#take(operation[1])?.reject(fromWire(operation[2]));
    }
  }

  #reply(operation: Operation): void {
    this.#mergeable.clear();
    this.#push(operation);
  }

  #take(id: number): Pending | undefined {
    const pending = this.#pending.get(id);
    this.#pending.delete(id);
    return pending;
  }

  #watch(sequence: number): void {
    const { acknowledge } = this.#options;
    if (acknowledge === undefined || this.#cancelWatch !== undefined) return;
    const { clock, withinMs } = acknowledge;
    this.#cancelWatch = clock.after(withinMs, () => {
      // This process may have stood still itself: what has arrived meanwhile is heard first.
      this.#cancelWatch = clock.after(0, () => {
        this.#cancelWatch = undefined;
        if (this.#acknowledged < sequence) this.#giveUp(`it has acknowledged nothing for ${withinMs} ms`);
        else if (this.#acknowledged < this.#sequence) this.#watch(this.#sequence);
      });
    });
  }

  #heardOf(sequence: number): void {
    this.#acknowledged = sequence;
    if (sequence < this.#sequence) return;
    this.#cancelWatch?.();
    this.#cancelWatch = undefined;
  }

  #giveUp(reason: string): void {
    if (this.#stuck) return;
    this.#stuck = true;
    this.#options.stuck(reason);
  }
}
