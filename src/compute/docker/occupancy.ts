/**
 * Which container lives in which sandbox. A container holds one while it runs or is paused and not a moment longer: an app
 * that sleeps holds none.
 */
import type { Sandbox, SandboxPool } from './sandbox-pool.ts';

export class Occupancy {
  readonly #pool: SandboxPool;
  readonly #byContainer = new Map<string, Sandbox>();

  constructor(pool: SandboxPool) {
    this.#pool = pool;
  }

  of(containerId: string): Sandbox | undefined {
    return this.#byContainer.get(containerId);
  }

  /** The container that has this address at the moment. Bounded by the containers of this node, so no index is kept. */
  at(address: string): string | undefined {
    for (const [containerId, { host }] of this.#byContainer) if (host === address) return containerId;
    return undefined;
  }

  hold(containerId: string, sandbox: Sandbox): void {
    this.#byContainer.set(containerId, sandbox);
  }

  /** The container has ended or is gone: nothing of it is left in the sandbox. Idempotent. */
  release(containerId: string): void {
    const sandbox = this.#byContainer.get(containerId);
    if (sandbox && this.#byContainer.delete(containerId)) this.#pool.retire(sandbox);
  }

  /** Takes the sandbox from a container, which may still run in it: the caller sees to both. */
  evict(containerId: string): void {
    this.#byContainer.delete(containerId);
  }

  /** A sandbox does not run any more. Returns the container that lived in it and now has no network. */
  died(sandboxId: string): string | undefined {
    this.#pool.lost(sandboxId);
    for (const [containerId, { id }] of this.#byContainer) if (id === sandboxId) return containerId;
    return undefined;
  }
}
