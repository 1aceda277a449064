/**
 * The node agent: runs the containers that are placed on this machine and is the control plane of this machine's data
 * planes. Everything it does begins with a request, a deadline of a running container, an exit, or a change in the feed;
 * it never goes round looking.
 */
import { sleep, type Clock } from '../clock.ts';
import type { Policy } from '../cmdb/records.ts';
import type { CoreApi, NodeGateway, NodeRegistration, SizedSpec } from '../coreapi/core-api.ts';
import { isWantedAnyway } from '../coreapi/decisions/size.ts';
import { isPlatformError, PlatformError } from '../errors.ts';
import type { Log } from '../log.ts';
import type {
  Activation,
  ColdStartReport,
  ControlPlane,
  DataPlane,
  GuestRights,
  LoadReport,
  ReportBatch,
  Route,
  WakeRules,
} from '../proxy/control-plane.ts';
import { Turns } from '../turns.ts';
import { decideAdoption, type Adoption } from './adoption.ts';
import { DEFAULT_NODE_LIMITS, type NodeContext, type NodeLimits } from './context.ts';
import { DataPlanes } from './data-planes.ts';
import { Deadlines } from './deadlines.ts';
import { orAborted } from './ending.ts';
import type { Engine, ExitEvent } from './engine.ts';
import { Outbox } from './outbox.ts';
import { Groups } from './groups.ts';
import type { Live } from './live.ts';
import type { Readiness } from './readiness.ts';
import { Supervisor } from './supervisor.ts';
import { WakeLimits } from './wake-limits.ts';

export interface AgentOptions {
  readonly node: Omit<NodeRegistration, 'engine'>;
  readonly engine: Engine;
  readonly core: CoreApi;
  readonly readiness: Readiness;
  readonly clock: Clock;
  readonly log: Log;
  readonly limits?: Partial<NodeLimits>;
}

export interface CloseOptions {
  /** Containers go on serving nobody and are adopted by the next start. */
  readonly leaveRunning: boolean;
  /** Waiting for requests in flight and for an engine that is away ends after this. */
  readonly timeoutMs: number;
}

/** How long to wait before the change feed is read again after it broke. */
const FEED_RETRY_MS = 1_000;

export class Agent implements ControlPlane, NodeGateway {
  readonly #context: NodeContext;
  readonly #supervisors = new Map<string, Supervisor>();
  readonly #closing = new AbortController();
  #feed: Promise<void> = Promise.resolve();
  #closed: Promise<void> | undefined;
  /** Exits of containers that are not adopted yet; undefined once all are. */
  #earlyExits: ExitEvent[] | undefined = [];
  #stopListening: () => void = () => undefined;

  /**
   * Prepares the engine, registers the node and takes over what already runs. The engine is the agent's from here on: it is
   * closed with it, also when this rejects. Errors: `engine_unavailable`, the store's.
   */
  static async open(options: AgentOptions): Promise<Agent> {
    const agent = new Agent(options);
    try {
      await agent.#begin(options);
      return agent;
    } catch (thrown) {
      await agent.close({ leaveRunning: true, timeoutMs: 0 });
      throw thrown;
    }
  }

  async #begin({ engine, core, node }: AgentOptions): Promise<void> {
    await engine.prepare();
    await core.register({ ...node, engine: engine.name });
    // Everything that changes after this revision is heard; everything before is read by the adoption.
    const revision = await core.revision();
    this.#stopListening = engine.onExit((event) => this.#exited(event));
    await this.#adopt();
    for (const spec of await core.wantedApps()) this.#supervisor(spec.app.id).begin(spec);
    this.#feed = this.#follow(revision);
  }

  private constructor({ node, engine, core, readiness, clock, log, limits }: AgentOptions) {
    this.#context = {
      nodeId: node.nodeId,
      capacity: node.capacity,
      engine,
      core,
      readiness,
      clock,
      log,
      outbox: new Outbox(core, clock, log),
      deadlines: new Deadlines(clock),
      dataPlanes: new DataPlanes(),
      wakeLimits: new WakeLimits(),
      limits: { ...DEFAULT_NODE_LIMITS, ...limits },
      turns: new Turns(),
      reclaim: (containerIds, reason) => this.#reclaim(containerIds, reason),
      lentCpu: () => [...this.#supervisors.values()].reduce((sum, { lentCpu }) => sum + lentCpu, 0),
      groups: new Groups({
        activate: (appId) => this.activate(appId),
        changed: (appId, isKept) => this.#keptChanged(appId, isKept),
      }),
    };
  }

  // The control plane of this machine's data planes.

  async resolve(host: string): Promise<Route | undefined> {
    const spec = await this.#context.core.lookup(host);
    if (!spec) return undefined;
    const { id, name, policy, hosts } = spec.app;
    return {
      appId: id,
      appName: name,
      holdRequests: policy.hold.requests,
      holdBytes: policy.hold.bytes,
      requestTimeoutMs: policy.requestTimeoutMs,
      byName: hosts.includes(host),
      wake: wakeRules(policy),
    };
  }

  async guest(address: string): Promise<GuestRights | undefined> {
    // Whose address it is, is settled now, before anything is waited for.
    const containerId = this.#context.engine.occupantOf?.(address);
    if (containerId === undefined) return undefined;
    const supervisor = this.#ofContainer(containerId);
    const app = supervisor && (await this.#context.core.spec(supervisor.appId))?.app;
    return app && { containerId, appName: app.name, needs: (app.needs ?? []).map(({ appId }) => appId) };
  }

  activate(appId: string): Promise<Activation> {
    if (this.#closing.signal.aborted) {
      return Promise.reject(
        new PlatformError('shutting_down', 'the node is stopping', { retryAfterMs: 5_000 }),
      );
    }
    return this.#supervisor(appId).activate();
  }

  suspect(containerId: string): void {
    this.#ofContainer(containerId)?.suspect(containerId);
  }

  observe(load: LoadReport, by: DataPlane): void {
    this.#supervisors.get(load.appId)?.observe(load, by);
  }

  report({ coldStarts }: ReportBatch): void {
    for (const report of coldStarts) {
      this.#recordColdStart(report).catch((thrown: unknown) => {
        this.#context.log.warn(
          { containerId: report.containerId, err: thrown },
          'a cold start could not be recorded',
        );
      });
    }
  }

  attach(dataPlane: DataPlane): () => void {
    const detach = this.#context.dataPlanes.attach(dataPlane);
    return () => {
      detach();
      for (const supervisor of this.#supervisors.values()) supervisor.left(dataPlane);
    };
  }

  // The gateway through which the Core API reaches this node.

  resolveImage: NodeGateway['resolveImage'] = (...args) => this.#context.engine.resolveImage(...args);
  workloads: NodeGateway['workloads'] = () => this.#context.engine.capabilities.workloads;
  logs: NodeGateway['logs'] = (container, options) => this.#context.engine.logs(container.id, options);

  /** Ends the node's work; whoever asks again waits for the same end. */
  close(options: CloseOptions): Promise<void> {
    this.#closed ??= this.#close(options);
    return this.#closed;
  }

  async #close({ leaveRunning, timeoutMs }: CloseOptions): Promise<void> {
    this.#closing.abort();
    const { clock, engine, deadlines, outbox } = this.#context;
    const giveUp = new AbortController();
    const cancel = clock.after(timeoutMs, () => giveUp.abort());
    await orAborted(this.#feed, giveUp.signal);
    const reason = 'the node is stopping';
    await Promise.all(
      [...this.#supervisors.values()].map((supervisor) =>
        leaveRunning ? supervisor.halt(reason, giveUp.signal) : supervisor.close(reason, giveUp.signal),
      ),
    );
    cancel();
    this.#stopListening();
    deadlines.close();
    outbox.close();
    await engine.close();
  }

  #supervisor(appId: string): Supervisor {
    let supervisor = this.#supervisors.get(appId);
    if (!supervisor) {
      const fresh: Supervisor = new Supervisor(appId, this.#context, () => {
        // One that is idle may be told so again after another has taken its place.
        if (this.#supervisors.get(appId) === fresh) this.#supervisors.delete(appId);
      });
      supervisor = fresh;
      this.#supervisors.set(appId, supervisor);
    }
    return supervisor;
  }

  #exited(event: ExitEvent): void {
    const supervisor = this.#ofContainer(event.containerId);
    if (supervisor) supervisor.exited(event);
    else this.#earlyExits?.push(event);
  }

  /** Bounded by the containers of this node, so no index is kept. */
  #ofContainer(containerId: string): Supervisor | undefined {
    for (const supervisor of this.#supervisors.values()) if (supervisor.has(containerId)) return supervisor;
    return undefined;
  }

  #reclaim(containerIds: readonly string[], reason: string): Live[] {
    return containerIds.flatMap((id) => this.#ofContainer(id)?.reclaim(id, reason) ?? []);
  }

  #keptChanged(appId: string, isKept: boolean): void {
    const known = this.#supervisors.get(appId);
    if (known) known.keptChanged();
    else if (isKept)
      this.#appKept(appId).catch((thrown: unknown) => {
        this.#context.log.warn({ appId, err: thrown }, 'an app that another one needs could not be started');
      });
  }

  async #appKept(appId: string): Promise<void> {
    const spec = await this.#context.core.spec(appId);
    if (spec && this.#context.groups.isKept(appId)) this.#supervisor(appId).changed(spec);
  }

  async #recordColdStart({
    containerId,
    kind,
    lookupMs,
    firstByteMs,
    totalMs,
    held,
  }: ColdStartReport): Promise<void> {
    const { core, outbox } = this.#context;
    await outbox.recorded(containerId); // the node's own phases come first
    await core.coldStart(containerId, {
      kind,
      totalMs,
      held,
      phasesMs: { lookup: lookupMs, firstByte: firstByteMs },
    });
  }

  // What runs already.

  async #adopt(): Promise<void> {
    const { core, engine, nodeId, log } = this.#context;
    const [records, found] = await Promise.all([core.containersOn(nodeId), engine.listOwn()]);
    const adoptions = decideAdoption(records, found);
    await Promise.all(adoptions.map((adoption) => this.#carryOut(adoption)));
    for (const supervisor of this.#supervisors.values()) supervisor.tookOver();
    const exits = this.#earlyExits ?? [];
    this.#earlyExits = undefined;
    for (const event of exits) this.#exited(event);
    const adopted = adoptions.filter(({ action }) => action === 'adopt').length;
    if (adoptions.length > 0)
      log.info({ adopted, found: found.length, recorded: records.length }, 'took over what was here');
  }

  async #carryOut(adoption: Adoption): Promise<void> {
    const { core } = this.#context;
    switch (adoption.action) {
      case 'adopt': {
        const { container, as, address } = adoption;
        const spec = await core.spec(container.appId);
        const reason = 'it was running when its node came back';
        const record =
          container.state === as
            ? container
            : await core.report(container.id, { state: as, reason, address });
        this.#supervisor(container.appId).adopt({ ...adoption, container: record }, spec);
        return;
      }
      case 'end': {
        const { container, reason } = adoption;
        // The table leads from every living state to `failed`; only a start or a drain that was cut off is no failure.
        const blameless = container.state !== 'ready' && container.state !== 'paused';
        const state = blameless ? 'stopped' : 'failed';
        if (await this.#removed(container.id)) {
          await core.report(container.id, { state, reason });
          await core.forget(container.id);
        } else this.#supervisor(container.appId).adoptEnding(container, state, reason);
        return;
      }
      case 'keep':
        this.#supervisor(adoption.container.appId).adoptEnded(adoption.container);
        return;
      case 'forget':
        await core.forget(adoption.container.id);
        return;
      case 'removeStray':
        await this.#removed(adoption.containerId);
        return;
    }
  }

  /** One that cannot be removed at this moment keeps nobody from starting. */
  async #removed(containerId: string): Promise<boolean> {
    const { engine, log } = this.#context;
    try {
      await engine.remove(containerId);
      return true;
    } catch (thrown) {
      log.warn({ containerId, err: thrown }, 'what was found of a container could not be removed');
      return false;
    }
  }

  // What changes.

  async #follow(since: number): Promise<void> {
    const { core, log, clock } = this.#context;
    const { signal } = this.#closing;
    const isOver = () => signal.aborted; // it may be, after any await
    let cursor = since;
    while (!isOver()) {
      try {
        for await (const change of core.watch(cursor, signal)) {
          if (change.kind === 'app') await this.#appChanged(change.id);
          else if (change.kind === 'size') await this.#sizeChanged(change.id);
          cursor = change.revision;
        }
      } catch (thrown) {
        if (isOver()) return;
        log.warn({ err: thrown }, 'the change feed broke; reading it again');
        if (isPlatformError(thrown, 'revision_compacted')) cursor = await this.#resync(cursor);
      }
      await sleep(clock, FEED_RETRY_MS, signal).catch(() => undefined);
    }
  }

  async #appChanged(appId: string): Promise<void> {
    const spec = await this.#context.core.spec(appId);
    this.#context.wakeLimits.forget(appId);
    this.#context.dataPlanes.invalidate({ appId, hosts: spec?.app.hosts ?? [] });
    if (spec) this.#heard(spec);
    else this.#supervisors.get(appId)?.deleted();
  }

  async #sizeChanged(appId: string): Promise<void> {
    const spec = await this.#context.core.spec(appId);
    if (spec) this.#heard(spec);
  }

  /** An app that nobody asks for concerns this node only where it is to have containers all the same. */
  #heard(spec: SizedSpec): void {
    const { app, size } = spec;
    const known = this.#supervisors.get(app.id);
    if (known) known.changed(spec);
    else if (isWantedAnyway(app.policy, size)) this.#supervisor(app.id).changed(spec);
  }

  /** Too far behind to hear what changed: take every app that runs here as changed. */
  async #resync(cursor: number): Promise<number> {
    const { core, log } = this.#context;
    try {
      const revision = await core.revision();
      for (const appId of this.#supervisors.keys()) await this.#appChanged(appId);
      for (const spec of await core.wantedApps()) this.#heard(spec);
      return revision;
    } catch (thrown) {
      log.warn({ err: thrown }, 'the state of the apps could not be read');
      return cursor;
    }
  }

  /** What this node runs, for tests and for people who look. */
  get apps(): number {
    return this.#supervisors.size;
  }
}

/** What the data plane is told of it; undefined, nearly always, where there is nothing to tell. */
function wakeRules({ wake, minReplicas }: Policy): WakeRules | undefined {
  // One that is kept ready does not sleep: if it is away it has failed, and a monitor is to see that.
  const ignore = minReplicas > 0 ? [] : wake.ignore;
  if (ignore.length === 0 && !wake.waitingPage) return undefined;
  return { ignore, reply: wake.reply, waitingPage: wake.waitingPage };
}
