/**
 * The memory store stands in for SQLite in simulations, so the two must not differ: the same random commits, good and
 * bad, have the same outcomes and leave the same state.
 */
import fc from 'fast-check';
import { expect, it } from 'vitest';
import { openMemoryStore } from '../../src/cmdb/memory.ts';
import type { Operation, Store } from '../../src/cmdb/store.ts';
import { container, createTenant, event, takeChanges } from '../contract/store-fixtures.ts';
import { storeSupport } from './store-support.ts';

const { newPath, open } = storeSupport();

const TENANTS = ['ten_1', 'ten_2', 'ten_3'];
const CONTAINERS = ['ctr_1', 'ctr_2'];
const CLAIMS = ['a', 'b', 'c'];
const NODES = ['node_1', 'node_2'];

const generation = fc.integer({ min: 1, max: 4 });
const claims = fc.subarray(CLAIMS);
const operation: fc.Arbitrary<Operation> = fc.oneof(
  fc.tuple(fc.constantFrom(...TENANTS), claims).map(([id, own]) => createTenant(id, ...own)),
  fc
    .record({ id: fc.constantFrom(...TENANTS), ifGeneration: generation, claims: fc.option(claims) })
    .map(({ id, ifGeneration, claims: own }): Operation => {
      const set = { name: `${id} after ${ifGeneration}` };
      return { op: 'update', kind: 'tenant', id, ifGeneration, set, ...(own && { claims: own }) };
    }),
  fc.constantFrom(...TENANTS).map((id): Operation => ({ op: 'delete', kind: 'tenant', id })),
  fc.tuple(fc.constantFrom(...CONTAINERS), fc.constantFrom(...NODES)).map(([id, nodeId]): Operation => ({
    op: 'create',
    kind: 'container',
    record: container(id, { nodeId }),
  })),
  fc
    .tuple(fc.constantFrom(...CONTAINERS), generation, fc.constantFrom(...NODES))
    .map(([id, ifGeneration, nodeId]): Operation => {
      return { op: 'update', kind: 'container', id, ifGeneration, set: { nodeId } };
    }),
  fc
    .tuple(fc.constantFrom(...CONTAINERS), generation)
    .map(([id, ifGeneration]): Operation => ({ op: 'delete', kind: 'container', id, ifGeneration })),
  fc.constantFrom(...CONTAINERS).map((containerId) => event({ containerId })),
);
const commits = fc.array(fc.array(operation, { maxLength: 4 }), { maxLength: 20 });

it('memory and SQLite have the same outcomes and the same state after the same commits', async () => {
  const retention = { maxEvents: 4, maxChanges: 20 };
  await fc.assert(
    fc.asyncProperty(commits, async (batches) => {
      const memory = openMemoryStore({ retention });
      const sqlite = open({ path: newPath(), retention });
      for (const batch of batches) expect(await outcome(memory, batch)).toEqual(await outcome(sqlite, batch));
      expect(await stateOf(memory)).toEqual(await stateOf(sqlite));
      await sqlite.close();
    }),
    { numRuns: 60 },
  );
});

async function outcome(store: Store, batch: Operation[]): Promise<unknown> {
  try {
    return await store.commit(batch);
  } catch (error) {
    const { code, message, fields } = error as { code: string; message: string; fields: unknown };
    return { code, message, fields };
  }
}

async function stateOf(store: Store): Promise<unknown> {
  const revision = await store.revision();
  const since = Math.max(0, revision - 20);
  return {
    revision,
    tenants: await store.list('tenant'),
    containers: await store.list('container'),
    byNode: await Promise.all(NODES.map((nodeId) => store.list('container', { where: { nodeId } }))),
    holders: await Promise.all(CLAIMS.map((claim) => store.findByClaim('tenant', claim))),
    events: await store.listEvents(),
    eventsOfOne: await store.listEvents({ containerId: 'ctr_1', after: 1, limit: 2 }),
    changes: revision === 0 ? [] : await takeChanges(store, since, revision - since),
  };
}
