/**
 * Which containers live, and which of their ends are news. An end is news when nobody asked for it: not while the
 * container is being stopped or removed, and not of a start that fails, which its caller hears of anyway.
 *
 * Both the event stream and the comparison after a break report ends, so the same one may be reported twice, or late,
 * when the id is in use again: an end counts once, and only for the engine's own id of that very container.
 */
export interface Life {
  readonly containerId: string;
  /** The engine's id. */
  readonly engineId: string;
  state: 'starting' | 'live' | 'ending';
  /** It was told to; nobody sends it anything. */
  isToBePaused: boolean;
  /** It ended while it was still starting. */
  ended: boolean;
  /** As the engine reported it; null while unknown. */
  exitCode: number | null;
  outOfMemory: boolean;
}

export class Lives {
  readonly #byContainer = new Map<string, Life>();

  /** Containers that are taken to run. */
  live(): Life[] {
    return [...this.#byContainer.values()].filter(({ state }) => state === 'live');
  }

  get(containerId: string): Life | undefined {
    return this.#byContainer.get(containerId);
  }

  /** Created, about to be started. */
  starting(containerId: string, engineId: string): Life {
    const life: Life = {
      containerId,
      engineId,
      state: 'starting',
      isToBePaused: false,
      ended: false,
      exitCode: null,
      outOfMemory: false,
    };
    this.#byContainer.set(containerId, life);
    return life;
  }

  /** It runs. True when it has ended already: that end is news now. */
  started(life: Life): boolean {
    if (life.state === 'starting') life.state = 'live';
    if (life.state !== 'live' || !life.ended) return false;
    this.forget(life);
    return true;
  }

  /** Found running, or paused, started by an earlier process. */
  adopt(containerId: string, engineId: string, isPaused = false): void {
    if (this.#byContainer.has(containerId)) return;
    const life = this.starting(containerId, engineId);
    life.state = 'live';
    life.isToBePaused = isPaused;
  }

  /** Whether the engine's container, which is paused, is one that should serve. */
  isPausedInVain(containerId: string, engineId: string): boolean {
    const life = this.#byContainer.get(containerId);
    return life?.engineId === engineId && life.state === 'live' && !life.isToBePaused;
  }

  /** Somebody wants it to end: its end is no news. */
  ending(containerId: string): Life | undefined {
    const life = this.#byContainer.get(containerId);
    if (life) life.state = 'ending';
    return life;
  }

  /** It could not be ended after all. */
  endingFailed(life: Life | undefined): void {
    if (life?.state === 'ending') life.state = 'live';
  }

  /** Its kernel killed something of it for want of memory; its end may follow. */
  ranOutOfMemory(containerId: string, engineId: string): void {
    const life = this.#byContainer.get(containerId);
    if (life?.engineId === engineId) life.outOfMemory = true;
  }

  /** It has ended. Returns the life when that is news. */
  ended(containerId: string, engineId: string, exitCode: number | null): Life | undefined {
    const life = this.#byContainer.get(containerId);
    if (life?.engineId !== engineId) return undefined;
    life.ended = true;
    life.exitCode = exitCode;
    if (life.state !== 'live') return undefined;
    this.forget(life);
    return life;
  }

  forget(life: Life | undefined): void {
    if (life && this.#byContainer.get(life.containerId) === life) this.#byContainer.delete(life.containerId);
  }
}
