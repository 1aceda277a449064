/** Durations and sizes as people write and read them. */

const DURATION_MS: Readonly<Record<string, number>> = {
  ms: 1,
  s: 1000,
  m: 60_000,
  h: 3_600_000,
  d: 86_400_000,
};

/** `512m` means MiB to everybody who has used Docker; the decimal units are there for those who say kB, MB, GB. */
const SIZE_BYTES: Readonly<Record<string, number>> = {
  b: 1,
  kb: 1000,
  mb: 1000 ** 2,
  gb: 1000 ** 3,
  tb: 1000 ** 4,
  k: 1024,
  m: 1024 ** 2,
  g: 1024 ** 3,
  t: 1024 ** 4,
  kib: 1024,
  mib: 1024 ** 2,
  gib: 1024 ** 3,
  tib: 1024 ** 4,
};

/** `30s`, `1.5h`, `1h30m`, `250ms`; a plain number is milliseconds. undefined where it is no duration. */
export function parseDurationMs(text: string): number | undefined {
  if (/^\d+(\.\d+)?$/.test(text)) return Math.round(Number(text));
  if (!/^(\d+(\.\d+)?(ms|s|m|h|d))+$/.test(text)) return undefined;
  let sumMs = 0;
  for (const [, count, unit] of text.matchAll(/(\d+(?:\.\d+)?)(ms|s|m|h|d)/g)) {
    sumMs += Number(count) * (DURATION_MS[unit ?? ''] ?? NaN);
  }
  return Math.round(sumMs);
}

/** `512MiB`, `512m`, `1.5GB`; a plain number is bytes. undefined where it is no size. */
export function parseBytes(text: string): number | undefined {
  const [, count, unit = 'b'] = /^(\d+(?:\.\d+)?)\s*([a-z]+)?$/i.exec(text) ?? [];
  const factor = SIZE_BYTES[unit.toLowerCase()];
  return count === undefined || factor === undefined ? undefined : Math.round(Number(count) * factor);
}

/** At most two units, and the short form for short times: `3 ms`, `1.2 s`, `45s`, `3m 20s`, `2h`, `5d 3h`. */
export function formatDuration(durationMs: number): string {
  if (durationMs < 999.5) return `${durationMs < 9.95 ? trim(durationMs) : Math.round(durationMs)}ms`;
  if (durationMs < 9_950) return `${trim(durationMs / 1000)}s`;
  const units = [
    ['d', 86_400],
    ['h', 3600],
    ['m', 60],
    ['s', 1],
  ] as const;
  let seconds = Math.round(durationMs / 1000);
  const parts: string[] = [];
  for (const [unit, size] of units) {
    const count = Math.floor(seconds / size);
    seconds -= count * size;
    if (count > 0) parts.push(`${count}${unit}`);
    // The second unit stands right below the first, or is left out: not "5d 3s".
    else if (parts.length > 0) break;
    if (parts.length === 2) break;
  }
  return parts.join(' ');
}

/** `512 MiB`, `1.5 GiB`, `23.54 GiB`. */
export function formatBytes(sizeBytes: number): string {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];
  let value = sizeBytes;
  let unit = 0;
  while (value >= 1024 && unit < units.length - 1) {
    value /= 1024;
    unit += 1;
  }
  return `${Math.round(value * 100) / 100} ${units[unit] ?? 'B'}`;
}

/** How old, in one unit: `<1s`, `12s`, `3d`. */
export function formatAge(thenMs: number, nowMs: number): string {
  const ageMs = nowMs - thenMs;
  if (ageMs < 1000) return '<1s';
  return formatDuration(Math.floor(ageMs / 1000) * 1000).split(' ')[0] ?? '';
}

/** How long ago: `just now`, `12s ago`, `3d ago`. */
export function formatAgo(thenMs: number, nowMs: number): string {
  return nowMs - thenMs < 1000 ? 'just now' : `${formatAge(thenMs, nowMs)} ago`;
}

function trim(value: number): string {
  return value.toFixed(value < 100 ? 1 : 0).replace(/\.0$/, '');
}
