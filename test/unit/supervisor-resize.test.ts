/** Another size for containers that run: in place, within the node's room, and never less memory than they use. */
import { describe, expect, it } from 'vitest';
import { decideResize } from '../../src/coreapi/decisions/resize.ts';
import { PlatformError } from '../../src/errors.ts';
import { NodeUnderTest, type NodeUnderTestOptions } from '../support/node-under-test.ts';

const SECOND = 1_000;
const MINUTE = 60_000;
const MIB = 2 ** 20;
const AWAKE = { idlePauseMs: null, idleStopMs: null };

async function ready(policy = {}, options: NodeUnderTestOptions = {}): Promise<NodeUnderTest> {
  const node = await new NodeUnderTest(options).boot();
  await node.createApp('hello', policy);
  expect(await node.visited('hello')).toBe('answered');
  return node;
}

const given = (node: NodeUnderTest) =>
  node.machine.list().flatMap(({ exit, resources }) => (exit ? [] : [resources]));
const recorded = async (node: NodeUnderTest) => (await node.containers()).map(({ resources }) => resources);
const reserved = async (node: NodeUnderTest) => (await node.store.list('node'))[0]?.reserved;

describe('scaling up', () => {
  it('changes the containers that run, without a restart, and what is started from then on', async () => {
    const node = await ready(AWAKE);
    await node.scale('hello', { replicas: 2 });
    await node.clock.advance(SECOND);
    const before = node.alive();
    await node.scale('hello', { cpu: 1, memoryBytes: 512 * MIB });
    await node.clock.advance(SECOND);
    const size = { cpu: 1, memoryBytes: 512 * MIB, pidsMax: 256 };
    expect(node.alive()).toEqual(before);
    expect(given(node)).toEqual([size, size]);
    expect(await recorded(node)).toEqual([size, size]);
    expect(await reserved(node)).toEqual({ cpu: 2, memoryBytes: 1024 * MIB });
    expect(node.count('resized')).toBe(2);
    const [resized] = await node.events('container.resized');
    expect(resized).toMatchObject({
      reason: `it was given another size: 0.5 → 1 CPU, 256 MiB → 512 MiB of memory`,
      figures: { fromCpu: 0.5, toCpu: 1, fromMemoryBytes: 256 * MIB, toMemoryBytes: 512 * MIB },
    });
    await node.scale('hello', { replicas: 3 });
    await node.clock.advance(SECOND);
    expect(given(node)).toEqual([size, size, size]);
    expect(node.count('resized')).toBe(2);
  });

  it('is what a change of the policy’s size is, too', async () => {
    const node = await ready(AWAKE);
    const before = node.alive();
    await node.change('hello', { cpu: 0.75, pidsMax: 99 });
    await node.clock.advance(SECOND);
    expect(given(node)).toMatchObject([{ cpu: 0.75, pidsMax: 99 }]);
    expect(node.alive()).toEqual(before);
  });

  it('replaces the containers where the engine cannot change them', async () => {
    const node = await ready(AWAKE);
    node.hooks = { capabilities: { ...node.engine.capabilities, liveUpdate: false } };
    const before = node.alive();
    await node.scale('hello', { cpu: 1 });
    await node.clock.advance(MINUTE);
    expect(node.alive()).toHaveLength(1);
    expect(node.alive()).not.toEqual(before);
    expect(given(node)).toMatchObject([{ cpu: 1 }]);
  });

  it('beyond the room of the node changes nothing, and says with figures what is lacking', async () => {
    const node = await ready(AWAKE, { capacity: { cpu: 1, memoryBytes: 2 ** 30 } });
    await expect(node.scale('hello', { cpu: 2 })).rejects.toMatchObject({
      code: 'no_capacity',
      message: expect.stringContaining('0.5 of 1 CPU') as string,
    });
    await node.change('hello', { cpu: 2 }); // nobody looked whether there is room
    await node.clock.advance(SECOND);
    expect(given(node)).toMatchObject([{ cpu: 0.5 }]);
    expect(await reserved(node)).toMatchObject({ cpu: 0.5 });
    const [failed, ...more] = await node.events('scale.failed');
    expect(failed).toMatchObject({ figures: { code: 'no_capacity', fromCpu: 0.5, toCpu: 2 } });
    expect(failed?.reason).toContain('0.5 of 1 CPU');
    expect(more).toEqual([]);
    expect(await node.visited('hello')).toBe('answered');
    // It is tried again when there may be room.
    await node.core.register({
      nodeId: 'node_test',
      name: 'test',
      engine: 'simulated',
      capacity: { cpu: 4, memoryBytes: 2 ** 30 },
    });
    await node.clock.advance(MINUTE);
    expect(given(node)).toMatchObject([{ cpu: 2 }]);
  });

  it('that the engine refuses gives the room back', async () => {
    const node = await ready(AWAKE);
    node.hooks = {
      updateResources: () => Promise.reject(new PlatformError('unsupported', 'the kernel says no')),
    };
    await node.scale('hello', { cpu: 1 });
    await node.clock.advance(SECOND);
    expect(await reserved(node)).toMatchObject({ cpu: 0.5 });
    expect(await recorded(node)).toMatchObject([{ cpu: 0.5 }]);
    expect((await node.events('scale.failed'))[0]?.reason).toContain('the kernel says no');
    node.hooks = {};
    await node.clock.advance(MINUTE);
    expect(given(node)).toMatchObject([{ cpu: 1 }]);
    expect(await reserved(node)).toMatchObject({ cpu: 1 });
  });

  it.each([
    ['it is what is wanted', 1],
    ['it is not wanted any more', 0.5],
  ])('that the engine did not answer is settled when it does, where %s', async (_, cpu) => {
    const node = await ready(AWAKE);
    const { engine } = node;
    node.hooks = {
      updateResources: async (...args) => {
        await engine.updateResources(...args);
        throw new PlatformError('engine_unavailable', 'no answer within 30 s');
      },
    };
    await node.scale('hello', { cpu: 1 });
    await node.clock.advance(SECOND);
    expect(given(node)).toMatchObject([{ cpu: 1 }]);
    expect(await reserved(node), 'as long as it may have it').toMatchObject({ cpu: 1 });
    expect(await node.events('scale.failed')).toHaveLength(1);
    node.hooks = {};
    await node.scale('hello', { cpu });
    await node.clock.advance(MINUTE);
    expect(given(node)).toMatchObject([{ cpu }]);
    expect(await recorded(node)).toMatchObject([{ cpu }]);
    expect(await reserved(node)).toMatchObject({ cpu });
  });

  it('reserves before it gives, and gives back after it has taken', async () => {
    const node = await ready(AWAKE);
    const seen: (number | undefined)[] = [];
    const { engine } = node;
    node.hooks = {
      updateResources: async (...args) => {
        seen.push((await reserved(node))?.cpu);
        await engine.updateResources(...args);
      },
    };
    for (const cpu of [1, 0.5]) {
      await node.scale('hello', { cpu });
      await node.clock.advance(SECOND);
    }
    expect(seen).toEqual([1, 1]);
    expect(await reserved(node)).toMatchObject({ cpu: 0.5 });
  });

  it('that was cut off by the end of the program is finished by the next one', async () => {
    const node = await ready(AWAKE);
    const { engine } = node;
    const done = Promise.withResolvers<undefined>();
    node.hooks = {
      updateResources: async (...args) => {
        await engine.updateResources(...args);
        await done.promise; // the answer never arrives
      },
    };
    await node.scale('hello', { cpu: 1 });
    await node.clock.advance(SECOND);
    await node.scale('hello', { cpu: 0.5 }); // not heard by the one that ends
    const closing = node.close({ leaveRunning: true, timeoutMs: 100 });
    await closing;
    node.hooks = {};
    await node.boot();
    await node.clock.advance(SECOND);
    expect(given(node)).toMatchObject([{ cpu: 0.5 }]);
    expect(await recorded(node)).toMatchObject([{ cpu: 0.5 }]);
    expect(await reserved(node)).toMatchObject({ cpu: 0.5 });
    expect(node.count('started')).toBe(1);
  });
});

describe('scaling down', () => {
  const BIG = { ...AWAKE, memoryBytes: 64 * MIB };

  it('never takes memory that is in use, says so once, and takes it when it is free', async () => {
    const node = await ready(BIG);
    await node.scale('hello', { memoryBytes: 512 * MIB, cpu: 1 });
    await node.clock.advance(SECOND);
    let memoryBytes = 200 * MIB;
    node.hooks = { stats: async () => ({ atMs: 0, cpuMs: 0, pids: 1, memoryBytes }) };
    await node.scale('hello', { memoryBytes: 64 * MIB, cpu: 0.5 });
    await node.clock.advance(5 * MINUTE);
    expect(given(node)).toMatchObject([{ cpu: 0.5, memoryBytes: 250 * MIB }]);
    expect(await reserved(node)).toEqual({ cpu: 0.5, memoryBytes: 250 * MIB });
    expect(await node.events('scale.held_back')).toMatchObject([{ figures: { memoryUsedBytes: 200 * MIB } }]);
    memoryBytes = 20 * MIB;
    await node.clock.advance(MINUTE);
    expect(given(node)).toMatchObject([{ memoryBytes: 64 * MIB }]);
    expect(await reserved(node)).toEqual({ cpu: 0.5, memoryBytes: 64 * MIB });
  });

  it('is what silence does to a container that is kept ready', async () => {
    const node = await ready({ minReplicas: 1, idlePauseMs: 30_000, maxReplicas: 2 });
    await node.scale('hello', { cpu: 1, replicas: 2 });
    await node.clock.advance(SECOND);
    expect(given(node)).toMatchObject([{ cpu: 1 }, { cpu: 1 }]);
    await node.clock.advance(MINUTE);
    expect(given(node).map(({ cpu }) => cpu)).toEqual(expect.arrayContaining([0.5]));
    const [kept] = (await node.containers()).filter(({ state }) => state === 'ready');
    expect(kept?.resources.cpu).toBe(0.5);
  });

  it('is what a container finds that is woken after the app was big', async () => {
    const node = await ready({ idlePauseMs: 1_000 });
    await node.scale('hello', { cpu: 1 });
    await node.clock.advance(20);
    expect(given(node)).toMatchObject([{ cpu: 1 }]);
    await node.clock.advance(MINUTE);
    expect(await node.visited('hello')).toBe('answered');
    expect(given(node)).toMatchObject([{ cpu: 0.5 }]);
    expect(node.count('started')).toBe(1);
  });
});

describe('what a container is given', () => {
  const has = { cpu: 1, memoryBytes: 400 * MIB, pidsMax: 10 };
  const of = (memoryBytes: number, usedMib: number) =>
    decideResize({ has, wanted: { ...has, memoryBytes }, memoryUsedBytes: usedMib * MIB });

  it('is a quarter more memory than it uses, at the least, and never more than it had for that reason', () => {
    expect(of(100 * MIB, 40)).toMatchObject({ to: { memoryBytes: 100 * MIB }, isHeldBack: false });
    expect(of(100 * MIB, 80)).toMatchObject({ to: { memoryBytes: 100 * MIB }, isHeldBack: false });
    expect(of(100 * MIB, 200)).toMatchObject({ to: { memoryBytes: 250 * MIB }, isHeldBack: true });
    expect(of(100 * MIB, 390)).toMatchObject({ to: { memoryBytes: 400 * MIB }, isHeldBack: true });
    expect(of(800 * MIB, 390)).toMatchObject({ to: { memoryBytes: 800 * MIB }, isHeldBack: false });
  });
});
