/**
 * Sandboxes kept ready. More than half of a cold start in Docker is the making of its network; a sandbox is a container
 * that does nothing but hold a network namespace, made before the request comes, that the app's container then joins.
 *
 * The pool knows nothing of Docker. It keeps `size` sandboxes ready, hands them out, takes them back when nothing of the
 * app is left, and lets one rest before it is used again: whoever still believes in the old app's address must find
 * nobody there, not another tenant's app. What is worn out (uses, age) or too much is discarded. It never makes a start
 * fail or wait in line: when none is ready, the start makes its own, unless one will have rested sooner than that could be done.
 */
import type { Clock } from '../../clock.ts';
import { sleep } from '../../clock.ts';

export interface Sandbox {
  /** The engine's container id. */
  readonly id: string;
  /** Its IP address on the node's network. */
  readonly host: string;
  readonly bornAtMs: number;
  /** How many apps have used it. */
  uses: number;
  /** It does not run any more: never to be used again. */
  dead: boolean;
}

export interface SandboxPoolOptions {
  /** How many are kept ready; 0 makes every start make its own. */
  readonly size: number;
  /** A sandbox that has served so many apps is replaced. */
  readonly maxUses: number;
  readonly maxAgeMs: number;
  /** How long a sandbox that comes back is left alone. */
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

/** Room for sandboxes that rest, as a multiple of `size`: what comes back beyond it is discarded. */
const ROOM = 4;

export class SandboxPool {
  readonly #options: SandboxPoolOptions;
  readonly #entries: { readonly sandbox: Sandbox; readonly usableAtMs: number }[] = [];
  readonly #background = new Set<Promise<void>>();
  #filling: Promise<void> | undefined;
  #cancelTend: (() => void) | undefined;
  #tendAtMs = Infinity;
  #closed = false;
  /** How long the last one took to make. */
  #makingMs = 0;

  constructor(options: SandboxPoolOptions) {
    this.#options = options;
  }

  /** The sandboxes in the pool, the next to be used first. */
  get sandboxes(): readonly Sandbox[] {
    return this.#entries.map(({ sandbox }) => sandbox);
  }

  /** A sandbox nobody else has: one that is ready, else what is to be had soonest: one that has nearly rested, or a new one. */
  async take(): Promise<Sandbox> {
    const now = this.#options.clock.monotonicMs();
    const at = this.#entries.findIndex(
      ({ sandbox, usableAtMs }) => usableAtMs <= now && !this.#wornOut(sandbox),
    );
    this.#tendLater(this.#options.refillDelayMs);
    const [entry] = at < 0 ? [] : this.#entries.splice(at, 1);
    return entry?.sandbox ?? (await this.#nearlyRested(now)) ?? this.#make();
  }

  /** Takes a sandbox back. The caller is sure that no process of the app is left in it. */
  giveBack(sandbox: Sandbox): void {
    sandbox.uses++;
    if (this.#closed || this.#wornOut(sandbox) || this.#entries.length >= this.#options.size * ROOM) {
      this.discard(sandbox);
      return;
    }
    const usableAtMs = this.#options.clock.monotonicMs() + this.#options.restMs;
    this.#entries.push({ sandbox, usableAtMs });
    this.#tendLater(this.#options.restMs);
  }

  /** A sandbox was found dead: it is thrown away and replaced. */
  lost(id: string): void {
    const at = this.#entries.findIndex(({ sandbox }) => sandbox.id === id);
    const [entry] = at < 0 ? [] : this.#entries.splice(at, 1);
    if (!entry) return;
    entry.sandbox.dead = true;
    this.discard(entry.sandbox);
    this.#tendLater(0);
  }

  /** Removes a sandbox behind the caller's back. */
  discard(sandbox: Sandbox): void {
    this.#inBackground(this.#options.discard(sandbox));
  }

  /** Fills the pool to its size. Rejects when a sandbox cannot be made. */
  fill(): Promise<void> {
    this.#filling ??= this.#fill().finally(() => (this.#filling = undefined));
    return this.#filling;
  }

  /** Discards all sandboxes of the pool and resolves when they, and what else was under way, are gone. */
  async close(): Promise<void> {
    this.#closed = true;
    this.#cancelTend?.();
    await this.#filling?.catch(() => {}); // whoever called fill() has heard of it
    for (const { sandbox } of this.#entries.splice(0)) this.discard(sandbox);
    while (this.#background.size > 0) await Promise.all(this.#background);
  }

  async #fill(): Promise<void> {
    // One at a time: a refill must not take the machine from the apps that start.
    while (!this.#closed && this.#entries.length < this.#options.size) {
      const sandbox = await this.#make();
      // Fresh ones go first, they need no rest.
      this.#entries.unshift({ sandbox, usableAtMs: -Infinity });
      // One that came back while this one was made may have become one too many.
      if (this.#entries.length > this.#options.size) this.#tendLater(0);
    }
  }

  async #nearlyRested(now: number): Promise<Sandbox | undefined> {
    const [next] = this.#entries
      .filter(({ sandbox }) => !this.#wornOut(sandbox))
      .sort((a, b) => a.usableAtMs - b.usableAtMs);
    if (next === undefined || next.usableAtMs - now >= this.#makingMs) return undefined;
    this.#entries.splice(this.#entries.indexOf(next), 1);
    await sleep(this.#options.clock, next.usableAtMs - now);
    return next.sandbox;
  }

  async #make(): Promise<Sandbox> {
    const { clock, make } = this.#options;
    const beganMs = clock.monotonicMs();
    const sandbox = await make();
    this.#makingMs = clock.monotonicMs() - beganMs;
    return sandbox;
  }

  /** Looks after the pool once, `delayMs` from now at the latest: one timer for the pool, whatever its traffic. */
  #tendLater(delayMs: number): void {
    const atMs = this.#options.clock.monotonicMs() + delayMs;
    if (this.#closed || atMs >= this.#tendAtMs) return;
    this.#cancelTend?.();
    this.#tendAtMs = atMs;
    this.#cancelTend = this.#options.clock.after(delayMs, () => {
      this.#cancelTend = undefined;
      this.#tendAtMs = Infinity;
      this.#tend();
    });
  }

  #tend(): void {
    const now = this.#options.clock.monotonicMs();
    let usable = 0;
    for (const entry of [...this.#entries]) {
      const excess = entry.usableAtMs <= now && ++usable > this.#options.size;
      if (!excess && !this.#wornOut(entry.sandbox)) continue;
      this.#entries.splice(this.#entries.indexOf(entry), 1);
      this.discard(entry.sandbox);
    }
    const resting = this.#entries.filter(({ usableAtMs }) => usableAtMs > now).map((e) => e.usableAtMs);
    if (resting.length > 0) this.#tendLater(Math.min(...resting) - now);
    this.#inBackground(this.fill());
  }

  #wornOut({ uses, bornAtMs, dead }: Sandbox): boolean {
    const { maxUses, maxAgeMs, clock } = this.#options;
    return dead || uses >= maxUses || clock.nowMs() - bornAtMs >= maxAgeMs;
  }

  #inBackground(work: Promise<void>): void {
    const done = work.catch(this.#options.onError).finally(() => this.#background.delete(done));
    this.#background.add(done);
  }
}
