import { describe, expect, it } from 'vitest';
import { PlatformError } from '../../src/errors.ts';
import type { Activation } from '../../src/proxy/control-plane.ts';
import { Dispatcher } from '../../src/proxy/dispatcher.ts';
import type { AcquireRequest, Lease } from '../../src/proxy/lease.ts';
import type { DispatchLimits } from '../../src/proxy/limits.ts';
import { FakeClock, settle } from '../support/fake-clock.ts';
import { activation, deferred, endpoint, ScriptedControlPlane } from '../support/scripted-control-plane.ts';

interface Asked {
  lease: Lease | undefined;
  error: PlatformError | undefined;
  gone: AbortController;
}

class Bench {
  readonly clock = new FakeClock();
  readonly control = new ScriptedControlPlane();
  readonly retired: string[] = [];
  readonly dispatcher: Dispatcher;

  constructor(limits: Partial<DispatchLimits> = {}) {
    this.dispatcher = new Dispatcher({
      control: this.control,
      clock: this.clock,
      limits,
      onRetire: (containerId) => this.retired.push(containerId),
    });
  }

  /** Asks for a lease as a client would; what became of it shows on the returned object. */
  ask(host: string, request: Partial<AcquireRequest> = {}): Asked {
    const gone = new AbortController();
    const asked: Asked = { lease: undefined, error: undefined, gone };
    const got = this.dispatcher.acquire(host, { bodyBytes: 0, signal: gone.signal, ...request });
    if (got instanceof Promise) this.track(asked, got);
    else asked.lease = got;
    return asked;
  }

  track(asked: Asked, got: Promise<Lease>): void {
    asked.lease = undefined;
    got.then(
      (lease) => (asked.lease = lease),
      (error: unknown) => (asked.error = error as PlatformError),
    );
  }

  /** An app whose containers are ready already, and whose host is known. */
  async warm(appId: string, ...endpoints: ReturnType<typeof endpoint>[]): Promise<void> {
    this.control.app(appId);
    this.dispatcher.endpoints(appId, endpoints);
    const first = this.ask(`${appId}.test`);
    await settle();
    first.lease?.release();
  }
}

describe('a request for a warm app', () => {
  it('gets its place at once and asks the control plane nothing', async () => {
    const bench = new Bench();
    await bench.warm('a', endpoint('c1'));
    const before = [bench.control.resolved.length, bench.control.activated.length];
    const lease = bench.dispatcher.acquire('a.test', { bodyBytes: 0 });
    expect(lease).not.toBeInstanceOf(Promise);
    expect((lease as Lease).endpoint.containerId).toBe('c1');
    expect((lease as Lease).cold).toBeUndefined();
    expect([bench.control.resolved.length, bench.control.activated.length]).toEqual(before);
  });

  it('goes to the container with the least in flight', async () => {
    const bench = new Bench();
    await bench.warm('a', endpoint('c1'), endpoint('c2'), endpoint('c3'));
    const leases = Array.from({ length: 6 }, () => bench.ask('a.test').lease);
    expect(leases.map((lease) => lease?.endpoint.containerId).sort()).toEqual([
      'c1',
      'c1',
      'c2',
      'c2',
      'c3',
      'c3',
    ]);
    for (const lease of leases) if (lease?.endpoint.containerId === 'c2') lease.release();
    expect(bench.ask('a.test').lease?.endpoint.containerId).toBe('c2');
    expect(bench.ask('a.test').lease?.endpoint.containerId).toBe('c2');
  });

  it('shares light traffic among idle containers', async () => {
    const bench = new Bench();
    await bench.warm('a', endpoint('c1'), endpoint('c2'));
    const seen = new Set<string | undefined>();
    for (let i = 0; i < 4; i++) {
      const { lease } = bench.ask('a.test');
      seen.add(lease?.endpoint.containerId);
      lease?.release();
    }
    expect(seen.size).toBe(2);
  });

  it('waits when all its containers are at their limit, without an activation, and is served first come first served', async () => {
    const bench = new Bench();
    await bench.warm('a', endpoint('c1', 1, 1));
    const first = bench.ask('a.test');
    const second = bench.ask('a.test');
    const third = bench.ask('a.test');
    await settle();
    expect([first.lease !== undefined, second.lease, third.lease]).toEqual([true, undefined, undefined]);
    first.lease?.release();
    // Whoever comes now must not overtake those who wait.
    const fourth = bench.ask('a.test');
    await settle();
    expect(second.lease).toBeDefined();
    expect([third.lease, fourth.lease]).toEqual([undefined, undefined]);
    second.lease?.release();
    await settle();
    expect(third.lease).toBeDefined();
    expect(fourth.lease).toBeUndefined();
    expect(bench.control.activated).toEqual([]);
  });

  it('that wakes an app is told as load when its activation has been asked for: before that, nobody would hear it', async () => {
    const bench = new Bench();
    const woken = bench.control.app('a');
    const order: string[] = [];
    const activate = woken.activate;
    woken.activate = () => {
      order.push('activate');
      return activate();
    };
    bench.control.observe = ({ held }) => order.push(`${held} wait`);
    bench.ask('a.test');
    await settle();
    expect(order.slice(0, 2)).toEqual(['activate', '1 wait']);
  });

  it('is told as load at once, then about every 100 ms while others come and go, and not when it is over', async () => {
    const bench = new Bench();
    await bench.warm('a', endpoint('c1'));
    await bench.clock.advance(10_000);
    bench.control.observed.length = 0;
    const first = bench.ask('a.test');
    expect(bench.control.observed).toMatchObject([{ appId: 'a', inFlight: 1, held: 0 }]);
    const [{ arrivals } = { arrivals: 0 }] = bench.control.observed;
    for (let i = 0; i < 8; i++) {
      await bench.clock.advance(50);
      bench.ask('a.test').lease?.release();
    }
    expect(bench.control.observed).toHaveLength(5);
    expect(bench.control.observed.at(-1)).toMatchObject({
      arrivals: arrivals + 7,
      completed: arrivals + 6,
      inFlight: 1,
    });
    first.lease?.release();
    await bench.clock.advance(60_000);
    expect(bench.control.observed).toHaveLength(6);
    expect(bench.control.observed.at(-1)).toMatchObject({ arrivals: arrivals + 8, inFlight: 0, held: 0 });
  });

  it('that says nothing for long is no load to look at, but the time it takes is counted', async () => {
    const bench = new Bench();
    await bench.warm('a', endpoint('c1'));
    await bench.clock.advance(10_000);
    const stream = bench.ask('a.test');
    const begun = bench.control.observed.at(-1);
    await bench.clock.advance(1_000);
    bench.control.observed.length = 0;
    await bench.clock.advance(60_000);
    expect(bench.control.observed).toEqual([]);
    stream.lease?.release();
    bench.ask('a.test').lease?.release();
    expect((bench.control.observed.at(-1)?.servedMs ?? 0) - (begun?.servedMs ?? 0)).toBe(61_000);
  });

  it('that says when it came, and when it was over, is believed', async () => {
    const bench = new Bench();
    await bench.warm('a', endpoint('c1'));
    await bench.clock.advance(10_000);
    const nowMs = bench.clock.monotonicMs();
    const asked = bench.ask('a.test', { startedMs: nowMs - 400 });
    const begun = bench.control.observed.at(-1);
    asked.lease?.release(nowMs + 100);
    await bench.clock.advance(1_000);
    bench.ask('a.test').lease?.release();
    expect(begun?.servedMs).toBe(400);
    expect(bench.control.observed.at(-1)?.servedMs).toBe(500);
  });

  it('is told as held while no container has room for it', async () => {
    const bench = new Bench();
    await bench.warm('a', endpoint('c1', 1, 1));
    await bench.clock.advance(10_000);
    const [first] = [bench.ask('a.test'), bench.ask('a.test'), bench.ask('a.test')];
    await bench.clock.advance(200);
    expect(bench.control.observed.at(-1)).toMatchObject({ inFlight: 1, held: 2 });
    first.lease?.release();
    await settle();
    await bench.clock.advance(100);
    expect(bench.control.observed.at(-1)).toMatchObject({ inFlight: 1, held: 1 });
  });
});

describe('a request for a cold app', () => {
  it('shares one activation with all who come meanwhile, and each is told how the start went', async () => {
    const bench = new Bench();
    const start = deferred<Activation>();
    bench.control.app('a', { activate: () => start.promise });
    const asked = Array.from({ length: 300 }, () => bench.ask('a.test'));
    await bench.clock.advance(40);
    expect(bench.control.resolved).toEqual(['a.test']);
    expect(bench.control.activated).toEqual(['a']);
    start.resolve(activation([endpoint('c1', 1, 1_000)]));
    await settle();
    expect(asked.every(({ lease }) => lease?.endpoint.containerId === 'c1')).toBe(true);
    expect(asked[7]?.lease?.cold).toMatchObject({ kind: 'started', containerId: 'c1', held: 300 });
    for (const { lease } of asked) lease?.answered();
    expect(bench.control.coldStarts).toEqual([
      {
        appId: 'a',
        containerId: 'c1',
        kind: 'started',
        lookupMs: 0,
        firstByteMs: 30,
        totalMs: 40,
        held: 300,
      },
    ]);
  });

  it('never gives the first container more than its limit, and lets the rest go, in their order, as others become ready', async () => {
    const bench = new Bench();
    const start = deferred<Activation>();
    bench.control.app('a', { activate: () => start.promise });
    const asked = Array.from({ length: 300 }, () => bench.ask('a.test'));
    const placed = () =>
      asked.flatMap(({ lease }, index) => (lease ? [[index, lease.endpoint.containerId]] : []));
    await bench.clock.advance(40);
    start.resolve(activation([endpoint('c1', 1, 100)]));
    await settle();
    const first = Array.from({ length: 100 }, (_, index) => [index, 'c1']);
    expect(placed()).toEqual(first);
    await bench.clock.advance(500);
    bench.dispatcher.endpoints('a', [endpoint('c1', 1, 100), endpoint('c2', 2, 100)]);
    await settle();
    const second = Array.from({ length: 100 }, (_, index) => [100 + index, 'c2']);
    expect(placed()).toEqual([...first, ...second]);
    await bench.clock.advance(500);
    for (const { lease } of asked.slice(0, 50)) lease?.release();
    await settle();
    const third = Array.from({ length: 50 }, (_, index) => [200 + index, 'c1']);
    expect(placed()).toEqual([...first, ...second, ...third]);
    expect(bench.dispatcher.stats()).toMatchObject({ inFlight: 200, held: 50 });
    // Each knows how long it has waited, and so does the data plane.
    expect([0, 150, 220].map((index) => asked[index]?.lease?.wait?.heldMs)).toEqual([40, 540, 1_040]);
    expect(bench.dispatcher.heldTime).toMatchObject({ count: 250, sumMs: 100 * 40 + 100 * 540 + 50 * 1_040 });
    expect(bench.dispatcher.topApps(1)).toMatchObject([{ requests: 250, held: 250 }]);
  });

  it('is served by a container that is pushed before its activation has been answered, and still learns of the start', async () => {
    const bench = new Bench();
    const start = deferred<Activation>();
    bench.control.app('a', { activate: () => start.promise });
    const asked = bench.ask('a.test');
    await settle();
    bench.dispatcher.endpoints('a', [endpoint('c1')]);
    await settle();
    expect(asked.lease?.endpoint.containerId).toBe('c1');
    start.resolve(activation([endpoint('c1')], 'resumed'));
    await settle();
    expect(asked.lease?.cold?.kind).toBe('resumed');
  });

  it('is not told of a cold start when the app was warm after all', async () => {
    const bench = new Bench();
    bench.control.app('a', { activate: async () => activation([endpoint('c1')], 'warm') });
    const asked = bench.ask('a.test');
    await settle();
    expect(asked.lease).toBeDefined();
    expect(asked.lease?.cold).toBeUndefined();
    asked.lease?.answered();
    expect(bench.control.coldStarts).toEqual([]);
    expect(bench.dispatcher.stats().coldStartsTotal).toBe(0);
  });

  it('fails with the error of the activation, as do all held with it, and the next request tries again', async () => {
    const bench = new Bench();
    const error = new PlatformError('start_backoff', 'it crashed', { retryAfterMs: 4_000 });
    const app = bench.control.app('a', { activate: () => Promise.reject(error) });
    const asked = [bench.ask('a.test'), bench.ask('a.test'), bench.ask('a.test')];
    await settle();
    expect(asked.map((one) => one.error)).toEqual([error, error, error]);
    expect(bench.dispatcher.stats()).toMatchObject({ held: 0, apps: 0 });
    app.activate = async () => activation([endpoint('c1')]);
    const again = bench.ask('a.test');
    await settle();
    expect(again.lease).toBeDefined();
    expect(bench.control.activated).toEqual(['a', 'a']);
  });

  it('is a request for an unknown host when the control plane no longer knows the app', async () => {
    const bench = new Bench();
    bench.control.app('a', { activate: () => Promise.reject(new PlatformError('not_found', 'gone')) });
    const asked = bench.ask('a.test');
    await settle();
    expect(asked.error?.code).toBe('unknown_host');
    bench.control.hosts.delete('a.test');
    const again = bench.ask('a.test');
    await settle();
    expect(again.error?.code).toBe('unknown_host');
    expect(bench.control.activated).toEqual(['a']);
    expect(bench.control.resolved).toEqual(['a.test', 'a.test']);
  });

  it('survives an activation that throws instead of rejecting', async () => {
    const bench = new Bench();
    bench.control.app('a', {
      activate: () => {
        throw new Error('a bug');
      },
    });
    const asked = bench.ask('a.test');
    await settle();
    expect(asked.error?.code).toBe('internal');
  });

  it('leaves the queue when its client goes, and does not disturb the others', async () => {
    const bench = new Bench();
    const start = deferred<Activation>();
    bench.control.app('a', { activate: () => start.promise });
    const [first, second, third] = [bench.ask('a.test'), bench.ask('a.test'), bench.ask('a.test')];
    await settle();
    second.gone.abort(new PlatformError('client_closed_request', 'gone'));
    await settle();
    expect(second.error?.code).toBe('client_closed_request');
    expect(bench.dispatcher.stats().held).toBe(2);
    start.resolve(activation([endpoint('c1')]));
    await settle();
    expect(first.lease).toBeDefined();
    expect(third.lease).toBeDefined();
    expect(second.lease).toBeUndefined();
    expect(bench.dispatcher.stats().inFlight).toBe(2);
  });

  it('is given up when it has been held too long, and its timer with it', async () => {
    const bench = new Bench({ holdTimeoutMs: 5_000 });
    bench.control.app('a', { activate: () => new Promise(() => undefined) });
    const early = bench.ask('a.test');
    await bench.clock.advance(3_000);
    const late = bench.ask('a.test');
    await bench.clock.advance(2_000);
    expect(early.error?.code).toBe('upstream_timeout');
    expect(late.error).toBeUndefined();
    await bench.clock.advance(3_000);
    expect(late.error?.code).toBe('upstream_timeout');
    expect(bench.dispatcher.stats().held).toBe(0);
    expect(bench.clock.pending).toBe(0);
  });

  it('is told that there is no room when the containers stayed busy all the time', async () => {
    const bench = new Bench({ holdTimeoutMs: 5_000 });
    await bench.warm('a', endpoint('c1', 1, 1));
    const busy = bench.ask('a.test');
    const held = bench.ask('a.test');
    await bench.clock.advance(5_000);
    expect(busy.lease).toBeDefined();
    expect(held.error?.code).toBe('hold_full');
  });

  it('gives up on an app whose containers are drained whenever they get ready', async () => {
    const bench = new Bench();
    const app = bench.control.app('a');
    app.activate = async () => {
      void bench.dispatcher.drain('c1');
      return activation([endpoint('c1')]);
    };
    const asked = bench.ask('a.test');
    await settle();
    await settle();
    expect(asked.error?.code).toBe('start_failed');
    expect(bench.control.activated).toEqual(['a', 'a', 'a']);
    expect(bench.dispatcher.stats()).toMatchObject({ apps: 0, held: 0 });
  });
});

describe('an unknown host', () => {
  it('is asked for once, starts nothing, and is asked for again when its time is over', async () => {
    const bench = new Bench({ negativeCacheTtlMs: 1_000 });
    const first = bench.ask('nobody.test');
    await settle();
    const second = bench.ask('nobody.test');
    await settle();
    expect([first.error?.code, second.error?.code]).toEqual(['unknown_host', 'unknown_host']);
    expect(bench.control.resolved).toEqual(['nobody.test']);
    await bench.clock.advance(1_000);
    bench.ask('nobody.test');
    await settle();
    expect(bench.control.resolved).toHaveLength(2);
    expect(bench.control.activated).toEqual([]);
  });

  it('costs bounded memory, however many there are', async () => {
    const bench = new Bench({ negativeCacheSize: 10, routeCacheSize: 6, wildcardCacheSize: 4 });
    for (let i = 0; i < 50; i++) bench.ask(`nobody${i}.test`);
    for (let i = 0; i < 20; i++) bench.control.app(`a${i}`, { activate: async () => activation([]) });
    bench.control.app('wild', { hosts: ['*.wild.test'], activate: async () => activation([]) });
    for (let i = 0; i < 20; i++) bench.ask(`a${i}.test`);
    for (let i = 0; i < 20; i++) bench.ask(`made-up-${i}.wild.test`);
    await settle();
    expect(bench.control.resolved).toHaveLength(90);
    expect(bench.dispatcher.stats().routes).toBeLessThanOrEqual(10 + 6 + 4);
  });

  it('is not remembered when the lookup failed', async () => {
    const bench = new Bench();
    bench.control.app('a', { activate: async () => activation([endpoint('c1')]) });
    bench.control.beforeResolve = () => Promise.reject(new PlatformError('store_unavailable', 'down'));
    const first = bench.ask('a.test');
    await settle();
    expect(first.error?.code).toBe('store_unavailable');
    bench.control.beforeResolve = async () => undefined;
    const second = bench.ask('a.test');
    await settle();
    expect(second.lease).toBeDefined();
  });
});

describe('a change of hosts', () => {
  it('lets a new exact host take over from a wildcard that was remembered', async () => {
    const bench = new Bench();
    bench.control.app('wild', { hosts: ['*.test'], activate: async () => activation([endpoint('w1')]) });
    const before = bench.ask('a.test');
    await settle();
    expect(before.lease?.route.appId).toBe('wild');
    bench.control.app('exact', { hosts: ['a.test'], activate: async () => activation([endpoint('e1')]) });
    bench.dispatcher.invalidate({ appId: 'exact', hosts: ['a.test'] });
    const after = bench.ask('a.test');
    await settle();
    expect(after.lease?.route.appId).toBe('exact');
  });

  it('lets a new wildcard take over from a shorter one and from hosts that were unknown', async () => {
    const bench = new Bench();
    bench.control.app('short', { hosts: ['*.test'], activate: async () => activation([endpoint('s1')]) });
    bench.ask('x.b.test');
    const unknown = bench.ask('x.b.other');
    await settle();
    expect(unknown.error?.code).toBe('unknown_host');
    bench.control.app('long', {
      hosts: ['*.b.test', '*.other'],
      activate: async () => activation([endpoint('l1')]),
    });
    bench.dispatcher.invalidate({ appId: 'long', hosts: ['*.b.test', '*.other'] });
    const [a, b] = [bench.ask('x.b.test'), bench.ask('x.b.other')];
    await settle();
    expect([a.lease?.route.appId, b.lease?.route.appId]).toEqual(['long', 'long']);
  });

  it('is not undone by a lookup that was under way', async () => {
    const bench = new Bench();
    bench.control.app('old', { hosts: ['a.test'], activate: async () => activation([endpoint('o1')]) });
    const gate = deferred<undefined>();
    bench.control.beforeResolve = () => gate.promise;
    const asked = bench.ask('a.test');
    await settle();
    // While that answer is on its way, the host changes hands.
    bench.control.app('new', { hosts: ['a.test'], activate: async () => activation([endpoint('n1')]) });
    bench.dispatcher.invalidate({ appId: 'new', hosts: ['a.test'] });
    gate.resolve(undefined);
    await settle();
    expect(asked.lease?.route.appId).toBe('new');
    expect(bench.ask('a.test').lease?.route.appId).toBe('new');
  });

  it('makes an app that has lost all its hosts unknown', async () => {
    const bench = new Bench();
    await bench.warm('a', endpoint('c1'));
    bench.control.hosts.clear();
    bench.dispatcher.invalidate({ appId: 'a', hosts: [] });
    const asked = bench.ask('a.test');
    await settle();
    expect(asked.error?.code).toBe('unknown_host');
  });
});

describe('the bounds of holding', () => {
  it('refuse at once what an app may not hold, with the time to come back, and leave other apps alone', async () => {
    const bench = new Bench();
    const never = () => new Promise<Activation>(() => undefined);
    bench.control.app('a', { route: { holdRequests: 2, holdBytes: 100 }, activate: never });
    bench.control.app('b', { activate: never });
    const asked = [1, 2, 3].map(() => bench.ask('a.test'));
    await settle();
    expect(asked.map((one) => one.error?.code)).toEqual([undefined, undefined, 'hold_full']);
    expect(asked[2]?.error?.retryAfterMs).toBeGreaterThan(0);
    const other = bench.ask('b.test');
    await settle();
    expect(other.error).toBeUndefined();
    expect(bench.dispatcher.stats()).toMatchObject({ held: 3, holdOverflowsTotal: 1 });
  });

  it('are told at once, but those of a flood so that a client that waits for an answer is slowed down', async () => {
    const bench = new Bench();
    const never = () => new Promise<Activation>(() => undefined);
    for (const name of ['a', 'b']) {
      bench.control.app(name, { route: { holdRequests: 1 }, activate: never });
      bench.ask(`${name}.test`);
    }
    await settle();
    const ask = (host: string, times: number) => Array.from({ length: times }, () => bench.ask(host));
    const refused = (asked: readonly Asked[]) =>
      asked.filter(({ error }) => error?.code === 'hold_full').length;
    const flood = ask('a.test', 1_000);
    const others = ask('b.test', 10);
    await settle();
    expect([refused(flood), refused(others)]).toEqual([100, 10]);
    await bench.clock.advance(500);
    expect(refused(flood)).toBe(150);
    flood[999]?.gone.abort(new PlatformError('client_closed_request', 'gone'));
    await settle();
    expect(flood[999]?.error?.code).toBe('client_closed_request');
    // Nobody waits longer than a second for a refusal.
    await bench.clock.advance(500);
    expect(refused(flood)).toBe(999);
    await bench.clock.advance(2_000);
    const later = ask('a.test', 101);
    await settle();
    expect(refused(later)).toBe(100);
  });

  it('are told at once in a flood, too, when all that are told later occupy too much', async () => {
    const bench = new Bench();
    const never = () => new Promise<Activation>(() => undefined);
    for (const name of ['a', 'b']) {
      bench.control.app(name, { route: { holdRequests: 1 }, activate: never });
      for (let i = 0; i < 101; i++) bench.ask(`${name}.test`);
    }
    await settle();
    const bodyBytes = 10 * 1024 * 1024;
    const later = bench.ask('a.test', { bodyBytes });
    const atOnce = bench.ask('b.test', { bodyBytes });
    await settle();
    expect([later.error?.code, atOnce.error?.code]).toEqual([undefined, 'hold_full']);
    later.gone.abort(new PlatformError('client_closed_request', 'gone'));
    await settle();
    const again = bench.ask('b.test', { bodyBytes });
    await settle();
    expect(again.error).toBeUndefined();
  });

  it('count bytes as well, per app and in all', async () => {
    const bench = new Bench({ holdBytes: 150 });
    const never = () => new Promise<Activation>(() => undefined);
    bench.control.app('a', { route: { holdBytes: 100 }, activate: never });
    bench.control.app('b', { route: { holdBytes: 100 }, activate: never });
    const inA = [bench.ask('a.test', { bodyBytes: 60 }), bench.ask('a.test', { bodyBytes: 60 })];
    await settle();
    expect(inA.map((one) => one.error?.code)).toEqual([undefined, 'hold_full']);
    const inB = [bench.ask('b.test', { bodyBytes: 90 }), bench.ask('b.test', { bodyBytes: 90 })];
    await settle();
    expect(inB.map((one) => one.error?.code)).toEqual([undefined, 'hold_full']);
    expect(bench.dispatcher.stats().heldBytes).toBe(150);
    inA[0]?.gone.abort(new PlatformError('client_closed_request', 'gone'));
    inB[0]?.gone.abort(new PlatformError('client_closed_request', 'gone'));
    await settle();
    expect(bench.dispatcher.stats()).toMatchObject({ held: 0, heldBytes: 0 });
  });

  it('leave as much to the next app as any other has, however many want all that they can get', async () => {
    const bench = new Bench({ holdRequests: 100, holdBytes: 12_000 });
    const route = { holdRequests: 100_000, holdBytes: 1_000_000 };
    const flood = async (app: string, bodyBytes: number) => {
      bench.control.app(app, { route, activate: () => new Promise(() => undefined) });
      const asked = Array.from({ length: 100 }, () => bench.ask(`${app}.test`, { bodyBytes }));
      await settle();
      return asked.filter(({ error }) => error === undefined);
    };
    const first = await flood('a', 0);
    const second = await flood('b', 0);
    expect([first.length, second.length]).toEqual([50, 25]);
    // What one lets go of is there for the others.
    for (const { gone } of first) gone.abort(new PlatformError('client_closed_request', 'gone'));
    await settle();
    expect(await flood('c', 0)).toHaveLength(38);
    // The same in bytes.
    expect(await flood('d', 500)).toHaveLength(12);
    expect(await flood('e', 500)).toHaveLength(6);
  });

  it('leave room to find out whose a host is, and that it is nobody’s', async () => {
    const bench = new Bench({ holdRequests: 1 });
    bench.control.app('a', { activate: () => new Promise(() => undefined) });
    bench.ask('a.test');
    await settle();
    const more = bench.ask('a.test');
    const unknown = bench.ask('nobody.test');
    await settle();
    expect([more.error?.code, unknown.error?.code]).toEqual(['hold_full', 'unknown_host']);
  });

  it('cover requests whose host is still being looked up', async () => {
    const bench = new Bench({ lookupRequests: 2 });
    bench.control.beforeResolve = () => new Promise(() => undefined);
    const asked = [bench.ask('a.test'), bench.ask('b.test'), bench.ask('c.test')];
    await settle();
    expect(asked.map((one) => one.error?.code)).toEqual([undefined, undefined, 'hold_full']);
    for (const one of asked) one.gone.abort(new PlatformError('client_closed_request', 'gone'));
    await settle();
    expect(bench.dispatcher.stats().held).toBe(0);
    expect(bench.clock.pending).toBe(0);
  });
});

describe('a container that refuses a connection', () => {
  it('is suspected once, gets nothing more, and its requests go to another one', async () => {
    const bench = new Bench();
    await bench.warm('a', endpoint('c1'), endpoint('c2'));
    const asked = Array.from({ length: 4 }, () => bench.ask('a.test'));
    const refused = asked.filter(({ lease }) => lease?.endpoint.containerId === 'c1');
    expect(refused).toHaveLength(2);
    for (const one of refused) if (one.lease) bench.track(one, one.lease.fail('refused'));
    await settle();
    expect(asked.map(({ lease }) => lease?.endpoint.containerId)).toEqual(['c2', 'c2', 'c2', 'c2']);
    expect(bench.control.suspected).toEqual(['c1']);
    expect(bench.retired).toEqual(['c1']);
    expect(bench.dispatcher.stats()).toMatchObject({ inFlight: 4, containers: 1, retriesTotal: 2 });
  });

  it('is replaced by a fresh activation when it was the only one; those who were refused come first again', async () => {
    const bench = new Bench();
    await bench.warm('a', endpoint('c1', 1, 2));
    const app = bench.control.apps.get('a');
    const start = deferred<Activation>();
    if (app) app.activate = () => start.promise;
    const [first, second, third] = [bench.ask('a.test'), bench.ask('a.test'), bench.ask('a.test')];
    await settle();
    for (const one of [first, second]) if (one.lease) bench.track(one, one.lease.fail('refused'));
    await settle();
    expect(bench.control.activated).toEqual(['a']);
    start.resolve(activation([endpoint('c2', 1, 2)]));
    await settle();
    expect(first.lease?.endpoint.containerId).toBe('c2');
    expect(second.lease?.endpoint.containerId).toBe('c2');
    expect(third.lease).toBeUndefined();
  });

  it('fails the request for good the second time', async () => {
    const bench = new Bench();
    bench.control.app('a', { activate: async () => activation([endpoint('c1')]) });
    const asked = bench.ask('a.test');
    await settle();
    for (let attempt = 0; attempt < 2; attempt++) {
      if (asked.lease) bench.track(asked, asked.lease.fail('refused'));
      await settle();
    }
    expect(asked.error?.code).toBe('upstream_broken');
    expect(bench.dispatcher.stats()).toMatchObject({ inFlight: 0, held: 0, apps: 0 });
  });

  it('is used again when the control plane names it again', async () => {
    const bench = new Bench();
    await bench.warm('a', endpoint('c1'), endpoint('c2'));
    const asked = bench.ask('a.test');
    if (asked.lease) bench.track(asked, asked.lease.fail('refused'));
    await settle();
    bench.dispatcher.endpoints('a', [endpoint('c1'), endpoint('c2')]);
    const seen = new Set([0, 1, 2, 3].map(() => bench.ask('a.test').lease?.endpoint.containerId));
    expect([...seen].sort()).toEqual(['c1', 'c2']);
  });
});

describe('a container that does not answer a connection in time', () => {
  it('is suspected and stays in use; the request is sent once more, and has run out of time then', async () => {
    const bench = new Bench();
    await bench.warm('a', endpoint('c1', 1, 2));
    const [waited, other] = [bench.ask('a.test'), bench.ask('a.test')];
    for (let attempt = 1; attempt <= 2; attempt++) {
      if (waited.lease) bench.track(waited, waited.lease.fail('silent'));
      await settle();
      expect(bench.control.suspected).toHaveLength(attempt);
    }
    expect(waited.error?.code).toBe('upstream_timeout');
    expect(other.lease?.endpoint.containerId).toBe('c1');
    expect(bench.ask('a.test').lease?.endpoint.containerId).toBe('c1');
    expect(bench.retired).toEqual([]);
    expect(bench.control.activated).toEqual([]);
  });
});

describe('draining a container', () => {
  it('is done at once when nothing is in flight, and the next request has a container made ready', async () => {
    const bench = new Bench();
    await bench.warm('a', endpoint('c1'));
    await expect(bench.dispatcher.drain('c1')).resolves.toEqual({ drained: true });
    expect(bench.retired).toEqual(['c1']);
    expect(bench.dispatcher.stats()).toMatchObject({ apps: 0, containers: 0 });
    const app = bench.control.apps.get('a');
    if (app) app.activate = async () => activation([endpoint('c2')]);
    const asked = bench.ask('a.test');
    await settle();
    expect(asked.lease?.endpoint.containerId).toBe('c2');
  });

  it('waits for the last request in flight and gives it no further one', async () => {
    const bench = new Bench();
    await bench.warm('a', endpoint('c1'), endpoint('c2'));
    const leases = [bench.ask('a.test').lease, bench.ask('a.test').lease];
    const onFirst = leases.find((lease) => lease?.endpoint.containerId === 'c1');
    let drained = false;
    const done = bench.dispatcher.drain('c1').then((result) => {
      drained = true;
      return result;
    });
    await settle();
    expect(drained).toBe(false);
    expect([0, 1, 2].map(() => bench.ask('a.test').lease?.endpoint.containerId)).toEqual(['c2', 'c2', 'c2']);
    onFirst?.release();
    await expect(done).resolves.toEqual({ drained: true });
  });

  it('is refused for an idle stop while something is in flight, and when there was activity since', async () => {
    const bench = new Bench();
    await bench.warm('a', endpoint('c1'));
    await bench.clock.advance(10_000);
    const stream = bench.ask('a.test').lease;
    await bench.clock.advance(60_000);
    const nowMs = bench.clock.nowMs();
    await expect(bench.dispatcher.drain('c1', { onlyIfIdleSinceMs: nowMs })).resolves.toEqual({
      drained: false,
      lastActiveAtMs: nowMs,
    });
    stream?.release();
    await bench.clock.advance(5_000);
    await expect(bench.dispatcher.drain('c1', { onlyIfIdleSinceMs: nowMs - 1 })).resolves.toEqual({
      drained: false,
      lastActiveAtMs: nowMs,
    });
    expect(bench.ask('a.test').lease?.endpoint.containerId).toBe('c1');
  });

  it('is granted for an idle stop when nothing has been since', async () => {
    const bench = new Bench();
    await bench.warm('a', endpoint('c1'));
    const sinceMs = bench.clock.nowMs();
    await bench.clock.advance(30_000);
    await expect(bench.dispatcher.drain('c1', { onlyIfIdleSinceMs: sinceMs })).resolves.toEqual({
      drained: true,
    });
  });

  it('is called off when the container is named as ready again before it was empty', async () => {
    const bench = new Bench();
    await bench.warm('a', endpoint('c1'));
    const lease = bench.ask('a.test').lease;
    const done = bench.dispatcher.drain('c1');
    bench.dispatcher.endpoints('a', [endpoint('c1')]);
    await expect(done).resolves.toMatchObject({ drained: false });
    lease?.release();
    expect(bench.ask('a.test').lease?.endpoint.containerId).toBe('c1');
  });

  it('wins over an activation whose answer is older than the drain', async () => {
    const bench = new Bench();
    const starts = [deferred<Activation>(), deferred<Activation>()];
    let flights = 0;
    bench.control.app('a', { activate: async () => starts[flights++]?.promise ?? activation([]) });
    const asked = bench.ask('a.test');
    await settle();
    starts[0]?.resolve(activation([endpoint('c1')]));
    // Before that answer arrives, c1 is taken out of use.
    await expect(bench.dispatcher.drain('c1')).resolves.toEqual({ drained: true });
    await settle();
    expect(asked.lease).toBeUndefined();
    expect(bench.control.activated).toEqual(['a', 'a']);
    starts[1]?.resolve(activation([endpoint('c2')]));
    await settle();
    expect(asked.lease?.endpoint.containerId).toBe('c2');
  });

  it('of the only container wakes the app again for those who wait for a slot', async () => {
    const bench = new Bench();
    await bench.warm('a', endpoint('c1', 1, 1));
    const app = bench.control.apps.get('a');
    if (app) app.activate = async () => activation([endpoint('c2')]);
    bench.ask('a.test');
    const waiting = bench.ask('a.test');
    await settle();
    void bench.dispatcher.drain('c1');
    await settle();
    expect(waiting.lease?.endpoint.containerId).toBe('c2');
  });

  it('ends with an abort at its deadline: everything in flight there is told to break off', async () => {
    const bench = new Bench();
    await bench.warm('a', endpoint('c1'));
    const leases = [bench.ask('a.test').lease, bench.ask('a.test').lease];
    const broken: number[] = [];
    leases.forEach((lease, at) => {
      if (lease)
        lease.onAbort = () => {
          broken.push(at);
          lease.release();
        };
    });
    const done = bench.dispatcher.drain('c1');
    bench.dispatcher.abort('c1');
    await expect(done).resolves.toEqual({ drained: true });
    expect(broken).toEqual([0, 1]);
    expect(bench.dispatcher.stats()).toMatchObject({ inFlight: 0, containers: 0, apps: 0 });
  });
});

describe('pushed endpoints', () => {
  it('replace all that were there: what is not named gets nothing more, but ends what it has', async () => {
    const bench = new Bench();
    await bench.warm('a', endpoint('c1'));
    const old = bench.ask('a.test').lease;
    bench.dispatcher.endpoints('a', [endpoint('c2')]);
    expect(bench.ask('a.test').lease?.endpoint.containerId).toBe('c2');
    expect(bench.dispatcher.stats().containers).toBe(2);
    old?.release();
    expect(bench.dispatcher.stats().containers).toBe(1);
  });

  it('carry a new limit, which lets waiting requests go', async () => {
    const bench = new Bench();
    await bench.warm('a', endpoint('c1', 1, 1));
    bench.ask('a.test');
    const held = bench.ask('a.test');
    await settle();
    expect(held.lease).toBeUndefined();
    bench.dispatcher.endpoints('a', [endpoint('c1', 1, 2)]);
    await settle();
    expect(held.lease).toBeDefined();
  });

  it('are newer than the answer of an activation that was under way', async () => {
    const bench = new Bench();
    const start = deferred<Activation>();
    bench.control.app('a', { activate: () => start.promise });
    const asked = bench.ask('a.test');
    await settle();
    start.resolve(activation([endpoint('c1')]));
    bench.dispatcher.endpoints('a', [endpoint('c2')]);
    await settle();
    expect(asked.lease?.endpoint.containerId).toBe('c2');
    expect([0, 1].map(() => bench.ask('a.test').lease?.endpoint.containerId)).toEqual(['c2', 'c2']);
  });
});

describe('a dispatcher that closes', () => {
  it('refuses what waits and what comes, and is no longer told anything', async () => {
    const bench = new Bench();
    bench.control.app('a', { activate: () => new Promise(() => undefined) });
    const held = bench.ask('a.test');
    await settle();
    bench.dispatcher.close();
    const late = bench.ask('a.test');
    await settle();
    expect([held.error?.code, late.error?.code]).toEqual(['shutting_down', 'shutting_down']);
    expect(bench.control.attached).toBe(false);
    expect(bench.clock.pending).toBe(0);
  });
});

describe('a lease', () => {
  it('gives its slot back once, however often it is released', async () => {
    const bench = new Bench();
    await bench.warm('a', endpoint('c1'));
    const { lease } = bench.ask('a.test');
    lease?.release();
    lease?.release();
    expect(bench.dispatcher.stats().inFlight).toBe(0);
  });
});
