/** One app on one node, when several things happen to it at once. */
import { describe, expect, it } from 'vitest';
import { PlatformError } from '../../src/errors.ts';
import { settle } from '../support/fake-clock.ts';
import { NodeUnderTest, type NodeUnderTestOptions } from '../support/node-under-test.ts';

const MINUTE = 60_000;

async function ready(policy = {}, options: NodeUnderTestOptions = {}): Promise<NodeUnderTest> {
  const node = await new NodeUnderTest(options).boot();
  await node.createApp('hello', policy);
  expect(await node.visited('hello')).toBe('answered');
  return node;
}

function current(node: NodeUnderTest): string {
  const [id = ''] = node.alive();
  return id;
}

describe('a suspected container', () => {
  it('that serves is looked at once, however many suspect it, and is named again to all data planes', async () => {
    const node = await ready();
    const { published, looks } = node;
    for (let i = 0; i < 100; i++) node.agent.suspect(current(node));
    await node.clock.advance(10);
    expect(node.looks).toBe(looks + 1);
    expect(node.published).toBe(published + 1);
    expect([...node.endpoints.values()][0]).toMatchObject([{ containerId: current(node) }]);
    expect(await node.states()).toEqual(['ready']);
  });

  it('that is not running any more is recorded so, and the next request starts another', async () => {
    const node = await ready();
    const id = current(node);
    node.machine.find(id)?.stop(0); // nobody is told, as when the engine's event was lost
    node.agent.suspect(id);
    await node.clock.advance(100);
    expect(await node.containers()).toMatchObject([
      { state: 'failed', reason: 'it is not running any more' },
    ]);
    expect(await node.visited('hello')).toBe('answered');
    expect(node.count('started')).toBe(2);
  });

  it('that does not listen any more is replaced, but may finish what it has accepted', async () => {
    const node = await ready({ drainTimeoutMs: MINUTE });
    const id = current(node);
    const long = node.visit('hello', 20_000);
    await settle();
    node.isDeaf = true;
    node.agent.suspect(id);
    await node.clock.advance(2_000);
    node.isDeaf = false;
    const next = node.visited('hello');
    expect(await next).toBe('answered');
    expect(node.alive()).toHaveLength(2);
    await node.clock.advance(30_000);
    expect(await long).toBe('answered');
    expect(node.alive()).not.toContain(id);
    const [failed] = await node.events('container.failed');
    expect(failed).toMatchObject({ containerId: id, reason: 'it does not accept connections any more' });
  });

  it('that runs and lets connections wait is busy: it stays in use, however long it is so now and then', async () => {
    const node = await ready({ idlePauseMs: null, idleStopMs: null });
    const id = current(node);
    for (let burst = 0; burst < 5; burst++) {
      node.isSilent = true;
      node.agent.suspect(id);
      await node.clock.advance(40_000);
      expect([...node.endpoints.values()][0]).toMatchObject([{ containerId: id }]);
      node.isSilent = false;
      await node.clock.advance(40_000);
    }
    expect(await node.visited('hello')).toBe('answered');
    expect(await node.states()).toEqual(['ready']);
    expect(node.count('started')).toBe(1);
  });

  it('that lets all of them wait for a minute hangs, and is replaced, which is no failed start', async () => {
    const node = await ready({ idlePauseMs: null, idleStopMs: null });
    const id = current(node);
    node.isSilent = true;
    node.agent.suspect(id);
    await node.clock.advance(2 * MINUTE);
    node.isSilent = false;
    expect(node.alive()).toEqual([]);
    const [failed] = await node.events('container.failed');
    expect(failed?.reason).toMatch(/^it runs, and has not accepted a connection for 1m$/);
    expect(await node.visited('hello')).toBe('answered');
    expect(await node.events('app.start_backoff')).toEqual([]);
  });

  it('that slept since it let connections wait is not held to have hung all the while', async () => {
    const node = await ready({ idlePauseMs: 4_000, idleStopMs: null });
    node.isSilent = true;
    node.agent.suspect(current(node));
    await node.clock.advance(5 * MINUTE);
    expect(await node.states()).toEqual(['paused']);
    expect(await node.visited('hello')).toBe('answered');
    node.agent.suspect(current(node));
    await node.clock.advance(1_500);
    expect(await node.states()).toEqual(['ready']);
  });

  it('keeps no visitor waiting for ever: whoever asks meanwhile waits for the look', async () => {
    const node = await ready();
    const [{ appId, id } = { appId: '', id: '' }] = await node.containers();
    node.machine.find(id)?.stop(0);
    node.agent.suspect(id);
    const activation = node.agent.activate(appId);
    await node.clock.advance(1_000);
    expect((await activation).kind).toBe('started');
  });
});

describe('a deploy', () => {
  it('during a start calls it off: whoever waits is answered by what was deployed, as soon as that is ready', async () => {
    const node = await new NodeUnderTest().boot();
    await node.createApp('hello');
    node.fault = { listenMs: null };
    const first = node.visit('hello');
    await node.clock.advance(2_000);
    node.fault = {};
    const revisionId = await node.deploy('hello');
    expect(await node.visited('hello')).toBe('answered');
    expect(await first).toBe('answered');
    expect((await node.containers()).map((one) => [one.state, one.revisionId === revisionId])).toEqual([
      ['stopped', false],
      ['ready', true],
    ]);
    expect(await node.events('container.failed')).toEqual([]);
  });

  it('during a replacement calls that off too: what serves goes on until it is replaced by the newest', async () => {
    const node = await ready({ idlePauseMs: null, idleStopMs: null });
    const before = current(node);
    node.fault = { listenMs: 10_000 };
    await node.deploy('hello');
    await node.clock.advance(5_000);
    const revisionId = await node.deploy('hello');
    await node.clock.advance(9_000);
    expect([...node.endpoints.values()][0]).toMatchObject([{ containerId: before }]);
    await node.clock.advance(2_000);
    expect((await node.containers()).filter(({ slot }) => slot === 0)).toMatchObject([
      { revisionId, state: 'ready' },
    ]);
    expect(await node.events('container.ready')).toHaveLength(2);
    expect(await node.events('app.replacement_failed')).toEqual([]);
  });

  it('has no failure held against it of what was started before', async () => {
    const node = await new NodeUnderTest().boot();
    const { engine } = node;
    const gate = Promise.withResolvers<undefined>();
    node.hooks = {
      async *logs(containerId, options) {
        await gate.promise;
        yield* engine.logs(containerId, options);
      },
    };
    node.fault = { startError: 'it does not compile' };
    await node.createApp('hello', { minReplicas: 1 });
    await node.clock.advance(100);
    node.fault = {};
    await node.deploy('hello');
    gate.resolve(undefined);
    await node.clock.advance(500);
    expect(await node.events('app.start_backoff')).toEqual([]);
    expect(await node.visited('hello', 10)).toBe('answered');
  });

  it('does not wait because what ran before dies', async () => {
    const node = await new NodeUnderTest().boot();
    await node.createApp('hello', { minReplicas: 2 });
    await node.clock.advance(1_000);
    const before = node.alive();
    node.fault = { listenMs: 5_000 };
    await node.deploy('hello');
    await settle();
    for (const id of before) node.engine.crash(id, 1);
    await node.clock.advance(100);
    expect(node.alive()).toHaveLength(2);
  });

  it('that is heard of before the plan made on the old revision arrives is not forgotten', async () => {
    const node = await new NodeUnderTest().boot();
    await node.createApp('hello');
    // The container is planned on the old revision; the database is slow to say so.
    const gate = Promise.withResolvers<undefined>();
    const commit = node.store.commit.bind(node.store);
    node.store.commit = async (operations) => {
      const revision = await commit(operations);
      if (operations.some((one) => one.op === 'create' && one.kind === 'container')) await gate.promise;
      return revision;
    };
    const visit = node.visit('hello');
    await node.clock.advance(100);
    const revisionId = await node.deploy('hello');
    await node.clock.advance(100);
    gate.resolve(undefined);
    await node.clock.advance(5_000);
    expect(await visit).toBe('answered');
    expect((await node.containers()).filter(({ state }) => state === 'ready')).toMatchObject([
      { revisionId },
    ]);
    expect(await node.events('container.ready')).toHaveLength(1);
  });

  it('of a fix is tried at once, whatever the failed replacements before', async () => {
    const node = await ready({ idlePauseMs: null, idleStopMs: null });
    node.fault = { startError: 'it does not compile' };
    await node.deploy('hello');
    await node.clock.advance(MINUTE);
    expect((await node.events('app.replacement_failed')).length).toBeGreaterThan(4);
    node.fault = {};
    const revisionId = await node.deploy('hello');
    await node.clock.advance(500);
    expect((await node.containers()).filter(({ slot }) => slot === 0)).toMatchObject([{ revisionId }]);
  });

  it('ends the waiting after failed starts, and the end of that waiting disturbs nobody later', async () => {
    const node = await new NodeUnderTest({ limits: { keepEndedMs: 40_000 } }).boot();
    await node.createApp('hello');
    node.fault = { startError: 'no' };
    const backoffMs = async () => (await node.events('app.start_backoff')).at(-1)?.figures['backoffMs'];
    for (let i = 0; i < 100 && (await backoffMs()) !== 60_000; i++) await node.visited('hello');
    expect(await node.visited('hello')).toBe('start_backoff');
    node.fault = {};
    await node.deploy('hello');
    await node.clock.advance(45_000);
    expect(node.agent.apps).toBe(0); // the last remains are gone, and with them all that is known here of the app
    expect(await node.visited('hello')).toBe('answered');
    const id = current(node);
    await node.clock.advance(2 * MINUTE); // the end of the old waiting
    expect(await node.visited('hello')).toBe('answered');
    expect(node.alive()).toEqual([id]);
  });
});

describe('a failed replacement', () => {
  it('because the database was away is made up for when it is back', async () => {
    const node = await ready({ idlePauseMs: null, idleStopMs: null, lifetimeMs: MINUTE });
    node.storeIsAway = true;
    await node.clock.advance(5 * MINUTE);
    node.storeIsAway = false;
    const old = current(node);
    await node.clock.advance(MINUTE);
    expect(node.alive()).toHaveLength(1);
    expect(node.alive()).not.toContain(old);
    expect(await node.visited('hello')).toBe('answered');
  });

  it('that nothing can be said against (its node’s record is gone) is not tried again and again at once', async () => {
    const node = await ready({ idlePauseMs: null, idleStopMs: null });
    await node.store.commit([{ op: 'delete', kind: 'node', id: 'node_test' }]);
    await node.deploy('hello');
    await node.clock.advance(MINUTE);
    const failed = await node.events('app.replacement_failed');
    expect(failed[0]?.reason).toContain('node node_test is not registered');
    expect(failed.length).toBeLessThan(12);
    expect(await node.visited('hello')).toBe('answered');
  });
});

describe('a deletion', () => {
  const gone = async (node: NodeUnderTest) => {
    await node.clock.advance(2 * MINUTE);
    expect(node.machine.list()).toEqual([]);
    expect(await node.containers()).toEqual([]);
    expect((await node.store.list('node'))[0]?.reserved).toEqual({ cpu: 0, memoryBytes: 0 });
    expect(node.agent.apps).toBe(0);
    expect(node.clock.pending).toBe(0);
  };

  it('during a start ends it, and the visitor is told that there is no such host', async () => {
    const node = await new NodeUnderTest().boot();
    await node.createApp('hello');
    node.fault = { startMs: 5_000 };
    const visit = node.visit('hello');
    await node.clock.advance(100);
    await node.deleteApp('hello');
    await node.clock.advance(100);
    expect(await visit).toBe('unknown_host');
    await gone(node);
  });

  it('during a pause ends the container that is just being paused', async () => {
    const node = await ready({ idlePauseMs: 5_000 });
    const paused = Promise.withResolvers<undefined>();
    const { engine } = node;
    node.hooks = {
      pause: async (id) => {
        await paused.promise;
        await engine.pause(id).catch(() => undefined);
      },
    };
    await node.clock.advance(10_000);
    await node.deleteApp('hello');
    await node.clock.advance(1);
    paused.resolve(undefined);
    await gone(node);
  });

  it('during a wake-up leaves nobody waiting', async () => {
    const node = await ready({ idlePauseMs: 5_000 });
    await node.clock.advance(10_000);
    const woken = Promise.withResolvers<undefined>();
    node.hooks = { unpause: () => woken.promise };
    const visit = node.visit('hello');
    await node.clock.advance(10);
    await node.deleteApp('hello');
    await node.clock.advance(10);
    woken.resolve(undefined);
    await node.clock.advance(1_000);
    expect(await visit).toBe('unknown_host');
    await gone(node);
  });

  it('during a drain lets the open request finish', async () => {
    const node = await ready({ drainTimeoutMs: MINUTE, idlePauseMs: null, idleStopMs: null });
    const long = node.visit('hello', 20_000);
    await settle();
    await node.deploy('hello');
    await node.clock.advance(1_000);
    expect(await node.states()).toEqual(['draining', 'ready']);
    await node.deleteApp('hello');
    await node.clock.advance(10_000);
    expect(await node.visited('hello')).toBe('unknown_host');
    await node.clock.advance(20_000);
    expect(await long).toBe('answered');
    await gone(node);
  });
});

describe('a container that exits', () => {
  it('between its start and its first accepted connection fails that start, with its exit code, at once', async () => {
    const node = await new NodeUnderTest().boot();
    await node.createApp('hello', { startTimeoutMs: 30_000 });
    node.fault = { listenMs: 5_000, exitAfterMs: 100, exitCode: 7 };
    const visit = node.visit('hello');
    await node.clock.advance(160);
    node.fault = {};
    await node.clock.advance(1_000);
    expect(await visit).toBe('answered');
    expect((await node.events('container.failed')).map(({ reason }) => reason)).toEqual([
      'it exited with code 7 before it listened',
    ]);
  });

  it('while its node is adopting it is not taken for one that serves', async () => {
    const node = await ready();
    const id = current(node);
    await node.close({ leaveRunning: true });
    const { machine } = node;
    // It dies after the engine listed it and before anybody is responsible for it.
    const get = node.store.get.bind(node.store);
    node.store.get = async (kind, recordId) => {
      if (kind === 'revision') machine.find(id)?.crash(9);
      return get(kind, recordId);
    };
    await node.boot();
    node.store.get = get;
    await node.clock.advance(10);
    expect(await node.containers()).toMatchObject([{ id, state: 'failed', reason: 'it exited with code 9' }]);
  });
});

describe('a policy change', () => {
  it('of the concurrency limit reaches the data planes at once', async () => {
    const node = await ready({ concurrency: { target: 1, limit: 10 } });
    await node.change('hello', { concurrency: { target: 1, limit: 2 } });
    await node.clock.advance(10);
    expect([...node.endpoints.values()][0]).toMatchObject([{ concurrencyLimit: 2 }]);
  });

  it('of the idle times takes effect on the running container', async () => {
    const node = await ready({ idlePauseMs: null, idleStopMs: null });
    await node.clock.advance(MINUTE);
    await node.change('hello', { idlePauseMs: 1_000 });
    await node.clock.advance(1_000);
    expect(await node.states()).toEqual(['paused']);
  });
});

describe('on a full node', () => {
  const capacity = { cpu: 0.5, memoryBytes: 2 ** 30 };

  it('a request that comes while the app’s container is being stopped waits for its room and is served', async () => {
    const node = await ready({ idlePauseMs: 5_000, idleStopMs: 10_000 }, { capacity });
    const slowly = node.engine.stop.bind(node.engine);
    const stopping = Promise.withResolvers<undefined>();
    node.hooks = {
      stop: async (...args) => {
        await stopping.promise;
        await slowly(...args);
      },
    };
    await node.clock.advance(15_000);
    expect(await node.states()).toEqual(['draining']);
    const visit = node.visit('hello');
    await node.clock.advance(1_000);
    stopping.resolve(undefined);
    await node.clock.advance(1_000);
    expect(await visit).toBe('answered');
    expect(await node.events('placement.refused')).toEqual([]);
  });

  it('a redeployed sleeper makes room for its own successor when it is visited', async () => {
    const node = await ready({ idlePauseMs: 5_000, idleStopMs: MINUTE }, { capacity });
    await node.clock.advance(10_000);
    const revisionId = await node.deploy('hello');
    await settle(); // it is known here, but nothing has come of it yet
    expect(await node.visited('hello')).toBe('answered');
    expect((await node.containers()).filter(({ state }) => state === 'ready')).toMatchObject([
      { revisionId },
    ]);
  });

  it('nobody waits longer than some seconds for room that does not come', async () => {
    const node = await ready(
      { drainTimeoutMs: 10 * MINUTE, idlePauseMs: null, idleStopMs: null },
      { capacity },
    );
    await node.createApp('other');
    void node.visit('hello', 9 * MINUTE);
    await settle();
    await node.deleteApp('hello');
    await node.clock.advance(100);
    const activation = node.agent
      .activate((await node.store.list('app'))[0]?.id ?? '')
      .catch((thrown: unknown) => thrown);
    await node.clock.advance(20_000);
    expect(await activation).toBeInstanceOf(PlatformError);
    expect(await activation).toMatchObject({ code: 'no_capacity' });
    expect(await node.events('placement.refused')).toMatchObject([{ figures: { staying: 1 } }]);
  });

  /** Apps of these names, each of which has been visited and sleeps. */
  async function asleep(names: readonly string[], policy = {}): Promise<NodeUnderTest> {
    const room = { cpu: 0.5 * names.length, memoryBytes: 2 ** 30 * names.length };
    const node = await new NodeUnderTest({ capacity: room }).boot();
    for (const name of names) {
      await node.createApp(name, { idlePauseMs: 5_000, idleStopMs: null, ...policy });
      expect(await node.visited(name)).toBe('answered');
      await node.clock.advance(10_000);
    }
    return node;
  }

  it('a visitor each of as many other apps as sleep are all served at once', async () => {
    const sleepers = Array.from({ length: 8 }, (_, index) => `old-${index}`);
    const node = await asleep(sleepers);
    const visited = sleepers.map((_, index) => `new-${index}`);
    for (const name of visited) await node.createApp(name);
    const visits = Promise.all(visited.map((name) => node.visit(name)));
    await node.clock.advance(1_000);
    expect(new Set(await visits)).toEqual(new Set(['answered']));
    expect(await node.events('placement.refused')).toEqual([]);
  });

  it('a sleeper that is being woken stays, and others make room instead', async () => {
    const node = await asleep(['first', 'second', 'third']);
    await node.createApp('other');
    const { promise: unpaused, resolve: unpause } = Promise.withResolvers<undefined>();
    const unpauseNow = node.engine.unpause.bind(node.engine);
    node.hooks = {
      unpause: async (id) => {
        await unpaused;
        await unpauseNow(id);
      },
    };
    const woken = node.visit('first');
    await node.clock.advance(100);
    expect(await node.visited('other')).toBe('answered');
    unpause(undefined);
    await node.clock.advance(100);
    expect(await woken).toBe('answered');
    expect(node.count('started')).toBe(4);
  });
});
