/**
 * From a hostname to the right to use a container. Warm, that is two map look-ups and no waiting; cold, the request is held
 * while one activation, shared by all who want the app, makes a container ready. No sockets here: the transport asks for a
 * lease, forwards outside, and gives the lease back.
 */
import type { Clock } from '../clock.ts';
import { PlatformError } from '../errors.ts';
import type { AppTotal } from './app-totals.ts';
import type { ControlPlane, DataPlane, DrainOptions, DrainResult, Endpoint, Route } from './control-plane.ts';
import { Fleet } from './fleet.ts';
import { Guests, mayAsk } from './guests.ts';
import type { Guest } from './guests.ts';
import { HoldBudget } from './hold-queue.ts';
import type { LatencyHistogram } from './latency.ts';
import type { AcquireRequest, Lease, Wait } from './lease.ts';
import { DEFAULT_DISPATCH_LIMITS } from './limits.ts';
import type { DispatchLimits } from './limits.ts';
import { needMissing, shuttingDown, unknownHost } from './refusals.ts';
import { RouteCache } from './route-cache.ts';
import type { Host } from './route-cache.ts';
import type { SharedSlots, SlotShares } from './slot-shares.ts';
import { waitFor } from './wait-for.ts';

export interface DispatcherOptions {
  readonly control: ControlPlane;
  readonly clock: Clock;
  readonly limits?: Partial<DispatchLimits> | undefined;
  /** No new request goes to this container until it is named again: pooled connections to it are to be closed. */
  readonly onRetire?: ((containerId: string) => void) | undefined;
  /** Where other data planes use slots of the same containers. */
  readonly shares?: SlotShares | undefined;
}

/** Gauges (now) and totals (since the start). */
export interface DispatcherStats {
  readonly held: number;
  readonly heldBytes: number;
  readonly inFlight: number;
  /** Apps and containers it has state of. */
  readonly apps: number;
  readonly containers: number;
  /** Hosts it remembers, those without an app included. */
  readonly routes: number;
  readonly holdOverflowsTotal: number;
  readonly activationsTotal: number;
  readonly coldStartsTotal: number;
  readonly retriesTotal: number;
}

export class Dispatcher implements DataPlane, SharedSlots {
  /** Containers that ask for other apps. */
  readonly guests: Guests;
  readonly #clock: Clock;
  readonly #limits: DispatchLimits;
  readonly #routes: RouteCache;
  readonly #holdBudget: HoldBudget;
  /** One of its own, so that however much waits for apps, hosts can be found. */
  readonly #lookupBudget: HoldBudget;
  readonly #fleet: Fleet;
  readonly #detach: () => void;
  #closed = false;

  constructor({ control, clock, limits, onRetire, shares }: DispatcherOptions) {
    this.#clock = clock;
    this.#limits = { ...DEFAULT_DISPATCH_LIMITS, ...limits };
    this.guests = new Guests(control);
    this.#routes = new RouteCache((host) => control.resolve(host), clock, this.#limits);
    const { holdRequests, holdBytes, lookupRequests, lookupBytes } = this.#limits;
    this.#holdBudget = new HoldBudget({ requests: holdRequests, bytes: holdBytes });
    this.#lookupBudget = new HoldBudget({ requests: lookupRequests, bytes: lookupBytes });
    this.#fleet = new Fleet({
      control,
      clock,
      budget: this.#holdBudget,
      holdTimeoutMs: this.#limits.holdTimeoutMs,
      observeEveryMs: this.#limits.observeEveryMs,
      onLoad: (load) => control.observe(load, this),
      onRetire: (containerId) => onRetire?.(containerId),
      onAppGone: (appId) => this.#routes.invalidate(appId, []),
      shares,
    });
    shares?.join(this);
    this.#detach = control.attach(this);
  }

  /**
   * A place for a request to a host: at once when one is free, else as soon as one is. Whoever is given a lease
   * after the client has gone must still release it. Errors (always as a rejection): `unknown_host`, `hold_full`,
   * `upstream_timeout` (held too long), `need_missing` (a guest asks for what its app does not need), `shutting_down`, the
   * signal's reason, and what `activate`, `resolve` and `guest` reject with;
   * a `StandIn` where the app sleeps and its wake policy has another answer for this request.
   */
  acquire(host: Host, request: AcquireRequest): Lease | Promise<Lease> {
    if (this.#closed) return Promise.reject(shuttingDown());
    const { guest } = request;
    if (guest !== undefined) return this.#acquireAsGuest(guest, textOf(host), request);
    const route = this.#routes.peek(host);
    if (route === null) return Promise.reject(unknownHost(textOf(host)));
    if (route === undefined) {
      const text = textOf(host);
      return this.#lookUp(text, request, () => this.#routes.lookup(text));
    }
    return this.#place(route, request);
  }

  stats(): DispatcherStats {
    return {
      held: this.#holdBudget.requests + this.#lookupBudget.requests,
      heldBytes: this.#holdBudget.bytes + this.#lookupBudget.bytes,
      routes: this.#routes.size,
      holdOverflowsTotal: this.#holdBudget.overflows + this.#lookupBudget.overflows,
      ...this.#fleet.stats(),
    };
  }

  /** How long requests were held that were given their place in the end. */
  get heldTime(): LatencyHistogram {
    return this.#fleet.heldTime;
  }

  /** The apps with the most requests, most first. */
  topApps(max: number): AppTotal[] {
    return this.#fleet.totals.top(max);
  }

  /** Holds nothing any more: what waits is refused with `shutting_down`, and the control plane's pushes end. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#detach();
    this.#fleet.close();
  }

  endpoints(appId: string, endpoints: readonly Endpoint[]): void {
    this.#fleet.endpoints(appId, endpoints);
  }

  drain(containerId: string, options: DrainOptions = {}): Promise<DrainResult> {
    return this.#fleet.drain(containerId, options);
  }

  abort(containerId: string): void {
    this.#fleet.abort(containerId);
  }

  setSlots(containerId: string, share: { readonly slots: number; readonly watched: boolean }): void {
    this.#fleet.setSlots(containerId, share.slots, share.watched);
  }

  inFlight(containerId: string): number {
    return this.#fleet.inFlight(containerId);
  }

  invalidate(change: { readonly appId: string; readonly hosts: readonly string[] }): void {
    this.#routes.invalidate(change.appId, change.hosts);
    this.guests.changed();
  }

  #place(route: Route, request: AcquireRequest): Lease | Promise<Lease> {
    return (
      this.#fleet.place(route, request, undefined) ??
      this.#fleet.hold({
        route,
        request,
        arrivedAtMs: this.#clock.monotonicMs(),
        lookupMs: 0,
        retry: false,
        heldMs: 0,
        flight: undefined,
      })
    );
  }

  /** The same refusal for a host that nobody has and one that is somebody else's. */
  #acquireAsGuest(guest: Guest, host: string, request: AcquireRequest): Lease | Promise<Lease> {
    const { rights } = guest;
    const route = this.#routes.peek(host);
    if (rights === undefined || route === undefined)
      return this.#lookUp(host, request, () => this.#routeFor(guest, host));
    return mayAsk(rights, route) ? this.#place(route, request) : Promise.reject(needMissing(host, rights));
  }

  /** Errors: `need_missing`. */
  async #routeFor(guest: Guest, host: string): Promise<Route> {
    const rights = await guest.ask();
    const known = this.#routes.peek(host);
    const route = known === undefined ? await this.#routes.lookup(host) : known;
    if (mayAsk(rights, route)) return route;
    throw needMissing(host, rights);
  }

  async #lookUp(
    host: string,
    request: AcquireRequest,
    find: () => Promise<Route | undefined>,
  ): Promise<Lease> {
    const arrivedAtMs = this.#clock.monotonicMs();
    const bytes = request.bodyBytes;
    this.#lookupBudget.take(bytes);
    let route: Route | undefined;
    try {
      route = await waitFor(find(), {
        clock: this.#clock,
        timeoutMs: this.#limits.holdTimeoutMs,
        timedOut: () => new PlatformError('upstream_timeout', `looking up ${host} took too long`),
        signal: request.signal,
      });
    } finally {
      this.#lookupBudget.give(bytes);
    }
    if (this.#closed) throw shuttingDown();
    if (route === undefined) throw unknownHost(host);
    const lookupMs = this.#clock.monotonicMs() - arrivedAtMs;
    const wait: Wait = { route, request, arrivedAtMs, lookupMs, retry: false, heldMs: 0, flight: undefined };
    return this.#fleet.place(route, request, wait) ?? this.#fleet.hold(wait);
  }
}

function textOf(host: Host): string {
  return typeof host === 'string' ? host : host.text;
}
