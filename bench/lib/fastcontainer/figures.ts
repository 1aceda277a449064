/** From what became of each request to what is published. */
import { percentile, single, summarize, type Row } from '../report.ts';
import type { Kind, Run } from './experiment.ts';

/** Response times in milliseconds, by where a request fell. */
export interface Parts {
  /** Ended before the instruction. */
  readonly before: readonly number[];
  /** Under way between the instruction and the new size's serving. */
  readonly between: readonly number[];
  /** Began when the new size served. */
  readonly after: readonly number[];
  /** Under way between the instruction and a second after the new size served. */
  readonly around: readonly number[];
}

/** What the instruction disturbs would show within this. */
const AROUND_MS = 1_000;

export const TARGET_MEAN = 0.52;
export const TARGET_LONGEST = 2;

export function partsOf({ visits, instructedMs, servedMs }: Run): Parts {
  const parts = { before: [], between: [], after: [], around: [] } as Record<keyof Parts, number[]>;
  for (const [number, beganMs] of visits.beganMs.entries()) {
    const tookMs = visits.tookMs[number] ?? Number.NaN;
    const endedMs = beganMs + tookMs;
    if (endedMs <= instructedMs) parts.before.push(tookMs);
    else if (beganMs < servedMs) parts.between.push(tookMs);
    else parts.after.push(tookMs);
    if (endedMs > instructedMs && beganMs < servedMs + AROUND_MS) parts.around.push(tookMs);
  }
  return parts;
}

/** Rows of one side; their names begin with the side's. Errors: RangeError where there was nothing before or after. */
export function rowsOf(kind: Kind, run: Run): Row[] {
  const { name, visits, instructedMs, servedMs, idle } = run;
  const { before, between, after, around } = partsOf(run);
  const times = (what: string, samples: readonly number[]) =>
    samples.length === 0 ? [] : [summarize(`${name}: ${what}`, 'ms', samples)];
  const one = (what: string, unit: string, value: number) => single(`${name}: ${what}`, unit, value);
  if (before.length === 0 || after.length === 0) throw new RangeError(`${name}: nothing to compare`);
  const endMs = visits.beganMs.reduce(
    (end, beganMs, i) => Math.max(end, beganMs + (visits.tookMs[i] ?? 0)),
    0,
  );
  const beforeSeconds = (instructedMs - (visits.beganMs[0] ?? 0)) / 1_000;
  const afterSeconds = (endMs - servedMs) / 1_000;
  const p99Before = percentile(
    before.toSorted((a, b) => a - b),
    0.99,
  );
  return [
    ...times('response time before', before),
    ...times('response time in between', between),
    ...times('response time after', after),
    one('mean before', 'ms', mean(before)),
    one('mean after', 'ms', mean(after)),
    one('throughput before', 'req/s', before.length / beforeSeconds),
    one('throughput after', 'req/s', after.length / afterSeconds),
    one('failed requests', 'count', visits.failed),
    one('idle CPU before', '%', idle.before * 100),
    one('idle CPU after', '%', idle.after * 100),
    one(SERVED[kind], 'ms', servedMs - instructedMs),
    one('longest around', 'x p99 before', Math.max(...around) / p99Before),
  ];
}

const SERVED: Readonly<Record<Kind, string>> = {
  out: "instruction to the new container's first answer",
  up: 'instruction to the new quota in the cgroup',
};

/** Mean response time after to before: Mayfly's as `after/before`, others' with their names. */
export function ratiosOf(rows: readonly Row[]): Record<string, number> {
  return Object.fromEntries(
    namesOf(rows).flatMap((name) => {
      const of = (what: string) => valueOf(rows, name, what)?.median ?? Number.NaN;
      const prefix = name === 'mayfly' ? '' : `${name} `;
      return [
        [`${prefix}after/before`, of('mean after') / of('mean before')],
        [`${prefix}throughput after/before`, of('throughput after') / of('throughput before')],
        [`${prefix}longest around/p99 before`, of('longest around')],
      ].map(([key, value]) => [key, Number(Number(value).toPrecision(4))]);
    }),
  ) as Record<string, number>;
}

/** A column for each side; the first line is the head. */
export function tableOf(kind: Kind, rows: readonly Row[]): string[][] {
  const names = namesOf(rows);
  const ratios = ratiosOf(rows);
  const line = (label: string, cell: (name: string) => string | undefined) => [
    label,
    ...names.map((name) => cell(name) ?? '–'),
  ];
  const pair = (what: string, pick: (row: Row) => number | undefined) => (name: string) => {
    const both = ['before', 'after'].map((when) => valueOf(rows, name, `${what} ${when}`));
    return both.map((row) => (row ? pick(row) : undefined) ?? '–').join(' → ');
  };
  const of = (what: string) => (name: string) => valueOf(rows, name, what)?.median.toString();
  const ratio = (what: string) => (name: string) =>
    ratios[`${name === 'mayfly' ? '' : `${name} `}${what}`]?.toFixed(2);
  return [
    ['', ...names],
    line(
      'response time, mean (ms)',
      pair('mean', (row) => row.median),
    ),
    line(
      'response time, p50 (ms)',
      pair('response time', (row) => row.median),
    ),
    line(
      'response time, p95 (ms)',
      pair('response time', (row) => row.p95),
    ),
    line(
      'response time, p99 (ms)',
      pair('response time', (row) => row.p99),
    ),
    line(
      'throughput (req/s)',
      pair('throughput', (row) => row.median),
    ),
    line('mean, after/before', ratio('after/before')),
    line(`${SERVED[kind]} (ms)`, of(SERVED[kind])),
    line('longest request around it, to p99 before', ratio('longest around/p99 before')),
    line('failed requests', of('failed requests')),
    line(
      'CPU of the machine that was idle (%)',
      pair('idle CPU', (row) => row.median),
    ),
  ];
}

function namesOf(rows: readonly Row[]): string[] {
  return [...new Set(rows.map(({ name }) => name.split(':')[0] ?? ''))];
}

function valueOf(rows: readonly Row[], name: string, what: string): Row | undefined {
  return rows.find((row) => row.name === `${name}: ${what}`);
}

/** NaN of nothing. */
export function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}
