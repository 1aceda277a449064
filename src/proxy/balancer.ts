/**
 * Which of an app's containers takes the next request: the one with the least in flight that has a slot free. Among
 * equals the turn goes round, so that light traffic is shared as well.
 */

export interface Candidate {
  readonly hasSlot: boolean;
  readonly inFlight: { readonly size: number };
}

export class Balancer {
  #turn = 0;

  pick<C extends Candidate>(candidates: readonly C[]): C | undefined {
    const count = candidates.length;
    let best: C | undefined;
    let bestAt = 0;
    for (let step = 0; step < count; step++) {
      const at = (this.#turn + step) % count;
      const candidate = candidates[at];
      if (candidate?.hasSlot !== true) continue;
      if (best !== undefined && candidate.inFlight.size >= best.inFlight.size) continue;
      best = candidate;
      bestAt = at;
      if (candidate.inFlight.size === 0) break;
    }
    if (best !== undefined) this.#turn = (bestAt + 1) % count;
    return best;
  }
}
