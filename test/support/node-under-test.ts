/**
 * One node on a clock that stands still: the real agent, Core API and dispatcher, with a database, an engine and a change
 * feed that a test can take away for a while, and ears at everything that the agent tells its data planes.
 */
import type { App, Container, Event, Policy } from '../../src/cmdb/records.ts';
import { openMemoryStore } from '../../src/cmdb/memory.ts';
import type { Change, RetentionOptions, Store } from '../../src/cmdb/store.ts';
import { sleep } from '../../src/clock.ts';
import { Agent } from '../../src/compute/agent.ts';
import type { NodeLimits } from '../../src/compute/context.ts';
import type { Engine } from '../../src/compute/engine.ts';
import { simulatedReadiness } from '../../src/compute/readiness.ts';
import { SimulatedMachine, type Fault } from '../../src/compute/simulated/machine.ts';
import { openSimulatedEngine, type SimulatedEngine } from '../../src/compute/simulated/simulated-engine.ts';
import { createCore } from '../../src/coreapi/core.ts';
import type { CoreApi, ScaleOutcome } from '../../src/coreapi/core-api.ts';
import type { Extent, ScaleBy } from '../../src/coreapi/decisions/scale.ts';
import { Apps } from '../../src/coreapi/apps.ts';
import { ensureDefaults } from '../../src/coreapi/grades.ts';
import { listAll } from '../../src/coreapi/list-all.ts';
import type { Principal } from '../../src/coreapi/tokens.ts';
import { PlatformError } from '../../src/errors.ts';
import { silentLog } from '../../src/log.ts';
import type { DataPlane, Endpoint } from '../../src/proxy/control-plane.ts';
import { Dispatcher } from '../../src/proxy/dispatcher.ts';
import type { Lease } from '../../src/proxy/lease.ts';
import { FakeClock } from './fake-clock.ts';

const NODE_ID = 'node_test';
const NO_SIGNAL = new AbortController().signal;

export interface NodeUnderTestOptions {
  readonly capacity?: { readonly cpu: number; readonly memoryBytes: number };
  readonly retention?: Partial<RetentionOptions>;
  readonly limits?: Partial<NodeLimits>;
}

export class NodeUnderTest {
  readonly clock = new FakeClock();
  readonly machine = new SimulatedMachine(this.clock);
  /** The database itself, which can be read also while it is away for the node. */
  readonly store: Store;
  /** How the starts from now on go. */
  fault: Fault = {};
  /** While set, every call of the Core API to the database fails. */
  storeIsAway = false;
  /** Engine calls that a test answers itself. */
  hooks: Partial<Engine> = {};
  /** While set, nothing that is looked at accepts connections. */
  isDeaf = false;
  /** While set, nothing that is looked at accepts connections, or refuses them. */
  isSilent = false;
  /** How often a container was looked at whether it listens. */
  looks = 0;
  /** What the data planes were told last, by app id, and how often. */
  readonly endpoints = new Map<string, readonly Endpoint[]>();
  published = 0;
  /** How many were named at once, at each telling, by app id. */
  readonly namedAtOnce = new Map<string, number[]>();
  engine!: SimulatedEngine;
  core!: CoreApi;
  agent!: Agent;
  dispatcher!: Dispatcher;
  readonly #options: NodeUnderTestOptions;
  #principal: Principal | undefined;
  #breakFeed: (error: PlatformError) => void = () => undefined;

  constructor(options: NodeUnderTestOptions = {}) {
    this.#options = options;
    this.store = openMemoryStore(options.retention ? { retention: options.retention } : {});
  }

  /** A program on this machine; after `leave`, the next one. */
  async boot(): Promise<this> {
    const { clock, machine } = this;
    const tenant = await ensureDefaults(this.store, clock);
    this.#principal = { kind: 'operator', tenantId: tenant.id };
    const engine = openSimulatedEngine({ clock, nodeId: NODE_ID, machine, faults: () => this.fault });
    const listening: SimulatedEngine['listening'] = (address) => {
      this.looks++;
      return !this.isDeaf && engine.listening(address);
    };
    this.engine = engine;
    const readiness = simulatedReadiness({ listening }, clock);
    this.core = createCore({ store: this.#unreliable(this.store), clock, random: () => 0.5 });
    const { capacity = { cpu: 8, memoryBytes: 8 * 2 ** 30 }, limits } = this.#options;
    this.agent = await Agent.open({
      node: { nodeId: NODE_ID, name: 'test', capacity },
      engine: hooked(engine, () => this.hooks),
      core: this.core,
      readiness: {
        ...readiness,
        reach: (address, options) =>
          this.isSilent
            ? sleep(clock, options.timeoutMs, options.signal).then(() => 'silent')
            : readiness.reach(address, options),
      },
      clock,
      log: silentLog,
      limits: { cores: capacity.cpu, ...limits },
    });
    this.agent.attach(this.#ear());
    this.dispatcher = new Dispatcher({ control: this.agent, clock });
    return this;
  }

  #ear(): DataPlane {
    return {
      endpoints: (appId, endpoints) => {
        this.published++;
        this.endpoints.set(appId, endpoints);
        this.namedAtOnce.set(appId, [...(this.namedAtOnce.get(appId) ?? []), endpoints.length]);
      },
      drain: () => Promise.resolve({ drained: true }),
      abort: () => undefined,
      invalidate: () => undefined,
    };
  }

  #unreliable(store: Store): Store {
    const away = () => new PlatformError('store_unavailable', 'the database is away');
    return new Proxy(store, {
      get: (target, name) => {
        if (name === 'watch') return (since: number, signal: AbortSignal) => this.#watch(since, signal);
        const value: unknown = Reflect.get(target, name, target);
        if (typeof value !== 'function') return value;
        return (...args: unknown[]): unknown =>
          this.storeIsAway ? Promise.reject(away()) : Reflect.apply(value, target, args);
      },
    });
  }

  async *#watch(since: number, signal: AbortSignal): AsyncIterable<Change> {
    if (this.storeIsAway) throw new PlatformError('store_unavailable', 'the database is away');
    const broken = Promise.withResolvers<never>();
    broken.promise.catch(() => undefined);
    this.#breakFeed = (error) => broken.reject(error);
    const ended = new AbortController();
    const changes = this.store.watch(since, AbortSignal.any([signal, ended.signal]))[Symbol.asyncIterator]();
    try {
      for (;;) {
        const next = await Promise.race([changes.next(), broken.promise]);
        if (next.done === true) return;
        yield next.value;
      }
    } finally {
      ended.abort();
    }
  }

  breakFeed(): void {
    this.#breakFeed(new PlatformError('store_unavailable', 'the feed broke'));
  }

  #apps(): { apps: Apps; principal: Principal } {
    if (!this.#principal) throw new Error('nothing runs');
    return {
      apps: new Apps({ store: this.store, gateway: this.agent, clock: this.clock }),
      principal: this.#principal,
    };
  }

  async createApp(name: string, policy: Partial<Policy> = {}, needs: string[] = []): Promise<App> {
    const { apps, principal } = this.#apps();
    const body = { name, hosts: [`${name}.test`], command: ['serve'], cwd: '/', policy, needs };
    return (await apps.create(principal, body, { signal: NO_SIGNAL })).app;
  }

  async deploy(name: string): Promise<string> {
    const { apps, principal } = this.#apps();
    return (await apps.deploy(principal, name, {}, { signal: NO_SIGNAL })).revision.id;
  }

  async change(name: string, policy: Partial<Policy>): Promise<void> {
    const { apps, principal } = this.#apps();
    await apps.change(principal, name, { policy }, { signal: NO_SIGNAL });
  }

  async changeNeeds(name: string, needs: string[]): Promise<void> {
    const { apps, principal } = this.#apps();
    await apps.change(principal, name, { needs }, { signal: NO_SIGNAL });
  }

  async scale(name: string, wanted: Partial<Extent>, by: ScaleBy = 'instruction'): Promise<ScaleOutcome> {
    const app = (await this.store.list('app')).find((one) => one.name === name);
    return this.core.scale({ appId: app?.id ?? '', by, reason: 'the test says so', ...wanted });
  }

  async deleteApp(name: string): Promise<void> {
    const { apps, principal } = this.#apps();
    await apps.delete(principal, name);
  }

  /** A request that takes `takesMs` once it is at the app. Resolves to the app's answer or the code of an error. */
  async visit(name: string, takesMs = 1): Promise<string> {
    let lease: Lease | undefined;
    try {
      lease = await this.dispatcher.acquire(`${name}.test`, { bodyBytes: 0 });
      if (!this.engine.noteRequest(lease.endpoint.containerId)) lease = await lease.fail('refused');
      const { promise: aborted, resolve: abort } = Promise.withResolvers<string>();
      lease.onAbort = () => abort('upstream_broken');
      const answered = new Promise<string>(
        (resolve) => void this.clock.after(takesMs, () => resolve('answered')),
      );
      return await Promise.race([answered, aborted]);
    } catch (thrown) {
      return PlatformError.from(thrown).code;
    } finally {
      lease?.release();
    }
  }

  /** The same, and time passes until it is answered. */
  async visited(name: string, withinMs = 1_000): Promise<string> {
    const visit = this.visit(name);
    await this.clock.advance(withinMs);
    return visit;
  }

  /** Lets an operation that needs time to pass come to its end; returns how long that took, in milliseconds. */
  async meanwhile(work: Promise<unknown>): Promise<number> {
    const beganMs = this.clock.nowMs();
    const over = new AbortController();
    const finished = work.finally(() => over.abort());
    finished.catch(() => undefined);
    for (let step = 0; step < 2_000 && !over.signal.aborted; step++) await this.clock.advance(100);
    await finished;
    return this.clock.nowMs() - beganMs;
  }

  async close(options: { leaveRunning?: boolean; timeoutMs?: number } = {}): Promise<number> {
    this.dispatcher.close();
    const { leaveRunning = false, timeoutMs = 20_000 } = options;
    return this.meanwhile(this.agent.close({ leaveRunning, timeoutMs }));
  }

  containers(): Promise<Container[]> {
    return listAll(this.store, 'container', {});
  }

  async states(): Promise<string[]> {
    return (await this.containers()).map(({ state }) => state);
  }

  async events(type: string): Promise<Event[]> {
    return (await this.store.listEvents({ limit: 1_000 })).filter((event) => event.type === type);
  }

  count(what: string): number {
    return this.machine.history.filter((entry) => entry.what === what).length;
  }

  /** The containers that run or sleep on the machine. */
  alive(): string[] {
    return this.machine.list().flatMap(({ spec, exit }) => (exit ? [] : [spec.containerId]));
  }
}

function hooked(engine: Engine, hooks: () => Partial<Engine>): Engine {
  return new Proxy(engine, {
    get: (target, name) => {
      const hook: unknown = Reflect.get(hooks(), name);
      if (hook !== undefined) return hook;
      const value: unknown = Reflect.get(target, name, target);
      return typeof value === 'function' ? (value.bind(target) as unknown) : value;
    },
  });
}
