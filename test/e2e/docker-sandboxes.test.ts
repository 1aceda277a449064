import { randomUUID } from 'node:crypto';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import type { DockerEngine, DockerEngineOptions } from '../../src/compute/docker/engine.ts';
import type { ExitEvent } from '../../src/compute/engine.ts';
import { Networks } from '../../src/networks.ts';
import { docker, dockerJson, engineIdOf, sandboxesOf, whyNoDocker } from '../support/docker.ts';
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

  async function start() {
    const spec = imageSpec(harness.image);
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
    // The stopped container is still there; what it held is in the pool again, and the surplus is discarded.
    await until('the surplus to go', async () => (await ids()).length === 2);
    expect(await engine.inspect(id)).toMatchObject({ status: 'exited' });
  });

  it('are used again when nothing of the app before is left', async () => {
    await open({ poolSize: 1 });
    const first = await start();
    await engine.stop(first.id, 1_000);
    const used = new Set<string>([first.address.host]);
    for (let i = 0; i < 4; i++) {
      const next = await start();
      await until('it to listen', () => reachable(next.address));
      used.add(next.address.host);
      await engine.remove(next.id);
    }
    expect(used.size).toBeLessThanOrEqual(2);
  });

  it('are replaced when they have served often enough', async () => {
    await open({ poolSize: 1, sandboxMaxUses: 1 });
    const [before] = await ids();
    const { id } = await start();
    await engine.remove(id);
    const after = await until('another one', async () => {
      const now = await ids();
      return now.length === 1 && now[0] !== before ? now : undefined;
    });
    expect(after).not.toContain(before);
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
