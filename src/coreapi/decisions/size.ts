/**
 * The size an app is wanted at: its policy is the floor and the ceiling, its `Size` record what has been decided in
 * between. Whoever starts, stops or resizes a container asks here.
 */
import type { Policy, Resources, Size } from '../../cmdb/records.ts';

/** What has been decided of an app's size. */
export type Decided = Pick<Size, 'replicas' | 'cpu' | 'memoryBytes'>;

/** Of an app that has not been scaled: generation 0 is that of a record which is not there yet. */
export function unscaled(appId: string): Size {
  return {
    id: appId,
    generation: 0,
    createdAtMs: 0,
    replicas: 0,
    cpu: null,
    memoryBytes: null,
    reason: '',
    changedAtMs: {},
  };
}

/** Containers that are to be ready. `isAwake`: at least one serves, is about to, or is asked for. */
export function wantedReplicas(
  policy: Pick<Policy, 'minReplicas' | 'maxReplicas'>,
  { replicas }: Pick<Size, 'replicas'>,
  isAwake: boolean,
): number {
  return Math.min(policy.maxReplicas, Math.max(policy.minReplicas, replicas, isAwake ? 1 : 0));
}

/** Whether somebody has to see to it that it has containers although nobody asks for them, now or at certain hours. */
export function isWantedAnyway(
  policy: Pick<Policy, 'minReplicas' | 'maxReplicas' | 'keepWarm'>,
  size: Pick<Size, 'replicas'>,
): boolean {
  return policy.keepWarm.length > 0 || wantedReplicas(policy, size, false) > 0;
}

/** What each container is to have. A bound of the policy that was moved since the decision holds. */
export function wantedResources(policy: Policy, { cpu, memoryBytes }: Omit<Decided, 'replicas'>): Resources {
  const { cpuMax, memoryMaxBytes } = policy.scaling;
  return {
    cpu: Math.max(policy.cpu, Math.min(cpu ?? policy.cpu, cpuMax ?? Infinity)),
    memoryBytes: Math.max(
      policy.memoryBytes,
      Math.min(memoryBytes ?? policy.memoryBytes, memoryMaxBytes ?? Infinity),
    ),
    pidsMax: policy.pidsMax,
  };
}

/** Whether there is nothing to change. */
export function sameResources(a: Resources, b: Resources): boolean {
  return a.cpu === b.cpu && a.memoryBytes === b.memoryBytes && a.pidsMax === b.pidsMax;
}

/** A sum of fractions such as 0.1, without what adding them made of it: a millionth of a core is nobody's. */
export function withoutDrift(cpu: number): number {
  return Math.round(cpu * 1e6) / 1e6;
}
