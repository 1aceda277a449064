/**
 * Removes what the engine was asked for and nobody wants any more: it was asked to create or to remove something, has not
 * answered in time, or has refused, and may do it all the same, whenever that is. What has been given up is not searched for: it
 * is looked at what there is. Whatever carries the node's label, and is neither known nor the remains of a container
 * that has ended, goes.
 *
 * It is looked when there is a doubt: something was given up, the engine tells of a container that nobody waits for, or its
 * events were not heard for a while. A look that the engine refuses, or after which something is left, is taken again,
 * by one timer for all. With no doubt there is none.
 */
import type { Clock } from '../../clock.ts';
import type { ContainerRow, DockerApi, DockerEvent } from './api.ts';
import { isFailure } from './api.ts';
import { statusOf } from './describe.ts';
import { LABEL, ofNode } from './labels.ts';
import type { Lives } from './lives.ts';
import type { Sandbox } from './sandbox-pool.ts';
import type { Sandboxes } from './sandboxes.ts';

export interface SweepOptions {
  readonly api: DockerApi;
  readonly nodeId: string;
  readonly clock: Clock;
  readonly sandboxes: Sandboxes;
  readonly lives: Lives;
  /** A container of that id (the platform's) is being started: what carries it is wanted still. */
  readonly isStarting: (containerId: string) => boolean;
  readonly onError: (error: unknown) => void;
}

const FIRST_RETRY_MS = 1_000;
const MAX_RETRY_MS = 30_000;
/** Removals under way at once: one that hangs does not keep the others. */
const REMOVE_AT_ONCE = 8;

export class Sweep {
  readonly #options: SweepOptions;
  /**
   * Containers whose start was given up, of which even the remains are to go. Each had a sandbox, which an engine that is away
   * does not give, and the first look that the engine answers forgets those that are gone: so they are never more than the
   * starts that were under way when it went away, and the containers that it cannot remove.
   */
  readonly #givenUp = new Set<string>();
  /** How often there was a doubt: a look answers only those that came before it. */
  #doubts = 0;
  #answered = 0;
  #looking: Promise<void> | undefined;
  #retryMs = FIRST_RETRY_MS;
  #cancelRetry: (() => void) | undefined;
  /** Until all that an earlier process left running is known, nothing can be told to be unknown. */
  #begun = false;
  #closed = false;

  constructor(options: SweepOptions) {
    this.#options = options;
  }

  /** What an earlier process left is known now. Before that nothing is removed. */
  begin(): void {
    this.#begun = true;
  }

  /** Nothing of this start is to be left, nor the sandbox it had; neither is known from here on. */
  giveUp(containerId: string, sandbox: Sandbox | undefined): void {
    this.#givenUp.add(containerId);
    if (sandbox) this.#options.sandboxes.disown(sandbox);
    this.doubt();
  }

  /** Something may be there that nobody wants. */
  doubt(): void {
    this.#doubts++;
    this.#retryMs = FIRST_RETRY_MS;
    // Whoever closes has a last look himself.
    if (this.#begun && !this.#closed) void this.#look();
  }

  /** A `create` event: of something that is wanted, or of something that was given up before it was there. */
  created({ Actor: { ID, Attributes } }: DockerEvent): void {
    if (!this.#knows(ID, Attributes[LABEL.container], [Attributes.name ?? ''])) this.doubt();
  }

  /** Resolves when the look under way has been taken, if there is one, whatever came of it. */
  async looked(): Promise<void> {
    await this.#looking;
  }

  /** Has a last look, if one is due. */
  async close(): Promise<void> {
    this.#closed = true;
    await this.#looking;
    if (this.#isDue) await this.#look();
  }

  get #isDue(): boolean {
    return this.#begun && this.#answered < this.#doubts;
  }

  #look(): Promise<void> {
    this.#cancelRetry?.();
    this.#cancelRetry = undefined;
    this.#looking ??= this.#take().finally(() => {
      this.#looking = undefined;
      if (this.#isDue && !this.#closed) this.#lookLater();
    });
    return this.#looking;
  }

  #lookLater(): void {
    this.#cancelRetry = this.#options.clock.after(this.#retryMs, () => void this.#look());
    this.#retryMs = Math.min(MAX_RETRY_MS, this.#retryMs * 2);
  }

  async #take(): Promise<void> {
    const { api, nodeId, onError } = this.#options;
    const doubts = this.#doubts;
    const givenUp = new Set(this.#givenUp);
    try {
      const rows = await api.list(ofNode(nodeId));
      const left = await this.#clear(rows);
      for (const containerId of givenUp) if (!left.has(containerId)) this.#givenUp.delete(containerId);
      if (left.size === 0) this.#answered = doubts;
    } catch (error) {
      onError(error);
    }
  }

  /** Removes those that nobody wants. Returns what is left of them: the containers' ids, else the engine's. */
  async #clear(rows: readonly ContainerRow[]): Promise<Set<string>> {
    const left = new Set<string>();
    const queue = [...rows];
    const next = async () => {
      for (let row = queue.pop(); row !== undefined; row = queue.pop()) {
        try {
          await this.#clearOne(row);
        } catch (error) {
          this.#options.onError(error);
          left.add(row.Labels[LABEL.container] ?? row.Id);
        }
      }
    };
    await Promise.all(Array.from({ length: REMOVE_AT_ONCE }, next));
    return left;
  }

  async #clearOne(row: ContainerRow): Promise<void> {
    const { Id, Labels, Names } = row;
    const containerId = Labels[LABEL.container];
    const names = Names.map((name) => name.replace(/^\//, ''));
    if (this.#knows(Id, containerId, names)) return;
    const mayStay = containerId !== undefined && !this.#givenUp.has(containerId);
    if (mayStay && (await this.#hasEnded(row))) return;
    await this.#options.sandboxes.removeContainer(Id);
  }

  #knows(engineId: string, containerId: string | undefined, names: readonly string[]): boolean {
    const { sandboxes, lives, isStarting } = this.#options;
    if (containerId === undefined) return sandboxes.knows(engineId, names);
    return isStarting(containerId) || lives.get(containerId)?.engineId === engineId;
  }

  /**
   * Asked again of one that the list, which may be older than its end, says not to have ended. What is not known never
   * becomes so again: if it has not ended now, it is nobody's.
   */
  async #hasEnded({ Id, State }: ContainerRow): Promise<boolean> {
    if (statusOf(State) === 'exited') return true;
    try {
      return statusOf((await this.#options.api.inspect(Id)).State.Status) === 'exited';
    } catch (thrown) {
      if (isFailure(thrown, 404)) return true;
      throw thrown;
    }
  }
}
