/** The page of metrics: as Prometheus reads it, with what was counted, whoever counted it. */
import { describe, expect, it } from 'vitest';
import { openMemoryStore } from '../../src/cmdb/memory.ts';
import { EventTally } from '../../src/metrics/event-tally.ts';
import { foldInto } from '../../src/metrics/exposition.ts';
import { MAX_APP_SERIES } from '../../src/metrics/proxy-families.ts';
import { renderMetrics } from '../../src/metrics/render.ts';
import { EndedDataPlanes } from '../../src/metrics/totals.ts';
import { processStats } from '../../src/process-stats.ts';
import { newCounters } from '../../src/proxy/counters.ts';
import { LatencyHistogram } from '../../src/proxy/latency.ts';
import type { ProxySnapshot } from '../../src/proxy/snapshot.ts';
import { node } from '../support/records.ts';
import { readPage } from '../support/prometheus.ts';

function snapshot(pid: number, requests: number, more: Partial<ProxySnapshot> = {}): ProxySnapshot {
  const latency = new LatencyHistogram();
  for (let i = 0; i < requests; i++) latency.record(i % 2 === 0 ? 0.8 : 40);
  return {
    ...newCounters(),
    requests,
    status2xx: requests,
    held: 1,
    heldBytes: 10,
    inFlight: 2,
    apps: 3,
    containers: 3,
    routes: 7,
    holdOverflowsTotal: 0,
    activationsTotal: 1,
    coldStartsTotal: 1,
    retriesTotal: 0,
    latency: latency.snapshot(),
    heldTime: latency.snapshot(),
    appTotals: [{ appId: 'app_1', name: 'shop', requests, held: 1, heldMs: 250 }],
    accessLog: { linesTotal: requests, droppedTotal: 1, bufferedBytes: 100 },
    process: { ...processStats(), pid },
    ...more,
  };
}

const events = new EventTally().counts();
const page = (...proxies: Omit<ProxySnapshot, 'process'>[]) =>
  readPage(
    renderMetrics({
      proxies,
      processes: new Map([['main', processStats()]]),
      containers: [{ state: 'ready' }, { state: 'ready' }, { state: 'paused' }],
      nodes: [node()],
      events,
    }),
  );

describe('the page of metrics', () => {
  it('adds up what several data planes have counted, and not what they share', () => {
    const errors = { errors: { hold_full: 2, unknown_host: 1 } };
    const { value } = page(snapshot(1, 10, errors), snapshot(2, 5, { errors: { hold_full: 1 } }));
    expect(value('mayfly_http_requests_total')).toBe(15);
    expect(value('mayfly_http_responses_total', { code: '2xx' })).toBe(15);
    expect(value('mayfly_http_errors_total', { code: 'hold_full' })).toBe(3);
    expect(value('mayfly_http_errors_total', { code: 'unknown_host' })).toBe(1);
    expect(value('mayfly_http_request_duration_seconds_count')).toBe(15);
    expect(value('mayfly_http_request_duration_seconds_bucket', { le: '0.001' })).toBe(8);
    expect(value('mayfly_http_request_duration_seconds_bucket', { le: '0.05' })).toBe(15);
    expect(value('mayfly_app_requests_total', { app: 'shop', app_id: 'app_1' })).toBe(15);
    expect(value('mayfly_hold_duration_seconds_count')).toBe(15);
    expect(value('mayfly_app_held_requests_total', { app: 'shop', app_id: 'app_1' })).toBe(2);
    expect(value('mayfly_app_held_seconds_total', { app: 'shop', app_id: 'app_1' })).toBe(0.5);
    expect(value('mayfly_http_requests_in_flight')).toBe(4);
    expect(value('mayfly_proxy_containers')).toBe(3);
    expect(value('mayfly_access_log_dropped_total')).toBe(2);
    expect(value('mayfly_containers', { state: 'ready' })).toBe(2);
    expect(value('mayfly_containers', { state: 'failed' })).toBe(0);
  });

  it('says of connections that were not taken why that was, added up', () => {
    const refused = (network: number, tooMany: number) => ({
      refusedConnections: { network, proxy_header: 0, tls_handshake: 3, too_many: tooMany },
    });
    const { value } = page(snapshot(1, 1, refused(1, 0)), snapshot(2, 1, refused(4, 2)));
    const reasons = ['network', 'proxy_header', 'tls_handshake', 'too_many'];
    const counts = reasons.map((reason) => value('mayfly_http_refused_connections_total', { reason }));
    expect(counts).toEqual([5, 0, 6, 2]);
  });

  it('has no series of an access log that is not kept', () => {
    const { families } = page(snapshot(1, 1, { accessLog: undefined }));
    expect([...families.keys()].filter((name) => name.includes('access_log'))).toEqual([]);
  });

  it('stays small with a hundred thousand apps: those with the most requests', () => {
    const appTotals = Array.from({ length: 1_000 }, (_, i) => ({
      appId: `app_${i}`,
      name: `a-${i}`,
      requests: 1_000 - i,
      held: 0,
      heldMs: 0,
    }));
    const { families } = page(snapshot(1, 1, { appTotals }));
    const { samples } = families.get('mayfly_app_requests_total') ?? { samples: new Map<string, number>() };
    expect(samples.size).toBe(MAX_APP_SERIES);
    expect(Math.min(...samples.values())).toBe(1_000 - MAX_APP_SERIES + 1);
  });

  it('escapes what a name of a node may be', () => {
    const name = 'a "quoted" \\ name\nof two lines';
    const text = renderMetrics({
      proxies: [],
      processes: new Map(),
      containers: [],
      nodes: [node({ name })],
      events,
    });
    expect(
      readPage(text).value('mayfly_node_capacity_cpu_cores', {
        node: 'a \\"quoted\\" \\\\ name\\nof two lines',
      }),
    ).toBe(4);
  });
});

describe('a data plane that has ended', () => {
  it('takes nothing from the totals, and leaves nothing that is only now', () => {
    const planes = new EndedDataPlanes();
    const refusedConnections = { network: 1, proxy_header: 0, tls_handshake: 2, too_many: 0 };
    const both = new Map([
      [1, snapshot(1, 10, { refusedConnections })],
      [2, snapshot(2, 20, { refusedConnections })],
    ]);
    expect(page(...planes.with(both)).value('mayfly_http_requests_total')).toBe(30);
    const replaced = new Map([
      [1, snapshot(1, 11, { refusedConnections })],
      [3, snapshot(3, 0)],
    ]);
    for (let scrape = 0; scrape < 3; scrape++) {
      const { value } = page(...planes.with(replaced));
      expect(value('mayfly_http_requests_total')).toBe(31);
      expect(value('mayfly_http_request_duration_seconds_count')).toBe(31);
      expect(value('mayfly_app_requests_total', { app: 'shop', app_id: 'app_1' })).toBe(31);
      expect(value('mayfly_http_refused_connections_total', { reason: 'tls_handshake' })).toBe(4);
      expect(value('mayfly_http_requests_in_flight')).toBe(4);
      expect(value('mayfly_held_requests')).toBe(2);
      expect(value('mayfly_access_log_buffered_bytes')).toBe(200);
    }
    const { value } = page(...planes.with(new Map([[4, snapshot(4, 1)]])));
    expect(value('mayfly_http_requests_total')).toBe(32);
  });
});

describe('a histogram', () => {
  it('never says of a request that it was quicker than it was, nor slower than by 4%', () => {
    const bounds = [0.001, 0.01, 0.1, 1, 10];
    for (let ms = 0.01; ms < 20_000; ms *= 1.07) {
      const seen = new LatencyHistogram();
      seen.record(ms);
      const counts = foldInto(bounds, seen.snapshot());
      for (const [i, bound] of bounds.entries()) {
        if (ms > bound * 1_000) expect(counts[i]).toBe(0);
        if (ms * 1.04 < bound * 1_000) expect(counts[i]).toBe(1);
      }
    }
  });
});

describe('the tally of events', () => {
  const event = (type: string, figures = {}) => ({
    op: 'event' as const,
    event: { atMs: 0, type, appId: null, containerId: null, nodeId: null, reason: '', figures },
  });

  it('counts decisions that were not made, by what stood against them', () => {
    const tally = new EventTally();
    for (const because of ['cooldown', 'capacity', 'cooldown']) tally.heldBack('scale', because);
    tally.heldBack('place', 'capacity');
    const text = renderMetrics({
      ...{ proxies: [], processes: new Map(), containers: [], nodes: [] },
      events: tally.counts(),
    });
    const { value } = readPage(text);
    const name = 'mayfly_decisions_held_back_total';
    expect(value(name, { decision: 'scale', reason: 'cooldown' })).toBe(2);
    expect(value(name, { decision: 'scale', reason: 'capacity' })).toBe(1);
    expect(value(name, { decision: 'place', reason: 'capacity' })).toBe(1);
  });

  it('counts what is committed, and not what is refused', async () => {
    const tally = new EventTally();
    const store = tally.watch(openMemoryStore());
    await store.commit([event('container.starting'), event('container.ready')]);
    await store.commit([
      event('container.ready'),
      event('app.cold_start', { kind: 'started', totalMs: 120 }),
    ]);
    const missing = { op: 'delete' as const, kind: 'app' as const, id: 'app_none', ifGeneration: 1 };
    await expect(store.commit([event('container.failed'), missing])).rejects.toThrow();
    const { byType, coldStarts } = tally.counts();
    expect(Object.fromEntries(byType)).toEqual({
      'container.starting': 1,
      'container.ready': 2,
      'app.cold_start': 1,
    });
    expect(coldStarts.get('started')).toMatchObject({ count: 1, sumMs: 120 });
    expect(coldStarts.get('resumed')).toMatchObject({ count: 0 });
    expect(await store.listEvents()).toHaveLength(4);
    await store.close();
  });
});
