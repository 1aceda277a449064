import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { claims } from '../../src/cmdb/claims.ts';
import { openMemoryStore } from '../../src/cmdb/memory.ts';
import type { App, Container, ContainerState, RecordOf } from '../../src/cmdb/records.ts';
import type { Operation, Store } from '../../src/cmdb/store.ts';
import { createCore } from '../../src/coreapi/core.ts';
import type { CoreApi, Plan } from '../../src/coreapi/core-api.ts';
import { unscaled } from '../../src/coreapi/decisions/size.ts';
import { listAll } from '../../src/coreapi/list-all.ts';
import { PlatformError } from '../../src/errors.ts';
import { FakeClock } from '../support/fake-clock.ts';
import { app, policy, revision } from '../support/records.ts';
import { storeSupport } from './store-support.ts';

const { newFolder, open } = storeSupport();
const NODE = 'node_1';
const CAPACITY = { cpu: 4, memoryBytes: 4 * 2 ** 30 };

async function addApp(store: Store, id: string, change: Partial<App> = {}): Promise<void> {
  const { generation: _a, ...record } = app({ id, name: id, revisionId: `rev_${id}`, hosts: [], ...change });
  const { generation: _b, ...first } = revision({ id: `rev_${id}`, appId: id });
  const operations: Operation[] = [
    { op: 'create', kind: 'app', record, claims: record.hosts.map(claims.host) },
    { op: 'create', kind: 'revision', record: first },
  ];
  await store.commit(operations);
}

async function setUp(store: Store = openMemoryStore(), capacity = CAPACITY) {
  const clock = new FakeClock();
  const core = createCore({ store, clock, random: () => 0 });
  await core.register({ nodeId: NODE, name: 'one', engine: 'simulated', capacity });
  await addApp(store, 'app_1');
  const plan = (appId = 'app_1', successor = false, have: string[] = [], staying: string[] = []) =>
    core.plan({ appId, nodeId: NODE, reason: 'a request came', successor, have, staying });
  return { clock, core, store, plan };
}

function planned(plan: Plan): Container {
  if (plan.action !== 'run') throw new Error(`it was to ${plan.action}`);
  return plan.container;
}

async function walk(core: CoreApi, id: string, ...states: ContainerState[]): Promise<Container | undefined> {
  let last: Container | undefined;
  for (const state of states) last = await core.report(id, { state, reason: `it is ${state}` });
  return last;
}

async function refusal(work: Promise<unknown>): Promise<PlatformError> {
  try {
    await work;
  } catch (thrown) {
    return PlatformError.from(thrown);
  }
  throw new Error('it was not refused');
}

async function held<K extends 'container' | 'node'>(store: Store, kind: K, id: string): Promise<RecordOf[K]> {
  const record = await store.get(kind, id);
  if (!record) throw new Error(`there is no ${kind} ${id}`);
  return record;
}

function unscaledRecord(appId: string) {
  const { generation: _, ...record } = unscaled(appId);
  return record;
}

const types = async (store: Store) => (await store.listEvents({ limit: 1_000 })).map(({ type }) => type);

describe.each(['memory', 'sqlite'] as const)('however many want a cold app at once (%s)', (driver) => {
  it.each([1, 2])('one container is planned by %i Core APIs', async (cores) => {
    const path = join(newFolder(), 'cmdb.db');
    const memory = openMemoryStore();
    const stores = Array.from({ length: cores }, () => (driver === 'memory' ? memory : open({ path })));
    const [first = memory] = stores;
    const { clock } = await setUp(first);
    const all = stores.map((store) => createCore({ store, clock }));
    const request = { appId: 'app_1', nodeId: NODE, reason: 'a request came', successor: false, have: [] };
    const asked = Array.from({ length: 50 / cores }, () => all.map((core) => core.plan(request)));
    const plans = await Promise.all(asked.flat());
    expect(new Set(plans.map((plan) => planned(plan).id)).size).toBe(1);
    expect(await listAll(first, 'container', {})).toHaveLength(1);
    expect((await first.get('node', NODE))?.reserved).toEqual({ cpu: 0.5, memoryBytes: 256 * 2 ** 20 });
    expect((await types(first)).filter((type) => type === 'container.planned')).toHaveLength(1);
  });
});

describe('plan', () => {
  it('records a new container with what was decided, and tells it with the figures', async () => {
    const { clock, plan, store } = await setUp();
    const container = planned(await plan());
    expect(container).toMatchObject({
      appId: 'app_1',
      revisionId: 'rev_app_1',
      nodeId: NODE,
      state: 'planned',
      slot: 0,
      reason: 'a request came',
      resources: { cpu: 0.5, memoryBytes: 256 * 2 ** 20, pidsMax: 256 },
      expiresAtMs: clock.nowMs() + 86_400_000,
      enteredAtMs: { planned: clock.nowMs() },
    });
    expect(await store.get('container', container.id)).toEqual(container);
    expect((await store.listEvents({ containerId: container.id }))[0]).toMatchObject({
      type: 'container.planned',
      nodeId: NODE,
      figures: { reservedCpu: 0.5, capacityCpu: 4 },
    });
  });

  it('gives the one that lives, and a successor beside it when one is asked for, but not two', async () => {
    const { core, plan } = await setUp();
    const current = planned(await plan());
    await walk(core, current.id, 'starting', 'ready');
    const next = planned(await plan('app_1', true));
    expect(next.slot).toBe('next');
    expect(next.id).not.toBe(current.id);
    expect(planned(await plan('app_1', true)).id).toBe(next.id);
    expect(planned(await plan()).id).toBe(current.id);
  });

  it('gives as many as are wanted, each its own place, the lowest free one first', async () => {
    const { core, plan } = await setUp();
    const ids = [planned(await plan()).id];
    expect(await refusal(plan('app_1', false, ids))).toMatchObject({
      code: 'invalid_transition',
      message: 'app app_1 has as many containers as are wanted (1)',
    });
    await core.scale({ appId: 'app_1', by: 'instruction', replicas: 3, reason: '' });
    for (const slot of [1, 2]) {
      const next = planned(await plan('app_1', false, ids));
      expect(next.slot).toBe(slot);
      // Whose answer was lost is given the same again.
      expect(planned(await plan('app_1', false, ids)).id).toBe(next.id);
      ids.push(next.id);
    }
    expect((await refusal(plan('app_1', false, ids))).code).toBe('invalid_transition');
    await walk(core, ids[1] ?? '', 'starting', 'failed');
    expect(planned(await plan('app_1', false, ids)).slot).toBe(1);
  });

  it('lets one at a time succeed another, whichever gives up its place', async () => {
    const { core, plan, store } = await setUp();
    await core.scale({ appId: 'app_1', by: 'instruction', replicas: 2, reason: '' });
    const first = planned(await plan());
    const second = planned(await plan('app_1', false, [first.id]));
    for (const { id } of [first, second]) await walk(core, id, 'starting', 'ready');
    const have = [first.id, second.id];
    const next = planned(await plan('app_1', true, have));
    expect((await refusal(plan('app_1', true, [...have, next.id]))).code).toBe('invalid_transition');
    await walk(core, second.id, 'draining');
    expect(await store.get('container', next.id)).toMatchObject({ slot: 1 });
    const after = planned(await plan('app_1', true, [...have, next.id]));
    expect(after.slot).toBe('next');
  });

  it('gives a successor the place itself where there is nobody to succeed', async () => {
    const { plan } = await setUp();
    expect(planned(await plan('app_1', true)).slot).toBe(0);
  });

  it('takes the successor of a container that is gone for the app’s own', async () => {
    const { core, plan, store } = await setUp();
    const current = planned(await plan());
    await walk(core, current.id, 'starting', 'ready');
    const next = planned(await plan('app_1', true));
    // What a crash between two commits of an older version could leave: nobody current, somebody next.
    const { generation } = await held(store, 'container', current.id);
    await store.commit([
      {
        op: 'update',
        kind: 'container',
        id: current.id,
        ifGeneration: generation,
        set: { slot: null },
        claims: [],
      },
    ]);
    expect(planned(await plan())).toMatchObject({ id: next.id, slot: 0 });
    expect(await store.get('container', next.id)).toMatchObject({ slot: 0 });
    expect((await store.findByClaim('container', claims.slot('app_1', 0)))?.id).toBe(next.id);
    expect(await store.findByClaim('container', claims.slot('app_1', 'next'))).toBeUndefined();
  });

  it('refuses an app, and a node, that do not exist, by name', async () => {
    const { core, plan } = await setUp();
    expect(await refusal(plan('app_no'))).toMatchObject({
      code: 'not_found',
      message: 'app app_no does not exist',
    });
    const elsewhere = core.plan({
      appId: 'app_1',
      nodeId: 'node_no',
      reason: '',
      successor: false,
      have: [],
    });
    expect(await refusal(elsewhere)).toMatchObject({
      code: 'not_found',
      message: 'node node_no is not registered',
    });
  });
});

describe('a full node', () => {
  const room = { cpu: 1, memoryBytes: 2 ** 30 };

  async function full() {
    const all = await setUp(openMemoryStore(), room);
    await addApp(all.store, 'app_2');
    await addApp(all.store, 'app_3');
    const ids: string[] = [];
    for (const id of ['app_1', 'app_2']) {
      const { id: containerId } = planned(await all.plan(id));
      await walk(all.core, containerId, 'starting', 'ready');
      ids.push(containerId);
    }
    return { ...all, ids };
  }

  it('refuses one more with the figures, in the error and as an event, and says so only once in a while', async () => {
    const { clock, plan, store } = await full();
    const error = await refusal(plan('app_3'));
    expect(error).toMatchObject({ code: 'no_capacity', retryAfterMs: 5_000 });
    expect(error.message).toContain('node one has no room for 0.5 CPU');
    expect((await store.listEvents({ appId: 'app_3' })).at(-1)).toMatchObject({
      type: 'placement.refused',
      nodeId: NODE,
      figures: { wantedCpu: 0.5, reservedCpu: 1, capacityCpu: 1, capacityMemoryBytes: 2 ** 30 },
    });
    const told = async () => (await types(store)).filter((type) => type === 'placement.refused').length;
    for (let i = 0; i < 20; i++) await refusal(plan('app_3'));
    expect(await told()).toBe(1);
    await clock.advance(10_000);
    await refusal(plan('app_3'));
    expect(await told()).toBe(2);
  });

  it('names who sleeps longest, of other apps alone', async () => {
    const { clock, core, ids, plan } = await full();
    for (const id of ids.toReversed()) {
      await walk(core, id, 'paused');
      await clock.advance(1_000);
    }
    expect(await plan('app_3')).toMatchObject({ action: 'reclaim', containerIds: [ids[1]] });
    // For a further container of its own, an app's own sleeper is not what makes room.
    expect(await plan('app_2', true)).toMatchObject({ action: 'reclaim', containerIds: [ids[0]] });
  });

  it('asks no container that its node knows to stay, and counts those when it refuses', async () => {
    const { clock, core, ids, plan, store } = await full();
    for (const id of ids) {
      await walk(core, id, 'paused');
      await clock.advance(1_000);
    }
    const first = ids.slice(0, 1);
    expect(await plan('app_3', false, [], first)).toMatchObject({
      action: 'reclaim',
      containerIds: ids.slice(1),
    });
    const error = await refusal(plan('app_3', false, [], ids));
    expect(error.message).toContain('of those asleep or on their way out, 2 made none');
    expect((await store.listEvents({ appId: 'app_3' })).at(-1)).toMatchObject({
      type: 'placement.refused',
      reason: error.message,
      figures: { staying: 2 },
    });
  });

  it('waits for who is on the way out, whoever’s it is, rather than refuse', async () => {
    const { core, ids, plan } = await full();
    await walk(core, ids[0] ?? '', 'draining');
    expect(await plan('app_3')).toMatchObject({ action: 'reclaim', containerIds: [ids[0]] });
    expect(await plan('app_1')).toMatchObject({ action: 'reclaim', containerIds: [ids[0]] });
    await walk(core, ids[0] ?? '', 'stopped');
    expect((await plan('app_1')).action).toBe('run');
  });
});

describe('report', () => {
  it('keeps address and phases, and tells each state with where it came from', async () => {
    const { core, plan, store } = await setUp();
    const { id } = planned(await plan());
    await core.report(id, { state: 'starting', reason: 'a request came' });
    const address = { host: '192.0.2.1', port: 80 };
    await core.report(id, {
      state: 'ready',
      reason: 'it listens',
      address,
      phasesMs: { create: 5, listen: 2 },
    });
    const after = await core.report(id, { state: 'paused', reason: 'idle', figures: { idleMs: 30_000 } });
    expect(after).toMatchObject({
      state: 'paused',
      address,
      phasesMs: { create: 5, listen: 2 },
      reason: 'idle',
    });
    expect(await store.get('container', id)).toEqual(after);
    const events = await store.listEvents({ containerId: id });
    expect(events.map(({ type, figures }) => [type, figures['from']])).toEqual([
      ['container.planned', undefined],
      ['container.starting', 'planned'],
      ['container.ready', 'starting'],
      ['container.paused', 'ready'],
    ]);
    expect(events.at(-1)?.figures).toMatchObject({ idleMs: 30_000 });
  });

  it('gives what an ended container had reserved back, once, with its slot and its address', async () => {
    const { core, plan, store } = await setUp();
    const { id } = planned(await plan());
    await walk(core, id, 'starting', 'failed');
    await walk(core, id, 'failed');
    expect(await store.get('container', id)).toMatchObject({ state: 'failed', slot: null, address: null });
    expect((await store.get('node', NODE))?.reserved).toEqual({ cpu: 0, memoryBytes: 0 });
    expect(planned(await plan()).id).not.toBe(id);
  });

  it('makes the successor current in the very commit that ends the current one', async () => {
    const { core, plan, store } = await setUp();
    const { id } = planned(await plan());
    await walk(core, id, 'starting', 'ready');
    const next = planned(await plan('app_1', true));
    await walk(core, next.id, 'starting', 'ready');
    const before = await store.revision();
    await walk(core, id, 'draining');
    const changed: string[] = [];
    const over = new AbortController();
    for await (const change of store.watch(before, over.signal)) {
      changed.push(`${change.op} ${change.id}`);
      if (changed.length === 3) break;
    }
    expect(changed).toContain(`update ${id}`);
    expect(changed).toContain(`update ${next.id}`);
    expect(await store.revision()).toBe(before + 3); // the two, and the event
    expect(planned(await plan()).id).toBe(next.id);
  });

  it('refuses what the life of a container does not allow, and changes nothing', async () => {
    const { core, plan, store } = await setUp();
    const { id } = planned(await plan());
    const before = [await store.revision(), await store.get('container', id)];
    const error = await refusal(core.report(id, { state: 'paused', reason: '' }));
    expect(error).toMatchObject({
      code: 'invalid_transition',
      message: `container ${id} is planned and cannot become paused`,
    });
    expect([await store.revision(), await store.get('container', id)]).toEqual(before);
    expect((await refusal(core.report('ctr_no', { state: 'ready', reason: '' }))).code).toBe('not_found');
  });

  it('takes the same state a second time without telling it a second time', async () => {
    const { core, plan, store } = await setUp();
    const { id } = planned(await plan());
    await walk(core, id, 'starting', 'starting', 'ready', 'ready');
    expect((await store.listEvents({ containerId: id })).map(({ type }) => type)).toEqual([
      'container.planned',
      'container.starting',
      'container.ready',
    ]);
  });
});

describe('a cold start', () => {
  it('adds how long the request waited to what the node measured, and is told as an event', async () => {
    const { core, plan, store } = await setUp();
    const { id } = planned(await plan());
    await core.report(id, { state: 'starting', reason: '' });
    await core.report(id, {
      state: 'ready',
      reason: '',
      phasesMs: { place: 1, create: 5, start: 80, listen: 4 },
    });
    const phasesMs = { lookup: 0.5, firstByte: 3 };
    await core.coldStart(id, { kind: 'started', totalMs: 93.5, held: 300, phasesMs });
    const all = { lookup: 0.5, place: 1, create: 5, start: 80, listen: 4, firstByte: 3 };
    expect((await store.get('container', id))?.phasesMs).toEqual(all);
    expect((await store.listEvents({ containerId: id })).at(-1)).toMatchObject({
      type: 'app.cold_start',
      appId: 'app_1',
      reason: 'the first answer took 94 ms (started)',
      figures: { kind: 'started', totalMs: 93.5, held: 300, ...all },
    });
  });

  it('is recorded also while states of the same container are', async () => {
    const { core, plan, store } = await setUp();
    const { id } = planned(await plan());
    await walk(core, id, 'starting');
    await Promise.all([
      ...Array.from({ length: 10 }, (_, index) =>
        core.coldStart(id, { kind: 'started', totalMs: 1, held: 1, phasesMs: { lookup: index } }),
      ),
      core.report(id, { state: 'ready', reason: '', phasesMs: { listen: 7 } }),
    ]);
    expect((await store.get('container', id))?.phasesMs.listen).toBe(7);
    expect((await types(store)).filter((type) => type === 'app.cold_start')).toHaveLength(10);
  });
});

describe('forget', () => {
  it('refuses the living, and takes the dead and those forgotten already', async () => {
    const { core, plan, store } = await setUp();
    const { id } = planned(await plan());
    for (const state of ['starting', 'ready', 'paused', 'draining'] as const) {
      await walk(core, id, state);
      expect((await refusal(core.forget(id))).code).toBe('invalid_transition');
    }
    await walk(core, id, 'stopped');
    await core.forget(id);
    await core.forget(id);
    expect(await store.get('container', id)).toBeUndefined();
  });
});

describe('wantedApps', () => {
  it('names those that are to have containers without a request, and no others', async () => {
    const { core, store } = await setUp();
    const warm = policy({ minReplicas: 1 });
    await addApp(store, 'app_2', { policy: warm });
    await store.commit([{ op: 'create', kind: 'size', record: unscaledRecord('app_2') }]);
    await addApp(store, 'app_3');
    await core.scale({ appId: 'app_3', by: 'instruction', replicas: 2, reason: '' });
    const names = async () => (await core.wantedApps()).map(({ app: { id } }) => id);
    expect(await names()).toEqual(['app_2', 'app_3']);
    await core.scale({ appId: 'app_3', by: 'silence', reason: '' });
    expect(await names()).toEqual(['app_2']);
  });
});

describe('register', () => {
  it('sets the reservations to what the living containers have', async () => {
    const { core, plan, store } = await setUp();
    await addApp(store, 'app_2', { policy: policy({ cpu: 0.3, memoryBytes: 1_000 }) });
    const ended = planned(await plan());
    await plan('app_2');
    await walk(core, ended.id, 'starting', 'failed');
    const node = await held(store, 'node', NODE);
    const reserved = { cpu: 99, memoryBytes: 99 };
    await store.commit([
      { op: 'update', kind: 'node', id: NODE, ifGeneration: node.generation, set: { reserved } },
    ]);
    const after = await core.register({ nodeId: NODE, name: 'one', engine: 'simulated', capacity: CAPACITY });
    expect(after.reserved).toEqual({ cpu: 0.3, memoryBytes: 1_000 });
    expect((await store.get('node', NODE))?.reserved).toEqual(after.reserved);
  });

  it('of a node under a new name frees the old one', async () => {
    const { core, store } = await setUp();
    const register = (nodeId: string, name: string) =>
      core.register({ nodeId, name, engine: 'simulated', capacity: CAPACITY });
    await register(NODE, 'renamed');
    await register('node_2', 'one');
    expect((await refusal(register('node_3', 'renamed'))).code).toBe('name_taken');
    expect((await store.list('node')).map(({ name }) => name)).toEqual(['renamed', 'one']);
  });
});

describe('lookup', () => {
  it('prefers the exact host, then the longest wildcard', async () => {
    const { core, store } = await setUp();
    await addApp(store, 'exact', { hosts: ['a.b.example'] });
    await addApp(store, 'near', { hosts: ['*.b.example'] });
    await addApp(store, 'far', { hosts: ['*.example'] });
    const found = async (host: string) => (await core.lookup(host))?.app.name;
    expect(await found('a.b.example')).toBe('exact');
    expect(await found('x.b.example')).toBe('near');
    expect(await found('x.y.b.example')).toBe('near');
    expect(await found('b.example')).toBe('far');
    expect(await found('x.example')).toBe('far');
    expect(await found('example')).toBeUndefined();
    expect(await core.lookup('a.b.example')).toMatchObject({
      app: { id: 'exact' },
      revision: { id: 'rev_exact' },
    });
  });
});

describe('listAll', () => {
  it('reads more than a page, whole and in order', async () => {
    const store = openMemoryStore();
    const ids = Array.from({ length: 2_500 }, (_, index) => `rev_${String(index).padStart(5, '0')}`);
    await store.commit(
      ids.map((id): Operation => {
        const { generation: _, ...record } = revision({ id, appId: 'app_1' });
        return { op: 'create', kind: 'revision', record };
      }),
    );
    expect((await listAll(store, 'revision', { appId: 'app_1' })).map(({ id }) => id)).toEqual(ids);
    expect(await listAll(store, 'revision', { appId: 'app_2' })).toEqual([]);
  });
});
