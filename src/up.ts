/**
 * `mayfly up`: the whole platform in one program, on one machine. The only place where the parts meet; each knows the
 * others by their ports alone.
 */
import { availableParallelism, hostname, totalmem } from 'node:os';
import { systemClock } from './clock.ts';
import { lockFile, openSqliteStore } from './cmdb/sqlite.ts';
import type { Store } from './cmdb/store.ts';
import { Agent } from './compute/agent.ts';
import type { Engine } from './compute/engine.ts';
import { tcpReadiness } from './compute/readiness.ts';
import type { UpConfig } from './config.ts';
import { CertificateFeed } from './coreapi/certificate-feed.ts';
import { createCore } from './coreapi/core.ts';
import { ensureDefaults } from './coreapi/grades.ts';
import { startCoreApi } from './coreapi/http/server.ts';
import { removeOtherNodes } from './coreapi/lone-node.ts';
import { ensureOperatorToken, forgetOperatorToken } from './coreapi/tokens.ts';
import { openDataDir, type DataDir } from './data-dir.ts';
import { engineUsedBefore, openEngine } from './engine-choice.ts';
import { PlatformError } from './errors.ts';
import { prepareDoors } from './front-doors.ts';
import { createLog, type Log } from './log.ts';
import { MetricsCollector } from './metrics/collector.ts';
import { EventTally } from './metrics/event-tally.ts';
import { startMetricsServer } from './metrics/server.ts';
import { Networks } from './networks.ts';
import { holdNode } from './node-lock.ts';
import { startDataPlane } from './proxy/workers/data-plane.ts';
import { writeText } from './write-text.ts';

/** Requests in flight, and containers told to stop, may take so long to end once the program is told to. */
const DRAIN_MS = 10_000;
const STOP_MS = 20_000;
const clock = systemClock;

/** Runs until SIGINT or SIGTERM; a second one ends it at once. Resolves to the exit code. */
export async function up(config: UpConfig): Promise<number> {
  const stopSignal = nextSignal();
  const log = createLog(config.logLevel);
  const closers: (() => unknown)[] = [];
  const hangUp = new HangUp(log);
  // The platform's timers and children keep no process alive. While things end, nothing else may: the end is awaited here.
  const alive = setInterval(() => undefined, 2 ** 31 - 1);
  try {
    const dataDir = openDataDir(config.data, lockFile);
    closers.push(() => dataDir.release());
    await serve(config, dataDir, hangUp, log, closers);
    log.info({ signal: await stopSignal }, 'stopping');
    void nextSignal().then(() => process.exit(130));
    return 0;
  } finally {
    // In the reverse order of their making: first nobody new is let in, last the database is let go.
    try {
      for (const close of closers.reverse()) await close();
    } finally {
      clearInterval(alive);
    }
  }
}

async function serve(
  config: UpConfig,
  dataDir: DataDir,
  hangUp: HangUp,
  log: Log,
  closers: (() => unknown)[],
): Promise<void> {
  const doors = prepareDoors(config, clock, log);
  const tally = new EventTally();
  const store = tally.watch(openSqliteStore({ path: dataDir.databasePath }));
  closers.push(() => store.close());
  await ensureDefaults(store, clock);
  const nodeId = dataDir.nodeId((await store.list('node')).map(({ id }) => id));
  closers.push(await holdNode(nodeId));
  await removeOtherNodes(store, clock, nodeId);

  // Port 0 is another one from when it listens on.
  let { proxyPort } = config;
  const proxyAt = () => authority(reachedAt(config.proxyHost), proxyPort);
  const node = { id: nodeId, usedBefore: await engineUsedBefore(store, nodeId) };
  const { engine, network, note } = await openEngine({ config, node, proxyAt, clock, log });
  const agent = await openAgent(config, nodeId, { store, tally }, engine, log);
  // A start that fails half way leaves the containers it found as they were.
  let leaveRunning = true;
  closers.push(() => agent.close({ leaveRunning, timeoutMs: STOP_MS }));
  const { subnets: containerNetworks, gateway } = network();

  const feed = doors.listen.tls && (await CertificateFeed.open({ store, clock, log }));
  closers.push(() => feed?.close());
  if (doors.settings(feed?.certificates ?? []).tls?.certificates.length === 0)
    log.warn('there is no certificate: nobody is served over TLS until a tenant brings one');
  const { logLevel, accessLog: path, accessLogSample: sample } = config;
  const proxy = await startDataPlane({
    ...{ control: agent, clock, log, count: config.workers, drainMs: config.workerDrainMs },
    listen: {
      ...doors.listen,
      ...(gateway !== undefined && { inside: { host: gateway, port: config.insidePort } }),
    },
    settings: () => ({
      ...{
        logLevel,
        refuseFrom: containerNetworks,
        accessLog: path === undefined ? undefined : { path, sample },
      },
      ...doors.settings(feed?.certificates ?? []),
    }),
  }).catch(
    cannotListen(
      { name: 'proxy', host: config.proxyHost, port: config.proxyPort },
      { name: 'proxy', portFlag: '--tls-port', host: config.proxyHost, port: config.tlsPort },
      { name: 'inside', host: gateway, port: config.insidePort },
    ),
  );
  proxyPort = proxy.port;
  closers.push(() => proxy.close({ graceMs: DRAIN_MS }));
  closers.push(doors.watch((change) => proxy.changeCertificates(change)));
  feed?.watch((change) => proxy.changeCertificates(change));
  closers.push(
    hangUp.calls(async () => {
      if (config.workers > 1) await proxy.restart();
      else log.info('no worker is replaced: there is one, and it is part of the program itself (--workers)');
    }),
  );
  const metrics = new MetricsCollector({
    store,
    tally,
    dataPlanes: () => proxy.snapshots(),
  });
  const metricsUrl = await serveMetrics(config, metrics, new Networks(containerNetworks), log, closers);
  // Last, because from here on /readyz says that requests are served.
  const apiAt = { host: config.apiHost, port: config.apiPort };
  const api = await startCoreApi({
    store,
    gateway: agent,
    clock,
    log,
    listen: apiAt,
    metrics: () => metrics.render(),
    refuseFrom: new Networks(containerNetworks),
  }).catch(cannotListen({ name: 'api', ...apiAt }));
  closers.push(() => api.close());
  // Made only now: a token that is shown once must not be lost to a start that failed.
  const operator = await ensureOperatorToken(store, { fromEnv: config.operatorToken, clock });

  const lines = [
    'Mayfly is up.',
    `  apps      ${url(config.proxyHost, proxy.port)}, by hostname${config.workers > 1 ? `, ${config.workers} workers` : ''}`,
    ...(proxy.tlsPort === undefined ? [] : [`            ${url(config.proxyHost, proxy.tlsPort, 'https')}`]),
    ...(gateway === undefined
      ? []
      : [`            ${url(gateway, config.insidePort)}, from apps to apps they need`]),
    `  Core API  ${url(config.apiHost, api.port)}`,
    ...(metricsUrl === undefined ? [] : [`  metrics   ${metricsUrl}`]),
    `  engine    ${engine.name}${note}`,
    `  data      ${dataDir.path}`,
  ];
  if (operator.isNew) {
    lines.push(
      `  token     ${operator.token ?? ''}`,
      '',
      'The operator token is shown this once: export it as MAYFLY_TOKEN.',
    );
  }
  try {
    await writeText(process.stdout, `${lines.join('\n')}\n`);
  } catch (thrown) {
    if (operator.isNew) await forgetOperatorToken(store);
    throw thrown;
  }
  leaveRunning = config.leaveRunning;
}

async function serveMetrics(
  { metricsHost: host, metricsPort: port }: UpConfig,
  metrics: MetricsCollector,
  refuseFrom: Networks,
  log: Log,
  closers: (() => unknown)[],
): Promise<string | undefined> {
  if (port === undefined) return undefined;
  const server = await startMetricsServer({
    ...{ listen: { host, port }, refuseFrom, log },
    render: () => metrics.render(),
  }).catch(cannotListen({ name: 'metrics', host, port }));
  closers.push(() => server.close());
  return `${url(host, server.port)}/metrics`;
}

function openAgent(
  config: UpConfig,
  nodeId: string,
  { store, tally }: { store: Store; tally: EventTally },
  engine: Engine,
  log: Log,
): Promise<Agent> {
  const capacity = { cpu: availableParallelism() * config.cpuOvercommit, memoryBytes: totalmem() };
  const core = createCore({
    store,
    clock,
    onHeldBack: (decision, because) => tally.heldBack(decision, because),
  });
  const node = { nodeId, name: hostname(), capacity };
  return Agent.open({ node, engine, core, readiness: tcpReadiness(clock), clock, log });
}

/** Where a server of the program is to listen, and what its flags are called: `--NAME-host` (but for `inside`), `--NAME-port`. */
interface Place {
  readonly name: 'proxy' | 'inside' | 'api' | 'metrics';
  readonly portFlag?: string;
  readonly host: string | undefined;
  readonly port: number | undefined;
}

/** Says which flag is at fault that a server does not listen. `first`: where the error does not say which place it was. */
function cannotListen(first: Place, ...others: readonly Place[]): (thrown: unknown) => never {
  return (thrown) => {
    const { code, address, port } = thrown as NodeJS.ErrnoException & {
      readonly address?: string;
      readonly port?: number;
    };
    const atPort = [first, ...others].filter((one) => one.port === port);
    const place = atPort.find(({ host }) => host === address) ?? atPort[0] ?? first;
    const portFlag = place.portFlag ?? `--${place.name}-port`;
    const refuse = (what: string, hint: string): never => {
      throw new PlatformError('invalid_config', what, { cause: thrown, hint });
    };
    switch (code) {
      case 'EADDRINUSE':
        return refuse(`port ${place.port} is taken by another program`, `Name another one with ${portFlag}.`);
      case 'EACCES':
        return refuse(
          `this user may not listen on port ${place.port}`,
          `Name one above 1023 with ${portFlag}, or start it as root or with CAP_NET_BIND_SERVICE.`,
        );
      case 'EADDRNOTAVAIL':
      case 'EAFNOSUPPORT':
      case 'ENOTFOUND':
      case 'EAI_AGAIN':
        if (place.name === 'inside') throw thrown; // the container network's gateway, which nobody has named
        return refuse(
          `${place.host} is no address of this machine (${code})`,
          `Name one with --${place.name}-host: 127.0.0.1 for this machine alone, 0.0.0.0 for everybody.`,
        );
      case undefined:
      default:
        throw thrown;
    }
  };
}

function url(host: string, port: number, scheme = 'http'): string {
  return `${scheme}://${authority(host, port)}`;
}

function authority(host: string, port: number): string {
  return `${host.includes(':') ? `[${host}]` : host}:${port}`;
}

/** From this machine, what listens at `host`. */
function reachedAt(host: string): string {
  if (host === '0.0.0.0') return '127.0.0.1';
  return host === '::' ? '::1' : host;
}

/** SIGHUP: new processes for what is served, while nobody notices. Before anything is, and while all ends, it is ignored. */
class HangUp {
  #restart: (() => Promise<void>) | undefined;

  constructor(log: Log) {
    process.on('SIGHUP', () => {
      this.#restart?.().catch((thrown: unknown) =>
        log.warn({ err: thrown }, 'the workers were not replaced'),
      );
    });
  }

  /** From now on. The returned function ends that. */
  calls(restart: () => Promise<void>): () => void {
    this.#restart = restart;
    return () => (this.#restart = undefined);
  }
}

function nextSignal(): Promise<NodeJS.Signals> {
  return new Promise((resolve) => {
    for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, resolve);
  });
}
