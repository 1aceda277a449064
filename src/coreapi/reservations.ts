/**
 * What nodes have given away: counted anew when a node registers, and changed in the same commit as the containers that have
 * it. So it is never more than a node has, whoever is killed when.
 */
import type { Clock } from '../clock.ts';
import { claims } from '../cmdb/claims.ts';
import type { Container, Node, Resources } from '../cmdb/records.ts';
import type { Store } from '../cmdb/store.ts';
import { PlatformError } from '../errors.ts';
import type { Turns } from '../turns.ts';
import type { NodeRegistration } from './core-api.ts';
import { isLiving } from './decisions/lifecycle.ts';
import { growsWithin, reserve } from './decisions/placement.ts';
import { sameResources } from './decisions/size.ts';
import { reservedText } from './decisions/room.ts';
import { sizeText } from './decisions/words.ts';
import { eventOperation } from './event-operations.ts';
import { listAll } from './list-all.ts';
import { retryConflicts } from './retry-conflicts.ts';

export class Reservations {
  readonly #store: Store;
  readonly #clock: Clock;
  readonly #turns: Turns;

  constructor(store: Store, clock: Clock, turns: Turns) {
    this.#store = store;
    this.#clock = clock;
    this.#turns = turns;
  }

  /** See `CoreApi.register`. */
  async register({ nodeId, name, engine, capacity }: NodeRegistration): Promise<Node> {
    return this.#turns.take(nodeId, () =>
      retryConflicts(async () => {
        const nowMs = this.#clock.nowMs();
        // The node first: whatever changes its containers after that makes this commit a conflict.
        const before = await this.#store.get('node', nodeId);
        const living = (await listAll(this.#store, 'container', { nodeId })).filter(isLiving);
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
          eventOperation(
            { type: 'node.up', appId: null, containerId: null, reason, figures: capacity },
            nowMs,
            nodeId,
          ),
        ]);
        return { ...fresh, reserved };
      }),
    );
  }

  /** See `CoreApi.resize`. */
  async resize(containerId: string, resources: Resources): Promise<void> {
    const { nodeId } = await this.#living(containerId);
    await this.#turns.take(nodeId, () => retryConflicts(() => this.#resizeOnce(containerId, resources)));
  }

  async #resizeOnce(containerId: string, resources: Resources): Promise<void> {
    const { nodeId, generation, resources: has } = await this.#living(containerId);
    if (sameResources(has, resources)) return;
    const node = await this.#store.get('node', nodeId);
    if (!node) throw new PlatformError('not_found', `node ${nodeId} is not registered`);
    const growth = { cpu: resources.cpu - has.cpu, memoryBytes: resources.memoryBytes - has.memoryBytes };
    if (!growsWithin(node, growth)) {
      throw new PlatformError(
        'no_capacity',
        `node ${node.name} has no room for ${sizeText(resources)} in place of ${sizeText(has)} (${reservedText(node)})`,
        { hint: 'stop other apps, ask for less, or give the node more capacity', retryAfterMs: 5_000 },
      );
    }
    await this.#store.commit([
      { op: 'update', kind: 'container', id: containerId, ifGeneration: generation, set: { resources } },
      {
        op: 'update',
        kind: 'node',
        id: nodeId,
        ifGeneration: node.generation,
        set: { reserved: reserve(node, growth, 1) },
      },
    ]);
  }

  async #living(containerId: string): Promise<Container> {
    const container = await this.#store.get('container', containerId);
    if (!container) throw new PlatformError('not_found', `container ${containerId} does not exist`);
    if (isLiving(container)) return container;
    const message = `container ${containerId} is ${container.state}: its size is of no consequence`;
    throw new PlatformError('invalid_transition', message);
  }
}
