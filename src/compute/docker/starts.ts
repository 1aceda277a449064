/**
 * A start: take a sandbox whose address is known, create, start. Everything else is what to do when that fails, for a
 * start that rejects leaves nothing behind: not even when the engine goes away in the middle of it and cannot say how far
 * it had come.
 */
import type { Clock } from '../../clock.ts';
import { PlatformError, isPlatformError } from '../../errors.ts';
import type { StartSpec, Started } from '../engine.ts';
import { isFailure } from './api.ts';
import type { DockerApi } from './api.ts';
import { createBody, imageOf } from './container-spec.ts';
import { notFound } from './images.ts';
import { ofContainer, ofNode } from './labels.ts';
import type { Life, Lives } from './lives.ts';
import type { Occupancy } from './occupancy.ts';
import type { Sandbox, SandboxPool } from './sandbox-pool.ts';
import type { Sandboxes } from './sandboxes.ts';
import type { WayToNeeds } from './way-to-needs.ts';

export interface StartsOptions {
  readonly api: DockerApi;
  readonly nodeId: string;
  readonly clock: Clock;
  readonly sandboxes: Sandboxes;
  readonly pool: SandboxPool;
  readonly occupancy: Occupancy;
  readonly lives: Lives;
  /** Undefined: containers have no way to the apps that they need. */
  readonly way: WayToNeeds | undefined;
  /** How many CPUs the engine has. */
  readonly cores: () => number;
  /** It was started, and has ended before the engine said so. */
  readonly onEnded: (life: Life) => void;
  readonly onError: (error: unknown) => void;
}

interface Attempt {
  readonly spec: StartSpec;
  readonly signal: AbortSignal;
  /** When a network began to be looked for (monotonic): that is part of what creating takes. */
  readonly beganMs: number;
}

export class Starts {
  readonly #options: StartsOptions;
  /**
   * Starts whose outcome the engine could not tell, by container id, with their sandbox. A start gets here only with a
   * sandbox in hand, which an engine that is away does not give: so there are never more than starts that were under way.
   */
  readonly #doubtful = new Map<string, Sandbox>();
  #settling: Promise<void> | undefined;

  constructor(options: StartsOptions) {
    this.#options = options;
  }

  /** See `Engine.start`. */
  async start(spec: StartSpec, signal: AbortSignal): Promise<Started> {
    const { pool, sandboxes, lives, clock } = this.#options;
    signal.throwIfAborted();
    imageOf(spec.workload);
    if (lives.get(spec.containerId))
      throw new PlatformError('start_failed', `there is a container ${spec.containerId} already`);
    const beganMs = clock.monotonicMs();
    const sandbox = await pool.take();
    try {
      return await this.#startIn(sandbox, { spec, signal, beganMs });
    } catch (thrown) {
      // A sandbox may have died without our knowing yet: that is no fault of the app, which gets a new one, once.
      if (!isPlatformError(thrown, 'start_failed') || (await sandboxes.runs(sandbox))) throw thrown;
      return await this.#startIn(await sandboxes.make(), { spec, signal, beganMs });
    } finally {
      if (this.#doubtful.size > 0) this.settle().catch(this.#options.onError);
    }
  }

  /** Removes what doubtful starts may have left. Errors: `engine_unavailable`. */
  settle(): Promise<void> {
    this.#settling ??= this.#settle().finally(() => (this.#settling = undefined));
    return this.#settling;
  }

  async #settle(): Promise<void> {
    const { api, nodeId, sandboxes, pool } = this.#options;
    for (const [containerId, sandbox] of this.#doubtful) {
      for (const { Id } of await api.list(ofNode(nodeId), ofContainer(containerId)))
        await sandboxes.removeContainer(Id);
      this.#doubtful.delete(containerId);
      pool.retire(sandbox);
    }
  }

  async #startIn(sandbox: Sandbox, { spec, signal, beganMs }: Attempt): Promise<Started> {
    const { api, nodeId, clock, pool, occupancy, lives, cores, onEnded } = this.#options;
    const { containerId } = spec;
    let engineId: string;
    try {
      const way = this.#options.way?.lay(spec, sandbox);
      engineId = await api.create(createBody(nodeId, spec, sandbox.id, way, cores()));
    } catch (thrown) {
      if (isFailure(thrown)) pool.retire(sandbox);
      else this.#doubtful.set(containerId, sandbox);
      await this.#removeWay(containerId);
      throw startError(spec, thrown);
    }
    const createdMs = clock.monotonicMs();
    const life = lives.starting(containerId, engineId);
    occupancy.hold(containerId, sandbox);
    try {
      signal.throwIfAborted();
      await api.start(engineId);
      signal.throwIfAborted();
      if (life.state === 'ending')
        throw new PlatformError('start_failed', `${containerId} was stopped while it started`);
    } catch (thrown) {
      lives.forget(life);
      await this.#undo(containerId, engineId);
      throw startError(spec, thrown);
    }
    const startedMs = clock.monotonicMs();
    if (lives.started(life)) onEnded(life);
    return {
      address: { host: sandbox.host, port: spec.port },
      createMs: createdMs - beganMs,
      startMs: startedMs - createdMs,
    };
  }

  /** Removes what a failed start has left; if the engine is away, once it is back. */
  async #undo(containerId: string, engineId: string): Promise<void> {
    const { sandboxes, occupancy, onError } = this.#options;
    await this.#removeWay(containerId);
    try {
      await sandboxes.removeContainer(engineId);
      occupancy.release(containerId);
    } catch (error) {
      onError(error);
      const sandbox = occupancy.evict(containerId);
      if (sandbox) this.#doubtful.set(containerId, sandbox);
    }
  }

  async #removeWay(containerId: string): Promise<void> {
    await this.#options.way?.remove(containerId).catch(this.#options.onError);
  }
}

function startError(spec: StartSpec, thrown: unknown): unknown {
  if (!isFailure(thrown)) return thrown;
  if (isFailure(thrown, 404) && /no such image/i.test(thrown.message))
    return notFound(imageOf(spec.workload).image, thrown.message, thrown);
  return new PlatformError('start_failed', `Docker cannot start ${spec.containerId}: ${thrown.message}`, {
    cause: thrown,
  });
}
