/**
 * Ours, through the modules that decide in production: `AppLoad` on observations that come with requests, `decideScale` with the
 * cooldowns of the record. What the simulation leaves out is what they are carried by: cgroup files, proxies, the database.
 */
import type { Policy, Size } from '../../../src/cmdb/records.ts';
import { AppLoad, type ContainerUse, type LoadWish } from '../../../src/coreapi/decisions/load.ts';
import { decideScale } from '../../../src/coreapi/decisions/scale.ts';
import { unscaled, wantedReplicas, wantedResources } from '../../../src/coreapi/decisions/size.ts';
import { DEFAULT_POLICY } from '../../../src/coreapi/schema-policy.ts';
import { MAX_REPLICAS } from './references.ts';
import type { Replica } from './replica.ts';
import type { Scaler, Workload, World } from './world.ts';

/** As the proxies do it: at the first request, then every so often while requests come and go, and this long after the last. */
const OBSERVE_EVERY_MS = 100;
const OBSERVE_AFTER_MS = 500;
const MACHINE = { cpu: 8, memoryBytes: 2 ** 34 };
const EPOCH_MS = 1_000_000;

/** The defaults, but for what the workload is and how many there may be. */
export function policyFor(workload: Workload, change: Partial<Policy> = {}): Policy {
  return {
    ...DEFAULT_POLICY,
    cpu: workload.cpu,
    maxReplicas: MAX_REPLICAS,
    concurrency: { target: workload.target, limit: workload.limit },
    // As long as Knative keeps the last one: a minute of its window, and half a minute of grace.
    idlePauseMs: null,
    idleStopMs: 90_000,
    ...change,
  };
}

interface Seen {
  readonly atMs: number;
  readonly cpuMs: number;
  readonly shortMs: number;
}

export class Mayfly implements Scaler {
  readonly initial = 0;
  readonly wishes: { readonly atMs: number; readonly wish: LoadWish }[] = [];
  readonly #policy: Policy;
  #size: Size = unscaled('app_1');
  #load = new AppLoad();
  #observed = { atMs: -Infinity, arrived: 0, completed: 0, servedMs: 0, heldMs: 0 };
  #seen = new WeakMap<Replica, Seen>();

  #observeAtMs = Infinity;
  #sleepAtMs = Infinity;

  constructor(policy: Policy) {
    this.#policy = policy;
  }

  get nextAtMs(): number {
    return Math.min(this.#observeAtMs, this.#sleepAtMs);
  }

  /** A request has come or gone. */
  touched(world: World): void {
    this.#sleepAtMs = world.nowMs + (this.#policy.idleStopMs ?? Infinity);
    if (this.#observeAtMs === Infinity) this.#observe(world);
  }

  tick(world: World): void {
    const { nowMs, lastActiveAtMs } = world;
    const isBusy = world.inFlight + world.held > 0;
    if (nowMs >= this.#observeAtMs) {
      this.#observeAtMs = Infinity;
      if (nowMs - lastActiveAtMs <= (isBusy ? OBSERVE_AFTER_MS : OBSERVE_EVERY_MS)) this.#observe(world);
    }
    if (nowMs < this.#sleepAtMs) return;
    this.#sleepAtMs = Infinity;
    if (!isBusy) this.#sleep(world);
  }

  /** The next request wakes one container of the policy's size. */
  #sleep(world: World): void {
    this.#size = { ...this.#size, replicas: 0, cpu: null, memoryBytes: null };
    this.#load = new AppLoad();
    world.resize(0, this.#policy.cpu);
  }

  #observe(world: World): void {
    this.#observeAtMs = world.nowMs + OBSERVE_EVERY_MS;
    const atMs = EPOCH_MS + world.nowMs;
    const ready = world.count('ready');
    const replicas = wantedReplicas(this.#policy, this.#size, true);
    const { cpu, memoryBytes } = wantedResources(this.#policy, this.#size);
    const wish = this.#load.observe(this.#observation(world, atMs), {
      policy: this.#policy,
      extent: { replicas, cpu, memoryBytes },
      ready,
      starting: world.count('starting'),
      machine: MACHINE,
    });
    if (!wish) return;
    this.wishes.push({ atMs: world.nowMs, wish });
    const awake = ready + world.count('starting');
    const input = { policy: this.#policy, size: this.#size, awake, by: 'load', wanted: wish.wanted } as const;
    const decision = decideScale(input, atMs);
    if (decision.action !== 'change') return;
    const stamps = Object.fromEntries(decision.directions.map((direction) => [direction, atMs]));
    const changedAtMs = { ...this.#size.changedAtMs, ...stamps };
    this.#size = { ...this.#size, ...decision.set, changedAtMs, generation: this.#size.generation + 1 };
    world.resize(decision.to.replicas, decision.to.cpu);
  }

  #observation(world: World, atMs: number) {
    const before = this.#observed;
    const { arrived, completed, servedMs, heldMs, inFlight, held } = world;
    this.#observed = { atMs, arrived, completed, servedMs, heldMs };
    return {
      atMs,
      inFlight,
      held,
      traffic: {
        arrivals: arrived - before.arrived,
        completed: completed - before.completed,
        servedMs: servedMs - before.servedMs,
        heldMs: heldMs - before.heldMs,
      },
      containers: world.replicas
        .filter(({ state }) => state === 'ready')
        .map((one) => this.#use(one, world.nowMs)),
    };
  }

  #use(replica: Replica, nowMs: number): ContainerUse {
    replica.advance(nowMs);
    const { cpuMs, shortMs, cpu, readyAtMs } = replica;
    const before = this.#seen.get(replica) ?? { atMs: readyAtMs, cpuMs: 0, shortMs: 0 };
    this.#seen.set(replica, { atMs: nowMs, cpuMs, shortMs });
    const overMs = nowMs - before.atMs;
    return {
      containerId: `ctr_${readyAtMs}`,
      overMs,
      cpuMs: cpuMs - before.cpuMs,
      cpu,
      throttledShare: overMs > 0 ? (shortMs - before.shortMs) / overMs : 0,
      memoryBytes: 64 * 2 ** 20,
      memoryLimitBytes: 256 * 2 ** 20,
      oomKills: 0,
      pids: 1,
    };
  }
}
