/**
 * What becomes of an app's containers on a node: who is started, woken, replaced, ended or put to rest, so that as many are
 * ready as are wanted. It looks at what is, not at what has happened, so it may be asked at any time and as often as one
 * likes; its answer also says when to ask again, so that one timer per node is enough and none is needed for an app that
 * does not run.
 *
 * An app is idle or busy as a whole: its containers share the requests, so one that had none for a while says nothing. While
 * it is awake it has the size that is wanted of it; when it falls asleep, all go to rest but those its policy keeps ready, or
 * the one that another app needs.
 */
import type { KeepWarmHours, Policy, Resources } from '../../cmdb/records.ts';
import { keptReason } from './keep-warm.ts';
import { sameResources, wantedReplicas, wantedResources, type Decided } from './size.ts';
import { formatDuration } from '../../units.ts';

const DEPLOYED = 'a new revision was deployed';

export interface Member {
  readonly id: string;
  /** `changing`: it is being woken or put to rest, and nothing else can be done with it meanwhile. */
  readonly state: 'starting' | 'ready' | 'changing' | 'paused';
  /** It is started to take the place of another one, which serves still. */
  readonly isSuccessor: boolean;
  readonly revisionId: string;
  readonly resources: Resources;
  /** Whether the engine is known to give it just that. */
  readonly isSizeSure: boolean;
  /** It is being given another size; or an attempt failed, and there is none before that time (epoch ms). */
  readonly isResizing: boolean;
  readonly resizeNotBeforeMs: number;
  /** It has more CPU than its own, for its start, until then; null: it has not. Epoch ms. */
  readonly boostEndsAtMs: number | null;
  /** When it is to be replaced; null: never. */
  readonly expiresAtMs: number | null;
  /** The last moment a request was in flight; for one that was never asked, when it became ready. */
  readonly lastActiveAtMs: number;
}

export interface CrewInput {
  readonly members: readonly Member[];
  /** Containers on their way that are no members yet, and whether a successor is. */
  readonly placing: number;
  readonly isReplacing: boolean;
  /** Containers on their way out. They are no members any more, but have their room still. */
  readonly draining: number;
  /** As it is at this moment (`policyAt`). */
  readonly policy: Policy;
  /** The hours that its `minReplicas` comes from, if it does. */
  readonly keptBy?: KeepWarmHours | undefined;
  /** What is to run. */
  readonly revisionId: string;
  readonly size: Decided;
  /** Somebody waits for the app. */
  readonly isAwaited: boolean;
  /** Another app needs it: one is to be there, and does not sleep. */
  readonly isKept: boolean;
  /** Starts failed not long ago: no further one before this time. Infinity: starting is somebody else's business now. */
  readonly startNotBeforeMs: number;
  /** The engine did not wake them not long ago: no further attempt before this time. */
  readonly wakeNotBeforeMs: number;
  /** It is being found out whether the app is idle. */
  readonly isResting: boolean;
  /** Whether the engine can pause, and can change limits while a container runs. */
  readonly canPause: boolean;
  readonly canResize: boolean;
}

export type CrewAction =
  | { readonly do: 'start'; readonly reason: string }
  | { readonly do: 'wake'; readonly id: string; readonly reason: string }
  /** A successor becomes ready first, then this one is ended. */
  | { readonly do: 'replace'; readonly id: string; readonly reason: string }
  /** It finishes its work and goes; one that only starts is called off. */
  | { readonly do: 'retire'; readonly id: string; readonly reason: string }
  /** It is given another size while it runs. */
  | { readonly do: 'resize'; readonly id: string; readonly to: Resources }
  /** What it was lent for its start is over. */
  | { readonly do: 'takeBack'; readonly id: string }
  /** If no container of the app has been active since `idleSinceMs`: these are paused, or ended. */
  | {
      readonly do: 'rest';
      readonly ids: readonly string[];
      readonly how: 'pause' | 'stop';
      readonly idleSinceMs: number;
      readonly reason: string;
    };

export interface CrewDecision {
  readonly actions: readonly CrewAction[];
  /** Nothing more to do before (Infinity: never), unless something changes. */
  readonly nextAtMs: number;
}

export function decideCrew(input: CrewInput, nowMs: number): CrewDecision {
  const { members, placing, policy, size, isAwaited, isKept } = input;
  const awake = members.filter(({ state, isSuccessor }) => state !== 'paused' && !isSuccessor);
  const count = awake.length + placing;
  const target = wantedReplicas(policy, size, count > 0 || isAwaited || isKept);
  const { goers, sleepers } = sortSleepers(input, Math.max(0, policy.maxReplicas - count), nowMs);
  const lacking = target - count;
  const superseded = members.filter((member) => isSuperseded(input, member));
  const upToDate = awake.filter((member) => !superseded.includes(member));
  const woken = lacking > 0 ? sleepers.slice(0, lacking) : [];
  const missing = Math.max(0, lacking - woken.length);
  const mayStart = nowMs >= input.startNotBeforeMs;
  const mayWake = nowMs >= input.wakeNotBeforeMs;
  const reason = whyMore(input, count, target);

  const actions: CrewAction[] = [
    ...goers,
    ...superseded.map(({ id }): CrewAction => ({ do: 'retire', id, reason: DEPLOYED })),
    ...tooMany(input, upToDate, target, nowMs),
    ...(mayWake ? woken : []).map(({ id }): CrewAction => ({ do: 'wake', id, reason })),
    ...Array.from({ length: mayStart ? missing : 0 }, (): CrewAction => ({ do: 'start', reason })),
  ];
  const isSettled =
    actions.every((action) => action.do === 'retire') &&
    placing === 0 &&
    !input.isReplacing &&
    members.every(({ state, isSuccessor }) => !isSuccessor && (state === 'ready' || state === 'paused'));
  const staying = awake.filter(({ id }) => !actions.some((action) => 'id' in action && action.id === id));
  const old = isSettled && mayStart && lacking <= 0 ? mostOutdated(input, staying, nowMs) : undefined;
  if (old) actions.push({ do: 'replace', ...old });
  const rest =
    isSettled && !old && !isAwaited && !input.isResting ? decideRest(input, staying, nowMs) : undefined;
  if (rest?.action) actions.push(rest.action);
  const kept = staying.filter(({ id }) => id !== old?.id && rest?.action?.ids.includes(id) !== true);
  const misfits = input.canResize ? kept.filter((member) => isMisfit(input, member)) : [];
  const to = wantedResources(policy, size);
  for (const { id, resizeNotBeforeMs } of misfits)
    if (nowMs >= resizeNotBeforeMs) actions.push({ do: 'resize', id, to });

  const lent = kept.filter(
    ({ id, state, isResizing, boostEndsAtMs }) =>
      state === 'ready' && boostEndsAtMs !== null && !isResizing && !misfits.some((one) => one.id === id),
  );
  for (const { id, boostEndsAtMs } of lent)
    if (boostEndsAtMs !== null && nowMs >= boostEndsAtMs) actions.push({ do: 'takeBack', id });

  const isBlocked = missing > 0 || staying.some((member) => outdated(input, member, nowMs) !== undefined);
  const nextAtMs = Math.min(
    isBlocked && !mayStart ? input.startNotBeforeMs : Infinity,
    woken.length > 0 && !mayWake ? input.wakeNotBeforeMs : Infinity,
    rest?.nextAtMs ?? Infinity,
    ...misfits.map(({ resizeNotBeforeMs }) => later(resizeNotBeforeMs, nowMs)),
    ...lent.map(({ boostEndsAtMs }) => later(boostEndsAtMs, nowMs)),
    ...staying.map(({ expiresAtMs }) => later(expiresAtMs, nowMs)),
    ...sleepers.map((member) => Math.min(later(member.expiresAtMs, nowMs), stopAtMs(policy, member))),
  );
  return { actions, nextAtMs };
}

/** Who goes to bed for good, and who may be woken: the latter in the order in which they are. */
function sortSleepers(
  input: CrewInput,
  room: number,
  nowMs: number,
): { goers: CrewAction[]; sleepers: Member[] } {
  const { policy } = input;
  const goers: CrewAction[] = [];
  const sleepers: Member[] = [];
  const asleep = input.members.filter(({ state }) => state === 'paused').toSorted(byWorth(input, nowMs));
  for (const member of asleep) {
    const { id } = member;
    const reason =
      // Nobody would notice a sleeper's end: a fresh one is started when it is wanted.
      outdated(input, member, nowMs) ??
      (nowMs >= stopAtMs(policy, member) ? idleReason(policy.idleStopMs) : undefined) ??
      (sleepers.length >= room ? wantedReason(policy.maxReplicas) : undefined);
    if (reason === undefined) sleepers.push(member);
    else goers.push({ do: 'retire', id, reason });
  }
  return { goers, sleepers };
}

/**
 * Scaling in. Those that are not ready yet go first. The balancer keeps the others equally loaded, so it is not the load
 * that tells them apart: first goes who would have to be replaced next, which saves a start. As many stay ready as are wanted.
 */
function tooMany(input: CrewInput, awake: readonly Member[], target: number, nowMs: number): CrewAction[] {
  const surplus = awake.length + input.placing - target;
  if (surplus <= 0) return [];
  const reason = wantedReason(target);
  const starting = awake.filter(({ state }) => state === 'starting').toReversed();
  const ready = awake
    .filter(({ state }) => state === 'ready')
    .toSorted(byWorth(input, nowMs))
    .toReversed();
  const spare = Math.max(0, ready.length - target);
  return [
    ...starting.slice(0, surplus),
    ...ready.slice(0, Math.min(spare, Math.max(0, surplus - starting.length))),
  ].map(({ id }): CrewAction => ({ do: 'retire', id, reason }));
}

/** One after the other. */
function mostOutdated(
  input: CrewInput,
  staying: readonly Member[],
  nowMs: number,
): { id: string; reason: string } | undefined {
  for (const member of staying.toSorted(byWorth(input, nowMs)).toReversed()) {
    const reason = outdated(input, member, nowMs);
    if (reason !== undefined && mayDrain(input, member)) return { id: member.id, reason };
  }
  return undefined;
}

/**
 * Whoever is replaced keeps its room until its work in flight is done. For age or size the next one waits for that, so that
 * never more than one beyond what is wanted runs. A deploy has to get through, but not to fill the node when it comes again
 * and again.
 */
function mayDrain({ draining, policy, revisionId }: CrewInput, member: Member): boolean {
  return member.revisionId === revisionId ? draining === 0 : draining <= policy.maxReplicas;
}

function decideRest(
  input: CrewInput,
  staying: readonly Member[],
  nowMs: number,
): { action?: Extract<CrewAction, { do: 'rest' }>; nextAtMs: number } {
  const { policy, isKept, canPause } = input;
  const { idlePauseMs, idleStopMs } = policy;
  const kept = Math.max(policy.minReplicas, isKept ? 1 : 0);
  if (staying.length <= kept) return { nextAtMs: Infinity };
  const lastActiveAtMs = Math.max(...staying.map((member) => member.lastActiveAtMs));
  const idleMs = nowMs - lastActiveAtMs;
  const ids = staying
    .toSorted(byWorth(input, nowMs))
    .slice(kept)
    .map(({ id }) => id);
  if (idleStopMs !== null && idleMs >= idleStopMs) {
    const action = {
      do: 'rest' as const,
      ids,
      how: 'stop' as const,
      idleSinceMs: nowMs - idleStopMs,
      reason: idleReason(idleStopMs),
    };
    return { action, nextAtMs: Infinity };
  }
  const mayPause = canPause && idlePauseMs !== null;
  if (mayPause && idleMs >= idlePauseMs) {
    const action = {
      do: 'rest' as const,
      ids,
      how: 'pause' as const,
      idleSinceMs: nowMs - idlePauseMs,
      reason: idleReason(idlePauseMs),
    };
    return { action, nextAtMs: Infinity };
  }
  return {
    nextAtMs: lastActiveAtMs + Math.min(mayPause ? idlePauseMs : Infinity, idleStopMs ?? Infinity),
  };
}

/** It starts, and something else was deployed meanwhile: nobody is to be served by it. Its place is free when it is gone. */
function isSuperseded({ revisionId }: CrewInput, member: Member): boolean {
  return member.state === 'starting' && member.revisionId !== revisionId;
}

/** Why this container is no longer what should run; undefined when it is. */
function outdated(
  { revisionId, policy, size, canResize }: CrewInput,
  member: Member,
  nowMs: number,
): string | undefined {
  if (member.revisionId !== revisionId) return DEPLOYED;
  if (!canResize && !sameResources(member.resources, wantedResources(policy, size)))
    return 'another size is wanted of it';
  if (member.expiresAtMs !== null && nowMs >= member.expiresAtMs) return 'it has reached its lifetime';
  return undefined;
}

/** It serves, and has not the size that is wanted of it. A sleeper is given that when it is awake. */
function isMisfit({ policy, size }: CrewInput, member: Member): boolean {
  if (member.state !== 'ready' || member.isResizing) return false;
  return !member.isSizeSure || !sameResources(member.resources, wantedResources(policy, size));
}

/** Best first: what should run before what should not, who may live longer before who may not, then the older one. */
function byWorth(input: CrewInput, nowMs: number): (a: Member, b: Member) => number {
  const isOld = (member: Member) => (outdated(input, member, nowMs) === undefined ? 0 : 1);
  const endMs = ({ expiresAtMs }: Member) => expiresAtMs ?? Number.MAX_VALUE;
  return (a, b) => isOld(a) - isOld(b) || endMs(b) - endMs(a) || (a.id < b.id ? -1 : 1);
}

function stopAtMs({ idleStopMs }: Policy, { lastActiveAtMs }: Member): number {
  return idleStopMs === null ? Infinity : lastActiveAtMs + idleStopMs;
}

function later(atMs: number | null, nowMs: number): number {
  return atMs === null || atMs <= nowMs ? Infinity : atMs;
}

function whyMore({ isAwaited, isKept, policy, keptBy }: CrewInput, count: number, target: number): string {
  if (isAwaited && count === 0) return 'a request came';
  if (isKept && target === 1) return 'another app needs it';
  if (target > policy.minReplicas) return wantedReason(target);
  return keptBy?.replicas === target ? keptReason(target, keptBy) : `its policy keeps ${target} ready`;
}

function idleReason(idleMs: number | null): string {
  return `no activity for ${formatDuration(idleMs ?? 0)}`;
}

function wantedReason(count: number): string {
  return count === 1 ? '1 container is wanted' : `${count} containers are wanted`;
}
