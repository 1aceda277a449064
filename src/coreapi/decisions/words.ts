/** Figures as people read them, in reasons. Whoever calculates with them takes those of the event, which are exact. */

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

/** `512 MiB`, `23.54 GiB`. */
export function memoryText(bytes: number): string {
  const units = ['bytes', 'KiB', 'MiB', 'GiB', 'TiB'];
  const step = bytes < 1 ? 0 : Math.min(Math.floor(Math.log2(bytes) / 10), units.length - 1);
  return `${toHundredths(bytes / 1024 ** step)} ${units[step] ?? ''}`;
}

/** `900 ms`, `30 s`, `5 min`, `1.5 h`. */
export function durationText(durationMs: number): string {
  if (durationMs < 1_000) return `${Math.round(durationMs)} ms`;
  if (durationMs < 120_000) return `${toHundredths(durationMs / 1_000)} s`;
  return durationMs < 7_200_000
    ? `${toHundredths(durationMs / 60_000)} min`
    : `${toHundredths(durationMs / 3_600_000)} h`;
}

/** `0.5 CPU and 256 MiB of memory`. */
export function sizeText({
  cpu,
  memoryBytes,
}: {
  readonly cpu: number;
  readonly memoryBytes: number;
}): string {
  return `${cpu} CPU and ${memoryText(memoryBytes)} of memory`;
}
