/**
 * One app under synthetic traffic, on time that passes only here: containers that take a while to start and share their CPU,
 * a bounded queue before them, the least busy one first. A policy looks on and says how many there are to be.
 */
import { Random } from './random.ts';
import { Replica, type Request } from './replica.ts';
import { arrivals, type Traffic } from './traffic.ts';

export interface Workload {
  readonly name: string;
  readonly text: string;
  /** Draws what a request takes. */
  request(random: Random): { readonly waitMs: number; readonly cpuMs: number };
  /** Of each container, unless it is made stronger. */
  readonly cpu: number;
  readonly target: number;
  readonly limit: number;
  /** From its arrival, a request is to be over in this time. */
  readonly latencyTargetMs: number;
  /** How much more than the traffic's rate there is. */
  readonly factor: number;
  readonly startMs: number;
}

export interface Scaler {
  /** Containers that are there before the first request. */
  readonly initial: number;
  /** When it wants to be asked next; Infinity: never. */
  readonly nextAtMs?: number;
  tick?(world: World): void;
  /** A request has come, or is over. */
  touched?(world: World): void;
}

export interface Decision {
  readonly atMs: number;
  readonly replicas: number;
  readonly cpu: number;
}

export interface Outcome {
  readonly requests: number;
  /** Over the latency target, or turned away. */
  readonly late: number;
  /** Starting, serving and draining. */
  readonly containerSeconds: number;
  /** CPU granted in that time, in core-seconds. */
  readonly coreSeconds: number;
  readonly decisions: readonly Decision[];
  readonly p50Ms: number;
  readonly p99Ms: number;
}

/** Requests that may wait; further ones are turned away. */
const HOLD = 1_000;
/** Silence after the traffic, for everything to end. */
export const SILENCE_MS = 10 * 60_000;

export class World {
  readonly workload: Workload;
  readonly decisions: Decision[] = [];
  nowMs = 0;
  arrived = 0;
  completed = 0;
  /** Sums over all requests; see `Traffic` in load-window.ts. */
  servedMs = 0;
  heldMs = 0;
  replicas: Replica[] = [];
  wanted: number;
  cpu: number;
  inFlight = 0;
  lastActiveAtMs = 0;
  #held: Request[] = [];
  #heldFrom = 0;
  readonly #latencies: number[] = [];
  #late = 0;
  #containerMs = 0;
  #coreMs = 0;

  constructor(workload: Workload, initial: number) {
    this.workload = workload;
    this.wanted = initial;
    this.cpu = workload.cpu;
    for (let count = 0; count < initial; count++) this.#start(0);
  }

  get held(): number {
    return this.#held.length - this.#heldFrom;
  }

  count(state: Replica['state']): number {
    let count = 0;
    for (const replica of this.replicas) if (replica.state === state) count++;
    return count;
  }

  /** So many containers are to be there from now on. Those that start are called off first. */
  resize(replicas: number, cpu = this.cpu): void {
    if (replicas === this.wanted && cpu === this.cpu) return;
    this.decisions.push({ atMs: this.nowMs, replicas, cpu });
    this.wanted = replicas;
    if (cpu !== this.cpu) {
      this.cpu = cpu;
      for (const replica of this.replicas) replica.setCpu(cpu, this.nowMs);
    }
    const living = this.replicas.filter(({ state }) => state !== 'draining');
    for (let count = living.length; count < replicas; count++) this.#start(this.workload.startMs);
    const surplus = living
      .toSorted(
        (a, b) => Number(a.state === 'ready') - Number(b.state === 'ready') || a.inFlight - b.inFlight,
      )
      .slice(0, Math.max(0, living.length - replicas));
    for (const replica of surplus) {
      replica.state = 'draining';
      this.#endIfDrained(replica);
    }
  }

  run(traffic: Traffic, scaler: Scaler, seed: number): Outcome {
    const random = new Random(seed);
    const nextArrival = arrivals(traffic, random, this.workload.factor);
    const endMs = traffic.lengthMs + SILENCE_MS;
    let arrivalMs = nextArrival() ?? Infinity;
    for (;;) {
      const tickMs = scaler.nextAtMs ?? Infinity;
      let atMs = Math.min(arrivalMs, tickMs, endMs);
      let due: Replica | undefined;
      for (const replica of this.replicas) {
        const nextMs = replica.state === 'starting' ? replica.readyAtMs : replica.nextAtMs();
        if (nextMs < atMs) {
          atMs = nextMs;
          due = replica;
        }
      }
      this.#pass(atMs);
      if (due) this.#replicaDue(due, scaler);
      else if (atMs === arrivalMs) {
        this.#arrive({ arrivedAtMs: atMs, ...this.workload.request(random) }, scaler);
        arrivalMs = nextArrival() ?? Infinity;
      } else if (atMs === tickMs) scaler.tick?.(this);
      else break;
    }
    return this.#outcome();
  }

  #arrive(request: Request, scaler: Scaler): void {
    this.arrived++;
    this.lastActiveAtMs = this.nowMs;
    if (this.wanted === 0) this.resize(1);
    const replica = this.#free();
    if (replica) this.#serve(request, replica);
    else if (this.held < HOLD) this.#held.push(request);
    else {
      this.completed++;
      this.#late++;
    }
    scaler.touched?.(this);
  }

  #replicaDue(replica: Replica, scaler: Scaler): void {
    if (replica.state === 'starting') {
      replica.state = 'ready';
      this.#release();
      return;
    }
    const done = replica.step(this.nowMs);
    if (!done) return;
    this.inFlight--;
    this.completed++;
    this.lastActiveAtMs = this.nowMs;
    const latencyMs = this.nowMs - done.arrivedAtMs;
    this.#latencies.push(latencyMs);
    if (latencyMs > this.workload.latencyTargetMs) this.#late++;
    if (replica.state === 'draining') this.#endIfDrained(replica);
    this.#release();
    scaler.touched?.(this);
  }

  #release(): void {
    while (this.held > 0) {
      const replica = this.#free();
      const request = this.#held[this.#heldFrom];
      if (!replica || !request) return;
      this.#heldFrom++;
      if (this.#heldFrom > 1_000) {
        this.#held = this.#held.slice(this.#heldFrom);
        this.#heldFrom = 0;
      }
      this.#serve(request, replica);
    }
  }

  #serve(request: Request, replica: Replica): void {
    this.inFlight++;
    replica.take(request, this.nowMs);
  }

  #free(): Replica | undefined {
    let free: Replica | undefined;
    let least = this.workload.limit;
    for (const replica of this.replicas) {
      if (replica.state !== 'ready' || replica.inFlight >= least) continue;
      least = replica.inFlight;
      free = replica;
    }
    return free;
  }

  #start(startMs: number): void {
    const replica = new Replica(this.nowMs, startMs, this.cpu);
    if (startMs === 0) replica.state = 'ready';
    this.replicas.push(replica);
  }

  #endIfDrained(replica: Replica): void {
    if (replica.inFlight > 0) return;
    this.replicas = this.replicas.filter((one) => one !== replica);
  }

  #pass(atMs: number): void {
    const ms = atMs - this.nowMs;
    this.servedMs += ms * this.inFlight;
    this.heldMs += ms * this.held;
    this.#containerMs += ms * this.replicas.length;
    this.#coreMs += ms * this.replicas.length * this.cpu;
    this.nowMs = atMs;
  }

  #outcome(): Outcome {
    const sorted = Float64Array.from(this.#latencies).sort();
    const quantile = (share: number) => sorted[Math.floor(share * sorted.length)] ?? 0;
    return {
      requests: this.arrived,
      late: this.#late + this.held + this.inFlight,
      containerSeconds: this.#containerMs / 1_000,
      coreSeconds: this.#coreMs / 1_000,
      decisions: this.decisions,
      p50Ms: quantile(0.5),
      p99Ms: quantile(0.99),
    };
  }
}
