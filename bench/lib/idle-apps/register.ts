/**
 * Very many apps in a data folder, registered as the Core API registers them, in the order in which they are asked for. What comes
 * up at once is committed at once: a hundred apps wait for the disk together.
 */
import { join } from 'node:path';
import { systemClock } from '../../../src/clock.ts';
import { openSqliteStore } from '../../../src/cmdb/sqlite.ts';
import type { Operation, Store } from '../../../src/cmdb/store.ts';
import { Apps } from '../../../src/coreapi/apps.ts';
import type { NodeGateway } from '../../../src/coreapi/core-api.ts';
import { ensureDefaults } from '../../../src/coreapi/grades.ts';
import type { CreateAppBody } from '../../../src/coreapi/schema-app.ts';

const AT_ONCE = 200;

export const hostOf = (index: number) => `app-${index}.localhost`;

/** `databasePath` must not be in use by a program. */
export async function registerApps(
  dataDir: string,
  count: number,
  body: Omit<CreateAppBody, 'name' | 'hosts'>,
  signal: AbortSignal,
): Promise<void> {
  const store = openSqliteStore({ path: join(dataDir, 'mayfly.db') });
  try {
    const tenant = await ensureDefaults(store, systemClock);
    const apps = new Apps({ store: committingTogether(store), gateway: COMMANDS_ONLY, clock: systemClock });
    const owner = { kind: 'operator', tenantId: tenant.id } as const;
    for (let from = 0; from < count; from += AT_ONCE) {
      signal.throwIfAborted();
      const indexes = Array.from({ length: Math.min(AT_ONCE, count - from) }, (_, i) => from + i);
      await Promise.all(
        indexes.map((i) => apps.create(owner, { ...body, name: `app-${i}`, hosts: [hostOf(i)] }, { signal })),
      );
    }
  } finally {
    await store.close();
  }
}

const COMMANDS_ONLY: NodeGateway = {
  workloads: () => ['command'],
  resolveImage: () => Promise.reject(new Error('there are no images here')),
  logs: () => {
    throw new Error('nothing runs here');
  },
};

function committingTogether(store: Store): Store {
  let operations: Operation[] = [];
  let next: Promise<number> | undefined;
  return {
    driver: store.driver,
    get: (kind, id) => store.get(kind, id),
    list: (kind, options) => store.list(kind, options),
    findByClaim: (kind, claim) => store.findByClaim(kind, claim),
    listEvents: (filter) => store.listEvents(filter),
    revision: () => store.revision(),
    watch: (since, signal) => store.watch(since, signal),
    close: () => store.close(),
    commit(more) {
      operations.push(...more);
      next ??= new Promise((resolve) => setImmediate(resolve)).then(() => {
        const all = operations;
        operations = [];
        next = undefined;
        return store.commit(all);
      });
      return next;
    },
  };
}
