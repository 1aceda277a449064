/**
 * What is known of one app on this node: what is to run, in which size, and the containers there are. The parts of its
 * supervisor share it.
 */
import type { Policy } from '../cmdb/records.ts';
import type { SizedSpec } from '../coreapi/core-api.ts';
import { keptReason, keptWarm, policyAt, type Kept } from '../coreapi/decisions/keep-warm.ts';
import type { Decided } from '../coreapi/decisions/size.ts';
import { PlatformError } from '../errors.ts';
import type { NodeContext } from './context.ts';
import { Crew, type CrewEvents } from './crew.ts';
import type { Live } from './live.ts';
import { LoadWatch } from './load-watch.ts';

/** That its needs are not ready is told at most so often: visitors ask again and again. */
const NEED_EVENT_MS = 10_000;

/** Until the Core API is told again that it fell asleep. */
const TELL_AGAIN_MS = 5_000;

const ASLEEP: Decided = { replicas: 0, cpu: null, memoryBytes: null };

export class AppOnNode {
  readonly appId: string;
  readonly context: NodeContext;
  readonly crew: Crew;
  readonly load: LoadWatch;
  /** Aborted when the node stops: nothing is started any more. */
  readonly closing = new AbortController();
  /** To be called when something else may have to be done. */
  readonly changed: () => void;
  #spec: SizedSpec | undefined;
  /** The generation of the size at which it fell asleep; the Core API is being told that it no longer counts. */
  #sleptAt: number | undefined;
  #telling = false;
  #untold = false;
  /** As it was told last. */
  #keptReplicas = 0;
  #needToldAtMs = -Infinity;

  constructor(appId: string, context: NodeContext, events: CrewEvents) {
    this.appId = appId;
    this.context = context;
    this.changed = events.changed;
    this.crew = new Crew(appId, context, events, this.closing.signal);
    this.load = new LoadWatch(this);
  }

  get spec(): SizedSpec | undefined {
    return this.#spec;
  }

  /** Its policy at this moment: what its hours say is part of it. */
  get policy(): Policy | undefined {
    return this.#spec && policyAt(this.#spec.app.policy, this.context.clock.nowMs());
  }

  /** What the hours say in which it is to be ready. */
  get kept(): Kept {
    return keptWarm(this.#spec?.app.policy.keepWarm ?? [], this.context.clock.nowMs());
  }

  /** The same; where that has become different, it is an event. */
  tellHours(): Kept {
    const { kept } = this;
    const { replicas, by } = kept;
    if (replicas !== this.#keptReplicas) {
      this.#keptReplicas = replicas;
      const reason = by ? keptReason(replicas, by) : 'its keep-warm hours are over';
      this.tell('app.keep_warm', reason, { replicas });
    }
    return kept;
  }

  /** The size that is wanted of it: nothing beyond its policy since it fell asleep, until another one is decided. */
  get size(): Decided {
    const size = this.#spec?.size;
    return !size || size.generation === this.#sleptAt ? ASLEEP : size;
  }

  /** News of the app. Parts of them that are older than what is known (a plan was made on them) are left aside. */
  hear(news: SizedSpec): void {
    const known = this.#spec;
    const { app, revision } = known && known.app.generation > news.app.generation ? known : news;
    const { size } = known && known.size.generation > news.size.generation ? known : news;
    this.#spec = { app, revision, size };
    this.crew.concurrencyLimit = app.policy.concurrency.limit;
    this.crew.drainTimeoutMs = app.policy.drainTimeoutMs;
  }

  /** Whether it runs what is to run: nothing that becomes of another revision is held against this one. */
  isCurrent({ container }: Live): boolean {
    return container.revisionId === this.#spec?.revision.id;
  }

  /** Another app needs it now: it is not to sleep, and is started again if it dies. */
  get isKept(): boolean {
    return this.context.groups.isKept(this.appId);
  }

  /**
   * Makes ready what it needs; resolves with how long that took, or undefined where it needs nothing, in milliseconds.
   * Errors: `need_failed`, the store's.
   */
  async wakeNeeds(): Promise<number | undefined> {
    const { core, groups, clock } = this.context;
    const app = (this.#spec ?? (await core.spec(this.appId)))?.app;
    if (!app?.needs || app.needs.length === 0) return undefined;
    const beganMs = clock.monotonicMs();
    try {
      await groups.wake(app, app.needs);
    } catch (thrown) {
      const { code, message } = PlatformError.from(thrown);
      if (code === 'need_failed' && clock.monotonicMs() - this.#needToldAtMs >= NEED_EVENT_MS) {
        this.#needToldAtMs = clock.monotonicMs();
        this.tell('app.need_failed', message, {});
      }
      throw thrown;
    }
    return clock.monotonicMs() - beganMs;
  }

  /** It has fallen asleep: the next request wakes one container of the policy's size, whatever was decided before. */
  fellAsleep(): void {
    this.load.forget();
    const size = this.#spec?.size;
    if (!size || (size.replicas === 0 && size.cpu === null && size.memoryBytes === null)) return;
    this.#sleptAt = size.generation;
    this.#untold = true;
    this.tellSleep();
  }

  /** That it fell asleep is known here alone. */
  get hasToTell(): boolean {
    return this.#untold && this.#spec?.size.generation === this.#sleptAt;
  }

  /** Has the Core API forget the size of an app that fell asleep. What cannot be told now is told later. */
  tellSleep(): void {
    const { core, log, clock, deadlines } = this.context;
    const size = this.#spec?.size;
    if (!size || size.generation !== this.#sleptAt || this.#telling) return;
    this.#telling = true;
    core
      .scale({
        appId: this.appId,
        by: 'silence',
        reason: 'it fell asleep; the next request wakes one container',
        ifGeneration: size.generation,
      })
      .then((outcome) => {
        this.#untold = false;
        const spec = this.#spec;
        if (spec && outcome.size.generation > spec.size.generation)
          this.hear({ ...spec, size: outcome.size });
      })
      .catch((thrown: unknown) => {
        log.warn({ appId: this.appId, err: thrown }, 'that an app fell asleep could not be recorded yet');
        deadlines.set(`asleep ${this.appId}`, clock.nowMs() + TELL_AGAIN_MS, this.changed);
      })
      .finally(() => {
        this.#telling = false;
        if (!this.hasToTell) this.changed();
      });
  }

  tell(
    type: string,
    reason: string,
    figures: Record<string, string | number>,
    containerId: string | null = null,
  ): void {
    const { core, log } = this.context;
    core.event({ type, appId: this.appId, containerId, reason, figures }).catch((thrown: unknown) => {
      log.warn({ appId: this.appId, type, reason, err: thrown }, 'an event could not be recorded');
    });
  }
}
