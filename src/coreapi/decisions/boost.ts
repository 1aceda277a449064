/**
 * More CPU while a container starts: a runtime that loads itself wants a whole core for a moment, and a fraction of one ever
 * after. It is lent, not given: it is not part of a container's size, nothing is reserved for it, and no more is lent than
 * nobody has reserved.
 */
import type { Policy, Resources } from '../../cmdb/records.ts';

export interface BoostInput {
  readonly policy: Pick<Policy, 'boost'>;
  /** What the container has of its own. */
  readonly resources: Resources;
  /** CPU of the node that nobody has reserved, and what of that is lent to others at this moment. */
  readonly spareCpu: number;
  readonly lentCpu: number;
  /** Of the machine: no engine gives a container more than that. */
  readonly cores: number;
}

/** What a container has while it starts, in cores; undefined: just its own. */
export function boostedCpu({ policy, resources, spareCpu, lentCpu, cores }: BoostInput): number | undefined {
  const { cpu } = policy.boost;
  if (cpu === null) return undefined;
  const most = Math.min(cpu, cores, resources.cpu + Math.max(0, spareCpu - lentCpu));
  const granted = Math.floor(most * 100 + 1e-6) / 100;
  return granted > resources.cpu ? granted : undefined;
}
