/**
 * From a host to its app, with a million of them: what a look-up costs where a request is served, beside a plain Map of the
 * same routes; what each host occupies; and what the first request for a host costs, through the database.
 */
import { systemClock } from '../src/clock.ts';
import { normalizeHost } from '../src/hostname.ts';
import type { Route } from '../src/proxy/control-plane.ts';
import { HostMemo } from '../src/proxy/http1/host-memo.ts';
import { DEFAULT_DISPATCH_LIMITS } from '../src/proxy/limits.ts';
import type { PackedName } from '../src/proxy/packed-name.ts';
import { RouteCache } from '../src/proxy/route-cache.ts';
import { barChart } from './lib/bars.ts';
import { hostName, Hosts, popularIndexes, shuffledIndexes } from './lib/routes/hosts.ts';
import { occupied } from './lib/routes/memory.ts';
import { loadStore } from './lib/routes/store.ts';
import type { LoadedStore } from './lib/routes/store.ts';
import { medianOf, publish, single, summarize, type Row } from './lib/report.ts';
import type { BenchOptions } from './main.ts';

const HOSTS = 1_000_000;
const COVERED = 40_000;
const UNKNOWN = 10_000;
const CONNECTIONS = 64;
const HOSTS_AN_APP = 100;
const WILDCARDS = 1_000;
const LOOKUPS_A_ROUND = 100_000;
const COLD_LOOKUPS = 2_000;
const MAX_HOST_BYTES = 253;

/** Requests whose hosts are put together, so that reading them is not waiting for the memory that all hosts lie in. */
const BATCH = 256;

const NAMED = 'by name, 1,000,000 in turn';
const PEER = 'Map: by name, 1,000,000 in turn';
const POPULAR = 'by name, a million as they are popular';
const PEER_POPULAR = 'Map: by name, a million as they are popular';
const READING = 'of that, reading the host';
const KEPT = 'the connection has asked for it before';
const BY_WILDCARD = 'by wildcard';
const NOBODY = 'unknown';

export async function run({ quick, json }: BenchOptions): Promise<void> {
  const rounds = quick ? 9 : 21;
  const storedHosts = quick ? 50_000 : HOSTS;
  const stored = new Hosts(storedHosts, hostName);
  const store = await loadStore(storedHosts / HOSTS_AN_APP, (app) => [
    ...Array.from({ length: HOSTS_AN_APP }, (_, i) => stored.at(app * HOSTS_AN_APP + i)),
    ...(app < WILDCARDS ? [`*.wild-${app}.example.com`] : []),
  ]);
  let cold: Row[];
  try {
    cold = await measureCold(store, stored);
  } finally {
    await store.close();
  }
  const { rows, notes } = await measureWarm(rounds);
  const all = [
    ...rows,
    ...cold,
    single(
      `${storedHosts} hosts of ${storedHosts / HOSTS_AN_APP} apps put into the database`,
      'ms',
      store.loadMs,
    ),
  ];
  const ratio = (a: string, b: string) => medianOf(all, a) / medianOf(all, b);
  publish(
    {
      bench: 'routes',
      params: { hosts: HOSTS, covered: COVERED, unknown: UNKNOWN, storedHosts, rounds, quick },
      rows: all,
      ratios: {
        'mayfly/Map, by name': ratio(NAMED, PEER),
        'mayfly/Map, by name, popular': ratio(POPULAR, PEER_POPULAR),
        'mayfly/Map, bytes a host': ratio('memory a host', 'Map: memory a host'),
      },
      notes,
    },
    barChart('From a host to its app, a million of them, median', 'ns', bars(all)),
    json,
  );
}

/** Routes of a million apps with one host each: the most there is to keep. */
function routeOf(index: number, byName: boolean): Route {
  const appId = `app_${index.toString(36).padStart(20, '0')}`;
  const appName = `app-${index.toString(36)}`;
  return { appId, appName, holdRequests: 1_000, holdBytes: 1, requestTimeoutMs: 1, byName };
}

async function measureWarm(rounds: number): Promise<{ rows: Row[]; notes: string[] }> {
  const hosts = new Hosts(HOSTS, hostName);
  const covered = new Hosts(COVERED, (i) => `v-${i}.wild-${i % WILDCARDS}.example.com`);
  const unknown = new Hosts(UNKNOWN, (i) => `nobody-${i}.example.org`);
  const start = occupied();

  let answer: Route | undefined;
  const cache = new RouteCache(() => Promise.resolve(answer), systemClock, {
    ...DEFAULT_DISPATCH_LIMITS,
    negativeCacheTtlMs: 3_600_000,
  });
  const filledMs = await filled(HOSTS, async (i) => {
    answer = routeOf(i, true);
    await cache.lookup(hosts.at(i));
  });
  const withCache = occupied();
  for (let i = 0; i < COVERED; i++) {
    answer = routeOf(HOSTS + (i % WILDCARDS), false);
    await cache.lookup(covered.at(i));
  }
  answer = undefined;
  for (let i = 0; i < UNKNOWN; i++) await cache.lookup(unknown.at(i));

  const beforeMap = occupied();
  const map = new Map<string, Route>();
  const mapFilledMs = await filled(HOSTS, (i) => void map.set(hosts.at(i), routeOf(i, true)));
  const withMap = occupied();

  const samples = new Map<string, number[]>();
  const measures = measuresOf({ hosts, covered, unknown, cache, map });
  const lookups = LOOKUPS_A_ROUND * rounds * measures.length;
  const orders = { evenly: shuffledIndexes(lookups, HOSTS), popular: popularIndexes(lookups, HOSTS) };
  for (let round = 0; round < rounds; round++) {
    for (let i = 0; i < measures.length; i++) {
      // Each has hosts of its own, so that none finds in the processor's caches what another has fetched; and its turn.
      const at = (round * measures.length + i) * LOOKUPS_A_ROUND;
      const [name, measure, order = 'evenly'] = measures[(round + i) % measures.length] as Measure;
      push(samples, name, measure(orders[order].subarray(at, at + LOOKUPS_A_ROUND)));
    }
  }
  const heap = (from: typeof start, to: typeof start) => (to.heapBytes - from.heapBytes) / HOSTS;
  const external = (from: typeof start, to: typeof start) => (to.externalBytes - from.externalBytes) / HOSTS;

  const rows = [
    ...[...samples].map(([name, ns]) => summarize(name, 'ns', ns)),
    single('memory a host', 'bytes', heap(start, withCache) + external(start, withCache)),
    single('Map: memory a host', 'bytes', heap(beforeMap, withMap) + external(beforeMap, withMap)),
    single('filled', 'ms', filledMs),
    single('Map: filled', 'ms', mapFilledMs),
    single(
      'one app of a million changed',
      'ms',
      timed(() => cache.invalidate(routeOf(7, true).appId, [hosts.at(7)])),
    ),
    single(
      `a wildcard changed, beside ${COVERED} hosts below others`,
      'ms',
      timed(() => cache.invalidate('app_other', ['*.elsewhere.example.com'])),
    ),
  ];
  const notes = [
    `A host has ${hosts.meanBytes.toFixed(0)} bytes, and an app of its own; its route is part of what it occupies ` +
      `(heap ${heap(start, withCache).toFixed(0)}, beside it ${external(start, withCache).toFixed(0)}; ` +
      `Map: ${heap(beforeMap, withMap).toFixed(0)} and ${external(beforeMap, withMap).toFixed(0)}).`,
  ];
  return { rows, notes };
}

/** Nanoseconds a look-up, for these hosts; and how they are chosen, if not evenly. */
type Measure = readonly [name: string, measure: (order: Uint32Array) => number, order?: 'popular'];

interface Subjects {
  readonly hosts: Hosts;
  readonly covered: Hosts;
  readonly unknown: Hosts;
  readonly cache: RouteCache;
  readonly map: ReadonlyMap<string, Route>;
}

function measuresOf({ hosts, covered, unknown, cache, map }: Subjects): Measure[] {
  const isFound = (route: Route | null | undefined) => route !== undefined && route !== null;
  const memo = new HostMemo();
  const connections = Array.from({ length: CONNECTIONS }, () => new HostMemo());
  /** A connection that has asked for another host before. */
  const asked = (of: Hosts, find: (name: PackedName) => boolean) => (order: Uint32Array) =>
    perLookup(of, order, (bytes, from, to) => memo.read(bytes, from, to) && find(memo.name));
  const inMap = (order: Uint32Array) =>
    perLookup(hosts, order, (bytes, from, to) =>
      isFound(map.get(normalizeHost(bytes.toString('latin1', from, to)) ?? '')),
    );
  const named = asked(hosts, (name) => isFound(cache.peek(name)));
  return [
    [NAMED, named],
    [PEER, inMap],
    [POPULAR, named, 'popular'],
    [PEER_POPULAR, inMap, 'popular'],
    [READING, asked(hosts, (name) => name.length > 0)],
    [
      KEPT,
      (order) => {
        const own = order.map((_, i) => i % CONNECTIONS);
        return perLookup(hosts, own, (bytes, from, to, index) => {
          const connection = connections[index] as HostMemo;
          return connection.read(bytes, from, to) && isFound(cache.peek(connection.name));
        });
      },
    ],
    [BY_WILDCARD, asked(covered, (name) => isFound(cache.peek(name)))],
    [NOBODY, asked(unknown, (name) => cache.peek(name) === null)],
  ];
}

/**
 * Nanoseconds for a host in the head of a request, as it has just been received. Errors: a look-up that did not find what is there, so
 * that nothing else is measured.
 */
function perLookup(
  of: Hosts,
  order: Uint32Array,
  find: (bytes: Buffer, from: number, to: number, index: number) => boolean,
): number {
  const received = Buffer.alloc(BATCH * MAX_HOST_BYTES);
  const ends = new Uint32Array(BATCH);
  let found = 0;
  let tookMs = 0;
  for (let first = 0; first < order.length; first += BATCH) {
    const batch = order.subarray(first, first + BATCH);
    let end = 0;
    for (let i = 0; i < batch.length; i++) {
      const index = (batch[i] as number) % of.count;
      end += of.bytes.copy(received, end, of.start(index), of.start(index + 1));
      ends[i] = end;
    }
    const startedMs = performance.now();
    for (let i = 0, from = 0; i < batch.length; i++) {
      const to = ends[i] as number;
      if (find(received, from, to, batch[i] as number)) found++;
      from = to;
    }
    tookMs += performance.now() - startedMs;
  }
  if (found !== order.length) throw new Error(`${order.length - found} of ${order.length} were not found`);
  return (tookMs * 1e6) / order.length;
}

async function filled(count: number, add: (index: number) => void | Promise<void>): Promise<number> {
  const startedMs = performance.now();
  for (let i = 0; i < count; i++) await add(i);
  return performance.now() - startedMs;
}

async function measureCold(store: LoadedStore, stored: Hosts): Promise<Row[]> {
  const order = shuffledIndexes(COLD_LOOKUPS, stored.count);
  const kinds: [string, (index: number) => string][] = [
    ['first request, by name: through the database', (i) => stored.at(i)],
    ['first request, by wildcard: through the database', (i) => `v.wild-${i % WILDCARDS}.example.com`],
    ['first request, unknown: through the database', (i) => `nobody-${i}.example.org`],
  ];
  const rows: Row[] = [];
  for (const [name, host] of kinds) {
    const samples: number[] = [];
    for (const index of order) {
      const startedMs = performance.now();
      await store.resolve(host(index));
      samples.push((performance.now() - startedMs) * 1_000);
    }
    rows.push(summarize(name, 'µs', samples));
  }
  return rows;
}

function timed(work: () => void): number {
  const startedMs = performance.now();
  work();
  return performance.now() - startedMs;
}

function push(samples: Map<string, number[]>, name: string, value: number): void {
  const list = samples.get(name);
  if (list === undefined) samples.set(name, [value]);
  else list.push(value);
}

function bars(rows: readonly Row[]) {
  return [NAMED, PEER, POPULAR, PEER_POPULAR, READING, KEPT, BY_WILDCARD, NOBODY].map((name) => ({
    name,
    parts: [{ label: 'median', value: medianOf(rows, name) }],
  }));
}
