/**
 * The engine port: what Mayfly asks of whatever runs containers on one node. A driver declares what it can do, finds
 * again what it started (by label or by its own state files), and passes the same suite (test/contract/engine.ts).
 *
 * An engine is asked by the platform's container id, never by its own. `stop`, `remove`, `pause` and `unpause` are
 * idempotent: what is already so is no error. What does not exist is `not_found`, except for `stop` and `remove`.
 */
import type { Address, Resources, Workload } from '../cmdb/records.ts';

export interface EngineCapabilities {
  /** Apps are kept apart from each other and from the host. */
  readonly isolation: boolean;
  /** Workloads the engine takes. */
  readonly workloads: readonly Workload['type'][];
  readonly pause: boolean;
  /** CPU, memory and pids limits are enforced. */
  readonly limits: boolean;
  /** Limits can be changed while a container runs. */
  readonly liveUpdate: boolean;
}

export interface ResolvedImage {
  /** `sha256:…` of the image's configuration: what containers are created from. */
  readonly digest: string;
  /** The port the image exposes, where it names exactly one. */
  readonly exposedPort: number | null;
}

export interface PullProgress {
  /** e.g. `Downloading`. */
  readonly status: string;
  readonly currentBytes: number;
  readonly totalBytes: number;
}

/** An app that another one needs, as it is asked for. */
export interface NeededApp {
  readonly name: string;
  /** Exact hostnames. */
  readonly hosts: readonly string[];
}

export interface StartSpec {
  readonly containerId: string;
  readonly appId: string;
  readonly revisionId: string;
  readonly workload: Workload;
  readonly env: Readonly<Record<string, string>>;
  readonly port: number;
  readonly readOnly: boolean;
  readonly resources: Resources;
  /** Apps to which the engine shows it the way: their hostnames lead to the node's proxy, or variables say how. */
  readonly needs?: readonly NeededApp[];
}

/** How long the engine's own steps took, in milliseconds. */
export interface Started {
  readonly address: Address;
  /** Its network included, where none was ready. */
  readonly createMs: number;
  readonly startMs: number;
}

export type EngineStatus = 'created' | 'running' | 'paused' | 'exited';

/** What the engine says about a container it runs or ran. */
export interface EngineContainer {
  readonly containerId: string;
  readonly appId: string;
  readonly revisionId: string;
  readonly status: EngineStatus;
  /** Where it is reached; null unless running or paused. */
  readonly address: Address | null;
  readonly resources: Resources;
  /** Set when exited; 128 + signal number where a signal ended it. */
  readonly exitCode: number | null;
  readonly outOfMemory: boolean;
  readonly startedAtMs: number | null;
}

export interface ExitEvent {
  readonly containerId: string;
  readonly exitCode: number | null;
  /** Killed for that, as far as the engine has seen: Docker misses it where the control group is gone before it looks. */
  readonly outOfMemory: boolean;
}

export interface LogLine {
  readonly atMs: number;
  readonly stream: 'stdout' | 'stderr';
  /** Without its line ending; at most 16 KiB, the rest is cut. */
  readonly text: string;
}

export interface LogOptions {
  /** Go on until the container ends or the signal aborts. */
  readonly follow: boolean;
  /** Only the last so many lines that exist already. 0 … 10,000. */
  readonly tailLines: number;
  readonly signal: AbortSignal;
}

export interface ContainerStats {
  readonly atMs: number;
  /** CPU time used since its start. */
  readonly cpuMs: number;
  readonly memoryBytes: number;
  readonly pids: number;
  /** Scheduling periods under a CPU quota, and those in which it was used up, since its start; where that is known. */
  readonly periods?: number;
  readonly throttledPeriods?: number;
  /** Processes killed for want of memory since its start; where that is known. */
  readonly oomKills?: number;
}

export interface Engine {
  readonly name: string;
  readonly capabilities: EngineCapabilities;

  /** Makes the node ready before any request: network, pools, folders. Idempotent. Errors: `engine_unavailable`. */
  prepare(): Promise<void>;

  /**
   * Finds the image here, or pulls it where a registry answers.
   * Errors: `image_not_found` (the message says why, in words of ours), `unsupported` (no images here).
   */
  resolveImage(
    image: string,
    onProgress: (progress: PullProgress) => void,
    signal: AbortSignal,
  ): Promise<ResolvedImage>;

  /**
   * Creates the container and starts it; it need not listen yet. When it rejects, nothing of it is left.
   * Errors: `image_not_found`, `start_failed` (with the engine's reason), `unsupported`, `engine_unavailable`.
   */
  start(spec: StartSpec, signal: AbortSignal): Promise<Started>;

  /** SIGTERM, then SIGKILL after `graceMs`. A paused container is stopped as well. Its logs stay until `remove`. */
  stop(containerId: string, graceMs: number): Promise<void>;

  /** Removes it and everything made for it; kills it first if it runs. */
  remove(containerId: string): Promise<void>;

  /**
   * When it rejects, the container is in use: should it be paused after all, the engine resumes it by itself.
   * Errors: `not_found`, `unsupported`, `invalid_transition` (it does not run).
   */
  pause(containerId: string): Promise<void>;
  /** Errors: as `pause`. */
  unpause(containerId: string): Promise<void>;

  /** Changes limits without a restart. It yields to nobody then (`yieldCpu`). Errors: `not_found`, `unsupported`. */
  updateResources(containerId: string, resources: Resources): Promise<void>;

  /**
   * Has it let the others of this engine go first, and at once, where they and it want a CPU. Nothing comes of it where the kernel
   * cannot do that (Linux before 5.15) or may not be told, and where the container is gone.
   */
  yieldCpu(containerId: string): Promise<void>;

  /**
   * The container that has this address on the network from which they reach the node's proxy. Left out by an engine whose
   * containers cannot be told apart so.
   */
  occupantOf?(address: string): string | undefined;

  inspect(containerId: string): Promise<EngineContainer | undefined>;

  /** Everything on this node that this engine started for this node, whatever its status. */
  listOwn(): Promise<EngineContainer[]>;

  /** Errors: `not_found`. */
  logs(containerId: string, options: LogOptions): AsyncIterable<LogLine>;

  /** Calls back when a container ends by itself (also one found by `listOwn` after a restart). */
  onExit(listener: (event: ExitEvent) => void): () => void;

  stats(containerId: string): Promise<ContainerStats>;

  /** Lets go of what the driver holds. Containers run on; pools and the like, which only serve this process, go. */
  close(): Promise<void>;
}
