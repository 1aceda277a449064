/** Records that are whole but say no more than a store test needs, and short ways to ask a store for things. */
import { expect } from 'vitest';
import type { Event } from '../../src/cmdb/records.ts';
import type { Change, NewRecord, Operation, RetentionOptions, Store } from '../../src/cmdb/store.ts';
import type { ErrorCode } from '../../src/errors.ts';
import { policy } from '../support/records.ts';

export type OpenStore = (retention?: Partial<RetentionOptions>) => Store | Promise<Store>;

export function tenant(id: string, name = id): NewRecord<'tenant'> {
  return { id, createdAtMs: 1_700_000_000_000, name, quota: null };
}

export function app(id: string, fields: Partial<NewRecord<'app'>> = {}): NewRecord<'app'> {
  return {
    id,
    createdAtMs: 1_700_000_000_000,
    tenantId: 'ten_1',
    name: id,
    hosts: [`${id}.example`],
    revisionId: 'rev_1',
    policy: policy(),
    ...fields,
  };
}

export function container(id: string, fields: Partial<NewRecord<'container'>> = {}): NewRecord<'container'> {
  return {
    id,
    createdAtMs: 1_700_000_000_000,
    appId: 'app_1',
    revisionId: 'rev_1',
    nodeId: 'node_1',
    state: 'planned',
    slot: null,
    reason: 'a request came',
    address: null,
    resources: { cpu: 0.3, memoryBytes: 512 * 1024 * 1024, pidsMax: 256 },
    protocol: 'http1',
    expiresAtMs: null,
    phasesMs: {},
    enteredAtMs: { planned: 1_700_000_000_000 },
    ...fields,
  };
}

export function node(id: string): NewRecord<'node'> {
  return {
    id,
    createdAtMs: 1_700_000_000_000,
    name: id,
    engine: 'simulated',
    state: 'up',
    capacity: { cpu: 4, memoryBytes: 8 * 1024 ** 3 },
    reserved: { cpu: 0, memoryBytes: 0 },
    lastSeenAtMs: 0,
  };
}

export function event(fields: Partial<Omit<Event, 'sequence'>> = {}): Operation {
  return {
    op: 'event',
    event: {
      atMs: 1_700_000_000_000,
      type: 'container.ready',
      appId: 'app_1',
      containerId: 'ctr_1',
      nodeId: 'node_1',
      reason: 'it listens',
      figures: { listenMs: 2.5 },
      ...fields,
    },
  };
}

export function createTenant(id: string, ...claims: string[]): Operation {
  return { op: 'create', kind: 'tenant', record: tenant(id), claims };
}

export async function expectError(code: ErrorCode, promise: Promise<unknown>): Promise<void> {
  await expect(promise).rejects.toMatchObject({ name: 'PlatformError', code });
}

/** The next `count` changes after a revision. */
export async function takeChanges(store: Store, since: number, count: number): Promise<Change[]> {
  const taken: Change[] = [];
  for await (const change of store.watch(since, new AbortController().signal)) {
    taken.push(change);
    if (taken.length === count) break;
  }
  return taken;
}

/** Adds 1 to the number that a tenant has for a name, deciding anew for as long as others come first. */
export async function increment(store: Store, id: string): Promise<void> {
  for (;;) {
    const current = await store.get('tenant', id);
    if (!current) throw new Error(`${id} is gone`);
    const name = String(Number(current.name) + 1);
    try {
      await store.commit([
        { op: 'update', kind: 'tenant', id, ifGeneration: current.generation, set: { name } },
      ]);
      return;
    } catch (error) {
      if ((error as { code?: unknown }).code !== 'conflict') throw error;
    }
  }
}
