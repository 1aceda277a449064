import { claims } from '../cmdb/claims.ts';
import type { Container } from '../cmdb/records.ts';
import type { Operation, Store } from '../cmdb/store.ts';
import { isPlatformError, PlatformError } from '../errors.ts';

/** The operation that gives a successor its place among those that serve. */
export function promotion({ id, generation, appId }: Container, slot: number): Operation {
  return {
    op: 'update',
    kind: 'container',
    id,
    ifGeneration: generation,
    set: { slot },
    claims: [claims.slot(appId, slot)],
  };
}

/** Commits what concerns places: one that was taken meanwhile is a race lost like any other (`conflict`). */
export async function commitSlots(store: Store, operations: readonly Operation[]): Promise<void> {
  try {
    await store.commit(operations);
  } catch (thrown) {
    if (!isPlatformError(thrown, 'name_taken')) throw thrown;
    throw new PlatformError('conflict', thrown.message, { cause: thrown });
  }
}
