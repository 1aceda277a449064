/**
 * Whether an app becomes wider, narrower, stronger or weaker. Three ask for it: a person (an *instruction*, which is carried
 * out or refused with the bound it hurt), *load* (which does what it may at this moment: its mode, its cooldowns and its bounds
 * hold it back without an error), and *silence* (an app that falls asleep goes back to its policy's size).
 */
import type { Policy, Quota, Resources, ScaleDirection, Size } from '../../cmdb/records.ts';
import type { FieldError } from '../../errors.ts';
import { wantedReplicas, wantedResources, withoutDrift, type Decided } from './size.ts';
import { formatBytes } from '../../units.ts';
import { countText } from './words.ts';

export type ScaleBy = 'instruction' | 'load' | 'silence';

/** How many containers, and what each of them has. */
export interface Extent {
  readonly replicas: number;
  readonly cpu: number;
  readonly memoryBytes: number;
}

export interface ScaleInput {
  readonly policy: Policy;
  readonly size: Size;
  /** Containers of the app that serve or are about to. */
  readonly awake: number;
  readonly by: ScaleBy;
  /** What is left out stays. */
  readonly wanted: Partial<Extent>;
}

/** Why load does not get what it asks for. */
export type Obstacle = 'mode' | 'cooldown' | 'quota' | 'capacity';

export type ScaleDecision =
  | {
      readonly action: 'change';
      readonly from: Extent;
      readonly to: Extent;
      readonly directions: readonly ScaleDirection[];
      /** What the record says from now on. */
      readonly set: Decided;
    }
  /** It is so already, or load may not do it now. */
  | {
      readonly action: 'none';
      readonly from: Extent;
      readonly because: 'already' | Obstacle;
      /** When the cooldown is over; epoch ms. */
      readonly notBeforeMs?: number;
    }
  /** An instruction that the policy does not allow. */
  | { readonly action: 'refuse'; readonly fields: readonly FieldError[] };

export function decideScale(input: ScaleInput, nowMs: number): ScaleDecision {
  const { policy, size, awake, by } = input;
  const from = extentOf(policy, size, awake > 0);
  if (by === 'silence') return fallAsleep(policy, size, from);
  if (by === 'instruction') {
    const fields = outOfBounds(policy, input.wanted);
    if (fields.length > 0) return { action: 'refuse', fields };
  }
  let to = { ...from, ...clamp(policy, input.wanted) };
  if (by === 'load') {
    const wide = permitted(input, breadth(from, to), nowMs);
    const strong = permitted(input, strength(from, to), nowMs);
    if (!wide.may) to = { ...to, replicas: from.replicas };
    if (!strong.may) to = { ...to, cpu: from.cpu, memoryBytes: from.memoryBytes };
    const held = !wide.may ? wide : !strong.may ? strong : undefined;
    if (held && directionsOf(from, to).length === 0) return { action: 'none', from, ...held.why };
  }
  const directions = directionsOf(from, to);
  if (directions.length === 0) return { action: 'none', from, because: 'already' };
  const set = {
    replicas: to.replicas === from.replicas ? size.replicas : to.replicas,
    cpu: to.cpu === policy.cpu ? null : to.cpu,
    memoryBytes: to.memoryBytes === policy.memoryBytes ? null : to.memoryBytes,
  };
  return { action: 'change', from, to, directions, set };
}

function extentOf(policy: Policy, size: Decided, isAwake: boolean): Extent {
  const { cpu, memoryBytes } = wantedResources(policy, size);
  return { replicas: wantedReplicas(policy, size, isAwake), cpu, memoryBytes };
}

/** No cooldown begins here: whoever wakes it may find a crowd. */
function fallAsleep(policy: Policy, size: Size, from: Extent): ScaleDecision {
  const set = { replicas: 0, cpu: null, memoryBytes: null };
  if (size.replicas === 0 && size.cpu === null && size.memoryBytes === null)
    return { action: 'none', from, because: 'already' };
  return { action: 'change', from, to: extentOf(policy, set, false), directions: [], set };
}

function directionsOf(from: Extent, to: Extent): ScaleDirection[] {
  const wide = breadth(from, to);
  const strong = strength(from, to);
  return [...(wide ? [wide] : []), ...(strong ? [strong] : [])];
}

/** More of one thing and less of the other counts as more. */
function strength(from: Extent, to: Extent): 'up' | 'down' | undefined {
  if (to.cpu > from.cpu || to.memoryBytes > from.memoryBytes) return 'up';
  return to.cpu < from.cpu || to.memoryBytes < from.memoryBytes ? 'down' : undefined;
}

function breadth(from: Extent, to: Extent): 'out' | 'in' | undefined {
  if (to.replicas === from.replicas) return undefined;
  return to.replicas > from.replicas ? 'out' : 'in';
}

type Permission =
  | { readonly may: true }
  | {
      readonly may: false;
      readonly why: { readonly because: 'mode' | 'cooldown'; readonly notBeforeMs?: number };
    };

function permitted(
  { policy, size }: ScaleInput,
  direction: ScaleDirection | undefined,
  nowMs: number,
): Permission {
  if (direction === undefined) return { may: true };
  const { mode } = policy.scaling;
  const isWide = direction === 'out' || direction === 'in';
  if (mode !== 'up-then-out' && mode !== (isWide ? 'out' : 'up'))
    return { may: false, why: { because: 'mode' } };
  const notBeforeMs = cooledAtMs(policy, size, direction, nowMs);
  if (nowMs < notBeforeMs) return { may: false, why: { because: 'cooldown', notBeforeMs } };
  return { may: true };
}

/**
 * To shrink right after growing would be flapping; to grow again after shrinking is what a crowd needs. What seems to have
 * happened later than now was noted by a clock that was ahead, and holds nothing back.
 */
export function cooledAtMs(
  { cooldownMs }: Pick<Policy, 'cooldownMs'>,
  { changedAtMs }: Pick<Size, 'changedAtMs'>,
  direction: ScaleDirection,
  nowMs: number,
): number {
  const growth = direction === 'in' ? changedAtMs.out : direction === 'down' ? changedAtMs.up : undefined;
  const stamps = [changedAtMs[direction] ?? -Infinity, growth ?? -Infinity];
  return Math.max(-Infinity, ...stamps.filter((atMs) => atMs <= nowMs)) + cooldownMs[direction];
}

function bounds(
  policy: Policy,
): Record<keyof Extent, { min: number; max: number; least: string; most: string }> {
  const { cpuMax, memoryMaxBytes } = policy.scaling;
  return {
    replicas: {
      min: Math.max(1, policy.minReplicas),
      max: policy.maxReplicas,
      least: policy.minReplicas > 0 ? 'minReplicas' : 'one: silence ends the last container',
      most: 'maxReplicas',
    },
    cpu: { min: policy.cpu, max: cpuMax ?? Infinity, least: 'cpu', most: 'scaling.cpuMax' },
    memoryBytes: {
      min: policy.memoryBytes,
      max: memoryMaxBytes ?? Infinity,
      least: 'memoryBytes',
      most: 'scaling.memoryMaxBytes',
    },
  };
}

const KEYS = ['replicas', 'cpu', 'memoryBytes'] as const;

function clamp(policy: Policy, wanted: Partial<Extent>): Partial<Extent> {
  const limits = bounds(policy);
  const clamped: { -readonly [K in keyof Extent]?: number } = {};
  for (const key of KEYS) {
    const value = wanted[key];
    if (value !== undefined) clamped[key] = Math.max(limits[key].min, Math.min(value, limits[key].max));
  }
  return clamped;
}

function outOfBounds(policy: Policy, wanted: Partial<Extent>): FieldError[] {
  const limits = bounds(policy);
  return KEYS.flatMap((field): FieldError[] => {
    const value = wanted[field];
    const { min, max, least, most } = limits[field];
    if (value === undefined || (value >= min && value <= max)) return [];
    const bound = value < min ? `at least ${min} (${least})` : `at most ${max} (${most} of its policy)`;
    return [{ field, reason: `must be ${bound}, but is ${value}` }];
  });
}

/** What is too much for the tenant, in words; undefined where it all fits. `others` is what its other apps have. */
export function overQuota(quota: Quota, others: Quota, to: Extent): string | undefined {
  const whole: Quota = {
    containers: others.containers + to.replicas,
    cpu: others.cpu + to.replicas * to.cpu,
    memoryBytes: others.memoryBytes + to.replicas * to.memoryBytes,
  };
  const inWords = {
    containers: (count: number) => countText(count, 'container'),
    cpu: (cores: number) => `${withoutDrift(cores)} CPU`,
    memoryBytes: (bytes: number) => `${formatBytes(bytes)} of memory`,
  } as const;
  for (const key of ['containers', 'cpu', 'memoryBytes'] as const) {
    // Sums of fractions such as 0.1 drift; a millionth of a core is nobody's.
    if (whole[key] > quota[key] + 1e-6)
      return `the tenant would have ${inWords[key](whole[key])} in all, and may have ${inWords[key](quota[key])}`;
  }
  return undefined;
}

/** What others of the tenant have together. */
export function sum(resources: readonly Resources[]): Quota {
  return {
    containers: resources.length,
    cpu: resources.reduce((total, { cpu }) => total + cpu, 0),
    memoryBytes: resources.reduce((total, { memoryBytes }) => total + memoryBytes, 0),
  };
}

/** `1 → 3 containers, 0.3 → 0.6 CPU`. */
export function describeScale(from: Extent, to: Extent): string {
  const parts = [
    ...(from.replicas === to.replicas ? [] : [`${from.replicas} → ${to.replicas} containers`]),
    ...(from.cpu === to.cpu ? [] : [`${from.cpu} → ${to.cpu} CPU`]),
    ...(from.memoryBytes === to.memoryBytes
      ? []
      : [`${formatBytes(from.memoryBytes)} → ${formatBytes(to.memoryBytes)} of memory`]),
  ];
  return parts.join(', ') || 'its policy’s size';
}
