/**
 * A container that uses up its CPU, period after period, lets the others of its node go first. It is still given all that is its own, a few
 * milliseconds later; and a visitor of another app is not kept waiting for a core on which its processes have just begun their turn (some
 * milliseconds, whatever their weights are). Should it not be given all of its CPU any more, it stops yielding, and does not
 * begin again for a while: nobody can starve it.
 */
import type { AppOnNode } from './app-on-node.ts';
import type { ContainerStats } from './engine.ts';
import type { Live } from './live.ts';

/** Five scheduling periods: a burst that is over by then is nobody's habit. */
const JUDGED_OVER_MS = 500;
/** Of the periods, those in which it used up what it had. */
const MOST = 0.5;
/** Nobody has asked for it any more for so long: it is to be quick when the next visitor comes. */
const SILENCE_MS = 1_000;
const REST_MS = 5_000;

export class Yielding {
  readonly #app: AppOnNode;
  /** What each had used when it was judged last. */
  readonly #judged = new WeakMap<Live, ContainerStats>();

  constructor(app: AppOnNode) {
    this.#app = app;
  }

  /** A container that serves has used so much by now. What follows from it begins at once, and is not waited for. */
  looked(live: Live, now: ContainerStats): void {
    const { engine } = this.#app.context;
    if (!engine.capabilities.liveUpdate) return;
    const before = this.#judged.get(live);
    if (before === undefined) this.#judged.set(live, now);
    else if (now.atMs - before.atMs >= JUDGED_OVER_MS) {
      this.#judged.set(live, now);
      this.#judge(live, before, now);
    }
    if (live.yields) this.#stopInSilence(live);
  }

  #judge(live: Live, before: ContainerStats, now: ContainerStats): void {
    const periods = (now.periods ?? 0) - (before.periods ?? 0);
    const usedUp = (now.throttledPeriods ?? 0) - (before.throttledPeriods ?? 0);
    if (usedUp < periods * MOST || usedUp === 0) this.#stop(live);
    else if (!live.yields && this.#app.context.clock.nowMs() >= live.yieldsNotBeforeMs) this.#begin(live);
  }

  #begin(live: Live): void {
    const { engine } = this.#app.context;
    // What it was lent for its start is not its habit.
    if (live.boost !== undefined) return;
    this.#change(live, async () => {
      await engine.yieldCpu(live.id);
      live.yields = true;
      // That may have been the last look.
      this.#stopInSilence(live);
    });
  }

  /** No look will come then, so what cannot be done at that moment is tried again. */
  #stopInSilence(live: Live): void {
    const { deadlines, clock } = this.#app.context;
    deadlines.set(`yielding ${live.id}`, clock.nowMs() + SILENCE_MS, () => {
      if (!live.yields || live.state !== 'ready') return;
      this.#stop(live);
      this.#stopInSilence(live);
    });
  }

  #stop(live: Live): void {
    if (!live.yields) return;
    const { engine, clock } = this.#app.context;
    this.#change(live, async () => {
      await engine.updateResources(live.id, live.resources);
      live.gotItsSize(clock.nowMs());
      live.yieldsNotBeforeMs = clock.nowMs() + REST_MS;
    });
  }

  /** One change of a container at a time; the next look comes to the same conclusion. */
  #change(live: Live, work: () => Promise<void>): void {
    const { changed, closing, context } = this.#app;
    if (live.resizing !== undefined || live.state !== 'ready' || closing.signal.aborted) return;
    live.resizing = work()
      .catch((thrown: unknown) => {
        if (live.isGoing || closing.signal.aborted) return;
        context.log.warn(
          { containerId: live.id, err: thrown },
          'a container could not be told to yield, or not to',
        );
      })
      .finally(() => {
        live.resizing = undefined;
        changed();
      });
  }
}
