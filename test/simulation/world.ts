/**
 * The whole platform on a clock that stands still: the real Core API, agent and dispatcher, the memory store, and a machine
 * that exists only in simulated time. Visitors are functions that hold a lease for as long as their request takes, and
 * watch, as they go, that what always holds does hold.
 */
import type { App, Event, Policy } from '../../src/cmdb/records.ts';
import { openMemoryStore } from '../../src/cmdb/memory.ts';
import type { Store } from '../../src/cmdb/store.ts';
import { Agent } from '../../src/compute/agent.ts';
import { simulatedReadiness } from '../../src/compute/readiness.ts';
import { SimulatedMachine, type Fault, type Happening } from '../../src/compute/simulated/machine.ts';
import { openSimulatedEngine, type SimulatedEngine } from '../../src/compute/simulated/simulated-engine.ts';
import { Apps } from '../../src/coreapi/apps.ts';
import { createCore } from '../../src/coreapi/core.ts';
import type { Extent } from '../../src/coreapi/decisions/scale.ts';
import type { CoreApi } from '../../src/coreapi/core-api.ts';
import { ensureDefaults } from '../../src/coreapi/grades.ts';
import { listAll } from '../../src/coreapi/list-all.ts';
import type { Principal } from '../../src/coreapi/tokens.ts';
import { PlatformError, type ErrorCode } from '../../src/errors.ts';
import { silentLog } from '../../src/log.ts';
import type { DataPlane } from '../../src/proxy/control-plane.ts';
import { Dispatcher } from '../../src/proxy/dispatcher.ts';
import type { Activation } from '../../src/proxy/control-plane.ts';
import { SlotLedger } from '../../src/proxy/workers/slot-ledger.ts';
import type { Lease } from '../../src/proxy/lease.ts';
import type { StartSpec } from '../../src/compute/engine.ts';
import { FakeClock, settle } from '../support/fake-clock.ts';
import { LinkedWorker } from '../support/linked-worker.ts';
import { workersUnderTest } from '../support/workers-under-test.ts';
import { Life } from './mortal.ts';

/** How a request went: the app's own answer, or the code of what it was told instead. */
export type Outcome = 'answered' | 'killed' | ErrorCode;

export interface AppInput {
  readonly name: string;
  readonly hosts?: string[];
  readonly policy?: Partial<Policy>;
}

interface Program {
  readonly life: Life;
  readonly engine: SimulatedEngine;
  readonly core: CoreApi;
  readonly agent: Agent;
  readonly planes: Plane[];
}

interface WorkerOptions {
  readonly agent: Agent;
  /** The program's. */
  readonly life: Life;
  readonly ledger: SlotLedger;
  readonly reported: WeakSet<Activation>;
  readonly workers: number;
}

/** A data plane: part of the program, or a worker that may die for itself. */
interface Plane {
  readonly life: Life;
  readonly dispatcher: Dispatcher;
  readonly worker: LinkedWorker | undefined;
  /** Containers' requests in flight from here, as the visitors know it. */
  readonly inFlight: Map<string, number>;
}

const NODE = { nodeId: 'node_sim', name: 'sim', capacity: { cpu: 8, memoryBytes: 8 * 2 ** 30 } };

class WatchedMachine extends SimulatedMachine {
  readonly #watch: (what: Happening, containerId: string) => void;

  constructor(clock: FakeClock, watch: (what: Happening, containerId: string) => void) {
    super(clock);
    this.#watch = watch;
  }

  override record(what: Happening, nodeId: string, spec: StartSpec): void {
    super.record(what, nodeId, spec);
    this.#watch(what, spec.containerId);
  }
}

export class World {
  readonly clock = new FakeClock();
  readonly store: Store = openMemoryStore();
  readonly machine = new WatchedMachine(this.clock, (what, containerId) => this.#saw(what, containerId));
  /** What should never be seen. */
  readonly violations: string[] = [];
  readonly outcomes: Outcome[] = [];
  /** How the starts from now on go, by app id. */
  readonly faults = new Map<string, Fault>();
  /** The most containers that were ever wanted of an app, by app id; one unless told. */
  readonly #widest = new Map<string, number>();
  /** How many containers its data plane was told of last, by app id, and the fewest that it is promised from now on. */
  readonly #named = new Map<string, number>();
  readonly #promised = new Map<string, number>();
  /** Requests that a container may be given at once, by app id. */
  readonly #limits = new Map<string, number>();
  #turn = 0;
  readonly #reopen = new Map<Plane, () => Plane>();
  readonly #capacity: { cpu: number; memoryBytes: number };
  #principal: Principal | undefined;
  #program: Program | undefined;
  readonly #breakOff = new Set<(outcome: Outcome) => void>();

  constructor(capacity = NODE.capacity) {
    this.#capacity = capacity;
  }

  get #running(): Program {
    if (!this.#program) throw new Error('the program does not run');
    return this.#program;
  }

  get agent(): Agent {
    return this.#running.agent;
  }

  get dispatchers(): Dispatcher[] {
    return this.#running.planes.map(({ dispatcher }) => dispatcher);
  }

  get engine(): SimulatedEngine {
    return this.#running.engine;
  }

  async boot(): Promise<this> {
    const life = new Life();
    const clock = life.clock(this.clock);
    const tenant = await ensureDefaults(this.store, this.clock);
    this.#principal = { kind: 'operator', tenantId: tenant.id };
    const engine = openSimulatedEngine({
      clock,
      nodeId: NODE.nodeId,
      machine: this.machine,
      faults: (_, spec) => this.faults.get(spec.appId) ?? {},
    });
    const core = createCore({ store: life.port(this.store), clock, random: () => 0.5 });
    const agent = await Agent.open({
      node: { ...NODE, capacity: this.#capacity },
      limits: { cores: this.#capacity.cpu },
      engine: life.port(engine),
      core,
      readiness: simulatedReadiness(engine, clock),
      clock,
      log: silentLog,
    });
    agent.attach(this.#ear());
    const planes = this.#openPlanes(agent, life);
    this.#program = { life, engine, core, agent, planes };
    return this;
  }

  #openPlanes(agent: Agent, life: Life): Plane[] {
    const workers = workersUnderTest();
    if (workers === 1) {
      const dispatcher = new Dispatcher({ control: agent, clock: life.clock(this.clock) });
      return [{ life, dispatcher, worker: undefined, inFlight: new Map() }];
    }
    const ledger = new SlotLedger(workers);
    const reported = new WeakSet<Activation>();
    return Array.from({ length: workers }, () =>
      this.#openWorker({ agent, life, ledger, reported, workers }),
    );
  }

  #openWorker(one: WorkerOptions): Plane {
    const clock = one.life.clock(this.clock);
    const life = new Life();
    const plane: Plane = {
      life,
      inFlight: new Map(),
      worker: new LinkedWorker({ ...one, control: one.agent, clock, workerClock: life.clock(clock) }),
      get dispatcher() {
        return (this.worker as LinkedWorker).dispatcher;
      },
    };
    this.#reopen.set(plane, () => this.#openWorker(one));
    return plane;
  }

  /** kill -9 of one data plane, which is replaced; nothing where it is part of the program. */
  killWorker(which: number): void {
    const { planes } = this.#running;
    const at = which % planes.length;
    const plane = planes[at];
    const reopen = plane && this.#reopen.get(plane);
    if (plane === undefined || reopen === undefined) return;
    planes.splice(at, 1);
    plane.life.end();
    plane.worker?.die();
    planes.splice(at, 0, reopen());
  }

  /** kill -9 and a new start, as a service manager would do it. */
  async killAndReboot(): Promise<void> {
    const { life, engine, planes } = this.#running;
    life.end();
    for (const plane of planes) {
      plane.life.end();
      plane.worker?.vanish();
    }
    await engine.close(); // the dead one's ears; its containers live on
    this.#program = undefined;
    await this.boot();
  }

  async shutDown(): Promise<void> {
    const { agent, planes } = this.#running;
    for (const { dispatcher } of planes) dispatcher.close();
    await this.#meanwhile(agent.close({ leaveRunning: false, timeoutMs: 60_000 }));
  }

  #apps(): { apps: Apps; principal: Principal } {
    if (!this.#principal) throw new Error('the program does not run');
    return {
      apps: new Apps({ store: this.store, gateway: this.agent, clock: this.clock }),
      principal: this.#principal,
    };
  }

  async createApp({ name, hosts = [`${name}.test`], policy = {} }: AppInput): Promise<App> {
    const { apps, principal } = this.#apps();
    const signal = new AbortController().signal;
    const body = { name, hosts, command: ['serve'], cwd: '/', policy };
    const { app } = await apps.create(principal, body, { signal });
    this.#limits.set(app.id, app.policy.concurrency.limit);
    return app;
  }

  /** An instruction to have so many containers, and each so big. */
  async scale(name: string, wanted: Partial<Extent>): Promise<void> {
    const { id, policy } = await this.#find(name);
    this.#widest.set(id, policy.maxReplicas);
    const request = { appId: id, by: 'instruction', reason: 'somebody said so', ...wanted } as const;
    await this.#running.core.scale(request);
  }

  async change(name: string, policy: Partial<Policy>): Promise<void> {
    const { apps, principal } = this.#apps();
    this.#promised.delete((await this.#find(name)).id);
    await apps.change(principal, name, { policy }, { signal: new AbortController().signal });
  }

  async #find(name: string): Promise<App> {
    const app = (await this.store.list('app')).find((one) => one.name === name);
    if (!app) throw new PlatformError('not_found', name);
    return app;
  }

  /** From now on a visitor of the app is promised so many ready containers, as soon as there are so many. */
  async promise(name: string, count: number): Promise<void> {
    this.#promised.set((await this.#find(name)).id, count);
  }

  /** More containers than the policies allow, as the records have it. */
  async excess(): Promise<string[]> {
    const seated = (await this.containers()).filter(({ slot }) => slot !== null);
    return (await this.store.list('app')).flatMap(({ id, policy }) => {
      const own = seated.filter(({ appId }) => appId === id);
      const next = own.filter(({ slot }) => slot === 'next').length;
      const serving = own.length - next;
      return serving > policy.maxReplicas || next > 1 ? [`${id} has ${serving} and ${next}`] : [];
    });
  }

  #ear(): DataPlane {
    return {
      endpoints: (appId, { length }) => {
        const promised = this.#promised.get(appId) ?? 0;
        const before = this.#named.get(appId) ?? 0;
        if (before >= promised && length < promised)
          this.violations.push(`${appId} has ${length} ready, and ${promised} are promised`);
        this.#named.set(appId, length);
      },
      drain: () => Promise.resolve({ drained: true }),
      abort: () => undefined,
      invalidate: () => undefined,
    };
  }

  async deploy(name: string): Promise<void> {
    const { apps, principal } = this.#apps();
    await apps.deploy(principal, name, {}, { signal: new AbortController().signal });
  }

  async deleteApp(name: string): Promise<void> {
    const { apps, principal } = this.#apps();
    await apps.delete(principal, name);
  }

  /** A visitor's request that takes `takesMs` to be answered. Resolves when the visitor has an answer. */
  async visit(host: string, takesMs = 5): Promise<Outcome> {
    const outcome = await this.#visit(host, takesMs);
    this.outcomes.push(outcome);
    return outcome;
  }

  async #visit(host: string, takesMs: number): Promise<Outcome> {
    const { engine, planes } = this.#running;
    const plane = planes[this.#turn++ % planes.length];
    if (plane === undefined) throw new Error('there is no data plane');
    const { dispatcher, life } = plane;
    const killed = life.over.then((): Outcome => 'killed');
    try {
      const leased = dispatcher.acquire(host, { bodyBytes: 0 });
      let lease = await Promise.race([leased, killed]);
      if (lease === 'killed') return lease;
      if (!this.#send(engine, lease as Lease)) {
        lease = await Promise.race([(lease as Lease).fail('refused'), killed]);
        if (lease === 'killed') return lease;
        if (!this.#send(engine, lease as Lease)) {
          (lease as Lease).suspect();
          (lease as Lease).release();
          return 'upstream_broken';
        }
      }
      if (life.dead) return 'killed';
      return await this.#transfer(plane, lease as Lease, takesMs, killed);
    } catch (thrown) {
      const error = PlatformError.from(thrown);
      if (error.code === 'internal')
        this.violations.push(String(error.cause instanceof Error ? error.cause.stack : error));
      return error.code;
    }
  }

  /** Whether the container takes the request. It may have died unseen, but it must not sleep or be starting. */
  #send(engine: SimulatedEngine, lease: Lease): boolean {
    const { containerId } = lease.endpoint;
    const container = this.machine.find(containerId);
    if (container?.status === 'paused')
      this.violations.push(`a request was sent to ${containerId}, which is paused`);
    if (container && !container.exit && !container.isListening) {
      this.violations.push(`a request was sent to ${containerId}, which does not listen`);
    }
    return engine.noteRequest(containerId);
  }

  async #transfer(plane: Plane, lease: Lease, takesMs: number, killed: Promise<Outcome>): Promise<Outcome> {
    const { containerId } = lease.endpoint;
    const container = this.machine.find(containerId);
    plane.inFlight.set(containerId, (plane.inFlight.get(containerId) ?? 0) + 1);
    const limit = this.#limits.get(lease.route.appId) ?? Infinity;
    const inFlight = this.#inFlightOf(containerId);
    if (inFlight > limit)
      this.violations.push(`${containerId} was given ${inFlight} requests at once, and takes ${limit}`);
    lease.answered();
    const broken = Promise.withResolvers<Outcome>();
    this.#breakOff.add(broken.resolve);
    lease.onAbort = () => broken.resolve('upstream_broken');
    void container?.ended.then(() => broken.resolve('upstream_broken'));
    const done = new Promise<Outcome>((resolve) => void this.clock.after(takesMs, () => resolve('answered')));
    const outcome = await Promise.race([done, broken.promise, killed]);
    this.#breakOff.delete(broken.resolve);
    if (outcome === 'killed') return outcome;
    const left = (plane.inFlight.get(containerId) ?? 1) - 1;
    if (left === 0) plane.inFlight.delete(containerId);
    else plane.inFlight.set(containerId, left);
    lease.release();
    return outcome;
  }

  /** The network to the node is cut: nothing can be asked of its engine, nothing reaches its containers. */
  loseNode(): void {
    this.engine.loseNode();
    for (const breakOff of [...this.#breakOff]) breakOff('upstream_broken');
  }

  advance(byMs: number): Promise<void> {
    return this.clock.advance(byMs);
  }

  /** Lets an operation that needs time to pass come to its end. */
  async #meanwhile<T>(work: Promise<T>): Promise<T> {
    const over = new AbortController();
    const finished = work.finally(() => over.abort());
    finished.catch(() => undefined);
    for (let step = 0; step < 1_000 && !over.signal.aborted; step++) {
      await settle();
      await this.clock.advance(100);
    }
    return finished;
  }

  #inFlightOf(containerId: string): number {
    const { planes } = this.#program ?? { planes: [] };
    return planes.reduce((sum, { inFlight }) => sum + (inFlight.get(containerId) ?? 0), 0);
  }

  /** What always holds, looked at whenever something happens on the machine. */
  #saw(what: Happening, containerId: string): void {
    const inFlight = this.#inFlightOf(containerId);
    if ((what === 'paused' || what === 'stopped') && inFlight > 0) {
      this.violations.push(`${containerId} was ${what} with ${inFlight} requests in flight`);
    }
    if (what === 'started') {
      const { appId } = this.machine.find(containerId)?.spec ?? {};
      const starting = this.machine
        .list()
        .filter((one) => one.spec.appId === appId && !one.exit && !one.isListening);
      const allowed = this.#widest.get(appId ?? '') ?? 1;
      if (starting.length > allowed)
        this.violations.push(`${starting.length} containers of ${appId ?? ''} start at once`);
    }
  }

  events(): Promise<Event[]> {
    return this.store.listEvents({ limit: 1_000 });
  }

  containers() {
    return listAll(this.store, 'container', {});
  }

  /** How often something happened on the machine. */
  count(what: Happening, appId?: string): number {
    return this.machine.history.filter(
      (entry) => entry.what === what && (appId === undefined || entry.appId === appId),
    ).length;
  }
}
