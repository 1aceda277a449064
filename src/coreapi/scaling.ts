/**
 * The size of apps, decided by compare-and-set: a decision is made on the record and the figures of this moment, and made
 * again where somebody else was first. What is decided here is carried out by the nodes.
 */
import type { Clock } from '../clock.ts';
import type { App, Container, Size } from '../cmdb/records.ts';
import type { Operation, Store } from '../cmdb/store.ts';
import { PlatformError } from '../errors.ts';
import type { OnHeldBack, ScaleOutcome, ScaleRequest } from './core-api.ts';
import { policyAt } from './decisions/keep-warm.ts';
import { isLiving } from './decisions/lifecycle.ts';
import { lackOfRoom } from './decisions/room.ts';
import {
  decideScale,
  describeScale,
  overQuota,
  sum,
  type Extent,
  type ScaleDecision,
} from './decisions/scale.ts';
import { wantedResources } from './decisions/size.ts';
import { listAll } from './list-all.ts';
import { retryConflicts } from './retry-conflicts.ts';
import { Seldom } from './seldom.ts';
import { sizeOf } from './sizes.ts';

/** Load asks again and again; what it is refused is told at most so often for each app. */
const REFUSAL_EVENT_MS = 10_000;

type Change = Extract<ScaleDecision, { action: 'change' }>;
type Room = (change: Change) => PlatformError | undefined;

export class Scaling {
  readonly #store: Store;
  readonly #clock: Clock;
  readonly #refusals = new Seldom(REFUSAL_EVENT_MS);
  readonly #onHeldBack: OnHeldBack;

  constructor(store: Store, clock: Clock, onHeldBack: OnHeldBack = () => undefined) {
    this.#store = store;
    this.#clock = clock;
    this.#onHeldBack = onHeldBack;
  }

  /** See `CoreApi.scale`. */
  scale(request: ScaleRequest): Promise<ScaleOutcome> {
    return retryConflicts(() => this.#scaleOnce(request));
  }

  async #scaleOnce(request: ScaleRequest): Promise<ScaleOutcome> {
    const { appId, by } = request;
    const app = await this.#store.get('app', appId);
    if (!app) throw new PlatformError('not_found', `app ${appId} does not exist`);
    const size = await sizeOf(this.#store, appId);
    const own = (await listAll(this.#store, 'container', { appId })).filter(holdsSlot);
    const awake = own.filter(({ state }) => state !== 'paused').length;
    const nowMs = this.#clock.nowMs();
    const policy = policyAt(app.policy, nowMs);
    const decision = decideScale({ policy, size, awake, by, wanted: wantedOf(request) }, nowMs);
    if (decision.action === 'refuse') throw outOfBounds(app, decision);
    if (request.ifGeneration !== undefined && request.ifGeneration !== size.generation)
      return unchanged(decision.from, size, { because: 'superseded' });
    if (decision.action === 'none') {
      const { from, because, notBeforeMs } = decision;
      if (because !== 'already') this.#onHeldBack('scale', because);
      return unchanged(from, size, { because, ...(notBeforeMs !== undefined && { notBeforeMs }) });
    }
    const growth = by === 'silence' || !grows(decision) ? undefined : await this.#room(app, own);
    const obstacle = growth?.(decision);
    let change = decision;
    if (growth && obstacle) {
      const because = obstacle.code === 'quota_exceeded' ? 'quota' : 'capacity';
      this.#onHeldBack('scale', because);
      await this.#tellRefusal(app, decision, obstacle);
      if (by === 'instruction') throw obstacle;
      const part = partThatFits(decision, growth, (wanted) =>
        decideScale({ policy, size, awake, by, wanted }, nowMs),
      );
      if (!part) return unchanged(decision.from, size, { because });
      change = part;
    }
    const after = await this.#commit(app, size, change, request);
    const { from, to, directions } = change;
    return { changed: true, from, to, directions, size: after };
  }

  async #commit(
    app: App,
    before: Size,
    { from, to, directions, set }: Change,
    { by, reason, figures }: ScaleRequest,
  ): Promise<Size> {
    const atMs = this.#clock.nowMs();
    const stamps = Object.fromEntries(directions.map((direction) => [direction, atMs]));
    const fields = { ...set, reason, changedAtMs: { ...before.changedAtMs, ...stamps } };
    const createdAtMs = before.generation === 0 ? atMs : before.createdAtMs;
    const { generation, ...record } = { ...before, ...fields, createdAtMs };
    const write: Operation =
      generation === 0
        ? { op: 'create', kind: 'size', record }
        : { op: 'update', kind: 'size', id: app.id, ifGeneration: generation, set: fields };
    await this.#store.commit([
      // Of an app that is deleted meanwhile no size is left behind.
      { op: 'expect', kind: 'app', id: app.id, ifGeneration: app.generation },
      write,
      this.#event('scale.decided', app.id, `${describeScale(from, to)}: ${reason}`, {
        by,
        ...extentFigures(from, to),
        ...figures,
      }),
    ]);
    return { ...record, generation: generation + 1 };
  }

  /** What stands against growing, if anything: the tenant's quota, or the nodes' room as they are now. */
  async #room(app: App, own: readonly Container[]): Promise<Room> {
    const [nodes, containers, tenant] = await Promise.all([
      listAll(this.#store, 'node', {}),
      listAll(this.#store, 'container', {}),
      this.#store.get('tenant', app.tenantId),
    ]);
    const quota = tenant?.quota;
    const others = quota ? sum((await this.#others(app, containers)).map((one) => one.resources)) : undefined;
    return ({ to, set }) => {
      const excess = quota && others ? overQuota(quota, others, to) : undefined;
      if (excess !== undefined)
        return new PlatformError('quota_exceeded', `app ${app.name} cannot grow: ${excess}`, {
          hint: 'scale another app of the tenant in, or have the quota raised',
        });
      const resources = wantedResources(app.policy, set);
      const more = Math.max(0, to.replicas - own.length);
      const lack = lackOfRoom({ appId: app.id, nodes, containers, resources, more });
      if (lack === undefined) return undefined;
      return new PlatformError('no_capacity', `app ${app.name} cannot grow: ${lack}`, {
        hint: 'stop other apps, ask for less, or give the nodes more capacity',
        retryAfterMs: 5_000,
      });
    };
  }

  /** Living containers of the tenant's other apps. */
  async #others(app: App, containers: readonly Container[]): Promise<Container[]> {
    const living = containers.filter((one) => isLiving(one) && one.appId !== app.id);
    const apps = await Promise.all(
      [...new Set(living.map(({ appId }) => appId))].map((id) => this.#store.get('app', id)),
    );
    const mine = new Set(apps.flatMap((one) => (one?.tenantId === app.tenantId ? [one.id] : [])));
    return living.filter(({ appId }) => mine.has(appId));
  }

  async #tellRefusal({ id }: App, { from, to }: Change, { code, message }: PlatformError): Promise<void> {
    if (!this.#refusals.isDue(id, this.#clock.nowMs())) return;
    await this.#store.commit([
      this.#event('scale.refused', id, message, { code, ...extentFigures(from, to) }),
    ]);
  }

  #event(
    type: string,
    appId: string,
    reason: string,
    figures: Record<string, string | number | boolean>,
  ): Operation {
    const event = {
      atMs: this.#clock.nowMs(),
      type,
      appId,
      containerId: null,
      nodeId: null,
      reason,
      figures,
    };
    return { op: 'event', event };
  }
}

/** It takes the app's requests, sleeps, or is about to serve; a successor and those that go do not count. */
function holdsSlot(container: Container): boolean {
  return isLiving(container) && typeof container.slot === 'number';
}

function grows({ from, to }: Change): boolean {
  return to.replicas > from.replicas || to.cpu > from.cpu || to.memoryBytes > from.memoryBytes;
}

/** A crowd takes what there is: the largest part of a step that fits, fewer containers before weaker ones. */
function partThatFits(
  { from, to }: Change,
  room: Room,
  decide: (wanted: Extent) => ScaleDecision,
): Change | undefined {
  const narrower = Array.from({ length: Math.max(0, to.replicas - from.replicas) }, (_, index) => ({
    ...to,
    replicas: to.replicas - 1 - index,
  }));
  const weaker = [0.75, 0.5, 0.25].map((share) => ({
    replicas: Math.min(from.replicas, to.replicas),
    cpu: from.cpu + Math.floor(100 * share * (to.cpu - from.cpu)) / 100,
    memoryBytes: from.memoryBytes + Math.floor(share * (to.memoryBytes - from.memoryBytes)),
  }));
  for (const wanted of [...narrower, ...weaker]) {
    const part = decide(wanted);
    if (part.action === 'change' && grows(part) && !room(part)) return part;
  }
  return undefined;
}

function wantedOf({ replicas, cpu, memoryBytes }: ScaleRequest): Partial<Extent> {
  return {
    ...(replicas !== undefined && { replicas }),
    ...(cpu !== undefined && { cpu }),
    ...(memoryBytes !== undefined && { memoryBytes }),
  };
}

function unchanged(
  from: Extent,
  size: Size,
  why: Required<Pick<ScaleOutcome, 'because'>> & Pick<ScaleOutcome, 'notBeforeMs'>,
): ScaleOutcome {
  return { changed: false, from, to: from, directions: [], size, ...why };
}

function extentFigures(from: Extent, to: Extent): Record<string, number> {
  return {
    fromReplicas: from.replicas,
    toReplicas: to.replicas,
    fromCpu: from.cpu,
    toCpu: to.cpu,
    fromMemoryBytes: from.memoryBytes,
    toMemoryBytes: to.memoryBytes,
  };
}

function outOfBounds({ name }: App, { fields }: Extract<ScaleDecision, { action: 'refuse' }>): PlatformError {
  const [first] = fields;
  const message = `app ${name} cannot be scaled so: ${first?.field ?? ''} ${first?.reason ?? ''}`;
  return new PlatformError('invalid_body', message, {
    hint: 'the bounds are in its policy (mayfly apps show, mayfly apps update --policy)',
    fields,
  });
}
