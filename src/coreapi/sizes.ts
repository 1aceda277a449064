import type { Size } from '../cmdb/records.ts';
import type { Store } from '../cmdb/store.ts';
import { unscaled } from './decisions/size.ts';

/** The size that is wanted of an app, which has no record of it before it was scaled for the first time. */
export async function sizeOf(store: Store, appId: string): Promise<Size> {
  return (await store.get('size', appId)) ?? unscaled(appId);
}
