import { describe, expect, it } from 'vitest';
import { World } from './world.ts';

const MINUTE = 60_000;

async function world(capacity?: { cpu: number; memoryBytes: number }): Promise<World> {
  return new World(capacity).boot();
}

/** What the app's containers went through, as its owner reads it. */
async function story(one: World): Promise<string[]> {
  return (await one.events())
    .filter(({ type }) => type.startsWith('container.'))
    .map(({ type }) => type.slice(10));
}

describe('an app that nobody visits', () => {
  it('has no container, and a request to it starts exactly one, however many come at once', async () => {
    const one = await world();
    const app = await one.createApp({ name: 'hello' });
    await one.advance(MINUTE);
    expect(one.machine.history).toEqual([]);

    const visits = Array.from({ length: 300 }, () => one.visit('hello.test'));
    await one.advance(MINUTE / 2);
    expect(new Set(await Promise.all(visits))).toEqual(new Set(['answered']));
    expect(one.count('started', app.id)).toBe(1);
    expect(one.violations).toEqual([]);
  });

  it('starts one container also when the first attempt fails, and all visitors get its answer', async () => {
    const one = await world();
    // A crowd that waits so long is one that load would answer.
    const app = await one.createApp({ name: 'hello', policy: { maxReplicas: 1 } });
    one.faults.set(app.id, { startError: 'the disk is full' });
    const visits = Array.from({ length: 300 }, () => one.visit('hello.test'));
    await one.advance(60);
    one.faults.delete(app.id);
    await one.advance(MINUTE / 2);
    expect(new Set(await Promise.all(visits))).toEqual(new Set(['answered']));
    expect(one.count('start_failed', app.id)).toBe(1);
    expect(one.count('started', app.id)).toBe(1);
  });

  it('is not started by a request for a host that nobody has', async () => {
    const one = await world();
    await one.createApp({ name: 'hello' });
    expect(await one.visit('elsewhere.test')).toBe('unknown_host');
    expect(one.machine.history).toEqual([]);
  });
});

describe('silence', () => {
  it('pauses, then stops, then forgets, each with its reason', async () => {
    const one = await world();
    await one.createApp({ name: 'hello', policy: { idlePauseMs: 30_000, idleStopMs: 300_000 } });
    const visit = one.visit('hello.test');
    await one.advance(1_000);
    expect(await visit).toBe('answered');
    await one.advance(MINUTE);
    expect(await one.containers()).toMatchObject([{ state: 'paused', reason: 'no activity for 30s' }]);
    await one.advance(5 * MINUTE);
    expect(await one.containers()).toMatchObject([{ state: 'stopped', reason: 'no activity for 5m' }]);
    await one.advance(11 * MINUTE);
    expect(await one.containers()).toEqual([]);
    expect(one.machine.list()).toEqual([]);
    expect(await story(one)).toEqual(['planned', 'starting', 'ready', 'paused', 'draining', 'stopped']);
    expect(one.agent.apps).toBe(0);
  });

  it('ends with the next request, which wakes the same container', async () => {
    const one = await world();
    const app = await one.createApp({ name: 'hello' });
    const first = one.visit('hello.test');
    await one.advance(MINUTE);
    const second = one.visit('hello.test');
    await one.advance(1_000);
    expect([await first, await second]).toEqual(['answered', 'answered']);
    expect(one.count('started', app.id)).toBe(1);
    expect(one.count('unpaused', app.id)).toBe(1);
  });

  it('is not what a long request is: an open stream keeps its container awake', async () => {
    const one = await world();
    await one.createApp({ name: 'hello', policy: { idlePauseMs: 1_000, idleStopMs: 2_000 } });
    const stream = one.visit('hello.test', 10 * MINUTE);
    await one.advance(9 * MINUTE);
    expect(one.count('paused')).toBe(0);
    await one.advance(2 * MINUTE);
    expect(await stream).toBe('answered');
    expect(await one.containers()).toMatchObject([{ state: 'stopped' }]);
    expect(one.violations).toEqual([]);
  });

  it('never fails the request that comes just when it ends', async () => {
    const one = await world();
    await one.createApp({ name: 'hello', policy: { idlePauseMs: 100, idleStopMs: 250 } });
    for (let gapMs = 90; gapMs < 420; gapMs += 3) {
      const visit = one.visit('hello.test', 1);
      await one.advance(gapMs);
      if (gapMs > 200) expect(await visit).toBe('answered');
    }
    await one.advance(MINUTE);
    expect(new Set(one.outcomes)).toEqual(new Set(['answered']));
    expect(one.violations).toEqual([]);
  });
});

describe('age', () => {
  it('replaces a container that serves, its successor first, and fails no request', async () => {
    const one = await world();
    const app = await one.createApp({
      name: 'hello',
      policy: { lifetimeMs: 10 * MINUTE, idlePauseMs: null, idleStopMs: null },
    });
    for (let i = 0; i < 200; i++) {
      void one.visit('hello.test', 9_000);
      await one.advance(6_000);
    }
    await one.advance(MINUTE);
    expect(new Set(one.outcomes)).toEqual(new Set(['answered']));
    expect(one.count('started', app.id)).toBe(3);
    const events = await one.events();
    expect(events.filter(({ reason }) => reason === 'it has reached its lifetime').length).toBeGreaterThan(0);
    expect(one.violations).toEqual([]);
  });

  it('leaves the old container serving when its successor does not start, and says so', async () => {
    const one = await world();
    const app = await one.createApp({ name: 'hello', policy: { idlePauseMs: null, idleStopMs: null } });
    void one.visit('hello.test');
    await one.advance(1_000);
    one.faults.set(app.id, { startError: 'it does not compile' });
    await one.deploy('hello');
    for (let i = 0; i < 50; i++) {
      void one.visit('hello.test');
      await one.advance(1_000);
    }
    expect(new Set(one.outcomes)).toEqual(new Set(['answered']));
    const failed = (await one.events()).filter(({ type }) => type === 'app.replacement_failed');
    expect(failed.length).toBeGreaterThan(2);
    expect(failed.length).toBeLessThan(10);
    expect(failed[0]?.reason).toContain('it does not compile');
  });

  it('is over at once for a sleeper when a new revision is deployed', async () => {
    const one = await world();
    const app = await one.createApp({ name: 'hello' });
    void one.visit('hello.test');
    await one.advance(MINUTE);
    await one.deploy('hello');
    await one.advance(1_000);
    expect(one.machine.list().every((container) => container.exit)).toBe(true);
    void one.visit('hello.test');
    await one.advance(1_000);
    expect(one.count('started', app.id)).toBe(2);
    expect(new Set(one.outcomes)).toEqual(new Set(['answered']));
  });
});

describe('death', () => {
  it('while idle is unnoticed by the next visitor', async () => {
    const one = await world();
    const app = await one.createApp({ name: 'hello' });
    void one.visit('hello.test');
    await one.advance(20_000);
    const [container] = one.machine.list();
    one.engine.crash(container?.spec.containerId ?? '', 137);
    await one.advance(100);
    expect((await one.containers()).map(({ state, reason }) => ({ state, reason }))).toEqual([
      { state: 'failed', reason: 'it exited with code 137' },
    ]);
    void one.visit('hello.test');
    await one.advance(1_000);
    expect(one.outcomes).toEqual(['answered', 'answered']);
    expect(one.count('started', app.id)).toBe(2);
  });

  it('of an app that fails again and again is answered with backoff, and its owner reads its last words', async () => {
    const one = await world();
    const app = await one.createApp({ name: 'hello' });
    one.faults.set(app.id, {
      exitAfterMs: 5,
      exitCode: 3,
      listenMs: null,
      prints: [{ stream: 'stderr', text: 'no DATABASE_URL' }],
    });
    for (let i = 0; i < 120; i++) {
      void one.visit('hello.test');
      await one.advance(1_000);
    }
    expect(new Set(one.outcomes)).toEqual(new Set(['start_failed', 'start_backoff']));
    expect(one.count('started', app.id)).toBeLessThan(12);
    const failed = (await one.events()).find(({ type }) => type === 'container.failed');
    expect(failed).toMatchObject({
      reason: 'it exited with code 3 before it listened',
      figures: { lastLines: 'no DATABASE_URL' },
    });

    // A deploy is tried at once.
    one.faults.delete(app.id);
    await one.deploy('hello');
    await one.advance(1); // its node hears of it
    const visit = one.visit('hello.test');
    await one.advance(1_000);
    expect(await visit).toBe('answered');
  });

  it('as soon as it is ready, again and again, is a failure to start as well', async () => {
    const one = await world();
    const app = await one.createApp({ name: 'hello' });
    one.faults.set(app.id, { exitAfterMs: 500 });
    for (let i = 0; i < 100; i++) {
      void one.visit('hello.test', 1);
      await one.advance(1_000);
    }
    expect(one.count('started', app.id)).toBeLessThan(15);
    expect(one.outcomes).toContain('start_backoff');
  });
});

describe('a full node', () => {
  it('stops who sleeps longest to make room for who is visited, and says so', async () => {
    const one = await world({ cpu: 1, memoryBytes: 2 ** 30 });
    for (const name of ['a', 'b', 'c']) await one.createApp({ name });
    for (const name of ['a', 'b']) {
      void one.visit(`${name}.test`);
      await one.advance(MINUTE);
    }
    void one.visit('c.test');
    await one.advance(2_000);
    expect(new Set(one.outcomes)).toEqual(new Set(['answered']));
    const stopped = (await one.events()).find(({ type }) => type === 'container.draining');
    expect(stopped?.reason).toContain('room on node sim for app c');
    expect((await one.containers()).filter(({ state }) => state === 'paused').length).toBe(1);
  });

  it('refuses the one that is too many while all others serve, with the figures', async () => {
    const one = await world({ cpu: 1, memoryBytes: 2 ** 30 });
    for (const name of ['a', 'b', 'c']) await one.createApp({ name });
    for (const name of ['a', 'b']) void one.visit(`${name}.test`, MINUTE);
    await one.advance(1_000);
    expect(await one.visit('c.test')).toBe('no_capacity');
    const refused = (await one.events()).find(({ type }) => type === 'placement.refused');
    expect(refused?.figures).toMatchObject({ wantedCpu: 0.5, reservedCpu: 1, capacityCpu: 1 });
    await one.advance(2 * MINUTE);
    expect(one.outcomes.filter((outcome) => outcome === 'answered').length).toBe(2);
  });
});

describe('kill -9 of the program', () => {
  it('leaves its containers serving for the next one, ends what was starting, and removes strays', async () => {
    const one = await world();
    const names = Array.from({ length: 10 }, (_, index) => `app-${index}`);
    for (const name of names) await one.createApp({ name });
    for (const name of names) void one.visit(`${name}.test`);
    await one.advance(1_000);
    const slow = await one.createApp({ name: 'slow' });
    one.faults.set(slow.id, { listenMs: 5_000 });
    void one.visit('slow.test');
    await one.advance(500);
    const startedBefore = one.count('started');

    await one.killAndReboot();
    await one.advance(100);
    expect((await one.containers()).map(({ state }) => state)).toEqual(names.map(() => 'ready'));
    expect(one.machine.list().length).toBe(names.length);
    for (const name of names) void one.visit(`${name}.test`);
    await one.advance(100);
    expect(one.outcomes.filter((outcome) => outcome === 'answered').length).toBe(2 * names.length);
    expect(one.count('started')).toBe(startedBefore);
  });
});

describe('the end', () => {
  it('of an app takes its containers with it, the open request finished first', async () => {
    const one = await world();
    await one.createApp({ name: 'hello' });
    const long = one.visit('hello.test', 5_000);
    await one.advance(1_000);
    await one.deleteApp('hello');
    await one.advance(100);
    expect(await one.visit('hello.test')).toBe('unknown_host');
    await one.advance(MINUTE);
    expect(await long).toBe('answered');
    expect(one.machine.list()).toEqual([]);
    expect(await one.containers()).toEqual([]);
    expect(one.agent.apps).toBe(0);
  });

  it('of the program stops and removes everything and leaves no timer', async () => {
    const one = await world();
    for (const name of ['a', 'b']) {
      await one.createApp({ name });
      void one.visit(`${name}.test`);
    }
    await one.advance(MINUTE);
    void one.visit('a.test');
    await one.advance(100);
    await one.shutDown();
    expect(one.machine.list()).toEqual([]);
    expect((await one.store.list('node'))[0]?.reserved).toEqual({ cpu: 0, memoryBytes: 0 });
    expect(one.clock.pending).toBe(0);
  });
});
