/**
 * A worker without a process: the worker's half and the control process's half of src/proxy/workers, and between them two
 * pipes that carry JSON and deliver it at once, or when the test says so.
 */
import type { Clock } from '../../src/clock.ts';
import type { Activation, ControlPlane } from '../../src/proxy/control-plane.ts';
import { Dispatcher } from '../../src/proxy/dispatcher.ts';
import type { DispatchLimits } from '../../src/proxy/limits.ts';
import { Channel } from '../../src/proxy/workers/channel.ts';
import type { Batch } from '../../src/proxy/workers/channel.ts';
import type { ControlSpeech, WorkerSpeech } from '../../src/proxy/workers/protocol.ts';
import { RemoteControlPlane } from '../../src/proxy/workers/remote-control-plane.ts';
import { RemoteDataPlane } from '../../src/proxy/workers/remote-data-plane.ts';
import type { SlotLedger } from '../../src/proxy/workers/slot-ledger.ts';

/** What has been sent and not delivered yet, one way. */
export class Pipe {
  /** Every batch that went through. */
  readonly sent: Batch[] = [];
  readonly #receive: (batch: Batch) => void;
  readonly #manual: boolean;
  readonly #underway: { readonly text: string; readonly taken: () => void }[] = [];

  constructor(manual: boolean, receive: (batch: Batch) => void) {
    this.#manual = manual;
    this.#receive = receive;
  }

  get size(): number {
    return this.#underway.length;
  }

  send = (batch: Batch, taken: () => void): void => {
    this.sent.push(batch);
    this.#underway.push({ text: JSON.stringify(batch), taken });
    if (!this.#manual) queueMicrotask(() => this.deliver());
  };

  /** Delivers the oldest message. */
  deliver(): void {
    const message = this.#underway.shift();
    if (message === undefined) return;
    message.taken();
    this.#receive(JSON.parse(message.text) as Batch);
  }
}

export interface LinkOptions {
  readonly control: ControlPlane;
  readonly clock: Clock;
  readonly ledger: SlotLedger;
  readonly workers: number;
  readonly reported?: WeakSet<Activation>;
  readonly limits?: Partial<DispatchLimits>;
  /** Messages wait until `deliver` is called on their pipe. */
  readonly manual?: boolean;
  /** The worker's own clock: its timers may have to die with it. */
  readonly workerClock?: Clock;
  readonly onStuck?: (reason: string) => void;
}

export class LinkedWorker {
  /** As the control process sees it. */
  readonly plane: RemoteDataPlane;
  /** As the worker sees the control process. */
  readonly remote: RemoteControlPlane;
  readonly dispatcher: Dispatcher;
  readonly toWorker: Pipe;
  readonly toControl: Pipe;
  readonly failures: unknown[] = [];
  #dead = false;

  constructor(options: LinkOptions) {
    const { control, clock, ledger, workers, manual = false, onStuck = () => undefined } = options;
    const common = {
      defer: queueMicrotask,
      failed: (error: unknown) => this.failures.push(error),
      stuck: onStuck,
    };
    this.toWorker = new Pipe(manual, (batch) => {
      if (!this.#dead) this.remote.channel.receive(batch);
    });
    this.toControl = new Pipe(manual, (batch) => {
      if (!this.#dead) this.plane.channel.receive(batch);
    });
    this.remote = new RemoteControlPlane({
      workers,
      channel: (hearing) =>
        new Channel<WorkerSpeech, ControlSpeech>({ ...common, hearing, send: this.toControl.send }),
      snapshot: () => Promise.reject(new Error('a linked worker has no transport')),
      changeCertificates: () => undefined,
    });
    const { shares } = this.remote;
    this.dispatcher = new Dispatcher({
      ...{ control: this.remote, clock: options.workerClock ?? clock, shares, limits: options.limits },
    });
    this.plane = new RemoteDataPlane({
      ...{ control, clock, ledger, reported: options.reported ?? new WeakSet() },
      channel: (hearing) =>
        new Channel<ControlSpeech, WorkerSpeech>({
          ...{ ...common, hearing, send: this.toWorker.send },
          acknowledge: { clock, withinMs: 10_000 },
        }),
    });
  }

  /** kill -9: it says and hears nothing any more, and the control process learns of it. */
  die(): void {
    this.vanish();
    this.plane.gone();
  }

  /** As `die`, with nobody left who could learn of it. */
  vanish(): void {
    this.#dead = true;
    this.remote.channel.close();
  }
}
