import type { Policy } from '../../cmdb/records.ts';

/** The share of a lifetime that is left to chance, so that a fleet started at once does not end at once. */
export const LIFETIME_JITTER = 0.1;

/** When a container planned now has to be replaced. `chance` is in [0, 1). */
export function expiry(policy: Pick<Policy, 'lifetimeMs'>, nowMs: number, chance: number): number | null {
  return policy.lifetimeMs === null
    ? null
    : nowMs + Math.round(policy.lifetimeMs * (1 - LIFETIME_JITTER * chance));
}
