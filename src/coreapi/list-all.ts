import type { Kind, RecordOf } from '../cmdb/records.ts';
import type { Filters, Store } from '../cmdb/store.ts';

const PAGE = 1_000;

/** Every record a filter matches, read in pages. For what is bounded by a node's or an app's size. */
export async function listAll<K extends Kind>(
  store: Store,
  kind: K,
  where: Filters[K],
): Promise<RecordOf[K][]> {
  const all: RecordOf[K][] = [];
  for (;;) {
    const after = all.at(-1)?.id;
    const page = await store.list(kind, { where, limit: PAGE, ...(after !== undefined && { after }) });
    all.push(...page);
    if (page.length < PAGE) return all;
  }
}
