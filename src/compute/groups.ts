/**
 * Which apps are kept awake on this node because another one needs them, and by whom. An app *keeps* what it needs from the
 * moment it is to be woken for it until the app sleeps itself: so nothing that it leans on is put to sleep meanwhile, and what
 * dies is started again.
 */
import type { NamedApp } from '../cmdb/records.ts';
import { PlatformError } from '../errors.ts';

/** Whoever asks for an app to be ready for a while tries again after this where nobody says better. */
const RETRY_AFTER_MS = 1_000;

export interface GroupsOptions {
  /** Makes the app ready. Errors: as `ControlPlane.activate`. */
  readonly activate: (appId: string) => Promise<unknown>;
  /** It is kept from now on, or no more. */
  readonly changed: (appId: string, isKept: boolean) => void;
}

export class Groups {
  readonly #options: GroupsOptions;
  /** By the app that keeps, and by the one that is kept. */
  readonly #keeps = new Map<string, Set<string>>();
  readonly #keepers = new Map<string, Set<string>>();
  /** What the waking of an app waits for at this moment. */
  readonly #waits = new Map<string, string>();

  constructor(options: GroupsOptions) {
    this.#options = options;
  }

  isKept(appId: string): boolean {
    return this.#keepers.has(appId);
  }

  /**
   * Keeps the app's needs and makes them ready, each before the next.
   * Errors: `need_failed`, which names the one that failed and why; those of a node that stops.
   */
  async wake(app: { readonly id: string; readonly name: string }, needs: readonly NamedApp[]): Promise<void> {
    for (const need of needs) {
      this.#keep(app.id, need.appId);
      try {
        await this.#activate(app.id, need.appId);
      } catch (thrown) {
        const { code, message, retryAfterMs = RETRY_AFTER_MS } = PlatformError.from(thrown);
        if (code === 'shutting_down') throw thrown;
        const why = `app ${app.name} needs ${need.name}, which is not ready: ${message} (${code})`;
        throw new PlatformError('need_failed', why, { cause: thrown, retryAfterMs });
      }
    }
  }

  /** The app keeps just these: all its needs while it is awake, and none when it sleeps. */
  settle(appId: string, needIds: readonly string[]): void {
    for (const needId of this.#keeps.get(appId) ?? [])
      if (!needIds.includes(needId)) this.#letGo(appId, needId);
    for (const needId of needIds) if (this.#keep(appId, needId)) this.#options.changed(needId, true);
  }

  /** Needs may be turned round while their apps are being woken: whoever would wait for himself then is told at once. */
  async #activate(appId: string, needId: string): Promise<void> {
    for (let next: string | undefined = needId; next !== undefined; next = this.#waits.get(next))
      if (next === appId) throw new PlatformError('conflict', 'its needs were changed at this moment');
    this.#waits.set(appId, needId);
    try {
      await this.#options.activate(needId);
    } finally {
      this.#waits.delete(appId);
    }
  }

  /** Whether nobody has kept it before. */
  #keep(appId: string, needId: string): boolean {
    const keepers = this.#keepers.get(needId) ?? new Set();
    const isFirst = keepers.size === 0;
    this.#keepers.set(needId, keepers.add(appId));
    this.#keeps.set(appId, (this.#keeps.get(appId) ?? new Set()).add(needId));
    return isFirst;
  }

  #letGo(appId: string, needId: string): void {
    const keeps = this.#keeps.get(appId);
    const keepers = this.#keepers.get(needId);
    keeps?.delete(needId);
    keepers?.delete(appId);
    if (keeps?.size === 0) this.#keeps.delete(appId);
    if (keepers?.size !== 0) return;
    this.#keepers.delete(needId);
    this.#options.changed(needId, false);
  }
}
