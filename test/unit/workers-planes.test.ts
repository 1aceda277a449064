/** A worker and its control process, without the processes: what each sees of the other by way of the two ports. */
import { describe, expect, it } from 'vitest';
import { DataPlanes } from '../../src/compute/data-planes.ts';
import { PlatformError } from '../../src/errors.ts';
import type { Activation, ReportBatch } from '../../src/proxy/control-plane.ts';
import type { Lease } from '../../src/proxy/lease.ts';
import { partOf } from '../../src/proxy/workers/parts.ts';
import { respawnDelayMs } from '../../src/proxy/workers/respawn.ts';
import { SlotLedger } from '../../src/proxy/workers/slot-ledger.ts';
import { FakeClock, settle } from '../support/fake-clock.ts';
import { LinkedWorker } from '../support/linked-worker.ts';
import { activation, deferred, endpoint, ScriptedControlPlane } from '../support/scripted-control-plane.ts';

class Control extends ScriptedControlPlane {
  readonly planes = new DataPlanes();
  readonly reports: ReportBatch[] = [];
  override attach: ScriptedControlPlane['attach'] = (plane) => this.planes.attach(plane);
  override report(batch: ReportBatch): void {
    this.reports.push(batch);
    super.report(batch);
  }
}

function setUp(workers = 2) {
  const clock = new FakeClock();
  const control = new Control();
  const ledger = new SlotLedger(workers);
  const reported = new WeakSet<Activation>();
  const open = () => new LinkedWorker({ clock, control, ledger, reported, workers });
  const all = Array.from({ length: workers }, open);
  const [one, two] = all as [LinkedWorker, LinkedWorker];
  const acquire = async (worker: LinkedWorker): Promise<Lease> =>
    worker.dispatcher.acquire('a.test', { bodyBytes: 0 });
  return { clock, control, ledger, open, all, one, two, acquire };
}

async function isPending(promise: Promise<unknown>): Promise<boolean> {
  let pending = true;
  promise.then(
    () => (pending = false),
    () => (pending = false),
  );
  await settle();
  return pending;
}

const LOAD = { atMs: 0, completed: 0, servedMs: 0, waitedMs: 0, inFlight: 0, held: 0 };

describe('workers', () => {
  it('share one start of a cold app, which is reported once, and all that wait are served', async () => {
    const { control, all, acquire } = setUp();
    const start = deferred<Activation>();
    control.app('a', { activate: () => start.promise });
    const held = all.flatMap((worker) => Array.from({ length: 5 }, () => acquire(worker)));
    await settle();
    expect(control.activated).toEqual(['a', 'a']); // of which the agent makes one flight
    control.planes.publish('a', [endpoint('c1')]);
    start.resolve(activation([endpoint('c1')]));
    const leases = await Promise.all(held);
    expect(new Set(leases.map((lease) => lease.endpoint.containerId))).toEqual(new Set(['c1']));
    await settle();
    for (const lease of leases) lease.answered();
    await settle();
    expect(control.coldStarts).toMatchObject([{ appId: 'a', containerId: 'c1', kind: 'started', held: 5 }]);
  });

  it('hear why there is no container, with its hint and when to come again', async () => {
    const { control, one, acquire } = setUp();
    control.app('a', {
      activate: () =>
        Promise.reject(
          new PlatformError('no_capacity', 'no node has room', { hint: 'add one', retryAfterMs: 700 }),
        ),
    });
    await expect(acquire(one)).rejects.toMatchObject({
      code: 'no_capacity',
      hint: 'add one',
      retryAfterMs: 700,
    });
  });

  it('know a host that nobody has from one that cannot be looked up', async () => {
    const { control, one, acquire } = setUp();
    await expect(acquire(one)).rejects.toMatchObject({ code: 'unknown_host' });
    control.beforeResolve = () =>
      Promise.reject(new PlatformError('store_unavailable', 'the database is away'));
    control.app('b');
    await expect(Promise.resolve(one.dispatcher.acquire('b.test', { bodyBytes: 0 }))).rejects.toMatchObject({
      code: 'store_unavailable',
    });
  });

  it('hold a part of what an app may have waiting, each', async () => {
    const { control, all, acquire } = setUp(3);
    control.app('a', { route: { holdRequests: 10 }, activate: () => new Promise(() => undefined) });
    const outcomes = all.flatMap((worker) => Array.from({ length: 6 }, () => isPending(acquire(worker))));
    const waiting = (await Promise.all(outcomes)).filter(Boolean);
    expect(waiting).toHaveLength(3 * partOf(10, 3));
    expect(waiting).toHaveLength(12); // each part rounded up
  });

  it('say in one message what of a tick concerns the same', async () => {
    const { control, one } = setUp();
    await settle();
    const before = one.toControl.sent.length;
    for (let i = 0; i < 100; i++) {
      one.remote.observe({ ...LOAD, appId: `a${i % 3}`, arrivals: i });
      one.remote.suspect('c1');
    }
    await settle();
    expect(one.toControl.sent.length - before).toBe(1);
    expect(control.observed.map(({ appId, arrivals }) => [appId, arrivals])).toEqual([
      ['a0', 99],
      ['a1', 97],
      ['a2', 98],
    ]);
    expect(control.suspected).toEqual(['c1']);
  });

  it('forget a host at once when its app has changed', async () => {
    const { control, one, acquire } = setUp();
    control.app('a', { activate: () => Promise.resolve(activation([endpoint('c1')], 'warm')) });
    control.planes.publish('a', [endpoint('c1')]);
    (await acquire(one)).release();
    (await acquire(one)).release();
    expect(control.resolved).toEqual(['a.test']);
    control.planes.invalidate({ appId: 'a', hosts: ['a.test'] });
    await settle();
    (await acquire(one)).release();
    expect(control.resolved).toEqual(['a.test', 'a.test']);
  });

  it('hear of an app that changes twice in a moment which hosts it has in the end', async () => {
    const { control, one, acquire } = setUp();
    control.app('a', { activate: () => Promise.resolve(activation([endpoint('c1')], 'warm')) });
    control.planes.publish('a', [endpoint('c1')]);
    (await acquire(one)).release();
    control.planes.invalidate({ appId: 'a', hosts: ['a.test'] });
    control.planes.invalidate({ appId: 'a', hosts: [] });
    await settle();
    control.beforeResolve = () => Promise.reject(new PlatformError('store_unavailable', 'it is away'));
    await expect(acquire(one)).rejects.toMatchObject({ code: 'store_unavailable' });
  });
});

describe('a drain', () => {
  it('is done when no worker has anything in flight', async () => {
    const { control, one, two, acquire } = setUp();
    control.app('a');
    control.planes.publish('a', [endpoint('c1')]);
    const leases = [await acquire(one), await acquire(two)];
    const drained = control.planes.drain('c1');
    leases[0]?.release();
    expect(await isPending(drained)).toBe(true);
    leases[1]?.release();
    expect(await drained).toEqual({ drained: true });
  });

  it('of what is in flight at a worker that dies is done with its death', async () => {
    const { control, one, two, acquire } = setUp();
    control.app('a');
    control.planes.publish('a', [endpoint('c1')]);
    const leases = [await acquire(one), await acquire(two)];
    const drained = control.planes.drain('c1');
    leases[0]?.release();
    expect(await isPending(drained)).toBe(true);
    two.die();
    expect(await drained).toEqual({ drained: true });
  });

  it('that one refuses leaves the container in use with all of them', async () => {
    const { clock, control, one, two, acquire } = setUp();
    control.app('a');
    control.planes.publish('a', [endpoint('c1')]);
    const lease = await acquire(one);
    const result = await control.planes.drain('c1', { onlyIfIdleSinceMs: clock.nowMs() });
    expect(result).toEqual({ drained: false, lastActiveAtMs: clock.nowMs() });
    control.planes.publish('a', [endpoint('c1')]); // as the supervisor does then
    await settle();
    (await acquire(two)).release();
    lease.release();
    expect(control.activated).toEqual([]);
  });

  it('comes about once all have been idle: that one of them was asked before is no activity', async () => {
    const { clock, control, one, acquire } = setUp();
    control.app('a');
    control.planes.publish('a', [endpoint('c1')]);
    await clock.advance(300);
    (await acquire(one)).release();
    const usedAtMs = clock.nowMs();
    await clock.advance(300);
    const first = await control.planes.drain('c1', { onlyIfIdleSinceMs: clock.nowMs() - 500 });
    expect(first).toEqual({ drained: false, lastActiveAtMs: usedAtMs });
    control.planes.publish('a', [endpoint('c1')]);
    await clock.advance(200);
    expect(await control.planes.drain('c1', { onlyIfIdleSinceMs: usedAtMs })).toEqual({ drained: true });
  });
});

describe('a worker that takes the place of another', () => {
  it('knows the containers that are in use, and what the other had is free for it', async () => {
    const { control, ledger, open, one, two, acquire } = setUp();
    control.app('a');
    control.planes.publish('a', [endpoint('c1', 1, 2)]);
    await acquire(one);
    await acquire(two);
    expect(await isPending(acquire(two))).toBe(true);
    one.die();
    const successor = open();
    await settle();
    // The dead one's slot is with whoever waited for it; the next comes when that is done.
    const waiting = acquire(successor);
    expect(await isPending(waiting)).toBe(true);
    two.die();
    expect((await waiting).endpoint.containerId).toBe('c1');
    expect(ledger.size).toBe(1);
    expect(control.activated).toEqual([]);
  });

  it('comes at once, and the more often it fails the later, up to a bound', () => {
    expect([1, 2, 3, 4, 5, 6, 7, 8, 100].map(respawnDelayMs)).toEqual([
      0, 100, 200, 400, 800, 1_600, 3_200, 5_000, 5_000,
    ]);
  });
});
