/**
 * Which size a demand makes of an app: wider, stronger, or first the one and then the other, within the bounds of its policy.
 */
import type { Policy } from '../../cmdb/records.ts';
import type { Demand } from './load-demand.ts';
import type { LoadContext } from './load.ts';
import type { Extent } from './scale.ts';

/** The parts of a policy that load is bounded by. */
export type LoadPolicy = Pick<
  Policy,
  'cpu' | 'memoryBytes' | 'minReplicas' | 'maxReplicas' | 'spares' | 'scaling' | 'concurrency'
>;

/** Shares of what a container has: of its CPU and memory; and of its places, where the target takes the place of `aim`. */
export interface Water {
  /** Fuller than that, and the app grows. */
  readonly high: number;
  /** Any new size is chosen to be so full. */
  readonly aim: number;
  /** Less full than that, and it shrinks. */
  readonly low: number;
}

/** The most that one container can have. */
export type Ceiling = Pick<Extent, 'cpu' | 'memoryBytes'>;

type Shape = Pick<Extent, 'replicas' | 'cpu'>;

/** CPU is given in twentieths of a core, memory in steps of 16 MiB: nobody notices finer ones. */
const CPU_STEPS = 20;
const MEMORY_STEP_BYTES = 16 * 2 ** 20;

/** The marks of a policy, and the middle between them, at which changes aim. */
export function waterOf({ scaling: { highWater, lowWater } }: LoadPolicy): Water {
  return { high: highWater, low: lowWater, aim: (highWater + lowWater) / 2 };
}

/** Whether load may change how many containers there are, and what each of them has. */
export function modesOf({ scaling: { mode } }: LoadPolicy): {
  readonly wide: boolean;
  readonly strong: boolean;
} {
  const both = mode === 'up-then-out';
  return { wide: both || mode === 'out', strong: both || mode === 'up' };
}

/** How full an app of this size is; 1 is what is aimed at. */
export function fillOf(
  demand: Demand,
  { replicas, cpu }: Extent,
  policy: LoadPolicy,
  { aim }: Water,
): { readonly cpu: number; readonly places: number } {
  return {
    cpu: demand.cpu / (aim * replicas * cpu),
    places: demand.places / (policy.concurrency.target * replicas),
  };
}

/**
 * The size that a demand makes an app of size `present` grow to: for more demand never fewer containers, nor less CPU in all
 * than what rounding each one's up has added.
 */
export function grownFor(
  { cpu: needed, places }: Demand,
  present: Extent,
  { policy, machine }: Pick<LoadContext, 'policy' | 'machine'>,
): Shape {
  const { wide, strong } = modesOf(policy);
  const cores = needed / waterOf(policy).aim;
  const ceiling = Math.min(policy.scaling.cpuMax ?? Infinity, machine.cpu);
  const most = strong ? Math.max(present.cpu, ceiling) : present.cpu;
  const forCpu = ceil(cores / most);
  const forPlaces = ceil(places / policy.concurrency.target);
  const width = Math.min(wide ? Math.max(forCpu, forPlaces) : 0, policy.maxReplicas);
  const replicas = Math.max(present.replicas, width);
  // More containers help once they have started; till then, those that are there have to do.
  const each = forCpu > present.replicas ? most : ceilCpu(cores / replicas);
  return { replicas, cpu: Math.max(present.cpu, Math.min(each, most)) };
}

/** The size that would have been enough for a demand: fewer containers of the same strength, and weaker ones. */
export function shrunkFor(
  { cpu: needed, places }: Demand,
  present: Extent,
  policy: LoadPolicy,
  { aim }: Water,
): Shape {
  const { wide, strong } = modesOf(policy);
  const cores = needed / aim;
  const width = Math.max(
    1,
    policy.minReplicas,
    ceil(cores / present.cpu),
    ceil(places / policy.concurrency.target),
  );
  const replicas = wide ? Math.min(present.replicas, width) : present.replicas;
  const each = strong ? Math.max(policy.cpu, ceilCpu(cores / replicas)) : present.cpu;
  return { replicas, cpu: Math.min(present.cpu, each) };
}

/** Memory for a container that uses so much: never less than that, nor than its policy says. */
export function memoryFor(
  usedBytes: number,
  { policy, machine }: Pick<LoadContext, 'policy' | 'machine'>,
): number {
  const wanted = ceil(usedBytes / waterOf(policy).aim / MEMORY_STEP_BYTES) * MEMORY_STEP_BYTES;
  const most = Math.min(policy.scaling.memoryMaxBytes ?? Infinity, machine.memoryBytes);
  return Math.max(policy.memoryBytes, Math.min(wanted, most));
}

function ceilCpu(cores: number): number {
  return ceil(cores * CPU_STEPS) / CPU_STEPS;
}

/** Sums of fractions drift: what is a millionth above a whole number is that number. */
function ceil(value: number): number {
  return Math.ceil(value - 1e-6);
}
