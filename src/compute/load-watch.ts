/**
 * Looks at an app while requests come and go: what the data planes tell of them, and what its containers on this node have used
 * meanwhile. What load then wants is asked of the Core API, which decides; a look costs some reading of the kernel's files,
 * and an app that nobody visits is never looked at.
 */
import { AppLoad, type ContainerUse, type Traffic } from '../coreapi/decisions/load.ts';
import { wantedReplicas, wantedResources } from '../coreapi/decisions/size.ts';
import type { DataPlane, LoadReport } from '../proxy/control-plane.ts';
import type { AppOnNode } from './app-on-node.ts';
import type { ContainerStats } from './engine.ts';
import type { Live } from './live.ts';
import { Yielding } from './yielding.ts';

/** Several data planes tell of the same app; together they are worth no more looks than one. */
const LOOK_EVERY_MS = 50;

const NO_TRAFFIC: Traffic = { arrivals: 0, completed: 0, servedMs: 0, heldMs: 0 };

export class LoadWatch {
  readonly #app: AppOnNode;
  #load: AppLoad | undefined;
  /** When the first request since then came, epoch ms. */
  #beganAtMs = Infinity;
  /** What each data plane has told last. */
  readonly #told = new Map<DataPlane, LoadReport>();
  /** Since the last look. */
  #traffic = NO_TRAFFIC;
  /** What each container had used at the last look. */
  #used = new Map<string, ContainerStats>();
  #lookedAtMs = -Infinity;
  readonly #yielding: Yielding;
  #looking: Promise<void> | undefined;

  constructor(app: AppOnNode) {
    this.#app = app;
    this.#yielding = new Yielding(app);
  }

  /** The look under way, if there is one. */
  get looking(): Promise<void> | undefined {
    return this.#looking;
  }

  /** Requests have come or gone. */
  heard(report: LoadReport, by: DataPlane): void {
    this.#traffic = plus(this.#traffic, since(this.#told.get(by), report));
    this.#told.set(by, report);
    this.#beganAtMs = Math.min(this.#beganAtMs, report.atMs);
    const { clock, log } = this.#app.context;
    if (this.#looking || clock.nowMs() - this.#lookedAtMs < LOOK_EVERY_MS) return;
    this.#lookedAtMs = clock.nowMs();
    this.#looking = this.#look()
      .catch((thrown: unknown) => {
        log.warn({ appId: this.#app.appId, err: thrown }, 'the load of an app could not be looked at');
      })
      .finally(() => {
        this.#looking = undefined;
      });
  }

  /** What was in flight there is no more. */
  left(dataPlane: DataPlane): void {
    this.#told.delete(dataPlane);
  }

  /** The app sleeps: what was seen of it says nothing about the next time. */
  forget(): void {
    this.#load = undefined;
    this.#beganAtMs = Infinity;
    // Where containers are kept ready, the data planes go on with their totals: what comes next is counted from there.
    if (this.#app.crew.ready().length === 0) this.#told.clear();
    this.#traffic = NO_TRAFFIC;
    this.#used.clear();
  }

  async #look(): Promise<void> {
    const { spec, policy, size, crew, context, closing } = this.#app;
    if (!spec || !policy || closing.signal.aborted) return;
    // What came while nobody knew the app yet is part of what is seen: a crowd that wakes an app is recognised the sooner.
    const load = (this.#load ??= new AppLoad(this.#beganAtMs));
    const containers = await this.#uses(crew.ready());
    // It fell asleep meanwhile.
    if (load !== this.#load) return;
    const traffic = this.#traffic;
    this.#traffic = NO_TRAFFIC;
    const { cpu, memoryBytes } = wantedResources(policy, size);
    const starting = crew.all().filter((live) => live.state === 'starting' && !live.isSuccessor).length;
    const isAwake = containers.length + starting > 0;
    const wish = load.observe(
      { atMs: context.clock.nowMs(), containers, traffic, ...this.#present() },
      {
        policy,
        extent: { replicas: wantedReplicas(policy, size, isAwake), cpu, memoryBytes },
        ready: containers.length,
        starting,
        // What a node gives away is more than its machine has; one container cannot use more than that.
        machine: { ...context.capacity, cpu: context.limits.cores },
      },
    );
    if (!wish) return;
    const { wanted, reason, figures } = wish;
    const ifGeneration = spec.size.generation;
    await context.core.scale({
      appId: this.#app.appId,
      by: 'load',
      ...wanted,
      reason,
      figures,
      ifGeneration,
    });
  }

  /** One that ends while it is looked at is left out. */
  async #uses(ready: readonly Live[]): Promise<ContainerUse[]> {
    const { engine } = this.#app.context;
    const used = new Map<string, ContainerStats>();
    const uses = await Promise.all(
      ready.map(async (live) => {
        const now = await engine.stats(live.id).catch(() => undefined);
        if (!now) return [];
        used.set(live.id, now);
        this.#yielding.looked(live, now);
        return [use(live, this.#used.get(live.id) ?? now, now)];
      }),
    );
    this.#used = used;
    return uses.flat();
  }

  #present(): { inFlight: number; held: number } {
    let inFlight = 0;
    let held = 0;
    for (const report of this.#told.values()) {
      inFlight += report.inFlight;
      held += report.held;
    }
    return { inFlight, held };
  }
}

function use(live: Live, before: ContainerStats, now: ContainerStats): ContainerUse {
  const { memoryBytes: memoryLimitBytes } = live.resources;
  const cpu = live.cpuSince(before.atMs);
  const periods = (now.periods ?? 0) - (before.periods ?? 0);
  const throttled = (now.throttledPeriods ?? 0) - (before.throttledPeriods ?? 0);
  return {
    containerId: live.id,
    overMs: Math.max(0, now.atMs - before.atMs),
    cpuMs: Math.max(0, now.cpuMs - before.cpuMs),
    cpu,
    throttledShare: periods > 0 ? Math.min(1, throttled / periods) : 0,
    memoryBytes: now.memoryBytes,
    memoryLimitBytes,
    oomKills: Math.max(0, (now.oomKills ?? 0) - (before.oomKills ?? 0)),
    pids: now.pids,
  };
}

/** A data plane whose totals fell has begun anew: the app slept in between. */
function since(before: LoadReport | undefined, now: LoadReport): Traffic {
  const from =
    before && before.arrivals <= now.arrivals && before.servedMs <= now.servedMs ? before : undefined;
  return {
    arrivals: now.arrivals - (from?.arrivals ?? 0),
    completed: Math.max(0, now.completed - (from?.completed ?? 0)),
    servedMs: now.servedMs - (from?.servedMs ?? 0),
    heldMs: Math.max(0, now.waitedMs - (from?.waitedMs ?? 0)),
  };
}

function plus(a: Traffic, b: Traffic): Traffic {
  return {
    arrivals: a.arrivals + b.arrivals,
    completed: a.completed + b.completed,
    servedMs: a.servedMs + b.servedMs,
    heldMs: a.heldMs + b.heldMs,
  };
}
