/** What a node does while its database or its engine is away. */
import { describe, expect, it } from 'vitest';
import { PlatformError } from '../../src/errors.ts';
import { NodeUnderTest } from '../support/node-under-test.ts';

const MINUTE = 60_000;
const away = () => Promise.reject(new PlatformError('engine_unavailable', 'the engine does not answer'));

async function ready(policy = {}): Promise<NodeUnderTest> {
  const node = await new NodeUnderTest().boot();
  await node.createApp('hello', policy);
  expect(await node.visited('hello')).toBe('answered');
  return node;
}

describe('while the database is away', () => {
  it('what is warm is served, what sleeps wakes, and afterwards the records catch up', async () => {
    const node = await ready({ idlePauseMs: 10_000, idleStopMs: 10 * MINUTE });
    node.storeIsAway = true;
    for (let visit = 0; visit < 5; visit++) {
      expect(await node.visited('hello')).toBe('answered');
      await node.clock.advance(20_000); // it falls asleep in between
    }
    expect(node.count('paused')).toBe(5);
    expect(node.count('unpaused')).toBe(4);
    expect(await node.states()).toEqual(['ready']);
    node.storeIsAway = false;
    await node.clock.advance(6_000);
    expect(await node.states()).toEqual(['paused']);
    expect(await node.visited('hello')).toBe('answered');
    expect(await node.states()).toEqual(['ready']);
    expect(node.count('started')).toBe(1);
  });

  it('what is warm is served, though it has changed just before, or another app that needs it has', async () => {
    const node = await ready({ idlePauseMs: null, idleStopMs: null });
    await node.createApp('other', {}, ['hello']);
    await node.change('hello', { requestTimeoutMs: MINUTE });
    await node.changeNeeds('other', []);
    await node.clock.advance(100);
    node.storeIsAway = true;
    expect(await node.visited('hello')).toBe('answered');
  });

  it('what does not run is refused with the cause, and starts when the database is back', async () => {
    const node = await ready();
    const { id } = await node.createApp('cold');
    const activated = async () => {
      const outcome = node.agent.activate(id).then(
        ({ kind }) => kind,
        (thrown: unknown) => PlatformError.from(thrown).code,
      );
      await node.clock.advance(1_000);
      return outcome;
    };
    node.storeIsAway = true;
    expect(await activated()).toBe('store_unavailable');
    node.storeIsAway = false;
    expect(await activated()).toBe('started');
  });

  it('an app whose container ended is not started on a guess: first its end has to be recorded', async () => {
    const node = await ready({ idlePauseMs: 1_000, idleStopMs: 2_000 });
    node.storeIsAway = true;
    await node.clock.advance(10_000);
    expect(node.alive()).toEqual([]);
    expect(await node.visited('hello')).toBe('store_unavailable');
    node.storeIsAway = false;
    await node.clock.advance(6_000);
    expect(await node.states()).toEqual(['stopped']);
    expect(await node.visited('hello')).toBe('answered');
    expect(node.alive()).toHaveLength(1);
  });

  it('an app that fell asleep has its policy’s size afterwards, and no remains, however long that took', async () => {
    const node = await ready({ idlePauseMs: null, idleStopMs: 20_000, maxReplicas: 3 });
    await node.scale('hello', { replicas: 3 });
    await node.clock.advance(1_000);
    node.storeIsAway = true;
    await node.clock.advance(30 * MINUTE);
    expect(node.alive()).toEqual([]);
    node.storeIsAway = false;
    await node.clock.advance(MINUTE);
    expect(await node.containers()).toEqual([]);
    expect(node.agent.apps).toBe(0);
    expect(node.clock.pending).toBe(0);
    expect(await node.visited('hello')).toBe('answered');
    expect(node.alive()).toHaveLength(1);
  });

  it('what changed meanwhile is heard once it is back, though the feed broke', async () => {
    const node = await ready();
    node.storeIsAway = true;
    node.breakFeed();
    await node.clock.advance(5_000);
    const revisionId = await node.deploy('hello');
    node.storeIsAway = false;
    await node.clock.advance(5_000);
    expect((await node.containers()).filter(({ slot }) => slot === 0)).toMatchObject([
      { revisionId, state: 'ready' },
    ]);
  });
});

describe('a change feed that no longer reaches back', () => {
  it('makes the node read its apps again: it misses neither a deploy nor a deletion', async () => {
    const node = await new NodeUnderTest({ retention: { maxChanges: 20 } }).boot();
    for (const name of ['deployed', 'deleted']) {
      await node.createApp(name, { idlePauseMs: null, idleStopMs: null });
      expect(await node.visited(name)).toBe('answered');
    }
    node.storeIsAway = true;
    node.breakFeed();
    await node.clock.advance(100);
    const revisionId = await node.deploy('deployed');
    await node.deleteApp('deleted');
    for (let i = 0; i < 20; i++) await node.createApp(`other-${i}`);
    node.storeIsAway = false;
    await node.clock.advance(MINUTE);
    expect((await node.containers()).filter(({ state }) => state === 'ready')).toMatchObject([
      { revisionId },
    ]);
    expect(node.alive()).toHaveLength(1);
    expect(node.agent.apps).toBe(1);
  });
});

describe('while the engine is away', () => {
  it('a container whose connection failed for a moment is in use again at once, though nobody can say if it runs', async () => {
    const node = await ready({ idlePauseMs: null, idleStopMs: null });
    let asked = 0;
    node.hooks = { inspect: () => new Promise(() => asked++) };
    for (let failure = 0; failure < 3; failure++) {
      const lease = await node.dispatcher.acquire('hello.test', { bodyBytes: 0 });
      const again = lease.fail('refused');
      expect(await node.visited('hello')).toBe('answered');
      (await again).release();
    }
    expect(asked).toBe(1);
    expect(node.count('started')).toBe(1);
  });

  it('a container that cannot be paused goes on serving, and is paused later', async () => {
    const node = await ready({ idlePauseMs: 5_000, idleStopMs: 10 * MINUTE });
    node.hooks = { pause: away };
    await node.clock.advance(20_000);
    expect(await node.visited('hello')).toBe('answered');
    expect(await node.states()).toEqual(['ready']);
    node.hooks = {};
    await node.clock.advance(20_000);
    expect(await node.states()).toEqual(['paused']);
  });

  it('a sleeper cannot be woken, which is said, and wakes when it is back', async () => {
    const node = await ready({ idlePauseMs: 5_000, idleStopMs: 10 * MINUTE });
    await node.clock.advance(10_000);
    node.hooks = { unpause: away };
    expect(await node.visited('hello')).toBe('engine_unavailable');
    expect(await node.states()).toEqual(['paused']);
    node.hooks = {};
    expect(await node.visited('hello')).toBe('answered');
    expect(node.count('started')).toBe(1);
  });

  it('a container that cannot be stopped is stopped when it is back; until then nothing else claims its room', async () => {
    const node = await new NodeUnderTest({ capacity: { cpu: 0.5, memoryBytes: 2 ** 30 } }).boot();
    await node.createApp('hello', { idlePauseMs: 1_000, idleStopMs: 2_000 });
    await node.createApp('other');
    expect(await node.visited('hello')).toBe('answered');
    node.hooks = { stop: away };
    await node.clock.advance(10_000);
    expect(await node.states()).toEqual(['draining']);
    expect(await node.visited('other', 30_000)).toBe('no_capacity');
    node.hooks = {};
    await node.clock.advance(MINUTE);
    expect(await node.states()).toEqual(['stopped']);
    expect(await node.visited('other')).toBe('answered');
  });

  it('a container that cannot be removed, or stopped, keeps no node from starting, and goes later', async () => {
    const node = await new NodeUnderTest().boot();
    const names = ['crashed', 'ended', 'unknown', 'serving'];
    for (const name of names) {
      await node.createApp(name, { idlePauseMs: null, idleStopMs: null });
      expect(await node.visited(name)).toBe('answered');
    }
    const [crashed = '', ended = '', unknown = '', serving = ''] = node.alive();
    const here = () => node.machine.list().map(({ spec }) => spec.containerId);
    await node.close({ leaveRunning: true });
    node.machine.find(crashed)?.crash(1);
    await node.core.report(ended, { state: 'failed', reason: 'its end was told, and not done' });
    await node.store.commit([{ op: 'delete', kind: 'container', id: unknown }]);

    node.hooks = { remove: away, stop: away };
    await node.boot();
    expect(await node.visited('serving')).toBe('answered');
    expect((await node.containers()).map(({ id, state }) => [id, state])).toEqual([
      [crashed, 'failed'],
      [ended, 'failed'],
      [serving, 'ready'],
    ]);
    expect(here()).toHaveLength(4);

    node.hooks = {};
    await node.clock.advance(MINUTE);
    expect(node.alive()).toEqual([unknown, serving]);
    await node.clock.advance(15 * MINUTE);
    expect((await node.containers()).map(({ id }) => id)).toEqual([serving]);
    expect(here()).toEqual([unknown, serving]);
    await node.close({ leaveRunning: true });
    await node.boot();
    expect(here()).toEqual([serving]);
  });

  it('remains that cannot be removed stay recorded until they can', async () => {
    const node = await ready({ idlePauseMs: 1_000, idleStopMs: 2_000 });
    await node.clock.advance(5_000);
    node.hooks = { remove: away };
    await node.clock.advance(15 * MINUTE);
    expect(await node.states()).toEqual(['stopped']);
    expect(node.agent.apps).toBe(1);
    node.hooks = {};
    await node.clock.advance(MINUTE);
    expect(await node.states()).toEqual([]);
    expect(node.machine.list()).toEqual([]);
    expect(node.agent.apps).toBe(0);
    expect(node.clock.pending).toBe(0);
  });
});
