/** How often visitors may wake an app. */
import { describe, expect, it } from 'vitest';
import { WakeLimits } from '../../src/compute/wake-limits.ts';
import { DEFAULT_WAKE } from '../../src/coreapi/schema-wake.ts';
import { PlatformError } from '../../src/errors.ts';
import { settle } from '../support/fake-clock.ts';
import { NodeUnderTest } from '../support/node-under-test.ts';

const SECOND = 1_000;
const limited = (perMinute: number | null) => ({ ...DEFAULT_WAKE, perMinute });

describe('a limit of six wakes a minute', () => {
  const woken = (times: number, nowMs: number, limits = new WakeLimits()) => {
    for (let i = 0; i < times; i++) limits.woken('a', 6, nowMs);
    return limits;
  };

  it('allows six at once, and from then on one every ten seconds', () => {
    const limits = woken(5, 0);
    expect(limits.notBeforeMs('a')).toBeLessThanOrEqual(0);
    woken(1, 0, limits);
    expect(limits.notBeforeMs('a')).toBe(10 * SECOND);
    woken(1, 10 * SECOND, limits);
    expect(limits.notBeforeMs('a')).toBe(20 * SECOND);
  });

  it('is of one app, and is earned back in a minute', () => {
    const limits = woken(6, 0);
    expect(limits.notBeforeMs('b')).toBe(0);
    woken(5, 60 * SECOND, limits);
    expect(limits.notBeforeMs('a')).toBeLessThanOrEqual(60 * SECOND);
  });

  it('ends with the policy that says it', () => {
    const limits = woken(6, 0);
    limits.forget('a');
    expect(limits.notBeforeMs('a')).toBe(0);
  });
});

describe('an app that may be woken once a minute', () => {
  /** It is stopped, or paused, after a second. */
  async function sleepy(policy: object): Promise<NodeUnderTest> {
    const node = await new NodeUnderTest().boot();
    await node.createApp('hello', { wake: limited(1), idlePauseMs: null, idleStopMs: SECOND, ...policy });
    return node;
  }

  it.each([
    ['stopped', {}],
    ['paused', { idlePauseMs: SECOND, idleStopMs: 600 * SECOND }],
  ])(
    'and is %s is not woken a second time before that, and its visitors are told when',
    async (_, policy) => {
      const node = await sleepy(policy);
      expect(await node.visited('hello')).toBe('answered'); // started: that was the first
      await node.clock.advance(3 * SECOND);
      const began = node.machine.history.length;
      expect(await node.visited('hello')).toBe('wake_limit');
      const [appId = ''] = (await node.store.list('app')).map(({ id }) => id);
      const refusal = await node.agent.activate(appId).catch((thrown: unknown) => PlatformError.from(thrown));
      expect(refusal).toMatchObject({ code: 'wake_limit', status: 503 });
      const { retryAfterMs = 0 } = refusal as PlatformError;
      expect(node.machine.history).toHaveLength(began);
      await node.clock.advance(retryAfterMs);
      expect(await node.visited('hello')).toBe('answered');
    },
  );

  it('serves any number of visitors that come together, or while it is awake', async () => {
    const node = await sleepy({});
    const visits = Array.from({ length: 10 }, () => node.visit('hello'));
    await node.clock.advance(SECOND);
    expect(new Set(await Promise.all(visits))).toEqual(new Set(['answered']));
    expect(await node.visited('hello', 10)).toBe('answered');
  });

  it('is started as often as its policy keeps it ready', async () => {
    const node = await sleepy({ minReplicas: 1 });
    for (let death = 0; death < 3; death++) {
      await node.clock.advance(20 * SECOND); // one that lives so long has not failed to start
      node.machine.find(node.alive()[0] ?? '')?.stop(0);
      node.agent.suspect((await node.containers()).find(({ state }) => state === 'ready')?.id ?? '');
      expect(await node.visited('hello', 5 * SECOND)).toBe('answered');
    }
  });

  it('may be woken again at once when its policy says so', async () => {
    const node = await sleepy({});
    await node.visited('hello');
    await node.clock.advance(3 * SECOND);
    await node.change('hello', { wake: limited(null) });
    await settle();
    expect(await node.visited('hello')).toBe('answered');
  });
});
