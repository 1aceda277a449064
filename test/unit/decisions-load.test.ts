/** What load wants: a crowd at once, a smaller size only after a quiet minute, and nothing for any load that stays as it is. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Policy } from '../../src/cmdb/records.ts';
import { grownFor, shrunkFor, waterOf } from '../../src/coreapi/decisions/load-shape.ts';
import { AppLoad, type LoadWish, type Observation } from '../../src/coreapi/decisions/load.ts';
import type { Extent } from '../../src/coreapi/decisions/scale.ts';
import { policy } from '../support/records.ts';

const MIB = 2 ** 20;
const MACHINE = { cpu: 8, memoryBytes: 2 ** 34 };

/** Requests as they come, all alike. */
interface Flow {
  readonly perSecond: number;
  /** What one takes: CPU, and the time in a container while there is enough of it. */
  readonly cpuMs: number;
  readonly servedMs: number;
  readonly memoryBytes?: number;
  readonly throttledShare?: number;
}

const QUIET: Flow = { perSecond: 5, cpuMs: 20, servedMs: 40 };

/** An app that serves what it can of a flow, observed every so often; what it cannot serve piles up in its containers. */
class Observed {
  readonly load = new AppLoad();
  readonly policy: Policy;
  extent: Extent;
  /** Containers that serve; those that are wanted beyond that start for as long as they are not made ready. */
  ready: number;
  atMs = 1_000_000;
  #backlog = 0;

  constructor(change: Partial<Policy> = {}, extent: Partial<Extent> = {}) {
    this.policy = policy({ maxReplicas: 20, ...change });
    const { cpu, memoryBytes } = this.policy;
    this.extent = { replicas: 1, cpu, memoryBytes, ...extent };
    this.ready = this.extent.replicas;
  }

  observation(flow: Flow, everyMs = 100): Observation {
    const { cpu, memoryBytes } = this.extent;
    const granted = this.ready * cpu;
    const arrivals = (flow.perSecond * everyMs) / 1_000;
    const capacity = (granted * everyMs) / flow.cpuMs;
    const completed = Math.min(arrivals + this.#backlog, capacity);
    this.#backlog += arrivals - completed;
    const inFlight = this.#backlog + (completed / everyMs) * flow.servedMs;
    this.atMs += everyMs;
    return {
      atMs: this.atMs,
      inFlight: Math.round(inFlight),
      held: 0,
      traffic: { arrivals, completed, servedMs: inFlight * everyMs, heldMs: 0 },
      containers: Array.from({ length: this.ready }, (_, index) => ({
        containerId: `ctr_${index}`,
        overMs: everyMs,
        cpuMs: (completed * flow.cpuMs) / this.ready,
        cpu,
        throttledShare: flow.throttledShare ?? 0,
        memoryBytes: flow.memoryBytes ?? 64 * MIB,
        memoryLimitBytes: memoryBytes,
        oomKills: 0,
        pids: 1,
      })),
    };
  }

  tell(observation: Observation): LoadWish | undefined {
    const starting = this.extent.replicas - this.ready;
    return this.load.observe(observation, {
      policy: this.policy,
      extent: this.extent,
      ready: this.ready,
      starting,
      machine: MACHINE,
    });
  }

  observe(flow: Flow, everyMs = 100): LoadWish | undefined {
    return this.tell(this.observation(flow, everyMs));
  }

  /** Observations for so long; wishes are granted at once and in full. How long after the beginning each came. */
  during(ms: number, flow: Flow, everyMs = 100): { afterMs: number; wish: LoadWish }[] {
    const startMs = this.atMs;
    const wishes: { afterMs: number; wish: LoadWish }[] = [];
    while (this.atMs < startMs + ms) {
      const wish = this.observe(flow, everyMs);
      if (!wish) continue;
      wishes.push({ afterMs: this.atMs - startMs, wish });
      this.extent = { ...this.extent, ...wish.wanted };
      this.ready = this.extent.replicas;
    }
    return wishes;
  }
}

const SCALING = { mode: 'out', cpuMax: null, memoryMaxBytes: null, highWater: 0.8, lowWater: 0.5 } as const;
const UP = { scaling: { ...SCALING, mode: 'up', cpuMax: 4, memoryMaxBytes: 2048 * MIB } } as const;
const BOTH = { scaling: { ...UP.scaling, mode: 'up-then-out', cpuMax: 2 } } as const;

describe('a crowd', () => {
  const crowd: Flow = { perSecond: 120, cpuMs: 20, servedMs: 40 };

  it('is seen within 300 ms, and answered with what it needs at once', () => {
    const app = new Observed();
    app.during(30_000, QUIET);
    const [first] = app.during(300, crowd);
    // 120 × 20 ms are 2.4 cores: 6 containers of half a core would be at the high water, 8 half-way to the low one.
    expect(first?.afterMs).toBeLessThanOrEqual(300);
    expect(first?.wish.wanted.replicas).toBeGreaterThanOrEqual(7);
    expect(first?.wish.wanted.replicas).toBeLessThanOrEqual(10);
    expect(first?.wish.reason).toMatch(/^requests need [\d.]+ CPU; 1 container of 0.5 CPU is not enough$/);
    expect(first?.wish.figures).toMatchObject({ ready: 1, starting: 0, cpuUsed: 0.5, cpuGranted: 0.5 });
  });

  it('that finds the app asleep is seen within 300 ms of the first container, by how many wait', () => {
    const app = new Observed({ concurrency: { target: 20, limit: 100 } });
    const wishes = Array.from({ length: 3 }, () => {
      const { containers, ...rest } = app.observation({ perSecond: 0, cpuMs: 1, servedMs: 1 });
      const traffic = { arrivals: 0, completed: 0, servedMs: 100 * 100, heldMs: 100 * 100 };
      const busy = containers.map((one) => ({ ...one, cpuMs: 50 }));
      return app.tell({ ...rest, traffic, inFlight: 100, held: 100, containers: busy });
    });
    expect(wishes.slice(0, 2)).toEqual([undefined, undefined]);
    expect(wishes[2]?.wanted.replicas).toBe(10);
  });

  it('that wakes an app is seen at the second look after its first request', () => {
    const come = (arrivals: number) => ({ arrivals, completed: 0, servedMs: 0, heldMs: 200 * 100 });
    const wishes = (load: AppLoad) =>
      [100, 200].map((afterMs) => {
        const observation = { atMs: 1_000_000 + afterMs, containers: [], inFlight: 0, held: 200 };
        const { policy, extent } = new Observed();
        const context = { policy, extent, ready: 0, starting: 1, machine: MACHINE };
        return load.observe({ ...observation, traffic: come(afterMs === 100 ? 200 : 0) }, context);
      });
    expect(wishes(new AppLoad(1_000_000))).toMatchObject([undefined, { wanted: { replicas: 10 } }]);
    // Of one whose first look has nothing before it, a third is needed.
    expect(wishes(new AppLoad())).toEqual([undefined, undefined]);
  });

  it('of clients that all come at once, and then wait for their answers, is taken for what it is', () => {
    const app = new Observed();
    app.during(30_000, QUIET);
    const wishes = Array.from({ length: 3 }, (_, index) => {
      const { traffic, containers, ...rest } = app.observation({ perSecond: 25, cpuMs: 20, servedMs: 40 });
      const busy = containers.map((one) => ({ ...one, cpuMs: 50 }));
      const come = { ...traffic, arrivals: index === 0 ? 200 : 2.5, completed: 2.5, servedMs: 200 * 100 };
      return app.tell({ ...rest, traffic: come, inFlight: 200, containers: busy });
    });
    const { replicas = 0 } = wishes.find((wish) => wish)?.wanted ?? {};
    // 180 too many for its target, at 20 ms of CPU each, and 25 a second: 2.3 cores, and never the 2,000 a second that came.
    expect(replicas).toBeGreaterThanOrEqual(5);
    expect(replicas).toBeLessThanOrEqual(8);
  });

  it('is not answered twice: containers that start are coming', () => {
    const app = new Observed();
    app.during(30_000, QUIET);
    const wish = Array.from({ length: 3 }, () => app.observe(crowd)).find((one) => one);
    app.extent = { ...app.extent, ...wish?.wanted };
    const later = Array.from({ length: 5 }, () => app.observe(crowd));
    expect(later).toEqual(Array(5).fill(undefined));
  });

  it('of a single observation is no crowd', () => {
    const app = new Observed();
    app.during(60_000, QUIET);
    expect(app.observe({ ...crowd, perSecond: 30 })).toBeUndefined();
    expect(app.during(5_000, QUIET)).toEqual([]);
  });
});

describe('what it is that an app lacks', () => {
  it('is places, where requests wait for something else: as many containers as the target says', () => {
    const app = new Observed();
    app.during(20_000, { perSecond: 20, cpuMs: 1, servedMs: 500 });
    const wishes = app.during(20_000, { perSecond: 200, cpuMs: 1, servedMs: 500 });
    expect(app.extent).toMatchObject({ replicas: 5, cpu: 0.5 });
    expect(wishes[0]?.wish.reason).toContain(
      'requests at once are too many for 1 container with a target of 20',
    );
  });

  it('is CPU where it is throttled all the time, although it rests in between', () => {
    const flow: Flow = { perSecond: 40, cpuMs: 7, servedMs: 60 };
    const calm = new Observed();
    expect(calm.during(60_000, flow)).toEqual([]);
    const throttled = new Observed();
    const [first] = throttled.during(60_000, { ...flow, throttledShare: 0.95 });
    expect(first?.wish.wanted).toEqual({ replicas: 2 });
  });

  it('is memory, where a container may be given more of it', () => {
    const app = new Observed(UP);
    const [grown] = app.during(1_000, { ...QUIET, memoryBytes: 240 * MIB });
    expect(grown?.wish).toMatchObject({
      wanted: { memoryBytes: 384 * MIB },
      reason: 'a container uses 94% of its memory',
    });
    const killed = app.observation({ ...QUIET, memoryBytes: 100 * MIB });
    const containers = killed.containers.map((one) => ({ ...one, oomKills: 1 }));
    expect(app.tell({ ...killed, containers })).toMatchObject({
      wanted: { memoryBytes: 576 * MIB },
      reason: '1 process died for want of memory',
    });
    expect(new Observed().during(1_000, { ...QUIET, memoryBytes: 240 * MIB })).toEqual([]);
  });

  it('is never more containers than there are requests at once', () => {
    const app = new Observed();
    expect(app.during(60_000, { perSecond: 0.25, cpuMs: 2_000, servedMs: 4_000 })).toEqual([]);
  });
});

describe('growing', () => {
  const crowd: Flow = { perSecond: 100, cpuMs: 20, servedMs: 40 };

  it('stronger takes as much CPU as is needed, and no more than its policy and the machine have', () => {
    const app = new Observed(UP);
    app.during(30_000, QUIET);
    app.during(3_000, crowd);
    // 100 × 20 ms are 2 cores: the high water of 2.5, and half-way to the low one of 3.1.
    expect(app.extent).toMatchObject({ replicas: 1 });
    expect(app.extent.cpu).toBeGreaterThanOrEqual(2.5);
    expect(app.extent.cpu).toBeLessThanOrEqual(4);
    const small = new Observed({ scaling: { ...UP.scaling, cpuMax: null } });
    small.during(30_000, { ...crowd, perSecond: 2_000 });
    expect(small.extent.cpu).toBe(MACHINE.cpu);
  });

  it('stronger is no help where requests wait for something else, and is not asked for', () => {
    const app = new Observed(UP);
    expect(app.during(60_000, { perSecond: 400, cpuMs: 0.2, servedMs: 500 })).toEqual([]);
  });

  it('first stronger, then wider, goes as far as one container can, and then on with more of them', () => {
    const app = new Observed(BOTH);
    app.during(30_000, QUIET);
    app.during(10_000, { ...crowd, perSecond: 40 });
    expect(app.extent).toMatchObject({ replicas: 1, memoryBytes: 256 * MIB });
    app.during(10_000, { ...crowd, perSecond: 200 });
    expect(app.extent).toMatchObject({ cpu: 2 });
    expect(app.extent.replicas).toBeGreaterThanOrEqual(3);
    app.during(150_000, QUIET);
    expect(app.extent).toEqual({ replicas: 1, cpu: 0.5, memoryBytes: 256 * MIB });
  });

  it('is not asked for in mode off', () => {
    const app = new Observed({ scaling: { ...SCALING, mode: 'off' } });
    expect(app.during(60_000, { ...crowd, memoryBytes: 255 * MIB })).toEqual([]);
  });
});

describe('shrinking', () => {
  const busy: Flow = { perSecond: 100, cpuMs: 20, servedMs: 40 };

  function grown() {
    const app = new Observed();
    app.during(30_000, busy);
    expect(app.extent.replicas).toBeGreaterThanOrEqual(5);
    return app;
  }

  it('waits for a minute in which less would have been enough, and is then one step', () => {
    const app = grown();
    const wishes = app.during(120_000, QUIET);
    expect(wishes.map(({ wish }) => wish.wanted)).toEqual([{ replicas: 1 }]);
    expect(wishes[0]?.afterMs).toBeGreaterThanOrEqual(60_000);
    expect(wishes[0]?.afterMs).toBeLessThanOrEqual(75_000);
    expect(wishes[0]?.wish.reason).toMatch(
      /^in the last 45 s, never more than [\d.]+ CPU and [\d.]+ requests at once was needed$/,
    );
  });

  it('does not happen for a load that comes back within the minute, of whatever period', () => {
    for (const periodMs of [1_000, 2_000, 7_000, 20_000, 60_000]) {
      const app = grown();
      const wishes = Array.from({ length: 600_000 / periodMs }, () => [
        ...app.during(periodMs / 2, QUIET),
        ...app.during(periodMs / 2, busy),
      ]).flat();
      expect([periodMs, wishes.filter(({ wish }) => (wish.wanted.replicas ?? 99) < 5)]).toEqual([
        periodMs,
        [],
      ]);
      expect(wishes.length).toBeLessThanOrEqual(2);
    }
  });

  it('comes with requests that are far apart too, but not with the first of a crowd after a long silence', () => {
    const seldom = grown();
    const wishes = seldom.during(300_000, { perSecond: 0.025, cpuMs: 20, servedMs: 40 }, 40_000);
    expect(wishes.map(({ wish }) => wish.wanted)).toEqual([{ replicas: 1 }]);

    const back = grown();
    expect(back.observe({ perSecond: 0.01, cpuMs: 20, servedMs: 40 }, 100_000)).toBeUndefined();
    expect(back.during(10_000, busy)).toEqual([]);
  });

  it('leaves memory that is in use', () => {
    const app = new Observed(UP, { memoryBytes: 1024 * MIB });
    app.during(120_000, { ...QUIET, memoryBytes: 300 * MIB });
    expect(app.extent.memoryBytes).toBe(464 * MIB);
  });

  it('leaves as many as the policy keeps', () => {
    const app = new Observed({ minReplicas: 2 }, { replicas: 6 });
    app.during(120_000, QUIET);
    expect(app.extent.replicas).toBe(2);
  });
});

describe('whatever the load', () => {
  const flow = fc.record({
    perSecond: fc.double({ min: 0.1, max: 2_000, noNaN: true }),
    cpuMs: fc.double({ min: 0.05, max: 200, noNaN: true }),
    waitMs: fc.double({ min: 0, max: 1_000, noNaN: true }),
  });
  const asFlow = ({
    perSecond,
    cpuMs,
    waitMs,
  }: {
    perSecond: number;
    cpuMs: number;
    waitMs: number;
  }): Flow => ({
    perSecond,
    cpuMs,
    servedMs: cpuMs / 0.5 + waitMs,
  });
  const modes = fc.constantFrom({ scaling: SCALING }, UP, BOTH);

  it('a wish is within the bounds of the policy and differs from what there is', () => {
    fc.assert(
      fc.property(
        modes,
        fc.array(
          fc.tuple(flow, fc.integer({ min: 100, max: 90_000 }), fc.integer({ min: 100, max: 30_000 })),
          {
            maxLength: 8,
          },
        ),
        (mode, parts) => {
          const app = new Observed({ ...mode, minReplicas: 1, maxReplicas: 7 });
          for (const [part, ms, everyMs] of parts) {
            let before = app.extent;
            for (const { wish } of app.during(ms, asFlow(part), everyMs)) {
              const { cpuMax, memoryMaxBytes } = app.policy.scaling;
              const after = { ...before, ...wish.wanted };
              expect(after).not.toEqual(before);
              expect(after.replicas).toBeGreaterThanOrEqual(1);
              expect(after.replicas).toBeLessThanOrEqual(7);
              expect(after.cpu).toBeGreaterThanOrEqual(app.policy.cpu);
              expect(after.cpu).toBeLessThanOrEqual(cpuMax ?? app.policy.cpu);
              expect(after.memoryBytes).toBeGreaterThanOrEqual(app.policy.memoryBytes);
              expect(after.memoryBytes).toBeLessThanOrEqual(memoryMaxBytes ?? app.policy.memoryBytes);
              expect(Object.values(wish.figures).every((figure) => Number.isFinite(figure))).toBe(true);
              before = after;
            }
          }
        },
      ),
      { numRuns: 60 },
    );
  });

  it('that stays as it is, the size settles and nothing more is wanted', () => {
    fc.assert(
      fc.property(modes, flow, (mode, part) => {
        const app = new Observed(mode);
        app.during(200_000, asFlow(part));
        expect(app.during(300_000, asFlow(part))).toEqual([]);
      }),
      { numRuns: 40 },
    );
  });

  it('the size for more of it is never smaller', () => {
    const demand = fc.record({
      cpu: fc.double({ min: 0, max: 40, noNaN: true }),
      places: fc.double({ min: 0, max: 2_000, noNaN: true }),
    });
    const present = fc.record({
      replicas: fc.integer({ min: 1, max: 7 }),
      cpu: fc.constantFrom(0.5, 0.75, 2, 4),
    });
    fc.assert(
      fc.property(modes, present, demand, demand, (mode, extent, less, additional) => {
        const context = { policy: policy({ ...mode, maxReplicas: 7 }), machine: MACHINE };
        const more = { cpu: less.cpu + additional.cpu, places: less.places + additional.places };
        const size = { ...extent, memoryBytes: 256 * MIB };
        const [small, large] = [grownFor(less, size, context), grownFor(more, size, context)];
        expect(large.replicas).toBeGreaterThanOrEqual(small.replicas);
        // The CPU of each is rounded up, by less than a twentieth of a core.
        const rounded = small.replicas / 20;
        expect(large.replicas * large.cpu).toBeGreaterThan(small.replicas * small.cpu - rounded - 1e-9);
        const [shrunk, lessShrunk] = [less, more].map((one) =>
          shrunkFor(one, size, context.policy, waterOf(context.policy)),
        );
        expect(lessShrunk?.replicas).toBeGreaterThanOrEqual(shrunk?.replicas ?? 0);
      }),
      { numRuns: 500 },
    );
  });

  it('twice as much of it, and more, never ends with a smaller size', () => {
    fc.assert(
      fc.property(modes, flow, fc.double({ min: 2, max: 8, noNaN: true }), (mode, part, factor) => {
        const [less, more] = [1, factor].map((times) => {
          const app = new Observed(mode);
          app.during(10_000, QUIET);
          app.during(20_000, asFlow({ ...part, perSecond: part.perSecond * times }));
          return app.extent.replicas * app.extent.cpu;
        });
        expect(more).toBeGreaterThanOrEqual(less ?? Infinity);
      }),
      { numRuns: 60 },
    );
  });

  it('an observation that is late or said twice changes nothing', () => {
    const app = new Observed();
    const same = app.observation(QUIET);
    app.tell(same);
    expect(app.tell(same)).toBeUndefined();
    expect(app.tell({ ...same, atMs: same.atMs - 5_000, inFlight: 1_000 })).toBeUndefined();
    expect(app.during(60_000, QUIET)).toEqual([]);
  });
});

describe('spares', () => {
  const spared = { maxReplicas: 20, spares: 2 };

  it('are there after the first look, and once', () => {
    const app = new Observed(spared);
    const wishes = app.during(30_000, QUIET);
    expect(wishes).toHaveLength(1);
    expect(wishes[0]).toMatchObject({
      afterMs: 100,
      wish: { wanted: { replicas: 3 }, reason: '2 spares are kept ready while it is used' },
    });
  });

  it('are on top of what a crowd needs, and of what is left after it', () => {
    const crowd: Flow = { perSecond: 120, cpuMs: 20, servedMs: 40 };
    const [plain, app] = [new Observed({ maxReplicas: 20 }), new Observed(spared)];
    for (const one of [plain, app]) {
      one.during(30_000, QUIET);
      one.during(30_000, crowd);
    }
    expect(app.extent.replicas).toBeGreaterThanOrEqual(7 + 2);
    const grown = app.extent.replicas;
    for (const one of [plain, app]) one.during(180_000, QUIET);
    expect(plain.extent.replicas).toBe(1);
    expect(app.extent.replicas).toBe(3);
    expect(grown).toBeGreaterThan(3);
  });

  it('are as many as there is room for below the most that may be', () => {
    const app = new Observed({ maxReplicas: 2, spares: 1 });
    app.during(5_000, QUIET);
    expect(app.extent.replicas).toBe(2);
    expect(app.during(30_000, { perSecond: 120, cpuMs: 20, servedMs: 40 })).toEqual([]);
  });

  it('are none in a mode that adds no containers, nor of an app that is not awake', () => {
    expect(new Observed({ spares: 1, scaling: UP.scaling }).during(5_000, QUIET)).toEqual([]);
    expect(new Observed({ spares: 1 }, { replicas: 0 }).during(5_000, QUIET)).toEqual([]);
  });
});
