/**
 * Which place a container that is asked for is to take. Places are numbered and held by claims, and the lowest free one is
 * always taken first: so two who decide at once want the same, one of them loses, and decides anew.
 */
import type { App, Container, Size } from '../../cmdb/records.ts';
import { isLiving } from './lifecycle.ts';
import { wantedReplicas } from './size.ts';

export interface SlotInput {
  /** All of the app, wherever they are. */
  readonly containers: readonly Container[];
  readonly spec: { readonly app: Pick<App, 'policy'>; readonly size: Size };
  readonly request: {
    readonly nodeId: string;
    readonly successor: boolean;
    /** What the node has already. */
    readonly have: readonly string[];
  };
}

export type Seat =
  /** It is recorded for this node, which does not have it: an answer was lost, or its end was. */
  | { readonly choice: 'known'; readonly container: Container }
  /** The same of a successor, although nobody is left to succeed. */
  | { readonly choice: 'promote'; readonly container: Container; readonly slot: number }
  | { readonly choice: 'new'; readonly slot: number | 'next' }
  | { readonly choice: 'enough'; readonly count: number };

/** The place that a container takes which a node asks for, or why there is none to take. */
export function chooseSlot({ containers, spec, request }: SlotInput): Seat {
  const { app, size } = spec;
  const members = containers.filter((one) => isLiving(one) && one.slot !== null);
  const seated = members.filter(({ slot }) => slot !== 'next');
  const next = members.find(({ slot }) => slot === 'next');
  const succeeds = request.successor && seated.length > 0;
  const isUnknown = ({ nodeId, id }: Container) => nodeId === request.nodeId && !request.have.includes(id);

  const known = (succeeds ? members.filter(({ slot }) => slot === 'next') : seated).find(isUnknown);
  if (known) return { choice: 'known', container: known };
  if (succeeds) return next ? { choice: 'enough', count: seated.length } : { choice: 'new', slot: 'next' };

  const awake = seated.filter(({ state }) => state !== 'paused').length;
  const slot = lowestFree(seated);
  if (slot >= app.policy.maxReplicas || awake >= wantedReplicas(app.policy, size, true))
    return { choice: 'enough', count: seated.length };
  if (next && isUnknown(next)) return { choice: 'promote', container: next, slot };
  return { choice: 'new', slot };
}

function lowestFree(seated: readonly Container[]): number {
  const taken = new Set(seated.map(({ slot }) => slot));
  let slot = 0;
  while (taken.has(slot)) slot++;
  return slot;
}
