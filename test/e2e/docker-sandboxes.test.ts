import { randomUUID } from 'node:crypto';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import type { DockerEngine, DockerEngineOptions } from '../../src/compute/docker/engine.ts';
import type { ExitEvent } from '../../src/compute/engine.ts';
import { Networks } from '../../src/networks.ts';
import {
  SERVE,
  docker,
  dockerJson,
  engineIdOf,
  execIn,
  sandboxesOf,
  whyNoDocker,
} from '../support/docker.ts';
import { dockerHarness, imageSpec, reachable } from '../support/docker-harness.ts';
import type { DockerHarness } from '../support/docker-harness.ts';
import { until } from '../support/until.ts';

const missing = await whyNoDocker();
const never = new AbortController().signal;

describe.skipIf(missing !== undefined)(`the sandboxes of the docker engine ${missing ?? ''}`, () => {
  let harness: DockerHarness;
  let engine: DockerEngine;

  beforeAll(async () => {
    harness = await dockerHarness();
  });

  afterEach(async () => {
    for (const { containerId } of await engine.listOwn()) await engine.remove(containerId);
    await engine.close();
    expect(await harness.left()).toEqual([]);
  });

  afterAll(() => harness.close());

  const open = async (options: Partial<DockerEngineOptions> = {}) =>
    (engine = await harness.open(undefined, { poolSize: 2, sandboxRestMs: 0, ...options }));

  const ids = async () => (await sandboxesOf(harness.nodeId)).map(({ Id }) => Id).sort();

  async function start(command: readonly string[] | null = null) {
    const spec = imageSpec(harness.image, command);
    const { address } = await engine.start(spec, never);
    return { id: spec.containerId, address };
  }

  /** The sandbox that the container lives in, as Docker has it. */
  async function sandboxOf(containerId: string): Promise<string> {
    const { HostConfig } = await dockerJson<{ HostConfig: { NetworkMode: string } }>(
      'GET',
      `/containers/${await engineIdOf(containerId)}/json`,
    );
    return HostConfig.NetworkMode.replace('container:', '');
  }

  it('run a program of our own that needs no registry, no rights and hardly any memory', async () => {
    await open();
    const sandboxes = await sandboxesOf(harness.nodeId);
    expect(sandboxes.map(({ State }) => State)).toEqual(['running', 'running']);
    const [{ Id } = { Id: '' }] = sandboxes;
    const details = await dockerJson<{ Image: string; HostConfig: object; Config: object }>(
      'GET',
      `/containers/${Id}/json`,
    );
    expect(details.Config).toMatchObject({ User: '65534:65534' });
    expect(details.HostConfig).toMatchObject({ CapDrop: ['ALL'], ReadonlyRootfs: true, PidsLimit: 32 });
    const image = await dockerJson<{ Size: number }>('GET', `/images/${details.Image}/json`);
    expect(image.Size).toBeLessThan(1024);
  });

  it('are part of what creating took, where a start has to make its own', async () => {
    await open({ poolSize: 0 });
    const beganMs = performance.now();
    const { createMs, startMs } = await engine.start(imageSpec(harness.image), never);
    const untoldMs = performance.now() - beganMs - createMs - startMs;
    expect(untoldMs, 'what neither of them tells').toBeLessThan(createMs / 2);
  });

  it('are held by an app only while it runs or is paused', async () => {
    await open();
    const ready = await ids();
    const { id } = await start();
    const held = await sandboxOf(id);
    expect(ready).toContain(held);
    await until('the pool to be refilled', async () => (await ids()).length === 3);
    await engine.pause(id);
    await engine.stop(id, 1_000);
    // The stopped container is still there; what it held is not.
    await until('its sandbox to go', async () => !(await ids()).includes(held));
    expect(await engine.inspect(id)).toMatchObject({ status: 'exited' });
  });

  it('serve one container only: what one has left in its hosts and resolver is not there for the next', async () => {
    await open({ poolSize: 1 });
    const poison = `echo 192.0.2.6 payments.example | tee -a /etc/hosts /etc/resolv.conf; ${SERVE}`;
    const one = await start(['sh', '-c', poison]);
    const held = await sandboxOf(one.id);
    await until('it to listen', () => reachable(one.address));
    await engine.remove(one.id);
    await until('its sandbox to go', async () => !(await ids()).includes(held));
    const next = await start();
    expect(await sandboxOf(next.id)).not.toBe(held);
    const { output } = await execIn(await engineIdOf(next.id), ['cat', '/etc/hosts', '/etc/resolv.conf']);
    expect(output).toContain('localhost');
    expect(output).not.toContain('192.0.2.6');
  });

  it('keep the address of an app that has ended from the next one, while they rest', async () => {
    await open({ poolSize: 1, sandboxRestMs: 60_000 });
    const one = await start();
    await engine.remove(one.id);
    expect((await start()).address.host).not.toBe(one.address.host);
  });

  it('that die in the pool are noticed and replaced, and no start fails meanwhile', async () => {
    await open();
    const before = await ids();
    await Promise.all(before.map((id) => docker('POST', `/containers/${id}/kill`)));
    const { address } = await start();
    await until('it to listen', () => reachable(address));
    const after = await until('the pool to be whole', async () => {
      const now = await ids();
      return now.length === 3 && !now.some((id) => before.includes(id)) ? now : undefined;
    });
    expect(after).toHaveLength(3);
  });

  it('that die under an app end the app, which is told', async () => {
    await open();
    const exits: ExitEvent[] = [];
    engine.onExit((event) => exits.push(event));
    const { id } = await start();
    const held = await sandboxOf(id);
    await docker('POST', `/containers/${held}/kill`);
    await until('the exit', () => exits.length > 0);
    expect(exits).toMatchObject([{ containerId: id, exitCode: 137 }]);
    await until('the dead sandbox to be removed', async () => !(await ids()).includes(held));
  });

  it('are made by the start itself where none is kept ready', async () => {
    await open({ poolSize: 0 });
    expect(await ids()).toEqual([]);
    const { id, address } = await start();
    await until('it to listen', () => reachable(address));
    await engine.remove(id);
    await until('its sandbox to go', async () => (await ids()).length === 0);
  });

  it('are made although somebody has pruned image and network, where they were before', async () => {
    // Takes the place that the engine would choose again.
    const name = `mayfly-test-${randomUUID()}`;
    await dockerJson('POST', '/networks/create', { Name: name });
    try {
      await open({ poolSize: 0 });
    } finally {
      await dockerJson('DELETE', `/networks/${name}`);
    }
    const before = engine.network;
    const networks = await dockerJson<{ Id: string; Name: string }[]>('GET', '/networks');
    const own = networks.find(({ Name }) => Name === `mayfly-${harness.nodeId}`);
    await dockerJson('DELETE', `/networks/${own?.Id ?? ''}`);
    const { address } = await start();
    await until('it to listen', () => reachable(address));
    expect(new Networks(before.subnets).has(address.host)).toBe(true);
    expect(engine.network).toEqual(before);
  });
});
