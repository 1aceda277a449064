/**
 * How often visitors wake an app: `perMinute` times at once, and once more every 60/perMinute seconds (the generic cell rate
 * algorithm: one number per app says when all of that has been earned back). Kept only for apps that were woken in the last
 * minute and have a limit: one that is not here may be woken.
 */

interface Account {
  readonly perMinute: number;
  /** When it may be woken as often as it ever may; epoch ms. */
  readonly fullAtMs: number;
}

const MINUTE_MS = 60_000;
/** Accounts that are full again are looked for when there are so many more than after the last time. */
const SWEEP_EVERY = 1_000;

export class WakeLimits {
  readonly #accounts = new Map<string, Account>();
  #sweepAt = SWEEP_EVERY;

  /** When visitors may wake the app; at most `nowMs` where they may now. Epoch ms. */
  notBeforeMs(appId: string): number {
    const account = this.#accounts.get(appId);
    return account === undefined ? 0 : account.fullAtMs - MINUTE_MS + MINUTE_MS / account.perMinute;
  }

  /** It was woken for visitors. `perMinute`: what its policy says of that; null: any number. */
  woken(appId: string, perMinute: number | null, nowMs: number): void {
    if (perMinute === null) {
      this.#accounts.delete(appId);
      return;
    }
    const fullAtMs = Math.max(nowMs, this.#accounts.get(appId)?.fullAtMs ?? 0) + MINUTE_MS / perMinute;
    this.#accounts.set(appId, { perMinute, fullAtMs });
    if (this.#accounts.size >= this.#sweepAt) this.#sweep(nowMs);
  }

  /** Its policy may be another. */
  forget(appId: string): void {
    this.#accounts.delete(appId);
  }

  #sweep(nowMs: number): void {
    for (const [appId, { fullAtMs }] of this.#accounts) if (fullAtMs <= nowMs) this.#accounts.delete(appId);
    this.#sweepAt = this.#accounts.size + SWEEP_EVERY;
  }
}
