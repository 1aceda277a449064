/**
 * What a clock on the wall of some place shows, and when it shows something: JavaScript's `Intl` knows every zone and every
 * change of its rules, but only the one direction. (Temporal knows both; not every Node that Mayfly runs on has it.)
 */

const MINUTE_MS = 60_000;
const DAY_MS = 24 * 60 * MINUTE_MS;
/** More than there are zones; zones may be spelled in upper and lower case. */
const FORMATS_MAX = 1_000;

const formats = new Map<string, Intl.DateTimeFormat>();

/** Errors: RangeError where there is no such zone (IANA: `Europe/Berlin`, `UTC`). */
function formatOf(timeZone: string): Intl.DateTimeFormat {
  let format = formats.get(timeZone);
  if (format === undefined) {
    format = new Intl.DateTimeFormat('en-US', {
      timeZone,
      calendar: 'gregory',
      numberingSystem: 'latn',
      hourCycle: 'h23',
      year: 'numeric',
      month: 'numeric',
      day: 'numeric',
      hour: 'numeric',
      minute: 'numeric',
      second: 'numeric',
    });
    if (formats.size >= FORMATS_MAX) formats.clear();
    formats.set(timeZone, format);
  }
  return format;
}

export function isTimeZone(name: string): boolean {
  try {
    formatOf(name);
    return true;
  } catch {
    return false;
  }
}

/** The date and time in a place as epoch milliseconds that they would be in UTC, to the second. */
function wallMs(timeZone: string, atMs: number): number {
  const fields: Partial<Record<Intl.DateTimeFormatPartTypes, number>> = {};
  for (const { type, value } of formatOf(timeZone).formatToParts(atMs)) fields[type] = Number(value);
  const { year = 0, month = 1, day = 1, hour = 0, minute = 0, second = 0 } = fields;
  return Date.UTC(year, month - 1, day, hour, minute, second);
}

function offsetMs(timeZone: string, atMs: number): number {
  return wallMs(timeZone, atMs) - Math.floor(atMs / 1_000) * 1_000;
}

/** The date in a place, as the number of days since 1970-01-01 (which was a Thursday). */
export function dayIn(timeZone: string, atMs: number): number {
  return Math.floor(wallMs(timeZone, atMs) / DAY_MS);
}

/**
 * When it is `minutes` after midnight of that day in a place; epoch ms. RFC 5545 §3.3.5: of a time that comes twice the
 * first is meant, and one that is skipped is as far behind the change as it would have been without it.
 */
export function instantOf(timeZone: string, day: number, minutes: number): number {
  const wall = day * DAY_MS + minutes * MINUTE_MS;
  // No zone changes its clocks twice within two days.
  const before = wall - offsetMs(timeZone, wall - DAY_MS);
  const after = wall - offsetMs(timeZone, wall + DAY_MS);
  return wallMs(timeZone, before) !== wall && wallMs(timeZone, after) === wall ? after : before;
}
