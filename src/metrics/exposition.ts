/**
 * The text that Prometheus reads (text format 0.0.4): families of samples, each with its help and type once. Names and
 * units as Prometheus wants them: base units (seconds, bytes), `_total` on what only grows.
 */
import type { HistogramSnapshot } from '../proxy/latency.ts';

export const CONTENT_TYPE = 'text/plain; version=0.0.4; charset=utf-8';

export type Labels = Readonly<Record<string, string>>;

/** A sample of a family: its labels and its value. */
export type Sample = readonly [labels: Labels, value: number];

export class Exposition {
  #text = '';

  /** What only grows; its name ends with `_total`. A number is a family's only sample. */
  counter(name: string, help: string, samples: number | Iterable<Sample>): void {
    this.#family(name, 'counter', help, samples);
  }

  gauge(name: string, help: string, samples: number | Iterable<Sample>): void {
    this.#family(name, 'gauge', help, samples);
  }

  /** Named in seconds, with these upper bounds in seconds, ascending. */
  histogram(
    name: string,
    help: string,
    bounds: readonly number[],
    samples: Iterable<readonly [Labels, HistogramSnapshot]>,
  ): void {
    this.#head(name, 'histogram', help);
    for (const [labels, snapshot] of samples) {
      const counts = foldInto(bounds, snapshot);
      bounds.forEach((bound, i) =>
        this.#sample(`${name}_bucket`, { ...labels, le: String(bound) }, counts[i] as number),
      );
      this.#sample(`${name}_bucket`, { ...labels, le: '+Inf' }, snapshot.count);
      this.#sample(`${name}_sum`, labels, snapshot.sumMs / 1_000);
      this.#sample(`${name}_count`, labels, snapshot.count);
    }
  }

  toString(): string {
    return this.#text;
  }

  #family(name: string, type: string, help: string, samples: number | Iterable<Sample>): void {
    this.#head(name, type, help);
    if (typeof samples === 'number') this.#sample(name, {}, samples);
    else for (const [labels, value] of samples) this.#sample(name, labels, value);
  }

  #head(name: string, type: string, help: string): void {
    const line = help.replaceAll('\\', '\\\\').replaceAll('\n', '\\n');
    this.#text += `# HELP ${name} ${line}\n# TYPE ${name} ${type}\n`;
  }

  #sample(name: string, labels: Labels, value: number): void {
    const pairs = Object.entries(labels).map(([key, text]) => `${key}="${escaped(text)}"`);
    this.#text += `${name}${pairs.length === 0 ? '' : `{${pairs.join(',')}}`} ${value}\n`;
  }
}

/**
 * How many were within each bound, for each bound. A bucket of ours is 3% wide; one that lies across a bound counts for the
 * next, so that "within" is never said of something that took longer.
 */
export function foldInto(boundsSeconds: readonly number[], { buckets }: HistogramSnapshot): number[] {
  const counts = boundsSeconds.map(() => 0);
  for (const [upToMs, count] of buckets) {
    const at = boundsSeconds.findIndex((bound) => upToMs <= bound * 1_000);
    if (at !== -1) counts[at] = (counts[at] as number) + count;
  }
  for (let i = 1; i < counts.length; i++) counts[i] = (counts[i] as number) + (counts[i - 1] as number);
  return counts;
}

function escaped(label: string): string {
  return label.replaceAll('\\', '\\\\').replaceAll('"', '\\"').replaceAll('\n', '\\n');
}
