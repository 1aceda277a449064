/**
 * What a benchmark leaves behind: a table for people, JSON for machines, a picture for both. Quote medians and ratios
 * within one run; absolute figures belong to the machine they were taken on.
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { cpus, release, totalmem } from 'node:os';
import { dirname, join } from 'node:path';

export interface Row {
  readonly name: string;
  readonly unit: string;
  readonly median: number;
  readonly min: number;
  readonly max: number;
  /** Samples. */
  readonly n: number;
  readonly p95?: number;
  readonly p99?: number;
}

export interface Report {
  readonly bench: string;
  readonly params: Readonly<Record<string, string | number | boolean>>;
  readonly rows: readonly Row[];
  readonly ratios: Readonly<Record<string, number>>;
  /** Sentences for those who read the table. */
  readonly notes?: readonly string[];
  /** What people read instead of all rows and ratios: tables, each with a line of heads. */
  readonly tables?: readonly (readonly (readonly string[])[])[];
}

/** Nearest-rank percentile of sorted samples; NaN without any. `share` in 0 … 1. */
export function percentile(sorted: readonly number[], share: number): number {
  return sorted[Math.min(sorted.length - 1, Math.max(0, Math.ceil(share * sorted.length) - 1))] ?? Number.NaN;
}

/** Errors: RangeError without samples. */
export function summarize(name: string, unit: string, samples: readonly number[]): Row {
  if (samples.length === 0) throw new RangeError(`no samples of ${name}`);
  const sorted = samples.toSorted((a, b) => a - b);
  const at = (share: number) => round(percentile(sorted, share));
  return {
    name,
    unit,
    median: at(0.5),
    min: at(0),
    max: at(1),
    n: sorted.length,
    p95: at(0.95),
    p99: at(0.99),
  };
}

/** A figure that is not a sample: a count, a difference. */
export function single(name: string, unit: string, value: number): Row {
  return { name, unit, median: round(value), min: round(value), max: round(value), n: 1 };
}

export function medianOf(rows: readonly Row[], name: string): number {
  const row = rows.find((one) => one.name === name);
  if (!row) throw new Error(`there is no row ${name}`);
  return row.median;
}

function round(value: number): number {
  return Number(value.toPrecision(4));
}

export function machine(): Record<string, string | number> {
  const model = cpus()[0]?.model ?? 'unknown';
  return { cpus: cpus().length, model, memoryBytes: totalmem(), kernel: release(), node: process.version };
}

/** Prints the table; writes the JSON to `jsonPath` (bench/results/NAME.json unless told) and the picture beside it. */
export function publish(report: Report, svg: string, jsonPath: string | undefined): void {
  const { bench, params, rows, ratios, notes = [], tables } = report;
  const print = (text: string) => process.stdout.write(`${text}\n`);
  print(
    `${bench}  ${Object.entries(params)
      .map(([name, value]) => `${name}=${value}`)
      .join(' ')}`,
  );
  if (tables) for (const table of tables) print(`\n${formatTable(table, 1)}`);
  else {
    const cells = rows.map((row) =>
      [row.name, row.unit, row.median, row.p95 ?? '', row.p99 ?? '', row.min, row.max, row.n].map(String),
    );
    print(formatTable([['', 'unit', 'median', 'p95', 'p99', 'min', 'max', 'n'], ...cells], 2));
    for (const [name, value] of Object.entries(ratios)) print(`ratio ${name} = ${value.toFixed(3)}`);
  }
  for (const note of notes) print(note);

  const path = jsonPath ?? join(import.meta.dirname, '../results', `${bench}.json`);
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, `${JSON.stringify({ bench, machine: machine(), params, rows, ratios }, null, 2)}\n`);
  const picture = path.replace(/(\.json)?$/, '.svg');
  writeFileSync(picture, svg);
  print(`written: ${path}, ${picture}`);
}

/** Columns as wide as they need to be; the first `leftColumns` are text, the others figures. */
function formatTable(table: readonly (readonly string[])[], leftColumns: number): string {
  const widths =
    table[0]?.map((_, column) => Math.max(...table.map((line) => line[column]?.length ?? 0))) ?? [];
  const align = (cell: string, column: number) =>
    column < leftColumns ? cell.padEnd(widths[column] ?? 0) : cell.padStart(widths[column] ?? 0);
  return table.map((line) => line.map(align).join('  ').trimEnd()).join('\n');
}
