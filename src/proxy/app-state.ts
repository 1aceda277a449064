/**
 * What the data plane remembers of an app while it has containers, held requests or an activation under way. An app with
 * none of these has no state at all: an app nobody visits costs nothing here.
 */
import { AppLoad } from './app-load.ts';
import type { AppTotal } from './app-totals.ts';
import { Balancer } from './balancer.ts';
import type { HoldQueue } from './hold-queue.ts';
import type { Flight, Lease, Wait } from './lease.ts';
import type { RefusalPace } from './refusal-pace.ts';
import type { Upstream } from './upstream.ts';

export class AppState {
  readonly id: string;
  readonly total: AppTotal;
  readonly load: AppLoad;
  readonly queue: HoldQueue<Wait, Lease>;
  readonly refusals: RefusalPace;
  /** Usable ones, and those that still have work in flight. */
  readonly upstreams: Upstream[] = [];
  /** The activation under way. */
  flight: Flight | undefined;
  /** Containers taken out of use since that activation began: its answer may be older than that. */
  readonly withdrawn = new Set<string>();
  /** Activations in a row that brought no usable container. */
  fruitless = 0;
  readonly #balancer = new Balancer();

  constructor(total: AppTotal, queue: HoldQueue<Wait, Lease>, refusals: RefusalPace) {
    this.id = total.appId;
    this.total = total;
    this.load = new AppLoad(total.appId);
    this.queue = queue;
    this.refusals = refusals;
  }

  /** The container with a free slot that is to take the next request. */
  pick(): Upstream | undefined {
    return this.#balancer.pick(this.upstreams);
  }

  get hasUsable(): boolean {
    return this.upstreams.some((upstream) => upstream.usable);
  }

  get forgettable(): boolean {
    return this.upstreams.length === 0 && this.queue.size === 0 && this.flight === undefined;
  }

  remove(upstream: Upstream): void {
    const at = this.upstreams.indexOf(upstream);
    if (at !== -1) this.upstreams.splice(at, 1);
  }
}
