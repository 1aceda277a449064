/**
 * The same by hand: `docker run` on a bridge network of its own, HAProxy in front, which is loaded anew with two servers once
 * the second container listens; or `docker update`.
 */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Address } from '../../../src/cmdb/records.ts';
import { DockerApi } from '../../../src/compute/docker/api.ts';
import { limitsOf } from '../../../src/compute/docker/container-spec.ts';
import { newId } from '../../../src/ids.ts';
import { DOCKER_SOCKET } from '../../../test/support/docker.ts';
import { freePort } from '../../../test/support/program.ts';
import { until } from '../../../test/support/until.ts';
import { accepts, Children } from '../warm/children.ts';
import { CPU_AFTER, PORT, SIZE, type Subject } from './subject.ts';

export interface ByHandOptions {
  readonly image: string;
  /** The path of HAProxy. */
  readonly haproxy: string;
  /** HAProxy's own core; containers may run on any. */
  readonly core: number;
  readonly signal: AbortSignal;
}

export async function startByHand({ image, haproxy, core, signal }: ByHandOptions): Promise<Subject> {
  const id = newId('node');
  const label = `mayfly.bench=${id}`;
  const network = `mayfly-bench-${id}`;
  const api = new DockerApi({ socketPath: DOCKER_SOCKET });
  const folder = await mkdtemp(join(tmpdir(), 'mayfly-by-hand-'));
  const children = new Children(folder, signal);
  const port = await freePort();
  const containers: string[] = [];
  const servers: Address[] = [];
  let pid: number | undefined;

  /** `docker run`, until it listens. */
  const addServer = async () => {
    const container = await api.create({
      Image: image,
      Labels: { 'mayfly.bench': id },
      HostConfig: { ...limitsOf(SIZE, Infinity), NetworkMode: network },
    });
    await api.start(container);
    const host = (await api.inspect(container)).NetworkSettings.Networks[network]?.IPAddress ?? '';
    await until(`${container} to listen`, () => accepts(PORT, host));
    containers.push(container);
    servers.push({ host, port: PORT });
  };
  /** The new process takes over the port, and the old one ends with its last connection. */
  const loadServers = async () => {
    const configPath = join(folder, `haproxy-${servers.length}.cfg`);
    await writeFile(configPath, config(port, servers));
    const args = ['-db', '-f', configPath, ...(pid === undefined ? [] : ['-sf', String(pid)])];
    ({ pid } = await children.start({ name: 'haproxy', command: haproxy, args, core, port }));
  };
  /** What is under way is over before it is cleared away. */
  let scaling = Promise.resolve();
  const close = async () => {
    await scaling.catch(() => undefined);
    await children.close();
    for (const { Id } of await api.list(label)) await api.remove(Id);
    for (const { Id } of await api.listNetworks(label)) await api.removeNetwork(Id);
    api.close();
    await rm(folder, { recursive: true, force: true });
  };
  try {
    await api.createNetwork({ Name: network, Driver: 'bridge', Labels: { 'mayfly.bench': id } });
    await addServer();
    await loadServers();
  } catch (thrown) {
    await close();
    throw thrown;
  }
  const first = () => containers[0] ?? '';
  return {
    name: 'by hand',
    port,
    host: 'phpinfo.localhost',
    container: () => Promise.resolve(first()),
    scaleOut: () => (scaling = addServer().then(loadServers)),
    scaleUp: () => api.update(first(), { NanoCpus: CPU_AFTER * 1e9 }),
    close,
  };
}

/** Whoever has the fewest requests in flight takes the next one, as with Mayfly. */
function config(port: number, servers: readonly Address[]): string {
  const lines = servers.map((server, index) => `  server container${index} ${server.host}:${server.port}`);
  return `global
  nbthread 1
  maxconn 4096
defaults
  mode http
  timeout connect 5s
  timeout client 1m
  timeout server 1m
frontend front
  bind 127.0.0.1:${port}
  default_backend containers
backend containers
  balance leastconn
${lines.join('\n')}
`;
}
