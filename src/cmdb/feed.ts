/**
 * The change feed's loop: a signal for speed, the log for truth. A watcher keeps nothing but its cursor and reads the
 * log in pages; being woken only means "look again", so a wake-up too many is harmless and a slow watcher holds no
 * memory.
 */
import type { Change } from './store.ts';

/** Entries a watcher reads at a time. */
export const CHANGE_PAGE = 256;

/**
 * Wakes those who wait for a change. Waking takes promise turns only: an in-process watcher sees a commit before any
 * I/O that follows it.
 */
export class Wakeups {
  #version = 0;
  readonly #waiting = new Set<() => void>();
  readonly #onWaiting: (someoneWaits: boolean) => void;

  /** `onWaiting` is told when the first begins to wait and when the last has stopped. */
  constructor(onWaiting: (someoneWaits: boolean) => void = () => undefined) {
    this.#onWaiting = onWaiting;
  }

  /** To be read before the log is, and given to `changedSince`: what is committed in between is not missed. */
  get version(): number {
    return this.#version;
  }

  notify(): void {
    this.#version++;
    for (const wake of [...this.#waiting]) wake();
  }

  /** Resolves at the first `notify` after `version` was read, or when the signal aborts. */
  changedSince(version: number, signal: AbortSignal): Promise<void> {
    if (this.#version !== version || signal.aborted) return Promise.resolve();
    return new Promise((resolve) => {
      const wake = () => {
        signal.removeEventListener('abort', wake);
        this.#waiting.delete(wake);
        if (this.#waiting.size === 0) this.#onWaiting(false);
        resolve();
      };
      signal.addEventListener('abort', wake, { once: true });
      this.#waiting.add(wake);
      if (this.#waiting.size === 1) this.#onWaiting(true);
    });
  }
}

/**
 * `Store.watch` for any driver. `read` returns up to `CHANGE_PAGE` changes after a revision, in order, and throws when
 * they cannot be told or the store is closed.
 */
export async function* watchChanges(
  read: (since: number) => Promise<Change[]>,
  wakeups: Wakeups,
  since: number,
  signal: AbortSignal,
): AsyncGenerator<Change, void, undefined> {
  const aborted = () => signal.aborted;
  let cursor = since;
  while (!aborted()) {
    const version = wakeups.version;
    const page = await read(cursor);
    for (const change of page) {
      if (aborted()) return;
      cursor = change.revision;
      yield change;
    }
    if (page.length === 0) await wakeups.changedSince(version, signal);
  }
}
