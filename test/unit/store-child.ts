/** The other process of the store's tests: `node store-child.ts TASK PATH [ARGUMENT]`. */
import { writeSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import Database from 'better-sqlite3';
import { openSqliteStore } from '../../src/cmdb/sqlite.ts';
import { newId } from '../../src/ids.ts';
import { container, increment, tenant } from '../contract/store-fixtures.ts';

const [task = '', path = '', argument = ''] = process.argv.slice(2);

const tasks: Record<string, () => Promise<void>> = {
  async increment() {
    const store = openSqliteStore({ path });
    for (let i = 0; i < Number(argument); i++) await increment(store, 'ten_1');
    await store.close();
  },

  async create() {
    const store = openSqliteStore({ path });
    await store.commit([{ op: 'create', kind: 'tenant', record: tenant(argument) }]);
    await store.close();
  },

  /** Both kinds of commit: one that is flushed to the disk, one that is not. Prints each id once it is acknowledged. */
  async createForEver() {
    const store = openSqliteStore({ path });
    for (;;) {
      const [tenantId, containerId] = [newId('ten'), newId('ctr')];
      await store.commit([{ op: 'create', kind: 'tenant', record: tenant(tenantId), claims: [tenantId] }]);
      writeSync(1, `${tenantId}\n`);
      await store.commit([{ op: 'create', kind: 'container', record: container(containerId) }]);
      writeSync(1, `${containerId}\n`);
    }
  },

  async createUntilRefused() {
    const store = openSqliteStore({ path });
    for (;;) {
      const id = newId('ten');
      try {
        await store.commit([{ op: 'create', kind: 'tenant', record: tenant(id, 'x'.repeat(5000)) }]);
      } catch (error) {
        writeSync(2, JSON.stringify({ ...(error as object), message: (error as Error).message }));
        return;
      }
      writeSync(1, `${id}\n`);
    }
  },

  /** Never closed, never aborted: ends only because a watcher does not keep its process alive. */
  async watch() {
    const store = openSqliteStore({ path });
    const next = store.watch(0, new AbortController().signal)[Symbol.asyncIterator]().next();
    void next.then(() => process.exit(1));
  },
  /** Has the file for itself, as a process does that migrates it, and lets go of it a moment after it has said so. */
  async lock() {
    const db = new Database(path);
    db.exec('BEGIN EXCLUSIVE');
    writeSync(1, 'locked\n');
    await delay(200);
    db.close();
  },
};

await tasks[task]?.();
