/** What only the SQLite store has: a file, its schema, its indexes, and other programs' locks on it. */
import { chmodSync, existsSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import { describe, expect, it, vi } from 'vitest';
import { MIGRATIONS, migrate } from '../../src/cmdb/sqlite-schema.ts';
import { SqliteTables } from '../../src/cmdb/sqlite-tables.ts';
import { claims } from '../../src/cmdb/claims.ts';
import { DEFAULT_POLICY } from '../../src/coreapi/schema-policy.ts';
import { eventRange } from '../../src/cmdb/bounds.ts';
import type { Store } from '../../src/cmdb/store.ts';
import { app, container, createTenant, event, expectError, takeChanges } from '../contract/store-fixtures.ts';
import { settle } from '../support/fake-clock.ts';
import { storeSupport } from './store-support.ts';

const { newFolder, newPath, open } = storeSupport();

describe('a file that is opened again', () => {
  it('has its records, claims, events and changes', async () => {
    const path = newPath();
    const first = open({ path });
    await first.commit([
      { op: 'create', kind: 'app', record: app('app_1'), claims: ['host:example.a'] },
      event(),
    ]);
    await first.close();
    const second = open({ path });
    expect(await second.findByClaim('app', 'host:example.a')).toEqual({ ...app('app_1'), generation: 1 });
    expect(await second.listEvents()).toHaveLength(1);
    expect(await second.revision()).toBe(2);
    expect(await takeChanges(second, 0, 2)).toHaveLength(2);
  });

  it('goes on counting where it stopped, also when the logs have been trimmed', async () => {
    const path = newPath();
    const retention = { maxEvents: 1, maxChanges: 1 };
    const first = open({ path, retention });
    await first.commit(Array.from({ length: 1000 }, () => event()));
    await first.close();
    const second = open({ path, retention });
    expect(await second.commit([event()])).toBe(1001);
    expect(await second.listEvents()).toMatchObject([{ sequence: 1001 }]);
  });

  it('stays bounded in size: the logs are trimmed in the file, not only hidden', async () => {
    const path = newPath();
    const store = open({ path, retention: { maxEvents: 10, maxChanges: 10 } });
    for (let i = 0; i < 30; i++) await store.commit(Array.from({ length: 100 }, () => event()));
    await store.close();
    const db = new Database(path, { readonly: true });
    for (const table of ['events', 'changes']) {
      const rows = db.prepare(`SELECT count(*) FROM ${table}`).pluck().get();
      expect(rows, table).toBeLessThan(10 + 2 * 256);
    }
    db.close();
  });

  it('is readable for its owner alone, as apps have secrets', async () => {
    const path = newPath();
    await open({ path }).commit([createTenant('ten_1')]);
    for (const file of [path, `${path}-wal`, `${path}-shm`])
      expect(statSync(file).mode & 0o077, file).toBe(0);
  });
});

describe('a schema that changes', () => {
  it.each(MIGRATIONS.map((_, version) => version))(
    'is brought up to date from version %i',
    async (version) => {
      const path = newPath();
      const db = new Database(path);
      migrate(db, path, MIGRATIONS.slice(0, version));
      db.close();
      const store = open({ path });
      await store.commit([createTenant('ten_1', 'a'), event()]);
      expect(await store.findByClaim('tenant', 'a')).toBeDefined();
      await store.close();
      expect(versionOf(path)).toBe(MIGRATIONS.length);
    },
  );

  it('gives apps and tenants of before there was scaling the defaults of that time', async () => {
    const path = newPath();
    const db = new Database(path);
    migrate(db, path, MIGRATIONS.slice(0, 1));
    const { policy, ...rest } = app('app_1');
    const { scaling, cooldownMs, ...before } = policy;
    const insert = db.prepare('INSERT INTO records (kind, id, body) VALUES (?, ?, ?)');
    insert.run('app', 'app_1', JSON.stringify({ ...rest, policy: before, generation: 1 }));
    insert.run('tenant', 'ten_1', JSON.stringify({ id: 'ten_1', name: 'a', createdAtMs: 0, generation: 1 }));
    db.close();
    const store = open({ path });
    expect((await store.get('app', 'app_1'))?.policy).toEqual(policy);
    expect({ scaling, cooldownMs }).toEqual({
      scaling: DEFAULT_POLICY.scaling,
      cooldownMs: { out: 3_000, in: 60_000, up: 3_000, down: 60_000 },
    });
    expect(await store.get('tenant', 'ten_1')).toMatchObject({ quota: null });
  });

  it('gives apps of the first version every field that a policy has today', async () => {
    const path = newPath();
    const db = new Database(path);
    migrate(db, path, MIGRATIONS.slice(0, 1));
    const { policy: today, ...rest } = app('app_1');
    const { scaling: _1, cooldownMs: _2, wake: _3, keepWarm: _4, boost: _5, spares: _6, ...policy } = today;
    const insert = db.prepare('INSERT INTO records (kind, id, body) VALUES (?, ?, ?)');
    insert.run('app', 'app_1', JSON.stringify({ ...rest, policy, generation: 1 }));
    db.close();
    const found = (await open({ path }).get('app', 'app_1'))?.policy;
    expect(pathsOf(found)).toEqual(pathsOf(DEFAULT_POLICY));
  });

  it('gives the one container of an app and node the first place of the app', async () => {
    const path = newPath();
    const db = new Database(path);
    migrate(db, path, MIGRATIONS.slice(0, 2));
    const insert = db.prepare('INSERT INTO records (kind, id, body) VALUES (?, ?, ?)');
    const claim = db.prepare('INSERT INTO claims (claim, kind, id) VALUES (?, ?, ?)');
    for (const [id, slot] of [
      ['ctr_1', 'current'],
      ['ctr_2', 'next'],
      ['ctr_3', null],
    ] as const) {
      insert.run('container', id, JSON.stringify({ ...container(id), slot, generation: 1 }));
      if (slot) claim.run(`slot:app_1/node_1/${slot}`, 'container', id);
    }
    claim.run('host:slot.a/b/current', 'app', 'app_1');
    db.close();
    const store = open({ path });
    expect((await store.list('container')).map(({ slot }) => slot)).toEqual([0, 'next', null]);
    expect((await store.findByClaim('container', claims.slot('app_1', 0)))?.id).toBe('ctr_1');
    expect((await store.findByClaim('container', claims.slot('app_1', 'next')))?.id).toBe('ctr_2');
  });

  it('finds apps by the hosts they had before', async () => {
    const path = newPath();
    const db = new Database(path);
    migrate(db, path, MIGRATIONS.slice(0, 9));
    const insert = db.prepare('INSERT INTO records (kind, id, body) VALUES (?, ?, ?)');
    const claim = db.prepare('INSERT INTO claims (claim, kind, id) VALUES (?, ?, ?)');
    const hosts = ['*.shop.example', 'a.b', 'b.a', 'localhost', '127.0.0.1', '[::1]'];
    for (const [index, host] of hosts.entries()) {
      insert.run('app', `app_${index}`, JSON.stringify({ ...app(`app_${index}`), generation: 1 }));
      claim.run(`host:${host}`, 'app', `app_${index}`);
    }
    claim.run('app:ten_1/app_0', 'app', 'app_0');
    db.close();
    const store = open({ path });
    for (const [index, host] of hosts.entries())
      expect((await store.findByClaim('app', claims.host(host)))?.id).toBe(`app_${index}`);
    expect((await store.findByClaim('app', claims.appName('ten_1', 'app_0')))?.id).toBe('app_0');
  });

  it('takes a file with its data one version further', async () => {
    const path = newPath();
    const store = open({ path });
    await store.commit([createTenant('ten_1')]);
    await store.close();
    const db = new Database(path);
    migrate(db, path, [...MIGRATIONS, 'CREATE TABLE extra AS SELECT id FROM records']);
    expect(db.prepare('SELECT id FROM extra').all()).toEqual([{ id: 'ten_1' }]);
    db.close();
    expect(versionOf(path)).toBe(MIGRATIONS.length + 1);
  });

  it('leaves the file as it was when a step fails', async () => {
    const path = newPath();
    const store = open({ path });
    await store.commit([createTenant('ten_1')]);
    await store.close();
    const db = new Database(path);
    const steps = [...MIGRATIONS, 'CREATE TABLE extra (x); DELETE FROM records', 'this is no SQL'];
    expect(() => migrate(db, path, steps)).toThrow('syntax error');
    expect(db.prepare("SELECT name FROM sqlite_schema WHERE name = 'extra'").all()).toEqual([]);
    db.close();
    expect(versionOf(path)).toBe(MIGRATIONS.length);
    expect(await open({ path }).get('tenant', 'ten_1')).toBeDefined();
  });

  it('refuses a file of a newer version, naming it and both versions', async () => {
    const path = newPath();
    await open({ path }).close();
    const db = new Database(path);
    db.pragma('user_version = 4242');
    db.close();
    expectOpenError(path, [path, '4242', `up to ${MIGRATIONS.length}`]);
    expect(versionOf(path)).toBe(4242);
  });
});

describe('a file that cannot be used', () => {
  it('is refused when it is no database, and is not touched', () => {
    const path = newPath();
    const text = 'this is a letter to a friend\n'.repeat(200);
    writeFileSync(path, text);
    expectOpenError(path, [path, 'not a database']);
    expect(readFileSync(path, 'utf8')).toBe(text);
  });

  it('is refused when it is the database of another program', () => {
    const path = newPath();
    const db = new Database(path);
    db.exec('CREATE TABLE contacts (name)');
    db.close();
    expectOpenError(path, [path, 'another program']);
  });

  it('says store_unavailable when a part of it is damaged', async () => {
    const path = newPath();
    const store = open({ path });
    await store.commit(Array.from({ length: 500 }, (_, i) => createTenant(`ten_${i}`)));
    await store.close();
    const bytes = readFileSync(path);
    bytes.fill(0xff, 4096); // the first page, with the schema, stays
    writeFileSync(path, bytes);
    await expect((async () => open({ path }).list('tenant'))()).rejects.toMatchObject({
      code: 'store_unavailable',
      message: expect.stringContaining(path) as string,
    });
  });

  it('is refused when its folder is missing or it is a folder', () => {
    const folder = newFolder();
    expectOpenError(join(folder, 'missing', 'cmdb.sqlite'), ['missing', 'no such file or directory']);
    expectOpenError(folder, [folder]);
  });

  it('is refused when its folder or the file itself cannot be written', async () => {
    const folder = newFolder();
    const path = join(folder, 'cmdb.sqlite');
    const whileReadOnly = (modes: { folder: number; file?: number }) => {
      chmodSync(folder, modes.folder);
      if (modes.file !== undefined) chmodSync(path, modes.file);
      asOrdinaryUser(() => expectOpenError(path, [path], 'writable'));
      chmodSync(folder, 0o755);
    };
    whileReadOnly({ folder: 0o555 });
    expect(existsSync(path)).toBe(false);
    await open({ path }).close();
    whileReadOnly({ folder: 0o777, file: 0o444 });
    whileReadOnly({ folder: 0o555, file: 0o666 });
  });
});

describe('a lock that another connection holds', () => {
  it('makes a commit wait without blocking, and is waited out', async () => {
    const path = newPath();
    const store = open({ path });
    const other = new Database(path);
    other.exec('BEGIN IMMEDIATE');
    let acknowledged = false;
    const commit = store.commit([createTenant('ten_1')]).finally(() => (acknowledged = true));
    await settle();
    // That this line is reached is the point: the lock is let go of by the very loop that the commit waits in.
    expect(acknowledged).toBe(false);
    expect(await store.get('tenant', 'ten_1')).toBeUndefined();
    other.exec('COMMIT');
    other.close();
    expect(await commit).toBe(1);
    expect(await store.get('tenant', 'ten_1')).toBeDefined();
  });

  it('lets many wait in line: they are served in the order they came', async () => {
    const path = newPath();
    const store = open({ path });
    const other = new Database(path);
    other.exec('BEGIN IMMEDIATE');
    const ids = Array.from({ length: 30 }, (_, index) => `ten_${index}`);
    const commits = ids.map((id) => store.commit([createTenant(id)]));
    await settle();
    other.exec('COMMIT');
    other.close();
    expect(await Promise.all(commits)).toEqual(ids.map((_, index) => index + 1));
  });

  it('ends in store_unavailable when it is held for too long, and nothing was written', async () => {
    const path = newPath();
    const store = open({ path });
    const other = new Database(path);
    other.exec('BEGIN IMMEDIATE');
    vi.useFakeTimers({ toFake: ['performance'] });
    const commit = store.commit([createTenant('ten_1')]);
    vi.advanceTimersByTime(60_000);
    await expectError('store_unavailable', commit);
    vi.useRealTimers();
    other.exec('COMMIT');
    other.close();
    expect(await store.revision()).toBe(0);
  });

  it('does not outlive the store: closing ends the wait', async () => {
    const path = newPath();
    const store = open({ path });
    const other = new Database(path);
    other.exec('BEGIN IMMEDIATE');
    const commit = store.commit([createTenant('ten_1')]);
    await store.close();
    await expectError('store_unavailable', commit);
    other.close();
  });
});

describe('indexes', () => {
  it('answer every question of the port without reading a whole table', async () => {
    const path = newPath();
    await open({ path }).close();
    const db = new Database(path);
    let plan = '';
    const explain = (sql: string, values: unknown[]) => {
      const steps = db.prepare(`EXPLAIN QUERY PLAN ${sql}`).all(...values) as { detail: string }[];
      plan = steps.map((step) => step.detail).join('; ');
      return [];
    };
    // The driver's own SQL, explained in place of being run.
    const tables = new SqliteTables((sql) => ({
      run: () => ({ lastInsertRowid: 0 }),
      get: (...values) => explain(sql, values).at(0),
      all: (...values) => explain(sql, values),
    }));
    const planOf = (question: () => unknown): string => {
      question();
      return plan;
    };
    const list = (where: Record<string, string>) =>
      planOf(() => tables.list({ kind: 'container', where, after: 'ctr_1', limit: 10 }));
    const events = (filter: Record<string, string>) =>
      planOf(() => tables.events(filter, eventRange({ before: 9 }, 0)));

    expect(list({})).toMatch(/^SEARCH records USING INDEX sqlite_autoindex_records_1 \(kind=\? AND id>\?\)$/);
    expect(list({ appId: 'a' })).toMatch(
      /^SEARCH records USING INDEX records_by_app \(kind=\? AND appId=\? AND id>\?\)$/,
    );
    expect(list({ nodeId: 'n' })).toMatch(
      /^SEARCH records USING INDEX records_by_node \(kind=\? AND nodeId=\? AND id>\?\)$/,
    );
    expect(list({ tenantId: 't' })).toMatch(
      /^SEARCH records USING INDEX records_by_tenant \(kind=\? AND tenantId=\? AND id>\?\)$/,
    );
    expect(list({ nodeId: 'n', appId: 'a' })).toMatch(/^SEARCH records USING INDEX records_by_app [^;]+$/);
    expect(planOf(() => tables.findByClaim('app', 'host:example.a'))).toMatch(
      /^SEARCH claims USING PRIMARY KEY \(claim=\?\); SEARCH records USING INDEX [^;]+ \(kind=\? AND id=\?\)$/,
    );
    expect(planOf(() => tables.heldByOthers('host:example.', 'ten_1'))).toMatch(
      /^SEARCH claims USING PRIMARY KEY \(claim>\? AND claim<\?\); [^;]+; SEARCH records USING INDEX records_by_tenant \(kind=\? AND tenantId=\? AND id=\?\)$/,
    );
    expect(planOf(() => tables.get('app', 'app_1'))).toMatch(/^SEARCH records [^;]+\(kind=\? AND id=\?\)$/);
    expect(events({})).toMatch(/^SEARCH events USING INTEGER PRIMARY KEY \(rowid>\? AND rowid<\?\)$/);
    expect(events({ appId: 'a' })).toMatch(
      /^SEARCH events USING INDEX events_by_app \(appId=\? AND rowid>\?[^;]+$/,
    );
    expect(events({ appId: 'a', containerId: 'c' })).toMatch(
      /^SEARCH events USING INDEX events_by_container \(containerId=\? AND rowid>\?[^;]+$/,
    );
    expect(planOf(() => tables.changes(5))).toMatch(
      /^SEARCH changes USING INTEGER PRIMARY KEY \(rowid>\?\)$/,
    );
    db.close();
  });
});

function versionOf(path: string): unknown {
  const db = new Database(path, { readonly: true });
  try {
    return db.pragma('user_version', { simple: true });
  } finally {
    db.close();
  }
}

/** The file cannot be opened, and the error says so: with these words in its message, and this one in its hint. */
function expectOpenError(path: string, words: readonly string[], hint = ''): void {
  let store: Store | undefined;
  let thrown: unknown;
  try {
    store = open({ path });
  } catch (error) {
    thrown = error;
  }
  expect(store).toBeUndefined();
  expect(thrown).toMatchObject({ code: 'store_unavailable', hint: expect.stringContaining(hint) as string });
  for (const word of words) expect((thrown as Error).message).toContain(word);
}

/** Permissions do not hold root back, so root lays its rights down for the moment. */
function asOrdinaryUser(work: () => void): void {
  if (process.geteuid?.() !== 0) {
    work();
    return;
  }
  process.seteuid?.(65534);
  try {
    work();
  } finally {
    process.seteuid?.(0);
  }
}

/** Of all fields of an object and of those in it. */
function pathsOf(value: unknown, path = ''): string[] {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return [path];
  return Object.entries(value)
    .flatMap(([name, inner]) => pathsOf(inner, `${path}/${name}`))
    .sort();
}
