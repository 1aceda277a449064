/**
 * Reads a page of metrics as strictly as Prometheus' text format 0.0.4 allows, and checks what promtool would: each family
 * once, with help and type before its samples, no series twice, names and units as they should be, histograms that add up.
 */

export interface Family {
  readonly type: string;
  readonly help: string;
  /** By name and labels, as they are written. */
  readonly samples: Map<string, number>;
}

export interface Page {
  readonly families: Map<string, Family>;
  /** The value of one series, its labels in any order; undefined if it is not there. */
  readonly value: (name: string, labels?: Readonly<Record<string, string>>) => number | undefined;
  /** Of all series with these labels and any others; 0 if there are none. */
  readonly sum: (name: string, labels?: Readonly<Record<string, string>>) => number;
}

const NAME = /^[a-zA-Z_:][a-zA-Z0-9_:]*$/;
const SAMPLE = /^([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(.*)\})? (\S+)$/;
const LABEL = /([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\[\\"n])*)"(,|$)/y;
const VALUE = /^(?:[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:e[+-]?\d+)?|[+-]Inf|NaN)$/i;
const UNITS = /(?:_seconds|_bytes|_cores|_info)(?:_total)?$/;
/** Of things that are counted, a name needs no unit; these words would be a unit that is none. */
const NOT_BASE = /_(?:ms|milliseconds|us|kb|mb|mib|percent)(?:_|$)/;

interface Series {
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
}

/** Errors: what is wrong, with its line. */
export function readPage(text: string): Page {
  if (!text.endsWith('\n')) throw new Error('the last line does not end');
  const families = new Map<string, Family>();
  const all: Series[] = [];
  const seen = new Set<string>();
  let current: { name: string; family: Family } | undefined;
  let help: { name: string; text: string } | undefined;
  for (const line of text.split('\n').slice(0, -1)) {
    const fail = (why: string) => new Error(`${why}: ${line}`);
    const [, about, name = '', rest = ''] = /^# (HELP|TYPE) (\S+) (.+)$/.exec(line) ?? [];
    if (about === 'HELP') {
      if (!NAME.test(name)) throw fail('not a name');
      if (families.has(name)) throw fail('a family twice');
      help = { name, text: rest };
    } else if (about === 'TYPE') {
      if (help?.name !== name) throw fail('a type without help before it');
      if (!['counter', 'gauge', 'histogram'].includes(rest)) throw fail('an unknown type');
      checkName(name, rest);
      current = { name, family: { type: rest, help: help.text, samples: new Map() } };
      families.set(name, current.family);
      help = undefined;
    } else {
      const series = readSample(line);
      if (current === undefined || !belongs(series.name, current))
        throw fail('a sample outside of its family');
      const id = idOf(series.name, series.labels);
      if (seen.has(id)) throw fail('a series twice');
      seen.add(id);
      if (current.family.type === 'counter' && !(series.value >= 0)) throw fail('a counter below zero');
      current.family.samples.set(id, series.value);
      all.push(series);
    }
  }
  for (const [name, { type }] of families)
    if (type === 'histogram')
      checkHistogram(
        name,
        all.filter((series) => series.name.startsWith(name)),
      );
  const matching = (name: string, labels: Readonly<Record<string, string>>) =>
    all.filter(
      (one) => one.name === name && Object.entries(labels).every(([key, value]) => one.labels[key] === value),
    );
  return {
    families,
    value: (name, labels = {}) =>
      matching(name, labels).find((one) => Object.keys(one.labels).length === Object.keys(labels).length)
        ?.value,
    sum: (name, labels = {}) => matching(name, labels).reduce((sum, { value }) => sum + value, 0),
  };
}

function readSample(line: string): Series {
  const [, name = '', inner, text = ''] = SAMPLE.exec(line) ?? [];
  if (name === '' || !VALUE.test(text)) throw new Error(`not a sample: ${line}`);
  const labels: Record<string, string> = {};
  if (inner !== undefined) {
    LABEL.lastIndex = 0;
    while (LABEL.lastIndex < inner.length) {
      const [, key = '', value = ''] = LABEL.exec(inner) ?? [];
      if (key === '' || key in labels) throw new Error(`not labels: ${line}`);
      labels[key] = value;
    }
  }
  return { name, labels, value: text === '+Inf' ? Infinity : Number(text) };
}

function checkName(name: string, type: string): void {
  if (type === 'counter' && !name.endsWith('_total')) throw new Error(`a counter without _total: ${name}`);
  if (type !== 'counter' && name.endsWith('_total')) throw new Error(`_total of no counter: ${name}`);
  if (NOT_BASE.test(name)) throw new Error(`not a base unit: ${name}`);
  if (type === 'histogram' && !UNITS.test(name)) throw new Error(`a histogram without a unit: ${name}`);
}

function belongs(name: string, { name: of, family }: { name: string; family: Family }): boolean {
  if (family.type !== 'histogram') return name === of;
  return [`${of}_bucket`, `${of}_sum`, `${of}_count`].includes(name);
}

function idOf(name: string, labels: Readonly<Record<string, string>>): string {
  return `${name}${JSON.stringify(Object.entries(labels).sort(([a], [b]) => (a < b ? -1 : 1)))}`;
}

/** Buckets of one set of labels grow with their bounds, the last one is all, and is the count. */
function checkHistogram(name: string, series: readonly Series[]): void {
  const groups = Map.groupBy(series, ({ labels: { le: _, ...others } }) => idOf(name, others));
  for (const [id, group] of groups) {
    const buckets = group.filter((one) => one.name === `${name}_bucket`);
    const bounds = buckets.map(({ labels }) => (labels['le'] === '+Inf' ? Infinity : Number(labels['le'])));
    const ascending = bounds.every((bound, i) => i === 0 || bound > (bounds[i - 1] ?? Infinity));
    if (!ascending || bounds.at(-1) !== Infinity) throw new Error(`bounds that do not ascend to +Inf: ${id}`);
    const grows = buckets.every(({ value }, i) => i === 0 || value >= (buckets[i - 1]?.value ?? Infinity));
    const count = group.find((one) => one.name === `${name}_count`)?.value;
    const sum = group.find((one) => one.name === `${name}_sum`)?.value;
    if (!grows || count !== buckets.at(-1)?.value || sum === undefined)
      throw new Error(`buckets that do not add up: ${id}`);
  }
}
