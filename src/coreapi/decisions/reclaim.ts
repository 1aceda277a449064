/**
 * Room for a container that is wanted now, taken from those that sleep: an app that someone is visiting outranks one
 * that nobody has visited for a while, and the one asleep longest goes first.
 */
import type { Container, Node, Resources } from '../../cmdb/records.ts';
import { fits, reserve } from './placement.ts';

export interface Sleeper {
  readonly containerId: string;
  /** Infinity: it is on its way out already. To wait for that harms nobody, but may take long, so it comes last. */
  readonly pausedAtMs: number;
  readonly resources: Resources;
}

/** Whose room an app may be given: sleeping containers of others, and all that go anyway. */
export function sleepersFor(appId: string, containers: readonly Container[]): Sleeper[] {
  return containers.flatMap((container): Sleeper[] => {
    const { id: containerId, state, enteredAtMs, resources } = container;
    if (state === 'draining') return [{ containerId, pausedAtMs: Infinity, resources }];
    if (state !== 'paused' || container.appId === appId) return [];
    return [{ containerId, pausedAtMs: enteredAtMs.paused ?? 0, resources }];
  });
}

function byAge(a: Sleeper, b: Sleeper): number {
  if (a.pausedAtMs === b.pausedAtMs) return 0;
  return a.pausedAtMs < b.pausedAtMs ? -1 : 1;
}

/** The fewest longest-asleep containers whose end makes room; undefined where even all of them would not. */
export function chooseReclaim(
  node: Node,
  wanted: Pick<Resources, 'cpu' | 'memoryBytes'>,
  sleepers: readonly Sleeper[],
): Sleeper[] | undefined {
  const chosen: Sleeper[] = [];
  let after = node;
  for (const sleeper of sleepers.toSorted(byAge)) {
    if (fits(after, wanted)) break;
    chosen.push(sleeper);
    after = { ...after, reserved: reserve(after, sleeper.resources, -1) };
  }
  return fits(after, wanted) ? chosen : undefined;
}
