/**
 * Hours in which an app is kept ready although nobody asks for it: within them its policy is as if it had a `minReplicas`.
 * Each says on which days it begins, so `fri 22:00-06:00` ends on Saturday. Nobody needs a timer to go through them: the
 * answer for a moment says until when it holds.
 */
import type { KeepWarmHours, Policy } from '../../cmdb/records.ts';
import { dayIn, instantOf } from './zoned-time.ts';

/** How many containers the hours keep, until when that is so, and which hours they are. */
export interface Kept {
  readonly replicas: number;
  /** Epoch ms; Infinity: there are no hours. */
  readonly untilMs: number;
  readonly by: KeepWarmHours | undefined;
}

const NONE: Kept = { replicas: 0, untilMs: Infinity, by: undefined };
const DAYS = ['sun', 'mon', 'tue', 'wed', 'thu', 'fri', 'sat'];
/** 1970-01-01 was a Thursday. */
const FIRST_WEEKDAY = 4;
const DAY_MINUTES = 24 * 60;

/** Lists do not change, and nearly always the answer is that of a moment ago. */
const answers = new WeakMap<readonly KeepWarmHours[], { readonly kept: Kept; readonly sinceMs: number }>();

/** How many containers the hours ask for at this time (the most, where several do), and until when that is so. */
export function keptWarm(hours: readonly KeepWarmHours[], nowMs: number): Kept {
  if (hours.length === 0) return NONE;
  const known = answers.get(hours);
  if (known !== undefined && known.sinceMs <= nowMs && nowMs < known.kept.untilMs) return known.kept;
  let kept = NONE;
  for (const one of hours) {
    const { isOn, untilMs } = stateOf(one, nowMs);
    const next = Math.min(kept.untilMs, untilMs);
    const isMore = isOn && one.replicas > kept.replicas;
    kept = isMore ? { replicas: one.replicas, untilMs: next, by: one } : { ...kept, untilMs: next };
  }
  answers.set(hours, { kept, sinceMs: nowMs });
  return kept;
}

/** The policy of an app at a moment, its hours included. */
export function policyAt(policy: Policy, nowMs: number): Policy {
  const { replicas } = keptWarm(policy.keepWarm, nowMs);
  return replicas > policy.minReplicas ? { ...policy, minReplicas: replicas } : policy;
}

/** Why so many are ready, for people. */
export function keptReason(count: number, { days, from, to, timeZone }: KeepWarmHours): string {
  return `its hours ${days} ${from}-${to} ${timeZone} keep ${count} ready`;
}

/** The weekdays, Sunday being 0, of `mon-fri`, `sat,sun` or `fri-mon,wed`; undefined where it is none of that. */
export function parseDays(text: string): ReadonlySet<number> | undefined {
  const found = new Set<number>();
  for (const part of text.split(',')) {
    const [first = '', last = first, ...more] = part.split('-');
    const from = DAYS.indexOf(first);
    const to = DAYS.indexOf(last);
    if (from === -1 || to === -1 || more.length > 0) return undefined;
    for (let day = from; ; day = (day + 1) % 7) {
      found.add(day);
      if (day === to) break;
    }
  }
  return found;
}

function stateOf(hours: KeepWarmHours, nowMs: number): { isOn: boolean; untilMs: number } {
  const { timeZone } = hours;
  const days = parseDays(hours.days) ?? new Set();
  const from = minutesOf(hours.from);
  const to = minutesOf(hours.to);
  const length = to > from ? to - from : to - from + DAY_MINUTES;
  const today = dayIn(timeZone, nowMs);
  // Those of yesterday may last until now; by this day next week they come again.
  for (let day = today - 1; day <= today + 7; day++) {
    if (!days.has((day + FIRST_WEEKDAY) % 7)) continue;
    const startMs = instantOf(timeZone, day, from);
    if (startMs > nowMs) return { isOn: false, untilMs: startMs };
    const endMs = endOf(hours, day, from + length);
    if (endMs > nowMs) return { isOn: true, untilMs: endMs };
  }
  return { isOn: false, untilMs: Infinity };
}

function endOf({ timeZone }: KeepWarmHours, day: number, minutes: number): number {
  return instantOf(timeZone, day + Math.floor(minutes / DAY_MINUTES), minutes % DAY_MINUTES);
}

/** Of `08:30`; `24:00` is the midnight that ends a day. */
function minutesOf(time: string): number {
  const [hours = 0, minutes = 0] = time.split(':').map(Number);
  return 60 * hours + minutes;
}
