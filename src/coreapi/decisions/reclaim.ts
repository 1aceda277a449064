/**
 * Room for a container that is wanted now, taken from those that sleep: an app that someone is visiting outranks one
 * that nobody has visited for a while, and the one asleep longest goes first.
 */
import type { Node, Resources } from '../../cmdb/records.ts';
import { fits, reserve } from './placement.ts';

export interface Sleeper {
  readonly containerId: string;
  readonly pausedAtMs: number;
  readonly resources: Resources;
}

/** The fewest longest-asleep containers whose end makes room; undefined where even all of them would not. */
export function chooseReclaim(
  node: Node,
  wanted: Pick<Resources, 'cpu' | 'memoryBytes'>,
  sleepers: readonly Sleeper[],
): Sleeper[] | undefined {
  const chosen: Sleeper[] = [];
  let after = node;
  for (const sleeper of sleepers.toSorted((a, b) => a.pausedAtMs - b.pausedAtMs)) {
    if (fits(after, wanted)) break;
    chosen.push(sleeper);
    after = { ...after, reserved: reserve(after, sleeper.resources, -1) };
  }
  return fits(after, wanted) ? chosen : undefined;
}
