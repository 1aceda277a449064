/**
 * One app on one node: decides nothing itself, but carries out what is decided, one thing at a time.
 *
 * What changes which container serves (start, wake, pause, replace) happens in turn, so no two of them see the same moment
 * differently; what only ends something runs beside that (see crew.ts). A supervisor exists only while there is something
 * to supervise.
 */
import { sleep } from '../clock.ts';
import type { Address, Container } from '../cmdb/records.ts';
import type { SizedSpec } from '../coreapi/core-api.ts';
import { decideRetry, EARLY_DEATH_MS } from '../coreapi/decisions/backoff.ts';
import { decideUpkeep, type Upkeep } from '../coreapi/decisions/upkeep.ts';
import { isPlatformError, PlatformError } from '../errors.ts';
import type { Activation } from '../proxy/control-plane.ts';
import type { NodeContext } from './context.ts';
import { Crew } from './crew.ts';
import { orAborted } from './ending.ts';
import type { ExitEvent } from './engine.ts';
import type { Live } from './live.ts';
import { place } from './place.ts';
import { describeExit, exitedBeforeReady, startContainer, type PhasesMs } from './start.ts';

/** How long a suspected container may take to accept a connection. */
const SUSPECT_TIMEOUT_MS = 1_000;
/** A sleeper that has to make room has nothing in flight; it need not be given long. */
const RECLAIM_GRACE_MS = 1_000;

export class Supervisor {
  readonly #appId: string;
  readonly #context: NodeContext;
  readonly #onIdle: () => void;
  readonly #crew: Crew;
  readonly #closing = new AbortController();
  #spec: SizedSpec | undefined;
  #flight: Promise<Activation> | undefined;
  #turn: Promise<unknown> = Promise.resolve();
  /** Turns taken or waited for. */
  #turns = 0;
  /** Starts that failed, and early deaths, since one last lived a while. */
  #failures = 0;
  #blockedUntilMs = 0;

  /** `onIdle` is called whenever nothing is left to supervise. */
  constructor(appId: string, context: NodeContext, onIdle: () => void) {
    this.#appId = appId;
    this.#context = context;
    this.#onIdle = onIdle;
    this.#crew = new Crew(appId, context, {
      released: (livedMs) => {
        if (livedMs >= EARLY_DEATH_MS) this.#failures = 0;
      },
      died: (live, reason, livedMs) => this.#died(live, reason, livedMs),
      forgotten: () => this.#checkIdle(),
    });
  }

  get idle(): boolean {
    return this.#crew.size === 0 && this.#turns === 0 && this.#context.clock.nowMs() >= this.#blockedUntilMs;
  }

  has(containerId: string): boolean {
    return this.#crew.get(containerId) !== undefined;
  }

  // What others ask.

  /** One flight, whoever asks and however many. */
  activate(): Promise<Activation> {
    this.#flight ??= this.#inTurn(() => this.#wake()).finally(() => {
      this.#flight = undefined;
    });
    return this.#flight;
  }

  /** Takes over a container that ran before this program did. */
  adopt(
    container: Container,
    state: 'ready' | 'paused',
    address: Address,
    spec: SizedSpec | undefined,
  ): void {
    const live = this.#crew.add(container, state);
    live.address = address;
    live.readyAtMs = container.enteredAtMs.ready ?? null;
    this.#crew.current = live;
    if (spec) this.#use(spec);
    else this.deleted();
    this.#crew.publish();
    this.#schedule(live);
  }

  adoptEnded(container: Container): void {
    this.#crew.adoptEnded(container);
  }

  /** The app's record changed. */
  changed(spec: SizedSpec): void {
    const redeployed = spec.revision.id !== this.#spec?.revision.id;
    this.#use(spec);
    if (redeployed) {
      // Whoever deploys wants to see it tried, whatever the last revision did.
      this.#failures = 0;
      this.#unblock();
      if (this.#crew.current) this.#crew.current.replaceNotBeforeMs = 0;
    }
    this.#crew.publish();
    if (this.#crew.current) this.#schedule(this.#crew.current);
    this.#checkIdle();
  }

  deleted(): void {
    this.#unblock();
    this.#crew.delete('the app was deleted');
    this.#checkIdle();
  }

  exited(event: ExitEvent): void {
    const live = this.#crew.get(event.containerId);
    if (live?.state === 'starting') live.abort.abort(exitedBeforeReady(event));
    else if (live) this.#crew.lose(live, `it ${describeExit(event)}`);
  }

  /** A connection to it failed: look whether it lives and listens, once however many say so. */
  suspect(containerId: string): void {
    const live = this.#crew.get(containerId);
    if (live?.state !== 'ready' || live.suspicion) return;
    live.suspicion = this.#investigate(live).finally(() => {
      live.suspicion = undefined;
    });
  }

  /**
   * Stops the container if it sleeps still; resolves when it has ended, unless it serves. At once, not in turn: the one
   * that asks is taking its own turn. Errors: `store_unavailable`.
   */
  async reclaim(containerId: string, reason: string): Promise<void> {
    const live = this.#crew.get(containerId);
    if (live?.state === 'paused') this.#crew.retire(live, reason, { graceMs: RECLAIM_GRACE_MS });
    await live?.gone;
    await this.#context.outbox.recorded(containerId);
  }

  /** Starts nothing any more and ends what is starting; what serves or sleeps is left as it is, for the next program. */
  async halt(reason: string, giveUp: AbortSignal): Promise<void> {
    this.#closing.abort();
    const error = new PlatformError('shutting_down', reason, { retryAfterMs: 5_000 });
    const starting = this.#crew.all().filter((live) => live.state === 'starting');
    for (const live of starting) live.abort.abort(error);
    await orAborted(this.#turn, giveUp);
    await orAborted(Promise.all(starting.flatMap((live) => live.gone ?? [])), giveUp);
  }

  /** Ends everything; resolves when all is stopped and removed, or `giveUp` aborts. */
  async close(reason: string, giveUp: AbortSignal): Promise<void> {
    await this.halt(reason, giveUp);
    await this.#crew.clear(reason, giveUp);
  }

  // Waking and starting (in turn).

  async #wake(): Promise<Activation> {
    await this.#crew.current?.suspicion;
    const current = this.#crew.current;
    if (current?.state === 'ready') {
      this.#crew.publish();
      return this.#activation('warm', current, {});
    }
    if (current?.state === 'paused') {
      // A sleeper that is due to go is not woken: the request starts what is to run now.
      const upkeep = this.#decide(current);
      if (upkeep?.action === 'stop') this.#crew.retire(current, upkeep.reason);
      else {
        const resumeMs = await this.#resume(current);
        if (resumeMs !== undefined) return this.#activation('resumed', current, { resume: resumeMs });
      }
    }
    return this.#startWithRetries();
  }

  async #resume(live: Live): Promise<number | undefined> {
    const { engine, clock, outbox, log } = this.#context;
    const beganMs = clock.monotonicMs();
    live.state = 'waking';
    try {
      await engine.unpause(live.id);
    } catch (thrown) {
      if (!still(live, 'waking')) return undefined;
      if (isPlatformError(thrown, 'engine_unavailable')) {
        live.state = 'paused';
        throw thrown;
      }
      log.warn({ containerId: live.id, err: thrown }, 'a paused container could not be resumed');
      this.#crew.lose(live, `it could not be resumed: ${PlatformError.from(thrown).message}`);
      return undefined;
    }
    if (!still(live, 'waking')) return undefined; // it died, or was told to go, at that moment
    const resumeMs = clock.monotonicMs() - beganMs;
    this.#serve(live);
    outbox.report(live.id, { state: 'ready', reason: 'a request came', phasesMs: { resume: resumeMs } });
    return resumeMs;
  }

  async #startWithRetries(): Promise<Activation> {
    const { clock } = this.#context;
    const beganMs = clock.nowMs();
    if (this.#blockedUntilMs > beganMs) {
      const retryAfterMs = this.#blockedUntilMs - beganMs;
      throw new PlatformError('start_backoff', 'the app failed to start and is tried again later', {
        retryAfterMs,
      });
    }
    for (;;) {
      try {
        const { live, phasesMs } = await this.#startOne('a request came', false);
        return this.#activation('started', live, { ...phasesMs });
      } catch (thrown) {
        const error = PlatformError.from(thrown);
        if (!blamesApp(error)) throw error;
        this.#failures++;
        const patienceMs = this.#spec?.app.policy.startTimeoutMs ?? 0;
        const remainingMs = patienceMs - (clock.nowMs() - beganMs);
        const retry = decideRetry({ failures: this.#failures, retryable: isRetryable(error), remainingMs });
        if (retry.action === 'giveUp') {
          this.#block(error.message, retry.backoffMs);
          // The owner reads why in the events; a visitor need not know.
          const options = { cause: error, retryAfterMs: retry.backoffMs };
          throw new PlatformError('start_failed', 'the app could not be started', options);
        }
        await sleep(clock, retry.afterMs, this.#closing.signal).catch(() => {
          throw new PlatformError('shutting_down', 'the node is stopping', { cause: error });
        });
      }
    }
  }

  #block(why: string, backoffMs: number): void {
    const { clock, deadlines } = this.#context;
    this.#blockedUntilMs = clock.nowMs() + backoffMs;
    deadlines.set(`backoff ${this.#appId}`, this.#blockedUntilMs, () => this.#checkIdle());
    this.#tell('app.start_backoff', `no further start for ${backoffMs} ms: ${why}`, {
      failures: this.#failures,
      backoffMs,
    });
  }

  #unblock(): void {
    this.#blockedUntilMs = 0;
    this.#context.deadlines.cancel(`backoff ${this.#appId}`);
  }

  async #startOne(reason: string, successor: boolean): Promise<{ live: Live; phasesMs: PhasesMs }> {
    const { clock, outbox } = this.#context;
    const placeBeganMs = clock.monotonicMs();
    // What became of the containers before has to be known before a new one is asked for.
    await this.#crew.recorded();
    const request = { appId: this.#appId, reason, successor };
    const { spec, container } = await place(this.#context, request, this.#closing.signal);
    this.#use(spec);
    const placeMs = clock.monotonicMs() - placeBeganMs;

    const live = this.#crew.add(container, 'starting');
    if (successor) this.#crew.next = live;
    else this.#crew.current = live;
    if (this.#closing.signal.aborted)
      live.abort.abort(new PlatformError('shutting_down', 'the node is stopping'));
    if (this.#crew.deleted) live.abort.abort(new PlatformError('not_found', 'the app was deleted'));
    outbox.report(live.id, { state: 'starting', reason });
    try {
      const phasesMs = { place: placeMs, ...(await startContainer(this.#context, live, spec)) };
      live.abort.signal.throwIfAborted(); // it was called off, or the container died, at the last moment
      live.readyAtMs = clock.nowMs();
      this.#serve(live);
      outbox.report(live.id, {
        state: 'ready',
        reason: 'it accepts connections',
        address: live.address,
        phasesMs,
      });
      return { live, phasesMs };
    } catch (thrown) {
      const error = PlatformError.from(thrown);
      this.#crew.fail(live, blamesApp(error) ? 'failed' : 'stopped', error.message);
      await live.told;
      throw error;
    }
  }

  #serve(live: Live): void {
    live.state = 'ready';
    live.lastActiveAtMs = this.#context.clock.nowMs();
    this.#crew.publish();
    this.#schedule(live);
  }

  // Sleep, age, replacement (in turn).

  #decide(live: Live): Upkeep | undefined {
    const { engine, clock } = this.#context;
    if (!this.#spec || (live.state !== 'ready' && live.state !== 'paused')) return undefined;
    const input = {
      container: { ...live.container, state: live.state },
      lastActiveAtMs: live.lastActiveAtMs,
      app: this.#spec.app,
      size: this.#spec.size,
      revision: this.#spec.revision,
      canPause: engine.capabilities.pause,
      notBeforeMs: live.replaceNotBeforeMs,
    };
    return decideUpkeep(input, clock.nowMs());
  }

  #schedule(live: Live): void {
    const { deadlines, clock } = this.#context;
    const upkeep = this.#decide(live);
    if (!upkeep) return;
    const atMs = upkeep.action === 'none' ? upkeep.nextAtMs : clock.nowMs();
    deadlines.set(live.id, atMs, () => {
      this.#inTurn(() => this.#keepUp(live)).catch((thrown: unknown) => {
        this.#context.log.error({ containerId: live.id, err: thrown }, 'upkeep failed');
      });
    });
  }

  async #keepUp(live: Live): Promise<void> {
    const upkeep =
      live === this.#crew.current && !this.#closing.signal.aborted ? this.#decide(live) : undefined;
    if (!upkeep) return;
    if (upkeep.action === 'pause') {
      if (await this.#takeOutOfUse(live, upkeep.idleSinceMs)) await this.#pause(live, upkeep.reason);
    } else if (upkeep.action === 'stop') {
      const unused = live.state === 'paused' || (await this.#takeOutOfUse(live, upkeep.idleSinceMs));
      if (unused) this.#crew.retire(live, upkeep.reason);
    } else if (upkeep.action === 'replace') await this.#replace(live, upkeep.reason);
    this.#schedule(live);
  }

  /** Whether it was idle and now gets no requests; whoever comes from here on asks to wake it, after this turn. */
  async #takeOutOfUse(live: Live, onlyIfIdleSinceMs: number): Promise<boolean> {
    live.state = 'pausing';
    const result = await this.#context.dataPlanes.drain(live.id, { onlyIfIdleSinceMs });
    if (!still(live, 'pausing')) return false;
    if (result.drained) return true;
    live.state = 'ready';
    live.lastActiveAtMs = Math.max(live.lastActiveAtMs, result.lastActiveAtMs);
    this.#crew.publish();
    return false;
  }

  async #pause(live: Live, reason: string): Promise<void> {
    const { engine, outbox, log } = this.#context;
    try {
      await engine.pause(live.id);
    } catch (thrown) {
      if (!still(live, 'pausing')) return;
      log.warn({ containerId: live.id, err: thrown }, 'an idle container could not be paused');
      const gone = isPlatformError(thrown, 'not_found') || isPlatformError(thrown, 'invalid_transition');
      if (gone) this.#crew.lose(live, 'it is not running any more');
      else this.#serve(live);
      return;
    }
    if (!still(live, 'pausing')) return;
    live.state = 'paused';
    outbox.report(live.id, { state: 'paused', reason });
    this.#crew.publish();
  }

  async #replace(old: Live, reason: string): Promise<void> {
    try {
      await this.#startOne(reason, true);
    } catch (thrown) {
      const error = PlatformError.from(thrown);
      const failures = ++old.failedReplacements;
      const retry = decideRetry({ failures, retryable: false, remainingMs: 0 });
      const backoffMs = retry.action === 'giveUp' ? retry.backoffMs : 0;
      old.replaceNotBeforeMs = this.#context.clock.nowMs() + backoffMs;
      if (error.code === 'shutting_down' || this.#crew.deleted) return;
      const why = `the old container goes on serving; its successor (${reason}) failed: ${error.message}`;
      this.#tell('app.replacement_failed', why, { failures, backoffMs });
      return;
    }
    const successor = this.#crew.next;
    if (!successor) return; // it died as soon as it was ready
    this.#crew.next = undefined;
    this.#crew.current = successor;
    this.#crew.retire(old, reason);
    this.#crew.publish();
  }

  // At any time.

  async #investigate(live: Live): Promise<void> {
    const { engine, readiness } = this.#context;
    // With the engine away, what matters is whether the container can be reached.
    const found = await engine.inspect(live.id).catch(() => undefined);
    if (!still(live, 'ready')) return;
    if (found && found.status !== 'running') {
      this.#crew.lose(live, 'it is not running any more');
      return;
    }
    try {
      if (!live.address) throw new PlatformError('start_failed', 'it has no address');
      const options = { timeoutMs: SUSPECT_TIMEOUT_MS, signal: this.#closing.signal };
      await readiness.waitUntilListening({ address: live.address, probe: { type: 'tcp' } }, options);
      this.#crew.publish();
    } catch {
      // What it has accepted before, it may still be working on.
      if (!this.#closing.signal.aborted)
        this.#crew.retire(live, 'it does not accept connections any more', { end: 'failed' });
    }
  }

  /** A container that dies as soon as it is ready has failed to start, in effect. */
  #died(live: Live, reason: string, livedMs: number): void {
    if (livedMs >= EARLY_DEATH_MS) return;
    this.#failures++;
    const retry = decideRetry({ failures: this.#failures, retryable: true, remainingMs: Infinity });
    if (retry.action === 'giveUp') this.#block(`${live.id}: ${reason}`, retry.backoffMs);
  }

  /** What a plan was made on may be older than what the change feed has told since. */
  #use(spec: SizedSpec): void {
    if (this.#spec && this.#spec.app.generation > spec.app.generation) return;
    this.#spec = spec;
    this.#crew.concurrencyLimit = spec.app.policy.concurrency.limit;
    this.#crew.drainTimeoutMs = spec.app.policy.drainTimeoutMs;
  }

  #activation(kind: Activation['kind'], live: Live, phasesMs: Activation['phasesMs']): Activation {
    return { endpoints: this.#crew.endpoints(), kind, containerId: live.id, phasesMs };
  }

  #tell(type: string, reason: string, figures: Record<string, number>): void {
    const { core, log } = this.#context;
    core.event({ type, appId: this.#appId, containerId: null, reason, figures }).catch((thrown: unknown) => {
      log.warn({ appId: this.#appId, type, reason, err: thrown }, 'an event could not be recorded');
    });
  }

  #inTurn<T>(work: () => Promise<T>): Promise<T> {
    this.#turns++;
    const turn = this.#turn.then(work);
    this.#turn = turn
      .catch(() => undefined)
      .then(() => {
        this.#turns--;
        this.#checkIdle();
      });
    return turn;
  }

  #checkIdle(): void {
    if (this.idle) this.#onIdle();
  }
}

/** Whether nothing else has happened to it while we waited. */
function still(live: Live, state: Live['state']): boolean {
  return live.state === state;
}

/** Whether the app itself is at fault; an engine or a database that is away says nothing about the app. */
function blamesApp({ code }: PlatformError): boolean {
  return (
    code === 'start_failed' || code === 'image_not_found' || code === 'unsupported' || code === 'internal'
  );
}

/** Whether another attempt could end differently: an absent image stays absent. */
function isRetryable({ code }: PlatformError): boolean {
  return code === 'start_failed' || code === 'internal';
}
