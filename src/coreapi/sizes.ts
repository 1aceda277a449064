import type { Size } from '../cmdb/records.ts';
import type { Store } from '../cmdb/store.ts';
import type { SizedSpec } from './core-api.ts';
import { unscaled } from './decisions/size.ts';

/** The size that is wanted of an app, which has no record of it before it was scaled for the first time. */
export async function sizeOf(store: Store, appId: string): Promise<Size> {
  return (await store.get('size', appId)) ?? unscaled(appId);
}

/** What is to run of an app, and how big; undefined where there is none. */
export async function sizedSpec(store: Store, appId: string): Promise<SizedSpec | undefined> {
  const app = await store.get('app', appId);
  if (!app) return undefined;
  const [revision, size] = await Promise.all([store.get('revision', app.revisionId), sizeOf(store, appId)]);
  return revision && { app, revision, size };
}
