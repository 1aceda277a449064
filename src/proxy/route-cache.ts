/**
 * Which app a host belongs to, remembered: hosts found by their own name, hosts found by a wildcard, and hosts unknown, each
 * kind up to a bound of its own, so that a million made-up names below a wildcard push out no other's. One lookup per host is
 * under way at a time. The control plane says what changed (`invalidate`); a lookup that was under way meanwhile may have
 * seen the old state, so it is made again, and what it says is not remembered while changes keep overtaking it. Where the
 * changed state cannot be read, what was known before serves on.
 */
import type { Clock } from '../clock.ts';
import { isPlatformError } from '../errors.ts';
import { hostMatches } from '../hostname.ts';
import type { ControlPlane, Route } from './control-plane.ts';
import { HostCache } from './host-cache.ts';
import type { DispatchLimits } from './limits.ts';
import { LruMap } from './lru.ts';
import { Owners } from './owners.ts';
import { PackedName } from './packed-name.ts';

/** How often a lookup that was overtaken by a change is made again before its answer is used as it is. */
const MAX_OVERTAKEN = 3;

/** A normalised host, as a text, or as whoever has read it keeps it. */
export type Host = string | PackedName;

/** Of all caches, so that what one has found is nothing to another. */
let states = 0;

interface Lookup {
  readonly answer: Promise<Route | undefined>;
  overtaken: boolean;
  /** Its answer is used, whatever happens meanwhile. */
  last: boolean;
}

export class RouteCache {
  readonly #resolve: ControlPlane['resolve'];
  readonly #clock: Clock;
  readonly #ttlMs: number;
  readonly #owners = new Owners();
  readonly #named: HostCache;
  /** Found by a wildcard, or nobody says how. */
  readonly #covered: HostCache;
  /** Hosts without an app, and until when (monotonic) that is believed. */
  readonly #unknown: LruMap<string, number>;
  readonly #lookups = new Map<string, Lookup>();
  readonly #name = new PackedName();
  /** Another one whenever a host that was found might not be found again. */
  #state = ++states;

  constructor(resolve: ControlPlane['resolve'], clock: Clock, limits: DispatchLimits) {
    this.#resolve = resolve;
    this.#clock = clock;
    this.#ttlMs = limits.negativeCacheTtlMs;
    const release = (number: number) => {
      this.#owners.release(number);
      this.#state = ++states;
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
  peek(host: Host): Route | null | undefined {
    const name = typeof host === 'string' ? this.#name.pack(host) : host;
    if (name.foundIn === this.#state) return this.#owners.routeOf(name.found);
    const owner = this.#named.get(name) || this.#covered.get(name);
    if (owner === 0) return this.#isUnknown(name) ? null : undefined;
    name.found = owner;
    name.foundIn = this.#state;
    return this.#owners.routeOf(owner);
  }

  /**
   * Asks the control plane, together with whoever asks for the same host now. Rejects with its error, remembering nothing; with
   * `store_unavailable` only where nothing was known of the host before its app changed.
   */
  lookup(host: string): Promise<Route | undefined> {
    const underway = this.#lookups.get(host);
    // One that a change has overtaken is made again, unless it has been so often; its answer then is as fresh as a new one's.
    if (underway !== undefined && !(underway.overtaken && underway.last)) return underway.answer;
    const lookup: Lookup = { answer: this.#lookUp(host), overtaken: false, last: false };
    this.#lookups.set(host, lookup);
    return lookup.answer;
  }

  /** Forgets an app's hosts, these hosts, and all that these wildcards may now decide. */
  invalidate(appId: string, hosts: readonly string[]): void {
    for (const lookup of this.#lookups.values()) lookup.overtaken = true;
    this.#owners.forget(appId, hosts);
    for (const host of hosts) {
      if (host.startsWith('*.')) this.#forgetMatching(host, appId);
      else if (this.#owners.former.appOf(this.#ownerOf(host)) !== appId) this.#forget(host);
    }
  }

  /** 0: it is not remembered. */
  #ownerOf(host: string): number {
    const name = this.#name.pack(host);
    return this.#named.get(name) || this.#covered.get(name);
  }

  #isUnknown(name: PackedName): boolean {
    if (this.#unknown.size === 0) return false;
    const untilMs = this.#unknown.get(name.text);
    if (untilMs === undefined) return false;
    if (this.#clock.monotonicMs() < untilMs) return true;
    this.#unknown.delete(name.text);
    return false;
  }

  async #lookUp(host: string): Promise<Route | undefined> {
    // The caller registers this flight before anything below runs.
    await Promise.resolve();
    const lookup = this.#lookups.get(host);
    try {
      for (let attempt = 1; ; attempt++) {
        if (lookup !== undefined) {
          lookup.overtaken = false;
          lookup.last = attempt === MAX_OVERTAKEN;
        }
        const route = await this.#resolve(host);
        if (lookup?.overtaken === false) {
          this.#remember(host, route);
          return route;
        }
        if (attempt === MAX_OVERTAKEN) return route;
      }
    } catch (thrown) {
      return this.#recall(host, thrown);
    } finally {
      if (this.#lookups.get(host) === lookup) this.#lookups.delete(host);
    }
  }

  /** What was known of the host before its app changed; not remembered again. Errors: `thrown`, where that is no help. */
  #recall(host: string, thrown: unknown): Route {
    const former = this.#owners.former.routeOf(this.#ownerOf(host), host);
    if (former === undefined || !isPlatformError(thrown, 'store_unavailable')) throw thrown;
    return former;
  }

  #remember(host: string, route: Route | undefined): void {
    this.#forget(host);
    if (route === undefined) {
      this.#unknown.set(host, this.#clock.monotonicMs() + this.#ttlMs);
      return;
    }
    const owner = this.#owners.take(route);
    if (owner !== 0) (route.byName === true ? this.#named : this.#covered).add(this.#name.pack(host), owner);
  }

  #forget(host: string): void {
    const name = this.#name.pack(host);
    this.#named.delete(name);
    this.#covered.delete(name);
    this.#unknown.delete(host);
  }

  /** Hosts that are some app's own are no wildcard's. The others are few enough to be looked at one by one. */
  #forgetMatching(pattern: string, appId: string): void {
    const { former } = this.#owners;
    this.#covered.deleteWhere((host, owner) => former.appOf(owner) !== appId && hostMatches(pattern, host));
    for (const host of [...this.#unknown.keys()]) if (hostMatches(pattern, host)) this.#unknown.delete(host);
  }
}
