/**
 * A container's life as one table. Nothing else says which state may follow which; docs/lifecycle.md draws this table.
 *
 * `draining` is a one-way street: whoever arrives from then on is served by a successor. Going to sleep is not drawn as
 * draining, because a sleeper can be woken at any moment.
 */
import type { Container, ContainerState } from '../../cmdb/records.ts';
import { PlatformError } from '../../errors.ts';

export const TRANSITIONS: Readonly<Record<ContainerState, readonly ContainerState[]>> = {
  planned: ['starting', 'stopped', 'failed'],
  starting: ['ready', 'stopped', 'failed'],
  ready: ['paused', 'draining', 'failed'],
  paused: ['ready', 'draining', 'failed'],
  draining: ['stopped', 'failed'],
  stopped: [],
  failed: [],
};

/** Neither stopped nor failed: it has, or is about to have, a share of its node. */
export function isLiving(container: { readonly state: ContainerState }): boolean {
  return TRANSITIONS[container.state].length > 0;
}

/** The fields a transition changes. Errors: `invalid_transition`. Staying in a state is no transition and no error. */
export function transition(
  container: Container,
  to: ContainerState,
  reason: string,
  nowMs: number,
): Pick<Container, 'state' | 'reason' | 'enteredAtMs' | 'slot' | 'address'> {
  if (to !== container.state && !TRANSITIONS[container.state].includes(to)) {
    throw new PlatformError(
      'invalid_transition',
      `container ${container.id} is ${container.state} and cannot become ${to}`,
    );
  }
  const leaves = to === 'draining' || to === 'stopped' || to === 'failed';
  const ended = to === 'stopped' || to === 'failed';
  return {
    state: to,
    reason,
    slot: leaves ? null : container.slot,
    address: ended ? null : container.address,
    enteredAtMs: to === container.state ? container.enteredAtMs : { ...container.enteredAtMs, [to]: nowMs },
  };
}
