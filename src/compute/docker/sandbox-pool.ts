/**
 * Sandboxes kept ready. More than half of a cold start in Docker is the making of its network; a sandbox is a container
 * that does nothing but hold a network namespace, made before the request comes, that the app's container then joins.
 *
 * The pool knows nothing of Docker. It keeps `size` sandboxes ready and hands each out once: what an app has left in its
 * network (files that the engine mounts from the sandbox, connections that the kernel has not forgotten) must not be found
 * by another app. A spent sandbox is discarded after a rest, in which it still has its address: whoever believes in the
 * app that was there must find nobody, not another tenant's app. It never makes a start fail or wait in line: when none is
 * ready, the start gets the one that is being made, or makes its own.
 */
import type { Clock } from '../../clock.ts';
import { sleep } from '../../clock.ts';

export interface Sandbox {
  /** The engine's container id. */
  readonly id: string;
  /** Its IP address on the node's network. */
  readonly host: string;
  readonly bornAtMs: number;
}

export interface SandboxPoolOptions {
  /** How many are kept ready; 0 makes every start make its own. */
  readonly size: number;
  /** One that nobody has wanted for so long is replaced. */
  readonly maxAgeMs: number;
  /** How long a spent sandbox keeps its address. */
  readonly restMs: number;
  /** How long after it was taken from the pool is refilled, so that the making does not slow the start down. */
  readonly refillDelayMs: number;
  readonly clock: Clock;
  readonly make: () => Promise<Sandbox>;
  /** Removes it for good. */
  readonly discard: (sandbox: Sandbox) => Promise<void>;
  /** Told what failed in the background; the next use of the pool tries again. */
  readonly onError: (error: unknown) => void;
}

export class SandboxPool {
  readonly #options: SandboxPoolOptions;
  /** The next to be used first. */
  readonly #ready: Sandbox[] = [];
  /** The one that is being made for the pool; a start that finds none ready takes it from here. */
  #coming: Promise<Sandbox> | undefined;
  readonly #background = new Set<Promise<void>>();
  readonly #closing = new AbortController();
  #filling: Promise<void> | undefined;
  #cancelTend: (() => void) | undefined;
  #tendAtMs = Infinity;

  constructor(options: SandboxPoolOptions) {
    this.#options = options;
  }

  /** Those that are ready, the next to be used first. */
  get sandboxes(): readonly Sandbox[] {
    return [...this.#ready];
  }

  /** A sandbox nobody else has, or has had: one that is ready, else what is to be had soonest. */
  take(): Promise<Sandbox> {
    this.#discardOld();
    this.#tendLater(this.#options.refillDelayMs);
    const ready = this.#ready.shift();
    if (ready) return Promise.resolve(ready);
    const coming = this.#coming ?? this.#options.make();
    this.#coming = undefined;
    return coming;
  }

  /** Nobody needs it any more: discards it after its rest. */
  retire(sandbox: Sandbox): void {
    const { clock, restMs, discard } = this.#options;
    const rested = sleep(clock, restMs, this.#closing.signal).catch(() => {}); // closed: there is no time to rest
    this.#inBackground(rested.then(() => discard(sandbox)));
  }

  /** A sandbox was found dead: if it was ready, it is thrown away and replaced. */
  lost(id: string): void {
    const at = this.#ready.findIndex((sandbox) => sandbox.id === id);
    if (at < 0) return;
    for (const sandbox of this.#ready.splice(at, 1)) this.#discard(sandbox);
    this.#tendLater(0);
  }

  /** Fills the pool to its size. Rejects when a sandbox cannot be made. */
  fill(): Promise<void> {
    this.#filling ??= this.#fill().finally(() => (this.#filling = undefined));
    return this.#filling;
  }

  /** Discards all sandboxes of the pool and resolves when they, and what else was under way, are gone. */
  async close(): Promise<void> {
    this.#closing.abort();
    this.#cancelTend?.();
    await this.#filling?.catch(() => {}); // whoever called fill() has heard of it
    for (const sandbox of this.#ready.splice(0)) this.#discard(sandbox);
    while (this.#background.size > 0) await Promise.all(this.#background);
  }

  async #fill(): Promise<void> {
    // One at a time: a refill must not take the machine from the apps that start.
    while (!this.#closing.signal.aborted && this.#ready.length < this.#options.size) {
      const coming = this.#options.make();
      this.#coming = coming;
      try {
        const sandbox = await coming;
        if (this.#coming === coming) this.#ready.push(sandbox);
      } finally {
        if (this.#coming === coming) this.#coming = undefined;
      }
    }
  }

  /** Looks after the pool once, `delayMs` from now at the latest: one timer for the pool, whatever its traffic. */
  #tendLater(delayMs: number): void {
    const atMs = this.#options.clock.monotonicMs() + delayMs;
    if (this.#closing.signal.aborted || atMs >= this.#tendAtMs) return;
    this.#cancelTend?.();
    this.#tendAtMs = atMs;
    this.#cancelTend = this.#options.clock.after(delayMs, () => {
      this.#cancelTend = undefined;
      this.#tendAtMs = Infinity;
      this.#discardOld();
      this.#inBackground(this.fill());
    });
  }

  #discardOld(): void {
    const { maxAgeMs, clock } = this.#options;
    const fresh = this.#ready.findIndex(({ bornAtMs }) => clock.nowMs() - bornAtMs < maxAgeMs);
    const old = this.#ready.splice(0, fresh < 0 ? this.#ready.length : fresh);
    for (const sandbox of old) this.#discard(sandbox);
  }

  #discard(sandbox: Sandbox): void {
    this.#inBackground(this.#options.discard(sandbox));
  }

  #inBackground(work: Promise<void>): void {
    const done = work.catch(this.#options.onError).finally(() => this.#background.delete(done));
    this.#background.add(done);
  }
}
