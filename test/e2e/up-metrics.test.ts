/** `mayfly up` with metrics and an access log, in one process and with workers: both say what traffic there was. */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { past, Platform } from '../support/platform.ts';
import { readPage } from '../support/prometheus.ts';
import type { Page } from '../support/prometheus.ts';
import { until } from '../support/until.ts';

const REQUESTS = 30;

describe.each([1, 2])('the program with %i worker(s)', (workers) => {
  let folder: string;
  let logPath: string;
  let platform: Platform;
  let metricsUrl: string;

  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), 'mayfly-metrics-'));
    logPath = join(folder, 'access.log');
    platform = await Platform.open('process', [
      ...['--workers', String(workers), '--metrics-port', '0', '--access-log', logPath],
    ]);
    const output = () => platform.program.output();
    metricsUrl = await until('the address of the metrics', () => /http:\S+\/metrics/.exec(output())?.[0]);
  });
  afterAll(async () => {
    await platform[Symbol.asyncDispose]();
    rmSync(folder, { recursive: true });
  });

  const scrape = async (): Promise<Page> => {
    const answer = await fetch(metricsUrl);
    expect(answer.status).toBe(200);
    expect(answer.headers.get('content-type')).toContain('version=0.0.4');
    return readPage(await answer.text());
  };
  const logged = () => readFileSync(logPath, 'utf8').split('\n').slice(0, -1);

  it('counts known traffic, once each, in both', async () => {
    const { program } = platform;
    await platform.create('counted');
    const before = await scrape();
    for (let i = 0; i < REQUESTS; i++)
      expect((await program.get('counted.localhost', `/${i}`)).status).toBe(200);
    for (let i = 0; i < 3; i++) expect((await program.get('nobody.test')).status).toBe(404);
    const after = await until('all to be counted', async () => {
      const page = await scrape();
      return page.value('mayfly_http_request_duration_seconds_count') === REQUESTS + 3 ? page : undefined;
    });
    const grown = (name: string, labels = {}) => after.sum(name, labels) - before.sum(name, labels);
    expect(grown('mayfly_http_requests_total')).toBe(REQUESTS + 3);
    expect(grown('mayfly_http_responses_total', { code: '2xx' })).toBe(REQUESTS);
    expect(grown('mayfly_http_responses_total', { code: '4xx' })).toBe(3);
    expect(grown('mayfly_http_errors_total', { code: 'unknown_host' })).toBe(3);
    expect(grown('mayfly_app_requests_total', { app: 'counted' })).toBe(REQUESTS);
    expect(grown('mayfly_events_total', { type: 'container.ready' })).toBe(1);
    expect(after.value('mayfly_http_requests_in_flight')).toBe(0);
    expect(after.value('mayfly_containers', { state: 'ready' })).toBe(1);
    expect(after.value('mayfly_cold_start_duration_seconds_count', { kind: 'started' })).toBe(1);
    expect(after.sum('mayfly_http_received_bytes_total')).toBeGreaterThan(0);
    for (const name of ['mayfly_process_resident_memory_bytes', 'mayfly_process_open_fds'])
      expect(after.sum(name)).toBeGreaterThan(0);
    const processes = workers === 1 ? ['main'] : ['control', 'worker-1', 'worker-2'];
    for (const process of processes)
      expect(after.value('mayfly_process_resident_memory_bytes', { process })).toBeGreaterThan(10_000_000);

    await until('a line for each request', () => logged().length === REQUESTS + 3);
    const lines = logged().map((line) => JSON.parse(line) as Record<string, unknown>);
    const paths = lines.filter(({ app }) => app === 'counted').map(({ path }) => path);
    expect(paths.sort()).toEqual(Array.from({ length: REQUESTS }, (_, i) => `/${i}`).sort());
    // The first request waited for a container; the first at another worker, for the route.
    const held = lines.filter(({ heldMs, app }) => heldMs !== undefined && app === 'counted').length;
    expect(held).toBeGreaterThanOrEqual(1);
    expect(held).toBeLessThanOrEqual(workers);
  });

  it('never lets a counter fall', async () => {
    const before = await scrape();
    for (let i = 0; i < 10; i++) await platform.program.get('nobody.test');
    const after = await scrape();
    const fell: string[] = [];
    for (const [name, { type, samples }] of before.families)
      for (const [id, value] of samples)
        if (type !== 'gauge' && (after.families.get(name)?.samples.get(id) ?? -1) < value) fell.push(id);
    expect(fell).toEqual([]);
  });

  it('shows them at the Core API to the operator alone', async () => {
    const { apiUrl, token } = platform.program;
    expect((await fetch(`${apiUrl}/metrics`)).status).toBe(401);
    const answer = await fetch(`${apiUrl}/metrics`, { headers: { authorization: `Bearer ${token}` } });
    expect(answer.status).toBe(200);
    expect(readPage(await answer.text()).value('mayfly_http_requests_total')).toBeGreaterThan(0);
  });

  it('has nothing else on the port of the metrics', async () => {
    expect((await fetch(new URL('/', metricsUrl))).status).toBe(404);
    expect((await fetch(metricsUrl, { method: 'POST' })).status).toBe(405);
  });

  it('says of a request that waited for room how long that took: to its client, in the log and in the metrics', async () => {
    const { program } = platform;
    await platform.create('narrow', { policy: { maxReplicas: 1, concurrency: { target: 1, limit: 1 } } });
    expect((await program.get('narrow.localhost')).status).toBe(200);
    const before = await scrape();
    const first = platform.who('narrow', '/hold');
    const container = await platform.container('narrow');
    const inside = async (path: string) => (await past(container, path)).body;
    await until('the first to be held', async () => (await inside('/held')).includes('1'));
    const second = program.get('narrow.localhost', '/waited');
    await until('the second to wait', async () => (await scrape()).value('mayfly_held_requests') === 1);
    await inside('/release');
    await first;
    const waited = await second;
    expect(waited.status).toBe(200);
    const [, durationMs = ''] =
      /^mayfly-held;dur=([\d.]+)$/.exec(String(waited.headers['server-timing'])) ?? [];
    const seconds = Number(durationMs) / 1_000;
    expect(seconds).toBeGreaterThan(0);
    expect(waited.headers['mayfly-cold-start']).toBeUndefined();
    const after = await scrape();
    const grown = (name: string, labels = {}) => after.sum(name, labels) - before.sum(name, labels);
    // With two workers the first may have waited, too, for the other one's slot.
    const held = grown('mayfly_app_held_requests_total', { app: 'narrow' });
    expect(held).toBeGreaterThanOrEqual(1);
    expect(grown('mayfly_hold_duration_seconds_count')).toBe(held);
    expect(grown('mayfly_app_held_seconds_total', { app: 'narrow' })).toBeGreaterThan(seconds - 0.001);
    expect(grown('mayfly_hold_duration_seconds_sum')).toBeGreaterThan(seconds - 0.001);
    const line = await until('the line of it', () => logged().find((one) => one.includes('/waited')));
    const { heldMs } = JSON.parse(line) as { heldMs: number };
    expect(heldMs).toBeGreaterThan(seconds * 1_000 - 1);
  });
});
