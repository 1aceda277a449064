/**
 * One app on one node: decides nothing itself, but has carried out what is decided.
 *
 * Whenever something is different (a request found nobody ready, a container became ready or died, the app or its size was
 * changed, a deadline passed), it looks what is to be done about the containers there are (decisions/crew.ts) and has it
 * done: each container has at most one thing done to it at a time, and nobody waits for another's. So it does not matter in
 * which order things happen, nor whether one is told twice. A supervisor exists only while there is something to supervise.
 */
import type { Address, Container } from '../cmdb/records.ts';
import type { SizedSpec } from '../coreapi/core-api.ts';
import { EARLY_DEATH_MS } from '../coreapi/decisions/backoff.ts';
import { decideCrew, type CrewAction, type CrewInput, type Member } from '../coreapi/decisions/crew.ts';
import { wantedReplicas } from '../coreapi/decisions/size.ts';
import { PlatformError } from '../errors.ts';
import type { Activation } from '../proxy/control-plane.ts';
import { Activator } from './activation.ts';
import { AppOnNode } from './app-on-node.ts';
import { Backoff } from './backoff.ts';
import type { NodeContext } from './context.ts';
import type { Crew } from './crew.ts';
import { orAborted } from './ending.ts';
import type { ExitEvent } from './engine.ts';
import type { Live } from './live.ts';
import { askActivity, putToRest, wake } from './sleep.ts';
import { describeExit, exitedBeforeReady } from './start.ts';
import { blamesApp, isRetryable, Starter } from './starter.ts';
import { suspect } from './suspicion.ts';

/** A sleeper that has to make room has nothing in flight; it need not be given long. */
const RECLAIM_GRACE_MS = 1_000;

export class Supervisor {
  readonly #app: AppOnNode;
  readonly #context: NodeContext;
  readonly #crew: Crew;
  readonly #starter: Starter;
  readonly #activator: Activator;
  readonly #onIdle: () => void;
  /** Starts while nobody serves: what fails then, fails the visitors. */
  readonly #first = new Backoff();
  /** Starts beside containers that serve: what fails then is nobody's loss, and is never held against the others. */
  readonly #further = new Backoff();
  /** It is being found out whether the app is idle. */
  #resting: Promise<void> | undefined;
  #isLookDue = false;
  /** What runs is being taken over: until all of it is known, nothing is to be done about it. */
  #isTakingOver = false;

  /** `onIdle` is called whenever nothing is left to supervise. */
  constructor(appId: string, context: NodeContext, onIdle: () => void) {
    this.#context = context;
    this.#onIdle = onIdle;
    this.#app = new AppOnNode(appId, context, {
      changed: () => this.#changed(),
      released: (livedMs) => {
        if (livedMs < EARLY_DEATH_MS) return;
        this.#first.succeeded();
        this.#further.succeeded();
      },
      died: (live, reason, livedMs) => this.#died(live, reason, livedMs),
      forgotten: () => this.#changed(),
    });
    this.#crew = this.#app.crew;
    this.#starter = new Starter(this.#app);
    this.#activator = new Activator({
      app: this.#app,
      starter: this.#starter,
      backoff: this.#first,
      look: () => this.#look(),
      onGivenUp: (why, backoffMs) => this.#leaveAlone(why, backoffMs),
    });
  }

  get idle(): boolean {
    return (
      this.#crew.size === 0 &&
      this.#starter.underWay.length === 0 &&
      this.#activator.flight === undefined &&
      this.#resting === undefined &&
      !this.#isLookDue &&
      !this.#isTakingOver &&
      this.#context.clock.nowMs() >= this.#first.notBeforeMs &&
      (this.#crew.deleted || this.#app.closing.signal.aborted || !this.#wantsContainers)
    );
  }

  /** Whether it is to have containers although nobody asks. */
  get #wantsContainers(): boolean {
    const { spec, size } = this.#app;
    return spec !== undefined && wantedReplicas(spec.app.policy, size, false) > 0;
  }

  has(containerId: string): boolean {
    return this.#crew.get(containerId) !== undefined;
  }

  // What others ask.

  /** One flight, whoever asks and however many. */
  activate(): Promise<Activation> {
    return this.#activator.activate();
  }

  /** Takes over a container that ran before this program did. Nothing is done about it before `tookOver`. */
  adopt(
    container: Container,
    state: 'ready' | 'paused',
    address: Address,
    spec: SizedSpec | undefined,
  ): void {
    this.#isTakingOver = true;
    const live = this.#crew.add(container, state);
    live.address = address;
    live.readyAtMs = container.enteredAtMs.ready ?? null;
    if (spec) this.#app.hear(spec);
    else this.deleted();
  }

  adoptEnded(container: Container): void {
    this.#crew.adoptEnded(container);
  }

  /** All containers of the app that ran before are known. */
  tookOver(): void {
    this.#isTakingOver = false;
    this.#crew.publish();
    this.#changed();
  }

  /** The app's record, or its size, changed. */
  changed(spec: SizedSpec): void {
    const redeployed = spec.revision.id !== this.#app.spec?.revision.id;
    this.#app.hear(spec);
    if (redeployed) {
      // Whoever deploys wants to see it tried, whatever the last revision did.
      this.#first.clear();
      this.#further.clear();
      this.#context.deadlines.cancel(this.#backoffKey);
    }
    this.#crew.publish();
    this.#changed();
  }

  deleted(): void {
    this.#first.clear();
    this.#context.deadlines.cancel(this.#backoffKey);
    this.#context.deadlines.cancel(this.#lookKey);
    this.#crew.delete('the app was deleted');
    this.#changed();
  }

  exited(event: ExitEvent): void {
    const live = this.#crew.get(event.containerId);
    if (live?.state === 'starting') live.abort.abort(exitedBeforeReady(event));
    else if (live) this.#crew.lose(live, `it ${describeExit(event)}`);
  }

  /** A connection to it failed: look whether it lives and listens, once however many say so. */
  suspect(containerId: string): void {
    const live = this.#crew.get(containerId);
    if (live) suspect(this.#app, live);
  }

  /**
   * Stops the container if it sleeps still; resolves when it has ended, unless it serves. Errors: `store_unavailable`.
   */
  async reclaim(containerId: string, reason: string): Promise<void> {
    const live = this.#crew.get(containerId);
    if (live?.state === 'paused') this.#crew.retire(live, reason, { graceMs: RECLAIM_GRACE_MS });
    await live?.gone;
    await this.#context.outbox.recorded(containerId);
  }

  /** Starts nothing any more and ends what is starting; what serves or sleeps is left as it is, for the next program. */
  async halt(reason: string, giveUp: AbortSignal): Promise<void> {
    this.#app.closing.abort();
    const error = new PlatformError('shutting_down', reason, { retryAfterMs: 5_000 });
    const starting = this.#crew.all().filter((live) => live.state === 'starting');
    for (const live of starting) live.abort.abort(error);
    const { flight } = this.#activator;
    await orAborted(
      Promise.allSettled([flight, this.#resting, ...this.#starter.underWay, ...this.#crew.changes()]),
      giveUp,
    );
    await orAborted(Promise.all(starting.flatMap((live) => live.gone ?? [])), giveUp);
  }

  /** Ends everything; resolves when all is stopped and removed, or `giveUp` aborts. */
  async close(reason: string, giveUp: AbortSignal): Promise<void> {
    await this.halt(reason, giveUp);
    await this.#crew.clear(reason, giveUp);
  }

  // Looking what is to be done.

  /** Something is different. However much is so at this moment, it is looked at once, in a moment. */
  #changed(): void {
    if (this.#isLookDue) return;
    this.#isLookDue = true;
    queueMicrotask(() => {
      this.#isLookDue = false;
      this.#look();
      if (this.idle) this.#onIdle();
    });
  }

  #look(): void {
    const input = this.#input();
    if (!input) return;
    this.#app.tellSleep();
    const { clock, deadlines } = this.#context;
    const { actions, nextAtMs } = decideCrew(input, clock.nowMs());
    for (const action of actions) this.#act(action);
    deadlines.set(this.#lookKey, nextAtMs, () => this.#changed());
  }

  /** Undefined where nothing is to be done any more, or not yet. */
  #input(): CrewInput | undefined {
    const { spec, size, closing } = this.#app;
    if (!spec || closing.signal.aborted || this.#crew.deleted || this.#isTakingOver) return undefined;
    const { capabilities } = this.#context.engine;
    const isServed = this.#crew.ready().length > 0;
    const isAwaited = this.#activator.flight !== undefined;
    return {
      members: this.#crew.all().flatMap(memberOf),
      placing: this.#starter.placing,
      isReplacing: this.#starter.isReplacing,
      policy: spec.app.policy,
      revisionId: spec.revision.id,
      size,
      isAwaited,
      // Who waits for the first container has it started, and knows when to try again.
      startNotBeforeMs:
        isAwaited && !isServed
          ? Infinity
          : Math.max(this.#further.notBeforeMs, isServed ? 0 : this.#first.notBeforeMs),
      isResting: this.#resting !== undefined,
      canPause: capabilities.pause,
      canResize: false,
    };
  }

  #act(action: CrewAction): void {
    if (action.do === 'start') {
      this.#start({ reason: action.reason });
      return;
    }
    if (action.do === 'rest') {
      this.#rest();
      return;
    }
    const live = this.#crew.get(action.id);
    if (!live) return;
    if (action.do === 'wake') wake(this.#app, live, action.reason);
    else if (action.do === 'replace') this.#start({ reason: action.reason, succeeds: live });
    else if (live.state === 'starting') this.#crew.callOff(live, action.reason);
    else this.#crew.retire(live, action.reason);
  }

  /** A container that no visitor waits for. */
  #start(request: { reason: string; succeeds?: Live }): void {
    const onFailed = (error: PlatformError) => this.#startFailed(request, error);
    // Its failure is told to `onFailed`; nobody else asks.
    this.#starter.start({ ...request, onFailed }).catch(() => undefined);
  }

  #startFailed({ reason, succeeds }: { reason: string; succeeds?: Live }, error: PlatformError): void {
    if (this.#crew.deleted || this.#app.closing.signal.aborted) return;
    const nowMs = this.#context.clock.nowMs();
    if (this.#crew.ready().length === 0 && blamesApp(error)) {
      const retry = this.#first.failed(nowMs, { isRetryable: isRetryable(error), patienceMs: 0 });
      if (retry.action === 'giveUp') this.#leaveAlone(error.message, retry.backoffMs);
      return;
    }
    const retry = this.#further.failed(nowMs, { isRetryable: false, patienceMs: 0 });
    const backoffMs = retry.action === 'giveUp' ? retry.backoffMs : 0;
    const figures = { failures: this.#further.failures, backoffMs };
    if (succeeds) {
      const why = `the old container goes on serving; its successor (${reason}) failed: ${error.message}`;
      this.#app.tell('app.replacement_failed', why, figures);
    } else {
      const why = `a further container (${reason}) could not be started: ${error.message}`;
      this.#app.tell('scale.failed', why, { ...figures, ready: this.#crew.ready().length });
    }
  }

  /** It is looked whether the app is idle, and what is to be done then. */
  #rest(): void {
    this.#resting = askActivity(this.#app)
      .then(() => {
        const input = this.#input();
        if (!input) return;
        const { actions } = decideCrew({ ...input, isResting: false }, this.#context.clock.nowMs());
        for (const action of actions) if (action.do === 'rest') putToRest(this.#app, action);
      })
      .catch((thrown: unknown) => {
        this.#context.log.error({ appId: this.#app.appId, err: thrown }, 'putting an app to rest failed');
      })
      .finally(() => {
        this.#resting = undefined;
        this.#changed();
      });
  }

  // Failures.

  /** A container that dies as soon as it is ready has failed to start, in effect. */
  #died(live: Live, reason: string, livedMs: number): void {
    if (livedMs >= EARLY_DEATH_MS) return;
    const nowMs = this.#context.clock.nowMs();
    if (this.#crew.ready().length > 0) {
      this.#further.failed(nowMs, { isRetryable: false, patienceMs: 0 });
      return;
    }
    const retry = this.#first.failed(nowMs, { isRetryable: true, patienceMs: Infinity });
    if (retry.action === 'giveUp') this.#leaveAlone(`${live.id}: ${reason}`, retry.backoffMs);
  }

  /** Nobody serves and starting does not help: the app is left alone for a while, then the next request tries again. */
  #leaveAlone(why: string, backoffMs: number): void {
    const { deadlines } = this.#context;
    deadlines.set(this.#backoffKey, this.#first.notBeforeMs, () => this.#changed());
    this.#app.tell('app.start_backoff', `no further start for ${backoffMs} ms: ${why}`, {
      failures: this.#first.failures,
      backoffMs,
    });
    this.#app.fellAsleep();
  }

  get #lookKey(): string {
    return `look ${this.#app.appId}`;
  }

  get #backoffKey(): string {
    return `backoff ${this.#app.appId}`;
  }
}

/** What is to be decided on; those that go are nobody's business any more. */
function memberOf(live: Live): Member[] {
  const { id, state, isSuccessor, lastActiveAtMs, container } = live;
  if (state === 'ending' || state === 'ended') return [];
  return [
    {
      id,
      state: state === 'pausing' || state === 'waking' ? 'changing' : state,
      isSuccessor,
      revisionId: container.revisionId,
      resources: container.resources,
      expiresAtMs: container.expiresAtMs,
      lastActiveAtMs,
    },
  ];
}
