/** Several containers of one app on one node: out and in, awake and asleep, young and old. */
import { describe, expect, it } from 'vitest';
import { PlatformError } from '../../src/errors.ts';
import { settle } from '../support/fake-clock.ts';
import { NodeUnderTest, type NodeUnderTestOptions } from '../support/node-under-test.ts';
import { policy as recordsPolicy } from '../support/records.ts';

const SECOND = 1_000;
const MINUTE = 60_000;

async function ready(policy = {}, options: NodeUnderTestOptions = {}): Promise<NodeUnderTest> {
  const node = await new NodeUnderTest(options).boot();
  await node.createApp('hello', policy);
  expect(await node.visited('hello')).toBe('answered');
  return node;
}

const named = (node: NodeUnderTest) =>
  [...node.endpoints.values()][0]?.map(({ containerId }) => containerId) ?? [];
const atOnce = (node: NodeUnderTest) => [...node.namedAtOnce.values()][0] ?? [];
const size = async (node: NodeUnderTest) => (await node.store.list('size'))[0];

async function wide(
  replicas: number,
  policy = {},
  options: NodeUnderTestOptions = {},
): Promise<NodeUnderTest> {
  // Load would find fewer of them enough for one visitor after the other.
  const scaling = { ...recordsPolicy().scaling, mode: 'off' };
  const node = await ready({ maxReplicas: 5, scaling, ...policy }, options);
  await node.scale('hello', { replicas });
  await node.clock.advance(SECOND);
  expect(named(node)).toHaveLength(replicas);
  node.namedAtOnce.clear();
  return node;
}

describe('scaling out', () => {
  it('names the new containers when they are ready, one start each, while the first goes on serving', async () => {
    const node = await ready();
    const [first] = named(node);
    node.fault = { listenMs: 5_000 };
    await node.scale('hello', { replicas: 3 });
    await node.clock.advance(3 * SECOND);
    expect(named(node)).toEqual([first]);
    expect(node.alive()).toHaveLength(3);
    expect(await node.visited('hello', 10)).toBe('answered');
    await node.clock.advance(3 * SECOND);
    expect(named(node)).toHaveLength(3);
    expect(node.count('started')).toBe(3);
    expect((await node.containers()).map(({ slot, reason }) => [slot, reason])).toEqual([
      [0, 'it accepts connections'],
      [1, 'it accepts connections'],
      [2, 'it accepts connections'],
    ]);
    expect((await node.events('container.planned')).map(({ reason }) => reason)).toEqual([
      'a request came',
      '3 containers are wanted',
      '3 containers are wanted',
    ]);
  });

  it('shares the requests among all of them', async () => {
    const node = await wide(3);
    const visits = Array.from({ length: 6 }, () => node.visit('hello', SECOND));
    await settle();
    const inFlight = node.machine.list().map(({ requests }) => requests);
    expect(inFlight.reduce((sum, count) => sum + count, 0)).toBe(7); // the one before
    expect(inFlight.toSorted()).toEqual([2, 2, 3]);
    await node.clock.advance(2 * SECOND);
    expect(new Set(await Promise.all(visits))).toEqual(new Set(['answered']));
  });

  it('of an app that sleeps starts it', async () => {
    const node = await new NodeUnderTest().boot();
    await node.createApp('hello');
    await node.scale('hello', { replicas: 2 });
    await node.clock.advance(SECOND);
    expect(named(node)).toHaveLength(2);
    await node.clock.advance(MINUTE);
    expect(await node.states()).toEqual(['paused', 'paused']);
  });

  it('that fails takes nothing from who serves, is backed off and told, and is made up for when it can be', async () => {
    const node = await ready({ idlePauseMs: null, idleStopMs: null });
    const before = node.alive();
    node.fault = { startError: 'there is no second one' };
    await node.scale('hello', { replicas: 2 });
    for (let i = 0; i < 60; i++) expect(await node.visited('hello', SECOND)).toBe('answered');
    expect(named(node)).toEqual(before);
    const failed = await node.events('scale.failed');
    expect(failed.length).toBeGreaterThan(4);
    expect(failed.length).toBeLessThan(10);
    expect(failed[0]).toMatchObject({ figures: { failures: 1, backoffMs: 1_000, ready: 1 } });
    expect(failed[0]?.reason).toContain('there is no second one');
    expect(await node.events('app.start_backoff')).toEqual([]);
    node.fault = {};
    await node.clock.advance(MINUTE);
    expect(named(node)).toHaveLength(2);
    expect(node.count('stopped')).toBe(0);
  });

  it('that failed is not held against the one that serves when it has to be started again', async () => {
    const node = await ready({ idlePauseMs: null, idleStopMs: null });
    node.fault = { startError: 'no' };
    await node.scale('hello', { replicas: 2 });
    await node.clock.advance(MINUTE);
    node.fault = {};
    node.engine.crash(named(node)[0] ?? '', 1);
    expect(await node.visited('hello')).toBe('answered');
  });

  it('while the engine is away waits until it is back, and asks it only now and then', async () => {
    const node = await wide(2, { idlePauseMs: 5_000, idleStopMs: null });
    await node.clock.advance(10 * SECOND);
    let asked = 0;
    node.hooks = {
      unpause: () => {
        asked++;
        return Promise.reject(new PlatformError('engine_unavailable', 'the engine does not answer'));
      },
    };
    await node.scale('hello', { replicas: 2 });
    await node.clock.advance(MINUTE);
    expect(asked).toBeGreaterThan(4);
    expect(asked).toBeLessThan(20);
    expect(await node.visited('hello')).toBe('engine_unavailable'); // who asks is told at once
    node.hooks = {};
    await node.clock.advance(MINUTE);
    expect(named(node)).toHaveLength(2);
    expect(node.count('started')).toBe(2);
  });

  it('beyond the room of the node is refused before anything is started', async () => {
    const node = await ready({}, { capacity: { cpu: 1, memoryBytes: 2 ** 30 } });
    await expect(node.scale('hello', { replicas: 3 })).rejects.toMatchObject({ code: 'no_capacity' });
    await node.scale('hello', { replicas: 2 });
    await node.clock.advance(SECOND);
    expect(named(node)).toHaveLength(2);
  });
});

describe('scaling in', () => {
  it('lets every request finish, and gives the room back', async () => {
    const node = await wide(3, { drainTimeoutMs: MINUTE });
    const visits = Array.from({ length: 9 }, () => node.visit('hello', 20 * SECOND));
    await settle();
    await node.scale('hello', { replicas: 1 });
    await node.clock.advance(SECOND);
    expect(named(node)).toHaveLength(1);
    expect(await node.states()).toEqual(expect.arrayContaining(['ready', 'draining', 'draining']));
    const more = Array.from({ length: 3 }, () => node.visit('hello', SECOND));
    await node.clock.advance(MINUTE / 2);
    expect(new Set(await Promise.all([...visits, ...more]))).toEqual(new Set(['answered']));
    expect(node.alive()).toEqual(named(node));
    expect((await node.store.list('node'))[0]?.reserved.cpu).toBe(0.5);
    const gone = await node.events('container.draining');
    expect(gone.map(({ reason }) => reason)).toEqual(['1 container is wanted', '1 container is wanted']);
  });

  it('calls off a start that is under way, which is no failure of the app', async () => {
    const node = await ready();
    node.fault = { listenMs: 20_000 };
    await node.scale('hello', { replicas: 3 });
    await node.clock.advance(SECOND);
    await node.scale('hello', { replicas: 1 });
    await node.clock.advance(SECOND);
    expect(node.alive()).toEqual(named(node));
    expect((await node.containers()).map(({ state }) => state).toSorted()).toEqual(['ready', 'stopped']);
    expect(await node.events('container.failed')).toEqual([]);
    expect(await node.events('scale.failed')).toEqual([]);
  });

  it('and out again at once ends with what was wanted last', async () => {
    const node = await wide(3);
    for (const replicas of [1, 4, 2, 5, 3]) {
      await node.scale('hello', { replicas });
      await node.clock.advance(20);
    }
    await node.clock.advance(MINUTE / 3);
    expect(named(node)).toHaveLength(3);
    expect(node.alive()).toHaveLength(3);
  });
});

describe('silence', () => {
  it('puts all to sleep together, and the first request wakes one of them', async () => {
    const node = await wide(3);
    await node.clock.advance(MINUTE);
    expect(await node.states()).toEqual(['paused', 'paused', 'paused']);
    expect(await size(node)).toMatchObject({ replicas: 0 });
    expect(await node.visited('hello')).toBe('answered');
    expect((await node.states()).toSorted()).toEqual(['paused', 'paused', 'ready']);
    expect(node.count('started')).toBe(3);
  });

  it('is not what one of several hears while another has work', async () => {
    const node = await wide(3);
    const stream = node.visit('hello', 10 * MINUTE);
    await node.clock.advance(9 * MINUTE);
    expect(await node.states()).toEqual(['ready', 'ready', 'ready']);
    expect(node.count('paused')).toBe(0);
    expect(atOnce(node).every((count) => count === 3)).toBe(true); // none was taken out of use to find that out
    await node.clock.advance(2 * MINUTE);
    expect(await stream).toBe('answered');
    expect(await node.states()).toEqual(['paused', 'paused', 'paused']);
  });

  it('ends all of them, and then a request starts one, not three', async () => {
    const node = await wide(3);
    await node.clock.advance(6 * MINUTE);
    expect(node.alive()).toEqual([]);
    expect(await node.visited('hello')).toBe('answered');
    await node.clock.advance(5 * SECOND);
    expect(node.alive()).toHaveLength(1);
  });

  it('leaves sleepers that are woken when it is scaled out again, until they have slept long enough', async () => {
    const node = await wide(3);
    await node.clock.advance(MINUTE);
    expect(await node.visited('hello')).toBe('answered');
    await node.scale('hello', { replicas: 2 });
    await node.clock.advance(100);
    expect(named(node)).toHaveLength(2);
    expect(node.count('started')).toBe(3);
    for (let i = 0; i < 30; i++) await node.visited('hello', 10 * SECOND);
    expect((await node.containers()).map(({ state }) => state).toSorted()).toEqual([
      'ready',
      'ready',
      'stopped',
    ]);
  });

  it('while the database is away is remembered, and recorded later', async () => {
    const node = await wide(3);
    node.storeIsAway = true;
    await node.clock.advance(MINUTE);
    expect(await node.visited('hello')).toBe('answered');
    expect(named(node)).toHaveLength(1);
    node.storeIsAway = false;
    await node.clock.advance(2 * MINUTE);
    expect(await size(node)).toMatchObject({ replicas: 0 });
    expect(node.count('started')).toBe(3);
  });

  it('has come over an app whose containers ended with the program: the next one starts none unasked', async () => {
    const node = await wide(3);
    await node.close();
    await node.boot();
    await node.clock.advance(SECOND);
    expect(node.alive()).toEqual([]);
    expect(node.agent.apps).toBe(0);
    expect(await size(node)).toMatchObject({ replicas: 0 });
    expect(await node.visited('hello')).toBe('answered');
    expect(node.alive()).toHaveLength(1);
  });

  it('does not undo what was decided a moment before', async () => {
    const node = await wide(2);
    await node.clock.advance(30 * SECOND - 1);
    await node.clock.advance(1);
    await node.scale('hello', { replicas: 3 });
    await node.clock.advance(SECOND);
    const { replicas } = (await size(node)) ?? { replicas: -1 };
    expect(named(node)).toHaveLength(replicas);
    expect(replicas).toBe(3);
  });
});

describe('an app that is to be kept warm', () => {
  const warm = { minReplicas: 2, idlePauseMs: 1_000, idleStopMs: 2_000 };

  it('is started when it is registered, without a request, and never sleeps', async () => {
    const node = await new NodeUnderTest().boot();
    await node.createApp('hello', warm);
    await node.clock.advance(SECOND);
    expect(named(node)).toHaveLength(2);
    await node.clock.advance(60 * MINUTE);
    expect(await node.states()).toEqual(['ready', 'ready']);
    expect([node.count('paused'), node.count('stopped'), node.count('started')]).toEqual([0, 0, 2]);
    expect((await node.events('container.planned'))[0]?.reason).toBe('its policy keeps 2 ready');
  });

  it('has what dies replaced, without a request', async () => {
    const node = await new NodeUnderTest().boot();
    await node.createApp('hello', warm);
    await node.clock.advance(MINUTE);
    for (const id of node.alive()) node.engine.crash(id, 137);
    await node.clock.advance(SECOND);
    expect(named(node)).toHaveLength(2);
    expect(node.count('started')).toBe(4);
  });

  it('goes back to so many when it is idle, those that serve untouched', async () => {
    const node = await new NodeUnderTest().boot();
    await node.createApp('hello', { ...warm, minReplicas: 1, idlePauseMs: 30_000, idleStopMs: MINUTE });
    await node.clock.advance(SECOND);
    await node.scale('hello', { replicas: 3 });
    await node.clock.advance(31 * SECOND);
    expect((await node.states()).toSorted()).toEqual(['paused', 'paused', 'ready']);
    await node.clock.advance(2 * MINUTE);
    expect(node.alive()).toHaveLength(1);
    expect(await node.states()).toContain('ready');
    expect(await size(node)).toMatchObject({ replicas: 0 });
  });

  it('is given more for the next crowd within 300 ms, also after what the last one left has gone to rest', async () => {
    const node = await new NodeUnderTest().boot();
    const used = () => ({ atMs: node.clock.nowMs(), cpuMs: node.clock.nowMs() / 2, memoryBytes: 0, pids: 1 });
    // All of their CPU is in use; a look takes a moment.
    node.hooks = { stats: () => new Promise((resolve) => void node.clock.after(2, () => resolve(used()))) };
    await node.createApp('hello', { ...warm, minReplicas: 1 });
    await node.clock.advance(SECOND);
    for (let i = 0; i < 400; i++) await node.visited('hello', 10);
    await node.scale('hello', { replicas: 2 });
    await node.clock.advance(2 * SECOND);
    expect((await node.states()).toSorted()).toEqual(['paused', 'ready']);
    const before = (await node.events('scale.decided')).length;
    for (let i = 0; i < 100; i++) void node.visit('hello', MINUTE);
    await node.clock.advance(300);
    const decided = (await node.events('scale.decided')).slice(before);
    expect(decided).toMatchObject([{ figures: { by: 'load', toReplicas: 3, inFlight: 100 } }]);
  });

  it('is started at the next start of the program, and not twice when it runs still', async () => {
    const node = await new NodeUnderTest().boot();
    await node.createApp('hello', warm);
    await node.clock.advance(SECOND);
    await node.close();
    expect(node.alive()).toEqual([]);
    await node.boot();
    await node.clock.advance(SECOND);
    expect(node.alive()).toHaveLength(2);
    const before = node.alive();
    await node.close({ leaveRunning: true });
    await node.boot();
    await node.clock.advance(MINUTE);
    expect(node.alive()).toEqual(before);
    expect(named(node)).toEqual(before);
  });

  it('that does not start is tried again with backoff, and its visitors are told so', async () => {
    const node = await new NodeUnderTest().boot();
    node.fault = { startError: 'it does not compile' };
    await node.createApp('hello', warm);
    await node.clock.advance(2 * MINUTE);
    expect(node.count('start_failed')).toBeLessThan(30);
    expect(['start_backoff', 'start_failed']).toContain(await node.visited('hello'));
    node.fault = {};
    await node.clock.advance(2 * MINUTE);
    expect(named(node)).toHaveLength(2);
  });

  it('is let go when its policy no longer says so, and ends with the app', async () => {
    const node = await new NodeUnderTest().boot();
    await node.createApp('hello', warm);
    await node.clock.advance(MINUTE);
    await node.change('hello', { minReplicas: 0 });
    await node.clock.advance(15 * MINUTE);
    expect(node.alive()).toEqual([]);
    expect(node.clock.pending).toBe(0);
    await node.change('hello', { minReplicas: 1 });
    await node.clock.advance(SECOND);
    expect(node.alive()).toHaveLength(1);
    await node.deleteApp('hello');
    await node.clock.advance(MINUTE);
    expect(node.machine.list()).toEqual([]);
    expect(await node.store.list('size')).toEqual([]);
    expect(node.agent.apps).toBe(0);
    expect(node.clock.pending).toBe(0);
  });
});

describe('a rollout over several containers', () => {
  it('replaces one after the other: never fewer ready than wanted, never more than one beyond', async () => {
    const node = await wide(3, { idlePauseMs: null, idleStopMs: null });
    node.fault = { listenMs: 2_000 };
    let most = 0;
    const revisionId = await node.deploy('hello');
    for (let i = 0; i < 60; i++) {
      void node.visit('hello', 300);
      await node.clock.advance(500);
      most = Math.max(most, node.machine.list().filter(({ exit }) => !exit).length);
    }
    expect(Math.min(...atOnce(node))).toBe(3);
    expect(most).toBeLessThanOrEqual(5); // the successor, and one that ends
    const living = (await node.containers()).filter(({ state }) => state === 'ready');
    expect(living.map((one) => one.revisionId)).toEqual([revisionId, revisionId, revisionId]);
    expect(living.map(({ slot }) => slot).toSorted()).toEqual([0, 1, 2]);
  });

  it('that does not start leaves all of them serving', async () => {
    const node = await wide(3, { idlePauseMs: null, idleStopMs: null });
    const before = named(node);
    node.fault = { startError: 'it does not compile' };
    await node.deploy('hello');
    await node.clock.advance(2 * MINUTE);
    expect(named(node)).toEqual(before);
    expect((await node.events('app.replacement_failed')).length).toBeLessThan(12);
  });

  it('at the end of their lives is the same', async () => {
    const node = await wide(3, { idlePauseMs: null, idleStopMs: null, lifetimeMs: MINUTE });
    const before = named(node);
    await node.clock.advance(70 * SECOND);
    expect(named(node)).toHaveLength(3);
    expect(named(node).filter((id) => before.includes(id))).toEqual([]);
    expect(Math.min(...atOnce(node))).toBe(3);
  });

  it('meets a scale-in half way and ends with what is wanted', async () => {
    const node = await wide(3, { idlePauseMs: null, idleStopMs: null });
    node.fault = { listenMs: 2_000 };
    const revisionId = await node.deploy('hello');
    await node.clock.advance(SECOND);
    await node.scale('hello', { replicas: 1 });
    await node.clock.advance(MINUTE);
    const living = (await node.containers()).filter(({ state }) => state === 'ready');
    expect(living).toMatchObject([{ revisionId }]);
    expect(node.alive()).toHaveLength(1);
  });
});

describe('containers that drain', () => {
  /** One that is replaced every minute, with a stream through each that stays open for longer than all this takes. */
  async function withStreams(minutes: number): Promise<NodeUnderTest> {
    const policy = { idlePauseMs: null, idleStopMs: null, lifetimeMs: MINUTE, drainTimeoutMs: 10 * MINUTE };
    const node = await new NodeUnderTest().boot();
    await node.createApp('hello', { ...policy, maxReplicas: 1 });
    for (let i = 0; i < minutes; i++) {
      void node.visit('hello', 30 * MINUTE);
      await node.clock.advance(MINUTE);
    }
    return node;
  }

  it('are never more than one for their age, and the next is replaced when that one has gone', async () => {
    const node = await withStreams(8);
    expect((await node.states()).toSorted()).toEqual(['draining', 'ready']);
    const [draining] = (await node.containers()).filter(({ state }) => state === 'draining');
    await node.clock.advance(4 * MINUTE);
    expect((await node.states()).toSorted()).toEqual(['draining', 'ready', 'stopped']);
    expect((await node.containers()).find(({ state }) => state === 'stopped')).toMatchObject({
      id: draining?.id,
    });
  });

  it('do not keep a deploy waiting, until there are more of them than the app may have containers', async () => {
    const node = await withStreams(2);
    for (let i = 0; i < 5; i++) {
      await node.deploy('hello');
      void node.visit('hello', 30 * MINUTE);
      await node.clock.advance(SECOND);
    }
    expect((await node.states()).toSorted()).toEqual(['draining', 'draining', 'ready']);
    const latest = await node.deploy('hello');
    await node.clock.advance(11 * MINUTE);
    const [ready] = (await node.containers()).filter(({ state }) => state === 'ready');
    expect(ready).toMatchObject({ revisionId: latest });
  });
});

describe('death', () => {
  it('of one of several is made up for, and nobody else notices', async () => {
    const node = await wide(3, { idlePauseMs: null, idleStopMs: null });
    await node.clock.advance(MINUTE);
    const [victim = ''] = named(node);
    node.engine.crash(victim, 137);
    await settle();
    expect(named(node)).toHaveLength(2);
    expect(await node.visited('hello', 10)).toBe('answered');
    await node.clock.advance(SECOND);
    expect(named(node)).toHaveLength(3);
    expect(named(node)).not.toContain(victim);
  });

  it('of each as soon as it is ready does not become a loop, nor a burden to the others', async () => {
    const node = await wide(2, { idlePauseMs: null, idleStopMs: null });
    node.fault = { exitAfterMs: 500 };
    await node.scale('hello', { replicas: 3 });
    for (let i = 0; i < 120; i++)
      expect(['answered', 'upstream_broken']).toContain(await node.visited('hello', SECOND));
    expect(node.count('started')).toBeLessThan(14);
    expect(named(node).length).toBeGreaterThanOrEqual(2);
  });

  it('of the program leaves all of them to the next one, which neither doubles nor loses any', async () => {
    const node = await wide(3, { idlePauseMs: null, idleStopMs: null });
    const before = node.alive();
    await node.close({ leaveRunning: true });
    await node.boot();
    await node.clock.advance(MINUTE);
    expect(node.alive()).toEqual(before);
    expect(named(node).toSorted()).toEqual(before.toSorted());
    expect(node.count('started')).toBe(3);
    await node.scale('hello', { replicas: 2 });
    await node.clock.advance(MINUTE / 2);
    expect(node.alive()).toHaveLength(2);
  });
});

describe('a policy that allows fewer', () => {
  it('ends those that are too many, whether they serve or sleep', async () => {
    const node = await wide(4);
    await node.change('hello', { maxReplicas: 2 });
    await node.clock.advance(20 * SECOND);
    expect(node.alive()).toHaveLength(2);
    await node.clock.advance(MINUTE);
    expect(await node.visited('hello')).toBe('answered');
    await node.change('hello', { maxReplicas: 1 });
    await node.clock.advance(20 * SECOND);
    expect(node.alive()).toHaveLength(1);
    expect(named(node)).toEqual(node.alive());
  });
});

describe('an engine that answers without a moment’s delay, again and again', () => {
  it('does not keep the process from everything else', async () => {
    const node = await wide(2, { idlePauseMs: 5_000, idleStopMs: null });
    await node.clock.advance(10 * SECOND);
    // It says that it woke them, and at once that they are gone, for ever.
    let woken = 0;
    const { engine } = node;
    node.hooks = {
      unpause: (id) => {
        woken++;
        queueMicrotask(() => engine.crash(id, 1));
        return Promise.resolve();
      },
    };
    node.fault = { startMs: 0, exitAfterMs: 0 };
    await node.scale('hello', { replicas: 2 });
    await node.clock.advance(MINUTE);
    expect(woken).toBeLessThanOrEqual(2);
    expect(node.count('started')).toBeLessThan(30);
  });
});
