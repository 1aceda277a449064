/**
 * One worker, seen from the control process: it is started, loaded, told where to listen, spoken to as a data plane, and
 * ends. What it is told goes over its channel, nothing over its command line or its environment.
 */
import { fork } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import type { Clock } from '../../clock.ts';
import { PlatformError } from '../../errors.ts';
import type { Log } from '../../log.ts';
import type { Activation, ControlPlane } from '../control-plane.ts';
import type { CertificateChange } from '../doors/certificates.ts';
import type { ProxySnapshot } from '../snapshot.ts';
import { Channel } from './channel.ts';
import type { Hearing } from './channel.ts';
import { PROTOCOL } from './protocol.ts';
import type { CloseRequest, ControlSpeech, FromWorker, ToWorker, WorkerSpeech } from './protocol.ts';
import { RemoteDataPlane } from './remote-data-plane.ts';
import type { SlotLedger } from './slot-ledger.ts';
import type { DataPlaneSettings } from './settings.ts';
import type { WorkerPlace } from './sockets.ts';
import { fromWire } from './wire-error.ts';

const ENTRY = join(import.meta.dirname, 'worker-main.ts');
/** What a worker is not to know: it needs no token, and its memory is full of strangers' bytes. */
const SECRETS = ['MAYFLY_OPERATOR_TOKEN', 'MAYFLY_TOKEN'];
/** From its start until it listens. */
const START_TIMEOUT_MS = 30_000;
/** A worker that has acknowledged nothing for so long is killed. As often it is asked whether it is there. */
const SILENCE_MS = 10_000;
/** Beyond its grace, for closing what it then breaks. */
const CLOSE_MARGIN_MS = 3_000;

export interface WorkerProcessOptions {
  /** 1 … `workers`: its place. */
  readonly number: number;
  readonly workers: number;
  readonly place: WorkerPlace;
  /** Read when the worker is ready for them. */
  readonly settings: () => DataPlaneSettings;
  readonly control: ControlPlane;
  readonly ledger: SlotLedger;
  readonly reported: WeakSet<Activation>;
  readonly clock: Clock;
  readonly log: Log;
}

export class WorkerProcess {
  readonly number: number;
  /** Resolves when the process has ended and all that was in flight there is accounted for. */
  readonly ended: Promise<void>;
  /** What it had counted when it was last asked; all of it, once it has closed. */
  lastSnapshot: ProxySnapshot | undefined;
  readonly #options: WorkerProcessOptions;
  readonly #child: ChildProcess;
  readonly #listening = Promise.withResolvers<undefined>();
  #plane: RemoteDataPlane | undefined;
  #closing: Promise<void> | undefined;
  #cancelProbe: (() => void) | undefined;

  constructor(options: WorkerProcessOptions) {
    const { number, place } = options;
    this.number = number;
    this.#options = options;
    const env = Object.fromEntries(Object.entries(process.env).filter(([name]) => !SECRETS.includes(name)));
    // The number is for whoever looks at the list of processes.
    this.#child = fork(ENTRY, [String(number)], {
      env,
      stdio: ['ignore', 'inherit', 'inherit', 'ipc', ...place.fds],
    });
    this.#child.on('message', (message) => this.#hear(message as FromWorker));
    this.ended = this.#watchEnd();
  }

  /**
   * Resolves when it serves. Errors: what listening gives, with its `code`; `internal` where it ends, or takes too long,
   * before it listens. It has ended then.
   */
  async listening(): Promise<void> {
    const { clock, number } = this.#options;
    const cancel = clock.after(START_TIMEOUT_MS, () =>
      this.#listening.reject(
        new PlatformError('internal', `worker ${number} did not listen within ${START_TIMEOUT_MS} ms`),
      ),
    );
    try {
      await this.#listening.promise;
    } catch (thrown) {
      this.kill();
      await this.ended;
      throw thrown;
    } finally {
      cancel();
    }
  }

  get pid(): number {
    return this.#child.pid ?? 0;
  }

  /** Whether it was told to end. */
  get closing(): boolean {
    return this.#closing !== undefined;
  }

  /** What it has counted since its start. Errors: `shutting_down` if it ends before it answers. */
  async snapshot(): Promise<ProxySnapshot | undefined> {
    this.lastSnapshot = (await this.#plane?.snapshot()) ?? this.lastSnapshot;
    return this.lastSnapshot;
  }

  /** For TLS connections that come from now on; one that has not been told its settings yet finds the change in them. */
  changeCertificates(change: CertificateChange): void {
    this.#plane?.changeCertificates(change);
  }

  /** It finishes what it has in flight, as far as `graceMs` reach, and ends; resolves when it has. */
  close(request: CloseRequest): Promise<void> {
    this.#closing ??= this.#close(request);
    return this.#closing;
  }

  /** Takes back what time it was given: it has `graceMs` from now on. */
  hurry(graceMs: number): Promise<void> {
    if (this.#closing === undefined) return this.close({ graceMs, patient: false });
    return this.#close({ graceMs, patient: false });
  }

  kill(): void {
    this.#child.kill('SIGKILL');
  }

  async #close(request: CloseRequest): Promise<void> {
    const { clock, log, number } = this.#options;
    this.#send({ type: 'close', ...request });
    const cancel = clock.after(request.graceMs + CLOSE_MARGIN_MS, () => {
      log.warn({ worker: number, pid: this.pid }, 'a worker did not end in time; it is killed');
      this.kill();
    });
    await this.ended;
    cancel();
  }

  #send(message: ToWorker, taken: (error?: Error | null) => void = () => undefined): void {
    if (this.#child.connected) this.#child.send(message, undefined, {}, taken);
    else taken();
  }

  #hear(message: FromWorker): void {
    switch (message.type) {
      case 'loaded':
        this.#begin(message.protocol);
        return;
      case 'batch':
        this.#plane?.channel.receive(message.batch);
        return;
      case 'listening':
        this.#listening.resolve(undefined);
        return;
      case 'failed': {
        const error = fromWire(message.error);
        this.#listening.reject(
          message.errno === undefined
            ? error
            : Object.assign(new Error(error.message), { code: message.errno }),
        );
        return;
      }
      case 'closed':
        this.lastSnapshot = message.snapshot;
    }
  }

  #begin(protocol: number): void {
    const { number, workers, place, settings, control, clock, ledger, reported } = this.#options;
    if (protocol !== PROTOCOL) {
      this.#listening.reject(
        new PlatformError(
          'internal',
          `the program on the disk speaks version ${protocol} of the workers' protocol, this one ${PROTOCOL}`,
          {
            hint: 'Restart the program as a whole: it cannot replace its workers by those of another version.',
          },
        ),
      );
      return;
    }
    this.#send({ type: 'start', worker: number, workers, listen: place.listen, settings: settings() });
    this.#plane = new RemoteDataPlane({
      ...{ control, clock, ledger, reported },
      channel: (hearing) => this.#channel(hearing),
    });
    this.#probe(this.#plane.channel);
  }

  /** One that is told nothing for hours may be stuck all the same, and the kernel goes on giving it connections. */
  #probe(channel: RemoteDataPlane['channel']): void {
    this.#cancelProbe = this.#options.clock.after(SILENCE_MS, () => {
      channel.probe();
      this.#probe(channel);
    });
  }

  #channel(hearing: Hearing<WorkerSpeech>): Channel<ControlSpeech, WorkerSpeech> {
    const { clock, log, number } = this.#options;
    return new Channel<ControlSpeech, WorkerSpeech>({
      hearing,
      send: (batch, taken) => this.#send({ type: 'batch', batch }, taken),
      defer: setImmediate,
      failed: (error) =>
        log.error({ worker: number, err: error }, 'what a worker said could not be dealt with'),
      stuck: (reason) => {
        log.error({ worker: number, pid: this.pid, reason }, 'a worker is stuck; it is killed');
        this.kill();
      },
      acknowledge: { clock, withinMs: SILENCE_MS },
    });
  }

  async #watchEnd(): Promise<void> {
    const { log, number } = this.#options;
    const child = this.#child;
    const { code, signal } = await new Promise<{ code: number | null; signal: string | null }>((resolve) => {
      child.once('exit', (exitCode, exitSignal) => resolve({ code: exitCode, signal: exitSignal }));
      child.once('error', (error) => {
        log.error({ worker: number, err: error }, 'a worker could not be started');
        if (child.pid === undefined) resolve({ code: null, signal: null });
      });
    });
    // Its last words may still be on their way.
    if (child.connected) await once(child, 'disconnect');
    this.#cancelProbe?.();
    this.#plane?.gone();
    this.#listening.reject(
      new PlatformError(
        'internal',
        `worker ${number} ended before it listened (${signal ?? code ?? 'not started'})`,
      ),
    );
    this.#listening.promise.catch(() => undefined); // whoever started it may not wait any more
    if (!this.closing) log.warn({ worker: number, pid: this.pid, code, signal }, 'a worker has ended');
  }
}
