/**
 * Requests that failed, said to the operator: for each container and kind of failure once in a while, with how many there have been
 * since. A visitor may make a broken app fail as often as he likes; the log must not grow with that.
 */
import type { Clock } from '../clock.ts';
import type { PlatformError } from '../errors.ts';
import { errorCode } from './failures.ts';
import { LruMap } from './lru.ts';
import type { ProxyLog } from './transport.ts';

/** What has been said is not said again before. */
const EVERY_MS = 10_000;
/** Containers times kinds. */
const MAX_KNOWN = 1_000;

interface Said {
  againAtMs: number;
  /** Failures since then. */
  unsaid: number;
}

export class FailureLog {
  readonly #clock: Clock;
  readonly #log: ProxyLog;
  readonly #said = new LruMap<string, Said>(MAX_KNOWN);

  constructor(clock: Clock, log: ProxyLog) {
    this.#clock = clock;
    this.#log = log;
  }

  /** What is the visitor's own doing, or a refusal, is not said. */
  add(error: PlatformError, containerId: string | undefined): void {
    const isOurs = error.code === 'internal';
    if (!isOurs && error.status !== 502 && error.status !== 504) return;
    const key = `${error.code} ${containerId ?? ''}`;
    const nowMs = this.#clock.monotonicMs();
    const last = this.#said.get(key);
    if (last !== undefined && nowMs < last.againAtMs) {
      last.unsaid++;
      return;
    }
    this.#said.set(key, { againAtMs: nowMs + EVERY_MS, unsaid: 0 });
    const unsaid = last === undefined || last.unsaid === 0 ? undefined : last.unsaid;
    if (isOurs) this.#log.error({ err: error, containerId, unsaid }, 'a request failed inside the proxy');
    else {
      const cause = errorCode(error.cause);
      this.#log.warn({ code: error.code, containerId, cause, unsaid }, error.message);
    }
  }
}
