/** The store suite's part on its two logs: events, for people, and changes, for watchers. */
import { expect, it } from 'vitest';
import type { Change, EventFilter, Store } from '../../src/cmdb/store.ts';
import { createTenant, event, expectError, type OpenStore, takeChanges } from './store-fixtures.ts';

export function eventContract(open: OpenStore): void {
  const sequences = async (store: Store, filter?: EventFilter) =>
    (await store.listEvents(filter)).map((entry) => entry.sequence);
  const appendEvents = async (store: Store, count: number) => {
    for (let i = 0; i < count; i++) await store.commit([event()]);
  };

  it('gives an event back whole, with its sequence', async () => {
    const store = await open();
    await store.commit([event({ reason: 'why', figures: { ms: 1.5, app: 'a', cold: true } })]);
    expect(await store.listEvents()).toEqual([
      {
        sequence: 1,
        atMs: 1_700_000_000_000,
        type: 'container.ready',
        appId: 'app_1',
        containerId: 'ctr_1',
        nodeId: 'node_1',
        reason: 'why',
        figures: { ms: 1.5, app: 'a', cold: true },
      },
    ]);
  });

  it('gives the newest events, those after one, or those before one, always oldest first', async () => {
    const store = await open();
    await appendEvents(store, 10);
    expect(await sequences(store, { limit: 3 })).toEqual([8, 9, 10]);
    expect(await sequences(store, { limit: 3, after: 2 })).toEqual([3, 4, 5]);
    expect(await sequences(store, { limit: 3, before: 8 })).toEqual([5, 6, 7]);
    expect(await sequences(store, { after: 10 })).toEqual([]);
    expect(await sequences(store, { before: 1 })).toEqual([]);
    expect(await sequences(store, { after: 0 })).toHaveLength(10);
  });

  it('filters by app and by container', async () => {
    const store = await open();
    await store.commit([
      event({ appId: 'app_1', containerId: 'ctr_1' }),
      event({ appId: 'app_1', containerId: 'ctr_2' }),
      event({ appId: 'app_2', containerId: 'ctr_3' }),
      event({ appId: null, containerId: null }),
      event({ appId: 'app_1', containerId: 'ctr_1' }),
    ]);
    expect(await sequences(store, { appId: 'app_1' })).toEqual([1, 2, 5]);
    expect(await sequences(store, { containerId: 'ctr_1' })).toEqual([1, 5]);
    expect(await sequences(store, { appId: 'app_1', containerId: 'ctr_3' })).toEqual([]);
    expect(await sequences(store, { appId: 'app_1', after: 1, limit: 1 })).toEqual([2]);
    expect(await sequences(store, { appId: 'app_1', before: 5, limit: 1 })).toEqual([2]);
    expect(await sequences(store)).toHaveLength(5);
  });

  it('gives 100 events unless told, and refuses bounds that make no sense', async () => {
    const store = await open();
    await store.commit(Array.from({ length: 120 }, () => event()));
    expect(await sequences(store)).toHaveLength(100);
    await expectError('bad_request', store.listEvents({ limit: 0 }));
    await expectError('bad_request', store.listEvents({ limit: 1001 }));
    await expectError('bad_request', store.listEvents({ after: 1, before: 3 }));
  });

  it('keeps as many events as told, the newest', async () => {
    const store = await open({ maxEvents: 5 });
    await appendEvents(store, 7);
    expect(await sequences(store)).toEqual([3, 4, 5, 6, 7]);
    expect(await sequences(store, { after: 0 })).toEqual([3, 4, 5, 6, 7]);
    await store.commit(Array.from({ length: 2000 }, () => event()));
    expect(await sequences(store, { appId: 'app_1' })).toEqual([2003, 2004, 2005, 2006, 2007]);
    expect(await sequences(store, { before: 2004 })).toEqual([2003]);
  });
}

export function watchContract(open: OpenStore): void {
  /** Follows the feed until told to stop; `done` tells how it ended. */
  function follow(store: Store, since: number) {
    const changes: Change[] = [];
    const abort = new AbortController();
    const done = (async () => {
      for await (const change of store.watch(since, abort.signal)) changes.push(change);
    })();
    return { changes, abort: () => abort.abort(), done };
  }

  it('tells every kind of change from the beginning, in the order of the commits', async () => {
    const store = await open();
    await store.commit([createTenant('ten_1'), event()]);
    await store.commit([{ op: 'update', kind: 'tenant', id: 'ten_1', ifGeneration: 1, set: { name: 'n' } }]);
    await store.commit([{ op: 'delete', kind: 'tenant', id: 'ten_1' }]);
    expect(await takeChanges(store, 0, 4)).toEqual([
      { revision: 1, op: 'create', kind: 'tenant', id: 'ten_1' },
      { revision: 2, op: 'event', kind: 'event', id: '1' },
      { revision: 3, op: 'update', kind: 'tenant', id: 'ten_1' },
      { revision: 4, op: 'delete', kind: 'tenant', id: 'ten_1' },
    ]);
  });

  it('goes on from a cursor: nothing twice, nothing left out', async () => {
    const store = await open();
    const cursor = await store.commit([createTenant('ten_1')]);
    await store.commit([createTenant('ten_2')]);
    const [first] = await takeChanges(store, cursor, 1);
    expect(first).toMatchObject({ revision: cursor + 1, id: 'ten_2' });
    const next = takeChanges(store, cursor + 1, 1);
    await store.commit([createTenant('ten_3')]);
    expect(await next).toMatchObject([{ revision: cursor + 2, id: 'ten_3' }]);
  });

  it('reads more changes than fit on one page', async () => {
    const store = await open();
    await store.commit(Array.from({ length: 700 }, (_, i) => createTenant(`ten_${i}`)));
    const changes = await takeChanges(store, 0, 700);
    expect(changes.map((change) => change.revision)).toEqual(Array.from({ length: 700 }, (_, i) => i + 1));
  });

  it('gives every watcher every change in one order while many write', async () => {
    const store = await open();
    const watchers = [takeChanges(store, 0, 200), takeChanges(store, 0, 200), takeChanges(store, 0, 200)];
    const writers = Array.from({ length: 20 }, async (_, writer) => {
      for (let i = 0; i < 10; i++) await store.commit([createTenant(`ten_${writer}_${i}`)]);
    });
    await Promise.all(writers);
    const [one, two, three] = await Promise.all(watchers);
    expect(one?.map((change) => change.revision)).toEqual(Array.from({ length: 200 }, (_, i) => i + 1));
    expect(new Set(one?.map((change) => change.id)).size).toBe(200);
    expect(two).toEqual(one);
    expect(three).toEqual(one);
  });

  it('tells nothing of a commit that failed', async () => {
    const store = await open();
    const next = takeChanges(store, 0, 1);
    await expectError('conflict', store.commit([createTenant('ten_1'), createTenant('ten_1')]));
    await store.commit([createTenant('ten_2')]);
    expect(await next).toMatchObject([{ revision: 1, id: 'ten_2' }]);
  });

  it('ends when its signal aborts, while it waits and before it has begun', async () => {
    const store = await open();
    await store.commit([createTenant('ten_1')]);
    const waiting = follow(store, 1);
    await takeChanges(store, 0, 1);
    waiting.abort();
    await waiting.done;
    expect(waiting.changes).toEqual([]);

    const unstarted = follow(store, 0);
    unstarted.abort();
    await unstarted.done;

    const ended = new AbortController();
    ended.abort();
    for await (const change of store.watch(0, ended.signal)) expect.unreachable(`got ${change.id}`);
  });

  it('gives no further change once its signal has aborted, even of a page it has read', async () => {
    const store = await open();
    await store.commit(Array.from({ length: 10 }, (_, i) => createTenant(`ten_${i}`)));
    const abort = new AbortController();
    const seen: number[] = [];
    for await (const change of store.watch(0, abort.signal)) {
      seen.push(change.revision);
      if (change.revision === 3) abort.abort();
    }
    expect(seen).toEqual([1, 2, 3]);
  });

  it('refuses a cursor older than what it keeps, and takes the oldest that it does', async () => {
    const store = await open({ maxChanges: 5 });
    await store.commit(Array.from({ length: 7 }, (_, i) => createTenant(`ten_${i}`)));
    await expectError('revision_compacted', takeChanges(store, 0, 1));
    await expectError('revision_compacted', takeChanges(store, 1, 1));
    const kept = await takeChanges(store, 2, 5);
    expect(kept.map((change) => change.revision)).toEqual([3, 4, 5, 6, 7]);
    await store.commit(Array.from({ length: 2000 }, () => event()));
    await expectError('revision_compacted', takeChanges(store, 2001, 1));
    expect(await takeChanges(store, 2002, 5)).toHaveLength(5);
  });

  it('tells a watcher that has fallen too far behind instead of leaving changes out', async () => {
    const store = await open({ maxChanges: 5 });
    await store.commit([event(), event()]);
    const iterator = store.watch(0, new AbortController().signal)[Symbol.asyncIterator]();
    await iterator.next();
    await store.commit(Array.from({ length: 10 }, () => event()));
    expect(await iterator.next()).toMatchObject({ value: { revision: 2 } }); // of the page it had read
    await expectError('revision_compacted', iterator.next());
  });

  it('refuses a cursor from the future: it is of another store, or of a tail that was lost', async () => {
    const store = await open();
    await store.commit([createTenant('ten_1')]);
    await expectError('revision_compacted', takeChanges(store, 2, 1));
  });

  it('ends its watchers with store_unavailable when the store is closed', async () => {
    const store = await open();
    const waiting = follow(store, 0);
    const revision = takeChanges(store, 0, 1);
    await store.commit([createTenant('ten_1')]);
    await revision;
    await store.close();
    await expectError('store_unavailable', waiting.done);
    expect(waiting.changes).toHaveLength(1);
    await expectError('store_unavailable', takeChanges(store, 0, 1));
  });
}
