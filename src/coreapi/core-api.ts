/**
 * What a compute node asks of the Core API. One program calls it directly; on many machines the typed client carries it.
 * The node owns the state of the containers placed on it and reports every change; where an app runs, and whether it may
 * run at all, is decided here.
 */
import type {
  Address,
  App,
  ColdStartPhase,
  Container,
  ContainerState,
  Node,
  Resources,
  Revision,
  ScaleDirection,
  Size,
} from '../cmdb/records.ts';
import type { Change } from '../cmdb/store.ts';
import type { Extent, Obstacle, ScaleBy } from './decisions/scale.ts';

/** An app with the revision that is to run. */
export interface AppSpec {
  readonly app: App;
  readonly revision: Revision;
}

/** The same, with the size that is wanted of it now. */
export interface SizedSpec extends AppSpec {
  readonly size: Size;
}

export interface ScaleRequest {
  readonly appId: string;
  /** What is left out stays. */
  readonly replicas?: number;
  readonly cpu?: number;
  readonly memoryBytes?: number;
  /** Who asks: a person, the load, or the silence of an app that has fallen asleep. */
  readonly by: ScaleBy;
  /** One sentence for people. */
  readonly reason: string;
  /** What it was decided on, for the event. */
  readonly figures?: Readonly<Record<string, string | number | boolean>>;
  /** Decided on this generation of the size; where another one is recorded by now, nothing is changed. */
  readonly ifGeneration?: number;
}

export interface ScaleOutcome {
  readonly changed: boolean;
  readonly from: Extent;
  /** The same as `from` where nothing was changed. */
  readonly to: Extent;
  readonly directions: readonly ScaleDirection[];
  /** Why nothing was changed: it is so already, load may not do it now, or someone else was first. */
  readonly because?: 'already' | 'superseded' | Obstacle;
  /** When the cooldown is over; epoch ms. */
  readonly notBeforeMs?: number;
  /** The record as it is now. */
  readonly size: Size;
}

/** A decision that was not made, or only in part: of a size, or of a place for a container. */
export type OnHeldBack = (decision: 'scale' | 'place', because: Obstacle) => void;

export type Plan =
  | (SizedSpec & {
      readonly action: 'run';
      readonly container: Container;
      /** CPU of the node that nobody has reserved, this container included. */
      readonly spareCpu: number;
    })
  /** The node is full, but these sleep: stop them, then ask again. */
  | { readonly action: 'reclaim'; readonly containerIds: readonly string[]; readonly reason: string };

export interface PlanRequest {
  readonly appId: string;
  readonly nodeId: string;
  /** Why a container is wanted, for its record and event. */
  readonly reason: string;
  /** It is to take the place of one that serves. */
  readonly successor: boolean;
  /** The containers of the app that the node knows of already. */
  readonly have: readonly string[];
  /** Containers of the node that make no room for it, whatever is recorded of them: they are being woken, or do not go. */
  readonly staying?: readonly string[];
}

export interface ContainerReport {
  readonly state: ContainerState;
  readonly reason: string;
  readonly address?: Address | null;
  readonly phasesMs?: Readonly<Partial<Record<ColdStartPhase, number>>>;
  readonly figures?: Readonly<Record<string, string | number | boolean>>;
}

export interface ColdStartFigures {
  readonly kind: 'started' | 'resumed';
  /** From the request's arrival to the container's first byte, in milliseconds. */
  readonly totalMs: number;
  readonly phasesMs: Readonly<Partial<Record<ColdStartPhase, number>>>;
  /** Requests that waited together. */
  readonly held: number;
}

export interface EventReport {
  readonly type: string;
  readonly appId: string | null;
  readonly containerId: string | null;
  readonly reason: string;
  readonly figures?: Readonly<Record<string, string | number | boolean>>;
}

export interface NodeRegistration {
  readonly nodeId: string;
  readonly name: string;
  readonly engine: string;
  readonly capacity: { readonly cpu: number; readonly memoryBytes: number };
}

export interface CoreApi {
  /** The app that serves a normalised hostname: the exact match, else the longest wildcard. */
  lookup(host: string): Promise<AppSpec | undefined>;

  spec(appId: string): Promise<SizedSpec | undefined>;

  /**
   * A container that is to serve the app on this node and that the node does not have: one that is recorded already, or a
   * new one, placed and recorded as `planned`. However many ask for the same, they get the same; and there are never more
   * than are wanted. Errors: `not_found`, `no_capacity`, `conflict`, `invalid_transition` (there are as many as are wanted).
   */
  plan(request: PlanRequest): Promise<Plan>;

  /** Records a state the container has reached, with its event. Errors: `not_found`, `invalid_transition`. */
  report(containerId: string, report: ContainerReport): Promise<Container>;

  /**
   * Records what a container has from now on, and in the same commit what its node holds in reserve. Growing needs room on
   * the node. Errors: `no_capacity` (with the figures), `not_found`, `invalid_transition` (it has ended).
   */
  resize(containerId: string, resources: Resources): Promise<void>;

  /** Keeps on the container how long its first request waited, by phase, and tells it as an event. */
  coldStart(containerId: string, report: ColdStartFigures): Promise<void>;

  /** Forgets a container that has ended and whose remains are removed. */
  forget(containerId: string): Promise<void>;

  /**
   * Decides the size of an app by compare-and-set: however many ask at once, each decides on what the one before wrote.
   * Nodes hear of it through the change feed and act. Errors: `not_found`; for an instruction also `invalid_body` (with
   * the bound of the policy), `quota_exceeded`, `no_capacity`. Load is never refused with an error: see `because`.
   */
  scale(request: ScaleRequest): Promise<ScaleOutcome>;

  event(event: EventReport): Promise<void>;

  /** The apps that are to have containers although nobody asks for them, now or at certain hours. */
  wantedApps(): Promise<SizedSpec[]>;

  /** Makes the node known, and its reservations what its living containers really have. */
  register(node: NodeRegistration): Promise<Node>;

  /** All containers recorded for the node. */
  containersOn(nodeId: string): Promise<Container[]>;

  /** The change feed, from a revision on. Errors: `revision_compacted`. */
  watch(since: number, signal: AbortSignal): AsyncIterable<Change>;
  revision(): Promise<number>;
}

/** What the Core API asks of the nodes on behalf of API callers. The consumer owns this port; compute fulfils it. */
export interface NodeGateway {
  resolveImage(
    image: string,
    onProgress: (progress: { status: string; currentBytes: number; totalBytes: number }) => void,
    signal: AbortSignal,
  ): Promise<{ digest: string; exposedPort: number | null }>;

  /** Which workloads the nodes' engines take. */
  workloads(): readonly ('image' | 'command')[];

  logs(
    container: Container,
    options: { follow: boolean; tailLines: number; signal: AbortSignal },
  ): AsyncIterable<{ atMs: number; stream: 'stdout' | 'stderr'; text: string }>;
}
