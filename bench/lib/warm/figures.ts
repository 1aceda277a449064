/** From samples to what is published: rows and ratios for machines, a table and a picture for people. */
import type { Bar } from '../bars.ts';
import { summarize, type Row } from '../report.ts';
import type { Measured, Sample } from './measure.ts';
import { MAIN_SCENARIO, type PeerName, type Scenario } from './scenarios.ts';

export interface Result {
  readonly scenario: Scenario;
  readonly measured: Measured;
}

/** The ratios are Mayfly's figure to those of these. */
const RATED: readonly PeerName[] = ['nginx', 'haproxy', 'caddy', 'http-proxy'];

/** A figure of a sample, undefined where the sample has none. */
type Figure = (sample: Sample) => number | undefined;

const requestsPerSecond: Figure = (sample) => sample.requestsPerSecond;
const gigabytesPerSecond: Figure = (sample) => sample.bytesPerSecond / 1e9;
const p50Ms: Figure = (sample) => sample.p50Ms;
const p99Ms: Figure = (sample) => sample.p99Ms;
const cpuSecondsPer100k: Figure = (sample) => sample.cpuSecondsPer100k;
const errors: Figure = (sample) => sample.errors;
const perCpuSecond: Figure = (sample) => {
  // Where less than a clock tick was used there is nothing to divide by.
  const used = sample.cpuSecondsPer100k ?? 0;
  return used === 0 ? undefined : 100_000 / used;
};

const FIGURES: readonly { readonly name: string; readonly unit: string; readonly of: Figure }[] = [
  { name: 'requests', unit: 'req/s', of: requestsPerSecond },
  { name: 'throughput', unit: 'GB/s', of: gigabytesPerSecond },
  { name: 'p50', unit: 'ms', of: p50Ms },
  { name: 'p99', unit: 'ms', of: p99Ms },
  { name: 'CPU', unit: 'CPU-s/100k', of: cpuSecondsPer100k },
  { name: 'errors', unit: 'per round', of: errors },
];

/** From here on people ask for bytes a second. */
const LARGE_ANSWER_BYTES = 100_000;

export function rowsOf(results: readonly Result[]): Row[] {
  return results.flatMap(({ scenario, measured }) =>
    [...measured].flatMap(([peer, samples]) =>
      FIGURES.flatMap((figure) => {
        const row = rowOf(figure, `${scenario.name} · ${peer} · ${figure.name}`, samples);
        return row ? [row] : [];
      }),
    ),
  );
}

/**
 * Requests per CPU-second (`plain: mayfly/nginx`; higher is better), requests per second (`… req/s`; higher) and 99th
 * percentile (`… p99`; lower): medians of the ratios within each round. Those of the main scenario also without its name.
 */
export function ratiosOf(results: readonly Result[]): Record<string, number> {
  const ratios: Record<string, number> = {};
  const set = (name: string, value: number | undefined) => {
    if (value !== undefined) ratios[name] = Number(value.toPrecision(4));
  };
  const main = results.find(({ scenario }) => scenario.name === MAIN_SCENARIO);
  if (main)
    for (const peer of RATED) set(`mayfly/${peer}`, ratio(main.measured, 'mayfly', peer, perCpuSecond));
  for (const { scenario, measured } of results) {
    for (const peer of RATED) {
      const name = `${scenario.name}: mayfly/${peer}`;
      set(name, ratio(measured, 'mayfly', peer, perCpuSecond));
      set(`${name} req/s`, ratio(measured, 'mayfly', peer, requestsPerSecond));
      set(`${name} p99`, ratio(measured, 'mayfly', peer, p99Ms));
    }
  }
  return ratios;
}

/** Requests per CPU-second relative to nginx, a group of bars for each scenario. */
export function barsOf(results: readonly Result[]): Bar[] {
  return results.flatMap(({ scenario, measured }) => {
    const bars = [...measured.keys()].flatMap((peer) => {
      const value = ratio(measured, peer, 'nginx', perCpuSecond);
      return value === undefined ? [] : [{ name: peer, parts: [{ label: peer, value }] }];
    });
    return [{ name: scenario.name, parts: [] }, ...bars];
  });
}

/** The table of one scenario. What Mayfly is to a peer stands in the peer's line. */
export function tableOf({ scenario, measured }: Result): string[][] {
  const hasThroughput = scenario.answerBytes > LARGE_ANSWER_BYTES;
  const head = [
    ...[scenario.name, 'req/s', 'min – max', ...(hasThroughput ? ['GB/s'] : []), 'p50 ms', 'p99 ms'],
    ...['CPU-s/100k', 'min – max', 'errors', 'mayfly ÷ it: req/CPU-s', 'req/s', 'p99'],
  ];
  const lines = [...measured].map(([peer, samples]) => {
    const cell = (of: Figure) => cellOf(valuesOf(samples, of));
    const range = (of: Figure) => rangeOf(valuesOf(samples, of));
    const mayflyTo = (of: Figure) => {
      const value = peer === 'mayfly' ? undefined : ratio(measured, 'mayfly', peer, of);
      return value === undefined ? '' : value.toFixed(2);
    };
    return [
      ...[peer, cell(requestsPerSecond), range(requestsPerSecond)],
      ...(hasThroughput ? [cell(gigabytesPerSecond)] : []),
      ...[cell(p50Ms), cell(p99Ms), cell(cpuSecondsPer100k), range(cpuSecondsPer100k)],
      String(samples.reduce((sum, { errors }) => sum + errors, 0)),
      ...[mayflyTo(perCpuSecond), mayflyTo(requestsPerSecond), mayflyTo(p99Ms)],
    ];
  });
  return [head, ...lines];
}

function rowOf(
  { unit, of }: { readonly unit: string; readonly of: Figure },
  name: string,
  samples: readonly Sample[],
): Row | undefined {
  const values = valuesOf(samples, of);
  if (values.length === 0) return undefined;
  const { median: middle, min, max, n } = summarize(name, unit, values);
  return { name, unit, median: middle, min, max, n };
}

function valuesOf(samples: readonly Sample[], of: Figure): number[] {
  return samples.map(of).filter((value) => value !== undefined);
}

/** The median over the rounds of one peer's figure to another's; undefined where either has none. */
function ratio(measured: Measured, peer: PeerName, to: PeerName, of: Figure): number | undefined {
  const others = measured.get(to) ?? [];
  const values = (measured.get(peer) ?? []).flatMap((sample, round) => {
    const [own, other] = [of(sample), others[round] && of(others[round])];
    return own === undefined || other === undefined || other === 0 ? [] : [own / other];
  });
  return values.length === 0 ? undefined : summarize(peer, '', values).median;
}

function cellOf(values: readonly number[]): string {
  return values.length === 0 ? '–' : format(summarize('', '', values).median);
}

function rangeOf(values: readonly number[]): string {
  return values.length === 0 ? '' : `${format(Math.min(...values))} – ${format(Math.max(...values))}`;
}

function format(value: number): string {
  return value >= 999.5 ? Math.round(value).toLocaleString('en') : value.toPrecision(3);
}
