/**
 * The control process's half of sharing out concurrency limits. A container's limit is so many tokens, and each of them is
 * in one place: free here, with one worker, or on its way. A request to the container needs a token of its worker, so
 * there are never more requests than tokens, whatever the number of workers.
 *
 * Each worker gets an equal share as soon as it hears of the container, rounded down; the rest stays free. One that is
 * short asks for more: it gets what is free, and the others are asked to give back what they do not use, and of what they
 * use as much as is above their own equal share. Where the limit is smaller than the number of workers, that share is
 * nothing, so a token goes round among those who want it, first come first served.
 */
import type { Endpoint } from '../control-plane.ts';

/** A worker, as far as tokens are concerned. */
export interface Holder {
  /** Has so many tokens more. */
  grant(appId: string, containerId: string, tokens: number): void;
  /**
   * Is to give back so many: at once what is idle, and later what becomes idle. Requests of its own go first only while it
   * has no more than `floor`. Replaces what was asked before; 0 takes it back.
   */
  recall(containerId: string, tokens: number, floor: number): void;
}

interface Entry {
  readonly appId: string;
  readonly containerId: string;
  limit: number;
  /** Below zero after the limit was lowered, until as many have come back. */
  free: number;
  /** Whether requests may be sent there: nobody is granted anything else. */
  named: boolean;
  readonly held: Map<Holder, number>;
  readonly recalled: Map<Holder, Recall>;
}

interface Recall {
  /** Asked back and not come yet. */
  tokens: number;
  readonly floor: number;
}

interface App {
  readonly entries: Map<string, Entry>;
  /** How many tokens each is short of; who asked first is served first. */
  readonly wants: Map<Holder, number>;
}

export class SlotLedger {
  readonly #workers: number;
  readonly #apps = new Map<string, App>();
  readonly #entries = new Map<string, Entry>();
  readonly #holders = new Set<Holder>();

  /** `workers`: how many there are when all are there. */
  constructor(workers: number) {
    this.#workers = workers;
  }

  /** Containers it keeps account of: those in use, and those whose tokens are not all back. */
  get size(): number {
    return this.#entries.size;
  }

  join(holder: Holder): void {
    this.#holders.add(holder);
  }

  /** It has gone: what it had is free. */
  leave(holder: Holder): void {
    this.#holders.delete(holder);
    for (const [appId, app] of this.#apps) {
      app.wants.delete(holder);
      for (const entry of app.entries.values()) {
        entry.free += entry.held.get(holder) ?? 0;
        entry.held.delete(holder);
        entry.recalled.delete(holder);
      }
      this.#settle(appId, app);
    }
  }

  /** The holder is about to hear that these, and only these, are the app's containers; what it is granted comes first. */
  name(holder: Holder, appId: string, endpoints: readonly Endpoint[]): void {
    const app: App = this.#apps.get(appId) ?? { entries: new Map(), wants: new Map() };
    this.#apps.set(appId, app);
    app.wants.delete(holder); // if it is still short, it says so again
    const named = new Set(endpoints.map(({ containerId }) => containerId));
    for (const entry of app.entries.values()) if (!named.has(entry.containerId)) entry.named = false;
    for (const endpoint of endpoints) this.#share(holder, this.#entry(appId, app, endpoint));
    this.#settle(appId, app);
  }

  /** The holder has so many requests of the app waiting. */
  want(holder: Holder, appId: string, tokens: number): void {
    const app = this.#apps.get(appId);
    if (app === undefined) return; // its containers have gone, which it is about to hear
    app.wants.set(holder, tokens);
    this.#settle(appId, app);
  }

  /** The holder has given back so many. */
  given(holder: Holder, containerId: string, tokens: number): void {
    const entry = this.#entries.get(containerId);
    const app = entry === undefined ? undefined : this.#apps.get(entry.appId);
    if (entry === undefined || app === undefined || !this.#holders.has(holder)) return;
    entry.free += tokens;
    entry.held.set(holder, (entry.held.get(holder) ?? 0) - tokens);
    settleRecall(holder, entry, tokens);
    this.#settle(entry.appId, app);
  }

  #entry(appId: string, app: App, { containerId, concurrencyLimit }: Endpoint): Entry {
    let entry = app.entries.get(containerId);
    if (entry === undefined) {
      entry = {
        ...{ appId, containerId, limit: concurrencyLimit, free: concurrencyLimit, named: true },
        ...{ held: new Map(), recalled: new Map() },
      };
      app.entries.set(containerId, entry);
      this.#entries.set(containerId, entry);
    }
    if (!entry.named) entry.recalled.clear(); // who hears of it anew owes nothing
    entry.named = true;
    entry.free += concurrencyLimit - entry.limit;
    entry.limit = concurrencyLimit;
    return entry;
  }

  /** An equal share for the holder, as far as there are free ones that nobody waits for. */
  #share(holder: Holder, entry: Entry): void {
    const missing = this.#equalShare(entry) - (entry.held.get(holder) ?? 0);
    this.#grant(holder, entry, Math.min(missing, entry.free));
  }

  #equalShare({ limit }: Entry): number {
    return Math.floor(limit / Math.max(this.#workers, this.#holders.size));
  }

  #grant(holder: Holder, entry: Entry, tokens: number): void {
    if (tokens <= 0) return;
    entry.free -= tokens;
    entry.held.set(holder, (entry.held.get(holder) ?? 0) + tokens);
    settleRecall(holder, entry, tokens);
    holder.grant(entry.appId, entry.containerId, tokens);
  }

  /** What follows from any change: who waits is served, the others are asked, what is done with is forgotten. */
  #settle(appId: string, app: App): void {
    this.#serve(app);
    for (const entry of app.entries.values()) {
      if (entry.named) this.#recall(app, entry);
      else if (entry.free === entry.limit) {
        app.entries.delete(entry.containerId);
        this.#entries.delete(entry.containerId);
      }
    }
    if (app.entries.size === 0) this.#apps.delete(appId);
  }

  /** In turn, each a fair part of what is free. */
  #serve(app: App): void {
    for (const [holder, wanted] of app.wants) {
      const entry = mostFree(app);
      if (entry === undefined) return;
      const part = Math.max(1, Math.floor(entry.free / app.wants.size));
      // Who is alone in asking gets its equal share as well: it would only ask again.
      const alone = app.wants.size === 1 ? this.#equalShare(entry) - (entry.held.get(holder) ?? 0) : 0;
      const tokens = Math.min(entry.free, Math.max(alone, Math.min(wanted, part)));
      this.#grant(holder, entry, tokens);
      app.wants.delete(holder);
      if (wanted > tokens) app.wants.set(holder, wanted - tokens); // comes up again in this loop, after the others
    }
  }

  /**
   * What a holder may keep in use while others want more: its equal share, and a token more where the limit cannot be divided,
   * unless somebody has less than the share. Else that token would be on its way for ever.
   */
  #floor(app: App, entry: Entry): number {
    const share = this.#equalShare(entry);
    if (share === 0) return 0; // it goes round
    for (const holder of app.wants.keys()) if ((entry.held.get(holder) ?? 0) < share) return share;
    return share + 1;
  }

  /** Asks for what the others lack, and for what a lowered limit takes away. */
  #recall(app: App, entry: Entry): void {
    const lowered = Math.max(0, -entry.free);
    let wanted = 0;
    for (const tokens of app.wants.values()) wanted += tokens;
    const floor = lowered > 0 ? 0 : this.#floor(app, entry);
    for (const [holder, held] of entry.held) {
      const others = Math.ceil((wanted - (app.wants.get(holder) ?? 0)) / app.entries.size);
      const due = Math.min(held, Math.max(lowered, others));
      const asked = entry.recalled.get(holder) ?? { tokens: 0, floor };
      const isMore = due > asked.tokens || (due > 0 && floor < asked.floor);
      // Somewhat less than before makes no difference: what comes too much is given out again.
      if (!isMore && (due > 0 || asked.tokens === 0)) continue;
      entry.recalled.set(holder, { tokens: due, floor });
      holder.recall(entry.containerId, due, floor);
    }
  }
}

function mostFree(app: App): Entry | undefined {
  let best: Entry | undefined;
  for (const entry of app.entries.values()) if (entry.named && entry.free > (best?.free ?? 0)) best = entry;
  return best;
}

/** So many of what the holder was to give back are settled: it has given them, or it has been given as many. */
function settleRecall(holder: Holder, entry: Entry, tokens: number): void {
  const recall = entry.recalled.get(holder);
  if (recall !== undefined) recall.tokens = Math.max(0, recall.tokens - tokens);
}
