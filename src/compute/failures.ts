/**
 * Starts that failed, and what that holds back. There are two kinds. While nobody serves, a failure is the visitors': the app
 * is left alone for longer and longer, and they are told so. Beside containers that serve it is nobody's loss: further starts
 * wait, and nothing is held against the app itself.
 */
import { EARLY_DEATH_MS } from '../coreapi/decisions/backoff.ts';
import type { PlatformError } from '../errors.ts';
import { formatDuration } from '../units.ts';
import type { AppOnNode } from './app-on-node.ts';
import { Backoff } from './backoff.ts';
import type { Live } from './live.ts';
import { blamesApp, isRetryable, type StartRequest } from './starter.ts';

export class Failures {
  /** Of starts while nobody serves. */
  readonly first = new Backoff();
  /** Of starts beside containers that serve. */
  readonly #further = new Backoff();
  /** Of wake-ups that nobody waited for: the engine was away. */
  readonly #waking = new Backoff();
  readonly #app: AppOnNode;

  constructor(app: AppOnNode) {
    this.#app = app;
  }

  /** No container is started before, epoch ms. */
  get startNotBeforeMs(): number {
    return Math.max(this.#further.notBeforeMs, this.#isServed ? 0 : this.first.notBeforeMs);
  }

  /** No container is woken before, unless somebody waits; epoch ms. */
  get wakeNotBeforeMs(): number {
    return this.#waking.notBeforeMs;
  }

  wakeFailed(): void {
    this.#waking.failed(this.#app.context.clock.nowMs(), { isRetryable: false, patienceMs: 0 });
  }

  get #isServed(): boolean {
    return this.#app.crew.ready().length > 0;
  }

  /** A container serves no more. */
  lived(livedMs: number): void {
    if (livedMs < EARLY_DEATH_MS) return;
    this.first.succeeded();
    this.#further.succeeded();
  }

  /** A container that dies as soon as it is ready has failed to start, in effect. */
  died(live: Live, reason: string, livedMs: number): void {
    if (livedMs >= EARLY_DEATH_MS || !this.#app.isCurrent(live)) return;
    const nowMs = this.#app.context.clock.nowMs();
    if (this.#isServed) {
      this.#further.failed(nowMs, { isRetryable: false, patienceMs: 0 });
      return;
    }
    const retry = this.first.failed(nowMs, { isRetryable: true, patienceMs: Infinity });
    if (retry.action === 'giveUp') this.leaveAlone(`${live.id}: ${reason}`, retry.backoffMs);
  }

  /** A start that no visitor waited for failed. */
  startFailed({ reason, succeeds }: StartRequest, error: PlatformError): void {
    const { crew, closing, context } = this.#app;
    if (crew.deleted || closing.signal.aborted) return;
    const nowMs = context.clock.nowMs();
    if (!this.#isServed && blamesApp(error)) {
      const retry = this.first.failed(nowMs, { isRetryable: isRetryable(error), patienceMs: 0 });
      if (retry.action === 'giveUp') this.leaveAlone(error.message, retry.backoffMs);
      return;
    }
    const retry = this.#further.failed(nowMs, { isRetryable: false, patienceMs: 0 });
    const backoffMs = retry.action === 'giveUp' ? retry.backoffMs : 0;
    const figures = { code: error.code, failures: this.#further.failures, backoffMs };
    if (succeeds) {
      const why = `the old container goes on serving; its successor (${reason}) failed: ${error.message}`;
      this.#app.tell('app.replacement_failed', why, figures);
    } else {
      const why = `a further container (${reason}) could not be started: ${error.message}`;
      this.#app.tell('scale.failed', why, { ...figures, ready: crew.ready().length });
    }
  }

  /** Nobody serves and starting does not help: the app is left alone for a while, then the next request tries again. */
  leaveAlone(why: string, backoffMs: number): void {
    const { deadlines } = this.#app.context;
    deadlines.set(this.#key, this.first.notBeforeMs, () => this.#app.changed());
    this.#app.tell('app.start_backoff', `no further start for ${formatDuration(backoffMs)}: ${why}`, {
      failures: this.first.failures,
      backoffMs,
    });
    this.#app.fellAsleep();
  }

  /** What is started next is another thing: nothing is held against it. */
  clear(): void {
    this.first.clear();
    this.#further.clear();
    this.#app.context.deadlines.cancel(this.#key);
  }

  get #key(): string {
    return `backoff ${this.#app.appId}`;
  }
}
