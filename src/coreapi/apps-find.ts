/** Finding apps as callers name them, by name or by id and only those of their own tenant, and as visitors do, by host. */
import { claims } from '../cmdb/claims.ts';
import type { App, Kind, RecordOf } from '../cmdb/records.ts';
import type { Filters, Store } from '../cmdb/store.ts';
import { PlatformError } from '../errors.ts';
import { wildcardsOf } from '../hostname.ts';
import type { AppSpec } from './core-api.ts';
import { DEFAULT_PAGE, type PageOptions } from './schema-query.ts';
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

/** A page in order of id, which is that of creation, and the cursor for the next one; null at the end. */
export async function readPage<K extends Kind>(
  store: Store,
  kind: K,
  { where, limit = DEFAULT_PAGE, after }: PageOptions & { where: Filters[K] },
): Promise<{ items: RecordOf[K][]; next: string | null }> {
  const items = await store.list(kind, { where, limit, ...(after !== undefined && { after }) });
  const last = items.at(-1);
  if (!last || items.length < limit) return { items, next: null };
  const more = await store.list(kind, { where, limit: 1, after: last.id });
  return { items, next: more.length > 0 ? last.id : null };
}

export function noSuchApp(nameOrId: string): PlatformError {
  return new PlatformError('not_found', `there is no app ${JSON.stringify(nameOrId)}`, {
    hint: 'GET /v1/apps (mayfly apps list) names those there are',
  });
}
