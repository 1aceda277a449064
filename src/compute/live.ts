import type { Container, Resources } from '../cmdb/records.ts';
import type { PlatformError } from '../errors.ts';
import type { PhasesMs } from './start.ts';

/**
 * Where a container is on this node, at this moment. Finer than the recorded state: `pausing` lasts from the question
 * whether it is idle until it is frozen, `waking` as long as the engine's call does, `ending` is a drain or a stop under way,
 * `ended` waits for its remains to be removed.
 */
export type LiveState = 'starting' | 'ready' | 'pausing' | 'paused' | 'waking' | 'ending' | 'ended';

/** How a container came to be ready. */
export interface Awakening {
  readonly kind: 'started' | 'resumed';
  readonly phasesMs: PhasesMs;
  /** On the monotonic clock. */
  readonly atMs: number;
}

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
  /** How it became ready last, since this program began. */
  awakening: Awakening | undefined;
  /** What it has. */
  resources: Resources;
  /** CPU that it has on top of that for its start, in all, and until when (epoch ms; Infinity: it is not ready yet). */
  boost: { readonly cpu: number; readonly endsAtMs: number } | undefined;
  /** What it has been lent, and until when it was. */
  #boosted: { readonly cpu: number; readonly endedAtMs: number } | undefined;
  /** Whether the engine gives it just that; a change that was cut off leaves a doubt. */
  isSizeSure = true;
  /** It is being given another size. */
  resizing: Promise<void> | undefined;
  /** No further attempt before, epoch ms. */
  resizeNotBeforeMs = 0;
  /** Whether others go first where it and they want a CPU (yielding.ts); true as well where nobody knows. */
  yields = false;
  /** It does not begin to before, epoch ms. */
  yieldsNotBeforeMs = 0;
  /** The memory that it could not be given because it uses more, as was told last. */
  heldBackAtBytes: number | undefined;
  /** The one whose place it is to take. */
  succeeds: Live | undefined;
  /** Its start was ended because it is not wanted any more, which is no failure. */
  isCalledOff = false;
  /** It is being woken or put to rest; resolves with what went wrong. */
  change: Promise<PlatformError | undefined> | undefined;
  /** A look whether it still serves, under way. */
  suspicion: Promise<void> | undefined;
  /** The engine's part in that, which may take longer: whether it has ended. */
  inspection: Promise<boolean> | undefined;
  /** The first of the looks in a row at which it neither accepted nor refused a connection, on the monotonic clock. */
  silentSinceMs: number | undefined;
  /** Its end, under way: first told, then done. */
  told: Promise<void> | undefined;
  gone: Promise<void> | undefined;
  /** The removal of its remains, under way. */
  removal: Promise<void> | undefined;

  constructor(container: Container, state: LiveState, nowMs: number) {
    this.container = container;
    this.state = state;
    this.address = container.address;
    this.resources = container.resources;
    this.lastActiveAtMs = nowMs;
  }

  get id(): string {
    return this.container.id;
  }

  /** The engine was told what is its own: nothing is lent to it any more, and it does not yield. */
  gotItsSize(nowMs: number): void {
    if (this.boost) this.#boosted = { cpu: this.boost.cpu, endedAtMs: nowMs };
    this.boost = undefined;
    this.yields = false;
  }

  /** The CPU that it could use since then (epoch ms), in cores. */
  cpuSince(atMs: number): number {
    const ended = this.#boosted !== undefined && this.#boosted.endedAtMs > atMs ? this.#boosted.cpu : 0;
    return Math.max(this.resources.cpu, this.boost?.cpu ?? 0, ended);
  }

  /** Whether nothing else has happened to it while somebody waited. A getter in between would be narrowed away. */
  is(state: LiveState): boolean {
    return this.state === state;
  }

  /** It starts while the one whose place it is to take serves on. */
  get isSuccessor(): boolean {
    return this.succeeds !== undefined && !this.succeeds.isGoing;
  }

  /** It is on its way out, or gone. */
  get isGoing(): boolean {
    return this.state === 'ending' || this.state === 'ended';
  }
}
