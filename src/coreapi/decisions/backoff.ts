/**
 * What follows a failed start. Visitors are waiting, so the first failures are retried while they wait; an app that keeps
 * failing is left alone for longer and longer, and its visitors are told at once when to come back.
 */

/** Delays before the second and third attempt, within one activation. */
const QUICK_RETRIES_MS = [50, 250];
const FIRST_BACKOFF_MS = 1_000;
const MAX_BACKOFF_MS = 60_000;
/** A container that dies this soon after it became ready has failed to start, in effect. */
export const EARLY_DEATH_MS = 10_000;

export interface FailedStart {
  /** Starts that failed in a row, this one included. At least 1. */
  readonly failures: number;
  /** Whether another attempt could end differently: an absent image will stay absent. */
  readonly retryable: boolean;
  /** Time left of the waiting requests' patience (the policy's start timeout). */
  readonly remainingMs: number;
}

export type Retry =
  | { readonly action: 'retry'; readonly afterMs: number }
  | { readonly action: 'giveUp'; readonly backoffMs: number };

export function decideRetry({ failures, retryable, remainingMs }: FailedStart): Retry {
  const quick = QUICK_RETRIES_MS[failures - 1];
  if (retryable && quick !== undefined && quick < remainingMs) return { action: 'retry', afterMs: quick };
  const doublings = Math.max(0, failures - QUICK_RETRIES_MS.length - 1);
  return {
    action: 'giveUp',
    backoffMs: Math.min(MAX_BACKOFF_MS, FIRST_BACKOFF_MS * 2 ** Math.min(doublings, 20)),
  };
}
