/**
 * What a node does about what it finds when it starts: the records say what should be here, the engine says what is. A
 * program that was killed at any instant left some mixture of the two; this decides, without doing anything, what becomes
 * of each. Nothing that serves is touched, nothing unknown is kept.
 */
import type { Address, Container, Resources } from '../cmdb/records.ts';
import { isLiving } from '../coreapi/decisions/lifecycle.ts';
import type { EngineContainer } from './engine.ts';

export type Adoption =
  /** It serves, or sleeps: take it over as it is. */
  | {
      readonly action: 'adopt';
      readonly container: Container;
      readonly as: 'ready' | 'paused';
      readonly address: Address;
      /** What the engine gives it. */
      readonly resources: Resources;
    }
  /** Its start, pause, drain or replacement was cut off: stop it and say why. */
  | { readonly action: 'end'; readonly container: Container; readonly reason: string }
  /** It has ended, and its remains are here. */
  | { readonly action: 'keep'; readonly container: Container }
  /** It has ended, and nothing is left of it. */
  | { readonly action: 'forget'; readonly container: Container }
  /** The engine runs it and no record knows it. */
  | { readonly action: 'removeStray'; readonly containerId: string };

/** One for each record and for each container that no record knows. */
export function decideAdoption(records: readonly Container[], found: readonly EngineContainer[]): Adoption[] {
  const byId = new Map(found.map((one) => [one.containerId, one]));
  const known = new Set(records.map((record) => record.id));
  const strays = found.filter((one) => !known.has(one.containerId));
  return [
    ...records.map((record) => decideRecord(record, byId.get(record.id))),
    ...strays.map(({ containerId }): Adoption => ({ action: 'removeStray', containerId })),
  ];
}

function decideRecord(container: Container, here: EngineContainer | undefined): Adoption {
  if (!isLiving(container)) return { action: here ? 'keep' : 'forget', container };
  const { state, slot } = container;
  if (!here || here.status === 'created')
    return { action: 'end', container, reason: 'it was gone when its node came back' };
  if (here.status === 'exited')
    return { action: 'end', container, reason: 'it exited while its node was away' };
  if (state === 'draining')
    return { action: 'end', container, reason: 'its drain was cut off by a restart of its node' };
  if (state === 'planned' || state === 'starting') {
    return { action: 'end', container, reason: 'its start was cut off by a restart of its node' };
  }
  if (typeof slot !== 'number')
    return { action: 'end', container, reason: 'its succession was cut off by a restart of its node' };
  if (!here.address) return { action: 'end', container, reason: 'it has no address any more' };
  return {
    action: 'adopt',
    container,
    as: here.status === 'paused' ? 'paused' : 'ready',
    address: here.address,
    resources: here.resources,
  };
}
