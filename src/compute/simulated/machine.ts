/**
 * A machine that exists only in the time of a given clock: what the simulated engine runs its containers on. It outlives
 * the engines that are opened on it, as a real machine outlives the platform's processes, and remembers all that happened.
 */
import type { Clock } from '../../clock.ts';
import type { Address, Resources } from '../../cmdb/records.ts';
import type { EngineStatus, ExitEvent, LogLine, StartSpec } from '../engine.ts';

/** How one start goes. Without a field: it works, quickly. Times are in the container's own time, which a pause stops. */
export interface Fault {
  /** How long the engine takes to start it. 50 unless told. */
  readonly startMs?: number;
  /** The start fails with `start_failed` and this reason, after `startMs`. */
  readonly startError?: string;
  /** From its start until it accepts connections; null: never. 10 unless told. */
  readonly listenMs?: number | null;
  /** It ends by itself so long after its start. */
  readonly exitAfterMs?: number;
  /** It ends by itself with its so many-th request. */
  readonly exitAfterRequests?: number;
  /** Of an end by itself; 1 unless told. */
  readonly exitCode?: number;
  /** An end by itself is for want of memory. */
  readonly outOfMemory?: boolean;
  /** How long it takes to end after SIGTERM; null: it ignores it. 10 unless told. */
  readonly termMs?: number | null;
  /** Cores it uses while it runs. 0 unless told. */
  readonly cpuLoad?: number;
  /** Memory it uses while it lives. 32 MiB unless told. */
  readonly memoryBytes?: number;
  /** What it prints when it starts. */
  readonly prints?: readonly Pick<LogLine, 'stream' | 'text'>[];
}

export type Happening =
  'started' | 'start_failed' | 'paused' | 'unpaused' | 'resized' | 'stopped' | 'exited' | 'removed';

/** One line of what really happened on the machine, for tests to hold their invariants against. */
export interface HistoryEntry {
  readonly atMs: number;
  readonly what: Happening;
  readonly nodeId: string;
  readonly containerId: string;
  readonly appId: string;
}

/** Nobody can take this for an address that exists: TEST-NET-1 of RFC 5737. */
const HOST = '192.0.2.1';

export class SimulatedMachine {
  readonly clock: Clock;
  /** All of it, in order of time: a simulation ends, so it has no bound. */
  readonly history: HistoryEntry[] = [];
  readonly #containers = new Map<string, SimulatedContainer>();
  readonly #startsOfApp = new Map<string, number>();
  readonly #exitListeners = new Set<(container: SimulatedContainer, event: ExitEvent) => void>();
  #nextPort = 10_000;

  constructor(clock: Clock) {
    this.clock = clock;
  }

  /** 1 for an app's first start on this machine, then 2, 3 … */
  nextStartNumber(appId: string): number {
    const number = (this.#startsOfApp.get(appId) ?? 0) + 1;
    this.#startsOfApp.set(appId, number);
    return number;
  }

  create(nodeId: string, spec: StartSpec, fault: Fault): SimulatedContainer {
    const address = { host: HOST, port: this.#nextPort++ };
    const container: SimulatedContainer = new SimulatedContainer(this.clock, nodeId, spec, fault, address, {
      happened: (what) => this.record(what, nodeId, spec),
      exited: (event) => this.#exitListeners.forEach((listener) => listener(container, event)),
    });
    this.#containers.set(spec.containerId, container);
    return container;
  }

  find(containerId: string): SimulatedContainer | undefined {
    return this.#containers.get(containerId);
  }

  delete(container: SimulatedContainer): void {
    this.#containers.delete(container.spec.containerId);
    this.record('removed', container.nodeId, container.spec);
  }

  list(): SimulatedContainer[] {
    return [...this.#containers.values()];
  }

  /** Calls back when a container ended by itself. */
  onExit(listener: (container: SimulatedContainer, event: ExitEvent) => void): () => void {
    this.#exitListeners.add(listener);
    return () => this.#exitListeners.delete(listener);
  }

  record(what: Happening, nodeId: string, { containerId, appId }: StartSpec): void {
    this.history.push({ atMs: this.clock.nowMs(), what, nodeId, containerId, appId });
  }
}

interface ContainerCallbacks {
  readonly happened: (what: Happening) => void;
  readonly exited: (event: ExitEvent) => void;
}

/** One container. It runs from the moment it is made. */
export class SimulatedContainer {
  readonly nodeId: string;
  readonly spec: StartSpec;
  readonly address: Address;
  readonly startedAtMs: number;
  readonly lines: readonly LogLine[];
  resources: Resources;
  yields = false;
  exit: { readonly exitCode: number; readonly outOfMemory: boolean } | undefined;
  readonly #clock: Clock;
  readonly #fault: Fault;
  readonly #callbacks: ContainerCallbacks;
  readonly #ended = Promise.withResolvers<undefined>();
  #requests = 0;
  /** How long it ran before `#runsSinceMs`, which is undefined while it does not run. */
  #ranMs = 0;
  #runsSinceMs: number | undefined;
  #cancelExit: (() => void) | undefined;

  constructor(
    clock: Clock,
    nodeId: string,
    spec: StartSpec,
    fault: Fault,
    address: Address,
    callbacks: ContainerCallbacks,
  ) {
    this.#clock = clock;
    this.nodeId = nodeId;
    this.spec = spec;
    this.#fault = fault;
    this.address = address;
    this.#callbacks = callbacks;
    this.resources = spec.resources;
    this.startedAtMs = clock.nowMs();
    this.lines = (fault.prints ?? []).map((line) => ({ ...line, atMs: this.startedAtMs }));
    callbacks.happened('started');
    this.#run();
  }

  get status(): EngineStatus {
    if (this.exit) return 'exited';
    return this.#runsSinceMs === undefined ? 'paused' : 'running';
  }

  get cpuMs(): number {
    return this.#ranForMs() * (this.#fault.cpuLoad ?? 0);
  }

  get memoryBytes(): number {
    return this.#fault.memoryBytes ?? 32 * 1024 * 1024;
  }

  /** Resolves when it has ended, however. */
  get ended(): Promise<undefined> {
    return this.#ended.promise;
  }

  /** Requests that have reached it. */
  get requests(): number {
    return this.#requests;
  }

  /** How long it takes to end after SIGTERM; null: it ignores it. */
  get termMs(): number | null {
    return this.#fault.termMs === undefined ? 10 : this.#fault.termMs;
  }

  /** Whether a connection would be accepted; the kernel does that for a paused one too. */
  get isListening(): boolean {
    const listenMs = this.#fault.listenMs === undefined ? 10 : this.#fault.listenMs;
    return !this.exit && listenMs !== null && this.#ranForMs() >= listenMs;
  }

  /** A request reaches it. Returns whether it can answer: it runs, listens, and does not die of it. */
  noteRequest(): boolean {
    if (this.status !== 'running' || !this.isListening) return false;
    this.#requests++;
    if (this.#requests !== this.#fault.exitAfterRequests) return true;
    this.#exitByItself();
    return false;
  }

  pause(): void {
    if (this.status !== 'running') return;
    this.#halt();
    this.#callbacks.happened('paused');
  }

  unpause(): void {
    if (this.status !== 'paused') return;
    this.#run();
    this.#callbacks.happened('unpaused');
  }

  resize(resources: Resources): void {
    this.resources = resources;
    this.yields = false;
    this.#callbacks.happened('resized');
  }

  /** It was made to end; nobody is called back. */
  stop(exitCode: number): void {
    this.#end({ exitCode, outOfMemory: false }, 'stopped');
  }

  /** It ends although nobody asked for it. */
  crash(exitCode: number, outOfMemory = false): void {
    if (!this.#end({ exitCode, outOfMemory }, 'exited')) return;
    this.#callbacks.exited({ containerId: this.spec.containerId, exitCode, outOfMemory });
  }

  #exitByItself(): void {
    this.crash(this.#fault.exitCode ?? 1, this.#fault.outOfMemory ?? false);
  }

  #end(exit: NonNullable<SimulatedContainer['exit']>, what: 'stopped' | 'exited'): boolean {
    if (this.exit) return false;
    this.#halt();
    this.exit = exit;
    this.#callbacks.happened(what);
    this.#ended.resolve(undefined);
    return true;
  }

  #run(): void {
    this.#runsSinceMs = this.#clock.monotonicMs();
    const { exitAfterMs } = this.#fault;
    if (exitAfterMs === undefined) return;
    this.#cancelExit = this.#clock.after(exitAfterMs - this.#ranMs, () => this.#exitByItself());
  }

  #halt(): void {
    this.#ranMs = this.#ranForMs();
    this.#runsSinceMs = undefined;
    this.#cancelExit?.();
  }

  #ranForMs(): number {
    const sinceMs = this.#runsSinceMs;
    return this.#ranMs + (sinceMs === undefined ? 0 : this.#clock.monotonicMs() - sinceMs);
  }
}
