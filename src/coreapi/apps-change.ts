/**
 * One change to an app is one commit: the record, its revision, its claims on names and hosts, and the events that tell
 * of it. Here a change is put into operations of the store; apps.ts decides what the change is.
 */
import { isDeepStrictEqual } from 'node:util';
import { claims, hostClaimed } from '../cmdb/claims.ts';
import type { App, Event, Policy, Revision } from '../cmdb/records.ts';
import type { NewRecord, Operation, Store } from '../cmdb/store.ts';
import { PlatformError } from '../errors.ts';
import { hostMatches } from '../hostname.ts';
import { newId } from '../ids.ts';
import { describe, sameContent, type RevisionContent } from './apps-content.ts';
import { needsOperations, refuseIfNeeded, type Needs } from './apps-needs.ts';
import type { AppSpec } from './core-api.ts';
import { unscaled } from './decisions/size.ts';
import { listAll } from './list-all.ts';

/** Revisions kept per app, the running one included; older ones go unless a container still runs them. */
const REVISIONS_KEPT = 20;

/** An app as it is to be. */
export interface Draft {
  readonly hosts: readonly string[];
  readonly policy: Policy;
  readonly content: RevisionContent;
  readonly needs: Needs;
}

export interface Planned {
  readonly operations: readonly Operation[];
  /** What the store holds once they are committed. */
  readonly spec: AppSpec;
}

function claimsOf(app: Pick<App, 'tenantId' | 'name' | 'hosts'>): string[] {
  return [claims.appName(app.tenantId, app.name), ...app.hosts.map(claims.host)];
}

/** What is to be committed for an app that is new. */
export async function planCreate(
  store: Store,
  draft: Draft,
  { tenantId, name, nowMs }: { tenantId: string; name: string; nowMs: number },
): Promise<Planned> {
  const revision = newRevision(draft.content, { appId: newId('app', nowMs), number: 1, nowMs });
  const { hosts, policy } = draft;
  const app = {
    id: revision.appId,
    createdAtMs: nowMs,
    tenantId,
    name,
    hosts,
    policy,
    revisionId: revision.id,
    needs: draft.needs.needs,
  };
  const figures = { revision: 1, hosts: hosts.length };
  const reason = `app ${name} was created: ${describe(revision.workload)}`;
  return {
    operations: [
      { op: 'create', kind: 'app', record: app, claims: claimsOf(app) },
      { op: 'create', kind: 'revision', record: revision },
      ...(await needsOperations(store, { appId: app.id, name }, [], draft.needs)),
      ...keepWarm(app.id, policy, nowMs),
      event('app.created', app.id, nowMs, reason, figures),
    ],
    spec: { app: { ...app, generation: 1 }, revision: { ...revision, generation: 1 } },
  };
}

/**
 * What turns `current` into `draft`; undefined when it is that already. With `deploy` there is a new revision in any case:
 * the folder or the tag behind the same words may hold something else by now.
 */
export async function planUpdate(
  store: Store,
  current: AppSpec,
  draft: Draft,
  { deploy, nowMs }: { deploy: boolean; nowMs: number },
): Promise<Planned | undefined> {
  const { app } = current;
  const { hosts, policy } = draft;
  const operations: Operation[] = [];
  const changed = changedFields(app, draft);
  if (changed.length > 0) {
    const reason = `app ${app.name} was changed: ${changed.join(', ')}`;
    operations.push(event('app.updated', app.id, nowMs, reason, {}));
  }
  let { revision } = current;
  if (deploy || !sameContent(revision, draft.content)) {
    const revisions = await listAll(store, 'revision', { appId: app.id });
    const number = Math.max(...revisions.map((known) => known.number), revision.number) + 1;
    const fresh = newRevision(draft.content, { appId: app.id, number, nowMs });
    revision = { ...fresh, generation: 1 };
    const reason = `app ${app.name} was given revision ${number}: ${describe(fresh.workload)}`;
    operations.push(
      { op: 'create', kind: 'revision', record: fresh },
      ...(await prune(store, revisions)),
      event('app.deployed', app.id, nowMs, reason, { revision: number }),
    );
  }
  if (operations.length === 0) return undefined;
  if (!(await store.get('size', app.id))) operations.push(...keepWarm(app.id, policy, nowMs));
  const needs = draft.needs.needs;
  const self = { appId: app.id, name: app.name };
  operations.push(...(await needsOperations(store, self, app.needs ?? [], draft.needs)));
  const set = { hosts, policy, needs, revisionId: revision.id };
  const after = { ...app, ...set, generation: app.generation + 1 };
  operations.unshift({
    op: 'update',
    kind: 'app',
    id: app.id,
    ifGeneration: app.generation,
    set,
    claims: claimsOf(after),
  });
  return { operations, spec: { app: after, revision } };
}

/** Errors: `app_needed`. */
export async function planDelete(store: Store, app: App, nowMs: number): Promise<Operation[]> {
  refuseIfNeeded(app);
  const self = { appId: app.id, name: app.name };
  const revisions = await listAll(store, 'revision', { appId: app.id });
  const certificates = await listAll(store, 'certificate', { appId: app.id });
  const size = await store.get('size', app.id);
  const reason = `app ${app.name} was deleted; its containers are drained`;
  return [
    { op: 'delete', kind: 'app', id: app.id, ifGeneration: app.generation },
    ...revisions.map(({ id }): Operation => ({ op: 'delete', kind: 'revision', id })),
    ...certificates.map(({ id }): Operation => ({ op: 'delete', kind: 'certificate', id })),
    size
      ? { op: 'delete', kind: 'size', id: size.id }
      : { op: 'expect', kind: 'size', id: app.id, ifGeneration: 0 },
    ...(await needsOperations(store, self, app.needs ?? [], { needs: [], looked: [] })),
    event('app.deleted', app.id, nowMs, reason, { revisions: revisions.length }),
  ];
}

/** A claim of another record that stands in the way of the app's, told as the caller knows it: whose it is, is not said. */
export function claimError(thrown: PlatformError, { hosts }: Pick<App, 'hosts'>): PlatformError {
  const claim = thrown.fields[0]?.field ?? '';
  const host = hostClaimed(claim);
  if (host === undefined) return nameTaken(claim.slice(claim.indexOf('/') + 1));
  const overlap = hosts.includes(host)
    ? undefined
    : hosts.find((own) => hostMatches(own, host) || hostMatches(host, own));
  const why = overlap === undefined ? '' : `, and ${overlap} overlaps it`;
  return new PlatformError('host_taken', `the hostname ${host} belongs to another app${why}`, {
    hint: 'choose another hostname, or take it from that app first',
    fields: [{ field: 'hosts', reason: `${host} is taken${why}` }],
  });
}

export function nameTaken(name: string): PlatformError {
  return new PlatformError('name_taken', `there is an app ${JSON.stringify(name)} already`, {
    hint: 'choose another name, or change that app with PUT or PATCH /v1/apps/NAME (mayfly apps update)',
    fields: [{ field: 'name', reason: 'is taken' }],
  });
}

/**
 * Nodes look through the sizes for apps that want containers although nobody asks: one that is to be kept warm has a size
 * from the start, so that they need not look through all apps.
 */
function keepWarm(appId: string, policy: Policy, nowMs: number): Operation[] {
  if (policy.minReplicas === 0 && policy.keepWarm.length === 0) return [];
  const { generation: _, ...record } = unscaled(appId);
  return [{ op: 'create', kind: 'size', record: { ...record, createdAtMs: nowMs } }];
}

function newRevision(
  content: RevisionContent,
  { appId, number, nowMs }: { appId: string; number: number; nowMs: number },
): NewRecord<'revision'> {
  return { id: newId('rev', nowMs), createdAtMs: nowMs, appId, number, ...content };
}

/** Deletes what is older than the last 20 (one of which is about to be made), except what a container runs. */
async function prune(store: Store, revisions: readonly Revision[]): Promise<Operation[]> {
  const byAge = revisions.toSorted((a, b) => b.number - a.number);
  const old = byAge.slice(REVISIONS_KEPT - 1);
  const [oldest] = old;
  if (!oldest) return [];
  const containers = await listAll(store, 'container', { appId: oldest.appId });
  const inUse = new Set(containers.map((container) => container.revisionId));
  return old.flatMap(({ id }): Operation[] =>
    inUse.has(id) ? [] : [{ op: 'delete', kind: 'revision', id }],
  );
}

function changedFields(app: App, draft: Draft): string[] {
  const keys = Object.keys(draft.policy) as (keyof Policy)[];
  return [
    ...(isDeepStrictEqual(app.hosts, draft.hosts) ? [] : ['hosts']),
    ...(isDeepStrictEqual(app.needs ?? [], draft.needs.needs) ? [] : ['needs']),
    ...keys
      .filter((key) => !isDeepStrictEqual(app.policy[key], draft.policy[key]))
      .map((key) => `policy.${key}`),
  ];
}

function event(
  type: string,
  appId: string,
  atMs: number,
  reason: string,
  figures: Event['figures'],
): Operation {
  return { op: 'event', event: { atMs, type, appId, containerId: null, nodeId: null, reason, figures } };
}
