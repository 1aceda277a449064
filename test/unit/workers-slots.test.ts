/** Whatever is sent when, and whoever dies: a container is never given more requests than its limit, and nobody starves. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Lease } from '../../src/proxy/lease.ts';
import { SlotLedger } from '../../src/proxy/workers/slot-ledger.ts';
import { FakeClock, settle } from '../support/fake-clock.ts';
import { LinkedWorker } from '../support/linked-worker.ts';
import type { LinkOptions } from '../support/linked-worker.ts';
import { activation, endpoint, ScriptedControlPlane } from '../support/scripted-control-plane.ts';
import { DataPlanes } from '../../src/compute/data-planes.ts';

/** A scripted control plane with as many data planes as join it. */
class Control extends ScriptedControlPlane {
  readonly planes = new DataPlanes();
  override attach: ScriptedControlPlane['attach'] = (plane) => this.planes.attach(plane);
}

/** Its timers, and the visitors that wait there, go when it dies. */
class Worker extends LinkedWorker {
  readonly clock: FakeClock;
  waiting = 0;

  constructor(options: Omit<LinkOptions, 'workerClock'>) {
    const clock = new FakeClock();
    super({ ...options, workerClock: clock });
    this.clock = clock;
  }
}

class Bench {
  readonly clock = new FakeClock();
  readonly control = new Control();
  readonly ledger: SlotLedger;
  readonly workers: Worker[] = [];
  readonly #count: number;
  readonly #manual: boolean;
  /** Requests in flight by container, over all workers. */
  readonly inFlight = new Map<string, number>();
  readonly leases: { readonly worker: Worker; readonly lease: Lease }[] = [];
  exceeded: string[] = [];
  #limit: number;
  /** The highest there was: what has been given out before it was lowered comes back as requests end. */
  #highest: number;

  constructor({ workers, limit, manual = false }: { workers: number; limit: number; manual?: boolean }) {
    this.#count = workers;
    this.#manual = manual;
    this.#limit = limit;
    this.#highest = limit;
    this.ledger = new SlotLedger(workers);
    this.control.app('a', {
      activate: () => Promise.resolve(activation([endpoint('c1', 1, this.limit)], 'warm')),
    });
    for (let i = 0; i < workers; i++) this.join();
  }

  /** What a container takes, from the next time that it is published. */
  get limit(): number {
    return this.#limit;
  }

  set limit(limit: number) {
    this.#limit = limit;
    this.#highest = Math.max(this.#highest, limit);
  }

  join(): void {
    const { clock, control, ledger } = this;
    this.workers.push(new Worker({ clock, control, ledger, workers: this.#count, manual: this.#manual }));
  }

  publish(...containerIds: string[]): void {
    this.control.planes.publish(
      'a',
      containerIds.map((id) => endpoint(id, 1, this.limit)),
    );
  }

  /** Requests that wait for a place. */
  get waiting(): number {
    return this.workers.reduce((sum, worker) => sum + worker.waiting, 0);
  }

  request(worker: Worker | undefined): void {
    if (worker === undefined) return;
    worker.waiting++;
    void Promise.resolve(worker.dispatcher.acquire('a.test', { bodyBytes: 0 })).then(
      (lease) => {
        worker.waiting--;
        if (!this.workers.includes(worker)) return;
        const { containerId } = lease.endpoint;
        const now = (this.inFlight.get(containerId) ?? 0) + 1;
        this.inFlight.set(containerId, now);
        if (now > this.#highest) this.exceeded.push(`${now} at ${containerId}, which takes ${this.#highest}`);
        this.leases.push({ worker, lease });
      },
      () => worker.waiting--,
    );
  }

  release(index: number): void {
    const [held] = this.leases.splice(index % Math.max(1, this.leases.length), 1);
    if (held === undefined) return;
    const { containerId } = held.lease.endpoint;
    this.inFlight.set(containerId, (this.inFlight.get(containerId) ?? 0) - 1);
    held.lease.release();
  }

  die(index: number): void {
    const [worker] = this.workers.splice(index % Math.max(1, this.workers.length), 1);
    if (worker === undefined) return;
    for (const held of this.leases.filter((one) => one.worker === worker)) {
      this.leases.splice(this.leases.indexOf(held), 1);
      const { containerId } = held.lease.endpoint;
      this.inFlight.set(containerId, (this.inFlight.get(containerId) ?? 0) - 1);
    }
    worker.die();
  }

  /** Everything that is on its way arrives, and what follows from it too. */
  async deliverAll(): Promise<void> {
    for (let round = 0; round < 1_000; round++) {
      await settle();
      const pipes = this.workers.flatMap(({ toWorker, toControl }) => [toWorker, toControl]);
      if (pipes.every(({ size }) => size === 0)) return;
      for (const pipe of pipes) while (pipe.size > 0) pipe.deliver();
    }
    throw new Error('they never come to an end');
  }

  /** Slots of the container that nobody uses; none where it has more to do than a lowered limit allows. */
  idle(containerId: string): number {
    return Math.max(0, this.limit - (this.inFlight.get(containerId) ?? 0));
  }

  /** Answers what is in flight until nobody waits. */
  async finish(): Promise<void> {
    for (let round = 0; round < 2_000; round++) {
      await this.deliverAll();
      if (this.leases.length === 0) break;
      this.release(0);
    }
  }
}

/** What follows at once: microtasks only, since pipes deliver when they are told to. */
async function microtasks(): Promise<void> {
  for (let i = 0; i < 8; i++) await Promise.resolve();
}

describe('the limit of a container, shared by workers', () => {
  it('is divided among them: a warm request asks nobody', async () => {
    const bench = new Bench({ workers: 2, limit: 100 });
    bench.publish('c1');
    await settle();
    for (const worker of bench.workers) bench.request(worker); // finds the route
    await settle();
    const said = bench.workers.map(({ toControl }) => toControl.sent.length);
    for (let i = 0; i < 49; i++) for (const worker of bench.workers) bench.request(worker);
    await settle();
    expect(bench.leases).toHaveLength(100);
    expect(bench.workers.map(({ toControl }) => toControl.sent.length)).toEqual(said);
  });

  it('is all for one worker where the others have no use for it', async () => {
    const bench = new Bench({ workers: 4, limit: 10 });
    bench.publish('c1');
    for (let i = 0; i < 15; i++) bench.request(bench.workers[0]);
    await settle();
    expect(bench.inFlight.get('c1')).toBe(10);
    bench.release(0);
    await settle();
    expect(bench.inFlight.get('c1')).toBe(10);
  });

  it('comes back to equal shares when the others need theirs, as requests end', async () => {
    const bench = new Bench({ workers: 2, limit: 10 });
    bench.publish('c1');
    for (let i = 0; i < 30; i++) bench.request(bench.workers[0]);
    await settle();
    for (let i = 0; i < 30; i++) bench.request(bench.workers[1]);
    await settle();
    const perWorker = () =>
      bench.workers.map((one) => bench.leases.filter(({ worker }) => worker === one).length);
    expect(perWorker()).toEqual([10, 0]);
    for (let i = 0; i < 10; i++) {
      bench.release(0);
      await settle();
    }
    expect(perWorker()).toEqual([5, 5]);
    expect(bench.exceeded).toEqual([]);
  });

  it('that cannot be divided is used up, and no token is for ever on its way', async () => {
    const bench = new Bench({ workers: 2, limit: 3 });
    bench.publish('c1');
    for (let i = 0; i < 100; i++) for (const worker of bench.workers) bench.request(worker);
    await settle();
    const said = () => bench.workers.reduce((sum, { toControl }) => sum + toControl.sent.length, 0);
    const before = said();
    for (let i = 0; i < 120; i++) {
      expect(bench.inFlight.get('c1')).toBe(3);
      bench.release(0);
      await settle();
    }
    expect(said() - before).toBeLessThan(10);
    const served = bench.workers.map((one) => one.dispatcher.stats().held);
    expect(Math.min(...served)).toBeGreaterThan(0);
  });

  it('that is one goes round among workers that all want it', async () => {
    const bench = new Bench({ workers: 4, limit: 1 });
    bench.publish('c1');
    for (let i = 0; i < 3; i++) for (const worker of bench.workers) bench.request(worker);
    await settle();
    const served: number[] = [];
    while (bench.leases[0] !== undefined) {
      expect(bench.leases).toHaveLength(1);
      served.push(bench.workers.indexOf(bench.leases[0].worker));
      bench.release(0);
      await settle();
    }
    expect(served).toHaveLength(12);
    // Nobody is served a third time before all have been served.
    expect(new Set(served.slice(0, 5))).toEqual(new Set([0, 1, 2, 3]));
    expect(bench.waiting).toBe(0);
  });

  it('of a worker that dies is the others’ at once', async () => {
    const bench = new Bench({ workers: 2, limit: 4 });
    bench.publish('c1');
    for (let i = 0; i < 4; i++) bench.request(bench.workers[0]);
    await settle();
    for (let i = 0; i < 4; i++) bench.request(bench.workers[1]);
    await settle();
    bench.die(0);
    await settle();
    expect(bench.leases).toHaveLength(4);
    expect(bench.waiting).toBe(0);
  });

  it('can be changed: raised at once, lowered as requests end', async () => {
    const bench = new Bench({ workers: 2, limit: 8 });
    bench.publish('c1');
    for (let i = 0; i < 20; i++) for (const worker of bench.workers) bench.request(worker);
    await settle();
    expect(bench.inFlight.get('c1')).toBe(8);
    bench.limit = 12;
    bench.publish('c1');
    await settle();
    expect(bench.inFlight.get('c1')).toBe(12);
    bench.limit = 3;
    bench.publish('c1');
    await settle();
    for (let i = 0; i < 9; i++) {
      bench.release(0);
      await settle();
    }
    expect(bench.inFlight.get('c1')).toBe(3);
    bench.release(0);
    await settle();
    expect(bench.inFlight.get('c1')).toBe(3);
  });

  it('leaves no slot idle while somebody waits, where one is granted to a worker that is to give some back', async () => {
    const bench = new Bench({ workers: 3, limit: 4, manual: true });
    bench.publish('c1');
    // The third worker's want has the second asked for its slot, just when that is granted the one that is free.
    for (const which of [1, 2, 2, 1, 1]) {
      bench.request(bench.workers[which]);
      await microtasks();
    }
    await bench.deliverAll();
    expect(bench.waiting).toBe(1);
    expect(bench.idle('c1')).toBe(0);
    await bench.finish();
    expect(bench.waiting).toBe(0);
    expect(bench.exceeded).toEqual([]);
  });

  it('is asked for anew where what a worker was to give back has been granted to it, and is idle there', async () => {
    const bench = new Bench({ workers: 3, limit: 3, manual: true });
    const [first] = bench.workers;
    bench.publish('c1');
    for (const which of [0, 2, 1, 1, 0]) {
      bench.request(bench.workers[which]);
      await microtasks();
    }
    for (const pipe of [first?.toWorker, first?.toControl]) {
      pipe?.deliver();
      await microtasks();
    }
    bench.release(0);
    await microtasks();
    bench.request(bench.workers[1]);
    await microtasks();
    bench.publish('c1', 'c2');
    await bench.deliverAll();
    expect([bench.waiting, bench.idle('c1'), bench.idle('c2')]).toEqual([0, 0, 0]);
  });

  it('can be lowered twice before workers hear of it: what is left is for whoever asks', async () => {
    const bench = new Bench({ workers: 2, limit: 6, manual: true });
    bench.publish('c1');
    for (const limit of [4, 1]) {
      bench.limit = limit;
      bench.publish('c1');
      await microtasks();
    }
    // Both have been asked for more than they had left: of what one is granted later, nothing is owed.
    await bench.deliverAll();
    bench.request(bench.workers[0]);
    await bench.deliverAll();
    expect(bench.waiting).toBe(0);
    expect(bench.inFlight.get('c1')).toBe(1);
  });

  it('is forgotten with the container, once its last request is over', async () => {
    const bench = new Bench({ workers: 2, limit: 8 });
    bench.publish('c1');
    for (const worker of bench.workers) bench.request(worker);
    await settle();
    bench.publish();
    await settle();
    expect(bench.ledger.size).toBe(1);
    await bench.finish();
    expect(bench.ledger.size).toBe(0);
    expect(bench.workers.map(({ remote }) => remote.shares.size)).toEqual([0, 0]);
  });

  const steps = fc.array(
    fc.oneof(
      { weight: 6, arbitrary: fc.record({ do: fc.constant('request' as const), which: fc.nat({ max: 7 }) }) },
      {
        weight: 5,
        arbitrary: fc.record({ do: fc.constant('release' as const), which: fc.nat({ max: 50 }) }),
      },
      {
        weight: 8,
        arbitrary: fc.record({ do: fc.constant('deliver' as const), which: fc.nat({ max: 15 }) }),
      },
      {
        weight: 2,
        arbitrary: fc.record({ do: fc.constant('publish' as const), which: fc.nat({ max: 3 }) }),
      },
      {
        weight: 2,
        arbitrary: fc.record({ do: fc.constant('limit' as const), which: fc.integer({ min: 1, max: 12 }) }),
      },
      { weight: 1, arbitrary: fc.record({ do: fc.constant('die' as const), which: fc.nat({ max: 7 }) }) },
    ),
    { maxLength: 120 },
  );

  it('is never exceeded, and lost to nobody, whatever arrives when (2,000 random lives)', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.record({ workers: fc.integer({ min: 1, max: 5 }), limit: fc.integer({ min: 1, max: 12 }) }),
        steps,
        async (shape, sequence) => {
          const bench = new Bench({ ...shape, manual: true });
          bench.publish('c1');
          for (const { do: what, which } of sequence) {
            const worker = bench.workers[which % bench.workers.length];
            if (what === 'request') bench.request(worker);
            else if (what === 'release') bench.release(which);
            else if (what === 'deliver') (which % 2 === 0 ? worker?.toWorker : worker?.toControl)?.deliver();
            else if (what === 'publish') bench.publish(...['c1', 'c2', 'c3'].slice(0, which % 4));
            else if (what === 'limit') {
              bench.limit = which;
              bench.publish('c1', 'c2');
            } else {
              bench.die(which);
              bench.join();
            }
            await microtasks();
          }
          bench.publish('c1', 'c2');
          await bench.deliverAll();
          // Nobody waits beside a slot that is idle.
          if (bench.waiting > 0) for (const id of ['c1', 'c2']) expect(bench.idle(id)).toBe(0);
          await bench.finish();
          expect(bench.exceeded).toEqual([]);
          expect(bench.waiting).toBe(0);
          expect(bench.workers.flatMap(({ failures }) => failures)).toEqual([]);
          // Nothing of the limit is lost: one worker alone gets all of it.
          for (let i = 0; i < bench.limit * 2; i++) bench.request(bench.workers[0]);
          await bench.deliverAll();
          expect([...bench.inFlight.values()].reduce((sum, one) => sum + one, 0)).toBe(bench.limit * 2);
          await bench.finish();
          bench.publish();
          await bench.deliverAll();
          expect(bench.ledger.size).toBe(0);
          for (const clock of [bench.clock, ...bench.workers.map((worker) => worker.clock)]) {
            await clock.advance(1_000); // the last look at the load
            expect(clock.pending).toBe(0);
          }
        },
      ),
      { numRuns: 2_000, endOnFailure: true },
    );
  }, 120_000);
});
