/**
 * The embedded engine: an app is a command and a folder, and a container is a session of processes on this machine.
 * It needs nothing but Node and Linux, and it does not isolate: apps run as the platform's own user, see its files and
 * each other. What it does keep is the life cycle: limits and pause by cgroups where it may write them, a stop that
 * leaves nothing, and processes that outlive the platform and are found again by their state files.
 *
 * One patrol looks after all containers while any lives: it notices the end of those that are not our children, and
 * keeps the logs small. An engine without a running container has no timer.
 */
import { join } from 'node:path';
import { systemClock, type Clock } from '../../clock.ts';
import type { Resources } from '../../cmdb/records.ts';
import { PlatformError } from '../../errors.ts';
import type {
  ContainerStats,
  Engine,
  EngineCapabilities,
  EngineContainer,
  ExitEvent,
  LogLine,
  LogOptions,
  ResolvedImage,
  Started,
  StartSpec,
} from '../engine.ts';
import { needVariables } from '../need-variables.ts';
import { openCgroups, type Cgroups } from './cgroups.ts';
import { launchGated, planLaunch } from './launch.ts';
import { readLogs } from './logs.ts';
import { ManagedProcess } from './managed-process.ts';
import { DEFAULT_PORT_RANGE, PortPool, type PortRange } from './port-pool.ts';
import { readBootId, readStat, sendSignal } from './proc.ts';
import { StateFolder, type SavedState } from './state-folder.ts';

const PATROL_INTERVAL_MS = 1_000;

/** Ids become names of folders and cgroups. */
const SAFE_NAME = /^[A-Za-z0-9][A-Za-z0-9_.-]{0,99}$/;

export interface ProcessEngineOptions {
  /** Where state and logs are kept; containers are found again from there. */
  readonly dataDir: string;
  /** The node whose containers these are; several may share a dataDir. */
  readonly nodeId: string;
  readonly clock?: Clock;
  /** Ports for apps, outside the range that the kernel takes source ports from. 20000 … 29999 unless told. */
  readonly portRange?: PortRange;
  /** `auto` takes cgroups where they may be written; `none` does without limits. */
  readonly cgroups?: 'auto' | 'none';
  /** Where the node's proxy is reached by then (`127.0.0.1:8080`); apps are told no way to others unless told. */
  readonly proxyAt?: () => string;
}

/**
 * Opens the engine and finds what an earlier one left running.
 * Errors: `unsupported` on a system without /proc, `invalid_config` for a nodeId that cannot name a folder.
 */
export async function openProcessEngine(options: ProcessEngineOptions): Promise<Engine> {
  if (process.platform !== 'linux')
    throw new PlatformError('unsupported', `the process engine needs Linux, not ${process.platform}`, {
      hint: 'Use the Docker engine here: --engine docker.',
    });
  if (!SAFE_NAME.test(options.nodeId))
    throw new PlatformError('invalid_config', `the node id ${options.nodeId} cannot name a folder`);
  const folder = new StateFolder(join(options.dataDir, options.nodeId));
  await folder.prepare();
  const cgroups = options.cgroups === 'none' ? undefined : await openCgroups(options.nodeId);
  const engine = new ProcessEngine(folder, cgroups, options);
  await engine.recover();
  return engine;
}

class ProcessEngine implements Engine {
  readonly name = 'process';
  readonly capabilities: EngineCapabilities;
  readonly #folder: StateFolder;
  readonly #cgroups: Cgroups | undefined;
  readonly #clock: Clock;
  readonly #ports: PortPool;
  readonly #proxyAt: (() => string) | undefined;
  readonly #bootId = readBootId();
  readonly #processes = new Map<string, ManagedProcess>();
  readonly #starting = new Map<string, Promise<Started>>();
  readonly #removing = new Map<string, Promise<void>>();
  readonly #exitListeners = new Set<(event: ExitEvent) => void>();
  readonly #closing = new AbortController();
  #cancelPatrol: (() => void) | undefined;

  constructor(folder: StateFolder, cgroups: Cgroups | undefined, options: ProcessEngineOptions) {
    this.#folder = folder;
    this.#cgroups = cgroups;
    this.#clock = options.clock ?? systemClock;
    this.#ports = new PortPool(options.portRange ?? DEFAULT_PORT_RANGE);
    this.#proxyAt = options.proxyAt;
    const limits = cgroups !== undefined;
    this.capabilities = { isolation: false, workloads: ['command'], pause: true, limits, liveUpdate: limits };
  }

  /** Adopts what runs still; clears what was being made or removed when its maker died. */
  async recover(): Promise<void> {
    const found = await this.#folder.list();
    const known = new Set(found.flatMap(({ state }) => (state?.process ? state.containerId : [])));
    for (const { containerId, state } of found) {
      if (state?.process) await this.#adopt({ ...state, process: state.process });
      else await this.#clear(containerId);
    }
    for (const id of (await this.#cgroups?.list()) ?? []) if (!known.has(id)) await this.#clear(id);
  }

  /** What cannot be removed (a file that was made immutable) keeps nobody from being served; the next start tries again. */
  async #clear(containerId: string): Promise<void> {
    await this.#discard(containerId).catch(() => undefined);
  }

  async #adopt(saved: SavedState & { process: NonNullable<SavedState['process']> }): Promise<void> {
    // After a reboot the process is gone; a pid of 0 is nobody's.
    const state = saved.bootId === this.#bootId ? saved : { ...saved, process: { pid: 0, startTicks: 0 } };
    const adopted = this.#manage(state, undefined);
    this.#ports.reserve(state.port);
    await adopted.check();
    if (!adopted.hasEnded) this.#startPatrol();
  }

  prepare(): Promise<void> {
    return this.#folder.prepare();
  }

  resolveImage(image: string): Promise<ResolvedImage> {
    return Promise.reject(noImages(`the image ${image}`));
  }

  async start(spec: StartSpec, signal: AbortSignal): Promise<Started> {
    const { containerId } = spec;
    if (this.#closing.signal.aborted)
      throw new PlatformError('engine_unavailable', 'the process engine is closed');
    if (this.#processes.has(containerId) || this.#starting.has(containerId))
      throw new PlatformError('start_failed', `there is a container ${containerId} already`);
    if (!SAFE_NAME.test(containerId))
      throw new PlatformError('start_failed', `the container id ${containerId} cannot name a folder`);
    const starting = this.#start(spec, signal);
    this.#starting.set(containerId, starting);
    try {
      return await starting;
    } finally {
      this.#starting.delete(containerId);
    }
  }

  /** Hostnames lead nowhere here: the proxy is asked where it is, for the host that is named. */
  #variables({ needs = [] }: StartSpec): Record<string, string> {
    const proxyAt = this.#proxyAt?.();
    return proxyAt === undefined ? {} : needVariables(needs, () => proxyAt);
  }

  async #start(spec: StartSpec, signal: AbortSignal): Promise<Started> {
    const { containerId, appId, revisionId, resources, workload } = spec;
    if (workload.type !== 'command') throw noImages(`app ${appId}, which is an image,`);
    signal.throwIfAborted();
    const beganMs = this.#clock.monotonicMs();
    const port = await this.#ports.take();
    try {
      const { scratch } = this.#folder.paths(containerId);
      const env = { ...this.#variables(spec), ...spec.env };
      const launch = await planLaunch({ ...spec, workload, env }, port, scratch);
      const state = {
        containerId,
        appId,
        revisionId,
        port,
        resources,
        bootId: this.#bootId,
        inCgroup: this.#cgroups !== undefined,
      };
      const planned = { ...state, process: null, startedAtMs: null, exit: null };
      const paths = await this.#folder.create(planned);
      await this.#cgroups?.create(containerId, resources);
      signal.throwIfAborted();
      const createdMs = this.#clock.monotonicMs();

      const { child, pid, open } = await launchGated(launch, paths);
      const startTicks = readStat(pid)?.startTicks ?? 0;
      const startedAtMs = this.#clock.nowMs();
      const live = { ...planned, process: { pid, startTicks }, startedAtMs };
      try {
        await this.#cgroups?.add(containerId, pid);
        await this.#folder.write(live);
        signal.throwIfAborted();
        if (child.exitCode !== null || child.signalCode !== null)
          throw new PlatformError('start_failed', `${containerId} was killed before it ran its command`);
      } catch (error) {
        sendSignal(pid, 'SIGKILL'); // a child that is not reaped yet: the pid is its own
        throw error;
      }
      this.#manage(live, child);
      open();
      this.#startPatrol();
      return {
        address: { host: '127.0.0.1', port },
        createMs: createdMs - beganMs,
        startMs: this.#clock.monotonicMs() - createdMs,
      };
    } catch (error) {
      await this.#discard(containerId);
      this.#ports.release(port);
      if (error instanceof PlatformError || signal.aborted) throw error;
      const reason = error instanceof Error ? error.message : String(error);
      throw new PlatformError('start_failed', `${containerId} could not be started: ${reason}`, {
        cause: error,
      });
    }
  }

  async stop(containerId: string, graceMs: number): Promise<void> {
    await this.#starting.get(containerId)?.catch(() => {});
    await this.#processes.get(containerId)?.stop(graceMs);
  }

  async remove(containerId: string): Promise<void> {
    let removing = this.#removing.get(containerId);
    if (removing === undefined) {
      removing = this.#remove(containerId).finally(() => this.#removing.delete(containerId));
      this.#removing.set(containerId, removing);
    }
    await removing;
  }

  async #remove(containerId: string): Promise<void> {
    await this.#starting.get(containerId)?.catch(() => {});
    const managed = this.#processes.get(containerId);
    if (!managed) return;
    await managed.kill();
    await this.#discard(containerId);
    this.#processes.delete(containerId);
    this.#ports.release(managed.port);
  }

  async pause(containerId: string): Promise<void> {
    await this.#find(containerId).pause();
  }

  async unpause(containerId: string): Promise<void> {
    await this.#find(containerId).unpause();
  }

  async updateResources(containerId: string, resources: Resources): Promise<void> {
    await this.#find(containerId).updateResources(resources);
  }

  async yieldCpu(containerId: string): Promise<void> {
    await this.#processes.get(containerId)?.yieldCpu();
  }

  async inspect(containerId: string): Promise<EngineContainer | undefined> {
    return this.#processes.get(containerId)?.inspect();
  }

  async listOwn(): Promise<EngineContainer[]> {
    return Promise.all([...this.#processes.values()].map((managed) => managed.inspect()));
  }

  async *logs(containerId: string, options: LogOptions): AsyncIterable<LogLine> {
    const managed = this.#find(containerId);
    const signal = AbortSignal.any([options.signal, this.#closing.signal]);
    const hasEnded = () => managed.hasEnded;
    try {
      yield* readLogs({ files: managed.files, hasEnded }, { ...options, signal }, this.#clock);
    } catch (error) {
      // Removed while it was read: that is the end of its log.
      if (this.#processes.get(containerId) === managed) throw error;
    }
  }

  onExit(listener: (event: ExitEvent) => void): () => void {
    this.#exitListeners.add(listener);
    return () => this.#exitListeners.delete(listener);
  }

  async stats(containerId: string): Promise<ContainerStats> {
    return this.#find(containerId).stats();
  }

  async close(): Promise<void> {
    this.#closing.abort();
    this.#cancelPatrol?.();
    this.#exitListeners.clear();
    await Promise.allSettled([...this.#starting.values(), ...this.#removing.values()]);
    await Promise.all([...this.#processes.values()].map((managed) => managed.release()));
  }

  #find(containerId: string): ManagedProcess {
    const managed = this.#processes.get(containerId);
    if (!managed) throw new PlatformError('not_found', `there is no container ${containerId} here`);
    return managed;
  }

  #manage(
    state: SavedState & { process: NonNullable<SavedState['process']> },
    child: ConstructorParameters<typeof ManagedProcess>[0]['child'],
  ): ManagedProcess {
    const managed = new ManagedProcess({
      state,
      child,
      folder: this.#folder,
      cgroups: state.inCgroup ? this.#cgroups : undefined,
      clock: this.#clock,
      onExit: (event) => this.#exitListeners.forEach((listener) => listener(event)),
    });
    this.#processes.set(managed.id, managed);
    return managed;
  }

  /** Removes all that was made for an id; whatever runs in its cgroup is killed. */
  async #discard(containerId: string): Promise<void> {
    for (const pid of (await this.#cgroups?.members(containerId)) ?? []) sendSignal(pid, 'SIGKILL');
    await this.#cgroups?.thaw(containerId);
    await this.#cgroups?.remove(containerId);
    await this.#folder.remove(containerId); // last: as long as it is there, the rest is found again
  }

  #startPatrol(): void {
    if (this.#closing.signal.aborted) return;
    this.#cancelPatrol ??= this.#clock.after(PATROL_INTERVAL_MS, () => {
      void this.#patrol().finally(() => {
        this.#cancelPatrol = undefined;
        if ([...this.#processes.values()].some((managed) => !managed.hasEnded)) this.#startPatrol();
      });
    });
  }

  async #patrol(): Promise<void> {
    for (const managed of this.#processes.values()) {
      if (this.#closing.signal.aborted) return;
      if (!managed.hasEnded) await managed.patrol();
    }
  }
}

function noImages(what: string): PlatformError {
  return new PlatformError('unsupported', `the process engine has no images: ${what} cannot run here`, {
    hint: 'Give the app a command and a folder, or use the Docker engine.',
  });
}
