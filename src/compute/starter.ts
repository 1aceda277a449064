/**
 * Containers of one app on their way to be ready. They are placed one after the other, because each has to know of the one
 * before; from then on they start side by side, and each on its own: the failure of one concerns no other.
 */
import type { SizedSpec } from '../coreapi/core-api.ts';
import { PlatformError } from '../errors.ts';
import type { AppOnNode } from './app-on-node.ts';
import { lend } from './boost.ts';
import type { Live } from './live.ts';
import { place } from './place.ts';
import { startContainer, type PhasesMs } from './start.ts';

export interface StartRequest {
  /** Why one is wanted, for its record and event. */
  readonly reason: string;
  /** The container whose place it is to take. */
  readonly succeeds?: Live;
  /** Called in the moment in which it fails; until then it counts as being on its way. */
  readonly onFailed?: (error: PlatformError) => void;
}

/** A start that is not over; `live` is undefined until the container is placed. */
interface UnderWay {
  readonly request: StartRequest;
  live: Live | undefined;
}

interface Placed {
  readonly live: Live;
  readonly spec: SizedSpec;
  readonly phasesMs: PhasesMs;
}

export class Starter {
  readonly #app: AppOnNode;
  /** The placements so far, one after the other. */
  #placed: Promise<unknown> = Promise.resolve();
  readonly #underWay = new Map<Promise<unknown>, UnderWay>();

  constructor(app: AppOnNode) {
    this.#app = app;
  }

  /** Starts without a member of the crew: not placed yet, or failed just now. Successors are not counted. */
  get placing(): number {
    return this.#unseen.filter(({ request }) => request.succeeds === undefined).length;
  }

  /** Whether there is such a start of a successor. */
  get isReplacing(): boolean {
    return this.#unseen.some(({ request }) => request.succeeds !== undefined);
  }

  get #unseen(): UnderWay[] {
    return [...this.#underWay.values()].filter(({ live }) => live === undefined || live.isGoing);
  }

  /** Starts that are not over; none of them rejects. */
  get underWay(): Promise<unknown>[] {
    return [...this.#underWay.keys()];
  }

  /** Resolves when it is ready; undefined when it is not wanted any more. Errors: `need_failed`, those of `place` and `startContainer`. */
  start(request: StartRequest): Promise<Live | undefined> {
    const entry: UnderWay = { request, live: undefined };
    const placed = this.#placed.then(() => this.#place(entry));
    this.#placed = placed.catch(() => undefined);
    const started = placed.then((all) => this.#start({ ...all, reason: request.reason }));
    const over: Promise<unknown> = started
      .catch((thrown: unknown) => request.onFailed?.(PlatformError.from(thrown)))
      .finally(() => {
        this.#underWay.delete(over);
        this.#app.changed();
      });
    this.#underWay.set(over, entry);
    return started;
  }

  async #place(entry: UnderWay): Promise<Placed> {
    const { appId, context, crew, closing } = this.#app;
    const needsMs = await this.#app.wakeNeeds();
    const beganMs = context.clock.monotonicMs();
    // What became of the containers before has to be known before a new one is asked for.
    await crew.recorded();
    const { reason, succeeds } = entry.request;
    const successor = succeeds?.is('ready') === true;
    const have = crew.all().map(({ id }) => id);
    const placed = await place(context, { appId, reason, successor, have }, closing.signal);
    const { spec, container } = placed;
    this.#app.hear(spec);
    const live = crew.add(container, 'starting');
    entry.live = live;
    lend(this.#app, live, placed);
    if (successor) live.succeeds = succeeds;
    if (closing.signal.aborted) live.abort.abort(new PlatformError('shutting_down', 'the node is stopping'));
    if (crew.deleted) live.abort.abort(new PlatformError('not_found', 'the app was deleted'));
    context.outbox.report(live.id, { state: 'starting', reason });
    this.#app.changed(); // it may not be wanted any more: what it was planned on is a moment old
    const placeMs = context.clock.monotonicMs() - beganMs;
    return { live, spec, phasesMs: { ...(needsMs !== undefined && { needs: needsMs }), place: placeMs } };
  }

  async #start({
    live,
    spec,
    phasesMs: before,
    reason,
  }: Placed & { reason: string }): Promise<Live | undefined> {
    const { context, crew } = this.#app;
    const { clock, outbox } = context;
    try {
      const phasesMs = { ...before, ...(await startContainer(context, live, spec)) };
      live.abort.signal.throwIfAborted(); // it was called off, or the container died, at the last moment
      const { succeeds, isSuccessor } = live;
      live.readyAtMs = clock.nowMs();
      if (live.boost)
        live.boost = { ...live.boost, endsAtMs: live.readyAtMs + spec.app.policy.boost.afterReadyMs };
      live.awakening = { kind: 'started', phasesMs, atMs: clock.monotonicMs() };
      crew.serve(live);
      outbox.report(live.id, {
        state: 'ready',
        reason: 'it accepts connections',
        address: live.address,
        phasesMs,
        ...(live.boost && { figures: { boostCpu: live.boost.cpu } }),
      });
      if (succeeds && isSuccessor) crew.retire(succeeds, reason);
      live.succeeds = undefined;
      return live;
    } catch (thrown) {
      const error = PlatformError.from(thrown);
      crew.fail(live, blamesApp(error) ? 'failed' : 'stopped', error.message);
      await live.told;
      if (live.isCalledOff || !this.#app.isCurrent(live)) return undefined;
      throw error;
    }
  }
}

/** Whether the app itself is at fault; an engine or a database that is away says nothing about the app. */
export function blamesApp({ code }: PlatformError): boolean {
  return (
    code === 'start_failed' || code === 'image_not_found' || code === 'unsupported' || code === 'internal'
  );
}

/** Whether another attempt could end differently: an absent image stays absent. */
export function isRetryable({ code }: PlatformError): boolean {
  return code === 'start_failed' || code === 'internal';
}
