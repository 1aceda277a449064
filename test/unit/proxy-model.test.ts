/**
 * Random histories of the dispatcher, checked after every step against what must hold whatever happens: limits, order,
 * drains, bounds, and that everything is given back in the end. A failure prints the seed and the shortest history.
 */
import fc from 'fast-check';
import { expect, it } from 'vitest';
import { PlatformError } from '../../src/errors.ts';
import type { Activation, Endpoint } from '../../src/proxy/control-plane.ts';
import { Dispatcher } from '../../src/proxy/dispatcher.ts';
import type { Lease } from '../../src/proxy/lease.ts';
import { FakeClock, settle } from '../support/fake-clock.ts';
import { activation, endpoint, ScriptedControlPlane } from '../support/scripted-control-plane.ts';

const APPS = ['a', 'b'] as const;
type AppId = (typeof APPS)[number];
const HOLD_REQUESTS = 6;
const HOLD_BYTES = 50;
const HOLD_IN_ALL = 9;

interface Visitor {
  readonly app: AppId;
  readonly order: number;
  readonly gone: AbortController;
  state: 'waiting' | 'served' | 'over';
  lease: Lease | undefined;
  retried: boolean;
  error: PlatformError | undefined;
}

class World {
  readonly clock = new FakeClock();
  readonly control = new ScriptedControlPlane();
  readonly dispatcher: Dispatcher;
  readonly visitors: Visitor[] = [];
  /** What was last said about each container: its limit, or that it is out of use. */
  readonly limits = new Map<string, number | undefined>();
  readonly flights: { app: AppId; superseded: boolean; settle: PromiseWithResolvers<Activation> }[] = [];
  readonly drains: { containerId: string; acknowledged: boolean }[] = [];
  /** What went wrong between two checks. */
  readonly violations: string[] = [];
  readonly #justServed: Visitor[] = [];
  #containers = 0;

  constructor() {
    for (const app of APPS)
      this.control.app(app, {
        route: { holdRequests: HOLD_REQUESTS, holdBytes: HOLD_BYTES },
        activate: () => {
          if (this.flights.some((flight) => flight.app === app))
            this.violations.push('two activations at once');
          const flight = { app, superseded: false, settle: Promise.withResolvers<Activation>() };
          this.flights.push(flight);
          return flight.settle.promise;
        },
      });
    this.dispatcher = new Dispatcher({
      control: this.control,
      clock: this.clock,
      limits: { holdRequests: HOLD_IN_ALL, holdTimeoutMs: 10_000 },
    });
  }

  ask(app: AppId, bodyBytes: number): void {
    const visitor: Visitor = {
      app,
      order: this.visitors.length,
      gone: new AbortController(),
      state: 'waiting',
      lease: undefined,
      retried: false,
      error: undefined,
    };
    this.visitors.push(visitor);
    const got = this.dispatcher.acquire(`${app}.test`, { bodyBytes, signal: visitor.gone.signal });
    if (got instanceof Promise) this.#follow(visitor, got);
    else this.#served(visitor, got);
  }

  #follow(visitor: Visitor, got: Promise<Lease>): void {
    got.then(
      (lease) => {
        if (visitor.gone.signal.aborted) lease.release();
        else this.#served(visitor, lease);
      },
      (error: unknown) => {
        visitor.state = 'over';
        visitor.error = error as PlatformError;
      },
    );
  }

  #served(visitor: Visitor, lease: Lease): void {
    this.#justServed.push(visitor);
    visitor.state = 'served';
    visitor.lease = lease;
    lease.onAbort = () => this.release(visitor);
  }

  release(visitor: Visitor): void {
    visitor.state = 'over';
    visitor.lease?.release();
  }

  abort(visitor: Visitor): void {
    visitor.gone.abort(new PlatformError('client_closed_request', 'gone'));
    visitor.state = 'over';
  }

  fail(visitor: Visitor): void {
    if (visitor.lease === undefined) return;
    const { containerId } = visitor.lease.endpoint;
    const again = visitor.lease.fail('refused');
    this.limits.set(containerId, undefined);
    visitor.state = 'waiting';
    visitor.lease = undefined;
    visitor.retried = true;
    this.#follow(visitor, again);
  }

  container(limit: number): Endpoint {
    return endpoint(`c${this.#containers++}`, 1, limit);
  }

  push(app: AppId, endpoints: Endpoint[]): void {
    for (const [containerId] of this.limits)
      if (this.appOf(containerId) === app) this.limits.set(containerId, undefined);
    for (const one of endpoints) this.#named(app, one);
    for (const flight of this.flights) if (flight.app === app) flight.superseded = true;
    this.dispatcher.endpoints(app, endpoints);
  }

  arrive(flight: (typeof this.flights)[number], endpoints: Endpoint[]): void {
    this.flights.splice(this.flights.indexOf(flight), 1);
    // What was pushed while the activation was under way is newer than its answer.
    if (!flight.superseded) for (const one of endpoints) this.#named(flight.app, one);
    flight.settle.resolve(activation(endpoints));
  }

  readonly #apps = new Map<string, AppId>();
  appOf(containerId: string): AppId | undefined {
    return this.#apps.get(containerId);
  }
  #named(app: AppId, one: Endpoint): void {
    this.#apps.set(one.containerId, app);
    this.limits.set(one.containerId, one.concurrencyLimit);
  }

  drain(containerId: string, onlyIfIdle: boolean): void {
    const drain = { containerId, acknowledged: false };
    const asked = this.dispatcher.drain(
      containerId,
      onlyIfIdle ? { onlyIfIdleSinceMs: this.clock.nowMs() - 100 } : undefined,
    );
    if (!onlyIfIdle) this.limits.set(containerId, undefined);
    void asked.then((result) => {
      if (!result.drained) return;
      this.limits.set(containerId, undefined);
      if (this.inFlight(containerId) > 0) this.violations.push(`${containerId} drained with work in flight`);
      drain.acknowledged = true;
    });
    this.drains.push(drain);
  }

  inFlight(containerId: string): number {
    return this.visitors.filter(
      ({ lease, state }) => state === 'served' && lease?.endpoint.containerId === containerId,
    ).length;
  }

  in(state: Visitor['state']): Visitor[] {
    return this.visitors.filter((visitor) => visitor.state === state);
  }

  check(): void {
    // One whose container refused it comes before those who never had one: it may overtake them.
    for (const { app, order, retried } of this.#justServed.splice(0))
      if (!retried)
        for (const older of this.in('waiting'))
          if (older.app === app && older.order < order)
            this.violations.push(`visitor ${order} overtook ${older.order}`);
    expect(this.violations).toEqual([]);
    for (const [containerId, limit] of this.limits)
      if (limit !== undefined)
        expect(this.inFlight(containerId), 'over its limit').toBeLessThanOrEqual(limit);
    const waiting = this.in('waiting');
    for (const app of APPS) {
      const ofApp = waiting.filter((visitor) => visitor.app === app);
      expect(ofApp.length, 'more held than the app may').toBeLessThanOrEqual(HOLD_REQUESTS);
      const usable = [...this.limits].filter(([id, limit]) => limit !== undefined && this.appOf(id) === app);
      const free = usable.some(([id, limit]) => this.inFlight(id) < (limit ?? 0));
      if (ofApp.length > 0) {
        expect(free, 'somebody waits although there is room').toBe(false);
        // Nobody waits for nothing.
        if (usable.length === 0)
          expect(
            this.flights.some((flight) => flight.app === app),
            'held, and nobody makes a container ready',
          ).toBe(true);
      }
    }
    const stats = this.dispatcher.stats();
    expect(stats.held).toBe(waiting.length);
    expect(stats.held).toBeLessThanOrEqual(HOLD_IN_ALL);
    expect(stats.inFlight).toBe(this.in('served').length);
  }
}

const app = fc.constantFrom(...APPS);
const nth = fc.nat(30);
const limit = fc.integer({ min: 1, max: 3 });
const step = fc.oneof(
  { weight: 8, arbitrary: fc.record({ do: fc.constant('ask' as const), app, bytes: fc.nat(20) }) },
  { weight: 6, arbitrary: fc.record({ do: fc.constant('release' as const), nth }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('abort' as const), nth }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('fail' as const), nth }) },
  { weight: 4, arbitrary: fc.record({ do: fc.constant('arrive' as const), nth, limit, count: fc.nat(2) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('reject' as const), nth }) },
  {
    weight: 3,
    arbitrary: fc.record({ do: fc.constant('push' as const), app, limit, keep: fc.nat(7), fresh: fc.nat(1) }),
  },
  { weight: 3, arbitrary: fc.record({ do: fc.constant('drain' as const), nth, idle: fc.boolean() }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('break' as const), nth }) },
  {
    weight: 1,
    arbitrary: fc.record({ do: fc.constant('wait' as const), ms: fc.constantFrom(1, 500, 11_000) }),
  },
);

function at<T>(list: readonly T[], n: number): T | undefined {
  return list[n % Math.max(1, list.length)];
}

async function take(world: World, one: typeof step extends fc.Arbitrary<infer S> ? S : never): Promise<void> {
  switch (one.do) {
    case 'ask':
      world.ask(one.app, one.bytes);
      return;
    case 'release': {
      const visitor = at(world.in('served'), one.nth);
      if (visitor) world.release(visitor);
      return;
    }
    case 'abort': {
      const visitor = at(world.in('waiting'), one.nth);
      if (visitor) world.abort(visitor);
      return;
    }
    case 'fail': {
      const visitor = at(world.in('served'), one.nth);
      if (visitor) world.fail(visitor);
      return;
    }
    case 'arrive': {
      const flight = at(world.flights, one.nth);
      const made = Array.from({ length: one.count }, () => world.container(one.limit));
      if (flight) world.arrive(flight, made);
      return;
    }
    case 'reject': {
      const flight = at(world.flights, one.nth);
      if (flight === undefined) return;
      world.flights.splice(world.flights.indexOf(flight), 1);
      flight.settle.reject(new PlatformError('start_failed', 'no'));
      return;
    }
    case 'push': {
      const kept = [...world.limits.keys()]
        .filter((id, i) => world.appOf(id) === one.app && (one.keep >> (i % 3)) % 2 === 1)
        .map((id) => endpoint(id, 1, Math.max(one.limit, world.inFlight(id), 1)));
      const fresh = Array.from({ length: one.fresh }, () => world.container(one.limit));
      world.push(one.app, [...kept, ...fresh]);
      return;
    }
    case 'drain': {
      const containerId = at([...world.limits.keys()], one.nth);
      if (containerId !== undefined) world.drain(containerId, one.idle);
      return;
    }
    case 'break': {
      const containerId = at([...world.limits.keys()], one.nth);
      if (containerId !== undefined) world.dispatcher.abort(containerId);
      return;
    }
    case 'wait':
      await world.clock.advance(one.ms);
  }
}

it('holds its limits, its order and its promises in any history, and gives everything back', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 5, maxLength: 60 }), async (steps) => {
      const world = new World();
      for (const one of steps) {
        await take(world, one);
        await settle();
        world.check();
      }
      // Everybody goes home.
      for (const visitor of world.in('waiting')) world.abort(visitor);
      for (const visitor of world.in('served')) world.release(visitor);
      await settle();
      for (const flight of [...world.flights]) world.arrive(flight, []);
      for (const id of APPS) world.push(id, []);
      await settle();
      for (const drain of world.drains)
        if (world.inFlight(drain.containerId) > 0) expect(drain.acknowledged).toBe(false);
      expect(world.dispatcher.stats()).toMatchObject({
        held: 0,
        heldBytes: 0,
        inFlight: 0,
        apps: 0,
        containers: 0,
      });
      world.dispatcher.close();
      expect(world.clock.pending).toBe(0);
    }),
    { numRuns: 500 },
  );
});
