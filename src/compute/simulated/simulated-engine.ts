/**
 * An engine without containers: a real driver of the engine port that lives on a given clock and fails by script. Hours of
 * a platform's life pass in a second, always the same way, and afterwards the machine's history says what truly happened.
 */
import { createHash } from 'node:crypto';
import { sleep, type Clock } from '../../clock.ts';
import type { Address, Resources } from '../../cmdb/records.ts';
import { PlatformError } from '../../errors.ts';
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
  Started,
  StartSpec,
} from '../engine.ts';
import { SimulatedMachine, type Fault, type HistoryEntry, type SimulatedContainer } from './machine.ts';

export type { Fault, HistoryEntry } from './machine.ts';
export { SimulatedMachine } from './machine.ts';

const FOLLOW_INTERVAL_MS = 100;
const MAX_LINE_LENGTH = 16 * 1024;

export interface SimulatedEngineOptions {
  readonly clock: Clock;
  /** `node_sim` unless told. */
  readonly nodeId?: string;
  /** Where it runs: another engine's, to be the platform's next process on it; a new one unless told. */
  readonly machine?: SimulatedMachine;
  /** How a start goes; `startNumber` counts the app's starts from 1. Every start works unless told. */
  readonly faults?: (startNumber: number, spec: StartSpec) => Fault;
  /** Whether an image can be resolved. Every one can unless told. */
  readonly hasImage?: (image: string) => boolean;
}

export function openSimulatedEngine(options: SimulatedEngineOptions): SimulatedEngine {
  return new SimulatedEngine(options);
}

export class SimulatedEngine implements Engine {
  readonly name = 'simulated';
  readonly capabilities: EngineCapabilities = {
    isolation: true,
    workloads: ['image', 'command'],
    pause: true,
    limits: true,
    liveUpdate: true,
  };
  readonly machine: SimulatedMachine;
  readonly nodeId: string;
  readonly #clock: Clock;
  readonly #faults: (startNumber: number, spec: StartSpec) => Fault;
  readonly #hasImage: (image: string) => boolean;
  readonly #starting = new Map<string, Promise<Started>>();
  readonly #exitListeners = new Set<(event: ExitEvent) => void>();
  readonly #closing = new AbortController();
  readonly #detach: () => void;
  /** Ends that could not be told because the node was lost. */
  #untold: ExitEvent[] = [];
  #isLost = false;

  constructor({ clock, nodeId, machine, faults, hasImage }: SimulatedEngineOptions) {
    this.#clock = clock;
    this.nodeId = nodeId ?? 'node_sim';
    this.machine = machine ?? new SimulatedMachine(clock);
    this.#faults = faults ?? (() => ({}));
    this.#hasImage = hasImage ?? (() => true);
    this.#detach = this.machine.onExit((container, event) => {
      if (container.nodeId !== this.nodeId) return;
      this.#untold.push(event);
      this.#tell();
    });
  }

  // What a simulation does and sees beside the port.

  /** What truly happened on the machine, in order of time. */
  get history(): readonly HistoryEntry[] {
    return this.machine.history;
  }

  /** Whether a connection to this address would be accepted now. */
  listening(address: Address): boolean {
    if (this.#isLost) return false;
    return this.machine
      .list()
      .some(
        (each) =>
          each.isListening && each.address.host === address.host && each.address.port === address.port,
      );
  }

  /** A request reaches the container. Returns whether it answers: it runs, listens, and does not die of it. */
  noteRequest(containerId: string): boolean {
    return !this.#isLost && (this.machine.find(containerId)?.noteRequest() ?? false);
  }

  /** The container ends although nobody asked for it. */
  crash(containerId: string, exitCode: number): void {
    this.machine.find(containerId)?.crash(exitCode);
  }

  /** From now on every call fails with `engine_unavailable`; containers live on, out of reach. */
  loseNode(): void {
    this.#isLost = true;
  }

  /** The node is back, with whatever became of its containers. */
  restoreNode(): void {
    this.#isLost = false;
    this.#tell();
  }

  // The port.

  async prepare(): Promise<void> {
    this.#mustBeThere();
  }

  async resolveImage(
    image: string,
    _onProgress: (progress: PullProgress) => void,
    _signal: AbortSignal,
  ): Promise<ResolvedImage> {
    this.#mustBeThere();
    if (!this.#hasImage(image)) throw new PlatformError('image_not_found', `there is no image ${image}`);
    return { digest: `sha256:${createHash('sha256').update(image).digest('hex')}`, exposedPort: null };
  }

  async start(spec: StartSpec, signal: AbortSignal): Promise<Started> {
    this.#mustBeThere();
    const { containerId } = spec;
    if (this.machine.find(containerId) || this.#starting.has(containerId))
      throw new PlatformError('start_failed', `there is a container ${containerId} already`);
    const starting = this.#start(spec, signal);
    this.#starting.set(containerId, starting);
    try {
      return await starting;
    } finally {
      this.#starting.delete(containerId);
    }
  }

  async #start(spec: StartSpec, signal: AbortSignal): Promise<Started> {
    const fault = this.#faults(this.machine.nextStartNumber(spec.appId), spec);
    const startMs = fault.startMs ?? 50;
    try {
      await sleep(this.#clock, startMs, AbortSignal.any([signal, this.#closing.signal]));
      this.#mustBeThere();
      if (fault.startError !== undefined) throw new PlatformError('start_failed', fault.startError);
    } catch (error) {
      this.machine.record('start_failed', this.nodeId, spec);
      throw error;
    }
    const { address } = this.machine.create(this.nodeId, spec, fault);
    return { address, createMs: 0, startMs };
  }

  async stop(containerId: string, graceMs: number): Promise<void> {
    this.#mustBeThere();
    await this.#starting.get(containerId)?.catch(() => {});
    const container = this.#own(containerId);
    if (!container || container.exit) return;
    container.unpause(); // what is paused hears no signal
    const { termMs } = container;
    const isKilled = termMs === null || termMs > graceMs;
    const ended = new AbortController();
    void container.ended.then(() => ended.abort());
    await sleep(this.#clock, isKilled ? graceMs : termMs, ended.signal).catch(() => {});
    container.stop(isKilled ? 137 : 143);
  }

  async remove(containerId: string): Promise<void> {
    this.#mustBeThere();
    await this.#starting.get(containerId)?.catch(() => {});
    const container = this.#own(containerId);
    if (!container) return;
    container.stop(137);
    this.machine.delete(container);
  }

  async pause(containerId: string): Promise<void> {
    this.#find(containerId, 'paused').pause();
  }

  async unpause(containerId: string): Promise<void> {
    this.#find(containerId, 'unpaused').unpause();
  }

  async updateResources(containerId: string, resources: Resources): Promise<void> {
    this.#find(containerId, 'given other limits').resize(resources);
  }

  async yieldCpu(containerId: string): Promise<void> {
    const container = this.#own(containerId);
    if (container) container.yields = true;
  }

  async inspect(containerId: string): Promise<EngineContainer | undefined> {
    this.#mustBeThere();
    const container = this.#own(containerId);
    return container && describe(container);
  }

  async listOwn(): Promise<EngineContainer[]> {
    this.#mustBeThere();
    return this.machine
      .list()
      .filter(({ nodeId }) => nodeId === this.nodeId)
      .map(describe);
  }

  async *logs(containerId: string, options: LogOptions): AsyncIterable<LogLine> {
    const { tailLines, follow } = options;
    const signal = AbortSignal.any([options.signal, this.#closing.signal]);
    const container = this.#find(containerId);
    const lines = container.lines.map((line) => ({ ...line, text: line.text.slice(0, MAX_LINE_LENGTH) }));
    const isAborted = () => signal.aborted;
    for (const line of lines.slice(Math.max(0, lines.length - tailLines))) {
      if (isAborted()) return;
      yield line;
    }
    // All it prints it prints when it starts: to follow it is to wait for its end.
    while (follow && !container.exit && !isAborted())
      await sleep(this.#clock, FOLLOW_INTERVAL_MS, signal).catch(() => {});
  }

  onExit(listener: (event: ExitEvent) => void): () => void {
    this.#exitListeners.add(listener);
    return () => this.#exitListeners.delete(listener);
  }

  async stats(containerId: string): Promise<ContainerStats> {
    const { cpuMs, exit, memoryBytes } = this.#find(containerId);
    const live = exit === undefined;
    return {
      atMs: this.#clock.nowMs(),
      cpuMs,
      memoryBytes: live ? memoryBytes : 0,
      pids: live ? 1 : 0,
    };
  }

  async close(): Promise<void> {
    this.#closing.abort();
    this.#detach();
    this.#exitListeners.clear();
    await Promise.allSettled(this.#starting.values());
  }

  #mustBeThere(): void {
    if (this.#isLost || this.#closing.signal.aborted)
      throw new PlatformError('engine_unavailable', `the engine of node ${this.nodeId} does not answer`);
  }

  #own(containerId: string): SimulatedContainer | undefined {
    const container = this.machine.find(containerId);
    return container?.nodeId === this.nodeId ? container : undefined;
  }

  /** `toBe`: what is asked for is only for the living. */
  #find(containerId: string, toBe?: string): SimulatedContainer {
    this.#mustBeThere();
    const container = this.#own(containerId);
    if (!container) throw new PlatformError('not_found', `there is no container ${containerId} here`);
    if (toBe !== undefined && container.exit)
      throw new PlatformError('invalid_transition', `${containerId} has ended and cannot be ${toBe}`);
    return container;
  }

  #tell(): void {
    if (this.#isLost) return;
    for (const event of this.#untold.splice(0)) this.#exitListeners.forEach((listener) => listener(event));
  }
}

function describe(container: SimulatedContainer): EngineContainer {
  const { spec, status, address, resources, exit, startedAtMs } = container;
  return {
    containerId: spec.containerId,
    appId: spec.appId,
    revisionId: spec.revisionId,
    status,
    address: status === 'exited' ? null : address,
    resources,
    exitCode: exit?.exitCode ?? null,
    outOfMemory: exit?.outOfMemory ?? false,
    startedAtMs,
  };
}
