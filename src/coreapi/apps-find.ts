/** Finding apps as callers name them, by name or by id and only those of their own tenant, and as visitors do, by host. */
import { claims } from '../cmdb/claims.ts';
import type { App, Kind, RecordOf } from '../cmdb/records.ts';
import type { Filters, Store } from '../cmdb/store.ts';
import { PlatformError } from '../errors.ts';
import { wildcardsOf } from '../hostname.ts';
import type { AppSpec } from './core-api.ts';
import { DEFAULT_PAGE, type PageOptions } from './schema-query.ts';
import type { Page } from './schema-views.ts';
import type { Principal } from './tokens.ts';

/** A name is a DNS label and has no underscore, so an id is never mistaken for one. */
export async function lookUpApp(
  store: Store,
  principal: Principal,
  nameOrId: string,
): Promise<App | undefined> {
  const app = nameOrId.startsWith('app_')
    ? await store.get('app', nameOrId)
    : await store.findByClaim('app', claims.appName(principal.tenantId, nameOrId));
  return app?.tenantId === principal.tenantId ? app : undefined;
}

/** Errors: `not_found`. */
export async function findApp(store: Store, principal: Principal, nameOrId: string): Promise<App> {
  const app = await lookUpApp(store, principal, nameOrId);
  if (!app) throw noSuchApp(nameOrId);
  return app;
}

/** Errors: `not_found`. */
export async function findSpec(store: Store, principal: Principal, nameOrId: string): Promise<AppSpec> {
  const spec = await specOf(store, await findApp(store, principal, nameOrId));
  if (!spec) throw noSuchApp(nameOrId);
  return spec;
}

/** undefined when the app was changed or deleted since it was read and its revision is gone. */
export async function specOf(store: Store, app: App): Promise<AppSpec | undefined> {
  const revision = await store.get('revision', app.revisionId);
  if (revision) return { app, revision };
  const again = await store.get('app', app.id);
  const other = again && (await store.get('revision', again.revisionId));
  return other && { app: again, revision: other };
}

/** The app that a normalised host, or a wildcard, leads to: the one that has it, else the one with the longest wildcard for it. */
export async function findByHost(store: Store, host: string): Promise<App | undefined> {
  for (const name of new Set([host, ...wildcardsOf(host)])) {
    const app = await store.findByClaim('app', claims.host(name));
    if (app) return app;
  }
  return undefined;
}

/** A page is full with so many bytes of JSON, whatever its limit: making it and sending it holds up everybody else. */
export const PAGE_BYTES = 1024 ** 2;
/** Records read at a time: a page that its bytes end has not read many more than it shows. */
const PAGE_STEP = 16;

/**
 * A page in order of id, which is that of creation, and the cursor for the next one; null at the end. It ends at its
 * limit or with the item that makes it `PAGE_BYTES`; what `view` does not show, it leaves out.
 */
export async function readPage<K extends Kind, V>(
  store: Store,
  kind: K,
  { where, limit = DEFAULT_PAGE, after }: PageOptions & { where: Filters[K] },
  view: (record: RecordOf[K]) => V | Promise<V | undefined>,
): Promise<Page<V>> {
  const items: V[] = [];
  let [left, leftBytes, last] = [limit, PAGE_BYTES, after];
  for (;;) {
    // One more than fits tells whether there is a next page.
    const step = Math.min(PAGE_STEP, left + 1);
    const records = await store.list(kind, {
      where,
      limit: step,
      ...(last !== undefined && { after: last }),
    });
    for (const record of records) {
      if (left === 0 || leftBytes <= 0) return { items, next: last ?? null };
      const item = await view(record);
      if (item !== undefined) {
        items.push(item);
        leftBytes -= JSON.stringify(item).length;
      }
      left--;
      last = record.id;
    }
    if (records.length < step) return { items, next: null };
  }
}

export function noSuchApp(nameOrId: string): PlatformError {
  return new PlatformError('not_found', `there is no app ${JSON.stringify(nameOrId)}`, {
    hint: 'GET /v1/apps (mayfly apps list) names those there are',
  });
}

/** Generations (RFC 9110, section 13.1); `*`: any, of an app that is there. */
export type Generations = '*' | readonly number[];

export interface Preconditions {
  /** The change may be made on these alone. */
  readonly ifMatch?: Generations | undefined;
  /** The change may not be made on these. */
  readonly ifNoneMatch?: Generations | undefined;
}

/** Errors: `precondition_failed`. */
export function requireMatch(
  app: App | undefined,
  name: string,
  { ifMatch, ifNoneMatch }: Preconditions,
): void {
  const isAt = (generations: Generations) =>
    app !== undefined && (generations === '*' || generations.includes(app.generation));
  const excluded =
    (ifMatch !== undefined && !isAt(ifMatch) && 'If-Match does not name') ||
    (ifNoneMatch !== undefined && isAt(ifNoneMatch) && 'If-None-Match rules out');
  if (!excluded) return;
  const state = app ? `is at generation ${app.generation}` : 'does not exist';
  throw new PlatformError('precondition_failed', `app ${name} ${state}, which ${excluded}`, {
    hint: 'read it again and decide on what it is now',
  });
}
