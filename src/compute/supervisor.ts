/**
 * One app on one node: decides nothing itself, but has carried out what is decided.
 *
 * Whenever something is different (a request found nobody ready, a container became ready or died, the app or its size was
 * changed, a deadline passed), it looks what is to be done about the containers there are (decisions/crew.ts) and has it
 * done: each container has at most one thing done to it at a time, and nobody waits for another's. So it does not matter in
 * which order things happen, nor whether one is told twice. A supervisor exists only while there is something to supervise.
 */
import type { Container } from '../cmdb/records.ts';
import type { SizedSpec } from '../coreapi/core-api.ts';
import { decideCrew, type CrewAction, type CrewInput, type Member } from '../coreapi/decisions/crew.ts';
import { isWantedAnyway, sameResources, wantedReplicas } from '../coreapi/decisions/size.ts';
import { PlatformError } from '../errors.ts';
import type { Activation, DataPlane, LoadReport } from '../proxy/control-plane.ts';
import { Activator } from './activation.ts';
import type { Adoption } from './adoption.ts';
import { AppOnNode } from './app-on-node.ts';
import type { NodeContext } from './context.ts';
import { takeBack } from './boost.ts';
import type { Crew } from './crew.ts';
import { orAborted } from './ending.ts';
import type { ExitEvent } from './engine.ts';
import { Failures } from './failures.ts';
import type { Live } from './live.ts';
import { resize } from './resizing.ts';
import { askActivity, putToRest, wake } from './sleep.ts';
import { describeExit, exitedBeforeReady } from './start.ts';
import { Starter, type StartRequest } from './starter.ts';
import { suspect } from './suspicion.ts';

/** A sleeper that has to make room has nothing in flight; it need not be given long. */
const RECLAIM_GRACE_MS = 1_000;

/** More than any number of containers gives rise to between two turns of the event loop. */
const MAX_LOOKS_AT_ONCE = 1_000;

type Adopted = Omit<Extract<Adoption, { action: 'adopt' }>, 'action'>;

export class Supervisor {
  readonly #app: AppOnNode;
  readonly #context: NodeContext;
  readonly #crew: Crew;
  readonly #starter: Starter;
  readonly #activator: Activator;
  readonly #onIdle: () => void;
  readonly #failures: Failures;
  /** It is being found out whether the app is idle. */
  #resting: Promise<void> | undefined;
  #isLookDue = false;
  /** Looks since the process last had time for something else. */
  #looks = 0;
  /** What runs is being taken over: until all of it is known, nothing is to be done about it. */
  #isTakingOver = false;

  /** `onIdle` is called whenever nothing is left to supervise. */
  constructor(appId: string, context: NodeContext, onIdle: () => void) {
    this.#context = context;
    this.#onIdle = onIdle;
    this.#app = new AppOnNode(appId, context, {
      changed: () => this.#changed(),
      released: (livedMs) => this.#failures.lived(livedMs),
      died: (live, reason, livedMs) => this.#failures.died(live, reason, livedMs),
      forgotten: () => this.#changed(),
    });
    this.#crew = this.#app.crew;
    this.#failures = new Failures(this.#app);
    this.#starter = new Starter(this.#app);
    this.#activator = new Activator({
      app: this.#app,
      starter: this.#starter,
      failures: this.#failures,
      look: () => this.#look(true),
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
      this.#context.clock.nowMs() >= this.#failures.first.notBeforeMs &&
      (this.#crew.deleted ||
        this.#app.closing.signal.aborted ||
        (!this.#wantsContainers && !this.#app.hasToTell))
    );
  }

  /** Whether it is to have containers although nobody asks, now or at certain hours. */
  get #wantsContainers(): boolean {
    const { policy, size, isKept } = this.#app;
    if (policy === undefined) return false;
    return isWantedAnyway(policy, size) || wantedReplicas(policy, size, isKept) > 0;
  }

  /** CPU that its containers are lent for their start, in cores. */
  get lentCpu(): number {
    const extra = ({ boost, resources, isGoing }: Live) =>
      boost && !isGoing ? boost.cpu - resources.cpu : 0;
    return this.#crew.all().reduce((sum, live) => sum + extra(live), 0);
  }

  get appId(): string {
    return this.#app.appId;
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
  adopt({ container, as, address, resources }: Adopted, spec: SizedSpec | undefined): void {
    this.#isTakingOver = true;
    const live = this.#crew.add(container, as);
    live.address = address;
    live.isSizeSure = sameResources(resources, container.resources);
    live.yields = true;
    live.readyAtMs = container.enteredAtMs.ready ?? null;
    if (spec) this.#app.hear(spec);
    else this.deleted();
  }

  adoptEnded(container: Container): void {
    this.#crew.adoptEnded(container);
  }

  adoptEnding(container: Container, state: 'stopped' | 'failed', reason: string): void {
    this.#crew.fail(this.#crew.add(container, 'ending'), state, reason);
  }

  /** All containers of the app that ran before are known. */
  tookOver(): void {
    this.#isTakingOver = false;
    this.#crew.publish();
    this.#changed();
  }

  /** The node has started. An app of which nothing has come through that has slept meanwhile. */
  begin(spec: SizedSpec): void {
    this.#app.hear(spec);
    if (this.#crew.all().every(({ isGoing }) => isGoing)) this.#app.fellAsleep();
    this.#changed();
  }

  /** The app's record, or its size, changed. */
  changed(spec: SizedSpec): void {
    const redeployed = spec.revision.id !== this.#app.spec?.revision.id;
    this.#app.hear(spec);
    if (redeployed) {
      // Whoever deploys wants to see it tried, whatever the last revision did.
      this.#failures.clear();
    }
    this.#crew.publish();
    this.#changed();
  }

  deleted(): void {
    this.#failures.clear();
    this.#context.deadlines.cancel(this.#lookKey);
    this.#crew.delete('the app was deleted');
    this.#changed();
  }

  exited(event: ExitEvent): void {
    const live = this.#crew.get(event.containerId);
    if (live?.state === 'starting') live.abort.abort(exitedBeforeReady(event));
    else if (live) this.#crew.lose(live, `it ${describeExit(event)}`);
  }

  /** Requests of the app have come or gone at a data plane. */
  observe(load: LoadReport, by: DataPlane): void {
    this.#app.load.heard(load, by);
  }

  /** Another app needs it from now on, or none does any more. Having been needed is having been active. */
  keptChanged(): void {
    const nowMs = this.#context.clock.nowMs();
    for (const live of this.#crew.ready()) live.lastActiveAtMs = nowMs;
    this.#changed();
  }

  /** A data plane has gone. */
  left(dataPlane: DataPlane): void {
    this.#app.load.left(dataPlane);
  }

  /** A connection to it failed: look whether it lives and listens, once however many say so. */
  suspect(containerId: string): void {
    const live = this.#crew.get(containerId);
    if (live) suspect(this.#app, live);
  }

  /** Stops the container if it sleeps still. Undefined where it stays: it serves, or is being woken. */
  reclaim(containerId: string, reason: string): Live | undefined {
    const live = this.#crew.get(containerId);
    if (live?.state === 'paused') this.#crew.retire(live, reason, { graceMs: RECLAIM_GRACE_MS });
    return live?.isGoing ? live : undefined;
  }

  /** Starts nothing any more and ends what is starting; what serves or sleeps is left as it is, for the next program. */
  async halt(reason: string, giveUp: AbortSignal): Promise<void> {
    this.#app.closing.abort();
    const error = new PlatformError('shutting_down', reason, { retryAfterMs: 5_000 });
    const starting = this.#crew.all().filter((live) => live.state === 'starting');
    for (const live of starting) live.abort.abort(error);
    const { flight } = this.#activator;
    await orAborted(
      Promise.allSettled([
        flight,
        this.#resting,
        this.#app.load.looking,
        ...this.#starter.underWay,
        ...this.#crew.changes(),
        ...this.#crew.all().map(({ resizing }) => resizing),
      ]),
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
    const look = () => {
      this.#isLookDue = false;
      this.#look();
      this.#settleNeeds();
      if (this.idle) this.#onIdle();
    };
    if (this.#looks++ === 0) setImmediate(() => (this.#looks = 0));
    // One that changes something each time would keep the process from everything else.
    if (this.#looks <= MAX_LOOKS_AT_ONCE) queueMicrotask(look);
    else setImmediate(look);
  }

  /** `insist`: somebody waits at this moment; a sleeper that could not be woken just now is to be tried again. */
  #look(insist = false): void {
    const known = this.#input();
    if (!known) return;
    const input = insist ? { ...known, wakeNotBeforeMs: 0 } : known;
    this.#app.tellSleep();
    const { clock, deadlines } = this.#context;
    const { actions, nextAtMs } = decideCrew(input, clock.nowMs());
    for (const action of actions) this.#act(action);
    const { untilMs } = this.#app.tellHours();
    deadlines.set(this.#lookKey, Math.min(nextAtMs, untilMs), () => this.#changed());
  }

  /** Undefined where nothing is to be done any more, or not yet. */
  #input(): CrewInput | undefined {
    const { spec, policy, size, closing } = this.#app;
    if (!spec || !policy || closing.signal.aborted || this.#crew.deleted || this.#isTakingOver)
      return undefined;
    const { capabilities } = this.#context.engine;
    const isServed = this.#crew.ready().length > 0;
    const isAwaited = this.#activator.flight !== undefined;
    return {
      members: this.#crew.all().flatMap(memberOf),
      placing: this.#starter.placing,
      isReplacing: this.#starter.isReplacing,
      draining: this.#crew.all().filter(({ state }) => state === 'ending').length,
      policy,
      keptBy: this.#app.kept.by,
      revisionId: spec.revision.id,
      size,
      isAwaited,
      isKept: this.#app.isKept,
      // Who waits for the first container has it started, and knows when to try again.
      startNotBeforeMs: isAwaited && !isServed ? Infinity : this.#failures.startNotBeforeMs,
      wakeNotBeforeMs: this.#failures.wakeNotBeforeMs,
      isResting: this.#resting !== undefined,
      canPause: capabilities.pause,
      canResize: capabilities.liveUpdate,
    };
  }

  /** What it needs is kept while it is awake, and let go when it sleeps. On its way up it is kept one after the other. */
  #settleNeeds(): void {
    const { spec, context, appId, closing } = this.#app;
    if (closing.signal.aborted || this.#isTakingOver) return;
    const lives = this.#crew.all();
    if (spec && lives.some(({ state }) => state === 'starting' || state === 'ready')) {
      const needIds = (spec.app.needs ?? []).map((need) => need.appId);
      context.groups.settle(appId, needIds);
    } else if (
      this.#activator.flight === undefined &&
      this.#starter.underWay.length === 0 &&
      lives.every(({ state }) => state === 'paused' || state === 'ended')
    )
      context.groups.settle(appId, []);
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
    if (action.do === 'takeBack') takeBack(this.#app, live);
    else if (action.do === 'resize') resize(this.#app, live, action.to);
    else if (action.do === 'wake')
      wake(this.#app, live, { reason: action.reason, onFailed: () => this.#failures.wakeFailed() });
    else if (action.do === 'replace') this.#start({ reason: action.reason, succeeds: live });
    else if (live.state === 'starting') this.#crew.callOff(live, action.reason);
    else this.#crew.retire(live, action.reason);
  }

  /** A container that no visitor waits for. */
  #start(request: StartRequest): void {
    const onFailed = (error: PlatformError) => this.#failures.startFailed(request, error);
    // Its failure is told to `onFailed`; nobody else asks.
    this.#starter.start({ ...request, onFailed }).catch(() => undefined);
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

  get #lookKey(): string {
    return `look ${this.#app.appId}`;
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
      resources: live.resources,
      isSizeSure: live.isSizeSure,
      isResizing: live.resizing !== undefined,
      resizeNotBeforeMs: live.resizeNotBeforeMs,
      boostEndsAtMs: live.boost?.endsAtMs ?? null,
      expiresAtMs: container.expiresAtMs,
      lastActiveAtMs,
    },
  ];
}
