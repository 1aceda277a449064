/**
 * The one port through which the data plane reaches the rest of Mayfly. A warm request makes no call here: routes and
 * endpoints are cached, and changes are pushed.
 */

export interface Endpoint {
  readonly containerId: string;
  readonly host: string;
  readonly port: number;
  /** Requests in flight that this container is never given more than. */
  readonly concurrencyLimit: number;
  /** `h2c`: HTTP/2 without TLS, from the first byte. HTTP/1.1 unless it says so. */
  readonly protocol?: 'http1' | 'h2c' | undefined;
}

/** What the data plane has to know about an app to serve it. */
export interface Route {
  readonly appId: string;
  readonly appName: string;
  readonly holdRequests: number;
  readonly holdBytes: number;
  readonly requestTimeoutMs: number;
  /** The host that was asked for is one of the app's own names. Left out: a wildcard may have decided. */
  readonly byName?: boolean | undefined;
  /** Which requests are not to wait for a container while none is ready. Left out: all do. */
  readonly wake?: WakeRules | undefined;
}

/** What becomes of requests that find no container ready. */
export interface WakeRules {
  /** Requests that one of these matches are answered with `reply`. */
  readonly ignore: readonly WakeMatcher[];
  readonly reply: { readonly status: number; readonly contentType: string; readonly body: string };
  /** Browsers that load a page are shown one that waits. */
  readonly waitingPage: boolean;
}

/** All that is said has to be so. */
export interface WakeMatcher {
  /** Of the target, without the query: exactly this, or what begins so where it ends in `*`. */
  readonly path?: string | undefined;
  readonly method?: string | undefined;
  /** Is contained in `User-Agent`, in any case. */
  readonly userAgent?: string | undefined;
}

/** How an activation went, for `Server-Timing` on the cold answer. Milliseconds by phase. */
export interface Activation {
  readonly endpoints: readonly Endpoint[];
  /** `warm`: it was ready already; `resumed`: it was unpaused; `started`: a container was started. */
  readonly kind: 'warm' | 'resumed' | 'started';
  readonly containerId: string;
  readonly phasesMs: Readonly<Record<string, number>>;
}

export interface ColdStartReport {
  readonly appId: string;
  readonly containerId: string;
  readonly kind: 'resumed' | 'started';
  /** From the request's arrival. */
  readonly lookupMs: number;
  readonly firstByteMs: number;
  readonly totalMs: number;
  /** Requests that waited together. */
  readonly held: number;
}

/** Totals never fall for as long as the app is awake; then they begin anew. */
export interface LoadReport {
  readonly appId: string;
  /** Epoch ms. */
  readonly atMs: number;
  /** Requests that came, and that are over, however they ended. */
  readonly arrivals: number;
  readonly completed: number;
  /** Time that all requests together have spent at containers, and waiting for one; those that still do included. */
  readonly servedMs: number;
  readonly waitedMs: number;
  /** Now. */
  readonly inFlight: number;
  readonly held: number;
}

export interface ReportBatch {
  readonly coldStarts: readonly ColdStartReport[];
}

/** A container that asks for other apps, and for which of them it is let through. */
export interface GuestRights {
  readonly containerId: string;
  readonly appName: string;
  /** The ids of the apps that its app names in its needs. */
  readonly needs: readonly string[];
}

export interface ControlPlane {
  /** The app behind a normalised hostname (lower case, no port, no trailing dot), or undefined. */
  resolve(host: string): Promise<Route | undefined>;

  /**
   * Whoever of this node's containers has this address now, or undefined. What it may ask for may be different after any
   * `invalidate`. Errors: the store's.
   */
  guest(address: string): Promise<GuestRights | undefined>;

  /**
   * Makes at least one container of the app ready; any number of callers share one flight.
   * Errors: `start_failed`, `start_backoff`, `no_capacity`, `not_found` (the app is gone), `engine_unavailable`.
   */
  activate(appId: string): Promise<Activation>;

  /**
   * An endpoint refused a connection, broke it or did not answer: look whether it still lives. One that refused gets no request
   * until a later `endpoints` or `activate` names it.
   */
  suspect(containerId: string): void;

  /**
   * What an app's requests amount to at this data plane. Comes about every `observeEveryMs` while requests come and go,
   * and for a moment after that; never for an app without any.
   */
  observe(load: LoadReport, by: DataPlane): void;

  report(batch: ReportBatch): void;

  /** From now on the control plane pushes to this data plane; the returned function ends that. */
  attach(dataPlane: DataPlane): () => void;
}

export type DrainResult =
  | { readonly drained: true }
  /**
   * The endpoint is in use. With `onlyIfIdleSinceMs`: it was busy, or has been since. Without: a later `endpoints` named it
   * before its last request was done.
   */
  | { readonly drained: false; readonly lastActiveAtMs: number };

export interface DrainOptions {
  /**
   * Take it out of use only if nothing is in flight and nothing has been since this time (epoch ms). Without it, it is
   * taken out of use at once and the promise resolves when its last request is done.
   */
  readonly onlyIfIdleSinceMs?: number;
}

/** What the control plane may ask of a data plane. */
export interface DataPlane {
  /** The app's ready containers, all of them; an empty list is a sleeping app. */
  endpoints(appId: string, endpoints: readonly Endpoint[]): void;

  /**
   * No further request goes to this container, and pooled connections to it are closed. A drained endpoint is used again
   * only when a later `endpoints` names it. Never rejects.
   */
  drain(containerId: string, options?: DrainOptions): Promise<DrainResult>;

  /** Breaks what is still in flight on the container: its drain deadline has passed. */
  abort(containerId: string): void;

  /**
   * The app has changed, and has these hosts now (exact and `*.` wildcard; none where it is gone): what is cached for it and for
   * them is not to be relied on, negative answers included.
   */
  invalidate(change: { readonly appId: string; readonly hosts: readonly string[] }): void;
}
