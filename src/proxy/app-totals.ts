/**
 * How many requests each app has had, for `/metrics`. An app that is awake counts in an object of its own; what one that
 * sleeps has counted is kept, so that its figure goes on where it was, for a bounded number of apps: the ones that
 * fell asleep last.
 */
import { LruMap } from './lru.ts';

/** About 100 bytes each. */
const MAX_ASLEEP = 10_000;

export interface AppTotal {
  readonly appId: string;
  /** Empty: none of its requests has been placed yet. */
  name: string;
  /** Given to a container, each counted once. */
  requests: number;
  /** Of those, the ones that had to wait for it, and for how long together. */
  held: number;
  heldMs: number;
}

export class AppTotals {
  readonly #awake = new Map<string, AppTotal>();
  readonly #asleep = new LruMap<string, AppTotal>(MAX_ASLEEP);

  wake(appId: string): AppTotal {
    const known = this.#asleep.get(appId);
    this.#asleep.delete(appId);
    const total = known ?? { appId, name: '', requests: 0, held: 0, heldMs: 0 };
    this.#awake.set(appId, total);
    return total;
  }

  sleep(total: AppTotal): void {
    this.#awake.delete(total.appId);
    if (total.requests > 0) this.#asleep.set(total.appId, total);
  }

  /** The `max` apps with the most requests, copied; most first. */
  top(max: number): AppTotal[] {
    return [...this.#awake.values(), ...this.#asleep.values()]
      .filter(({ requests }) => requests > 0)
      .sort((a, b) => b.requests - a.requests)
      .slice(0, max)
      .map((total) => ({ ...total }));
  }
}
