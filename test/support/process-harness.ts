/** The process engine under the engine contract: workloads as commands, and a look at /proc and the cgroups from outside. */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Address } from '../../src/cmdb/records.ts';
import type { StartSpec } from '../../src/compute/engine.ts';
import { findMounts } from '../../src/compute/process/cgroups.ts';
import { openProcessEngine, type ProcessEngineOptions } from '../../src/compute/process/process-engine.ts';
import { newId } from '../../src/ids.ts';
import type { Behaviour, EngineHarness } from '../contract/engine.ts';
import { processCpuWeight, processLimits, processYields } from './kernel-limits.ts';
import { until } from './until.ts';

const LISTEN = `require('node:net').createServer((socket) => socket.end()).listen(process.env.PORT, process.env.HOST)`;

export interface ProcessHarness extends EngineHarness {
  readonly dataDir: string;
  /** The node id that `open` uses. */
  readonly nodeId: string;
}

export async function processHarness(cgroups: 'auto' | 'none' = 'auto'): Promise<ProcessHarness> {
  const dataDir = await mkdtemp(join(tmpdir(), 'mayfly-process-'));
  const suffix = newId('node');
  const nodeIds = new Set<string>();
  const name = (nodeId = 'node') => {
    nodeIds.add(`${nodeId}-${suffix}`);
    return `${nodeId}-${suffix}`;
  };
  const containers = new Set<string>();

  return {
    dataDir,
    nodeId: name(),
    async open(nodeId) {
      const options: ProcessEngineOptions = { dataDir, nodeId: name(nodeId), cgroups };
      const engine = await openProcessEngine(options);
      await engine.prepare();
      return engine;
    },
    spec(behaviour) {
      const spec = commandSpec(commandFor(behaviour));
      containers.add(spec.containerId);
      return spec;
    },
    until,
    reachable,
    async kill(containerId) {
      process.kill(pidOf(dataDir, name(), containerId), 'SIGKILL');
    },
    async limits(containerId) {
      return processLimits(pidOf(dataDir, name(), containerId));
    },
    cpuWeight: async (containerId) => processCpuWeight(pidOf(dataDir, name(), containerId)),
    yields: async (containerId) => processYields(pidOf(dataDir, name(), containerId)),
    async left() {
      const folders = [...nodeIds].flatMap((nodeId) =>
        existsSync(join(dataDir, nodeId)) ? readdirSync(join(dataDir, nodeId)) : [],
      );
      const groups = cgroupMounts()
        .flatMap((mount) => [...nodeIds].map((nodeId) => join(mount, `mayfly-${nodeId}`)))
        .filter((path) => existsSync(path));
      return [
        ...folders.map((folder) => `folder ${folder}`),
        ...groups.map((path) => `cgroup ${path}`),
        ...processesOf(containers).map((text) => `process ${text}`),
      ];
    },
    close: () => rm(dataDir, { recursive: true, force: true }),
  };
}

export function commandSpec(command: readonly string[], cwd = tmpdir()): StartSpec {
  return {
    containerId: newId('ctr'),
    appId: newId('app'),
    revisionId: newId('rev'),
    workload: { type: 'command', command, cwd },
    env: {},
    port: 8080,
    readOnly: false,
    resources: { cpu: 0.5, memoryBytes: 128 * 1024 * 1024, pidsMax: 64 },
  };
}

/** Whatever a test leaves behind by mistake ends by itself after some minutes. */
function commandFor(behaviour: Behaviour): string[] {
  switch (behaviour.kind) {
    case 'listens':
      return [process.execPath, '-e', LISTEN];
    case 'exits':
      return ['sh', '-c', `exit ${behaviour.code}`];
    case 'ignoresSigterm':
      return ['sh', '-c', `trap '' TERM; echo ready; exec sleep 600`];
    case 'prints': {
      const { stdout, stderr } = behaviour;
      const text = (lines: readonly string[]) => JSON.stringify(lines.map((line) => `${line}\n`).join(''));
      const end = behaviour.then === 'stays' ? 'setTimeout(() => {}, 600_000)' : '';
      return [
        process.execPath,
        '-e',
        `process.stdout.write(${text(stdout)}); process.stderr.write(${text(stderr)}); ${end}`,
      ];
    }
    case 'greets':
      return ['sh', '-c', `printf '%s\\n' "$GREETING"; exec sleep 600`];
    case 'burns':
      return ['timeout', '600', 'sh', '-c', 'while :; do :; done'];
    case 'escapes':
      return ['sh', '-c', `(setsid sh -c 'echo escaped; exec sleep 600' &); exec sleep 600`];
    case 'missing':
      return ['no-such-command', '--flag'];
  }
}

export function reachable({ host, port }: Address): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ host, port });
    const settle = (result: boolean) => {
      socket.destroy();
      resolve(result);
    };
    socket.once('connect', () => settle(true)).once('error', () => settle(false));
  });
}

/** The pid of a container's leading process, from the engine's own record. */
export function pidOf(dataDir: string, nodeId: string, containerId: string): number {
  const text = readFileSync(join(dataDir, nodeId, containerId, 'state.json'), 'utf8');
  return (JSON.parse(text) as { process: { pid: number } }).process.pid;
}

/** Live processes that carry one of these container ids in their environment. */
export function processesOf(containerIds: ReadonlySet<string>): string[] {
  return readdirSync('/proc')
    .filter((entry) => /^\d+$/.test(entry))
    .flatMap((pid) => {
      try {
        const environment = readFileSync(`/proc/${pid}/environ`, 'utf8').split('\0');
        const mark = environment.find((variable) => variable.startsWith('MAYFLY_CONTAINER_ID='));
        const id = mark?.slice(mark.indexOf('=') + 1);
        return id !== undefined && containerIds.has(id) ? [`${pid} of ${id}`] : [];
      } catch {
        return []; // ended meanwhile
      }
    });
}

function cgroupMounts(): string[] {
  const { v1, v2 } = findMounts(readFileSync('/proc/self/mountinfo', 'utf8'));
  return [...new Set([...Object.values(v1 ?? {}), ...(v2 === undefined ? [] : [v2])])];
}
