/**
 * The Core API as compute nodes see it: decisions made on the records, written back by compare-and-set. A decision that
 * lost a race is made again on what the winner wrote, so any number of Core APIs may share one store.
 */
import type { Clock } from '../clock.ts';
import { claims } from '../cmdb/claims.ts';
import type { Container, Node, Resources } from '../cmdb/records.ts';
import type { Change, Operation, Store } from '../cmdb/store.ts';
import { PlatformError } from '../errors.ts';
import { Turns } from '../turns.ts';
import { findByHost } from './apps-find.ts';
import type {
  AppSpec,
  ColdStartFigures,
  ContainerReport,
  CoreApi,
  EventReport,
  NodeRegistration,
  OnHeldBack,
  Plan,
  PlanRequest,
  ScaleOutcome,
  ScaleRequest,
  SizedSpec,
} from './core-api.ts';
import { isLiving, transition } from './decisions/lifecycle.ts';
import { reserve } from './decisions/placement.ts';
import { isWantedAnyway } from './decisions/size.ts';
import { containerEvent, eventOperation } from './event-operations.ts';
import { listAll } from './list-all.ts';
import { Planner } from './planner.ts';
import { Reservations } from './reservations.ts';
import { retryConflicts } from './retry-conflicts.ts';
import { Scaling } from './scaling.ts';
import { sizedSpec } from './sizes.ts';
import { commitSlots, promotion } from './slot-commits.ts';

export interface CoreOptions {
  readonly store: Store;
  readonly clock: Clock;
  /** Chance in [0, 1), for jitter; tests give a seeded one. */
  readonly random?: () => number;
  /** Counts decisions that were not made. */
  readonly onHeldBack?: OnHeldBack;
}

/** The Core API for nodes, over a store. */
export function createCore({
  store,
  clock,
  random = Math.random,
  onHeldBack = () => undefined,
}: CoreOptions): CoreApi {
  return new Core({ store, clock, random, onHeldBack });
}

class Core implements CoreApi {
  readonly #store: Store;
  readonly #clock: Clock;
  readonly #turns = new Turns();
  readonly #planner: Planner;
  readonly #reservations: Reservations;
  readonly #scaling: Scaling;

  constructor({ store, clock, random, onHeldBack }: Required<CoreOptions>) {
    this.#planner = new Planner({ store, clock, random, turns: this.#turns, onHeldBack });
    this.#reservations = new Reservations(store, clock, this.#turns);
    this.#scaling = new Scaling(store, clock, onHeldBack);
    this.#store = store;
    this.#clock = clock;
  }

  async lookup(host: string): Promise<AppSpec | undefined> {
    const app = await findByHost(this.#store, host);
    return app && this.spec(app.id);
  }

  spec(appId: string): Promise<SizedSpec | undefined> {
    return sizedSpec(this.#store, appId);
  }

  scale(request: ScaleRequest): Promise<ScaleOutcome> {
    return this.#scaling.scale(request);
  }

  plan(request: PlanRequest): Promise<Plan> {
    return this.#planner.plan(request);
  }

  async report(containerId: string, report: ContainerReport): Promise<Container> {
    const { nodeId } = await this.#container(containerId);
    return this.#turns.take(nodeId, () => retryConflicts(() => this.#reportOnce(containerId, report)));
  }

  async #reportOnce(containerId: string, report: ContainerReport): Promise<Container> {
    const before = await this.#container(containerId);
    const nowMs = this.#clock.nowMs();
    const changed = transition(before, report.state, report.reason, nowMs);
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
        containerEvent(after, nowMs, { from: before.state, ...report.phasesMs, ...report.figures }),
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
    await commitSlots(this.#store, operations);
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
        eventOperation(
          {
            type: 'app.cold_start',
            appId: container.appId,
            containerId,
            reason: `the first answer took ${Math.round(totalMs)} ms (${kind})`,
            figures: { kind, totalMs, held, ...ofThisStart },
          },
          this.#clock.nowMs(),
        ),
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
    await this.#store.commit([eventOperation(event, this.#clock.nowMs())]);
  }

  register(node: NodeRegistration): Promise<Node> {
    return this.#reservations.register(node);
  }

  resize(containerId: string, resources: Resources): Promise<void> {
    return this.#reservations.resize(containerId, resources);
  }

  containersOn(nodeId: string): Promise<Container[]> {
    return listAll(this.#store, 'container', { nodeId });
  }

  async wantedApps(): Promise<SizedSpec[]> {
    const sizes = await listAll(this.#store, 'size', {});
    const specs = await Promise.all(sizes.map(({ id }) => this.spec(id)));
    return specs.filter(
      (spec) => spec !== undefined && isWantedAnyway(spec.app.policy, spec.size),
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
}
