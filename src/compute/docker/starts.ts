/**
 * A start: take a sandbox whose address is known, create, start. Everything else is what to do when that fails, for a
 * start that rejects leaves nothing behind: not even when the engine goes away in the middle of it and cannot say how far
 * it had come.
 */
import type { Clock } from '../../clock.ts';
import { PlatformError, isPlatformError } from '../../errors.ts';
import type { StartSpec, Started } from '../engine.ts';
import { isFailure } from './api.ts';
import type { CreateBody, DockerApi } from './api.ts';
import { createBody, imageOf } from './container-spec.ts';
import { notFound } from './images.ts';
import { ofContainer, ofNode } from './labels.ts';
import type { Life, Lives } from './lives.ts';
import type { Occupancy } from './occupancy.ts';
import type { Sandbox, SandboxPool } from './sandbox-pool.ts';
import type { Sandboxes } from './sandboxes.ts';
import type { Sweep } from './sweep.ts';
import type { WayToNeeds } from './way-to-needs.ts';

export interface StartsOptions {
  readonly api: DockerApi;
  readonly nodeId: string;
  readonly clock: Clock;
  readonly sandboxes: Sandboxes;
  readonly pool: SandboxPool;
  readonly occupancy: Occupancy;
  readonly lives: Lives;
  readonly sweep: Sweep;
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
  /** Sandboxes in which something of it may be left, or may yet come. */
  readonly doubtful: Sandbox[];
}

export class Starts {
  readonly #options: StartsOptions;
  /** Containers that are being started, by the platform's id. */
  readonly #underWay = new Set<string>();

  constructor(options: StartsOptions) {
    this.#options = options;
  }

  /** Whether the engine may have a container of that id that is wanted, and that nobody knows yet. */
  isUnderWay(containerId: string): boolean {
    return this.#underWay.has(containerId);
  }

  /** See `Engine.start`. */
  async start(spec: StartSpec, signal: AbortSignal): Promise<Started> {
    const { lives, clock, sweep } = this.#options;
    const { containerId } = spec;
    signal.throwIfAborted();
    imageOf(spec.workload);
    if (lives.get(containerId))
      throw new PlatformError('start_failed', `there is a container ${containerId} already`);
    const doubtful: Sandbox[] = [];
    this.#underWay.add(containerId);
    try {
      return await this.#attempt({ spec, signal, beganMs: clock.monotonicMs(), doubtful });
    } finally {
      this.#underWay.delete(containerId);
      for (const sandbox of doubtful) sweep.giveUp(containerId, sandbox);
    }
  }

  async #attempt(attempt: Attempt): Promise<Started> {
    const { pool, sandboxes } = this.#options;
    const sandbox = await pool.take();
    try {
      return await this.#startIn(sandbox, attempt);
    } catch (thrown) {
      // A sandbox may have died without our knowing yet: that is no fault of the app, which gets a new one, once.
      if (!isPlatformError(thrown, 'start_failed') || (await sandboxes.runs(sandbox))) throw thrown;
      return await this.#startIn(await sandboxes.make(), attempt);
    }
  }

  async #startIn(sandbox: Sandbox, { spec, signal, beganMs, doubtful }: Attempt): Promise<Started> {
    const { api, nodeId, clock, pool, occupancy, lives, cores, onEnded } = this.#options;
    const { containerId } = spec;
    let engineId: string;
    try {
      const way = this.#options.way?.lay(spec, sandbox);
      engineId = await this.#create(containerId, createBody(nodeId, spec, sandbox.id, way, cores()));
    } catch (thrown) {
      if (isFailure(thrown)) pool.retire(sandbox);
      else doubtful.push(sandbox);
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
      if (!(await this.#undone(containerId, engineId))) doubtful.push(sandbox);
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

  /** What an earlier start of it that was given up has left has its name, and goes. */
  async #create(containerId: string, body: CreateBody): Promise<string> {
    const { api, nodeId, sandboxes } = this.#options;
    try {
      return await api.create(body);
    } catch (thrown) {
      if (!isFailure(thrown, 409)) throw thrown;
      for (const { Id } of await api.list(ofNode(nodeId), ofContainer(containerId)))
        await sandboxes.removeContainer(Id);
      return await api.create(body);
    }
  }

  /** Removes what a failed start has left. False where the engine does not; the sandbox is the caller's then. */
  async #undone(containerId: string, engineId: string): Promise<boolean> {
    const { sandboxes, occupancy, onError } = this.#options;
    await this.#removeWay(containerId);
    try {
      await sandboxes.removeContainer(engineId);
      occupancy.release(containerId);
      return true;
    } catch (error) {
      onError(error);
      occupancy.evict(containerId);
      return false;
    }
  }

  async #removeWay(containerId: string): Promise<void> {
    await this.#options.way?.remove(containerId).catch(this.#options.onError);
  }
}

function startError(spec: StartSpec, thrown: unknown): unknown {
  if (!isFailure(thrown)) return thrown;
  if (isFailure(thrown, 404) && /no such image/i.test(thrown.message))
    return notFound(imageOf(spec.workload).image, thrown.message, { cause: thrown });
  return new PlatformError('start_failed', `Docker cannot start ${spec.containerId}: ${thrown.message}`, {
    cause: thrown,
  });
}
