/** The wall clock of the machine may be set; what waits for a time must not wait longer for that. */
import { describe, expect, it } from 'vitest';
import { steadyWallClock } from '../../src/clock.ts';
import { FakeClock } from '../support/fake-clock.ts';
import { NodeUnderTest } from '../support/node-under-test.ts';

const SECOND = 1_000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;

/** The clock of a machine, and what of it can be set. */
function settable(clock: FakeClock) {
  const elapsedMs = clock.nowMs.bind(clock);
  let offsetMs = 1_000 * HOUR;
  return {
    wallMs: () => elapsedMs() + offsetMs,
    nowMs: steadyWallClock(() => elapsedMs() + offsetMs, elapsedMs),
    set: (byMs: number) => void (offsetMs += byMs),
  };
}

describe('a wall clock that never goes back', () => {
  it('is the machine’s, as long as that is not set back', async () => {
    const clock = new FakeClock();
    const { nowMs, wallMs, set } = settable(clock);
    for (let step = 0; step < 100; step++) {
      await clock.advance(step);
      expect(nowMs()).toBe(wallMs());
    }
    set(HOUR);
    expect(nowMs()).toBe(wallMs());
  });

  it('is that also for whoever reads it all the time, however short the steps', () => {
    let elapsedMs = 0;
    const wallMs = () => 1.8e12 + Math.floor(elapsedMs);
    const nowMs = steadyWallClock(wallMs, () => elapsedMs);
    for (let read = 0; read < 100_000; read++) {
      elapsedMs += 0.0002;
      nowMs();
    }
    expect(nowMs()).toBe(wallMs());
  });

  it('is not ahead of that where the process is held up as it reads it', () => {
    let elapsedMs = 0;
    const held = (byMs: number) => (elapsedMs += byMs) - byMs;
    const nowMs = steadyWallClock(
      () => held(100),
      () => held(100),
    );
    for (let read = 0; read < 10; read++) expect(nowMs()).toBeLessThanOrEqual(elapsedMs);
  });

  it('goes a tenth slower when that is, until it has caught up', async () => {
    const clock = new FakeClock();
    const { nowMs, wallMs, set } = settable(clock);
    const beforeMs = nowMs();
    set(-HOUR);
    expect(nowMs()).toBe(beforeMs);
    await clock.advance(10 * MINUTE);
    expect(nowMs()).toBe(beforeMs + 9 * MINUTE);
    await clock.advance(9 * HOUR + 49 * MINUTE);
    expect(nowMs()).toBeGreaterThan(wallMs());
    await clock.advance(MINUTE);
    expect(nowMs()).toBe(wallMs());
  });
});

describe('on a machine whose clock is set back by an hour', () => {
  async function node(policy: object) {
    const world = await new NodeUnderTest().boot();
    const machine = settable(world.clock);
    world.clock.nowMs = machine.nowMs;
    await world.createApp('hello', { idlePauseMs: null, idleStopMs: 20 * SECOND, ...policy });
    return { world, setBack: () => machine.set(-HOUR) };
  }

  it('an app that failed to start is tried again when its visitors were told', async () => {
    const { world, setBack } = await node({ startTimeoutMs: 4 * SECOND });
    world.fault = { startError: 'no' };
    expect(await world.visited('hello', 6 * SECOND)).toBe('start_failed');
    setBack();
    world.fault = {};
    await world.clock.advance(2 * SECOND);
    expect(await world.visited('hello')).toBe('answered');
  });

  it('an app that nobody visits falls asleep', async () => {
    const { world, setBack } = await node({});
    expect(await world.visited('hello')).toBe('answered');
    setBack();
    await world.clock.advance(30 * SECOND);
    expect(await world.states()).toEqual(['stopped']);
  });
});
