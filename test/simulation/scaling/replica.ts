/**
 * A container that serves: requests wait for something outside first (or not), then share the CPU evenly, each on one core at
 * most. Evenly shared means that all progress at the same pace, so one number tells how far everybody has come.
 */
import { Heap } from './heap.ts';

export interface Request {
  readonly arrivedAtMs: number;
  /** What it waits for elsewhere, and then the CPU time that it takes. Milliseconds. */
  readonly waitMs: number;
  readonly cpuMs: number;
}

export type ReplicaState = 'starting' | 'ready' | 'draining';

export class Replica {
  readonly startedAtMs: number;
  readonly readyAtMs: number;
  state: ReplicaState = 'starting';
  /** CPU time used, and that in which there was too little of it. Milliseconds. */
  cpuMs = 0;
  shortMs = 0;
  #cpu: number;
  #nowMs: number;
  /** CPU time that each request which has been there all along would have had. */
  #progressMs = 0;
  readonly #waiting = new Heap<Request>();
  readonly #running = new Heap<Request>();

  constructor(startedAtMs: number, startMs: number, cpu: number) {
    this.startedAtMs = startedAtMs;
    this.readyAtMs = startedAtMs + startMs;
    this.#nowMs = startedAtMs;
    this.#cpu = cpu;
  }

  get inFlight(): number {
    return this.#waiting.size + this.#running.size;
  }

  get cpu(): number {
    return this.#cpu;
  }

  setCpu(cpu: number, nowMs: number): void {
    this.advance(nowMs);
    this.#cpu = cpu;
  }

  take(request: Request, nowMs: number): void {
    this.advance(nowMs);
    if (request.waitMs > 0) this.#waiting.push(nowMs + request.waitMs, request);
    else this.#running.push(this.#progressMs + request.cpuMs, request);
  }

  /** When something changes in here by itself. */
  nextAtMs(): number {
    const doneAtMs =
      this.#running.size > 0 ? this.#nowMs + (this.#running.key - this.#progressMs) / this.#pace() : Infinity;
    return Math.min(doneAtMs, this.#waiting.key);
  }

  /** Lets happen what is due by now, no later than `nextAtMs`; a request that is done is returned. */
  step(nowMs: number): Request | undefined {
    const isDone = this.#waiting.key > nowMs;
    this.advance(nowMs);
    if (isDone) return this.#running.pop();
    const request = this.#waiting.pop();
    if (request) this.#running.push(this.#progressMs + request.cpuMs, request);
    return undefined;
  }

  advance(nowMs: number): void {
    const ms = nowMs - this.#nowMs;
    this.#nowMs = nowMs;
    const count = this.#running.size;
    if (count === 0) return;
    const pace = this.#pace();
    this.#progressMs += pace * ms;
    this.cpuMs += pace * ms * count;
    if (count > this.#cpu) this.shortMs += ms;
  }

  /** Cores that each running request has. */
  #pace(): number {
    return Math.min(1, this.#cpu / this.#running.size);
  }
}
