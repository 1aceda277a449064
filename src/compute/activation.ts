/**
 * What a request that finds nobody ready waits for: one flight, whoever asks and however many. Whatever is on its way
 * already will do; else a sleeper is woken, else a container is started, and started again while the visitors have patience.
 */
import { sleep } from '../clock.ts';
import { wantedReplicas } from '../coreapi/decisions/size.ts';
import { isPlatformError, PlatformError } from '../errors.ts';
import type { Activation } from '../proxy/control-plane.ts';
import type { AppOnNode } from './app-on-node.ts';
import type { Failures } from './failures.ts';
import type { Awakening, Live } from './live.ts';
import { blamesApp, isRetryable, type Starter } from './starter.ts';

export interface ActivatorOptions {
  readonly app: AppOnNode;
  readonly starter: Starter;
  readonly failures: Failures;
  /** Looks what is to be done, now: sleepers are woken, or ended where they are not what should run. */
  readonly look: () => void;
}

export class Activator {
  readonly #options: ActivatorOptions;
  #flight: Promise<Activation> | undefined;
  /** This flight has had the app woken, where nobody else was about to. */
  #hasWoken = false;

  constructor(options: ActivatorOptions) {
    this.#options = options;
  }

  /** Whether somebody waits. */
  get flight(): Promise<Activation> | undefined {
    return this.#flight;
  }

  /** Errors: as `ControlPlane.activate`. */
  activate(): Promise<Activation> {
    this.#flight ??= this.#wake().finally(() => {
      this.#flight = undefined;
      this.#count();
      this.#options.app.changed();
    });
    return this.#flight;
  }

  async #wake(): Promise<Activation> {
    const { app, starter, look } = this.#options;
    const { crew } = app;
    await Promise.resolve(); // from here on everybody sees that somebody waits
    // Who became ready before that has not been waited for.
    const earlier = new Set(crew.all().map(({ awakening }) => awakening));
    for (;;) {
      const ready = crew.ready();
      if (ready.some(({ suspicion }) => suspicion === undefined)) {
        crew.publish();
        return this.#activation(ready, earlier);
      }
      await Promise.all(ready.flatMap(({ suspicion }) => suspicion ?? []));
      if (ready.length > 0) continue;
      if (this.#isAsleep) this.#admit();
      look();
      const underWay = [...crew.changes(), ...starter.underWay];
      if (underWay.length > 0) {
        const failed = await Promise.race(underWay);
        // A container that sleeps is there to be woken: nothing else is tried while its engine, or what it needs, is away.
        if (isPlatformError(failed) && crew.ready().length === 0) throw failed;
        continue;
      }
      const live = await this.#start();
      if (live) return this.#activation([live], earlier);
    }
  }

  /** Its containers are paused, and nobody has done anything about that yet. */
  get #isAsleep(): boolean {
    const { app, starter } = this.#options;
    return (
      starter.underWay.length === 0 &&
      app.crew.changes().length === 0 &&
      app.crew.all().some(({ state }) => state === 'paused')
    );
  }

  /** From here on this is a wake, once for the flight. Errors: `wake_limit`. */
  #admit(): void {
    const { app } = this.#options;
    const { policy, size, context } = app;
    // What is to run without visitors, or for another app, is not run for them.
    if (this.#hasWoken || app.isKept || (policy && wantedReplicas(policy, size, false) > 0)) return;
    const retryAfterMs = context.wakeLimits.notBeforeMs(app.appId) - context.clock.nowMs();
    if (retryAfterMs > 0) {
      throw new PlatformError('wake_limit', 'the app has been woken as often as its policy allows', {
        hint: 'policy.wake.perMinute is the limit',
        retryAfterMs,
      });
    }
    this.#hasWoken = true;
  }

  /** At the end, because what is asleep here is known only once something has been placed. */
  #count(): void {
    const { app } = this.#options;
    if (!this.#hasWoken) return;
    this.#hasWoken = false;
    const { wakeLimits, clock } = app.context;
    wakeLimits.woken(app.appId, app.spec?.app.policy.wake.perMinute ?? null, clock.nowMs());
  }

  async #start(): Promise<Live | undefined> {
    const { app, starter, failures } = this.#options;
    const { clock } = app.context;
    const beganMs = clock.nowMs();
    const backoff = failures.first;
    if (backoff.notBeforeMs > beganMs) {
      const retryAfterMs = backoff.notBeforeMs - beganMs;
      throw new PlatformError('start_backoff', 'the app failed to start and is tried again later', {
        retryAfterMs,
      });
    }
    this.#admit();
    for (;;) {
      try {
        return await starter.start({ reason: 'a request came' });
      } catch (thrown) {
        const error = PlatformError.from(thrown);
        if (!blamesApp(error)) throw error;
        const patienceMs = (app.spec?.app.policy.startTimeoutMs ?? 0) - (clock.nowMs() - beganMs);
        const retry = backoff.failed(clock.nowMs(), { isRetryable: isRetryable(error), patienceMs });
        if (retry.action === 'giveUp') {
          failures.leaveAlone(error.message, retry.backoffMs);
          // The owner reads why in the events; a visitor need not know.
          const options = { cause: error, retryAfterMs: retry.backoffMs };
          throw new PlatformError('start_failed', 'the app could not be started', options);
        }
        await sleep(clock, retry.afterMs, app.closing.signal).catch(() => {
          throw new PlatformError('shutting_down', 'the node is stopping', { cause: error });
        });
      }
    }
  }

  /** `warm` where one of them was ready before anybody asked. */
  #activation(ready: readonly Live[], earlier: ReadonlySet<Awakening | undefined>): Activation {
    const endpoints = this.#options.app.crew.endpoints();
    const live = ready.find(({ awakening }) => earlier.has(awakening)) ?? ready[0];
    const containerId = live?.id ?? '';
    const awakening = live?.awakening;
    if (!awakening || earlier.has(awakening)) return { endpoints, kind: 'warm', containerId, phasesMs: {} };
    return { endpoints, kind: awakening.kind, containerId, phasesMs: { ...awakening.phasesMs } };
  }
}
