/**
 * A program that is the whole platform is its only node. Others that its database knows came with it from elsewhere, as in a
 * backup that was restored without the rest of its folder: they never return, so what ran on them has ended, and what they
 * had to give away is nobody's.
 */
import type { Clock } from '../clock.ts';
import type { Node } from '../cmdb/records.ts';
import type { Operation, Store } from '../cmdb/store.ts';
import { isLiving } from './decisions/lifecycle.ts';
import { containerEvent, eventOperation } from './event-operations.ts';
import { listAll } from './list-all.ts';

/** Removes all nodes but this one, with their containers. Errors: the store's. */
export async function removeOtherNodes(store: Store, clock: Clock, nodeId: string): Promise<void> {
  for (const node of await listAll(store, 'node', {}))
    if (node.id !== nodeId) await store.commit(await removal(store, node, clock.nowMs()));
}

async function removal(store: Store, { id, name }: Node, nowMs: number): Promise<Operation[]> {
  const containers = await listAll(store, 'container', { nodeId: id });
  const living = containers.filter(isLiving);
  const reason = `its node ${name} (${id}) is no more`;
  const figures = { containers: living.length };
  return [
    ...living.map((one) => containerEvent({ ...one, state: 'failed', reason }, nowMs, { from: one.state })),
    ...containers.map((one): Operation => ({ op: 'delete', kind: 'container', id: one.id })),
    { op: 'delete', kind: 'node', id },
    eventOperation(
      {
        type: 'node.removed',
        appId: null,
        containerId: null,
        reason: `node ${name} is not the one that runs here`,
        figures,
      },
      nowMs,
      id,
    ),
  ];
}
