/** Lists in a policy, as people write them in one line. What such a line cannot say, JSON can. */
import type { KeepWarmHours, WakeMatcher } from '../cmdb/records.ts';

/**
 * `none` or nothing: an empty list. What begins with `[` is JSON, which the server checks. undefined where one of the items
 * is none.
 */
export function parseList<T>(
  text: string,
  separator: string,
  parse: (item: string) => T | undefined,
): T[] | undefined {
  if (text === '' || text === 'none') return [];
  if (text.startsWith('[')) return parseJson(text) as T[] | undefined;
  const items = text.split(separator).map((item) => parse(item.trim()));
  return items.includes(undefined) ? undefined : (items as T[]);
}

/** `/healthz`: a path; anything else: what is contained in `User-Agent`. */
export function parseMatcher(text: string): WakeMatcher | undefined {
  if (text === '') return undefined;
  return text.startsWith('/') ? { path: text } : { userAgent: text };
}

/** `mon-fri 08:00-18:00 Europe/Berlin x2`; only the times have to be said. The server knows the days and zones there are. */
export function parseHours(text: string): Partial<KeepWarmHours> | undefined {
  const match = /^(?:([a-z,-]+) +)?(\d\d:\d\d)-(\d\d:\d\d)(?: +([A-Za-z][\w+/-]*?))?(?: +x(\d+))?$/.exec(
    text,
  );
  if (!match) return undefined;
  const [, days, from, to, timeZone, replicas] = match;
  return {
    ...(days !== undefined && { days }),
    ...(from !== undefined && { from }),
    ...(to !== undefined && { to }),
    ...(timeZone !== undefined && { timeZone }),
    ...(replicas !== undefined && { replicas: Number(replicas) }),
  };
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
