/**
 * The right to send one request to one container, counted against its concurrency limit from the moment it is given until
 * `release`. Whoever holds one must release it exactly when the last byte has passed, or the connection broke.
 */
import type { Activation, Endpoint, Route } from './control-plane.ts';
import type { Guest } from './guests.ts';
import type { Upstream, Work } from './upstream.ts';

/** What the dispatcher wants to know of a request. */
export interface AcquireRequest {
  /** What it occupies in this process while it is held, in bytes: the part of its body that is buffered. */
  readonly bodyBytes: number;
  /** When it came, on the monotonic clock; left out: now. */
  readonly startedMs?: number | undefined;
  /** Aborted when the client has gone. Read only when the request has to wait. */
  readonly signal?: AbortSignal | undefined;
  /** Read only where no container is ready and its app tells requests apart. */
  readonly question?: Question | undefined;
  /** The container that asks, where it is none of the visitors. */
  readonly guest?: Guest | undefined;
}

/** What a request asks; good until `acquire` returns or, if that waits for a route, until it settles. */
export interface Question {
  readonly method: string;
  /** Path and query, as they were sent. */
  readonly target: string;
  /** The value of a header field by its lower-case name; undefined where there is none. */
  field(name: string): string | undefined;
}

/** One activation, as seen by the requests that waited for it. */
export interface Flight {
  /** Set once it has succeeded. */
  activation: Activation | undefined;
  /** The app's endpoints were pushed meanwhile: those of the answer are older. */
  superseded: boolean;
  /** Requests that waited for it. */
  held: number;
  reported: boolean;
}

/** How a request came to wait, and for what. */
export interface Wait {
  readonly route: Route;
  readonly request: AcquireRequest;
  /** When the request came, monotonic. */
  readonly arrivedAtMs: number;
  /** How long finding its app took. */
  readonly lookupMs: number;
  /** Whether a container has failed it before. */
  readonly retry: boolean;
  /** How long it was held, once it has its place; milliseconds. */
  heldMs: number;
  flight: Flight | undefined;
}

export interface ColdStart {
  readonly kind: 'started' | 'resumed';
  readonly containerId: string;
  readonly phasesMs: Readonly<Record<string, number>>;
  /** When the request came, on the monotonic clock. */
  readonly arrivedAtMs: number;
  readonly lookupMs: number;
  readonly held: number;
}

/** `refused`: nothing listens there, or there is no way. `silent`: there was no answer in time; the container may be busy. */
export type ConnectFailure = 'refused' | 'silent';

/** What a lease asks of whoever gave it. */
export interface LeaseGiver {
  /** `atMs`: on the monotonic clock; left out: now. */
  released(lease: Lease, atMs?: number): void;
  /** Releases the lease as well. */
  connectFailed(lease: Lease, why: ConnectFailure): Promise<Lease>;
  suspected(upstream: Upstream): void;
  answered(lease: Lease, cold: ColdStart): void;
}

export class Lease implements Work {
  readonly route: Route;
  readonly endpoint: Endpoint;
  readonly request: AcquireRequest;
  /** Undefined when it did not wait. */
  readonly wait: Wait | undefined;
  readonly upstream: Upstream;
  /** Called when what is in flight must be broken off now (the container's drain deadline has passed). */
  onAbort: (() => void) | undefined = undefined;
  place = 0;
  readonly #giver: LeaseGiver;
  #released = false;

  constructor(
    giver: LeaseGiver,
    upstream: Upstream,
    route: Route,
    request: AcquireRequest,
    wait: Wait | undefined,
  ) {
    this.#giver = giver;
    this.upstream = upstream;
    this.endpoint = upstream.endpoint;
    this.route = route;
    this.request = request;
    this.wait = wait;
  }

  /** The cold start that this request waited for, once it is known; read it when the answer's head arrives. */
  get cold(): ColdStart | undefined {
    const activation = this.wait?.flight?.activation;
    if (this.wait?.flight === undefined || activation === undefined || activation.kind === 'warm')
      return undefined;
    return {
      kind: activation.kind,
      containerId: activation.containerId,
      phasesMs: activation.phasesMs,
      arrivedAtMs: this.wait.arrivedAtMs,
      lookupMs: this.wait.lookupMs,
      held: this.wait.flight.held,
    };
  }

  /** The first byte of the answer is here: a cold start is reported, once per start. */
  answered(): void {
    const cold = this.cold;
    if (cold !== undefined) this.#giver.answered(this, cold);
  }

  /** Gives the slot back; `atMs`: on the monotonic clock, left out: now. Calling it again does nothing. */
  release(atMs?: number): void {
    if (this.#released) return;
    this.#released = true;
    this.#giver.released(this, atMs);
  }

  /** The container broke the connection; someone should look whether it still lives. The lease stays. */
  suspect(): void {
    this.#giver.suspected(this.upstream);
  }

  /**
   * No connection came about, so nothing was sent: gives the slot back, has the container looked at, and waits for a
   * place elsewhere: another container, or a fresh activation. Once; the second time it rejects with `upstream_broken`, or
   * `upstream_timeout` where it was `silent`.
   */
  fail(why: ConnectFailure): Promise<Lease> {
    return this.#giver.connectFailed(this, why);
  }
}
