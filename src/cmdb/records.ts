/**
 * What is known. Every record is plain JSON with an id, a generation for compare-and-set and its birth time.
 * Units are in the names; CPU is in cores (0.3 is the paper's 30%).
 */

export interface RecordBase {
  readonly id: string;
  /** 1 when created, one more with every update. */
  readonly generation: number;
  readonly createdAtMs: number;
}

/** What a tenant's containers may have together. */
export interface Quota {
  readonly containers: number;
  readonly cpu: number;
  readonly memoryBytes: number;
}

export interface Tenant extends RecordBase {
  readonly name: string;
  /** null: as much as the nodes give. */
  readonly quota: Quota | null;
}

export interface Token extends RecordBase {
  /** The tenant it speaks for; null is an operator's. */
  readonly tenantId: string | null;
  /** SHA-256 of the whole token, hex. The token itself is never stored. */
  readonly hash: string;
  readonly expiresAtMs: number | null;
}

/** A named size (doma's grades). */
export interface Grade extends RecordBase {
  readonly name: string;
  readonly cpu: number;
  readonly memoryBytes: number;
}

/** Which way load may change an app: more containers, stronger ones, or first the one and then the other. */
export type ScalingMode = 'off' | 'out' | 'up' | 'up-then-out';

/** A change of size: more or fewer containers, or more or less CPU and memory for each. */
export type ScaleDirection = 'out' | 'in' | 'up' | 'down';

export interface Policy {
  /** The grade that cpu and memoryBytes were taken from, if one was named. */
  readonly grade: string | null;
  readonly cpu: number;
  readonly memoryBytes: number;
  readonly pidsMax: number;
  /** While a container starts, and for a while after it is ready, it is lent so much CPU; null: it starts with its own. */
  readonly boost: { readonly cpu: number | null; readonly afterReadyMs: number };
  /** Containers kept ready without a request: never put to sleep, replaced when they die. */
  readonly minReplicas: number;
  /** Containers that may take requests at once. A successor that is starting comes on top of that, one per app. */
  readonly maxReplicas: number;
  /** Containers kept ready beyond what load needs, while the app is used. */
  readonly spares: number;
  readonly scaling: {
    /** What load may do by itself; an instruction may do either. */
    readonly mode: ScalingMode;
    /** Bounds of scaling up, whoever asks; `cpu` and `memoryBytes` are those of scaling down. null: what nodes give. */
    readonly cpuMax: number | null;
    readonly memoryMaxBytes: number | null;
    /** Shares (0 … 1) of what the containers have: load above the high one makes an app grow, below the low one shrink. */
    readonly highWater: number;
    readonly lowWater: number;
  };
  /** How long load has to wait with one change after another, by direction. */
  readonly cooldownMs: Readonly<Record<ScaleDirection, number>>;
  readonly concurrency: {
    /** Requests in flight per container that scaling aims at. */
    readonly target: number;
    /** Requests in flight per container that are never exceeded; further ones wait. */
    readonly limit: number;
  };
  /** Paused after so long without activity; null: never. */
  readonly idlePauseMs: number | null;
  /** Stopped after so long without activity; null: never. */
  readonly idleStopMs: number | null;
  /** Replaced at this age, less up to a tenth of jitter; null: never. */
  readonly lifetimeMs: number | null;
  /** A start that takes longer has failed. */
  readonly startTimeoutMs: number;
  /** From the request's forwarding to its answer's head. */
  readonly requestTimeoutMs: number;
  /** How long work in flight may go on once a container is to go. */
  readonly drainTimeoutMs: number;
  /** What may wait for the app while nothing can serve it, on one machine. */
  readonly hold: { readonly requests: number; readonly bytes: number };
  readonly wake: WakePolicy;
  /** Within these hours `minReplicas` is at least what they say. */
  readonly keepWarm: readonly KeepWarmHours[];
}

export interface KeepWarmHours {
  /** On which they begin: `mon-fri`, or `sat,sun`. */
  readonly days: string;
  /** `08:00`, in that zone. */
  readonly from: string;
  /** `18:00`, up to `24:00`; on the next day if it is not later than `from`. */
  readonly to: string;
  /** Of the IANA database: `Europe/Berlin`. */
  readonly timeZone: string;
  readonly replicas: number;
}

/** Who wakes the app when it sleeps, and who does not. */
export interface WakePolicy {
  /** A request that one of these matches does not wake it, and is answered with `reply` instead. */
  readonly ignore: readonly WakeMatcher[];
  readonly reply: { readonly status: number; readonly contentType: string; readonly body: string };
  /** Wakes for visitors: so many at once, then one more every minute's part; null: any number. */
  readonly perMinute: number | null;
  /** A browser that loads a page is shown one that waits, instead of waiting itself. */
  readonly waitingPage: boolean;
}

/** All that is said has to be so. */
export interface WakeMatcher {
  /** Of the request's target, without the query: exactly this, or what begins so where it ends in `*`. */
  readonly path?: string | undefined;
  readonly method?: string | undefined;
  /** Is contained in `User-Agent`, in any case. */
  readonly userAgent?: string | undefined;
}

/** Another app of the same tenant. An app cannot be renamed, so both say the same for as long as it is there. */
export interface NamedApp {
  readonly appId: string;
  readonly name: string;
}

export interface App extends RecordBase {
  readonly tenantId: string;
  /** Unique within its tenant. */
  readonly name: string;
  /** Normalised hostnames, exact (`a.example`) or wildcard (`*.example`: any one or more labels in its place). */
  readonly hosts: readonly string[];
  /** What runs when the next container starts. */
  readonly revisionId: string;
  readonly policy: Policy;
  /** Apps that are woken before it, in this order, and kept awake while it is. Left out: none. */
  readonly needs?: readonly NamedApp[];
  /** The other side of that: whoever names this one in its `needs`. Changed in the same commit. */
  readonly neededBy?: readonly NamedApp[];
}

/**
 * The size an app is wanted at for as long as it is awake; its id is the app's. An app that has never been scaled has
 * none. It changes by compare-and-set alone, so that any number of deciders decide once, and an app that falls asleep
 * goes back to its policy's size: the next request wakes one container.
 */
export interface Size extends RecordBase {
  /** Containers wanted; 0: as many as the policy keeps ready, and one while there are requests. */
  readonly replicas: number;
  /** Of each container; null: the policy's. */
  readonly cpu: number | null;
  readonly memoryBytes: number | null;
  /** Why it is so, for people. */
  readonly reason: string;
  /** When it was last changed in each direction. */
  readonly changedAtMs: Readonly<Partial<Record<ScaleDirection, number>>>;
}

/** What an app speaks behind its port: HTTP/1.1, or HTTP/2 without TLS from the first byte, as gRPC does. */
export type AppProtocol = 'http1' | 'h2c';

/** How to tell that a container serves: its port accepts (tcp), or a path answers 200–399 (http). */
export type Probe = { readonly type: 'tcp' } | { readonly type: 'http'; readonly path: string };

/** What an app runs: an image on an engine that has images, or a command in a folder on the process engine. */
export type Workload =
  | {
      readonly type: 'image';
      /** As the tenant gave it. */
      readonly image: string;
      /** What it resolved to at deploy (`sha256:…`); containers run this, whatever the tag says later. */
      readonly digest: string;
      /** Overrides the image's own command. */
      readonly command: readonly string[] | null;
    }
  | { readonly type: 'command'; readonly command: readonly string[]; readonly cwd: string };

/** One immutable version of an app. */
export interface Revision extends RecordBase {
  readonly appId: string;
  /** 1, 2, 3 … within the app: what people call it. */
  readonly number: number;
  readonly workload: Workload;
  readonly env: Readonly<Record<string, string>>;
  /** Where the app listens inside its container. The process engine gives the port instead, in `PORT`. */
  readonly port: number;
  readonly protocol: AppProtocol;
  readonly probe: Probe;
  /** The root file system cannot be written; `/tmp` can. */
  readonly readOnly: boolean;
}

/**
 * A certificate that a tenant gave for hosts of its app. The key is a secret: no answer, event or log line shows it, and it
 * leaves the store for the data planes alone.
 */
export interface Certificate extends RecordBase {
  readonly appId: string;
  /** Unique within its app. */
  readonly name: string;
  /** The DNS names it is for, normalised: exact, or `*.` before a name, for exactly one label. */
  readonly names: readonly string[];
  readonly issuer: string;
  /** SHA-256 of the certificate, in hex with colons. */
  readonly fingerprint: string;
  readonly notBeforeMs: number;
  readonly expiresAtMs: number;
  /** PEM: the certificate, then what leads from it to a root. */
  readonly chainPem: string;
  readonly keyPem: string;
}

export interface Resources {
  readonly cpu: number;
  readonly memoryBytes: number;
  readonly pidsMax: number;
}

export interface Address {
  readonly host: string;
  readonly port: number;
}

export type ContainerState = 'planned' | 'starting' | 'ready' | 'paused' | 'draining' | 'stopped' | 'failed';

/** The platform's own share of a cold start, by phase. */
export type ColdStartPhase =
  'lookup' | 'needs' | 'place' | 'create' | 'start' | 'listen' | 'resume' | 'firstByte';

export interface Container extends RecordBase {
  readonly appId: string;
  readonly revisionId: string;
  readonly nodeId: string;
  readonly state: ContainerState;
  /** Its place among those that serve the app, from 0; `next`: it is to succeed one of them; null once it is to go. */
  readonly slot: number | 'next' | null;
  /** Why it is in this state, for people. */
  readonly reason: string;
  readonly address: Address | null;
  readonly resources: Resources;
  /** Its revision's. */
  readonly protocol: AppProtocol;
  /** When it is to be replaced; null: never. */
  readonly expiresAtMs: number | null;
  /** Milliseconds each phase of its start took. */
  readonly phasesMs: Readonly<Partial<Record<ColdStartPhase, number>>>;
  /** When it last entered each state. */
  readonly enteredAtMs: Readonly<Partial<Record<ContainerState, number>>>;
}

export type NodeState = 'up' | 'draining' | 'down';

export interface Node extends RecordBase {
  readonly name: string;
  readonly engine: string;
  readonly state: NodeState;
  /** What containers may be given in all; CPU counts for those that may run, memory for all that live. */
  readonly capacity: { readonly cpu: number; readonly memoryBytes: number };
  /** What living containers have been given. Changed in the same commit as they are. */
  readonly reserved: { readonly cpu: number; readonly memoryBytes: number };
  readonly lastSeenAtMs: number;
}

/** What happened, to what, and why: the figures a decision was made on are part of it. */
export interface Event {
  /** Ascending; the feed's cursor. */
  readonly sequence: number;
  readonly atMs: number;
  /** `noun.verb`, e.g. `container.ready`. */
  readonly type: string;
  readonly appId: string | null;
  readonly containerId: string | null;
  readonly nodeId: string | null;
  /** One sentence for people. */
  readonly reason: string;
  readonly figures: Readonly<Record<string, string | number | boolean>>;
}

export interface RecordOf {
  tenant: Tenant;
  token: Token;
  grade: Grade;
  app: App;
  size: Size;
  revision: Revision;
  certificate: Certificate;
  container: Container;
  node: Node;
}

export type Kind = keyof RecordOf;
