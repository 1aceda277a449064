/** Gathers what has been counted, when somebody asks. Whoever asks meanwhile is given the same page. */
import type { Store } from '../cmdb/store.ts';
import { processStats, watchLoop } from '../process-stats.ts';
import type { ProcessStats } from '../process-stats.ts';
import type { ProxySnapshot } from '../proxy/snapshot.ts';
import type { EventTally } from './event-tally.ts';
import { renderMetrics } from './render.ts';
import { EndedDataPlanes } from './totals.ts';

export interface CollectorOptions {
  readonly store: Pick<Store, 'list'>;
  readonly tally: EventTally;
  /** The data planes of this machine: by `worker-1`, `worker-2`; undefined as a name: in this process. */
  readonly dataPlanes: () => Promise<readonly DataPlaneSnapshot[]>;
}

export interface DataPlaneSnapshot {
  /** Its place among the workers, 1 … N; undefined: it is part of this process. */
  readonly worker: number | undefined;
  readonly snapshot: ProxySnapshot;
}

/** Containers and nodes are read in pages of so many. */
const PAGE = 1_000;

export class MetricsCollector {
  readonly #options: CollectorOptions;
  readonly #planes = new EndedDataPlanes();
  #underway: Promise<string> | undefined;

  constructor(options: CollectorOptions) {
    this.#options = options;
    watchLoop();
  }

  /** The page. Errors: `store_unavailable`. */
  render(): Promise<string> {
    this.#underway ??= this.#render().finally(() => {
      this.#underway = undefined;
    });
    return this.#underway;
  }

  async #render(): Promise<string> {
    const { tally, dataPlanes } = this.#options;
    const [planes, containers, nodes] = await Promise.all([
      dataPlanes(),
      this.#all('container'),
      this.#all('node'),
    ]);
    const living = new Map(planes.map(({ snapshot }) => [snapshot.process.pid, snapshot]));
    return renderMetrics({
      proxies: this.#planes.with(living),
      processes: named(planes),
      containers,
      nodes,
      events: tally.counts(),
    });
  }

  async #all<K extends 'container' | 'node'>(kind: K) {
    const { store } = this.#options;
    const all = [];
    for (let after: string | undefined; ; after = all.at(-1)?.id) {
      const page = await store.list(kind, { limit: PAGE, ...(after !== undefined && { after }) });
      all.push(...page);
      if (page.length < PAGE) return all;
    }
  }
}

/** While a worker is replaced, its place has two; the one that began last is told of. */
function named(planes: readonly DataPlaneSnapshot[]): Map<string, ProcessStats> {
  const processes = new Map<string, ProcessStats>();
  const [only] = planes;
  if (only === undefined || only.worker === undefined) return processes.set('main', processStats());
  processes.set('control', processStats());
  for (const { worker, snapshot } of planes) {
    const name = `worker-${worker ?? 0}`;
    const other = processes.get(name);
    if (other === undefined || other.startedAtMs < snapshot.process.startedAtMs)
      processes.set(name, snapshot.process);
  }
  return processes;
}
