/**
 * The Core API as compute nodes see it: decisions made on the records, written back by compare-and-set. A decision that
 * lost a race is made again on what the winner wrote, so any number of Core APIs may share one store.
 */
import type { Clock } from '../clock.ts';
import { claims } from '../cmdb/claims.ts';
import type { Container, Node } from '../cmdb/records.ts';
import type { Change, NewRecord, Operation, Store } from '../cmdb/store.ts';
import { isPlatformError, PlatformError } from '../errors.ts';
import { wildcardsOf } from '../hostname.ts';
import { newId } from '../ids.ts';
import type {
  AppSpec,
  ColdStartFigures,
  ContainerReport,
  CoreApi,
  EventReport,
  NodeRegistration,
  Plan,
  PlanRequest,
  ScaleOutcome,
  ScaleRequest,
  SizedSpec,
} from './core-api.ts';
import { isLiving, transition } from './decisions/lifecycle.ts';
import { fits, reserve } from './decisions/placement.ts';
import { chooseReclaim, sleepersFor } from './decisions/reclaim.ts';
import { expiry } from './decisions/lifetime.ts';
import { wantedReplicas, wantedResources } from './decisions/size.ts';
import { chooseSlot } from './decisions/slots.ts';
import { listAll } from './list-all.ts';
import { retryConflicts } from './retry-conflicts.ts';
import { Scaling } from './scaling.ts';
import { Seldom } from './seldom.ts';
import { sizeOf } from './sizes.ts';

/** An app that finds no room says so at most so often: visitors ask again and again. */
const REFUSAL_EVENT_MS = 10_000;

export interface CoreOptions {
  readonly store: Store;
  readonly clock: Clock;
  /** Chance in [0, 1), for jitter; tests give a seeded one. */
  readonly random?: () => number;
}

export function createCore({ store, clock, random = Math.random }: CoreOptions): CoreApi {
  return new Core(store, clock, random);
}

class Core implements CoreApi {
  readonly #store: Store;
  readonly #clock: Clock;
  readonly #random: () => number;
  /** Changes to one node's reservations queue up here instead of losing races against each other. */
  readonly #nodeTurns = new Map<string, Promise<unknown>>();
  readonly #refusals = new Seldom(REFUSAL_EVENT_MS);
  readonly #scaling: Scaling;

  constructor(store: Store, clock: Clock, random: () => number) {
    this.#scaling = new Scaling(store, clock);
    this.#store = store;
    this.#clock = clock;
    this.#random = random;
  }

  async lookup(host: string): Promise<AppSpec | undefined> {
    for (const name of [host, ...wildcardsOf(host)]) {
      const app = await this.#store.findByClaim('app', claims.host(name));
      if (app) return this.spec(app.id);
    }
    return undefined;
  }

  async spec(appId: string): Promise<SizedSpec | undefined> {
    const app = await this.#store.get('app', appId);
    if (!app) return undefined;
    const [revision, size] = await Promise.all([
      this.#store.get('revision', app.revisionId),
      sizeOf(this.#store, appId),
    ]);
    return revision && { app, revision, size };
  }

  scale(request: ScaleRequest): Promise<ScaleOutcome> {
    return this.#scaling.scale(request);
  }

  plan(request: PlanRequest): Promise<Plan> {
    return this.#inTurn(request.nodeId, () => retryConflicts(() => this.#planOnce(request)));
  }

  async #planOnce(request: PlanRequest): Promise<Plan> {
    const { appId, nodeId } = request;
    const spec = await this.spec(appId);
    if (!spec) throw new PlatformError('not_found', `app ${appId} does not exist`);

    const own = await listAll(this.#store, 'container', { appId });
    const seat = chooseSlot({ containers: own, spec, request });
    if (seat.choice === 'known') return { action: 'run', ...spec, container: seat.container };
    if (seat.choice === 'promote')
      return { action: 'run', ...spec, container: await this.#promote(seat.container, seat.slot) };
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
    if (!fits(node, resources)) return this.#makeRoom(node, spec);

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
    await this.#commit([
      { op: 'create', kind: 'container', record: container, claims: [claims.slot(appId, slot)] },
      { op: 'update', kind: 'node', id: nodeId, ifGeneration: node.generation, set: { reserved } },
      this.#containerEvent(container, {
        reservedCpu: reserved.cpu,
        capacityCpu: node.capacity.cpu,
        reservedMemoryBytes: reserved.memoryBytes,
        capacityMemoryBytes: node.capacity.memoryBytes,
      }),
    ]);
    return { action: 'run', ...spec, container: { ...container, generation: 1 } };
  }

  /** The node has no room: name those whose sleep can end, or say what is lacking. */
  async #makeRoom(node: Node, { app, size }: SizedSpec): Promise<Plan> {
    const wanted = wantedResources(app.policy, size);
    const containers = await listAll(this.#store, 'container', { nodeId: node.id });
    const chosen = chooseReclaim(node, wanted, sleepersFor(app.id, containers));
    const figures = {
      wantedCpu: wanted.cpu,
      wantedMemoryBytes: wanted.memoryBytes,
      reservedCpu: node.reserved.cpu,
      capacityCpu: node.capacity.cpu,
      reservedMemoryBytes: node.reserved.memoryBytes,
      capacityMemoryBytes: node.capacity.memoryBytes,
    };
    if (chosen) {
      const reason = `room on node ${node.name} for app ${app.name}, which someone is visiting`;
      return { action: 'reclaim', containerIds: chosen.map((sleeper) => sleeper.containerId), reason };
    }
    const reason = `node ${node.name} has no room for ${wanted.cpu} CPU and ${wanted.memoryBytes} bytes of memory`;
    if (this.#refusals.isDue(app.id, this.#clock.nowMs())) {
      const event = { type: 'placement.refused', appId: app.id, containerId: null, reason, figures };
      await this.#store.commit([this.#event(event, node.id)]);
    }
    throw new PlatformError('no_capacity', reason, {
      hint: 'stop other apps, give this one a smaller size, or give the node more capacity',
      retryAfterMs: 5_000,
    });
  }

  /** The successor of a container that is no more takes its place. */
  async #promote(next: Container, slot: number): Promise<Container> {
    await this.#commit([promotion(next, slot)]);
    return { ...next, slot, generation: next.generation + 1 };
  }

  async report(containerId: string, report: ContainerReport): Promise<Container> {
    const { nodeId } = await this.#container(containerId);
    return this.#inTurn(nodeId, () => retryConflicts(() => this.#reportOnce(containerId, report)));
  }

  async #reportOnce(containerId: string, report: ContainerReport): Promise<Container> {
    const before = await this.#container(containerId);
    const changed = transition(before, report.state, report.reason, this.#clock.nowMs());
    const set = {
      ...changed,
      ...(report.address !== undefined && changed.address === before.address
        ? { address: report.address }
        : {}),
      phasesMs: { ...before.phasesMs, ...report.phasesMs },
    };
    const after = { ...before, ...set };
    const operations: Operation[] = [
      {
        op: 'update',
        kind: 'container',
        id: containerId,
        ifGeneration: before.generation,
        set,
        ...(changed.slot === null ? { claims: [] } : {}),
      },
    ];
    // Whoever reports a state again (the first answer was lost on its way) has nothing new to tell.
    if (before.state !== after.state) {
      operations.push(
        this.#containerEvent(after, { from: before.state, ...report.phasesMs, ...report.figures }),
      );
    }
    if (isLiving(before) && !isLiving(after)) {
      const node = await this.#store.get('node', before.nodeId);
      if (node) {
        const reserved = reserve(node, before.resources, -1);
        operations.push({
          op: 'update',
          kind: 'node',
          id: node.id,
          ifGeneration: node.generation,
          set: { reserved },
        });
      }
    }
    // Whoever was to succeed a container that gives up its slot takes it in the same commit.
    if (typeof before.slot === 'number' && changed.slot === null) {
      const next = await this.#store.findByClaim('container', claims.slot(before.appId, 'next'));
      if (next) operations.push(promotion(next, before.slot));
    }
    await this.#commit(operations);
    return { ...after, generation: before.generation + 1 };
  }

  async coldStart(containerId: string, { kind, totalMs, phasesMs, held }: ColdStartFigures): Promise<void> {
    await retryConflicts(async () => {
      const container = await this.#container(containerId);
      const merged = { ...container.phasesMs, ...phasesMs };
      // A container that was woken was once created as well; that was another visitor's wait.
      const { resume } = merged;
      const ofThisStart =
        kind === 'started' ? merged : { ...(resume !== undefined && { resume }), ...phasesMs };
      await this.#store.commit([
        {
          op: 'update',
          kind: 'container',
          id: containerId,
          ifGeneration: container.generation,
          set: { phasesMs: merged },
        },
        this.#event({
          type: 'app.cold_start',
          appId: container.appId,
          containerId,
          reason: `the first answer took ${Math.round(totalMs)} ms (${kind})`,
          figures: { kind, totalMs, held, ...ofThisStart },
        }),
      ]);
    });
  }

  async forget(containerId: string): Promise<void> {
    const container = await this.#store.get('container', containerId);
    if (!container) return;
    if (isLiving(container)) {
      throw new PlatformError(
        'invalid_transition',
        `container ${containerId} is ${container.state}: it has not ended`,
      );
    }
    await this.#store.commit([{ op: 'delete', kind: 'container', id: containerId }]);
  }

  async event(event: EventReport): Promise<void> {
    await this.#store.commit([this.#event(event)]);
  }

  async register({ nodeId, name, engine, capacity }: NodeRegistration): Promise<Node> {
    return this.#inTurn(nodeId, () =>
      retryConflicts(async () => {
        const nowMs = this.#clock.nowMs();
        // The node first: whatever changes its containers after that makes this commit a conflict.
        const before = await this.#store.get('node', nodeId);
        const living = (await this.containersOn(nodeId)).filter(isLiving);
        const empty = { capacity, reserved: { cpu: 0, memoryBytes: 0 } };
        const fields = {
          name,
          engine,
          state: 'up',
          capacity,
          lastSeenAtMs: nowMs,
          reserved: empty.reserved,
        } as const;
        const fresh: Node = { id: nodeId, createdAtMs: nowMs, generation: 1, ...before, ...fields };
        const reserved = living.reduce(
          (sum, c) => reserve({ ...fresh, reserved: sum }, c.resources, 1),
          empty.reserved,
        );
        const reason = `node ${name} serves with the ${engine} engine`;
        const { generation, ...record } = { ...fresh, reserved };
        await this.#store.commit([
          before
            ? {
                op: 'update',
                kind: 'node',
                id: nodeId,
                ifGeneration: generation,
                set: { ...fields, reserved },
                claims: [claims.nodeName(name)],
              }
            : { op: 'create', kind: 'node', record, claims: [claims.nodeName(name)] },
          this.#event({ type: 'node.up', appId: null, containerId: null, reason, figures: capacity }, nodeId),
        ]);
        return { ...fresh, reserved };
      }),
    );
  }

  containersOn(nodeId: string): Promise<Container[]> {
    return listAll(this.#store, 'container', { nodeId });
  }

  async wantedApps(): Promise<SizedSpec[]> {
    const sizes = await listAll(this.#store, 'size', {});
    const specs = await Promise.all(sizes.map(({ id }) => this.spec(id)));
    return specs.filter(
      (spec) => spec !== undefined && wantedReplicas(spec.app.policy, spec.size, false) > 0,
    ) as SizedSpec[];
  }

  watch(since: number, signal: AbortSignal): AsyncIterable<Change> {
    return this.#store.watch(since, signal);
  }

  revision(): Promise<number> {
    return this.#store.revision();
  }

  async #container(id: string): Promise<Container> {
    const container = await this.#store.get('container', id);
    if (!container) throw new PlatformError('not_found', `container ${id} does not exist`);
    return container;
  }

  #containerEvent(container: NewRecord<'container'>, figures: EventReport['figures']): Operation {
    const { id, appId, nodeId, state, reason } = container;
    return this.#event(
      { type: `container.${state}`, appId, containerId: id, reason, ...(figures && { figures }) },
      nodeId,
    );
  }

  #event({ figures = {}, ...event }: EventReport, nodeId: string | null = null): Operation {
    return { op: 'event', event: { atMs: this.#clock.nowMs(), nodeId, ...event, figures } };
  }

  /** Commits what concerns slots: one that was taken meanwhile is a race lost like any other. */
  async #commit(operations: readonly Operation[]): Promise<void> {
    try {
      await this.#store.commit(operations);
    } catch (thrown) {
      if (!isPlatformError(thrown, 'name_taken')) throw thrown;
      throw new PlatformError('conflict', thrown.message, { cause: thrown });
    }
  }

  /** Runs after whatever else is being done to the node's reservations in this process. */
  #inTurn<T>(nodeId: string, work: () => Promise<T>): Promise<T> {
    const turn = (this.#nodeTurns.get(nodeId) ?? Promise.resolve()).then(work, work);
    const settled = turn.then(
      () => undefined,
      () => undefined,
    );
    this.#nodeTurns.set(nodeId, settled);
    return turn;
  }
}

/** The operation that makes a successor the one that takes the requests. */
function promotion({ id, generation, appId }: Container, slot: number): Operation {
  return {
    op: 'update',
    kind: 'container',
    id,
    ifGeneration: generation,
    set: { slot },
    claims: [claims.slot(appId, slot)],
  };
}
