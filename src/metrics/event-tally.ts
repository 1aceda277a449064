/**
 * Counts what is written to the event log: every start, stop, move and change of size is an event, so this is where all of
 * them pass. A store that counts is a store like any other.
 */
import type { Event } from '../cmdb/records.ts';
import type { Store } from '../cmdb/store.ts';
import { LatencyHistogram } from '../proxy/latency.ts';
import type { HistogramSnapshot } from '../proxy/latency.ts';

/** Types are names in the code; should one ever be made of data, the count stays bounded. */
const MAX_TYPES = 200;
const OTHER = 'other';

export interface EventCounts {
  /** Since the start of this process. */
  readonly byType: ReadonlyMap<string, number>;
  /** How long first answers took, by what was waited for: `started`, `resumed`. */
  readonly coldStarts: ReadonlyMap<string, HistogramSnapshot>;
  readonly heldBack: readonly HeldBack[];
}

/** Decisions that were not made: no events, as load asks ten times a second. */
export interface HeldBack {
  readonly decision: string;
  readonly because: string;
  readonly count: number;
}

export class EventTally {
  readonly #byType = new Map<string, number>();
  readonly #heldBack = new Map<string, HeldBack>();
  readonly #coldStarts = new Map<string, LatencyHistogram>([
    ['started', new LatencyHistogram()],
    ['resumed', new LatencyHistogram()],
  ]);

  counts(): EventCounts {
    const coldStarts = [...this.#coldStarts].map(([kind, seen]) => [kind, seen.snapshot()] as const);
    const heldBack = [...this.#heldBack.values()];
    return { byType: new Map(this.#byType), coldStarts: new Map(coldStarts), heldBack };
  }

  /** A decision was not made, because of one of a few things. */
  heldBack(decision: string, because: string): void {
    const key = `${decision} ${because}`;
    const count = (this.#heldBack.get(key)?.count ?? 0) + 1;
    this.#heldBack.set(key, { decision, because, count });
  }

  /** The same store; what is committed through it is counted. */
  watch(store: Store): Store {
    return {
      driver: store.driver,
      get: (kind, id) => store.get(kind, id),
      list: (kind, options) => store.list(kind, options),
      findByClaim: (kind, claim) => store.findByClaim(kind, claim),
      listEvents: (filter) => store.listEvents(filter),
      revision: () => store.revision(),
      watch: (since, signal) => store.watch(since, signal),
      close: () => store.close(),
      commit: async (operations) => {
        const revision = await store.commit(operations);
        for (const operation of operations) if (operation.op === 'event') this.#count(operation.event);
        return revision;
      },
    };
  }

  #count({ type, figures }: Omit<Event, 'sequence'>): void {
    const key = this.#byType.has(type) || this.#byType.size < MAX_TYPES ? type : OTHER;
    this.#byType.set(key, (this.#byType.get(key) ?? 0) + 1);
    const { kind, totalMs } = figures;
    if (type === 'app.cold_start' && typeof kind === 'string' && typeof totalMs === 'number')
      this.#coldStarts.get(kind)?.record(totalMs);
  }
}
