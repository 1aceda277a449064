/** The Docker driver under the engine contract: workloads of busybox, and a look at Docker from outside. */
import { connect } from 'node:net';
import type { Address } from '../../src/cmdb/records.ts';
import { openDockerEngine } from '../../src/compute/docker/engine.ts';
import type { DockerEngine, DockerEngineOptions } from '../../src/compute/docker/engine.ts';
import type { StartSpec } from '../../src/compute/engine.ts';
import { newId } from '../../src/ids.ts';
import type { Behaviour, EngineHarness } from '../contract/engine.ts';
import {
  DOCKER_SOCKET,
  buildTestImage,
  cgroupCpuWeight,
  cgroupYields,
  cgroupLimits,
  docker,
  engineIdOf,
  leftovers,
  SERVE,
} from './docker.ts';
import type { TestImage } from './docker.ts';
import { until } from './until.ts';

export interface DockerHarness extends EngineHarness {
  readonly image: TestImage;
  /** The node id that `open` uses. */
  readonly nodeId: string;
  open(nodeId?: string, options?: Partial<DockerEngineOptions>): Promise<DockerEngine>;
}

export async function dockerHarness(): Promise<DockerHarness> {
  const image = await buildTestImage();
  const suffix = newId('node');
  const nodeIds = new Set<string>();
  const name = (nodeId = 'node') => {
    nodeIds.add(`${nodeId}-${suffix}`);
    return `${nodeId}-${suffix}`;
  };
  return {
    image,
    nodeId: name(),
    async open(nodeId, options = {}) {
      const engine = openDockerEngine({
        nodeId: name(nodeId),
        socketPath: DOCKER_SOCKET,
        poolSize: 1,
        ...options,
      });
      await engine.prepare();
      return engine;
    },
    spec: (behaviour) => imageSpec(image, commandFor(behaviour)),
    until,
    reachable,
    kill: async (containerId) => {
      await docker('POST', `/containers/${await engineIdOf(containerId)}/kill?signal=KILL`);
    },
    limits: async (containerId) => cgroupLimits(await engineIdOf(containerId)),
    cpuWeight: async (containerId) => cgroupCpuWeight(await engineIdOf(containerId)),
    yields: async (containerId) => cgroupYields(await engineIdOf(containerId)),
    left: async () => (await Promise.all([...nodeIds].map(leftovers))).flat(),
    close: () => image.remove(),
  };
}

/** A start of the image with fresh ids and modest limits. */
export function imageSpec(image: TestImage, command: readonly string[] | null = null): StartSpec {
  return {
    containerId: newId('ctr'),
    appId: newId('app'),
    revisionId: newId('rev'),
    workload: { type: 'image', image: image.name, digest: image.digest, command },
    env: {},
    port: 8080,
    readOnly: false,
    resources: { cpu: 0.5, memoryBytes: 128 * 1024 * 1024, pidsMax: 64 },
  };
}

/** Whether something accepts connections there; nobody at the address is a no as well. */
export function reachable({ host, port }: Address): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ host, port });
    const settle = (result: boolean) => {
      socket.destroy();
      resolve(result);
    };
    socket.setTimeout(1_000, () => settle(false));
    socket.once('connect', () => settle(true)).once('error', () => settle(false));
  });
}

/** Whatever a test leaves behind by mistake ends by itself after some minutes. */
function commandFor(behaviour: Behaviour): string[] {
  const sh = (line: string, ...args: string[]) => ['sh', '-c', line, 'sh', ...args];
  const stay = `trap 'exit 0' TERM; sleep 600 & wait`;
  switch (behaviour.kind) {
    case 'listens':
      return sh(SERVE);
    case 'exits':
      return sh(`exit ${behaviour.code}`);
    case 'ignoresSigterm':
      return sh(`trap '' TERM; echo ready; exec sleep 600`);
    case 'prints': {
      const text = (lines: readonly string[]) => lines.map((line) => `${line}\n`).join('');
      const end = behaviour.then === 'stays' ? stay : ':';
      return sh(`printf %s "$1"; printf %s "$2" >&2; ${end}`, text(behaviour.stdout), text(behaviour.stderr));
    }
    case 'greets':
      return sh(`printf '%s\\n' "$GREETING"; ${stay}`);
    case 'burns':
      return ['timeout', '600', 'sh', '-c', 'while :; do :; done'];
    case 'escapes':
      return sh(`(setsid sh -c 'echo escaped; exec sleep 600' &); exec sleep 600`);
    case 'missing':
      return ['no-such-command', '--flag'];
  }
}
