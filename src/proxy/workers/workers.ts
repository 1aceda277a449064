/**
 * The data plane in several processes. Each place (1 … N) has one worker that takes connections: one that dies is replaced, and
 * all are replaced one after the other, by successors that serve before their predecessors stop taking connections.
 */
import type { Clock } from '../../clock.ts';
import { PlatformError } from '../../errors.ts';
import type { Log } from '../../log.ts';
import type { Activation, ControlPlane } from '../control-plane.ts';
import type { CertificateChange } from '../doors/certificates.ts';
import type { ProxySnapshot } from '../snapshot.ts';
import type { ProgramDataPlane, WorkerSnapshot } from './data-plane.ts';
import { respawnDelayMs, SETTLED_MS } from './respawn.ts';
import { SlotLedger } from './slot-ledger.ts';
import type { DataPlaneSettings, DoorsAt } from './settings.ts';
import { WorkerSockets } from './sockets.ts';
import type { Address } from './sockets.ts';
import { WorkerProcess } from './worker-process.ts';

export interface WorkersOptions {
  readonly control: ControlPlane;
  readonly clock: Clock;
  readonly log: Log;
  /** 1 … 64; 1 is no worker but this process. */
  readonly count: number;
  /** Port 0: any free one, the same for all. */
  readonly listen: DoorsAt<Address>;
  /** What each worker is told; asked anew for every one that is started. */
  readonly settings: () => DataPlaneSettings;
  /** How long a worker that is replaced may take to finish what it has in flight, WebSockets included. */
  readonly drainMs: number;
  /** False: workers bind for themselves, as where Node cannot do otherwise. */
  readonly keepSockets?: boolean | undefined;
}

export interface Workers extends ProgramDataPlane {
  /** Those that take connections. */
  readonly pids: readonly number[];
}

/** Resolves when all serve. Errors: what listening gives, e.g. EADDRINUSE; `internal` where a worker does not start. */
export async function startWorkers(options: WorkersOptions): Promise<Workers> {
  const sockets = await WorkerSockets.open(options.listen, options.count, options.keepSockets);
  const set = new WorkerSet(options, sockets);
  try {
    await set.start();
    return set;
  } catch (thrown) {
    await set.close({ graceMs: 0 });
    throw thrown;
  }
}

/** How long a snapshot is waited for. */
const SNAPSHOT_TIMEOUT_MS = 2_000;
/** Workers that have ended, whose last figures nobody has asked for yet. */
const MAX_LAST_FIGURES = 256;

interface Place {
  readonly number: number;
  current: WorkerProcess | undefined;
  /** Workers in a row that ended before they had settled. */
  failures: number;
  /** What is done to this place happens one after the other. */
  turn: Promise<unknown>;
}

class WorkerSet implements Workers {
  readonly port: number;
  readonly tlsPort: number | undefined;
  readonly #options: WorkersOptions;
  readonly #sockets: WorkerSockets;
  readonly #places: readonly Place[];
  readonly #ledger: SlotLedger;
  readonly #reported = new WeakSet<Activation>();
  /** Every process there is, those on their way out included. */
  readonly #living = new Set<WorkerProcess>();
  readonly #lastFigures: WorkerSnapshot[] = [];
  #restarting: Promise<void> | undefined;
  #restartAgain: Promise<void> | undefined;
  #closed: Promise<void> | undefined;
  readonly #closing = new AbortController();

  constructor(options: WorkersOptions, sockets: WorkerSockets) {
    this.#options = options;
    this.#sockets = sockets;
    this.port = sockets.port;
    this.tlsPort = sockets.tlsPort;
    this.#ledger = new SlotLedger(options.count);
    this.#places = Array.from({ length: options.count }, (_, index) => ({
      number: index + 1,
      current: undefined,
      failures: 0,
      turn: Promise.resolve(),
    }));
  }

  get pids(): readonly number[] {
    return this.#places.flatMap(({ current }) => (current === undefined ? [] : [current.pid]));
  }

  async start(): Promise<void> {
    const starts = await Promise.allSettled(this.#places.map((place) => this.#fill(place)));
    const failed = starts.find((one) => one.status === 'rejected');
    if (failed !== undefined) throw failed.reason as Error;
  }

  async snapshots(): Promise<readonly WorkerSnapshot[]> {
    const asked = [...this.#living].map(async (worker) => ({
      worker: worker.number,
      snapshot: await this.#snapshotOf(worker),
    }));
    const living = (await Promise.all(asked)).flatMap(({ worker, snapshot }) =>
      snapshot === undefined ? [] : [{ worker, snapshot }],
    );
    const counted = new Set(living.map(({ snapshot }) => snapshot.process.pid));
    const ended = this.#lastFigures.splice(0).filter(({ snapshot }) => !counted.has(snapshot.process.pid));
    return [...ended, ...living];
  }

  changeCertificates(change: CertificateChange): void {
    for (const worker of this.#living) worker.changeCertificates(change);
  }

  async #snapshotOf(worker: WorkerProcess): Promise<ProxySnapshot | undefined> {
    const { promise: late, resolve } = Promise.withResolvers<undefined>();
    const cancel = this.#options.clock.after(SNAPSHOT_TIMEOUT_MS, () => resolve(undefined));
    try {
      return (await Promise.race([worker.snapshot(), late])) ?? worker.lastSnapshot;
    } catch {
      return worker.lastSnapshot; // it has just ended
    } finally {
      cancel();
    }
  }

  restart(): Promise<void> {
    if (this.#restarting === undefined) {
      this.#restarting = this.#roll().finally(() => (this.#restarting = undefined));
      return this.#restarting;
    }
    this.#restartAgain ??= this.#restarting
      .catch(() => undefined)
      .then(() => {
        this.#restartAgain = undefined;
        return this.restart();
      });
    return this.#restartAgain;
  }

  close({ graceMs }: { readonly graceMs: number }): Promise<void> {
    this.#closed ??= this.#close(graceMs);
    return this.#closed;
  }

  async #close(graceMs: number): Promise<void> {
    this.#closing.abort();
    // Kept open, they would go on taking connections into their queues.
    this.#sockets.close();
    await Promise.all([...this.#living].map((worker) => worker.hurry(graceMs)));
    // What was being started when this began ends too.
    await Promise.all(this.#places.map(({ turn }) => turn.catch(() => undefined)));
    await Promise.all([...this.#living].map((worker) => worker.hurry(0)));
  }

  // ---- one place

  /**
   * A worker for this place; resolves with the one before, which still takes connections. `ifVacant`: none, if it has one by the time that
   * it is its turn.
   */
  #fill(place: Place, { ifVacant = false } = {}): Promise<WorkerProcess | undefined> {
    const filled = place.turn.then(async () => {
      this.#closing.signal.throwIfAborted();
      if (ifVacant && place.current !== undefined) return undefined;
      const worker = await this.#spawn(place);
      const before = place.current;
      place.current = worker;
      void this.#watch(place, worker);
      return before;
    });
    place.turn = filled.catch(() => undefined);
    return filled;
  }

  async #spawn({ number }: Place): Promise<WorkerProcess> {
    const { control, clock, log, count, settings } = this.#options;
    const worker = new WorkerProcess({
      ...{ number, workers: count, place: this.#sockets.at(number), settings, control, clock, log },
      ...{ ledger: this.#ledger, reported: this.#reported },
    });
    this.#living.add(worker);
    void worker.ended.then(() => this.#forget(worker));
    await worker.listening();
    return worker;
  }

  #forget(worker: WorkerProcess): void {
    this.#living.delete(worker);
    const { number, lastSnapshot: snapshot } = worker;
    if (snapshot !== undefined) this.#lastFigures.push({ worker: number, snapshot });
    if (this.#lastFigures.length > MAX_LAST_FIGURES) this.#lastFigures.shift();
  }

  /** Replaces it when it ends although nobody told it to. */
  async #watch(place: Place, worker: WorkerProcess): Promise<void> {
    const { clock, log } = this.#options;
    const startedMs = clock.monotonicMs();
    await worker.ended;
    if (place.current !== worker) return;
    place.current = undefined;
    if (clock.monotonicMs() - startedMs >= SETTLED_MS) place.failures = 0;
    while (this.#isVacant(place)) {
      const delayMs = respawnDelayMs(++place.failures);
      if (delayMs > 0) this.#sockets.release(place.number);
      await this.#pause(delayMs);
      if (!this.#isVacant(place)) return; // a restart of all has brought one
      try {
        await this.#fill(place, { ifVacant: true });
        log.info({ worker: place.number, delayMs }, 'a worker has been replaced');
      } catch (thrown) {
        if (this.#isVacant(place))
          log.error({ worker: place.number, err: thrown }, 'a worker could not be replaced');
      }
    }
  }

  #isVacant({ current }: Place): boolean {
    return current === undefined && !this.#closing.signal.aborted;
  }

  #pause(delayMs: number): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<undefined>();
    const cancel = this.#options.clock.after(delayMs, () => resolve(undefined));
    const { signal } = this.#closing;
    const stop = () => resolve(undefined);
    signal.addEventListener('abort', stop, { once: true });
    return promise.finally(() => {
      cancel();
      signal.removeEventListener('abort', stop);
    });
  }

  // ---- all of them

  async #roll(): Promise<void> {
    const { drainMs, log } = this.#options;
    const leaving: Promise<void>[] = [];
    try {
      for (const place of this.#places) {
        if (this.#closing.signal.aborted)
          throw new PlatformError('shutting_down', 'the workers are being stopped');
        const before = await this.#fill(place);
        place.failures = 0;
        if (before !== undefined) leaving.push(before.close({ graceMs: drainMs, patient: true }));
        log.info(
          { worker: place.number, pid: place.current?.pid, before: before?.pid },
          'a worker has a successor',
        );
      }
    } finally {
      await Promise.all(leaving);
    }
  }
}
