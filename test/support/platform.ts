/**
 * A platform under test on either engine: `mayfly up` with a data folder that outlives the program, the apps of the tests in
 * the form each engine takes, and the engine's own word, asked behind the platform's back, on what runs. When it is disposed
 * of, it is stopped in good order, and whatever is left of it then is a failure of the test.
 */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { buildExampleImages } from '../../examples/images.ts';
import { findMounts } from '../../src/compute/process/cgroups.ts';
import { readStat } from '../../src/compute/process/proc.ts';
import type { AppView, ContainerView, CreateAppBody, EventView } from '../../src/coreapi/schema.ts';
import { afterAll, beforeAll, beforeEach, describe } from 'vitest';
import type { Resources } from '../../src/cmdb/records.ts';
import {
  cgroupLimits,
  cgroupYields,
  containersWith,
  docker,
  DOCKER_SOCKET,
  leftovers,
  sweep,
  whyNoDocker,
} from './docker.ts';
import { processLimits, processYields } from './kernel-limits.ts';
import { get, startProgram } from './program.ts';
import type { Answer, Program } from './program.ts';
import { until } from './until.ts';
import { workersUnderTest } from './workers-under-test.ts';

export const ENGINES = ['process', 'docker'] as const;
export type EngineName = (typeof ENGINES)[number];

const ROOT = join(import.meta.dirname, '..', '..');
/** Apps of one file, which an image of nothing but Node runs as text. */
const SCRIPTS = {
  probe: join(import.meta.dirname, 'apps', 'probe.mjs'),
  asker: join(import.meta.dirname, 'apps', 'asker.mjs'),
};
const MIB = 1024 ** 2;
/** However few CPUs the machine has, the tests' containers find room. */
const ROOM = ['--cpu-overcommit', '50'];

/** Which engines tests run on: with several workers one is enough, since the data plane knows nothing of engines. */
function enginesUnderTest(): readonly EngineName[] {
  return workersUnderTest() > 1 ? ['process'] : ENGINES;
}

/** Why tests of a platform on this engine cannot run here; undefined if they can. Makes the images they need. */
export async function whyNot(engine: EngineName): Promise<string | undefined> {
  if (engine === 'process') return undefined;
  const reason = await whyNoDocker();
  if (reason === undefined) await buildExampleImages(DOCKER_SOCKET);
  return reason;
}

/** The same tests on each engine, on a platform that they share; it is disposed of after the last. */
export function describeOnEngines(what: string, tests: (shared: () => Platform, engine: EngineName) => void) {
  describe.each(enginesUnderTest())(`${what} on the %s engine`, async (engine) => {
    const reason = await whyNot(engine);
    let platform: Platform | undefined;
    beforeAll(async () => {
      if (reason === undefined) platform = await Platform.open(engine);
    });
    afterAll(() => platform?.[Symbol.asyncDispose]());
    beforeEach((context) => context.skip(reason !== undefined, reason));
    tests(() => {
      if (!platform) throw new Error('there is no platform yet');
      return platform;
    }, engine);
  });
}

/** What a probe says of itself. */
export interface Who {
  readonly id: string;
  readonly greeting: string;
}

type TestApp = keyof typeof SCRIPTS | 'chat';

export interface AppOptions {
  readonly app?: TestApp;
  readonly env?: Readonly<Record<string, string>>;
  readonly policy?: CreateAppBody['policy'];
  readonly needs?: string[];
}

export class Platform implements AsyncDisposable {
  readonly engine: EngineName;
  readonly data: string;
  readonly #args: readonly string[];
  #program: Program;
  #runs = true;

  /** `args` are further words for this first program. */
  static async open(engine: EngineName, args: readonly string[] = []): Promise<Platform> {
    const data = await mkdtemp(join(tmpdir(), 'mayfly-e2e-'));
    const always = [...ROOM, '--workers', String(workersUnderTest())];
    const program = await startProgram({ engine, data, args: [...always, ...args] }).catch(
      async (thrown: unknown) => {
        await rm(data, { recursive: true, force: true });
        throw thrown;
      },
    );
    return new Platform(engine, data, program, always);
  }

  private constructor(engine: EngineName, data: string, program: Program, args: readonly string[]) {
    this.engine = engine;
    this.data = data;
    this.#program = program;
    this.#args = args;
  }

  get program(): Program {
    return this.#program;
  }

  get client(): Program['client'] {
    return this.#program.client;
  }

  get nodeId(): string {
    return readFileSync(join(this.data, 'node-id'), 'utf8').trim();
  }

  // The program.

  async kill(): Promise<void> {
    this.#runs = false;
    await this.#program.kill();
  }

  async stop(): Promise<number | null> {
    this.#runs = false;
    return this.#program.stop();
  }

  /** Once more with the same data folder, ports and token. `args` are further words for this program. */
  async start(args: readonly string[] = []): Promise<void> {
    const { engine, data } = this;
    const { token, proxyPort } = this.#program;
    const apiPort = Number(new URL(this.#program.apiUrl).port);
    const words = [...this.#args, ...args];
    this.#program = await startProgram({ engine, data, token, proxyPort, apiPort, args: words });
    this.#runs = true;
  }

  // Its apps.

  /** An app at `NAME.localhost`; it never sleeps unless the policy says so. */
  create(
    name: string,
    { app = 'probe', env = {}, policy = {}, needs = [] }: AppOptions = {},
  ): Promise<AppView> {
    return this.client.createApp({
      name,
      hosts: [`${name}.localhost`],
      ...this.workload(app),
      port: 8080,
      env: { ...env },
      needs,
      policy: {
        cpu: 0.5,
        memoryBytes: 128 * MIB,
        idlePauseMs: null,
        idleStopMs: null,
        startTimeoutMs: 30_000,
        // A test that sends a crowd means to count containers, unless it is about what load does.
        scaling: { mode: 'off' },
        ...policy,
      },
    });
  }

  /** What runs an app of the tests on this engine. */
  workload(app: TestApp): Pick<CreateAppBody, 'image' | 'command' | 'cwd'> {
    if (this.engine === 'process') {
      return app === 'chat'
        ? { command: [process.execPath, 'server.mjs'], cwd: join(ROOT, 'examples', app) }
        : { command: [process.execPath, SCRIPTS[app]], cwd: ROOT };
    }
    if (app === 'chat') return { image: 'mayfly/chat' };
    const source = readFileSync(SCRIPTS[app], 'utf8');
    return { image: 'mayfly/hello', command: ['node', '--input-type=module', '--eval', source] };
  }

  get(name: string, path = '/'): Promise<Answer> {
    return this.#program.get(`${name}.localhost`, path);
  }

  /** The probe that answers. Rejects with the answer where it is not 200. */
  async who(name: string, path = '/'): Promise<Who> {
    const answer = await this.get(name, path);
    if (answer.status !== 200) throw new Error(`${name} answered ${JSON.stringify(answer)}`);
    return JSON.parse(answer.body) as Who;
  }

  // What is known of them.

  containers(name: string): Promise<ContainerView[]> {
    return this.client.listAppContainers(name);
  }

  /** The one container of the app that lives; rejects where there are none or several. */
  async container(name: string): Promise<ContainerView> {
    const living = (await this.containers(name)).filter(
      ({ state }) => state !== 'stopped' && state !== 'failed',
    );
    const [only] = living;
    if (!only || living.length > 1) throw new Error(`${name} has ${living.length} containers`);
    return only;
  }

  events(name: string): Promise<EventView[]> {
    return this.client.listEvents({ app: name, limit: 1_000 });
  }

  /** The types of what happened to the app, in order. */
  async story(name: string): Promise<string[]> {
    return (await this.events(name)).map(({ type }) => type);
  }

  /** The newest such event of the app, once there is one. */
  async saw(name: string, type: string, timeoutMs?: number): Promise<EventView> {
    const find = async () => (await this.events(name)).findLast((event) => event.type === type);
    return until(`${type} of ${name}`, find, timeoutMs);
  }

  // What the engine itself says.

  /** The platform's containers that have a process, and what the engine calls them: a Docker id, or pids. */
  async running(): Promise<Map<string, string>> {
    if (this.engine === 'process') return this.#processes();
    const rows = await containersWith(`mayfly.node=${this.nodeId}`);
    const apps = rows.filter(
      ({ Labels, State }) => Labels['mayfly.role'] === 'app' && ['running', 'paused'].includes(State),
    );
    return new Map(apps.map(({ Id, Labels }) => [Labels['mayfly.container'] ?? '', Id]));
  }

  /** Every process of this data folder's containers, by their environment. */
  #processes(): Map<string, string> {
    const found = new Map<string, string>();
    for (const pid of readdirSync('/proc').filter((entry) => /^\d+$/.test(entry))) {
      let environment: string;
      try {
        environment = readFileSync(`/proc/${pid}/environ`, 'utf8');
      } catch {
        continue; // ended meanwhile
      }
      const id = /(?:^|\0)MAYFLY_CONTAINER_ID=([^\0]*)/.exec(environment)?.[1];
      if (id === undefined || !environment.includes(this.data)) continue;
      found.set(id, [found.get(id), pid].filter(Boolean).join());
    }
    return found;
  }

  /** The limits of the container as the kernel holds them, and when its process began. */
  async limits(containerId: string): Promise<Resources & { readonly startedAt: string }> {
    const engineId = (await this.running()).get(containerId) ?? '';
    if (this.engine === 'process') {
      const pid = Number(engineId.split(',')[0]);
      return { ...processLimits(pid), startedAt: String(readStat(pid)?.startTicks) };
    }
    const { body } = await docker('GET', `/containers/${engineId}/json`);
    const { State } = JSON.parse(body.toString()) as { State: { StartedAt: string } };
    return { ...(await cgroupLimits(engineId)), startedAt: State.StartedAt };
  }

  /** Whether others go first where the container and they want a CPU, as the kernel holds it. */
  async yields(containerId: string): Promise<boolean> {
    const engineId = (await this.running()).get(containerId) ?? '';
    return this.engine === 'process' ? processYields(Number(engineId)) : cgroupYields(engineId);
  }

  /** CPU time that the container has used, in milliseconds, as the kernel counts it. */
  async cpuMs(containerId: string): Promise<number> {
    const engineId = (await this.running()).get(containerId) ?? '';
    if (this.engine === 'process') return readStat(Number(engineId))?.cpuMs ?? 0;
    const { body } = await docker('GET', `/containers/${engineId}/stats?stream=false&one-shot=true`);
    const { cpu_stats } = JSON.parse(body.toString()) as {
      cpu_stats: { cpu_usage: { total_usage: number } };
    };
    return cpu_stats.cpu_usage.total_usage / 1e6;
  }

  /** Kills the container as a fault would, without the platform's doing. Resolves when the kernel is done with it. */
  async crash(containerId: string): Promise<void> {
    const engineId = (await this.running()).get(containerId) ?? '';
    if (this.engine === 'docker') {
      await docker('POST', `/containers/${engineId}/kill`);
      await until(`${containerId} to be dead`, async () => !(await this.running()).has(containerId));
      return;
    }
    process.kill(Number(engineId), 'SIGKILL');
    // It accepts connections until its files are closed, which the last of its threads does: a zombie may have others yet.
    await until(
      `${containerId} to be dead`,
      () =>
        [undefined, 'Z', 'X'].includes(readStat(Number(engineId))?.state) && threadsOf(engineId).length <= 1,
    );
  }

  /** Whatever of it there is on the machine, one line each. */
  async left(): Promise<string[]> {
    if (this.engine === 'docker') return leftovers(this.nodeId);
    const { v1, v2 } = findMounts(readFileSync('/proc/self/mountinfo', 'utf8'));
    const groups = [...new Set([...Object.values(v1 ?? {}), ...(v2 === undefined ? [] : [v2])])];
    const folders = join(this.data, 'process', this.nodeId);
    return [
      ...[...this.#processes()].map(([id, pids]) => `process ${pids} of ${id}`),
      ...groups
        .map((mount) => join(mount, `mayfly-${this.nodeId}`))
        .filter((path) => existsSync(path))
        .map((path) => `cgroup ${path}`),
      ...(existsSync(folders) ? readdirSync(folders) : []).map((id) => `folder of ${id}`),
    ];
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const exitCode = this.#runs ? await this.stop() : 0;
    const left = await this.left();
    if (this.engine === 'docker') await sweep(this.nodeId);
    for (const pids of this.#processes().values())
      for (const pid of pids.split(',')) process.kill(Number(pid), 'SIGKILL');
    await rm(this.data, { recursive: true, force: true });
    if (exitCode === 0 && left.length === 0) return;
    throw new Error(`ended with ${exitCode}, left [${left.join(', ')}]:\n${this.#program.output()}`);
  }
}

/** A request to a container itself, past the proxy: it counts as nobody's activity. */
export async function past({ address }: ContainerView, path: string): Promise<Answer> {
  if (address === null) throw new Error('the container has no address');
  return get(address.port, path, {}, address.host);
}

function threadsOf(pid: string): string[] {
  try {
    return readdirSync(`/proc/${pid}/task`);
  } catch {
    return [];
  }
}
