/**
 * A worker's half of sharing out concurrency limits (slot-ledger.ts is the other): the tokens it has for each container, and
 * those it owes. A request in flight occupies a token; what is not occupied is idle, and is what can be given back.
 */
import type { Endpoint } from '../control-plane.ts';
import type { SharedSlots, SlotShares } from '../slot-shares.ts';

export interface PurseOptions {
  /** Gives tokens back. */
  readonly give: (containerId: string, tokens: number) => void;
  /** Asks for so many tokens for any container of the app. */
  readonly want: (appId: string, tokens: number) => void;
}

interface Held {
  readonly appId: string;
  readonly containerId: string;
  tokens: number;
  /** To be given back as soon as they are idle. */
  owed: number;
  /** Up to so many, requests of this worker go before what is owed. */
  floor: number;
  /** Whether requests may be sent there; all tokens are owed otherwise. */
  named: boolean;
}

export class SlotPurse implements SlotShares {
  readonly #options: PurseOptions;
  readonly #held = new Map<string, Held>();
  readonly #apps = new Map<string, Set<Held>>();
  /** Asked for, and nothing has come yet. */
  readonly #wanted = new Map<string, number>();
  #slots: SharedSlots | undefined;

  constructor(options: PurseOptions) {
    this.#options = options;
  }

  /** Containers that it has tokens for, or may send requests to. */
  get size(): number {
    return this.#held.size;
  }

  join(slots: SharedSlots): void {
    this.#slots = slots;
  }

  /** The endpoint, with this worker's part of its limit. */
  shareOf(endpoint: Endpoint): Endpoint {
    const held = this.#held.get(endpoint.containerId);
    return { ...endpoint, concurrencyLimit: held === undefined ? 0 : slotsOf(held) };
  }

  /** These, and only these, are the app's containers. To be called before the dispatcher hears of it. */
  name(appId: string, endpoints: readonly Endpoint[]): void {
    this.#wanted.delete(appId);
    const named = new Set(endpoints.map(({ containerId }) => containerId));
    for (const held of [...(this.#apps.get(appId) ?? [])])
      if (!named.has(held.containerId)) this.#letGo(held);
    for (const containerId of named) {
      const held = this.#of(appId, containerId);
      if (!held.named) held.owed = 0;
      held.named = true;
    }
  }

  /** The dispatcher has heard of the app's containers: what is owed for them is paid from now on. */
  watch(appId: string): void {
    for (const held of this.#apps.get(appId) ?? []) if (held.owed > 0) this.#apply(held);
  }

  /** Tokens for a container that is named, or is about to be. */
  grant(appId: string, containerId: string, tokens: number): void {
    const held = this.#of(appId, containerId);
    held.tokens += tokens;
    // Whoever is granted some is not to give as many back: both would leave them idle on their way.
    held.owed = Math.max(0, held.owed - tokens);
    this.#wanted.delete(appId);
    this.#apply(held);
  }

  recall(containerId: string, tokens: number, floor: number): void {
    const held = this.#held.get(containerId);
    if (held?.named !== true) return; // all of it goes back anyway
    // What it does not have any more is on its way back.
    held.owed = Math.min(tokens, held.tokens);
    held.floor = floor;
    this.#pay(held);
    this.#apply(held);
  }

  // ---- what the dispatcher says

  short(appId: string, waiting: number): void {
    if (waiting <= (this.#wanted.get(appId) ?? 0)) return;
    this.#wanted.set(appId, waiting);
    this.#options.want(appId, waiting);
  }

  freed(containerId: string): void {
    const held = this.#held.get(containerId);
    if (held !== undefined && this.#pay(held)) this.#apply(held);
  }

  #of(appId: string, containerId: string): Held {
    let held = this.#held.get(containerId);
    if (held === undefined) {
      held = { appId, containerId, tokens: 0, owed: 0, floor: 0, named: false };
      this.#held.set(containerId, held);
      const others = this.#apps.get(appId);
      if (others === undefined) this.#apps.set(appId, new Set([held]));
      else others.add(held);
    }
    return held;
  }

  /** No request is sent there any more: all its tokens go back, those in use when they are idle. */
  #letGo(held: Held): void {
    held.named = false;
    held.owed = held.tokens;
    this.#apply(held);
    this.#pay(held);
    this.#forgetIfDone(held);
  }

  /** Gives back what is owed and idle; whether that was anything. */
  #pay(held: Held): boolean {
    const idle = held.tokens - (this.#slots?.inFlight(held.containerId) ?? 0);
    const tokens = Math.min(held.owed, idle);
    if (tokens <= 0) return false;
    held.tokens -= tokens;
    held.owed -= tokens;
    this.#options.give(held.containerId, tokens);
    this.#forgetIfDone(held);
    return true;
  }

  #forgetIfDone(held: Held): void {
    if (held.named || held.tokens > 0) return;
    this.#held.delete(held.containerId);
    const others = this.#apps.get(held.appId);
    if (others?.delete(held) === true && others.size === 0) this.#apps.delete(held.appId);
  }

  #apply(held: Held): void {
    this.#slots?.setSlots(held.containerId, { slots: slotsOf(held), watched: held.owed > 0 });
  }
}

function slotsOf({ tokens, owed, floor, named }: Held): number {
  return named ? Math.max(Math.min(tokens, floor), tokens - owed) : 0;
}
