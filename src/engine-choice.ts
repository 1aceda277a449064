/**
 * Which engine runs the containers. `auto` takes Docker where it answers, and plain processes where there is none. But what a data
 * folder's apps have run on stays: on another engine they could not start, and those that run would be left to themselves. So a Docker
 * that is not there yet (the machine has just booted), or is there all of a sudden, changes nothing by itself.
 */
import { join } from 'node:path';
import type { Clock } from './clock.ts';
import type { Store } from './cmdb/store.ts';
import { dockerVersion, openDockerEngine } from './compute/docker/engine.ts';
import type { ContainerNetwork } from './compute/docker/sandboxes.ts';
import type { Engine } from './compute/engine.ts';
import { openProcessEngine } from './compute/process/process-engine.ts';
import type { UpConfig } from './config.ts';
import { isPlatformError, PlatformError } from './errors.ts';
import type { Log } from './log.ts';

export interface EngineRequest {
  readonly config: UpConfig;
  readonly node: {
    readonly id: string;
    /** What `engineUsedBefore` says. */
    readonly usedBefore: string | undefined;
  };
  /** Where this machine reaches the proxy. */
  readonly proxyAt: () => string;
  readonly clock: Clock;
  readonly log: Log;
}

export interface OpenedEngine {
  readonly engine: Engine;
  /**
   * From there the platform's own servers take no connections, but at the door at the gateway. Known once the engine is
   * prepared.
   */
  readonly network: () => ContainerNetwork;
  /** What the person who starts it should know about the engine. */
  readonly note: string;
}

/** Nobody answers there because there is nobody: no socket, or one that a program has left behind. */
const ABSENT = new Set(['ENOENT', 'ENOTDIR', 'ECONNREFUSED']);

/** The name of the engine that this node's apps have run on; undefined where there are none. */
export async function engineUsedBefore(store: Store, nodeId: string): Promise<string | undefined> {
  const [app] = await store.list('app', { limit: 1 });
  return app && (await store.get('node', nodeId))?.engine;
}

/** Errors: `engine_unavailable` where the engine that is to be used does not answer. */
export async function openEngine(request: EngineRequest): Promise<OpenedEngine> {
  const { config, node } = request;
  if (config.engine === 'process') return openProcesses(request, '');
  if (config.engine === 'docker') return openDocker(request);
  if (node.usedBefore === 'process')
    return openProcesses(request, '; the apps of this data folder have run so (--engine docker ends that)');
  try {
    return await openDocker(request);
  } catch (thrown) {
    if (!isPlatformError(thrown, 'engine_unavailable')) throw thrown;
    if (node.usedBefore !== 'docker' && isAbsent(thrown))
      return openProcesses(request, `; no Docker engine answers at ${config.dockerSocket}`);
    const why = node.usedBefore === 'docker' ? ', and the apps of this data folder run on it' : '';
    throw new PlatformError('engine_unavailable', `${thrown.message}${why}`, {
      cause: thrown,
      hint: `${thrown.hint ?? ''} With --engine process, apps run as plain processes, which are not isolated.`,
    });
  }
}

async function openDocker({ config, node, clock, log }: EngineRequest): Promise<OpenedEngine> {
  const { dockerSocket: socketPath, localRegistry: localRegistries, insidePort: port } = config;
  const version = await dockerVersion(socketPath);
  const insideDoor = { port, folder: join(config.data, 'docker', 'hosts') };
  const engine = openDockerEngine({ nodeId: node.id, socketPath, localRegistries, clock, log, insideDoor });
  return { engine, network: () => engine.network, note: ` ${version} at ${socketPath}` };
}

async function openProcesses(
  { config, node, clock, proxyAt }: EngineRequest,
  because: string,
): Promise<OpenedEngine> {
  const dataDir = join(config.data, 'process');
  const engine = await openProcessEngine({ dataDir, nodeId: node.id, clock, proxyAt });
  const limits = engine.capabilities.limits ? '' : ', nor are CPU and memory limited here';
  const note = `: apps run as plain processes, NOT isolated from each other or from this machine${limits}${because}`;
  return { engine, network: () => ({ subnets: [], gateway: undefined }), note };
}

function isAbsent(thrown: PlatformError): boolean {
  const { code } = (thrown.cause ?? {}) as { readonly code?: unknown };
  return typeof code === 'string' && ABSENT.has(code);
}
