/** Apps that need others: in which order they wake, and who is kept awake by whom. */
import { describe, expect, it } from 'vitest';
import { DEFAULT_WAKE } from '../../src/coreapi/schema-wake.ts';
import { settle } from '../support/fake-clock.ts';
import { NodeUnderTest } from '../support/node-under-test.ts';

const IDLE = { idlePauseMs: 10_000, idleStopMs: 60_000 };

/** `shop` needs `api` and then `mail`; `api` needs `db`. */
async function group(): Promise<NodeUnderTest> {
  const node = await new NodeUnderTest().boot();
  await node.createApp('db', IDLE);
  await node.createApp('mail', IDLE);
  await node.createApp('api', IDLE, ['db']);
  await node.createApp('shop', IDLE, ['api', 'mail']);
  return node;
}

/** What happened on the machine, in order: `started db`. */
async function history(node: NodeUnderTest): Promise<string[]> {
  const apps = new Map((await node.store.list('app')).map(({ id, name }) => [id, name]));
  return node.machine.history.map(({ what, appId }) => `${what} ${apps.get(appId) ?? '?'}`);
}

async function states(node: NodeUnderTest): Promise<Record<string, string>> {
  const apps = new Map((await node.store.list('app')).map(({ id, name }) => [id, name]));
  const living = (await node.containers()).filter(({ state }) => state !== 'stopped' && state !== 'failed');
  return Object.fromEntries(living.map(({ appId, state }) => [apps.get(appId) ?? '?', state]));
}

describe('a request for an app that needs others', () => {
  it('starts what these need first, one after the other, each ready before the next, and then the app', async () => {
    const node = await group();
    const visit = node.visit('shop');
    await node.clock.advance(59);
    expect(await history(node)).toEqual(['started db']);
    await node.clock.advance(1_000);
    expect(await visit).toBe('answered');
    expect(await history(node)).toEqual(['started db', 'started api', 'started mail', 'started shop']);
    const [started] = (await node.events('container.ready')).slice(-1);
    expect(started?.figures['needs']).toBeGreaterThanOrEqual(180);
    await node.close();
  });

  it('starts what several need once, also when they are asked for at the same moment', async () => {
    const node = await group();
    await node.createApp('blog', IDLE, ['db', 'mail']);
    const visits = Promise.all(['shop', 'blog', 'api', 'db', 'shop'].map((name) => node.visit(name)));
    await node.clock.advance(2_000);
    expect(new Set(await visits)).toEqual(new Set(['answered']));
    expect(node.count('started')).toBe(5);
    await node.close();
  });

  it('wakes sleepers in the same order', async () => {
    const node = await group();
    await node.visited('shop');
    await node.clock.advance(60_000);
    await node.clock.advance(0);
    const before = node.machine.history.length;
    expect(await states(node)).toMatchObject({ db: 'paused' });
    expect(await node.visited('api')).toBe('answered');
    expect((await history(node)).slice(before)).toEqual(['unpaused db', 'unpaused api']);
    await node.close();
  });

  it('wakes them however often visitors may wake them by themselves', async () => {
    const node = await new NodeUnderTest().boot();
    const wake = { ...DEFAULT_WAKE, perMinute: 1 };
    await node.createApp('db', { idlePauseMs: 1_000, idleStopMs: 2_000, wake });
    await node.createApp('shop', { idlePauseMs: 1_000, idleStopMs: 2_000 }, ['db']);
    expect(await node.visited('db')).toBe('answered');
    await node.clock.advance(3_000);
    expect(await node.visited('db')).toBe('wake_limit');
    for (let times = 0; times < 3; times++) {
      expect(await node.visited('shop')).toBe('answered');
      await node.clock.advance(6_000);
      expect(await states(node)).toEqual({});
    }
    await node.close();
  });

  it('fails with the name of the need that failed and why, starts nothing that comes after it, and tries again later', async () => {
    const node = await group();
    node.fault = { startError: 'no such disk' };
    const visit = node.visited('shop', 2_000);
    expect(await visit).toBe('need_failed');
    expect(new Set(await history(node))).toEqual(new Set(['start_failed db']));
    const told = (await node.events('app.need_failed')).map(({ reason }) => reason);
    expect(told[0]).toContain('app api needs db, which is not ready: the app could not be started');
    expect(told[1]).toContain('app shop needs api');
    expect((await node.events('container.failed'))[0]?.reason).toContain('no such disk');
    node.fault = {};
    await node.clock.advance(60_000);
    expect(await node.visited('shop')).toBe('answered');
    await node.close();
  });
});

describe('what an app needs', () => {
  it('does not sleep while the app has a request, however long that takes', async () => {
    const node = await group();
    const long = node.visit('shop', 600_000);
    await node.clock.advance(300_000);
    expect(await states(node)).toEqual({ db: 'ready', mail: 'ready', api: 'ready', shop: 'ready' });
    await node.clock.advance(302_000);
    expect(await long).toBe('answered');
    await node.close();
  });

  it('gives back what a crowd left, although the app never sleeps', async () => {
    const node = await new NodeUnderTest().boot();
    await node.createApp('db', IDLE);
    await node.createApp('shop', { minReplicas: 1 }, ['db']);
    await node.clock.advance(1_000);
    await node.scale('db', { replicas: 3 });
    await node.clock.advance(1_000);
    expect(await node.states()).toEqual(['ready', 'ready', 'ready', 'ready']);
    await node.clock.advance(600_000);
    expect(await states(node)).toEqual({ db: 'ready', shop: 'ready' });
    expect(node.alive()).toHaveLength(2);
    expect(await node.visited('db')).toBe('answered');
    await node.close();
  });

  it('falls asleep after its own idle time, which begins when the app sleeps', async () => {
    const node = await group();
    await node.visited('shop');
    await node.clock.advance(9_500);
    expect(await states(node)).toEqual({ db: 'ready', mail: 'ready', api: 'ready', shop: 'paused' });
    await node.clock.advance(9_000);
    expect(await states(node)).toMatchObject({ api: 'ready', mail: 'ready' });
    await node.clock.advance(1_500);
    expect(await states(node)).toMatchObject({ db: 'ready', mail: 'paused', api: 'paused' });
    await node.clock.advance(10_500);
    expect(await states(node)).toMatchObject({ db: 'paused' });
    await node.clock.advance(60_000);
    expect(await states(node)).toEqual({});
    await node.clock.advance(600_000);
    expect(node.agent.apps).toBe(0);
    await node.close();
  });

  it('is started again when it dies while the app is awake', async () => {
    const node = await group();
    node.fault = { exitAfterMs: 20_000 };
    await node.visited('db');
    node.fault = {};
    const long = node.visit('shop', 100_000);
    await node.clock.advance(25_000);
    expect(await history(node)).toContain('exited db');
    expect(await states(node)).toMatchObject({ db: 'ready', shop: 'ready' });
    await node.clock.advance(100_000);
    expect(await long).toBe('answered');
    await node.close();
  });

  it('is kept by the next program too, which finds the app awake', async () => {
    const node = await group();
    expect(await node.visited('shop')).toBe('answered');
    await node.close({ leaveRunning: true });
    const mail = (await node.store.list('app')).find(({ name }) => name === 'mail');
    const died = (await node.containers()).find(({ appId }) => appId === mail?.id);
    node.machine.find(died?.id ?? '')?.stop(0);
    await node.boot();
    await node.clock.advance(5_000);
    expect(await states(node)).toEqual({ db: 'ready', mail: 'ready', api: 'ready', shop: 'ready' });
    await node.close();
  });

  it('is started when it becomes a need of an app that is awake, and may sleep when it is one no more', async () => {
    const node = await group();
    await node.createApp('cache', IDLE);
    const long = node.visit('shop', 100_000);
    await node.clock.advance(1_000);
    await node.changeNeeds('shop', ['cache']);
    await node.clock.advance(30_000);
    expect(await states(node)).toEqual({
      db: 'paused',
      mail: 'paused',
      api: 'paused',
      shop: 'ready',
      cache: 'ready',
    });
    await node.clock.advance(100_000);
    expect(await long).toBe('answered');
    await node.close();
  });

  it('may be turned round while it is being woken: nobody waits for himself for ever', async () => {
    const node = await new NodeUnderTest().boot();
    await node.createApp('left', IDLE);
    await node.createApp('right', IDLE, ['left']);
    node.fault = { startMs: 1_000, startError: 'not yet' };
    const visit = node.visit('right');
    await node.clock.advance(500);
    await node.changeNeeds('right', []);
    await node.changeNeeds('left', ['right']);
    await settle();
    node.fault = {};
    // The next attempt to start `left` would wait for `right`, which waits for it.
    await node.clock.advance(2_000);
    expect(await visit).toBe('need_failed');
    expect(await node.visited('left')).toBe('answered');
    await node.close();
  });
});
