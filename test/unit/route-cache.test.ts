/** Which app a host belongs to, remembered: what changes is known to the next request, and nothing grows without bound. */
import { describe, expect, it } from 'vitest';
import { PlatformError } from '../../src/errors.ts';
import { HostCache } from '../../src/proxy/host-cache.ts';
import { DEFAULT_DISPATCH_LIMITS } from '../../src/proxy/limits.ts';
import type { DispatchLimits } from '../../src/proxy/limits.ts';
import { PackedName } from '../../src/proxy/packed-name.ts';
import { RouteCache } from '../../src/proxy/route-cache.ts';
import { FakeClock, settle } from '../support/fake-clock.ts';
import { ScriptedControlPlane } from '../support/scripted-control-plane.ts';

const packed = (text: string) => new PackedName().pack(text);

class Bench {
  readonly control = new ScriptedControlPlane();
  readonly clock = new FakeClock();
  readonly cache: RouteCache;

  constructor(limits: Partial<DispatchLimits> = {}) {
    this.cache = new RouteCache((host) => this.control.resolve(host), this.clock, {
      ...DEFAULT_DISPATCH_LIMITS,
      ...limits,
    });
  }

  /** The app that a request for the host goes to. */
  async appOf(host: string): Promise<string | undefined> {
    const known = this.cache.peek(host);
    return known === undefined ? (await this.cache.lookup(host))?.appId : known?.appId;
  }

  /** How often the control plane was asked by what is done here. */
  async asked(work: () => Promise<unknown>): Promise<number> {
    const before = this.control.resolved.length;
    await work();
    return this.control.resolved.length - before;
  }
}

describe('what is remembered of hosts', () => {
  it('is asked for once, by name, by wildcard and unknown ones', async () => {
    const bench = new Bench();
    bench.control.app('shop', { hosts: ['shop.test', '*.shop.test'] });
    for (const [host, app] of [
      ['shop.test', 'shop'],
      ['a.b.shop.test', 'shop'],
      ['other.test', undefined],
    ] as const) {
      expect(await bench.asked(() => bench.appOf(host))).toBe(1);
      expect(await bench.asked(async () => expect(await bench.appOf(host)).toBe(app))).toBe(0);
    }
  });

  it('keeps an app of many hosts, and forgets all of them in one step when it changes', async () => {
    const bench = new Bench();
    const hosts = Array.from({ length: 500 }, (_, i) => `h${i}.test`);
    bench.control.app('many', { hosts });
    for (const host of hosts) await bench.appOf(host);
    expect(await bench.asked(async () => Promise.all(hosts.map((host) => bench.appOf(host))))).toBe(0);
    bench.control.hosts.clear();
    bench.cache.invalidate('many', []);
    for (const host of hosts) expect(await bench.appOf(host)).toBeUndefined();
  });

  it('gives a host to the app that has taken it over', async () => {
    const bench = new Bench();
    bench.control.app('old', { hosts: ['a.test', 'b.test'] });
    expect(await bench.appOf('a.test')).toBe('old');
    expect(await bench.appOf('b.test')).toBe('old');
    bench.control.app('new', { hosts: ['a.test'] });
    bench.cache.invalidate('new', ['a.test']);
    expect(await bench.appOf('a.test')).toBe('new');
    expect(await bench.asked(async () => expect(await bench.appOf('b.test')).toBe('old'))).toBe(0);
    bench.cache.invalidate('old', ['b.test']);
    expect(await bench.appOf('a.test')).toBe('new');
    expect(await bench.appOf('b.test')).toBe('old');
  });
});

describe('a look-up that changes overtake', () => {
  it('is joined by no request that comes after the one that overtook it for the last time', async () => {
    const bench = new Bench();
    const asked: (() => void)[] = [];
    bench.control.beforeResolve = () => new Promise((resolve) => asked.push(resolve));
    /** The control plane answers, with what was true when it was asked. */
    const answer = async () => {
      asked.shift()?.();
      await settle();
    };
    bench.control.app('old', { hosts: ['a.test'] });
    const before = bench.cache.lookup('a.test');
    await settle();
    for (const other of ['x', 'y']) {
      bench.cache.invalidate(other, []);
      await answer();
    }
    // It is asked for the third time, and that answer is used as it is: by those who came before the change.
    bench.control.app('new', { hosts: ['a.test'] });
    bench.cache.invalidate('old', ['a.test']);
    bench.cache.invalidate('new', ['a.test']);
    const after = [bench.cache.lookup('a.test'), bench.cache.lookup('a.test')];
    await settle();
    await answer();
    after.push(bench.cache.lookup('a.test'));
    await settle();
    while (asked.length > 0) await answer();
    expect((await before)?.appId).toBe('old');
    expect((await Promise.all(after)).map((route) => route?.appId)).toEqual(['new', 'new', 'new']);
    // Those who came after it share a look-up of their own, and what it says is remembered.
    expect(bench.control.resolved).toHaveLength(4);
    expect(bench.cache.peek('a.test')?.appId).toBe('new');
  });
});

describe('while the database is away', () => {
  const APP = ['a.test', '*.a.test'];

  /** An app whose hosts have been asked for, and which has changed since. */
  async function changed(hosts: string[] = APP): Promise<Bench> {
    const bench = new Bench();
    bench.control.app('shop', { hosts: [...APP, '*.test'] });
    for (const host of ['a.test', 'b.a.test', 'c.b.a.test']) expect(await bench.appOf(host)).toBe('shop');
    bench.cache.invalidate('shop', hosts);
    bench.control.beforeResolve = () => Promise.reject(new PlatformError('store_unavailable', 'it is away'));
    return bench;
  }

  const outcome = (bench: Bench, host: string) =>
    bench.appOf(host).catch((thrown: unknown) => PlatformError.from(thrown).code);

  it('hosts of an app that has changed lead to it as before, by name and by wildcard', async () => {
    const bench = await changed();
    bench.cache.invalidate('shop', APP);
    for (const host of ['a.test', 'b.a.test']) expect(await outcome(bench, host)).toBe('shop');
    bench.control.beforeResolve = async () => undefined;
    const asked = () => bench.asked(() => bench.appOf('a.test'));
    expect([await asked(), await asked()]).toEqual([1, 0]); // as soon as it is back, the new route is read
  });

  it('nobody has a host that is not certain to be his still', async () => {
    const unavailable = 'store_unavailable';
    expect(await outcome(await changed(), 'unasked.a.test')).toBe(unavailable);
    // A wildcard between this one and the host may be somebody else's.
    expect(await outcome(await changed(), 'c.b.a.test')).toBe(unavailable);
    expect(await outcome(await changed(['*.a.test']), 'a.test')).toBe(unavailable);
    expect(await outcome(await changed(['a.test']), 'b.a.test')).toBe(unavailable);
    const deleted = await changed();
    deleted.cache.invalidate('shop', []);
    expect(await outcome(deleted, 'a.test')).toBe(unavailable);
    const moved = await changed();
    moved.cache.invalidate('other', ['b.a.test']);
    expect(await outcome(moved, 'b.a.test')).toBe(unavailable);
    const narrowed = await changed();
    narrowed.cache.invalidate('other', ['*.a.test']);
    expect(await outcome(narrowed, 'b.a.test')).toBe(unavailable);
  });

  it('any other failure is told', async () => {
    const bench = await changed();
    bench.control.beforeResolve = () => Promise.reject(new Error('a mistake'));
    expect(await outcome(bench, 'a.test')).toBe('internal');
  });
});

describe('a host that a connection has packed', () => {
  it('is found again without a look, and not when its app has changed, or the host has another', async () => {
    const bench = new Bench();
    bench.control.app('old', { hosts: ['a.test', 'b.test'] });
    await bench.appOf('a.test');
    const [name, other] = [packed('a.test'), packed('b.test')];
    expect([bench.cache.peek(name)?.appId, bench.cache.peek(other)]).toEqual(['old', undefined]);
    expect(bench.cache.peek(name)?.appId).toBe('old');
    await bench.appOf('b.test');
    expect([bench.cache.peek(name)?.appId, bench.cache.peek(other)?.appId]).toEqual(['old', 'old']);
    bench.cache.invalidate('old', []);
    expect([bench.cache.peek(name), bench.cache.peek(other)]).toEqual([undefined, undefined]);
    await bench.appOf('a.test');
    expect(bench.cache.peek(name)?.appId).toBe('old');
    bench.control.app('new', { hosts: ['a.test'] });
    bench.cache.invalidate('new', ['a.test']);
    expect(bench.cache.peek(name)).toBeUndefined();
    await bench.appOf('a.test');
    expect(bench.cache.peek(name)?.appId).toBe('new');
    expect(bench.cache.peek(name.pack('b.test'))).toBeUndefined();
  });

  it('is not found in one cache because it was in another', async () => {
    const [one, two] = [new Bench(), new Bench()];
    one.control.app('shop', { hosts: ['a.test'] });
    await one.appOf('a.test');
    const name = packed('a.test');
    expect(one.cache.peek(name)?.appId).toBe('shop');
    expect(two.cache.peek(name)).toBeUndefined();
  });

  it('is forgotten when it had to make room', async () => {
    const bench = new Bench({ routeCacheSize: 4 });
    bench.control.app('many', { hosts: Array.from({ length: 10 }, (_, i) => `h${i}.test`) });
    bench.control.app('one', { hosts: ['a.test'] });
    await bench.appOf('a.test');
    const name = packed('a.test');
    expect(bench.cache.peek(name)?.appId).toBe('one');
    for (let i = 0; i < 10; i++) await bench.appOf(`h${i}.test`);
    expect(bench.cache.peek(name)).toBeUndefined();
  });
});

describe('wildcards', () => {
  it('lose a host to an app that names it, and have it back when that is gone', async () => {
    const bench = new Bench();
    bench.control.app('wild', { hosts: ['*.test'] });
    expect(await bench.appOf('a.test')).toBe('wild');
    bench.control.app('exact', { hosts: ['a.test'] });
    bench.cache.invalidate('exact', ['a.test']);
    expect(await bench.appOf('a.test')).toBe('exact');
    bench.control.hosts.delete('a.test');
    bench.cache.invalidate('exact', []);
    expect(await bench.appOf('a.test')).toBe('wild');
  });

  it('lose hosts to a longer one, without anything that is named being asked for again', async () => {
    const bench = new Bench();
    bench.control.app('wild', { hosts: ['*.test'] });
    bench.control.app('named', { hosts: ['n.x.test'] });
    for (const host of ['n.x.test', 'a.x.test', 'a.y.test']) await bench.appOf(host);
    bench.control.app('longer', { hosts: ['*.x.test'] });
    bench.cache.invalidate('longer', ['*.x.test']);
    expect(await bench.appOf('a.x.test')).toBe('longer');
    const others = () => Promise.all([bench.appOf('n.x.test'), bench.appOf('a.y.test')]);
    expect(await bench.asked(async () => expect(await others()).toEqual(['named', 'wild']))).toBe(0);
    bench.control.hosts.delete('*.x.test');
    bench.cache.invalidate('longer', []);
    expect(await bench.appOf('a.x.test')).toBe('wild');
  });

  it('find hosts that were unknown', async () => {
    const bench = new Bench();
    expect(await bench.appOf('a.test')).toBeUndefined();
    bench.control.app('wild', { hosts: ['*.test'] });
    bench.cache.invalidate('wild', ['*.test']);
    expect(await bench.appOf('a.test')).toBe('wild');
    bench.control.hosts.clear();
    bench.cache.invalidate('wild', []);
    expect(await bench.appOf('a.test')).toBeUndefined();
  });

  it('do not push out named hosts, however many are made up below them', async () => {
    const bench = new Bench({ wildcardCacheSize: 100, negativeCacheSize: 100 });
    bench.control.app('named', { hosts: ['named.test'] });
    bench.control.app('wild', { hosts: ['*.wild.test'] });
    await bench.appOf('named.test');
    for (let i = 0; i < 5_000; i++) {
      await bench.appOf(`made-up-${i}.wild.test`);
      await bench.appOf(`made-up-${i}.nobody.test`);
    }
    expect(bench.cache.size).toBeLessThanOrEqual(1 + 100 + 100);
    expect(await bench.asked(() => bench.appOf('named.test'))).toBe(0);
  });
});

describe('a hundred thousand hosts', () => {
  const COUNT = 100_000;
  const hosts = Array.from({ length: COUNT }, (_, i) => `app-${i}.example.test`);

  it('are all remembered, each for its app, and one of them changes alone', async () => {
    const bench = new Bench();
    bench.control.resolve = async (host) => {
      bench.control.resolved.push(host);
      const appId = `id-${host.slice(0, host.indexOf('.'))}`;
      return { appId, appName: appId, holdRequests: 1, holdBytes: 1, requestTimeoutMs: 1, byName: true };
    };
    for (const host of hosts) await bench.appOf(host);
    expect(bench.cache.size).toBe(COUNT);
    const wrong = hosts.filter((host, i) => bench.cache.peek(host)?.appId !== `id-app-${i}`);
    expect(wrong).toEqual([]);
    bench.cache.invalidate('id-app-77', []);
    expect(hosts.filter((host) => bench.cache.peek(host) === undefined)).toEqual(['app-77.example.test']);
  });

  it('are remembered up to the bound, those in use rather than those asked for once', () => {
    const cache = new HostCache(20_000, () => undefined);
    const used = hosts.slice(0, 5_000);
    for (const [i, host] of hosts.entries()) {
      cache.add(packed(host), i + 1);
      if (i % 5_000 === 4_999) for (const host of used) cache.get(packed(host));
    }
    expect(cache.size).toBeLessThanOrEqual(20_000);
    expect(used.filter((host) => cache.get(packed(host)) === 0)).toEqual([]);
    const seldom = hosts.slice(5_000, 50_000);
    expect(seldom.filter((host) => cache.get(packed(host)) !== 0)).toEqual([]);
  });
});
