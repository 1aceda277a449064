/** Apps in a real database, and the way from a host to its app through the Core API. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { systemClock } from '../../../src/clock.ts';
import { claims } from '../../../src/cmdb/claims.ts';
import { openSqliteStore } from '../../../src/cmdb/sqlite.ts';
import type { Operation } from '../../../src/cmdb/store.ts';
import { createCore } from '../../../src/coreapi/core.ts';
import type { Route } from '../../../src/proxy/control-plane.ts';
import { app, revision } from '../../../test/support/records.ts';

const APPS_A_COMMIT = 100;

export interface LoadedStore {
  readonly loadMs: number;
  resolve(host: string): Promise<Route | undefined>;
  close(): Promise<void>;
}

/** Each app has `hostsOf(app)`. */
export async function loadStore(
  apps: number,
  hostsOf: (index: number) => readonly string[],
): Promise<LoadedStore> {
  const folder = await mkdtemp(join(tmpdir(), 'mayfly-bench-routes-'));
  const store = openSqliteStore({ path: join(folder, 'cmdb.sqlite') });
  const close = async () => {
    await store.close();
    await rm(folder, { recursive: true });
  };
  try {
    const startedMs = performance.now();
    for (let from = 0; from < apps; from += APPS_A_COMMIT) {
      const operations: Operation[] = [];
      for (let i = from; i < Math.min(apps, from + APPS_A_COMMIT); i++)
        operations.push(...create(i, hostsOf(i)));
      await store.commit(operations);
    }
    const loadMs = performance.now() - startedMs;
    const core = createCore({ store, clock: systemClock });
    return {
      loadMs,
      close,
      async resolve(host) {
        const spec = await core.lookup(host);
        if (!spec) return undefined;
        const { id, name, policy, hosts } = spec.app;
        return {
          appId: id,
          appName: name,
          holdRequests: policy.hold.requests,
          holdBytes: policy.hold.bytes,
          requestTimeoutMs: policy.requestTimeoutMs,
          byName: hosts.includes(host),
        };
      },
    };
  } catch (thrown) {
    await close();
    throw thrown;
  }
}

function create(index: number, hosts: readonly string[]): Operation[] {
  const id = `app_${index}`;
  const revisionId = `rev_${index}`;
  return [
    {
      op: 'create',
      kind: 'app',
      record: app({ id, name: `app-${index}`, hosts, revisionId }),
      claims: hosts.map((host) => claims.host(host)),
    },
    { op: 'create', kind: 'revision', record: revision({ id: revisionId, appId: id }) },
  ];
}
