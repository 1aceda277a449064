/** The store suite's part on records and on the claims they hold. */
import { expect, it } from 'vitest';
import { claims } from '../../src/cmdb/claims.ts';
import type { ListOptions, Operation, Store } from '../../src/cmdb/store.ts';
import { app, container, createTenant, expectError, type OpenStore, tenant } from './store-fixtures.ts';

export function recordContract(open: OpenStore): void {
  it('gives a created record back whole, at generation 1', async () => {
    const store = await open();
    await store.commit([{ op: 'create', kind: 'app', record: app('app_1') }]);
    expect(await store.get('app', 'app_1')).toEqual({ ...app('app_1'), generation: 1 });
  });

  it('reads what is not there as undefined', async () => {
    const store = await open();
    expect(await store.get('app', 'app_1')).toBeUndefined();
    expect(await store.findByClaim('app', 'host:example.a')).toBeUndefined();
    expect(await store.list('app')).toEqual([]);
  });

  it('refuses a second record with the same id and keeps the first', async () => {
    const store = await open();
    await store.commit([{ op: 'create', kind: 'tenant', record: tenant('ten_1', 'first') }]);
    await expectError('conflict', store.commit([createTenant('ten_1')]));
    expect(await store.get('tenant', 'ten_1')).toMatchObject({ name: 'first', generation: 1 });
  });

  it('keeps records of two kinds apart even when their ids are the same', async () => {
    const store = await open();
    await store.commit([createTenant('x'), { op: 'create', kind: 'app', record: app('x') }]);
    await store.commit([{ op: 'delete', kind: 'tenant', id: 'x' }]);
    expect(await store.get('tenant', 'x')).toBeUndefined();
    expect(await store.get('app', 'x')).toMatchObject({ name: 'x' });
  });

  it('replaces the fields of an update whole, raises the generation and keeps the rest', async () => {
    const store = await open();
    await store.commit([
      { op: 'create', kind: 'container', record: container('ctr_1', { phasesMs: { place: 1 } }) },
    ]);
    const set = { state: 'ready', phasesMs: { listen: 2 }, address: { host: '127.0.0.1', port: 1 } } as const;
    await store.commit([{ op: 'update', kind: 'container', id: 'ctr_1', ifGeneration: 1, set }]);
    expect(await store.get('container', 'ctr_1')).toEqual({ ...container('ctr_1'), ...set, generation: 2 });
  });

  it('does not let an update change id, generation or birth time', async () => {
    const store = await open();
    await store.commit([createTenant('ten_1')]);
    const set = { id: 'ten_2', generation: 9, createdAtMs: 0, name: 'n' } as { name: string };
    await store.commit([{ op: 'update', kind: 'tenant', id: 'ten_1', ifGeneration: 1, set }]);
    expect(await store.get('tenant', 'ten_1')).toEqual({ ...tenant('ten_1', 'n'), generation: 2 });
    expect(await store.get('tenant', 'ten_2')).toBeUndefined();
  });

  it('refuses a change that was decided on another generation', async () => {
    const store = await open();
    await store.commit([createTenant('ten_1')]);
    const rename = (ifGeneration: number, name: string): Operation => {
      return { op: 'update', kind: 'tenant', id: 'ten_1', ifGeneration, set: { name } };
    };
    await store.commit([rename(1, 'second')]);
    await expectError('conflict', store.commit([rename(1, 'stale')]));
    await expectError('conflict', store.commit([rename(3, 'future')]));
    await expectError(
      'conflict',
      store.commit([{ op: 'delete', kind: 'tenant', id: 'ten_1', ifGeneration: 1 }]),
    );
    expect(await store.get('tenant', 'ten_1')).toMatchObject({ name: 'second', generation: 2 });
  });

  it('says not_found, naming it, when the record to change is not there', async () => {
    const store = await open();
    const update = store.commit([
      { op: 'update', kind: 'tenant', id: 'ten_9', ifGeneration: 1, set: { name: 'n' } },
    ]);
    await expect(update).rejects.toMatchObject({
      code: 'not_found',
      message: expect.stringContaining('ten_9') as string,
    });
    await expectError('not_found', store.commit([{ op: 'delete', kind: 'tenant', id: 'ten_9' }]));
    await expectError(
      'not_found',
      store.commit([{ op: 'delete', kind: 'tenant', id: 'ten_9', ifGeneration: 1 }]),
    );
  });

  it('starts anew at generation 1 when a deleted id is created again', async () => {
    const store = await open();
    await store.commit([createTenant('ten_1')]);
    await store.commit([{ op: 'update', kind: 'tenant', id: 'ten_1', ifGeneration: 1, set: { name: 'n' } }]);
    await store.commit([{ op: 'delete', kind: 'tenant', id: 'ten_1', ifGeneration: 2 }]);
    expect(await store.get('tenant', 'ten_1')).toBeUndefined();
    await store.commit([createTenant('ten_1')]);
    expect(await store.get('tenant', 'ten_1')).toEqual({ ...tenant('ten_1'), generation: 1 });
  });

  it('shares nothing with what was put in or given out', async () => {
    const store = await open();
    const hosts = ['a.example'];
    await store.commit([
      { op: 'create', kind: 'app', record: app('app_1', { hosts }), claims: ['host:example.a'] },
    ]);
    hosts.push('put-in.example');
    const given = [
      await store.get('app', 'app_1'),
      ...(await store.list('app')),
      await store.findByClaim('app', 'host:example.a'),
    ];
    for (const record of given) (record?.hosts as string[]).push('given-out.example');
    expect(await store.get('app', 'app_1')).toMatchObject({ hosts: ['a.example'] });
  });

  it('lists in order of id and page by page gives every record once', async () => {
    const store = await open();
    const ids = Array.from({ length: 25 }, (_, i) => `ten_${String(i).padStart(2, '0')}`);
    const shuffled = ids.toSorted((a, b) => a.slice(-1).localeCompare(b.slice(-1)));
    for (const id of shuffled) await store.commit([createTenant(id)]);
    const pages = await listPages(store, { limit: 10 });
    expect(pages.map((page) => page.length)).toEqual([10, 10, 5]);
    expect(pages.flat()).toEqual(ids);
  });

  it('gives 100 records unless told, and refuses a limit out of 1 to 1,000', async () => {
    const store = await open();
    await store.commit(Array.from({ length: 1001 }, (_, i) => createTenant(`ten_${i}`)));
    expect(await store.list('tenant')).toHaveLength(100);
    expect(await store.list('tenant', { limit: 1000 })).toHaveLength(1000);
    for (const limit of [0, 1001, 1.5, NaN]) {
      await expectError('bad_request', store.list('tenant', { limit }));
    }
  });

  it('lists by tenant, app and node, alone and together, paged too', async () => {
    const store = await open();
    await store.commit([
      { op: 'create', kind: 'app', record: app('app_1', { tenantId: 'ten_1' }) },
      { op: 'create', kind: 'app', record: app('app_2', { tenantId: 'ten_2' }) },
      { op: 'create', kind: 'container', record: container('ctr_1', { appId: 'app_1', nodeId: 'node_1' }) },
      { op: 'create', kind: 'container', record: container('ctr_2', { appId: 'app_1', nodeId: 'node_2' }) },
      { op: 'create', kind: 'container', record: container('ctr_3', { appId: 'app_2', nodeId: 'node_2' }) },
      { op: 'create', kind: 'container', record: container('ctr_4', { appId: 'app_1', nodeId: 'node_2' }) },
    ]);
    const apps = await store.list('app', { where: { tenantId: 'ten_2' } });
    expect(apps.map((record) => record.id)).toEqual(['app_2']);
    const containers = async (options: ListOptions<'container'>) =>
      (await store.list('container', options)).map((record) => record.id);
    expect(await containers({ where: { appId: 'app_1' } })).toEqual(['ctr_1', 'ctr_2', 'ctr_4']);
    expect(await containers({ where: { nodeId: 'node_2' } })).toEqual(['ctr_2', 'ctr_3', 'ctr_4']);
    expect(await containers({ where: { appId: 'app_1', nodeId: 'node_2' } })).toEqual(['ctr_2', 'ctr_4']);
    expect(await containers({ where: { appId: 'app_1' }, after: 'ctr_1', limit: 1 })).toEqual(['ctr_2']);
    expect(await containers({ where: { appId: 'app_9' } })).toEqual([]);
    expect(await containers({ where: {} })).toHaveLength(4);
  });

  it('lists a record under what it is changed to, and no longer under what it was', async () => {
    const store = await open();
    await store.commit([{ op: 'create', kind: 'container', record: container('ctr_1') }]);
    await store.commit([
      { op: 'update', kind: 'container', id: 'ctr_1', ifGeneration: 1, set: { nodeId: 'node_2' } },
    ]);
    expect(await store.list('container', { where: { nodeId: 'node_1' } })).toEqual([]);
    expect(await store.list('container', { where: { nodeId: 'node_2' } })).toHaveLength(1);
  });
}

export function claimContract(open: OpenStore): void {
  const update = (id: string, ifGeneration: number, claims?: string[]): Operation => {
    return { op: 'update', kind: 'tenant', id, ifGeneration, set: {}, ...(claims && { claims }) };
  };
  const holder = async (store: Store, claim: string) => (await store.findByClaim('tenant', claim))?.id;

  it('finds the record by each of its claims, and only as the kind it is', async () => {
    const store = await open();
    await store.commit([createTenant('ten_1', 'a', 'b')]);
    expect(await store.findByClaim('tenant', 'a')).toEqual({ ...tenant('ten_1'), generation: 1 });
    expect(await holder(store, 'b')).toBe('ten_1');
    expect(await store.findByClaim('app', 'a')).toBeUndefined();
  });

  it('refuses a claim that another record holds, of whatever kind, and names it', async () => {
    const store = await open();
    await store.commit([createTenant('ten_1', 'host:example.a')]);
    const taken = store.commit([
      { op: 'create', kind: 'app', record: app('app_1'), claims: ['free', 'host:example.a'] },
    ]);
    await expect(taken).rejects.toMatchObject({
      code: 'name_taken',
      message: expect.stringContaining('host:example.a') as string,
      fields: [{ field: 'host:example.a' }],
    });
    expect(await holder(store, 'host:example.a')).toBe('ten_1');
    await store.commit([createTenant('ten_2', 'free')]);
    await expectError('name_taken', store.commit([update('ten_2', 1, ['host:example.a'])]));
    expect(await holder(store, 'free')).toBe('ten_2');
  });

  it('refuses one claim for two records of the same commit', async () => {
    const store = await open();
    await expectError('name_taken', store.commit([createTenant('ten_1', 'a'), createTenant('ten_2', 'a')]));
    expect(await holder(store, 'a')).toBeUndefined();
  });

  it('keeps claims through an update that does not speak of them', async () => {
    const store = await open();
    await store.commit([createTenant('ten_1', 'a')]);
    await store.commit([update('ten_1', 1)]);
    expect(await holder(store, 'a')).toBe('ten_1');
  });

  it('replaces claims whole: what is left out is free, what stays may be named again', async () => {
    const store = await open();
    await store.commit([createTenant('ten_1', 'a', 'b')]);
    await store.commit([update('ten_1', 1, ['b', 'c', 'c'])]);
    expect(await holder(store, 'a')).toBeUndefined();
    expect(await holder(store, 'b')).toBe('ten_1');
    expect(await holder(store, 'c')).toBe('ten_1');
    await store.commit([createTenant('ten_2', 'a')]);
    expect(await holder(store, 'a')).toBe('ten_2');
  });

  it('gives no host below another tenant’s wildcard, and no wildcard above another tenant’s host', async () => {
    const store = await open();
    let apps = 0;
    const claim = (tenantId: string, ...hosts: string[]) => {
      const record = app(`app_${++apps}`, { tenantId, hosts });
      return store.commit([{ op: 'create', kind: 'app', record, claims: hosts.map(claims.host) }]);
    };
    const refusedFor = async (inTheWay: string, tenantId: string, host: string) =>
      expect(claim(tenantId, 'free.test', host)).rejects.toMatchObject({
        code: 'name_taken',
        fields: [{ field: claims.host(inTheWay) }],
      });
    await claim('ten_1', '*.shop.example');
    await claim('ten_1', 'a.b.test');
    await refusedFor('*.shop.example', 'ten_2', 'login.shop.example');
    await refusedFor('*.shop.example', 'ten_2', '*.pay.shop.example');
    await refusedFor('*.shop.example', 'ten_2', '*.example');
    await refusedFor('a.b.test', 'ten_2', '*.test');
    await refusedFor('a.b.test', 'ten_2', '*.b.test');
    // What only looks alike, what a wildcard does not stand for, and the tenant's own.
    await claim('ten_2', 'shop.example', 'bigshop.example', '*.a.b.test', 'b.test', 'xb.test');
    await claim('ten_1', 'login.shop.example', '*.pay.shop.example');
    await refusedFor('bigshop.example', 'ten_1', '*.example');
    expect(await store.findByClaim('app', claims.host('free.test'))).toBeUndefined();
  });

  it('leaves a record the overlapping hosts it has, and gives what another lets go of in the same commit', async () => {
    const store = await open();
    const set = (id: string, ifGeneration: number, tenantId: string, ...hosts: string[]): Operation => {
      return {
        op: 'update',
        kind: 'app',
        id,
        ifGeneration,
        set: { tenantId },
        claims: hosts.map(claims.host),
      };
    };
    await store.commit([
      { op: 'create', kind: 'app', record: app('app_1'), claims: [claims.host('*.example')] },
      { op: 'create', kind: 'app', record: app('app_2'), claims: [claims.host('a.example')] },
    ]);
    await store.commit([set('app_2', 1, 'ten_2', 'a.example', 'a.test')]);
    await expectError('name_taken', store.commit([set('app_2', 2, 'ten_2', 'a.example', 'b.example')]));
    await store.commit([
      set('app_2', 2, 'ten_2', 'a.example', 'b.example'),
      { op: 'delete', kind: 'app', id: 'app_1' },
    ]);
    expect((await store.findByClaim('app', claims.host('b.example')))?.id).toBe('app_2');
  });

  it('frees the claims of a deleted record', async () => {
    const store = await open();
    await store.commit([createTenant('ten_1', 'a')]);
    await store.commit([{ op: 'delete', kind: 'tenant', id: 'ten_1' }]);
    expect(await holder(store, 'a')).toBeUndefined();
    await store.commit([createTenant('ten_1')]);
    expect(await holder(store, 'a')).toBeUndefined();
    await store.commit([createTenant('ten_2', 'a')]);
    expect(await holder(store, 'a')).toBe('ten_2');
  });

  it('moves a claim within one commit, in whatever order the operations stand', async () => {
    const store = await open();
    await store.commit([createTenant('ten_1', 'current'), createTenant('ten_2', 'next')]);
    await store.commit([update('ten_2', 1, ['current']), update('ten_1', 1, ['next'])]);
    expect(await holder(store, 'current')).toBe('ten_2');
    expect(await holder(store, 'next')).toBe('ten_1');
    await store.commit([createTenant('ten_3', 'current'), { op: 'delete', kind: 'tenant', id: 'ten_2' }]);
    expect(await holder(store, 'current')).toBe('ten_3');
  });
}

async function listPages(store: Store, options: ListOptions<'tenant'>): Promise<string[][]> {
  const pages: string[][] = [];
  for (let after = ''; ;) {
    const page = (await store.list('tenant', { ...options, after })).map((record) => record.id);
    const last = page.at(-1);
    if (last === undefined) return pages;
    pages.push(page);
    after = last;
  }
}
