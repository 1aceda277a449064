/**
 * What becomes of a request that finds no container ready, where its app tells such requests apart: some do not wake it and
 * are answered at once, page loads of browsers wait a moment and are then shown a page that waits, all others are held.
 * This is asked only where a request would be held otherwise, so a warm request pays nothing for it.
 */
import type { Clock } from '../clock.ts';
import type { WakeMatcher, WakeRules } from './control-plane.ts';
import type { Lease, Question, Wait } from './lease.ts';
import { StandIn } from './stand-in.ts';
import { WAIT_FIELD, waitingPage } from './waiting-page.ts';

/** A paused app is awake by then, and one that cannot be started now has said so: a page would only flash up. */
const WAITING_PAGE_AFTER_MS = 150;

export interface AsleepOptions {
  readonly wait: Wait;
  readonly rules: WakeRules;
  /** Whether somebody has woken it already. */
  readonly state: 'asleep' | 'starting';
  readonly clock: Clock;
  /** Holds it as requests are held for apps without such rules. */
  readonly hold: (wait: Wait) => Promise<Lease>;
}

/** Errors: a `StandIn`, and those of `hold`. */
export function holdAsleep({ wait, rules, state, clock, hold }: AsleepOptions): Promise<Lease> {
  const { request, route } = wait;
  const { question } = request;
  if (question === undefined || question.field(WAIT_FIELD) !== undefined) return hold(wait);
  if (rules.ignore.some((matcher) => matches(matcher, question)))
    return Promise.reject(new StandIn('asleep', { ...rules.reply, headers: ['Mayfly-State', state] }));
  if (!rules.waitingPage || !isPageLoad(question)) return hold(wait);
  const patience = new AbortController();
  const signals = request.signal === undefined ? [] : [request.signal];
  const impatient = {
    bodyBytes: request.bodyBytes,
    signal: AbortSignal.any([...signals, patience.signal]),
  };
  const cancel = clock.after(WAITING_PAGE_AFTER_MS, () => patience.abort(waitingPage(route.appName)));
  return hold({ ...wait, request: impatient }).finally(cancel);
}

/** All that the matcher says is so. */
export function matches({ path, method, userAgent }: WakeMatcher, question: Question): boolean {
  if (method !== undefined && method !== question.method) return false;
  if (path !== undefined && !pathMatches(path, question.target)) return false;
  if (userAgent === undefined) return true;
  return question.field('user-agent')?.toLowerCase().includes(userAgent.toLowerCase()) === true;
}

function pathMatches(pattern: string, target: string): boolean {
  const query = target.indexOf('?');
  const path = query === -1 ? target : target.slice(0, query);
  return pattern.endsWith('*') ? path.startsWith(pattern.slice(0, -1)) : path === pattern;
}

/** A person opens or reloads a page; scripts, images and programs that want HTML are not that. */
function isPageLoad(question: Question): boolean {
  if (question.method !== 'GET') return false;
  const mode = question.field('sec-fetch-mode');
  return (
    (mode === undefined || mode === 'navigate') &&
    question.field('accept')?.toLowerCase().includes('text/html') === true
  );
}
