/** Figures as people read them, in reasons. Whoever calculates with them takes those of the event, which are exact. */
import { formatBytes } from '../../units.ts';

export function coresText(cores: number): string {
  return `${toHundredths(cores)} CPU`;
}

/** `1 container`, `2.5 containers`, `40 containers`. */
export function countText(count: number, one: string, many = `${one}s`): string {
  const rounded = count < 10 ? toHundredths(count) : Math.round(count);
  return `${rounded} ${rounded === 1 ? one : many}`;
}

/** Finer than that, load is noise. */
export function toHundredths(value: number): number {
  return Math.round(value * 100) / 100;
}

/** `0.5 CPU and 256 MiB of memory`. */
export function sizeText({
  cpu,
  memoryBytes,
}: {
  readonly cpu: number;
  readonly memoryBytes: number;
}): string {
  return `${cpu} CPU and ${formatBytes(memoryBytes)} of memory`;
}
