/**
 * Which app a host belongs to, remembered: hosts found by their own name, hosts found by a wildcard, and hosts unknown, each
 * kind up to a bound of its own, so that a million made-up names below a wildcard push out no other's. One lookup per host is
 * under way at a time. The control plane says what changed (`invalidate`); a lookup that was under way meanwhile may have
 * seen the old state, so it is made again, and what it says is not remembered while changes keep overtaking it.
 */
import type { Clock } from '../clock.ts';
import { hostMatches } from '../hostname.ts';
import { BusyHosts } from './busy-hosts.ts';
import type { ControlPlane, Route } from './control-plane.ts';
import { HostCache } from './host-cache.ts';
import type { DispatchLimits } from './limits.ts';
import { LruMap } from './lru.ts';
import { packKey } from './name-key.ts';
import { Owners } from './owners.ts';

/** How often a lookup that was overtaken by a change is made again before its answer is used as it is. */
const MAX_OVERTAKEN = 3;

interface Lookup {
  readonly answer: Promise<Route | undefined>;
  overtaken: boolean;
}

export class RouteCache {
  readonly #resolve: ControlPlane['resolve'];
  readonly #clock: Clock;
  readonly #ttlMs: number;
  readonly #owners = new Owners();
  readonly #named: HostCache;
  /** Found by a wildcard, or nobody says how. */
  readonly #covered: HostCache;
  /** What these two say of the hosts that are asked for at the moment. */
  readonly #busy = new BusyHosts();
  /** Hosts without an app, and until when (monotonic) that is believed. */
  readonly #unknown: LruMap<string, number>;
  readonly #lookups = new Map<string, Lookup>();

  constructor(resolve: ControlPlane['resolve'], clock: Clock, limits: DispatchLimits) {
    this.#resolve = resolve;
    this.#clock = clock;
    this.#ttlMs = limits.negativeCacheTtlMs;
    const release = (number: number) => {
      this.#owners.release(number);
      this.#busy.clear();
    };
    this.#named = new HostCache(limits.routeCacheSize, release);
    this.#covered = new HostCache(limits.wildcardCacheSize, release);
    this.#unknown = new LruMap(limits.negativeCacheSize);
  }

  /** Hosts remembered, with and without an app. */
  get size(): number {
    return this.#named.size + this.#covered.size + this.#unknown.size;
  }

  /** What is remembered: a route, null for "no app", undefined for "not known, look it up". */
  peek(host: string): Route | null | undefined {
    const busy = this.#busy.get(host);
    if (busy !== 0) return this.#owners.routeOf(busy);
    const hash = packKey(host);
    const owner = this.#named.get(host, hash) || this.#covered.get(host, hash);
    if (owner !== 0) {
      this.#busy.add(host, owner);
      return this.#owners.routeOf(owner);
    }
    if (this.#unknown.size === 0) return undefined;
    const untilMs = this.#unknown.get(host);
    if (untilMs === undefined) return undefined;
    if (this.#clock.monotonicMs() < untilMs) return null;
    this.#unknown.delete(host);
    return undefined;
  }

  /** Asks the control plane, together with whoever asks for the same host now. Rejects with its error, remembering nothing. */
  lookup(host: string): Promise<Route | undefined> {
    const underway = this.#lookups.get(host);
    // One that a change has overtaken would be made again anyway; its answer then is as fresh as a new one's.
    if (underway !== undefined) return underway.answer;
    const lookup: Lookup = { answer: this.#lookUp(host), overtaken: false };
    this.#lookups.set(host, lookup);
    return lookup.answer;
  }

  /** Forgets an app's hosts, these hosts, and all that these wildcards may now decide. */
  invalidate(appId: string, hosts: readonly string[]): void {
    for (const lookup of this.#lookups.values()) lookup.overtaken = true;
    this.#owners.forget(appId);
    for (const host of hosts) {
      if (host.startsWith('*.')) this.#forgetMatching(host);
      else this.#forget(host);
    }
  }

  async #lookUp(host: string): Promise<Route | undefined> {
    // The caller registers this flight before anything below runs.
    await Promise.resolve();
    const lookup = this.#lookups.get(host);
    try {
      for (let attempt = 1; ; attempt++) {
        if (lookup !== undefined) lookup.overtaken = false;
        const route = await this.#resolve(host);
        if (lookup?.overtaken === false) {
          this.#remember(host, route);
          return route;
        }
        if (attempt === MAX_OVERTAKEN) return route;
      }
    } finally {
      this.#lookups.delete(host);
    }
  }

  #remember(host: string, route: Route | undefined): void {
    this.#forget(host);
    if (route === undefined) {
      this.#unknown.set(host, this.#clock.monotonicMs() + this.#ttlMs);
      return;
    }
    const owner = this.#owners.take(route);
    if (owner !== 0) (route.byName === true ? this.#named : this.#covered).add(host, owner);
  }

  #forget(host: string): void {
    this.#named.delete(host);
    this.#covered.delete(host);
    this.#unknown.delete(host);
  }

  /** Hosts that are some app's own are no wildcard's. The others are few enough to be looked at one by one. */
  #forgetMatching(pattern: string): void {
    this.#covered.deleteWhere((host) => hostMatches(pattern, host));
    for (const host of [...this.#unknown.keys()]) if (hostMatches(pattern, host)) this.#unknown.delete(host);
  }
}
