/**
 * What requests of an app take. One container of each can serve 12.5 times `factor` a second, and no more; but for `roomy`, whose
 * target says far less than a container bears.
 */
import type { Workload } from './world.ts';

const PAGES: Workload = {
  name: 'pages',
  text: '40 ms of CPU (exponential) on half a core, started in 0.35 s',
  request: (random) => ({ waitMs: 0, cpuMs: random.exponential(40) }),
  cpu: 0.5,
  target: 5,
  limit: 20,
  latencyTargetMs: 400,
  factor: 1,
  startMs: 350,
};

export const WORKLOADS: readonly Workload[] = [
  PAGES,
  { ...PAGES, name: 'slow start', text: 'the same, started in 3 s', startMs: 3_000 },
  {
    ...PAGES,
    name: 'heavy tail',
    text: 'the same, but the CPU time has a heavy tail (Pareto, shape 2.2)',
    request: (random) => ({ waitMs: 0, cpuMs: random.heavyTailed(40) }),
  },
  {
    ...PAGES,
    name: 'one by one',
    text: 'the same as pages, but a container takes one request at a time',
    target: 1,
    limit: 1,
  },
  {
    ...PAGES,
    name: 'waiting',
    text: '200 ms of waiting for others (exponential) and 2 ms of CPU; a container has eight workers',
    request: (random) => ({ waitMs: random.exponential(200), cpuMs: random.exponential(2) }),
    limit: 8,
    latencyTargetMs: 1_000,
    factor: 3.2,
  },
  {
    ...PAGES,
    name: 'roomy',
    text: 'the same as waiting, but a container bears four times its target and answers no slower',
    request: (random) => ({ waitMs: random.exponential(200), cpuMs: random.exponential(2) }),
    latencyTargetMs: 1_000,
    factor: 2,
  },
];

export function workloadNamed(name: string): Workload {
  const found = WORKLOADS.find((one) => one.name === name);
  if (!found) throw new Error(`there is no workload ${name}`);
  return found;
}
