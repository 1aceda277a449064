/** The SQLite store between processes: shared, killed, and out of room. */
import { expect, it } from 'vitest';
import { createTenant, takeChanges, tenant } from '../contract/store-fixtures.ts';
import { until } from '../support/until.ts';
import { storeSupport } from './store-support.ts';

const { newPath, open, start } = storeSupport();

it('loses no update when two processes change one record at once', async () => {
  const path = newPath();
  const store = open({ path });
  await store.commit([{ op: 'create', kind: 'tenant', record: tenant('ten_1', '0') }]);
  const children = [start(['increment', path, '100']), start(['increment', path, '100'])];
  for (const child of children) expect(await child.ended, child.stderr()).toBe(0);
  expect(await store.get('tenant', 'ten_1')).toMatchObject({ name: '200', generation: 201 });
});

it('is made once when several processes open a new file together', async () => {
  const path = newPath();
  const ids = ['ten_1', 'ten_2', 'ten_3', 'ten_4'];
  const children = ids.map((id) => start(['create', path, id]));
  for (const child of children) expect(await child.ended, child.stderr()).toBe(0);
  const records = await open({ path }).list('tenant');
  expect(records.map((record) => record.id)).toEqual(ids);
});

it('waits at opening for a process that has the file for itself', async () => {
  const path = newPath();
  const child = start(['lock', path]);
  await until('the lock', () => child.lines().length > 0);
  await open({ path }).commit([createTenant('ten_1')]);
  expect(await child.ended, child.stderr()).toBe(0);
});

it('tells a watcher what another process commits', async () => {
  const path = newPath();
  const store = open({ path });
  const since = await store.commit([createTenant('ten_1')]);
  const next = takeChanges(store, since, 1);
  const child = start(['create', path, 'ten_2']);
  expect(await next).toEqual([{ revision: since + 1, op: 'create', kind: 'tenant', id: 'ten_2' }]);
  expect(await child.ended, child.stderr()).toBe(0);
});

it('does not keep a process alive by watching', async () => {
  const child = start(['watch', newPath()]);
  expect(await child.ended, child.stderr()).toBe(0);
});

it('has everything it acknowledged after kill -9 at any moment', async () => {
  const path = newPath();
  const acknowledged: string[] = [];
  for (let round = 1; round <= 5; round++) {
    const child = start(['createForEver', path]);
    const enough = 1 + Math.floor(Math.random() * 200);
    await until(`${enough} commits`, () => child.lines().length >= enough);
    child.process.kill('SIGKILL');
    expect(await child.ended, child.stderr()).toBe('SIGKILL');
    acknowledged.push(...child.lines());

    const store = open({ path });
    for (const id of acknowledged) {
      const record = id.startsWith('ten_')
        ? await store.findByClaim('tenant', id)
        : await store.get('container', id);
      expect(record?.id, `round ${round}, killed after ${child.lines().length} commits`).toBe(id);
    }
    // No half of a commit either: each wrote one record and one change, the last one at most unacknowledged.
    const revision = await store.revision();
    expect(revision - acknowledged.length).toBeGreaterThanOrEqual(0);
    expect(revision - acknowledged.length).toBeLessThanOrEqual(round);
    await store.close();
  }
});

it('says store_unavailable when it can write no more, and keeps what it acknowledged', async () => {
  const path = newPath();
  // Files of that process may not grow beyond 1 MiB (2,048 blocks of 512 bytes): to SQLite, a disk that fails.
  const child = start(['createUntilRefused', path], 'ulimit -f 2048;');
  expect(await child.ended, child.stderr()).toBe(0);
  expect(JSON.parse(child.stderr())).toMatchObject({
    code: 'store_unavailable',
    message: expect.stringContaining(path) as string,
    hint: expect.stringContaining('disk') as string,
  });
  expect(child.lines().length).toBeGreaterThan(10);
  const store = open({ path });
  for (const id of child.lines()) expect(await store.get('tenant', id)).toBeDefined();
  await store.commit([createTenant('goes on')]);
});
