/**
 * The containers of one app on one node: those that serve or sleep, those that start, and those on their way out.
 *
 * This part only ends things, which may happen at any moment and take long: nobody waits for a drain, a stop or a removal.
 * How many there are to be, and which, is the supervisor's.
 */
import type { Container } from '../cmdb/records.ts';
import { PlatformError } from '../errors.ts';
import type { Endpoint } from '../proxy/control-plane.ts';
import type { NodeContext } from './context.ts';
import { drain, remove, stop } from './ending.ts';
import { Live, type LiveState } from './live.ts';
import { lastLines } from './start.ts';

export interface CrewEvents {
  /** Something else may have to be done now. */
  readonly changed: () => void;
  /** A container serves no more, whatever the cause. */
  readonly released: (livedMs: number) => void;
  /** It died although it should have served. */
  readonly died: (live: Live, reason: string, livedMs: number) => void;
  /** One is forgotten. */
  readonly forgotten: () => void;
}

export interface RetireOptions {
  /** From SIGTERM to SIGKILL; the node's own unless told. */
  readonly graceMs?: number;
  /** `failed`: it goes because it does not do what it should. */
  readonly end?: 'stopped' | 'failed';
}

export class Crew {
  readonly #appId: string;
  readonly #context: NodeContext;
  readonly #events: CrewEvents;
  readonly #lives = new Map<string, Live>();
  readonly #giveUp = new AbortController();
  readonly #closing: AbortSignal;
  /** From the app's policy. */
  concurrencyLimit = 1;
  drainTimeoutMs = 0;
  /** The app is gone: remains are not kept. */
  deleted = false;

  /** `closing`: aborted when the node stops. */
  constructor(appId: string, context: NodeContext, events: CrewEvents, closing: AbortSignal) {
    this.#appId = appId;
    this.#context = context;
    this.#events = events;
    this.#closing = closing;
  }

  get size(): number {
    return this.#lives.size;
  }

  all(): Live[] {
    return [...this.#lives.values()];
  }

  get(containerId: string): Live | undefined {
    return this.#lives.get(containerId);
  }

  add(container: Container, state: LiveState): Live {
    const live = new Live(container, state, this.#context.clock.nowMs());
    this.#lives.set(live.id, live);
    return live;
  }

  /** Those that take requests, a successor that is ready included. */
  ready(): Live[] {
    return this.all().filter(({ state }) => state === 'ready');
  }

  /** Those that are being woken or put to rest; none of these rejects. */
  changes(): Promise<PlatformError | undefined>[] {
    return this.all().flatMap(({ change, isGoing }) => (change && !isGoing ? change : []));
  }

  /** From now on it takes requests. */
  serve(live: Live): void {
    live.state = 'ready';
    live.lastActiveAtMs = this.#context.clock.nowMs();
    this.publish();
    this.#events.changed();
  }

  /** Has hold of the container while `work` changes it. A failure nobody foresaw is told here. */
  change(live: Live, state: 'pausing' | 'waking', work: () => Promise<PlatformError | undefined>): void {
    live.state = state;
    live.change = work()
      .catch((thrown: unknown) => {
        this.#context.log.error(
          { appId: this.#appId, containerId: live.id, state, err: thrown },
          'it failed',
        );
        return PlatformError.from(thrown);
      })
      .finally(() => {
        live.change = undefined;
        this.#events.changed();
      });
  }

  endpoints(): Endpoint[] {
    return this.ready().flatMap(({ id, address, container: { protocol } }) =>
      address ? [{ containerId: id, ...address, concurrencyLimit: this.concurrencyLimit, protocol }] : [],
    );
  }

  publish(): void {
    this.#context.dataPlanes.publish(this.#appId, this.endpoints());
  }

  /** Resolves when the Core API knows what became of all of them. Errors: `store_unavailable`. */
  async recorded(): Promise<void> {
    await Promise.all(this.all().flatMap((live) => live.told ?? []));
    await Promise.all(this.all().map((live) => this.#context.outbox.recorded(live.id)));
  }

  /** Lets it finish its work, then stops it. New requests go elsewhere from now on. */
  retire(live: Live, reason: string, { graceMs, end = 'stopped' }: RetireOptions = {}): void {
    if (live.state === 'starting' || live.state === 'ending' || live.state === 'ended') return;
    const asleep = live.state === 'paused';
    this.#release(live);
    this.#context.outbox.report(live.id, { state: 'draining', reason });
    live.gone = this.#own('retire', live, async () => {
      const { signal } = this.#giveUp;
      if (!asleep) await drain(this.#context, live, this.drainTimeoutMs, signal);
      await stop(this.#context, live, graceMs ?? this.#context.limits.stopGraceMs, signal);
      await this.#tellEnd(live, end, reason);
      this.#keep(live);
    });
    if (end === 'failed') this.#events.died(live, reason, this.#livedMs(live));
  }

  /** Ends a start under way: it is not wanted any more. */
  callOff(live: Live, reason: string): void {
    live.isCalledOff = true;
    live.abort.abort(new PlatformError('conflict', reason));
  }

  /** It died. */
  lose(live: Live, reason: string): void {
    if (live.state === 'starting' || live.state === 'ending' || live.state === 'ended') return;
    this.fail(live, 'failed', reason);
    this.#events.died(live, reason, this.#livedMs(live));
  }

  /** Ends it without ceremony. `live.told` resolves when its end is reported, with its last lines if it failed. */
  fail(live: Live, state: 'stopped' | 'failed', reason: string): void {
    this.#release(live);
    live.told = this.#own('tell', live, () => this.#tellEnd(live, state, reason));
    live.gone = this.#own('end', live, async () => {
      await live.told;
      await stop(this.#context, live, 0, this.#giveUp.signal);
      this.#keep(live);
    });
  }

  async #tellEnd(live: Live, state: 'stopped' | 'failed', reason: string): Promise<void> {
    const lines = state === 'failed' ? await lastLines(this.#context, live.id) : '';
    const figures = lines === '' ? {} : { lastLines: lines };
    this.#context.outbox.report(live.id, { state, reason, figures });
  }

  /** Takes over the remains of one whose end was told before this program started; done it need not be. */
  adoptEnded(container: Container): void {
    const live = this.add(container, 'ending');
    live.gone = this.#own('end', live, async () => {
      await stop(this.#context, live, 0, this.#giveUp.signal);
      this.#keep(live);
    });
  }

  delete(reason: string): void {
    this.deleted = true;
    for (const live of this.#lives.values()) {
      if (live.state === 'starting') live.abort.abort(new PlatformError('not_found', reason));
      else if (live.state === 'ended') void this.#remove(live);
      else this.retire(live, reason);
    }
  }

  /** Ends all and removes all that is left of them. `giveUp` ends the waiting for an engine that is away. */
  async clear(reason: string, giveUp: AbortSignal): Promise<void> {
    if (giveUp.aborted) this.#giveUp.abort();
    else giveUp.addEventListener('abort', () => this.#giveUp.abort(), { once: true });
    for (const live of this.#lives.values()) this.retire(live, reason);
    await Promise.all(this.all().flatMap((live) => live.gone ?? []));
    await Promise.all(this.all().map((live) => this.#remove(live)));
  }

  /** From here on it serves nobody. */
  #release(live: Live): void {
    live.state = 'ending';
    this.#context.deadlines.cancel(live.id);
    this.publish();
    this.#events.released(this.#livedMs(live));
    this.#events.changed();
  }

  #livedMs(live: Live): number {
    return live.readyAtMs === null ? 0 : this.#context.clock.nowMs() - live.readyAtMs;
  }

  /** It has ended. One app keeps the remains of one container, the newest, for a while. */
  #keep(live: Live): void {
    live.state = 'ended';
    this.#events.changed();
    const { deadlines, clock, limits } = this.#context;
    for (const other of this.#lives.values()) {
      if (other.state === 'ended' && other !== live) void this.#remove(other);
    }
    if (this.deleted) void this.#remove(live);
    else deadlines.set(live.id, clock.nowMs() + limits.keepEndedMs, () => void this.#remove(live));
  }

  #remove(live: Live): Promise<void> {
    live.removal ??= this.#removeNow(live);
    return live.removal;
  }

  async #removeNow(live: Live): Promise<void> {
    this.#context.deadlines.cancel(live.id);
    const signals = { giveUp: this.#giveUp.signal, closing: this.#closing };
    await this.#own('remove', live, () => remove(this.#context, live, signals));
    this.#lives.delete(live.id);
    this.#events.forgotten();
  }

  /** Work that nobody waits for still has an owner: a failure is told here. */
  async #own(what: string, live: Live, work: () => Promise<void>): Promise<void> {
    try {
      await work();
    } catch (thrown) {
      this.#context.log.error({ appId: this.#appId, containerId: live.id, what, err: thrown }, 'it failed');
    }
  }
}
