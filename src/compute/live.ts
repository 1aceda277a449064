import type { Container } from '../cmdb/records.ts';

/**
 * Where a container is on this node, at this moment. Finer than the recorded state: `pausing` and `waking` last as long as
 * the engine's call does, `ending` is a drain or a stop under way, `ended` waits for its remains to be removed.
 */
export type LiveState = 'starting' | 'ready' | 'pausing' | 'paused' | 'waking' | 'ending' | 'ended';

/** A container this node is responsible for. */
export class Live {
  readonly container: Container;
  /** Ends a start that is under way; its reason is what the start fails with. */
  readonly abort = new AbortController();
  state: LiveState;
  address: Container['address'];
  /** As far as known here; the data planes know better and are asked before anything is done about it. */
  lastActiveAtMs: number;
  /** When it became ready; null before. */
  readyAtMs: number | null = null;
  /** Attempts to replace it that failed, and the time before which there is no further one. */
  failedReplacements = 0;
  replaceNotBeforeMs = 0;
  /** A look whether it still serves, under way. */
  suspicion: Promise<void> | undefined;
  /** Its end, under way: first told, then done. */
  told: Promise<void> | undefined;
  gone: Promise<void> | undefined;
  /** The removal of its remains, under way. */
  removal: Promise<void> | undefined;

  constructor(container: Container, state: LiveState, nowMs: number) {
    this.container = container;
    this.state = state;
    this.address = container.address;
    this.lastActiveAtMs = nowMs;
  }

  get id(): string {
    return this.container.id;
  }
}
