/**
 * Which app a host belongs to, remembered: apps found and hosts unknown, both bounded. One lookup per host is under way
 * at a time. The control plane says what changed (`invalidate`); a lookup that was under way meanwhile may have seen
 * the old state, so it is made again, and what it says is not remembered while changes keep overtaking it.
 */
import type { Clock } from '../clock.ts';
import { hostMatches } from '../hostname.ts';
import type { ControlPlane, Route } from './control-plane.ts';
import type { DispatchLimits } from './limits.ts';
import { LruMap } from './lru.ts';

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
  readonly #routes: LruMap<string, Route>;
  /** Hosts without an app, and until when (monotonic) that is believed. */
  readonly #unknown: LruMap<string, number>;
  /** The hosts remembered for an app: what `invalidate` has to forget. */
  readonly #hostsByApp = new Map<string, Set<string>>();
  readonly #lookups = new Map<string, Lookup>();

  constructor(resolve: ControlPlane['resolve'], clock: Clock, limits: DispatchLimits) {
    this.#resolve = resolve;
    this.#clock = clock;
    this.#ttlMs = limits.negativeCacheTtlMs;
    this.#routes = new LruMap(limits.routeCacheSize, (host, route) => this.#unindex(host, route.appId));
    this.#unknown = new LruMap(limits.negativeCacheSize);
  }

  /** Hosts remembered, with and without an app. */
  get size(): number {
    return this.#routes.size + this.#unknown.size;
  }

  /** What is remembered: a route, null for "no app", undefined for "not known, look it up". */
  peek(host: string): Route | null | undefined {
    const route = this.#routes.get(host);
    if (route !== undefined) return route;
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
    for (const host of this.#hostsByApp.get(appId) ?? []) this.#routes.delete(host);
    this.#hostsByApp.delete(appId);
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
    if (route === undefined) {
      this.#unknown.set(host, this.#clock.monotonicMs() + this.#ttlMs);
      return;
    }
    this.#routes.set(host, route);
    const hosts = this.#hostsByApp.get(route.appId);
    if (hosts === undefined) this.#hostsByApp.set(route.appId, new Set([host]));
    else hosts.add(host);
  }

  #forget(host: string): void {
    const route = this.#routes.get(host);
    if (route !== undefined) {
      this.#routes.delete(host);
      this.#unindex(host, route.appId);
    }
    this.#unknown.delete(host);
  }

  /** A scan: wildcards change seldom, and an index by suffix would cost every lookup. */
  #forgetMatching(pattern: string): void {
    for (const host of [...this.#routes.keys(), ...this.#unknown.keys()])
      if (hostMatches(pattern, host)) this.#forget(host);
  }

  #unindex(host: string, appId: string): void {
    const hosts = this.#hostsByApp.get(appId);
    if (hosts?.delete(host) === true && hosts.size === 0) this.#hostsByApp.delete(appId);
  }
}
