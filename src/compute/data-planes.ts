/** All data planes of this machine, spoken to as one. */
import type { ControlPlane, DataPlane, DrainOptions, DrainResult, Endpoint } from '../proxy/control-plane.ts';

type Invalidation = Parameters<DataPlane['invalidate']>[0];

export class DataPlanes {
  /** Each with the promise that it has gone: a data plane that is away has nothing in flight. */
  readonly #planes = new Map<DataPlane, { gone: Promise<DrainResult>; leave: () => void }>();
  readonly #published = new Map<string, readonly Endpoint[]>();

  attach: ControlPlane['attach'] = (plane) => {
    const { promise, resolve } = Promise.withResolvers<DrainResult>();
    this.#planes.set(plane, { gone: promise, leave: () => resolve({ drained: true }) });
    for (const [appId, endpoints] of this.#published) plane.endpoints(appId, endpoints);
    return () => {
      this.#planes.get(plane)?.leave();
      this.#planes.delete(plane);
    };
  };

  publish(appId: string, endpoints: readonly Endpoint[]): void {
    if (endpoints.length > 0) this.#published.set(appId, endpoints);
    else this.#published.delete(appId);
    for (const plane of this.#planes.keys()) plane.endpoints(appId, endpoints);
  }

  /**
   * Drained when all are. If one was busy, others may have let go of the endpoint already: publish it again then.
   * A data plane that joins meanwhile does not hear of the container.
   */
  async drain(containerId: string, options: DrainOptions = {}): Promise<DrainResult> {
    this.#withhold(containerId);
    const results = await Promise.all(
      [...this.#planes].map(([plane, { gone }]) => Promise.race([plane.drain(containerId, options), gone])),
    );
    let lastActiveAtMs = -Infinity;
    for (const result of results) {
      if (!result.drained) lastActiveAtMs = Math.max(lastActiveAtMs, result.lastActiveAtMs);
    }
    return lastActiveAtMs === -Infinity ? { drained: true } : { drained: false, lastActiveAtMs };
  }

  /** When a request was last in flight on it, epoch ms; -Infinity where no data plane has heard of it. It stays in use. */
  async lastActiveAtMs(containerId: string): Promise<number> {
    // Nothing has been idle since before time began: so this drains nobody, and the answer says since when it is idle.
    const results = await Promise.all(
      [...this.#planes].map(([plane, { gone }]) =>
        Promise.race([plane.drain(containerId, { onlyIfIdleSinceMs: -1 }), gone]),
      ),
    );
    return Math.max(
      -Infinity,
      ...results.map((result) => (result.drained ? -Infinity : result.lastActiveAtMs)),
    );
  }

  #withhold(containerId: string): void {
    for (const [appId, endpoints] of this.#published) {
      const others = endpoints.filter((endpoint) => endpoint.containerId !== containerId);
      if (others.length === 0) this.#published.delete(appId);
      else if (others.length < endpoints.length) this.#published.set(appId, others);
    }
  }

  abort(containerId: string): void {
    for (const plane of this.#planes.keys()) plane.abort(containerId);
  }

  invalidate(change: Invalidation): void {
    for (const plane of this.#planes.keys()) plane.invalidate(change);
  }
}
