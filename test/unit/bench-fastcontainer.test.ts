/** The paper's experiments: what a load notes of its requests, what is reckoned from that, and the picture of it. */
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { createServer, type RequestListener } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import type { Run } from '../../bench/lib/fastcontainer/experiment.ts';
import { partsOf, ratiosOf, rowsOf, tableOf } from '../../bench/lib/fastcontainer/figures.ts';
import { FAILED, Load } from '../../bench/lib/fastcontainer/load.ts';
import { movingMean, picture } from '../../bench/lib/fastcontainer/picture.ts';
import { withExperiment } from '../../scripts/docs.ts';

const HALF = 1_000;
const BEFORE_MS = 40;
const AFTER_MS = 20;
const SERVED_AFTER_MS = 300;

/**
 * One client: 40 ms for each request until the new size serves, then 20 ms by two containers in turn. The instruction is given
 * as request 1,000 begins.
 */
function run({ name = 'mayfly', longest = 60, failed = 0 } = {}): Run {
  const beganMs = new Float64Array(2 * HALF);
  const tookMs = new Float64Array(2 * HALF);
  const by = new Uint8Array(2 * HALF);
  const originMs = 5_000;
  const instructedMs = originMs + HALF * BEFORE_MS;
  const servedMs = instructedMs + SERVED_AFTER_MS;
  let nowMs = originMs;
  for (let number = 0; number < 2 * HALF; number++) {
    const took = nowMs < servedMs ? (number === HALF ? longest : BEFORE_MS) : AFTER_MS;
    beganMs[number] = nowMs;
    tookMs[number] = took;
    by[number] = number < failed ? FAILED : nowMs < servedMs ? 0 : number % 2;
    nowMs += took;
  }
  const visits = { beganMs, tookMs, by, answerers: ['a', 'b'], failed, failures: [] };
  return { name: name as Run['name'], visits, instructedMs, servedMs, idle: { before: 0.5, after: 0.4 } };
}

describe('the figures of an experiment', () => {
  it('put every request before the instruction, between it and the new size, or after', () => {
    const { before, between, after } = partsOf(run());
    expect(before).toEqual(Array.from({ length: HALF }, () => BEFORE_MS));
    expect(between[0]).toBe(60);
    expect(between.slice(1)).toEqual([40, 40, 40, 40, 40, 40]); // 300 ms of them
    expect(new Set(after)).toEqual(new Set([AFTER_MS]));
    expect(before.length + between.length + after.length).toBe(2 * HALF);
  });

  it('say how the mean and the throughput of after are to those of before', () => {
    const rows = [...rowsOf('out', run()), ...rowsOf('out', run({ name: 'by hand' }))];
    const ratios = ratiosOf(rows);
    expect(ratios).toMatchObject({ 'after/before': 0.5, 'by hand after/before': 0.5 });
    expect(ratios['throughput after/before']).toBeCloseTo(2, 2);
    const throughput = rows.find((row) => row.name === 'mayfly: throughput before');
    expect(throughput).toMatchObject({ unit: 'req/s', median: 25 });
  });

  it('measure the longest request around the instruction by the p99 of before, wherever a longer one is', () => {
    const disturbed = run({ longest: 120 });
    disturbed.visits.tookMs[10] = 900;
    expect(ratiosOf(rowsOf('up', disturbed))['longest around/p99 before']).toBe(3);
  });

  it('tell failed requests and how long the instruction took', () => {
    const rows = rowsOf('out', run({ failed: 3 }));
    const of = (what: string) => rows.find((row) => row.name === `mayfly: ${what}`)?.median;
    expect(of('failed requests')).toBe(3);
    expect(of("instruction to the new container's first answer")).toBe(SERVED_AFTER_MS);
  });

  it('are a table with a column for each side', () => {
    const rows = [...rowsOf('up', run()), ...rowsOf('up', run({ name: 'by hand', failed: 1 }))];
    const table = tableOf('up', rows);
    expect(table[0]).toEqual(['', 'mayfly', 'by hand']);
    expect(table).toContainEqual(['response time, mean (ms)', '40 → 20', '40 → 20']);
    expect(table).toContainEqual(['mean, after/before', '0.50', '0.50']);
    expect(table).toContainEqual(['failed requests', '0', '1']);
    expect(table).toContainEqual(['instruction to the new quota in the cgroup (ms)', '300', '300']);
    for (const line of table) expect(line).toHaveLength(3);
  });

  it('refuse to compare where nothing came after', () => {
    const cut = run();
    expect(() => rowsOf('out', { ...cut, servedMs: Number.POSITIVE_INFINITY })).toThrow('nothing to compare');
  });
});

describe('the page of the experiments', () => {
  const page = readFileSync(join(import.meta.dirname, '../../docs/fastcontainer.md'), 'utf8');
  const report = {
    machine: { cpus: 2, model: 'Some CPU', kernel: '6.1.0' },
    params: { requests: 100_000, clients: 10 },
    rows: rowsOf('out', run()),
  };

  it.each(['out', 'up'] as const)(
    'has a place for the table and the picture of scaling %s (npm run docs)',
    (kind) => {
      const filled = withExperiment(page, kind, report);
      expect(filled).toContain('| mean, after/before | 0.50 |');
      expect(filled).toContain(`(../bench/results/fastcontainer-${kind}.svg)`);
      expect(filled).toContain('100,000 requests, 10 clients; 2 cores (Some CPU), Linux 6.1.0.');
      const outside = (text: string) =>
        text.split(/<!-- table: fastcontainer-\w+ -->[^]*?<!-- end of table -->/);
      expect(outside(filled)).toEqual(outside(page));
    },
  );

  it('is filled anew, not once more', () => {
    const once = withExperiment(page, 'out', report);
    expect(withExperiment(once, 'out', report)).toBe(once);
  });
});

describe('the picture of an experiment', () => {
  const svg = picture('Title', [run(), run({ name: 'by hand' })]);
  const numbers = (pattern: RegExp) => [...svg.matchAll(pattern)].map(([, value]) => Number(value));

  it('has a panel for each side, with the means before and after in words', () => {
    expect(svg.match(/>mayfly<|>by hand</g)).toEqual(['>mayfly<', '>by hand<']);
    expect(svg.match(/before 40\.0 ms/g)).toHaveLength(2);
    expect(svg.match(/after 20\.0 ms/g)).toHaveLength(2);
  });

  it('draws the instruction as a vertical line in the middle, where the first request after it began', () => {
    const [x1 = NaN] = numbers(/<line x1="([\d.]+)" x2="\1" y1/g);
    const [left = NaN, , middle = NaN, , right = NaN] = numbers(
      /<text x="([\d.]+)" y="[\d.]+" text-anchor="middle"/g,
    );
    expect(x1).toBe(middle);
    expect((left + right) / 2).toBe(middle);
  });

  it('draws the answers of the second container only to the right of it', () => {
    const [second = ''] = /<path d="[^"]*" stroke="#f2b98a"/.exec(svg) ?? [];
    const xs = [...second.matchAll(/M([\d.]+) /g)].map(([, x]) => Number(x));
    expect(xs.length).toBeGreaterThan(100);
    const [instruction = NaN] = numbers(/<line x1="([\d.]+)" x2="\1" y1/g);
    expect(Math.min(...xs)).toBeGreaterThan(instruction);
  });

  it('leaves out those that failed', () => {
    const drawn = (text: string) => text.match(/M[\d.]+ [\d.]+h0/g)?.length;
    expect(drawn(picture('Title', [run({ failed: 100 })]))).toBe(2 * HALF - 100);
  });

  it('has a moving mean of at least a hundred requests each', () => {
    const means = movingMean(run().visits.tookMs);
    expect(means).toHaveLength(20);
    expect(means[0]).toEqual({ number: 50, ms: BEFORE_MS });
    expect(means.at(-1)).toEqual({ number: 1_950, ms: AFTER_MS });
  });

  it('of a change in place tells of one container', () => {
    const up = run();
    expect(picture('Title', [{ ...up, visits: { ...up.visits, answerers: ['a'] } }])).not.toContain('second');
    expect(svg).toContain('second container');
  });
});

describe('a load', () => {
  const page = (hostname: string) =>
    `<!DOCTYPE html><style>${' '.repeat(900)}</style><tr><td class="e">System </td><td class="v">Linux ${hostname} 6.1.0 x86_64</td></tr>${'.'.repeat(70_000)}</body></html>`;

  /** Lets `requests` come, by three clients, to a server that answers as told. */
  async function load(requests: number, answer: RequestListener, onHalf?: () => void) {
    const server = createServer(answer).listen(0, '127.0.0.1');
    try {
      await once(server, 'listening');
      const { port } = server.address() as AddressInfo;
      const { signal } = new AbortController();
      const options = { port, host: 'app.localhost', path: '/index.php', requests, clients: 3, signal };
      return await new Load(options).run(onHalf);
    } finally {
      server.close();
    }
  }

  it('notes of each request when it began, how long it took and which container answered', async () => {
    let hostname = 'first';
    const sockets = new Set<unknown>();
    const visits = await load(
      40,
      (request, response) => {
        sockets.add(request.socket);
        response.end(page(hostname));
      },
      () => (hostname = 'second'),
    );
    expect(visits).toMatchObject({ failed: 0, failures: [], answerers: ['first', 'second'] });
    expect(sockets.size).toBeLessThanOrEqual(3);
    expect(visits.beganMs).toHaveLength(40);
    expect([...visits.beganMs]).toEqual([...visits.beganMs].toSorted((a, b) => a - b));
    expect([...visits.tookMs].every((tookMs) => tookMs > 0)).toBe(true);
    // Requests 18 and 19 may still be under way when number 20 begins.
    expect(new Set(visits.by.slice(0, 18))).toEqual(new Set([0]));
    expect(new Set(visits.by.slice(20))).toEqual(new Set([1]));
  });

  it('counts as failed whatever is not all of the page', async () => {
    let served = 0;
    const visits = await load(30, (_request, response) => {
      served += 1;
      if (served === 5) response.writeHead(503).end(page('a'));
      else if (served === 10) response.end(page('a').slice(0, 30_000));
      else if (served === 15) response.socket?.destroy();
      else response.end(page('a'));
    });
    expect(visits.failed).toBe(3);
    expect(visits.by.filter((answerer) => answerer === FAILED)).toHaveLength(3);
    expect(visits.failures.join('\n')).toMatch(/503[^]*not all of phpinfo\(\)[^]*(hang up|ECONNRESET)/);
  });

  it('ends when it is interrupted, whatever has not been answered', async () => {
    const abort = new AbortController();
    const server = createServer(() => abort.abort(new Error('interrupted by SIGINT'))).listen(0, '127.0.0.1');
    await once(server, 'listening');
    const { port } = server.address() as AddressInfo;
    const { signal } = abort;
    const options = { port, host: 'app.localhost', path: '/', requests: 10_000, clients: 2, signal };
    await expect(new Load(options).run()).rejects.toThrow('interrupted by SIGINT');
    server.close();
  });
});
