/** The store suite's part on commits: all or nothing, and no update lost however many write. */
import { expect, it } from 'vitest';
import type { Operation } from '../../src/cmdb/store.ts';
import { container, createTenant, event, expectError, increment, type OpenStore } from './store-fixtures.ts';

export function commitContract(open: OpenStore): void {
  it('leaves nothing of a commit whose last operation fails: no record, claim, event or change', async () => {
    const store = await open();
    const revision = await store.commit([
      createTenant('kept', 'a'),
      createTenant('taker', 'taken'),
      { op: 'create', kind: 'container', record: container('ctr_1') },
      event({ reason: 'before' }),
    ]);
    const snapshot = async () => ({
      tenants: await store.list('tenant'),
      containers: await store.list('container'),
      byClaim: [
        await store.findByClaim('tenant', 'a'),
        await store.findByClaim('tenant', 'b'),
        await store.findByClaim('tenant', 'c'),
      ],
      onNode: await store.list('container', { where: { nodeId: 'node_2' } }),
      events: await store.listEvents(),
      revision: await store.revision(),
    });
    const before = await snapshot();
    expect(before.revision).toBe(revision);

    const changes: Operation[] = [
      createTenant('new', 'b'),
      { op: 'update', kind: 'tenant', id: 'kept', ifGeneration: 1, set: { name: 'n' }, claims: ['c'] },
      { op: 'update', kind: 'container', id: 'ctr_1', ifGeneration: 1, set: { nodeId: 'node_2' } },
      { op: 'delete', kind: 'container', id: 'ctr_1' },
      event({ reason: 'never happened' }),
    ];
    const failures: Operation[] = [
      createTenant('kept'),
      createTenant('other', 'taken'),
      { op: 'delete', kind: 'tenant', id: 'missing' },
      { op: 'update', kind: 'tenant', id: 'taker', ifGeneration: 7, set: { name: 'stale' } },
    ];
    for (const failure of failures) {
      await expect(store.commit([...changes, failure])).rejects.toThrow();
      expect(await snapshot()).toEqual(before);
    }

    // What was rolled back does not count: the next commit goes on from where the last good one ended.
    await store.commit([event({ reason: 'after' })]);
    expect(await store.revision()).toBe(revision + 1);
    const sequences = (await store.listEvents()).map((entry) => entry.sequence);
    expect(sequences).toEqual([1, 2]);
  });

  it('applies the operations in order: a later one sees the ones before', async () => {
    const store = await open();
    await store.commit([
      createTenant('ten_1'),
      { op: 'update', kind: 'tenant', id: 'ten_1', ifGeneration: 1, set: { name: 'second' } },
      { op: 'update', kind: 'tenant', id: 'ten_1', ifGeneration: 2, set: { name: 'third' } },
      createTenant('ten_2', 'a'),
      { op: 'delete', kind: 'tenant', id: 'ten_2' },
    ]);
    expect(await store.get('tenant', 'ten_1')).toMatchObject({ name: 'third', generation: 3 });
    expect(await store.get('tenant', 'ten_2')).toBeUndefined();
    expect(await store.findByClaim('tenant', 'a')).toBeUndefined();
  });

  it('returns the revision after the commit, which an empty commit leaves as it is', async () => {
    const store = await open();
    expect(await store.revision()).toBe(0);
    expect(await store.commit([createTenant('ten_1'), event()])).toBe(2);
    expect(await store.commit([])).toBe(2);
    expect(await store.revision()).toBe(2);
  });

  it('loses no update when many writers change one record at once', async () => {
    const store = await open();
    await store.commit([
      { op: 'create', kind: 'tenant', record: { id: 'ten_1', createdAtMs: 0, name: '0', quota: null } },
    ]);
    const writers = Array.from({ length: 10 }, async () => {
      for (let i = 0; i < 10; i++) await increment(store, 'ten_1');
    });
    await Promise.all(writers);
    expect(await store.get('tenant', 'ten_1')).toMatchObject({ name: '100', generation: 101 });
  });

  it('fails where what it expects has changed, and changes nothing by expecting', async () => {
    const store = await open();
    await store.commit([createTenant('ten_1')]);
    const expecting = (id: string, ifGeneration: number) =>
      store.commit([{ op: 'expect', kind: 'tenant', id, ifGeneration }, event()]);
    expect(await expecting('ten_1', 1)).toBe(2);
    expect(await expecting('ten_2', 0)).toBe(3);
    expect(await store.get('tenant', 'ten_1')).toMatchObject({ generation: 1 });
    await expectError('conflict', expecting('ten_1', 2));
    await expectError('conflict', expecting('ten_1', 0));
    await expectError('not_found', expecting('ten_2', 1));
    expect(await store.revision()).toBe(3);
  });

  it('gives a claim to one of many who want it at once', async () => {
    const store = await open();
    const wishes = Array.from({ length: 20 }, (_, i) => store.commit([createTenant(`ten_${i}`, 'the one')]));
    const outcomes = await Promise.allSettled(wishes);
    expect(outcomes.filter((outcome) => outcome.status === 'fulfilled')).toHaveLength(1);
    expect(await store.list('tenant')).toHaveLength(1);
  });

  it('answers every call with store_unavailable once it is closed, and closes twice without harm', async () => {
    const store = await open();
    await store.commit([createTenant('ten_1', 'a')]);
    await store.close();
    await store.close();
    const calls = [
      store.get('tenant', 'ten_1'),
      store.list('tenant'),
      store.findByClaim('tenant', 'a'),
      store.commit([event()]),
      store.listEvents(),
      store.revision(),
    ];
    for (const call of calls) await expectError('store_unavailable', call);
  });
}
