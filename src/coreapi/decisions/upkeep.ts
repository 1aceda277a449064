/**
 * What becomes of a container that nobody is asking anything of at the moment: it sleeps, goes, or is replaced. The
 * answer also says when to ask again, so that one timer per node is enough and none is needed for an app that is not
 * running.
 */
import type { App, Container, Policy, Revision } from '../../cmdb/records.ts';
import { sameResources, wantedResources, type Decided } from './size.ts';

export interface UpkeepInput {
  readonly container: Pick<Container, 'state' | 'expiresAtMs' | 'revisionId' | 'resources'>;
  /** The last moment a request was in flight; for a container that was never asked, when it became ready. */
  readonly lastActiveAtMs: number;
  readonly app: Pick<App, 'policy'>;
  readonly size: Decided;
  readonly revision: Pick<Revision, 'id'>;
  /** Whether the engine can pause. */
  readonly canPause: boolean;
  /** A replacement failed not long ago; do not try another one before this time. */
  readonly notBeforeMs?: number;
}

export type Upkeep =
  /** Nothing to do before `nextAtMs` (Infinity: never). */
  | { readonly action: 'none'; readonly nextAtMs: number }
  | { readonly action: 'pause'; readonly idleSinceMs: number; readonly reason: string }
  /** Only if it is idle still, when `idleSinceMs` is given. */
  | { readonly action: 'stop'; readonly idleSinceMs: number; readonly reason: string }
  /** A successor becomes ready first, then this one drains. */
  | { readonly action: 'replace'; readonly reason: string };

/** The share of a lifetime that is left to chance, so that a fleet started at once does not end at once. */
export const LIFETIME_JITTER = 0.1;

/** When a container planned now has to be replaced. `chance` is in [0, 1). */
export function expiry(policy: Pick<Policy, 'lifetimeMs'>, nowMs: number, chance: number): number | null {
  return policy.lifetimeMs === null
    ? null
    : nowMs + Math.round(policy.lifetimeMs * (1 - LIFETIME_JITTER * chance));
}

/** Why this container is no longer what should run; undefined when it is. */
function outdated(input: UpkeepInput, nowMs: number): string | undefined {
  const { container, app, size, revision } = input;
  if (container.revisionId !== revision.id) return 'a new revision was deployed';
  if (!sameResources(container.resources, wantedResources(app.policy, size)))
    return 'its policy gives it another size';
  if (container.expiresAtMs !== null && nowMs >= container.expiresAtMs) return 'it has reached its lifetime';
  return undefined;
}

export function decideUpkeep(input: UpkeepInput, nowMs: number): Upkeep {
  const { container, app, lastActiveAtMs } = input;
  const { idlePauseMs, idleStopMs } = app.policy;
  const idleMs = nowMs - lastActiveAtMs;
  const asleep = container.state === 'paused';

  const reason = outdated(input, nowMs);
  // Nobody would notice a sleeper's end: the next request starts a fresh one.
  if (reason !== undefined && asleep) return { action: 'stop', idleSinceMs: lastActiveAtMs, reason };
  if (reason !== undefined && nowMs >= (input.notBeforeMs ?? 0)) return { action: 'replace', reason };

  if (idleStopMs !== null && idleMs >= idleStopMs) {
    return { action: 'stop', idleSinceMs: nowMs - idleStopMs, reason: `no activity for ${idleStopMs} ms` };
  }
  const mayPause = !asleep && input.canPause && idlePauseMs !== null;
  if (mayPause && idleMs >= idlePauseMs) {
    return { action: 'pause', idleSinceMs: nowMs - idlePauseMs, reason: `no activity for ${idlePauseMs} ms` };
  }

  const outdatedAtMs = reason !== undefined ? nowMs : (container.expiresAtMs ?? Infinity);
  const nextAtMs = Math.min(
    mayPause ? lastActiveAtMs + idlePauseMs : Infinity,
    idleStopMs === null ? Infinity : lastActiveAtMs + idleStopMs,
    asleep ? outdatedAtMs : Math.max(outdatedAtMs, input.notBeforeMs ?? 0),
  );
  return { action: 'none', nextAtMs };
}
