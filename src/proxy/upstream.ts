/**
 * One container as this data plane sees it: whether new requests may go to it, what is in flight on it, and when it was
 * last active. Activity is counted where the traffic passes, and an open stream is activity for as long as it is open.
 */
import type { Clock } from '../clock.ts';
import type { DrainResult, Endpoint } from './control-plane.ts';
import { Roll } from './roll.ts';
import type { Placed } from './roll.ts';

/** A request in flight. Its owner breaks it off when told. */
export interface Work extends Placed {
  onAbort: (() => void) | undefined;
}

export class Upstream {
  readonly appId: string;
  readonly containerId: string;
  endpoint: Endpoint;
  /** Whether new requests may go to it. */
  usable = true;
  readonly inFlight = new Roll<Work>();
  /** Whoever shares out its slots wants to hear when one is free. */
  watched = false;
  /** When a request to it ended here last, on the monotonic clock; and the end that `#lastActiveAtMs` was said of. */
  #endedMs = -Infinity;
  #saidMs = -Infinity;
  #lastActiveAtMs = 0;
  #drains: ((result: DrainResult) => void)[] = [];

  constructor(appId: string, endpoint: Endpoint) {
    this.appId = appId;
    this.containerId = endpoint.containerId;
    this.endpoint = endpoint;
  }

  get hasSlot(): boolean {
    return this.usable && this.inFlight.size < this.endpoint.concurrencyLimit;
  }

  /** Nothing holds it here: it may be forgotten. */
  get gone(): boolean {
    return !this.usable && this.inFlight.size === 0;
  }

  start(work: Work): void {
    this.inFlight.add(work);
  }

  /** `nowMs`: on the monotonic clock. */
  end(work: Work, nowMs: number): void {
    this.inFlight.delete(work);
    this.#endedMs = nowMs;
    this.#settleDrains();
  }

  /**
   * When a request to it ended here last, epoch ms; 0: never. The same however often it is asked. That it is named is no
   * activity: with several data planes one of them refuses to let go of it, and it is named again to the others, who know
   * nothing of a request.
   */
  lastActiveAtMs(clock: Clock): number {
    if (this.#saidMs !== this.#endedMs) {
      this.#saidMs = this.#endedMs;
      this.#lastActiveAtMs = clock.nowMs() - Math.floor(clock.monotonicMs() - this.#endedMs);
    }
    return this.#lastActiveAtMs;
  }

  /** In use (again), at this address. A drain that waits is told that it did not come about. */
  enable(endpoint: Endpoint, atMs: number): void {
    this.endpoint = endpoint;
    if (this.usable) return;
    this.usable = true;
    const drains = this.#drains;
    this.#drains = [];
    for (const resolve of drains) resolve({ drained: false, lastActiveAtMs: atMs });
  }

  /** So many requests at once from now on; those beyond it that are in flight go on. */
  setSlots(slots: number, watched: boolean): void {
    this.endpoint = { ...this.endpoint, concurrencyLimit: slots };
    this.watched = watched;
  }

  /** Takes it out of use; what is in flight goes on. */
  disable(): void {
    this.usable = false;
  }

  /** Resolves when the last request in flight is done, or when `enable` says that it is in use again. */
  drained(): Promise<DrainResult> {
    return new Promise((resolve) => {
      this.#drains.push(resolve);
      this.#settleDrains();
    });
  }

  /** Breaks off what is in flight. */
  abort(): void {
    for (const work of this.inFlight.all()) work.onAbort?.();
  }

  #settleDrains(): void {
    if (!this.gone || this.#drains.length === 0) return;
    const drains = this.#drains;
    this.#drains = [];
    for (const resolve of drains) resolve({ drained: true });
  }
}
