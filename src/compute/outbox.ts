/**
 * What containers have become, on its way to the Core API. Serving never waits for the database: a state is reported in
 * order, container by container, and again and again while the other side is away. A container that fell asleep and woke
 * meanwhile has nothing to tell, so the queue of each stays a few entries long however long the outage.
 */
import type { Clock } from '../clock.ts';
import type { ContainerReport, CoreApi } from '../coreapi/core-api.ts';
import { isPlatformError, PlatformError } from '../errors.ts';
import type { Log } from '../log.ts';

const FIRST_RETRY_MS = 100;
const MAX_RETRY_MS = 5_000;

interface Queue {
  readonly reports: ContainerReport[];
  failing: boolean;
  waiters: { resolve: () => void; reject: (error: Error) => void }[];
}

export class Outbox {
  readonly #core: Pick<CoreApi, 'report'>;
  readonly #clock: Clock;
  readonly #log: Log;
  readonly #queues = new Map<string, Queue>();
  readonly #retries = new Set<() => void>();
  #closed = false;

  constructor(core: Pick<CoreApi, 'report'>, clock: Clock, log: Log) {
    this.#core = core;
    this.#clock = clock;
    this.#log = log;
  }

  report(containerId: string, report: ContainerReport): void {
    if (this.#closed) return;
    const queue = this.#queues.get(containerId);
    if (!queue) {
      const fresh: Queue = { reports: [report], failing: false, waiters: [] };
      this.#queues.set(containerId, fresh);
      void this.#send(containerId, fresh);
      return;
    }
    // The head is being sent; behind it, falling asleep and waking cancel each other out.
    const last = queue.reports.length > 1 ? queue.reports.at(-1) : undefined;
    if (last?.state === 'paused' && report.state === 'ready') queue.reports.pop();
    else queue.reports.push(report);
  }

  /**
   * Resolves when all that was reported of the container is recorded. Errors: `store_unavailable`, as soon as the other
   * side is away or this is closed.
   */
  recorded(containerId: string): Promise<void> {
    if (this.#closed) return Promise.reject(unavailable(containerId));
    const queue = this.#queues.get(containerId);
    if (!queue) return Promise.resolve();
    if (queue.failing) return Promise.reject(unavailable(containerId));
    return new Promise((resolve, reject) => queue.waiters.push({ resolve, reject }));
  }

  /** Gives up what could not be sent so far; adoption finds it out at the next start. */
  close(): void {
    this.#closed = true;
    for (const cancel of this.#retries) cancel();
    this.#retries.clear();
    for (const [id, queue] of this.#queues)
      for (const waiter of queue.waiters.splice(0)) waiter.reject(unavailable(id));
    this.#queues.clear();
  }

  async #send(containerId: string, queue: Queue): Promise<void> {
    let retryMs = FIRST_RETRY_MS;
    while (!this.#closed) {
      const report = queue.reports[0];
      if (!report) {
        this.#queues.delete(containerId);
        for (const waiter of queue.waiters.splice(0)) waiter.resolve();
        return;
      }
      try {
        await this.#core.report(containerId, report);
      } catch (thrown) {
        const { state } = report;
        if (!isPlatformError(thrown, 'invalid_transition') && !isPlatformError(thrown, 'not_found')) {
          queue.failing = true;
          for (const waiter of queue.waiters.splice(0)) waiter.reject(unavailable(containerId));
          this.#log.warn({ containerId, state, retryMs, err: thrown }, 'a state could not be recorded yet');
          await this.#pause(retryMs);
          retryMs = Math.min(MAX_RETRY_MS, retryMs * 2);
          continue;
        }
        // The record knows better (the container was forgotten, or has ended): nothing to repeat.
        this.#log.warn({ containerId, state, err: thrown }, 'a state report was refused');
      }
      queue.reports.shift();
      queue.failing = false;
      retryMs = FIRST_RETRY_MS;
    }
  }

  #pause(delayMs: number): Promise<void> {
    return new Promise((resolve) => {
      const done = () => {
        this.#retries.delete(done);
        cancel();
        resolve();
      };
      const cancel = this.#clock.after(delayMs, done);
      this.#retries.add(done);
    });
  }
}

function unavailable(containerId: string): PlatformError {
  return new PlatformError(
    'store_unavailable',
    `the state of container ${containerId} cannot be recorded at the moment`,
    {
      retryAfterMs: 1_000,
    },
  );
}
