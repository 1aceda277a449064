/**
 * The apps and their containers, as far as traffic concerns them: who is given a slot, who waits, when a container has to be
 * made ready, and when one that is to go is empty.
 *
 * Everything here runs between two awaits, so a change and its consequences (who is handed a slot, which drain is
 * acknowledged, whether an activation is due) are one step. After every change `#serve` looks at what follows from it.
 */
import type { Clock } from '../clock.ts';
import { PlatformError } from '../errors.ts';
import { AppState } from './app-state.ts';
import { AppTotals } from './app-totals.ts';
import type {
  Activation,
  ControlPlane,
  DrainOptions,
  DrainResult,
  Endpoint,
  LoadReport,
  Route,
} from './control-plane.ts';
import { HoldQueue } from './hold-queue.ts';
import type { HoldBudget } from './hold-queue.ts';
import { LatencyHistogram } from './latency.ts';
import { Lease } from './lease.ts';
import type { AcquireRequest, ColdStart, ConnectFailure, Flight, LeaseGiver, Wait } from './lease.ts';
import { DelayedRefusals, RefusalPace } from './refusal-pace.ts';
import { shuttingDown } from './refusals.ts';
import type { SlotShares } from './slot-shares.ts';
import { Upstream } from './upstream.ts';
import { holdAsleep } from './wake-rules.ts';

/** Activations in a row that may end without a usable container (drained as soon as ready) before the app has failed. */
const MAX_FRUITLESS_ACTIVATIONS = 3;
/** An app is observed for so long after something came or went; an open stream that is silent is no reason to look. */
const OBSERVE_AFTER_MS = 500;

export interface FleetOptions {
  readonly control: Pick<ControlPlane, 'activate' | 'suspect' | 'report'>;
  readonly clock: Clock;
  readonly budget: HoldBudget;
  readonly holdTimeoutMs: number;
  readonly observeEveryMs: number;
  /** An app is busy, and is to be looked at. */
  readonly onLoad: (load: LoadReport) => void;
  /** No new request goes to this container until it is named again. */
  readonly onRetire: (containerId: string) => void;
  /** The control plane does not know the app any more. */
  readonly onAppGone: (appId: string) => void;
  /** Where other data planes use slots of the same containers. */
  readonly shares?: SlotShares | undefined;
}

export class Fleet implements LeaseGiver {
  /** What each app has had, awake or not. */
  readonly totals = new AppTotals();
  /** How long requests were held that were given their place in the end. */
  readonly heldTime = new LatencyHistogram();
  readonly #options: FleetOptions;
  readonly #clock: Clock;
  readonly #apps = new Map<string, AppState>();
  readonly #upstreams = new Map<string, Upstream>();
  readonly #delayedRefusals = new DelayedRefusals();
  #closed = false;
  #inFlight = 0;
  #activations = 0;
  #coldStarts = 0;
  #retries = 0;

  constructor(options: FleetOptions) {
    this.#options = options;
    this.#clock = options.clock;
  }

  stats() {
    return {
      inFlight: this.#inFlight,
      apps: this.#apps.size,
      containers: this.#upstreams.size,
      activationsTotal: this.#activations,
      coldStartsTotal: this.#coldStarts,
      retriesTotal: this.#retries,
    };
  }

  /** What waits is refused with `shutting_down`. */
  close(): void {
    this.#closed = true;
    for (const app of [...this.#apps.values()]) {
      app.load.cancel?.();
      app.queue.rejectAll(shuttingDown());
      this.#forgetIfDone(app);
    }
  }

  /** A lease now, if a container has room. Nobody is overtaken: while there is room, nobody waits. */
  place(route: Route, request: AcquireRequest, wait: Wait | undefined): Lease | undefined {
    const app = this.#apps.get(route.appId);
    const upstream = app?.pick();
    if (app === undefined || upstream === undefined) return undefined;
    if (wait?.retry !== true) app.load.arrived();
    return this.#give(app, upstream, route, request, wait);
  }

  #give(
    app: AppState,
    upstream: Upstream,
    route: Route,
    request: AcquireRequest,
    wait: Wait | undefined,
  ): Lease {
    if (wait?.retry !== true) app.total.requests++;
    app.total.name = route.appName;
    const lease = new Lease(this, upstream, route, request, wait);
    upstream.start(lease);
    this.#inFlight++;
    // One that waited has its place only now.
    const startedMs = wait === undefined ? request.startedMs : undefined;
    app.load.started(startedMs ?? this.#clock.monotonicMs());
    if (app.load.cancel === undefined) this.#observe(app);
    return lease;
  }

  /** A lease once its turn has come. Errors: as `Dispatcher.acquire`. */
  hold(wait: Wait): Promise<Lease> {
    const { wake } = wait.route;
    const app = this.#apps.get(wait.route.appId);
    if (wake === undefined || wait.retry || app?.hasUsable === true) return this.#hold(wait);
    const state = app?.flight === undefined ? 'asleep' : 'starting';
    return holdAsleep({ wait, rules: wake, state, clock: this.#clock, hold: (one) => this.#hold(one) });
  }

  #hold(wait: Wait): Promise<Lease> {
    const { route, request } = wait;
    const app = this.#app(route.appId);
    const before = app.queue.size;
    const held = app.queue.push({
      what: wait,
      bytes: request.bodyBytes,
      signal: request.signal,
      maxRequests: route.holdRequests,
      maxBytes: route.holdBytes,
      first: wait.retry,
    });
    if (app.queue.size > before) {
      if (!wait.retry) app.load.arrived();
      if (app.flight !== undefined) this.#join(app.flight, wait);
      this.#serve(app);
      // After the activation has been asked for: of an app that nobody has woken, nobody is told.
      if (app.load.cancel === undefined) this.#observe(app);
      return held;
    }
    this.#forgetIfDone(app);
    return app.refusals.tell(held, request);
  }

  /** Hands free slots to those who wait; where nothing usable is left to wait for, has a container made ready. */
  #serve(app: AppState): void {
    while (app.queue.size > 0) {
      const upstream = app.pick();
      if (upstream === undefined) break;
      const waiter = app.queue.shift();
      if (waiter === undefined) break;
      const { what } = waiter;
      app.fruitless = 0;
      this.#countHeld(app, what);
      waiter.resolve(this.#give(app, upstream, what.route, what.request, what));
    }
    if (app.queue.size > 0) {
      if (app.hasUsable) this.#options.shares?.short(app.id, app.queue.size);
      else if (app.flight === undefined) this.#activate(app);
    }
    this.#forgetIfDone(app);
  }

  #countHeld({ total }: AppState, wait: Wait): void {
    wait.heldMs = Math.max(0, this.#clock.monotonicMs() - wait.arrivedAtMs - wait.lookupMs);
    this.heldTime.record(wait.heldMs);
    total.held++;
    total.heldMs += wait.heldMs;
  }

  // ---- what the control plane asks

  endpoints(appId: string, endpoints: readonly Endpoint[]): void {
    const app = endpoints.length > 0 ? this.#app(appId) : this.#apps.get(appId);
    if (app === undefined) return;
    if (app.flight !== undefined) app.flight.superseded = true;
    const named = new Set(endpoints.map((endpoint) => endpoint.containerId));
    for (const upstream of [...app.upstreams]) if (!named.has(upstream.containerId)) this.#withdraw(upstream);
    for (const endpoint of endpoints) {
      app.withdrawn.delete(endpoint.containerId);
      this.#enable(app, endpoint);
    }
    this.#serve(app);
  }

  async drain(containerId: string, options: DrainOptions = {}): Promise<DrainResult> {
    const upstream = this.#upstreams.get(containerId);
    if (upstream === undefined) {
      // An activation that names it may have been answered already, on its way here.
      for (const app of this.#apps.values()) if (app.flight !== undefined) app.withdrawn.add(containerId);
      this.#options.onRetire(containerId);
      return { drained: true };
    }
    const app = this.#apps.get(upstream.appId);
    if (options.onlyIfIdleSinceMs !== undefined) {
      // Who waits for a slot that another data plane has is about to be given it.
      const busy = upstream.inFlight.size > 0 || (upstream.usable && (app?.queue.size ?? 0) > 0);
      if (busy) return { drained: false, lastActiveAtMs: this.#clock.nowMs() };
      const lastActiveAtMs = upstream.lastActiveAtMs(this.#clock);
      if (lastActiveAtMs > options.onlyIfIdleSinceMs) return { drained: false, lastActiveAtMs };
    }
    this.#withdraw(upstream);
    const drained = upstream.drained();
    if (app !== undefined) this.#serve(app);
    return drained;
  }

  abort(containerId: string): void {
    this.#upstreams.get(containerId)?.abort();
  }

  // ---- what is shared with other data planes

  setSlots(containerId: string, slots: number, watched: boolean): void {
    const upstream = this.#upstreams.get(containerId);
    if (upstream === undefined) return;
    upstream.setSlots(slots, watched);
    const app = this.#apps.get(upstream.appId);
    if (app !== undefined && app.queue.size > 0) this.#serve(app);
  }

  inFlight(containerId: string): number {
    return this.#upstreams.get(containerId)?.inFlight.size ?? 0;
  }

  // ---- what leases ask (LeaseGiver)

  released(lease: Lease, nowMs = this.#clock.monotonicMs()): void {
    const { upstream } = lease;
    this.#inFlight--;
    upstream.end(lease, nowMs);
    const app = this.#apps.get(upstream.appId);
    if (app === undefined) return;
    app.load.ended(nowMs);
    if (upstream.gone) this.#forget(app, upstream);
    if (app.queue.size > 0) this.#serve(app);
    else if (!upstream.usable) this.#forgetIfDone(app);
    if (upstream.watched) this.#options.shares?.freed(upstream.containerId);
  }

  connectFailed(lease: Lease, why: ConnectFailure): Promise<Lease> {
    const { upstream, route, request, wait } = lease;
    // One that is busy goes on serving the others while somebody looks.
    if (why === 'silent') this.suspected(upstream);
    else if (upstream.usable) {
      // Nobody else is sent there, nor is the slot that comes free here given to the next, until it is named again.
      upstream.disable();
      this.#options.onRetire(upstream.containerId);
      this.suspected(upstream);
    }
    lease.release();
    if (wait?.retry === true)
      return Promise.reject(
        new PlatformError(
          why === 'silent' ? 'upstream_timeout' : 'upstream_broken',
          `no container of ${route.appName} accepted a connection`,
          { retryAfterMs: 1_000 },
        ),
      );
    if (this.#closed) return Promise.reject(shuttingDown());
    this.#retries++;
    const again: Wait = {
      route,
      request,
      arrivedAtMs: wait?.arrivedAtMs ?? this.#clock.monotonicMs(),
      lookupMs: wait?.lookupMs ?? 0,
      retry: true,
      heldMs: 0,
      flight: wait?.flight,
    };
    const placed = this.place(route, request, again);
    return placed === undefined ? this.hold(again) : Promise.resolve(placed);
  }

  suspected(upstream: Upstream): void {
    this.#options.control.suspect(upstream.containerId);
  }

  answered(lease: Lease, cold: ColdStart): void {
    const flight = lease.wait?.flight;
    if (flight === undefined || flight.reported) return;
    flight.reported = true;
    const totalMs = this.#clock.monotonicMs() - cold.arrivedAtMs;
    const platformMs = Object.values(cold.phasesMs).reduce((sum, phaseMs) => sum + phaseMs, cold.lookupMs);
    this.#options.control.report({
      coldStarts: [
        {
          appId: lease.route.appId,
          containerId: cold.containerId,
          kind: cold.kind,
          lookupMs: cold.lookupMs,
          firstByteMs: Math.max(0, totalMs - platformMs),
          totalMs,
          held: cold.held,
        },
      ],
    });
  }

  // ---- observing

  /** Because a request came; again and again while others come and go, so that a crowd is seen which is not served yet. */
  #observe(app: AppState): void {
    const { load } = app;
    const { observeEveryMs, onLoad } = this.#options;
    onLoad(load.report(this.#clock.monotonicMs(), this.#clock.nowMs()));
    load.cancel = this.#clock.after(observeEveryMs, () => {
      load.cancel = undefined;
      const silentMs = this.#clock.monotonicMs() - load.changedMs;
      if (silentMs <= (load.busy ? OBSERVE_AFTER_MS : observeEveryMs)) this.#observe(app);
    });
  }

  // ---- activation

  #activate(app: AppState): void {
    const flight: Flight = { activation: undefined, superseded: false, held: 0, reported: false };
    app.flight = flight;
    app.withdrawn.clear();
    app.queue.forEach((wait) => this.#join(flight, wait));
    this.#activations++;
    void this.#fly(app, flight);
  }

  #join(flight: Flight, wait: Wait): void {
    wait.flight = flight;
    flight.held++;
  }

  async #fly(app: AppState, flight: Flight): Promise<void> {
    let activation: Activation;
    try {
      activation = await this.#options.control.activate(app.id);
    } catch (error) {
      app.flight = undefined;
      this.#activationFailed(app, PlatformError.from(error));
      return;
    }
    app.flight = undefined;
    flight.activation = activation;
    if (activation.kind !== 'warm') this.#coldStarts++;
    if (!this.#closed && !flight.superseded)
      for (const endpoint of activation.endpoints)
        if (!app.withdrawn.has(endpoint.containerId)) this.#enable(app, endpoint);
    if (app.hasUsable) app.fruitless = 0;
    else if (app.queue.size > 0 && ++app.fruitless >= MAX_FRUITLESS_ACTIVATIONS) {
      app.fruitless = 0;
      app.queue.rejectAll(
        new PlatformError(
          'start_failed',
          `the containers of ${app.id} are taken out of use as soon as they are ready`,
          { retryAfterMs: 1_000 },
        ),
      );
    }
    this.#serve(app);
  }

  #activationFailed(app: AppState, error: PlatformError): void {
    app.fruitless = 0;
    if (error.code === 'not_found') {
      // The app is gone; the message that says so may still be on its way.
      this.#options.onAppGone(app.id);
      app.queue.rejectAll(new PlatformError('unknown_host', `${app.id} is gone`, { cause: error }));
    } else if (!app.hasUsable) app.queue.rejectAll(error);
    this.#serve(app);
  }

  // ---- containers

  #enable(app: AppState, endpoint: Endpoint): void {
    const known = this.#upstreams.get(endpoint.containerId);
    if (known !== undefined) {
      known.enable(endpoint, this.#clock.nowMs());
      return;
    }
    const upstream = new Upstream(app.id, endpoint);
    this.#upstreams.set(endpoint.containerId, upstream);
    app.upstreams.push(upstream);
  }

  #withdraw(upstream: Upstream): void {
    const app = this.#apps.get(upstream.appId);
    if (app?.flight !== undefined) app.withdrawn.add(upstream.containerId);
    upstream.disable();
    this.#options.onRetire(upstream.containerId);
    if (app !== undefined && upstream.gone) this.#forget(app, upstream);
  }

  #forget(app: AppState, upstream: Upstream): void {
    app.remove(upstream);
    if (this.#upstreams.get(upstream.containerId) === upstream) this.#upstreams.delete(upstream.containerId);
  }

  // ---- apps

  #app(appId: string): AppState {
    const known = this.#apps.get(appId);
    if (known !== undefined) return known;
    const app: AppState = new AppState(
      this.totals.wake(appId),
      new HoldQueue<Wait, Lease>({
        clock: this.#clock,
        budget: this.#options.budget,
        timeoutMs: this.#options.holdTimeoutMs,
        timedOut: () => this.#heldTooLong(app),
        resized: (held) => app.load.waiting(held, this.#clock.monotonicMs()),
        emptied: () => this.#forgetIfDone(app),
      }),
      new RefusalPace(this.#clock, this.#delayedRefusals),
    );
    this.#apps.set(appId, app);
    return app;
  }

  #forgetIfDone(app: AppState): void {
    if (!app.forgettable || this.#apps.get(app.id) !== app) return;
    this.#apps.delete(app.id);
    app.load.cancel?.();
    this.totals.sleep(app.total);
  }

  #heldTooLong(app: AppState): PlatformError {
    const waited = `${this.#options.holdTimeoutMs} ms`;
    return app.hasUsable
      ? new PlatformError('hold_full', `no container of ${app.id} had room within ${waited}`, {
          retryAfterMs: 1_000,
        })
      : new PlatformError('upstream_timeout', `${app.id} was not ready within ${waited}`, {
          retryAfterMs: 1_000,
        });
  }
}
