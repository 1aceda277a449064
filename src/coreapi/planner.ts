/**
 * Containers that are to be: each has its place among the app's, its node, its share of it, and is recorded before anything
 * is started. However many plan at once, the commit of one of them wins, and the others decide anew.
 */
import type { Clock } from '../clock.ts';
import { claims } from '../cmdb/claims.ts';
import type { Container, Node } from '../cmdb/records.ts';
import type { NewRecord, Store } from '../cmdb/store.ts';
import { PlatformError } from '../errors.ts';
import { newId } from '../ids.ts';
import type { Turns } from '../turns.ts';
import type { OnHeldBack, Plan, PlanRequest, SizedSpec } from './core-api.ts';
import { policyAt } from './decisions/keep-warm.ts';
import { expiry } from './decisions/lifetime.ts';
import { fits, reserve, spareCpu } from './decisions/placement.ts';
import { chooseReclaim, sleepersFor } from './decisions/reclaim.ts';
import { wantedResources } from './decisions/size.ts';
import { chooseSlot } from './decisions/slots.ts';
import { sizeText } from './decisions/words.ts';
import { containerEvent, eventOperation } from './event-operations.ts';
import { listAll } from './list-all.ts';
import { retryConflicts } from './retry-conflicts.ts';
import { Seldom } from './seldom.ts';
import { sizedSpec } from './sizes.ts';
import { commitSlots, promotion } from './slot-commits.ts';

/** An app that finds no room says so at most so often: visitors ask again and again. */
const REFUSAL_EVENT_MS = 10_000;

export interface PlannerOptions {
  readonly store: Store;
  readonly clock: Clock;
  /** Chance in [0, 1), for jitter. */
  readonly random: () => number;
  readonly turns: Turns;
  readonly onHeldBack: OnHeldBack;
}

export class Planner {
  readonly #store: Store;
  readonly #clock: Clock;
  readonly #random: () => number;
  readonly #turns: Turns;
  readonly #onHeldBack: OnHeldBack;
  readonly #refusals = new Seldom(REFUSAL_EVENT_MS);

  constructor({ store, clock, random, turns, onHeldBack }: PlannerOptions) {
    this.#onHeldBack = onHeldBack;
    this.#store = store;
    this.#clock = clock;
    this.#random = random;
    this.#turns = turns;
  }

  /** See `CoreApi.plan`. */
  plan(request: PlanRequest): Promise<Plan> {
    return this.#turns.take(request.nodeId, () => retryConflicts(() => this.#planOnce(request)));
  }

  async #planOnce(request: PlanRequest): Promise<Plan> {
    const { appId, nodeId } = request;
    const spec = await sizedSpec(this.#store, appId);
    if (!spec) throw new PlatformError('not_found', `app ${appId} does not exist`);

    const own = await listAll(this.#store, 'container', { appId });
    const { policy } = spec.app;
    const now = { app: { policy: policyAt(policy, this.#clock.nowMs()) }, size: spec.size };
    const seat = chooseSlot({ containers: own, spec: now, request });
    if (seat.choice === 'known' || seat.choice === 'promote') {
      const container =
        seat.choice === 'known' ? seat.container : await this.#promote(seat.container, seat.slot);
      const node = await this.#store.get('node', nodeId);
      return { action: 'run', ...spec, container, spareCpu: node ? spareCpu(node) : 0 };
    }
    if (seat.choice === 'enough') {
      const { count } = seat;
      throw new PlatformError(
        'invalid_transition',
        `app ${spec.app.name} has as many containers as are wanted (${count})`,
        { retryAfterMs: 1_000 },
      );
    }
    const { slot } = seat;

    const node = await this.#store.get('node', nodeId);
    if (!node) throw new PlatformError('not_found', `node ${nodeId} is not registered`);
    const resources = wantedResources(spec.app.policy, spec.size);
    if (!fits(node, resources)) return this.#makeRoom(node, spec, request);

    const nowMs = this.#clock.nowMs();
    const container: NewRecord<'container'> = {
      id: newId('ctr', nowMs),
      createdAtMs: nowMs,
      appId,
      revisionId: spec.revision.id,
      nodeId,
      state: 'planned',
      slot,
      reason: request.reason,
      address: null,
      resources,
      protocol: spec.revision.protocol,
      expiresAtMs: expiry(spec.app.policy, nowMs, this.#random()),
      phasesMs: {},
      enteredAtMs: { planned: nowMs },
    };
    const reserved = reserve(node, resources, 1);
    await commitSlots(this.#store, [
      { op: 'create', kind: 'container', record: container, claims: [claims.slot(appId, slot)] },
      { op: 'update', kind: 'node', id: nodeId, ifGeneration: node.generation, set: { reserved } },
      containerEvent(container, nowMs, {
        reservedCpu: reserved.cpu,
        capacityCpu: node.capacity.cpu,
        reservedMemoryBytes: reserved.memoryBytes,
        capacityMemoryBytes: node.capacity.memoryBytes,
      }),
    ]);
    return {
      action: 'run',
      ...spec,
      container: { ...container, generation: 1 },
      spareCpu: spareCpu({ ...node, reserved }),
    };
  }

  /** The node has no room: name those whose sleep can end, or say what is lacking. */
  async #makeRoom(
    node: Node,
    { app, size }: SizedSpec,
    { reason: why, staying = [] }: PlanRequest,
  ): Promise<Plan> {
    const wanted = wantedResources(app.policy, size);
    const containers = await listAll(this.#store, 'container', { nodeId: node.id });
    const sleepers = sleepersFor(app.id, containers);
    const willing = sleepers.filter(({ containerId }) => !staying.includes(containerId));
    const chosen = chooseReclaim(node, wanted, willing);
    const unwilling = sleepers.length - willing.length;
    const figures = {
      wantedCpu: wanted.cpu,
      wantedMemoryBytes: wanted.memoryBytes,
      reservedCpu: node.reserved.cpu,
      capacityCpu: node.capacity.cpu,
      reservedMemoryBytes: node.reserved.memoryBytes,
      capacityMemoryBytes: node.capacity.memoryBytes,
      staying: unwilling,
    };
    if (chosen) {
      const reason = `room on node ${node.name} for app ${app.name} (${why})`;
      return { action: 'reclaim', containerIds: chosen.map((sleeper) => sleeper.containerId), reason };
    }
    const lack = `node ${node.name} has no room for ${sizeText(wanted)}`;
    const reason =
      unwilling === 0 ? lack : `${lack}; of those asleep or on their way out, ${unwilling} made none`;
    this.#onHeldBack('place', 'capacity');
    const nowMs = this.#clock.nowMs();
    if (this.#refusals.isDue(app.id, nowMs)) {
      const event = { type: 'placement.refused', appId: app.id, containerId: null, reason, figures };
      await this.#store.commit([eventOperation(event, nowMs, node.id)]);
    }
    throw new PlatformError('no_capacity', reason, {
      hint: 'stop other apps, give this one a smaller size, or give the node more capacity',
      retryAfterMs: 5_000,
    });
  }

  /** The successor of a container that is no more takes its place. */
  async #promote(next: Container, slot: number): Promise<Container> {
    await commitSlots(this.#store, [promotion(next, slot)]);
    return { ...next, slot, generation: next.generation + 1 };
  }
}
