import { createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import type { DockerEngine } from '../../src/compute/docker/engine.ts';
import type { ExitEvent, StartSpec } from '../../src/compute/engine.ts';
import { Networks } from '../../src/networks.ts';
import { SERVE, dockerJson, engineIdOf, execIn, whyNoDocker } from '../support/docker.ts';
import { dockerHarness, imageSpec, reachable } from '../support/docker-harness.ts';
import type { DockerHarness } from '../support/docker-harness.ts';
import { until } from '../support/until.ts';

const missing = await whyNoDocker();
const never = new AbortController().signal;

/** CHOWN 0, DAC_OVERRIDE 1, FOWNER 3, KILL 5, SETGID 6, SETUID 7, NET_BIND_SERVICE 10. */
const CAPABILITIES = [0, 1, 3, 5, 6, 7, 10].reduce((mask, bit) => mask | (1n << BigInt(bit)), 0n);

describe.skipIf(missing !== undefined)(`a container of the docker engine ${missing ?? ''}`, () => {
  let harness: DockerHarness;
  let engine: DockerEngine;
  const started: string[] = [];

  beforeAll(async () => {
    harness = await dockerHarness();
    engine = await harness.open();
  });

  afterEach(async () => {
    await Promise.all(started.splice(0).map((id) => engine.remove(id)));
  });

  afterAll(async () => {
    await engine.close();
    expect(await harness.left()).toEqual([]);
    await harness.close();
  });

  async function serve(options: Partial<StartSpec> = {}) {
    const spec = { ...imageSpec(harness.image), ...options };
    const { address } = await engine.start(spec, never);
    started.push(spec.containerId);
    await until('it to listen', () => reachable(address));
    const engineId = await engineIdOf(spec.containerId);
    const { containerId } = spec;
    return { ...address, containerId, engineId, exec: (...command: string[]) => execIn(engineId, command) };
  }

  it('cannot connect to one of another app, although both are served', async () => {
    const [one, other] = await Promise.all([serve(), serve()]);
    // It can connect to itself, so it is not the tool that fails.
    expect(await one.exec('nc', '-w', '2', one.host, '8080', '-e', 'sh', '-c', ':')).toMatchObject({
      exitCode: 0,
    });
    const { exitCode, output } = await one.exec('nc', '-w', '2', other.host, '8080', '-e', 'sh', '-c', ':');
    expect(exitCode, output).not.toBe(0);
    expect(await reachable({ host: other.host, port: 8080 })).toBe(true);
  });

  it('has the few capabilities of a web server, no raw sockets, and gains none', async () => {
    const { exec } = await serve();
    const { output } = await exec('cat', '/proc/1/status');
    const field = (name: string) => new RegExp(`^${name}:\\s+(\\S+)$`, 'm').exec(output)?.[1];
    for (const set of ['CapEff', 'CapPrm', 'CapBnd']) expect(BigInt(`0x${field(set)}`)).toBe(CAPABILITIES);
    expect(field('NoNewPrivs')).toBe('1');
  });

  it('serves on port 80, told so by PORT', async () => {
    await serve({ port: 80, env: { PORT: '1' } });
  });

  it('cannot write its root file system when it is read-only, but /tmp', async () => {
    const { exec } = await serve({ readOnly: true });
    expect((await exec('sh', '-c', 'echo x > /www/x')).output).toContain('Read-only file system');
    expect(await exec('sh', '-c', 'echo x > /tmp/x && cat /tmp/x')).toEqual({ exitCode: 0, output: 'x\n' });
  });

  it('cannot fill the disk with its output, uses no swap, and is not restarted by the engine', async () => {
    const { engineId } = await serve();
    const { HostConfig } = await dockerJson<{ HostConfig: object }>('GET', `/containers/${engineId}/json`);
    expect(HostConfig).toMatchObject({
      LogConfig: { Type: 'json-file', Config: { 'max-size': '8m', 'max-file': '2' } },
      Memory: 128 * 1024 * 1024,
      MemorySwap: 128 * 1024 * 1024,
      RestartPolicy: { Name: 'no' },
    });
  });

  it('that may have more CPU than the machine has gets what there is, also while it runs', async () => {
    const { resources } = imageSpec(harness.image);
    const { containerId } = await serve({ resources: { ...resources, cpu: 1_000 } });
    const cores = (await dockerJson<{ NCPU: number }>('GET', '/info')).NCPU;
    expect((await engine.inspect(containerId))?.resources.cpu).toBe(cores);
    await engine.updateResources(containerId, { ...resources, cpu: 0.5 });
    await engine.updateResources(containerId, { ...resources, cpu: 1_000 });
    expect((await engine.inspect(containerId))?.resources.cpu).toBe(cores);
  });

  it('is ended for using more memory than it may, and that is said', async () => {
    // It waits to be told: the engine begins to watch for this while it starts a container, and misses what comes before.
    const grow = 'mkfifo /tmp/go; read x < /tmp/go; x=a; while :; do x=$x$x; done';
    const go = 'until [ -p /tmp/go ]; do :; done; echo > /tmp/go';
    const outgrown = async (memoryBytes: number) => {
      const spec = imageSpec(harness.image, ['sh', '-c', grow]);
      const heard = new Promise<ExitEvent>((resolve) => {
        engine.onExit((exit) => {
          if (exit.containerId === spec.containerId) resolve(exit);
        });
      });
      await engine.start({ ...spec, resources: { ...spec.resources, memoryBytes } }, never);
      started.push(spec.containerId);
      const told = execIn(await engineIdOf(spec.containerId), ['sh', '-c', go]);
      // How that ended is asked of a container that may have ended by then.
      await told.catch(() => undefined);
      return heard;
    };
    // On a busy machine the engine misses one in forty: its control group is gone before the engine has looked.
    let isSaid = false;
    for (let tries = 0; tries < 5 && !isSaid; tries++) {
      const { exitCode, outOfMemory } = await outgrown(8 * 1024 * 1024);
      expect(exitCode).toBe(137);
      isSaid = outOfMemory;
    }
    expect(isSaid).toBe(true);
  });

  it('comes, when it reaches a port of the host, from an address of its network', async () => {
    const { exec, host } = await serve();
    const containers = new Networks(engine.network.subnets);
    expect(containers.has(host)).toBe(true);
    expect(containers.has('127.0.0.1')).toBe(false);

    const callers: (string | undefined)[] = [];
    const server = createServer((socket) => {
      callers.push(socket.remoteAddress);
      // What a server of the platform is to do with it.
      if (containers.has(socket.remoteAddress ?? '')) socket.destroy();
      else socket.end('secret');
    });
    await new Promise<void>((resolve) => server.listen(0, '0.0.0.0', resolve));
    try {
      const { port } = server.address() as AddressInfo;
      const gateway = (await exec('sh', '-c', `cat /proc/net/route`)).output;
      const hex = /^\S+\s+00000000\s+([0-9A-F]{8})/m.exec(gateway)?.[1] ?? '';
      const gatewayHost = (hex.match(/../g) ?? [])
        .reverse()
        .map((byte) => parseInt(byte, 16))
        .join('.');
      const { output } = await exec('nc', '-w', '2', gatewayHost, String(port));
      expect(output).not.toContain('secret');
      expect(callers).toEqual([host]);
    } finally {
      server.close();
    }
  });

  it('runs the image by its digest, whatever the tag says by then', async () => {
    const { engineId } = await serve();
    const details = await dockerJson<{ Image: string; Config: { Image: string } }>(
      'GET',
      `/containers/${engineId}/json`,
    );
    expect(details.Image).toBe(harness.image.digest);
    expect(details.Config.Image).toBe(harness.image.digest);
  });

  it('of an image that is gone since it was deployed does not start, and the image is named', async () => {
    const nowhere = imageSpec(harness.image, ['sh', '-c', SERVE]);
    const lost = {
      ...nowhere,
      workload: { ...nowhere.workload, digest: `sha256:${'0'.repeat(64)}` },
    } as StartSpec;
    await expect(engine.start(lost, never)).rejects.toMatchObject({
      code: 'image_not_found',
      message: expect.stringContaining(harness.image.name) as string,
    });
  });
});
