import type { App, Container, Node, Policy, Revision, Size } from '../../src/cmdb/records.ts';

/** Records with unremarkable values; a test names only what it is about. */

export function policy(change: Partial<Policy> = {}): Policy {
  return {
    grade: null,
    cpu: 0.5,
    memoryBytes: 256 * 2 ** 20,
    pidsMax: 256,
    boost: { cpu: null, afterReadyMs: 1_000 },
    minReplicas: 0,
    maxReplicas: 3,
    spares: 0,
    scaling: { mode: 'out', cpuMax: null, memoryMaxBytes: null, highWater: 0.8, lowWater: 0.5 },
    cooldownMs: { out: 3_000, in: 60_000, up: 3_000, down: 60_000 },
    concurrency: { target: 20, limit: 100 },
    idlePauseMs: 30_000,
    idleStopMs: 300_000,
    lifetimeMs: 86_400_000,
    startTimeoutMs: 30_000,
    requestTimeoutMs: 300_000,
    drainTimeoutMs: 30_000,
    hold: { requests: 1_000, bytes: 64 * 2 ** 20 },
    wake: {
      ignore: [],
      reply: { status: 200, contentType: 'text/plain; charset=utf-8', body: '' },
      perMinute: null,
      waitingPage: false,
    },
    keepWarm: [],
    ...change,
  };
}

export function app(change: Partial<App> = {}): App {
  return {
    id: 'app_1',
    generation: 1,
    createdAtMs: 0,
    tenantId: 'ten_1',
    name: 'hello',
    hosts: ['hello.localhost'],
    revisionId: 'rev_1',
    policy: policy(),
    ...change,
  };
}

export function size(change: Partial<Size> = {}): Size {
  return {
    id: 'app_1',
    generation: 1,
    createdAtMs: 0,
    replicas: 0,
    cpu: null,
    memoryBytes: null,
    reason: '',
    changedAtMs: {},
    ...change,
  };
}

export function revision(change: Partial<Revision> = {}): Revision {
  return {
    id: 'rev_1',
    generation: 1,
    createdAtMs: 0,
    appId: 'app_1',
    number: 1,
    workload: { type: 'command', command: ['true'], cwd: '/' },
    env: {},
    port: 8080,
    protocol: 'http1',
    probe: { type: 'tcp' },
    readOnly: false,
    ...change,
  };
}

export function container(change: Partial<Container> = {}): Container {
  const { cpu, memoryBytes, pidsMax } = policy();
  return {
    id: 'ctr_1',
    generation: 1,
    createdAtMs: 0,
    appId: 'app_1',
    revisionId: 'rev_1',
    nodeId: 'node_1',
    state: 'ready',
    slot: 0,
    reason: '',
    address: { host: '10.0.0.2', port: 8080 },
    resources: { cpu, memoryBytes, pidsMax },
    protocol: 'http1',
    expiresAtMs: null,
    phasesMs: {},
    enteredAtMs: {},
    ...change,
  };
}

export function node(change: Partial<Node> = {}): Node {
  return {
    id: 'node_1',
    generation: 1,
    createdAtMs: 0,
    name: 'one',
    engine: 'simulated',
    state: 'up',
    capacity: { cpu: 4, memoryBytes: 2 ** 30 },
    reserved: { cpu: 0, memoryBytes: 0 },
    lastSeenAtMs: 0,
    ...change,
  };
}
