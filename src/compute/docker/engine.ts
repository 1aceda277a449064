/**
 * The Docker driver. What makes it quick is prepared ahead: a start takes a sandbox from the pool, whose address is known,
 * and then asks the engine two things, create and start. What makes it safe to kill is that nothing of it matters: every
 * container, sandbox and network carries the node's label, and `prepare` finds them again.
 */
import { systemClock } from '../../clock.ts';
import type { Clock } from '../../clock.ts';
import type { Resources } from '../../cmdb/records.ts';
import { PlatformError } from '../../errors.ts';
import { silentLog } from '../../log.ts';
import type { Log } from '../../log.ts';
import { setYields } from '../cpu-weight.ts';
import type {
  ContainerStats,
  Engine,
  EngineCapabilities,
  EngineContainer,
  ExitEvent,
  LogLine,
  LogOptions,
  PullProgress,
  ResolvedImage,
  StartSpec,
  Started,
} from '../engine.ts';
import { DockerApi, isFailure } from './api.ts';
import type { ContainerDetails, ContainerRow, DockerEvent, DockerFailure } from './api.ts';
import { limitsOf } from './container-spec.ts';
import { describe, hasProcess } from './describe.ts';
import { EventWatch } from './event-watch.ts';
import { Exits } from './exits.ts';
import { failed, unknown } from './failed.ts';
import { resolveImage } from './images.ts';
import { LABEL, ofContainer, ofNode } from './labels.ts';
import { LogReader } from './log-reader.ts';
import { Occupancy } from './occupancy.ts';
import { Pauses } from './pauses.ts';
import { Recovery } from './recovery.ts';
import { isNear } from './registry.ts';
import { SandboxPool } from './sandbox-pool.ts';
import { Sandboxes } from './sandboxes.ts';
import type { ContainerNetwork } from './sandboxes.ts';
import { Starts } from './starts.ts';
import { StatsSource } from './stats.ts';
import { Sweep } from './sweep.ts';
import { WayToNeeds } from './way-to-needs.ts';
import type { InsideDoor } from './way-to-needs.ts';

const DEFAULT_SOCKET_PATH = '/var/run/docker.sock';

export interface DockerEngineOptions {
  readonly nodeId: string;
  readonly socketPath?: string;
  readonly clock?: Clock;
  readonly log?: Log;
  /** Sandboxes kept ready; 2 unless told. */
  readonly poolSize?: number;
  /** One that nobody has wanted for so long is replaced; a day unless told. */
  readonly sandboxMaxAgeMs?: number;
  /** How long an address is left unused after an app; 1 s unless told. */
  readonly sandboxRestMs?: number;
  /** After this time without an answer the engine counts as away; 30 s unless told. */
  readonly callTimeoutMs?: number;
  /** Registries (`localhost:5000`) on this machine or its link that images are pulled from all the same. */
  readonly localRegistries?: readonly string[];
  /** Where containers reach the apps that their own needs; nowhere unless told. */
  readonly insideDoor?: InsideDoor;
}

export interface DockerEngine extends Engine {
  /**
   * The network of this node's containers. A container reaches whatever the host binds to 0.0.0.0 through the gateway;
   * servers of the platform refuse connections that come from here. Known after `prepare`.
   */
  readonly network: ContainerNetwork;
}

const DAY_MS = 24 * 60 * 60 * 1000;
const REFILL_DELAY_MS = 250;
/** For all that is left to do of a driver that is closed. */
const CLOSE_TIMEOUT_MS = 10_000;
/** Inspections under way at once when all containers are looked at. */
const INSPECT_AT_ONCE = 8;

/** Nothing is asked of the engine before `prepare`. */
export function openDockerEngine(options: DockerEngineOptions): DockerEngine {
  return new Driver(options);
}

/** The engine's version, if one answers at the socket. Errors: `engine_unavailable`. */
export async function dockerVersion(socketPath = DEFAULT_SOCKET_PATH, timeoutMs = 10_000): Promise<string> {
  const api = new DockerApi({ socketPath, callTimeoutMs: timeoutMs });
  try {
    return (await api.version()).version;
  } finally {
    api.close();
  }
}

class Driver implements DockerEngine {
  readonly name = 'docker';
  readonly capabilities: EngineCapabilities = {
    isolation: true,
    workloads: ['image'],
    pause: true,
    limits: true,
    liveUpdate: true,
  };
  readonly #nodeId: string;
  readonly #log: Log;
  readonly #clock: Clock;
  readonly #api: DockerApi;
  readonly #sandboxes: Sandboxes;
  readonly #pool: SandboxPool;
  readonly #occupancy: Occupancy;
  readonly #exits: Exits;
  readonly #watch: EventWatch<DockerEvent>;
  readonly #stats: StatsSource;
  readonly #logReader: LogReader;
  readonly #starts: Starts;
  readonly #sweep: Sweep;
  readonly #pauses: Pauses;
  readonly #recovery: Recovery;
  readonly #way: WayToNeeds | undefined;
  readonly #localRegistries: readonly string[];
  /** How many CPUs the engine has; known after `prepare`. */
  #cores = Infinity;
  #closed = false;

  constructor(options: DockerEngineOptions) {
    const { nodeId, clock = systemClock, log = silentLog, socketPath = DEFAULT_SOCKET_PATH } = options;
    const onError = (error: unknown) =>
      log.warn({ nodeId, error: String(error) }, 'the docker engine failed in the background');
    this.#nodeId = nodeId;
    this.#localRegistries = options.localRegistries ?? [];
    this.#log = log;
    this.#clock = clock;
    this.#api = new DockerApi({
      socketPath,
      clock,
      ...(options.callTimeoutMs !== undefined && { callTimeoutMs: options.callTimeoutMs }),
    });
    this.#sandboxes = new Sandboxes({
      api: this.#api,
      nodeId,
      clock,
      onLeft: () => this.#sweep.doubt(),
    });
    this.#pool = new SandboxPool({
      size: options.poolSize ?? 2,
      maxAgeMs: options.sandboxMaxAgeMs ?? DAY_MS,
      restMs: options.sandboxRestMs ?? 1_000,
      refillDelayMs: REFILL_DELAY_MS,
      clock,
      make: () => this.#sandboxes.make(),
      discard: (sandbox) => this.#sandboxes.discard(sandbox),
      onError,
    });
    this.#occupancy = new Occupancy(this.#pool);
    this.#way = options.insideDoor && new WayToNeeds(options.insideDoor, () => this.network.gateway);
    this.#exits = new Exits({ api: this.#api, onGone: (containerId) => this.#gone(containerId), onError });
    this.#sweep = new Sweep({
      api: this.#api,
      nodeId,
      clock,
      sandboxes: this.#sandboxes,
      lives: this.#exits.lives,
      isStarting: (containerId) => this.#starts.isUnderWay(containerId),
      onError,
    });
    this.#starts = new Starts({
      api: this.#api,
      nodeId,
      clock,
      sweep: this.#sweep,
      sandboxes: this.#sandboxes,
      pool: this.#pool,
      occupancy: this.#occupancy,
      lives: this.#exits.lives,
      way: this.#way,
      cores: () => this.#cores,
      onEnded: (life) => this.#exits.tell(life),
      onError,
    });
    this.#pauses = new Pauses({
      api: this.#api,
      log,
      lives: this.#exits.lives,
      engineIdOf: (containerId) => this.#existing(containerId),
      inspect: (containerId) => this.inspect(containerId),
    });
    this.#recovery = new Recovery({
      api: this.#api,
      nodeId,
      log,
      sandboxes: this.#sandboxes,
      pool: this.#pool,
      occupancy: this.#occupancy,
      exits: this.#exits,
      sweep: this.#sweep,
      onPausedInVain: (containerId) => this.#pauses.thaw(containerId),
    });
    this.#watch = new EventWatch({
      clock,
      open: (signal) => this.#api.events(ofNode(nodeId), ['create', 'die', 'oom', 'pause'], signal),
      onEvent: (event) => this.#recovery.event(event),
      onReconnected: () => this.#recovery.run(),
      onError,
    });
    this.#stats = new StatsSource(this.#api, clock);
    this.#logReader = new LogReader(this.#api);
  }

  async prepare(): Promise<void> {
    this.#assertOpen();
    await this.#sandboxes.prepare();
    this.#cores = await this.#api.cores();
    await this.#watch.start();
    await this.#recovery.run();
    await this.#sweep.looked();
    if (!this.#way) return;
    const own = await this.#own();
    await this.#way.prepare(new Set(own.flatMap(({ Labels }) => Labels[LABEL.container] ?? [])));
  }

  get network(): ContainerNetwork {
    return this.#sandboxes.network;
  }

  occupantOf(address: string): string | undefined {
    return this.#occupancy.at(address);
  }

  resolveImage(
    image: string,
    onProgress: (progress: PullProgress) => void,
    signal: AbortSignal,
  ): Promise<ResolvedImage> {
    const mayAsk = (registry: string) => !isNear(registry) || this.#localRegistries.includes(registry);
    return resolveImage(image, { api: this.#api, mayAsk, onProgress, signal });
  }

  async start(spec: StartSpec, signal: AbortSignal): Promise<Started> {
    this.#assertOpen();
    return this.#starts.start(spec, signal);
  }

  async stop(containerId: string, graceMs: number): Promise<void> {
    const life = this.#exits.lives.ending(containerId);
    try {
      const engineId = await this.#engineId(containerId);
      // The engine wakes a paused container itself, once the signal is sent. It counts in whole seconds.
      if (engineId !== undefined) await this.#api.stop(engineId, Math.ceil(graceMs / 1000));
    } catch (thrown) {
      // It has ended already, it is not there, or it was removed meanwhile: or it lives, and that is a failure.
      if (!isFailure(thrown) || (await this.#mayLive(containerId, thrown))) {
        this.#exits.lives.endingFailed(life);
        throw failed('stop', containerId, thrown);
      }
    }
    this.#exits.lives.forget(life);
    this.#gone(containerId);
  }

  /** Whether what the engine refused to stop may run; what cannot be asked may. */
  async #mayLive(containerId: string, refusal: DockerFailure): Promise<boolean> {
    if (isFailure(refusal, 404) || isFailure(refusal, 304)) return false;
    return this.inspect(containerId).then(
      (found) => found !== undefined && hasProcess(found.status),
      () => true,
    );
  }

  async remove(containerId: string): Promise<void> {
    const life = this.#exits.lives.ending(containerId);
    try {
      const engineId = await this.#engineId(containerId);
      if (engineId !== undefined) await this.#sandboxes.removeContainer(engineId);
      await this.#way?.remove(containerId);
    } catch (thrown) {
      this.#exits.lives.endingFailed(life);
      throw failed('remove', containerId, thrown);
    }
    this.#exits.lives.forget(life);
    this.#gone(containerId);
  }

  async pause(containerId: string): Promise<void> {
    await this.#pauses.pause(containerId);
  }

  async unpause(containerId: string): Promise<void> {
    await this.#pauses.unpause(containerId);
  }

  async updateResources(containerId: string, resources: Resources): Promise<void> {
    await this.#setYields(containerId, false);
    try {
      await this.#api.update(await this.#existing(containerId), limitsOf(resources, this.#cores));
    } catch (thrown) {
      if (isFailure(thrown, 404)) throw unknown(containerId);
      if (!isFailure(thrown)) throw thrown;
      throw new PlatformError('unsupported', `Docker cannot resize ${containerId}: ${thrown.message}`, {
        cause: thrown,
        ...(/memory/i.test(thrown.message) && {
          hint: 'A container cannot be given less memory than it uses; a new one can.',
        }),
      });
    }
  }

  async yieldCpu(containerId: string): Promise<void> {
    await this.#setYields(containerId, true);
  }

  /** Docker has no word for it. */
  async #setYields(containerId: string, yields: boolean): Promise<void> {
    const folder = await this.#stats.cpuFolder(containerId, () => this.#inspect(containerId));
    if (folder !== undefined) await setYields(folder, yields);
  }

  async inspect(containerId: string): Promise<EngineContainer | undefined> {
    return this.#described(await this.#inspect(containerId));
  }

  async listOwn(): Promise<EngineContainer[]> {
    const rows = await this.#own();
    const found: EngineContainer[] = [];
    const inspectNext = async () => {
      for (let row = rows.pop(); row !== undefined; row = rows.pop()) {
        const container = this.#described(await this.#details(row.Id));
        if (container) found.push(container);
      }
    };
    await Promise.all(Array.from({ length: INSPECT_AT_ONCE }, inspectNext));
    return found;
  }

  async *logs(containerId: string, options: LogOptions): AsyncGenerator<LogLine> {
    try {
      yield* this.#logReader.read(await this.#existing(containerId), options);
    } catch (thrown) {
      throw isFailure(thrown, 404) ? unknown(containerId) : failed('read the log of', containerId, thrown);
    }
  }

  onExit(listener: (event: ExitEvent) => void): () => void {
    return this.#exits.on(listener);
  }

  async stats(containerId: string): Promise<ContainerStats> {
    const stats = await this.#stats.of(containerId, () => this.#inspect(containerId));
    if (!stats) throw unknown(containerId);
    return stats;
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    // What an engine that is stuck leaves is found again by the next process of this node.
    const cancel = this.#clock.after(CLOSE_TIMEOUT_MS, () => this.#api.giveUp());
    await this.#watch.close();
    await this.#sweep.close();
    await this.#pool.close();
    try {
      await this.#sandboxes.removeNetwork();
    } catch (error) {
      this.#log.warn({ nodeId: this.#nodeId, error: String(error) }, 'the network could not be removed');
    }
    cancel();
    this.#api.close();
  }

  /** The containers of apps, whatever their status. */
  async #own(): Promise<ContainerRow[]> {
    const rows = await this.#api.list(ofNode(this.#nodeId));
    return rows.filter(({ Labels }) => Labels[LABEL.container] !== undefined);
  }

  /** What the engine calls it; undefined: there is no such container. */
  async #engineId(containerId: string): Promise<string | undefined> {
    const life = this.#exits.lives.get(containerId);
    if (life) return life.engineId;
    const [row] = await this.#api.list(ofNode(this.#nodeId), ofContainer(containerId));
    return row?.Id;
  }

  /** … which is `not_found`. */
  async #existing(containerId: string): Promise<string> {
    const engineId = await this.#engineId(containerId);
    if (engineId === undefined) throw unknown(containerId);
    return engineId;
  }

  /** Nothing of the container runs any more. */
  #gone(containerId: string): void {
    this.#stats.forget(containerId);
    this.#occupancy.release(containerId);
  }

  async #inspect(containerId: string): Promise<ContainerDetails | undefined> {
    const engineId = await this.#engineId(containerId);
    return engineId === undefined ? undefined : this.#details(engineId);
  }

  async #details(engineId: string): Promise<ContainerDetails | undefined> {
    try {
      return await this.#api.inspect(engineId);
    } catch (thrown) {
      if (isFailure(thrown, 404)) return undefined;
      throw failed('inspect', engineId, thrown);
    }
  }

  #described(details: ContainerDetails | undefined): EngineContainer | undefined {
    const containerId = details?.Config.Labels[LABEL.container];
    if (!details || containerId === undefined) return undefined;
    return describe(details, this.#occupancy.of(containerId)?.host);
  }

  #assertOpen(): void {
    if (this.#closed) throw new PlatformError('shutting_down', 'the docker engine driver is closed');
  }
}
