/**
 * What a visitor and a tenant notice of scaling by load, in a short version of the simulation (`npm run simulate` is the long
 * one): crowds are seen at once, nothing flaps, everything ends, and it costs no more than other policies do for as much.
 */
import { describe, expect, it } from 'vitest';
import type { ScalingMode } from '../../../src/cmdb/records.ts';
import { CONCURRENCY, CPU, isBetter, MAYFLY, measure, VARIANTS } from './compare.ts';
import { Mayfly, policyFor } from './mayfly.ts';
import { oscillation, TRAFFICS, trafficNamed, type Traffic } from './traffic.ts';
import { World, type Workload } from './world.ts';
import { workloadNamed, WORKLOADS } from './workloads.ts';

const SEEDS = [1, 2, 3, 4, 5];
const SECOND_MS = 1_000;
const MINUTE_MS = 60 * SECOND_MS;
const COOLDOWN_IN_MS = 60 * SECOND_MS;

function run(workload: Workload, traffic: Traffic, seed: number, mode: ScalingMode = 'out') {
  const scaling = { mode, cpuMax: 4, memoryMaxBytes: null, highWater: 0.8, lowWater: 0.5 };
  const scaler = new Mayfly(policyFor(workload, { scaling }));
  return new World(workload, scaler.initial).run(traffic, scaler, seed);
}

describe('a crowd', () => {
  const atMs = 3 * MINUTE_MS;
  const step: Traffic = {
    name: 'step',
    text: '5 a second, and 200 from the third minute on',
    lengthMs: 4 * MINUTE_MS,
    peak: 200,
    rate: () => (nowMs) => (nowMs < atMs ? 5 : 200),
  };

  it.each(WORKLOADS)(
    'of $name is answered within 300 ms, with most of what it needs in one step',
    (workload) => {
      for (const seed of SEEDS) {
        const { decisions } = run(workload, step, seed);
        const before = decisions.findLast((one) => one.atMs < atMs)?.replicas ?? 0;
        const first = decisions.find((one) => one.atMs >= atMs);
        const last = decisions.findLast((one) => one.replicas > 0)?.replicas ?? 0;
        expect((first?.atMs ?? Infinity) - atMs).toBeLessThanOrEqual(300);
        expect((first?.replicas ?? 0) - before).toBeGreaterThanOrEqual(5);
        expect(first?.replicas).toBeGreaterThanOrEqual(0.5 * last);
      }
    },
  );

  it('that wakes an app is answered within 300 ms of its first container', () => {
    const workload = workloadNamed('pages');
    for (const seed of SEEDS) {
      const { decisions } = run(workload, trafficNamed('crowd'), seed);
      const [woken, first] = decisions;
      expect(woken?.replicas).toBe(1);
      expect((first?.atMs ?? Infinity) - (woken?.atMs ?? 0)).toBeLessThanOrEqual(workload.startMs + 300);
    }
  });
});

describe('a load that comes and goes', () => {
  const modes = ['out', 'up', 'up-then-out'] as const;
  it.each([1, 2, 5, 10, 20, 40, 60])(
    'every %i s: at most one change in a cooldown once it has settled',
    (periodS) => {
      for (const mode of modes) {
        const { decisions } = run(workloadNamed('pages'), oscillation(periodS * SECOND_MS, 15), 1, mode);
        const settled = decisions.filter((one) => one.atMs > 2 * MINUTE_MS && one.replicas > 0);
        const gaps = settled.slice(1).map((one, index) => one.atMs - (settled[index]?.atMs ?? 0));
        expect([mode, gaps.filter((gap) => gap < COOLDOWN_IN_MS)]).toEqual([mode, []]);
        expect(settled.length).toBeLessThanOrEqual(3);
      }
    },
  );
});

describe('whatever the traffic', () => {
  const fixed = VARIANTS.filter(({ name }) => ['fixed at 3', 'fixed at 6', 'fixed at 10'].includes(name));

  it.each(TRAFFICS)('$name: no other policy has fewer late requests for less', (traffic) => {
    const workload = workloadNamed('pages');
    const ours = measure(MAYFLY, workload, traffic, [1]);
    const better = [CONCURRENCY, CPU, ...fixed].filter((other) =>
      isBetter(measure(other, workload, traffic, [1]), ours),
    );
    expect(better.map(({ name }) => name)).toEqual([]);
  });

  it.each(TRAFFICS)('$name: it ends with nothing running', (traffic) => {
    const { decisions } = run(
      workloadNamed('waiting'),
      { ...traffic, lengthMs: Math.min(traffic.lengthMs, 6 * MINUTE_MS) },
      1,
    );
    expect(decisions.at(-1)?.replicas).toBe(0);
  });
});
