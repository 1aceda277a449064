import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Policy, Size } from '../../src/cmdb/records.ts';
import { lackOfRoom } from '../../src/coreapi/decisions/room.ts';
import {
  cooledAtMs,
  decideScale,
  overQuota,
  type Extent,
  type ScaleBy,
} from '../../src/coreapi/decisions/scale.ts';
import { wantedReplicas, wantedResources } from '../../src/coreapi/decisions/size.ts';
import { container, node, policy, size } from '../support/records.ts';

const MIB = 2 ** 20;
const SCALING = {
  mode: 'up-then-out',
  cpuMax: 2,
  memoryMaxBytes: 1024 * MIB,
  highWater: 0.8,
  lowWater: 0.5,
} as const;

function decide(
  wanted: Partial<Extent>,
  options: {
    by?: ScaleBy;
    awake?: number;
    policy?: Partial<Policy>;
    size?: Partial<Size>;
    nowMs?: number;
  } = {},
) {
  const { by = 'instruction', awake = 1, nowMs = 1_000_000 } = options;
  const input = {
    policy: policy({ scaling: SCALING, ...options.policy }),
    size: size(options.size),
    awake,
    by,
    wanted,
  };
  return decideScale(input, nowMs);
}

describe('an instruction', () => {
  it('is carried out, and its record says no more than what differs from the policy', () => {
    expect(decide({ replicas: 3 })).toMatchObject({
      action: 'change',
      from: { replicas: 1, cpu: 0.5 },
      to: { replicas: 3, cpu: 0.5 },
      directions: ['out'],
      set: { replicas: 3, cpu: null, memoryBytes: null },
    });
    expect(decide({ cpu: 1 })).toMatchObject({
      directions: ['up'],
      set: { replicas: 0, cpu: 1, memoryBytes: null },
    });
    expect(decide({ cpu: 0.5, replicas: 1 }, { awake: 3, size: { replicas: 3, cpu: 2 } })).toMatchObject({
      directions: ['in', 'down'],
      set: { replicas: 1, cpu: null },
    });
  });

  it('counts the one that serves by itself, and none of an app that sleeps', () => {
    expect(decide({ replicas: 1 })).toMatchObject({ action: 'none', because: 'already' });
    expect(decide({ replicas: 1 }, { awake: 0 })).toMatchObject({ action: 'change', from: { replicas: 0 } });
  });

  it.each([
    [{ replicas: 4 }, {}, 'replicas', 'must be at most 3 (maxReplicas of its policy), but is 4'],
    [{ replicas: 0 }, {}, 'replicas', 'must be at least 1 (one: silence ends the last container), but is 0'],
    [{ replicas: 1 }, { minReplicas: 2 }, 'replicas', 'must be at least 2 (minReplicas), but is 1'],
    [{ cpu: 3 }, {}, 'cpu', 'must be at most 2 (scaling.cpuMax of its policy), but is 3'],
    [{ cpu: 0.1 }, {}, 'cpu', 'must be at least 0.5 (cpu), but is 0.1'],
  ])('beyond a bound is refused with the bound: %j %j', (wanted, bounds, field, reason) => {
    expect(decide(wanted, { policy: bounds })).toEqual({ action: 'refuse', fields: [{ field, reason }] });
  });

  it('waits for no cooldown and asks no mode', () => {
    const just = { changedAtMs: { out: 999_999, in: 999_999, up: 999_999, down: 999_999 } };
    const off = { scaling: { ...SCALING, mode: 'off' } } as const;
    expect(decide({ replicas: 2, cpu: 2 }, { size: just, policy: off })).toMatchObject({
      directions: ['out', 'up'],
    });
  });
});

describe('load', () => {
  const load = (wanted: Partial<Extent>, options: Omit<Parameters<typeof decide>[1] & object, 'by'> = {}) =>
    decide(wanted, { ...options, by: 'load' });

  it('gets what its bounds allow where it asks for more', () => {
    expect(load({ replicas: 9, cpu: 9 })).toMatchObject({ to: { replicas: 3, cpu: 2 } });
    expect(load({ replicas: 0 }, { awake: 2, size: { replicas: 2 } })).toMatchObject({ to: { replicas: 1 } });
  });

  it.each([
    ['off', [], []],
    ['out', ['out'], ['in']],
    ['up', ['up'], ['down']],
    ['up-then-out', ['out', 'up'], ['in', 'down']],
  ] as const)('in mode %s may do %j and %j', (mode, more, less) => {
    const options = { policy: { scaling: { ...SCALING, mode } } };
    const big = { ...options, awake: 2, size: { replicas: 2, cpu: 1 } };
    for (const [decision, directions] of [
      [load({ replicas: 2, cpu: 1 }, options), more],
      [load({ replicas: 1, cpu: 0.5 }, big), less],
    ] as const) {
      if (directions.length === 0) expect(decision).toMatchObject({ action: 'none', because: 'mode' });
      else expect(decision).toMatchObject({ directions });
    }
  });

  it('waits until a direction has cooled, and is told how long', () => {
    const grown = { awake: 2, size: { replicas: 2, changedAtMs: { out: 1_000_000 } } };
    expect(load({ replicas: 3 }, { ...grown, nowMs: 1_002_999 })).toMatchObject({
      action: 'none',
      because: 'cooldown',
      notBeforeMs: 1_003_000,
    });
    expect(load({ replicas: 3 }, { ...grown, nowMs: 1_003_000 }).action).toBe('change');
    // To shrink waits for the growth to have settled; to grow again after shrinking waits for nothing.
    expect(load({ replicas: 1 }, { ...grown, nowMs: 1_059_999 })).toMatchObject({ because: 'cooldown' });
    expect(load({ replicas: 1 }, { ...grown, nowMs: 1_060_000 }).action).toBe('change');
    const shrunk = { awake: 1, size: { replicas: 1, changedAtMs: { in: 1_000_000 } } };
    expect(load({ replicas: 2 }, { ...shrunk, nowMs: 1_000_001 }).action).toBe('change');
    expect(cooledAtMs(policy(), size({ changedAtMs: { up: 5, down: 9 } }), 'down', 10)).toBe(60_009);
  });

  it('waits for nothing that happened later than now, by a clock that was put right since', () => {
    const ahead = { awake: 2, size: { replicas: 2, changedAtMs: { out: 2_000_000, in: 900_000 } } };
    expect(load({ replicas: 3 }, { ...ahead, nowMs: 1_000_000 }).action).toBe('change');
    expect(load({ replicas: 1 }, { ...ahead, nowMs: 1_000_000 }).action).toBe('change');
    expect(load({ replicas: 1 }, { ...ahead, nowMs: 900_001 })).toMatchObject({ because: 'cooldown' });
  });

  it('gets the one part of its wish while the other cools', () => {
    const decision = load(
      { replicas: 2, cpu: 1 },
      { size: { changedAtMs: { out: 1_000_000 } }, nowMs: 1_000_001 },
    );
    expect(decision).toMatchObject({ directions: ['up'], to: { replicas: 1, cpu: 1 } });
  });
});

describe('silence', () => {
  it('goes back to the policy’s size once, and leaves no cooldown behind', () => {
    const big = { size: { replicas: 3, cpu: 2, memoryBytes: 512 * MIB }, awake: 0, by: 'silence' } as const;
    expect(decide({}, big)).toMatchObject({
      action: 'change',
      directions: [],
      to: { replicas: 0, cpu: 0.5 },
      set: { replicas: 0, cpu: null, memoryBytes: null },
    });
    expect(decide({}, { by: 'silence', awake: 0 })).toMatchObject({ action: 'none', because: 'already' });
  });
});

describe('the size that is wanted', () => {
  it('is in the policy’s bounds as they are now, whatever was decided before they were moved', () => {
    const decided = { replicas: 9, cpu: 9, memoryBytes: 9 * 1024 * MIB };
    expect(wantedReplicas(policy({ maxReplicas: 2 }), decided, true)).toBe(2);
    expect(wantedResources(policy({ scaling: SCALING }), decided)).toMatchObject({
      cpu: 2,
      memoryBytes: 1024 * MIB,
    });
    expect(wantedResources(policy({ cpu: 1 }), { cpu: 0.3, memoryBytes: null })).toMatchObject({ cpu: 1 });
    expect(wantedReplicas(policy(), { replicas: 0 }, true)).toBe(1);
    expect(wantedReplicas(policy(), { replicas: 0 }, false)).toBe(0);
    expect(wantedReplicas(policy({ minReplicas: 2 }), { replicas: 0 }, false)).toBe(2);
  });

  it('after any sequence of decisions is what the last change said, or the policy’s', () => {
    const wish = fc.record(
      {
        replicas: fc.integer({ min: -1, max: 6 }),
        cpu: fc.constantFrom(0.1, 0.5, 1, 2, 4),
        memoryBytes: fc.constantFrom(1, 256, 512, 4096).map((count) => count * MIB),
      },
      { requiredKeys: [] },
    );
    const step = fc.tuple(wish, fc.constantFrom('instruction' as const, 'load' as const, 'silence' as const));
    fc.assert(
      fc.property(fc.array(step), fc.nat({ max: 2 }), (steps, minReplicas) => {
        const bounds = policy({ scaling: SCALING, minReplicas });
        let record = size();
        let nowMs = 1_000_000;
        for (const [wanted, by] of steps) {
          const awake = wantedReplicas(bounds, record, by !== 'silence');
          const decision = decideScale(
            { policy: bounds, size: record, awake, by, wanted },
            (nowMs += 10_000),
          );
          if (decision.action !== 'change') continue;
          record = { ...record, ...decision.set };
          const { replicas, cpu, memoryBytes } = decision.to;
          expect(wantedReplicas(bounds, record, by !== 'silence')).toBe(replicas);
          expect(wantedResources(bounds, record)).toMatchObject({ cpu, memoryBytes });
          expect(replicas).toBeLessThanOrEqual(3);
          expect(replicas).toBeGreaterThanOrEqual(minReplicas);
          expect(cpu).toBeLessThanOrEqual(2);
        }
      }),
    );
  });
});

describe('a quota', () => {
  const quota = { containers: 4, cpu: 2, memoryBytes: 1024 };
  it('names what would be too much, and what the tenant may have', () => {
    const others = { containers: 1, cpu: 1.9, memoryBytes: 0 };
    expect(overQuota(quota, others, { replicas: 1, cpu: 0.1, memoryBytes: 1 })).toBeUndefined();
    expect(overQuota(quota, others, { replicas: 2, cpu: 0.1, memoryBytes: 1 })).toBe(
      'the tenant would have 2.1 CPU in all, and may have 2 CPU',
    );
    expect(overQuota(quota, others, { replicas: 4, cpu: 0, memoryBytes: 1 })).toContain(
      '5 containers in all',
    );
  });
});

describe('room', () => {
  const resources = { cpu: 1, memoryBytes: 256 * MIB, pidsMax: 256 };
  const small = { cpu: 0.5, memoryBytes: 256 * MIB, pidsMax: 256 };
  const full = node({ capacity: { cpu: 2, memoryBytes: 2 ** 30 }, reserved: { cpu: 1.5, memoryBytes: 0 } });
  const other = (state: 'ready' | 'paused', id: string) =>
    container({ id, appId: 'app_2', state, slot: 0, resources: small });

  it('counts what sleeps as free, and what serves as taken', () => {
    const ask = (containers: ReturnType<typeof container>[], more: number) =>
      lackOfRoom({ appId: 'app_1', nodes: [full], containers, resources, more });
    expect(ask([other('ready', 'a'), other('ready', 'b')], 1)).toContain('room for 0 of 1 more');
    expect(ask([other('paused', 'a'), other('ready', 'b')], 1)).toBeUndefined();
    expect(ask([other('paused', 'a'), other('paused', 'b')], 2)).toContain('room for 1 of 2 more');
    expect(ask([other('paused', 'a'), other('paused', 'b'), other('paused', 'c')], 2)).toBeUndefined();
  });

  it('for growing where it is has to be on that very node', () => {
    const own = container({ nodeId: 'node_1', slot: 0, resources: small });
    const empty = node({ id: 'node_2', name: 'two' });
    const ask = (reservedCpu: number) =>
      lackOfRoom({
        appId: 'app_1',
        nodes: [{ ...full, reserved: { cpu: reservedCpu, memoryBytes: 0 } }, empty],
        containers: [own],
        resources,
        more: 0,
      });
    expect(ask(1.5)).toBeUndefined();
    expect(ask(1.6)).toContain('node one has no room for 1 CPU');
    expect(ask(1.6)).toContain('one: 1.6 of 2 CPU');
  });

  it('is on nodes that are up alone', () => {
    const input = { appId: 'app_1', containers: [], resources, more: 0 };
    expect(lackOfRoom({ ...input, nodes: [node({ state: 'down' })] })).toBe('no node is up');
  });
});
