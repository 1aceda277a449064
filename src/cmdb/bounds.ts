/** The bounds of the store port, kept the same way by every driver: page sizes and how far back the logs reach. */
import { PlatformError } from '../errors.ts';
import { DEFAULT_RETENTION, type EventFilter, type RetentionOptions } from './store.ts';

const DEFAULT_LIMIT = 100;
const MAX_LIMIT = 1000;

/**
 * Logs are trimmed when so many entries have gone beyond their retention: one deletion of a stretch instead of one per
 * commit. Readers never see the surplus (`retainedAfter`).
 */
export const TRIM_BATCH = 256;

/** Errors: `bad_request`. */
export function pageLimit(limit: number | undefined): number {
  if (limit === undefined) return DEFAULT_LIMIT;
  if (Number.isInteger(limit) && limit >= 1 && limit <= MAX_LIMIT) return limit;
  throw invalid('limit', `must be a whole number from 1 to ${MAX_LIMIT}, not ${limit}`);
}

/** The stretch of the event log that a filter asks for: sequences strictly between, and from which end to take them. */
export interface EventRange {
  readonly after: number;
  readonly before: number;
  readonly newestFirst: boolean;
  readonly limit: number;
}

/** Errors: `bad_request`. */
export function eventRange(filter: EventFilter, floor: number): EventRange {
  if (filter.after !== undefined && filter.before !== undefined) {
    throw invalid('before', 'cannot be given together with "after"');
  }
  return {
    after: Math.max(filter.after ?? 0, floor),
    before: filter.before ?? Number.MAX_SAFE_INTEGER,
    newestFirst: filter.after === undefined,
    limit: pageLimit(filter.limit),
  };
}

/** Errors: `invalid_config`. */
export function fullRetention(retention: Partial<RetentionOptions> = {}): RetentionOptions {
  const full = { ...DEFAULT_RETENTION, ...retention };
  for (const field of ['maxEvents', 'maxChanges'] as const) {
    if (Number.isInteger(full[field]) && full[field] >= 1) continue;
    const reason = `must be a whole number of 1 or more, not ${full[field]}`;
    throw new PlatformError('invalid_config', `${field} ${reason}`, { fields: [{ field, reason }] });
  }
  return full;
}

/** Entries numbered up to this one are no longer kept, where the log's numbers have no gaps. */
export function retainedAfter(newest: number, maxEntries: number): number {
  return Math.max(0, newest - maxEntries);
}

function invalid(field: string, reason: string): PlatformError {
  return new PlatformError('bad_request', `${field} ${reason}`, { fields: [{ field, reason }] });
}
