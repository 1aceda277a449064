/** The size of an app as the Core API keeps it: decided once, however many ask at once, told with its figures. */
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { openMemoryStore } from '../../src/cmdb/memory.ts';
import type { Policy } from '../../src/cmdb/records.ts';
import type { Operation, Store } from '../../src/cmdb/store.ts';
import { planDelete } from '../../src/coreapi/apps-change.ts';
import { createCore } from '../../src/coreapi/core.ts';
import type { ScaleRequest } from '../../src/coreapi/core-api.ts';
import { PlatformError } from '../../src/errors.ts';
import { FakeClock } from '../support/fake-clock.ts';
import { app, container, policy, revision } from '../support/records.ts';
import { storeSupport } from './store-support.ts';

const STRONG: Policy['scaling'] = {
  ...policy().scaling,
  mode: 'up-then-out',
  cpuMax: 4,
};
const { newFolder, open } = storeSupport();

function withoutGeneration<T extends { generation: number }>({
  generation: _,
  ...record
}: T): Omit<T, 'generation'> {
  return record;
}

async function setUp(change: Partial<Policy> = {}, store: Store = openMemoryStore()) {
  const clock = new FakeClock();
  const core = createCore({ store, clock, random: () => 0 });
  await core.register({
    nodeId: 'node_1',
    name: 'one',
    engine: 'simulated',
    capacity: { cpu: 2, memoryBytes: 2 ** 31 },
  });
  await store.commit([
    { op: 'create', kind: 'tenant', record: { id: 'ten_1', createdAtMs: 0, name: 'one', quota: null } },
    { op: 'create', kind: 'app', record: withoutGeneration(app({ policy: policy(change) })) },
    { op: 'create', kind: 'revision', record: withoutGeneration(revision()) },
  ]);
  const scale = (request: Partial<ScaleRequest>) =>
    core.scale({ appId: 'app_1', by: 'instruction', reason: 'the test says so', ...request });
  const events = async (type: string) => (await store.listEvents()).filter((event) => event.type === type);
  return { core, clock, store, scale, events };
}

async function refusal(work: Promise<unknown>): Promise<PlatformError> {
  return work.then(
    () => Promise.reject(new Error('it was not refused')),
    (thrown: unknown) => PlatformError.from(thrown),
  );
}

describe('a size', () => {
  it('is not left behind by an app that is scaled while it is deleted', async () => {
    const { scale, store, clock } = await setUp();
    const operations = await planDelete(store, app(), clock.nowMs());
    await scale({ cpu: 0.75 });
    expect((await refusal(store.commit(operations))).code).toBe('conflict');
    await store.commit(await planDelete(store, app(), clock.nowMs()));
    expect(await store.list('size')).toEqual([]);
  });

  it('is not left behind by an app that is deleted while it is decided', async () => {
    const { scale, store } = await setUp();
    const commit = store.commit.bind(store);
    store.commit = async (operations) => {
      store.commit = commit;
      await commit([{ op: 'delete', kind: 'app', id: 'app_1', ifGeneration: 1 }]);
      return commit(operations);
    };
    expect((await refusal(scale({ cpu: 0.75 }))).code).toBe('not_found');
    expect(await store.list('size')).toEqual([]);
  });

  it('is recorded with its reason and moment, and told as an event with the figures', async () => {
    const { clock, scale, store, events } = await setUp();
    const first = await scale({ replicas: 2, figures: { inFlight: 41 } });
    expect(first).toMatchObject({
      changed: true,
      from: { replicas: 0 },
      to: { replicas: 2 },
      directions: ['out'],
    });
    expect(await store.get('size', 'app_1')).toEqual(first.size);
    expect(first.size).toMatchObject({
      generation: 1,
      replicas: 2,
      reason: 'the test says so',
      changedAtMs: { out: clock.nowMs() },
    });
    await scale({ cpu: 0.75 });
    expect(await store.get('size', 'app_1')).toMatchObject({ generation: 2, replicas: 2, cpu: 0.75 });
    const [told] = await events('scale.decided');
    expect(told).toMatchObject({
      appId: 'app_1',
      reason: '0 → 2 containers: the test says so',
      figures: { by: 'instruction', fromReplicas: 0, toReplicas: 2, fromCpu: 0.5, toCpu: 0.5, inFlight: 41 },
    });
  });

  it('that it has already is not recorded again', async () => {
    const { scale, store, events } = await setUp();
    await scale({ replicas: 2 });
    const revisionBefore = await store.revision();
    expect(await scale({ replicas: 2 })).toMatchObject({ changed: false, because: 'already' });
    expect(await store.revision()).toBe(revisionBefore);
    expect(await events('scale.decided')).toHaveLength(1);
  });

  it('decided on an older generation of it changes nothing', async () => {
    const { scale, store } = await setUp();
    const { size } = await scale({ replicas: 2 });
    await scale({ replicas: 3 });
    const late = { by: 'silence', ifGeneration: size.generation } as const;
    expect(await scale(late)).toMatchObject({ changed: false, because: 'superseded' });
    expect(await store.get('size', 'app_1')).toMatchObject({ replicas: 3 });
    expect(await scale({ by: 'silence', ifGeneration: 2 })).toMatchObject({ changed: true });
    expect(await store.get('size', 'app_1')).toMatchObject({ replicas: 0, cpu: null, memoryBytes: null });
  });

  it('of an app that does not exist is refused by name', async () => {
    const { scale } = await setUp();
    expect(await refusal(scale({ appId: 'app_no', replicas: 2 }))).toMatchObject({ code: 'not_found' });
  });
});

describe.each(['memory', 'sqlite'] as const)('however many deciders see the same load (%s)', (driver) => {
  it('they decide once per cooldown', async () => {
    const path = join(newFolder(), 'cmdb.db');
    const memory = openMemoryStore();
    const stores = [0, 1].map(() => (driver === 'memory' ? memory : open({ path })));
    const { clock, store, events } = await setUp({ maxReplicas: 100, cpu: 0.01 }, stores[0]);
    const { generation: _, ...one } = container({ state: 'ready', slot: 0 });
    await store.commit([{ op: 'create', kind: 'container', record: one }]);
    const cores = stores.map((each) => createCore({ store: each, clock }));
    const ask = (replicas: number) =>
      Promise.all(
        Array.from({ length: 10 }, () =>
          cores.map((core) => core.scale({ appId: 'app_1', by: 'load', replicas, reason: 'crowd' })),
        ).flat(),
      );
    const outcomes = await ask(2);
    expect(outcomes.filter(({ changed }) => changed)).toHaveLength(1);
    expect((await ask(3)).map(({ because }) => because)).toEqual(outcomes.map(() => 'cooldown'));
    await clock.advance(3_000);
    expect((await ask(3)).filter(({ changed }) => changed)).toHaveLength(1);
    expect((await events('scale.decided')).map(({ figures }) => figures['toReplicas'])).toEqual([2, 3]);
  });
});

describe('growth that there is no room for', () => {
  it('is an error with the figures for a person, told once in a while', async () => {
    const { scale, store, events, clock } = await setUp({ maxReplicas: 9 });
    const error = await refusal(scale({ replicas: 5 }));
    expect(error).toMatchObject({ code: 'no_capacity', retryAfterMs: 5_000 });
    expect(error.message).toContain('there is room for 4 of 5 more containers with 0.5 CPU');
    expect(error.message).toContain('0 of 2 CPU');
    expect(await store.get('size', 'app_1')).toBeUndefined();
    expect(await events('scale.refused')).toMatchObject([
      { figures: { code: 'no_capacity', toReplicas: 5 } },
    ]);
    await clock.advance(10_000);
    await refusal(scale({ replicas: 5 }));
    expect(await events('scale.refused')).toHaveLength(2);
  });

  it('is made as far as there is room where load asks for it; where there is none, load is told why', async () => {
    const { scale, clock, events } = await setUp({ maxReplicas: 9, scaling: STRONG });
    expect(await scale({ replicas: 9, by: 'load' })).toMatchObject({ changed: true, to: { replicas: 4 } });
    expect(await events('scale.refused')).toMatchObject([{ figures: { toReplicas: 9 } }]);
    await clock.advance(60_000);
    expect(await scale({ replicas: 9, by: 'load' })).toMatchObject({ changed: false, because: 'capacity' });

    const strong = await setUp({ scaling: STRONG });
    const { generation: _, ...one } = container({ state: 'ready', slot: 0 });
    await strong.store.commit([{ op: 'create', kind: 'container', record: one }]);
    expect(await strong.scale({ cpu: 4, by: 'load' })).toMatchObject({
      changed: true,
      // Of 3.5 CPU more, the node has 2: half of it.
      to: { replicas: 1, cpu: 2.25 },
    });
  });

  it('counts the tenant’s other apps against its quota, and lets it shrink all the same', async () => {
    const { scale, store } = await setUp();
    const other = app({ id: 'app_2', name: 'other', revisionId: 'rev_2' });
    const taken = container({
      id: 'ctr_2',
      appId: 'app_2',
      resources: { cpu: 1, memoryBytes: 1, pidsMax: 1 },
    });
    const operations: Operation[] = [
      { op: 'create', kind: 'app', record: withoutGeneration(other) },
      { op: 'create', kind: 'container', record: withoutGeneration(taken) },
    ];
    await store.commit(operations);
    await scale({ replicas: 2 });
    const quota = { containers: 10, cpu: 1.5, memoryBytes: 2 ** 40 };
    await store.commit([{ op: 'update', kind: 'tenant', id: 'ten_1', ifGeneration: 1, set: { quota } }]);
    expect(await refusal(scale({ replicas: 3 }))).toMatchObject({
      code: 'quota_exceeded',
      message: 'app hello cannot grow: the tenant would have 2.5 CPU in all, and may have 1.5 CPU',
    });
    expect(await scale({ replicas: 3, by: 'load' })).toMatchObject({ changed: false, because: 'cooldown' });
    expect(await scale({ replicas: 1 })).toMatchObject({ changed: true });
  });
});
