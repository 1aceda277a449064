/**
 * Policies side by side, on the same requests: how many were late, and what it took. One policy is better than another where it
 * is better at both; most are better at one.
 */
import { Mayfly, policyFor } from './mayfly.ts';
import { ConcurrencyTarget, CpuTarget, fixed, MAX_REPLICAS } from './references.ts';
import type { Traffic } from './traffic.ts';
import { World, type Scaler, type Workload } from './world.ts';

export interface Contender {
  readonly name: string;
  /** Those of a kind differ in one setting. */
  readonly kind: 'mayfly' | 'fixed' | 'concurrency' | 'cpu';
  make(workload: Workload): Scaler;
}

/** Means over the seeds. */
export interface Result {
  readonly contender: Contender;
  /** Share of the requests that were over the latency target or turned away. */
  readonly late: number;
  readonly containerSeconds: number;
  readonly decisions: number;
}

export const MAYFLY: Contender = {
  name: 'Mayfly',
  kind: 'mayfly',
  make: (workload) => new Mayfly(policyFor(workload)),
};
export const CONCURRENCY = concurrencyContender(1);
export const CPU = cpuContender(0.7);

/** The same policies with other settings: their frontier. */
export const VARIANTS: readonly Contender[] = [
  ...[0.4, 2, 4].map(concurrencyContender),
  ...[0.5, 0.9].map(cpuContender),
  ...[1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 16].map(fixedContender),
];

function fixedContender(replicas: number): Contender {
  return { name: `fixed at ${replicas}`, kind: 'fixed', make: () => fixed(replicas) };
}

function concurrencyContender(factor: number): Contender {
  const name = factor === 1 ? 'concurrency target' : `concurrency target × ${factor}`;
  return {
    name,
    kind: 'concurrency',
    make: ({ target }) => new ConcurrencyTarget(Math.max(1, target * factor)),
  };
}

function cpuContender(target: number): Contender {
  return { name: `CPU target ${100 * target}%`, kind: 'cpu', make: () => new CpuTarget(target) };
}

export function measure(
  contender: Contender,
  workload: Workload,
  traffic: Traffic,
  seeds: readonly number[],
): Result {
  let late = 0;
  let requests = 0;
  let containerSeconds = 0;
  let decisions = 0;
  for (const seed of seeds) {
    const scaler = contender.make(workload);
    const outcome = new World(workload, scaler.initial).run(traffic, scaler, seed);
    late += outcome.late;
    requests += outcome.requests;
    containerSeconds += outcome.containerSeconds / seeds.length;
    decisions += outcome.decisions.length / seeds.length;
  }
  return { contender, late: late / requests, containerSeconds, decisions };
}

/** Less than that is no difference: so much do two runs of the same policy differ. */
const SAME_LATE = 0.001;
const SAME_COST = 0.02;

/** Whether `a` is better than `b` at one thing, and no worse at the other. */
export function isBetter(a: Result, b: Result): boolean {
  const later = (b.late - a.late) / SAME_LATE;
  const dearer = (b.containerSeconds / a.containerSeconds - 1) / SAME_COST;
  return later > -1 && dearer > -1 && (later > 1 || dearer > 1);
}

/** The smallest fixed size that has no more late requests than `result`; undefined: none has. */
export function smallestFixed(
  result: Result,
  workload: Workload,
  traffic: Traffic,
  seeds: readonly number[],
): Result | undefined {
  let best: Result | undefined;
  for (let low = 1, high = MAX_REPLICAS; low <= high;) {
    const middle = Math.floor((low + high) / 2);
    const measured = measure(fixedContender(middle), workload, traffic, seeds);
    if (measured.late <= result.late + SAME_LATE) {
      best = measured;
      high = middle - 1;
    } else low = middle + 1;
  }
  return best;
}
