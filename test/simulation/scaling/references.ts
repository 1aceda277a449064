/**
 * What ours is compared with: three policies as their systems document them, written for this simulation. A fixed size; a target
 * of requests at once, with a stable and a panic window (Knative Serving's defaults); a target of CPU (the Horizontal Pod
 * Autoscaler's defaults). They see exact figures at each of their ticks, which is more than a metrics pipeline gives them.
 */
import type { Scaler, World } from './world.ts';

export const MAX_REPLICAS = 20;

export function fixed(replicas: number): Scaler {
  return { initial: replicas };
}

const SECOND_MS = 1_000;
const TARGET_UTILISATION = 0.7;
const STABLE_S = 60;
const PANIC_S = 6;
const PANIC_THRESHOLD = 2;
const MAX_SCALE_UP_RATE = 1_000;
const MAX_SCALE_DOWN_RATE = 2;
const ZERO_GRACE_MS = 30_000;

/** Knative: means of the concurrency of each second, looked at every two seconds. */
export class ConcurrencyTarget implements Scaler {
  readonly initial = 0;
  nextAtMs = SECOND_MS;
  readonly #target: number;
  readonly #seconds: number[] = [];
  #lastMs = 0;
  #sinceZeroMs: number | undefined;
  #panicAtMs: number | undefined;
  #mostInPanic = 0;

  constructor(target: number) {
    this.#target = target * TARGET_UTILISATION;
  }

  tick(world: World): void {
    const sumMs = world.servedMs + world.heldMs;
    this.nextAtMs += SECOND_MS;
    this.#seconds.push((sumMs - this.#lastMs) / SECOND_MS);
    this.#lastMs = sumMs;
    if (this.#seconds.length > STABLE_S) this.#seconds.shift();
    if (world.wanted === 0) this.#seconds.length = 0;
    else if (Math.round(world.nowMs / SECOND_MS) % 2 === 0) this.#scale(world);
  }

  #scale(world: World): void {
    const ready = Math.max(1, world.count('ready'));
    const within = (replicas: number) =>
      Math.min(Math.max(replicas, Math.floor(ready / MAX_SCALE_DOWN_RATE)), ready * MAX_SCALE_UP_RATE);
    const forStable = Math.ceil(mean(this.#seconds) / this.#target);
    const forPanic = Math.ceil(mean(this.#seconds.slice(-PANIC_S)) / this.#target);
    let desired = within(forStable);
    if (forPanic / ready >= PANIC_THRESHOLD) this.#panicAtMs = world.nowMs;
    else if (this.#panicAtMs !== undefined && world.nowMs - this.#panicAtMs > STABLE_S * 1_000) {
      this.#panicAtMs = undefined;
      this.#mostInPanic = 0;
    }
    if (this.#panicAtMs !== undefined) {
      this.#mostInPanic = Math.max(this.#mostInPanic, desired, within(forPanic));
      desired = this.#mostInPanic;
    }
    if (desired > 0) this.#sinceZeroMs = undefined;
    else {
      this.#sinceZeroMs ??= world.nowMs;
      if (world.nowMs - this.#sinceZeroMs < ZERO_GRACE_MS) desired = 1;
    }
    world.resize(Math.min(desired, MAX_REPLICAS));
  }
}

const SYNC_MS = 15_000;
const TOLERANCE = 0.1;
const STABILISATION_MS = 300_000;

/** HPA: the mean use of the CPU since the last look, every 15 s; the highest recommendation of five minutes. */
export class CpuTarget implements Scaler {
  readonly initial = 1;
  nextAtMs = SYNC_MS;
  readonly #target: number;
  #lastMs = 0;
  readonly #used = new WeakMap<object, number>();
  #recommended: { atMs: number; replicas: number }[] = [];

  constructor(target: number) {
    this.#target = target;
  }

  tick(world: World): void {
    this.nextAtMs += SYNC_MS;
    let usedMs = 0;
    let grantedMs = 0;
    for (const replica of world.replicas) {
      if (replica.state !== 'ready') continue;
      replica.advance(world.nowMs);
      usedMs += replica.cpuMs - (this.#used.get(replica) ?? 0);
      grantedMs += replica.cpu * (world.nowMs - Math.max(this.#lastMs, replica.readyAtMs));
      this.#used.set(replica, replica.cpuMs);
    }
    this.#lastMs = world.nowMs;
    if (grantedMs === 0) return;
    const ratio = usedMs / grantedMs / this.#target;
    const ready = world.count('ready');
    const most = Math.max(2 * world.wanted, world.wanted + 4);
    const replicas = Math.abs(ratio - 1) <= TOLERANCE ? world.wanted : Math.ceil(ready * ratio);
    this.#recommended = this.#recommended.filter(({ atMs }) => world.nowMs - atMs <= STABILISATION_MS);
    this.#recommended.push({ atMs: world.nowMs, replicas });
    const stabilised =
      replicas >= world.wanted
        ? replicas
        : Math.min(world.wanted, Math.max(...this.#recommended.map((one) => one.replicas)));
    world.resize(Math.max(1, Math.min(stabilised, most, MAX_REPLICAS)));
  }
}

function mean(values: readonly number[]): number {
  return values.length === 0 ? 0 : values.reduce((sum, value) => sum + value, 0) / values.length;
}
