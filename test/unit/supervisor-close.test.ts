/** How a node ends, and what it leaves to the next program. */
import { describe, expect, it } from 'vitest';
import { PlatformError } from '../../src/errors.ts';
import { settle } from '../support/fake-clock.ts';
import { NodeUnderTest } from '../support/node-under-test.ts';

const MINUTE = 60_000;
const away = () => Promise.reject(new PlatformError('engine_unavailable', 'the engine does not answer'));
const never = () => new Promise<never>(() => undefined);

async function ready(policy = {}): Promise<NodeUnderTest> {
  const node = await new NodeUnderTest().boot();
  await node.createApp('hello', policy);
  expect(await node.visited('hello')).toBe('answered');
  return node;
}

describe('closing a node', () => {
  it('stops and removes everything, forgets it, and leaves no timer', async () => {
    const node = await ready();
    await node.createApp('asleep', { idlePauseMs: 1_000 });
    await node.visited('asleep', 5_000);
    await node.close();
    expect(node.machine.list()).toEqual([]);
    expect(await node.containers()).toEqual([]);
    expect(node.clock.pending).toBe(0);
  });

  it('ends a start under way and the waiting between two attempts', async () => {
    const node = await new NodeUnderTest().boot();
    await node.createApp('slow');
    node.fault = { startMs: 20_000 };
    const visit = node.agent
      .activate((await node.store.list('app'))[0]?.id ?? '')
      .catch((thrown: unknown) => thrown);
    await node.clock.advance(100);
    expect(await node.close()).toBeLessThan(2_000);
    expect(await visit).toMatchObject({ code: 'shutting_down' });
    expect(node.machine.list()).toEqual([]);
    expect(node.clock.pending).toBe(0);
    await expect(node.agent.activate('app_1')).rejects.toMatchObject({ code: 'shutting_down' });
  });

  it.each([
    ['refuses', { stop: away, remove: away }],
    ['does not answer', { stop: never, remove: never }],
  ])('ends within its timeout when the engine %s', async (_, hooks) => {
    const node = await ready();
    node.hooks = hooks;
    const tookMs = await node.close({ timeoutMs: 3_000 });
    expect(tookMs).toBeGreaterThanOrEqual(3_000);
    expect(tookMs).toBeLessThan(4_000);
    expect(node.clock.pending).toBe(0);
  });

  it('ends within its timeout when a start does not end, and its container cannot be stopped', async () => {
    const node = await ready();
    await node.createApp('stuck');
    node.hooks = { start: never, stop: away, remove: away };
    void node.visit('stuck');
    await node.clock.advance(100);
    expect(await node.close({ timeoutMs: 3_000 })).toBeLessThan(4_000);
  });

  it('breaks requests off at its timeout, and still stops their containers', async () => {
    const node = await ready({ drainTimeoutMs: 10 * MINUTE });
    const long = node.visit('hello', 9 * MINUTE);
    await settle();
    const tookMs = await node.meanwhile(node.agent.close({ leaveRunning: false, timeoutMs: 3_000 }));
    expect(tookMs).toBeLessThan(4_000);
    expect(await long).toBe('upstream_broken');
    await node.clock.advance(1_000);
    expect(node.alive()).toEqual([]);
  });

  it('has one end, however often it is asked for', async () => {
    const node = await ready();
    const first = node.agent.close({ leaveRunning: false, timeoutMs: 1_000 });
    let over = false;
    const second = node.agent.close({ leaveRunning: false, timeoutMs: 1_000 }).then(() => (over = true));
    await settle();
    expect(over).toBe(false);
    await node.meanwhile(Promise.all([first, second]));
    expect(node.machine.list()).toEqual([]);
  });
});

describe('leaving containers running', () => {
  it('the next program serves with them, asleep or awake, at the first request', async () => {
    const node = await ready({ idlePauseMs: null, idleStopMs: null });
    await node.createApp('asleep', { idlePauseMs: 1_000 });
    await node.visited('asleep', 5_000);
    const before = node.alive();
    await node.close({ leaveRunning: true });
    expect(node.alive()).toEqual(before);
    expect(node.clock.pending).toBe(0);

    await node.boot();
    expect(await node.states()).toEqual(['ready', 'paused']);
    expect(await node.visited('hello', 10)).toBe('answered');
    expect(await node.visited('asleep')).toBe('answered');
    expect(node.alive()).toEqual(before);
    expect(node.count('started')).toBe(2);
  });

  it('does not leave one that is only starting, and says shutting_down to who waits for it', async () => {
    const node = await ready();
    await node.createApp('slow');
    node.fault = { startMs: 10, listenMs: 20_000 };
    const appId = (await node.store.list('app')).find(({ name }) => name === 'slow')?.id ?? '';
    const activation = node.agent.activate(appId).catch((thrown: unknown) => thrown);
    await node.clock.advance(1_000);
    expect(node.alive()).toHaveLength(2);
    await node.close({ leaveRunning: true });
    expect(await activation).toMatchObject({ code: 'shutting_down' });
    expect(node.alive()).toHaveLength(1);
    expect(node.clock.pending).toBe(0);
  });

  it('the next program stops what was recorded as ended but runs', async () => {
    const node = await ready();
    const [id = ''] = node.alive();
    const [{ generation } = { generation: 0 }] = await node.containers();
    await node.close({ leaveRunning: true });
    await node.store.commit([
      {
        op: 'update',
        kind: 'container',
        id,
        ifGeneration: generation,
        set: { state: 'failed', slot: null, address: null },
        claims: [],
      },
    ]);
    await node.meanwhile(node.boot());
    expect(node.alive()).toEqual([]);
    expect(node.machine.find(id)?.status).toBe('exited'); // its last words can still be read
  });
});

describe('a node that cannot begin', () => {
  it('says why, and holds neither the engine nor a timer', async () => {
    const node = new NodeUnderTest();
    node.storeIsAway = true;
    await expect(node.meanwhile(node.boot())).rejects.toMatchObject({ code: 'store_unavailable' });
    expect(node.clock.pending).toBe(0);
    await expect(node.engine.prepare()).rejects.toMatchObject({ code: 'engine_unavailable' }); // it is closed
  });
});
