import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach } from 'vitest';
import { openSqliteStore } from '../../src/cmdb/sqlite.ts';
import { storeContract } from './store.ts';

const folders: string[] = [];

// Registered before the suite's own hook, so it runs after: hooks of one kind run in reverse.
afterEach(() => {
  for (const folder of folders.splice(0)) rmSync(folder, { recursive: true });
});

storeContract('SQLite', (retention = {}) => {
  const folder = mkdtempSync(join(tmpdir(), 'mayfly-store-'));
  folders.push(folder);
  return openSqliteStore({ path: join(folder, 'cmdb.sqlite'), retention });
});
