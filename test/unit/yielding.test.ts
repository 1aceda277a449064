/** Who uses up its CPU lets others go first, for as long as it is given all of it nonetheless. */
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { PlatformError } from '../../src/errors.ts';
import { NodeUnderTest } from '../support/node-under-test.ts';
import { policy } from '../support/records.ts';

const LIMITS = { stopGraceMs: 1_000, keepEndedMs: 1_000, cores: 4 };
const AWAKE = { idlePauseMs: null, idleStopMs: null, scaling: { ...policy().scaling, mode: 'off' as const } };
const SECOND = 1_000;

let node: NodeUnderTest;
/** Of its scheduling periods from now on, those in which it uses up its CPU. */
let usedUp: number;

beforeEach(async () => {
  usedUp = 0;
  node = await new NodeUnderTest({ limits: LIMITS }).boot();
  await node.createApp('busy', AWAKE);
  const { clock } = node;
  let [periods, throttledPeriods, lookedAtMs] = [0, 0, clock.nowMs()];
  node.hooks = {
    stats: async (id) => {
      const passed = (clock.nowMs() - lookedAtMs) / 100;
      lookedAtMs = clock.nowMs();
      periods += passed;
      throttledPeriods += passed * usedUp;
      return { ...(await node.engine.stats(id)), periods, throttledPeriods };
    },
  };
});

afterEach(async () => {
  await node.close();
});

const yields = () => node.machine.list().map((container) => container.yields);

/** A visitor every 100 ms, each answered. */
async function visited(forMs: number): Promise<void> {
  for (let ms = 0; ms < forMs; ms += 100) {
    const visit = node.visit('busy', 10);
    await node.clock.advance(100);
    expect(await visit).toBe('answered');
  }
}

describe('a container that uses up its CPU', () => {
  it('yields after a while, and no longer when it has enough', async () => {
    usedUp = 1;
    await visited(300);
    expect(yields()).toEqual([false]);
    await visited(SECOND);
    expect(yields()).toEqual([true]);
    await visited(8 * SECOND);
    expect(yields()).toEqual([true]);
    usedUp = 0.2;
    await visited(SECOND);
    expect(yields()).toEqual([false]);
    usedUp = 1;
    await visited(3 * SECOND);
    expect(yields()).toEqual([false]);
    await visited(3 * SECOND);
    expect(yields()).toEqual([true]);
  });

  it('does not yield for a burst', async () => {
    for (const burst of [1, 0, 0, 0, 1, 0, 0, 0]) {
      usedUp = burst;
      await visited(200);
      expect(yields()).toEqual([false]);
    }
  });

  it('yields no more once nobody asks for it', async () => {
    usedUp = 1;
    await visited(2 * SECOND);
    expect(yields()).toEqual([true]);
    await node.clock.advance(2 * SECOND);
    expect(yields()).toEqual([false]);
  });

  it('yields no more either where it has only just begun to when nobody asks for it', async () => {
    usedUp = 1;
    const begun = Promise.withResolvers<undefined>();
    const { stats } = node.hooks;
    node.hooks = {
      ...(stats && { stats }),
      yieldCpu: async (id) => {
        await begun.promise;
        await node.engine.yieldCpu(id);
      },
    };
    await visited(2 * SECOND);
    begun.resolve(undefined);
    await node.clock.advance(100);
    expect(yields()).toEqual([true]);
    await node.clock.advance(2 * SECOND);
    expect(yields()).toEqual([false]);
  });

  it('yields no more either where the engine was away when nobody asked for it', async () => {
    usedUp = 1;
    await visited(2 * SECOND);
    const { stats } = node.hooks;
    node.hooks = {
      ...(stats && { stats }),
      updateResources: () => Promise.reject(new PlatformError('engine_unavailable', 'it is away')),
    };
    await node.clock.advance(3 * SECOND);
    expect(yields()).toEqual([true]);
    node.hooks = { ...(stats && { stats }) };
    await node.clock.advance(SECOND);
    expect(yields()).toEqual([false]);
  });

  it('does not yield when it has been given another size', async () => {
    usedUp = 1;
    await visited(SECOND);
    expect(yields()).toEqual([true]);
    usedUp = 0;
    await node.scale('busy', { cpu: 1 });
    await node.clock.advance(50);
    expect([yields(), node.machine.list()[0]?.resources.cpu]).toEqual([[false], 1]);
  });

  it('that yields when the program ends does not for the next one', async () => {
    usedUp = 1;
    await visited(SECOND);
    expect(yields()).toEqual([true]);
    await node.close({ leaveRunning: true });
    expect(yields()).toEqual([true]);
    usedUp = 0;
    await node.boot();
    await visited(SECOND);
    expect(yields()).toEqual([false]);
  });

  it('is told nothing on an engine that cannot change what it has, adopted ones neither', async () => {
    await visited(SECOND);
    await node.close({ leaveRunning: true });
    await node.boot();
    usedUp = 1;
    let told = 0;
    const tell = async () => {
      told++;
    };
    const { stats } = node.hooks;
    node.hooks = {
      ...(stats && { stats }),
      capabilities: { ...node.engine.capabilities, liveUpdate: false },
      yieldCpu: tell,
      updateResources: tell,
    };
    await visited(2 * SECOND);
    usedUp = 0;
    await visited(2 * SECOND);
    expect(told).toBe(0);
  });

  it('goes on as it is where the engine fails, and is told again', async () => {
    usedUp = 1;
    const { stats } = node.hooks;
    node.hooks = {
      ...(stats && { stats }),
      yieldCpu: () => Promise.reject(new PlatformError('engine_unavailable', 'it is away')),
    };
    await visited(SECOND);
    expect(yields()).toEqual([false]);
    node.hooks = { ...(stats && { stats }) };
    await visited(SECOND);
    expect(yields()).toEqual([true]);
  });
});
