import { describe, expect, it } from 'vitest';
import { decideRetry } from '../../src/coreapi/decisions/backoff.ts';
import { fits, place, reserve } from '../../src/coreapi/decisions/placement.ts';
import { chooseReclaim } from '../../src/coreapi/decisions/reclaim.ts';
import { node, policy } from '../support/records.ts';

const MIB = 2 ** 20;

describe('placement', () => {
  it('fills a node to the last share and not beyond, in spite of fractions', () => {
    let one = node({ capacity: { cpu: 1, memoryBytes: 1_000 * MIB } });
    for (let i = 0; i < 10; i++) {
      const wanted = { cpu: 0.1, memoryBytes: MIB };
      expect(fits(one, wanted)).toBe(true);
      one = { ...one, reserved: reserve(one, wanted, 1) };
    }
    expect(fits(one, { cpu: 0.1, memoryBytes: MIB })).toBe(false);
    for (let i = 0; i < 10; i++) one = { ...one, reserved: reserve(one, { cpu: 0.1, memoryBytes: MIB }, -1) };
    expect(one.reserved).toEqual({ cpu: 0, memoryBytes: 0 });
  });

  it('takes the node with the most left of what is scarcer, and none that is draining or full', () => {
    const wanted = { cpu: 1, memoryBytes: 100 * MIB };
    const full = node({ id: 'full', capacity: { cpu: 0.5, memoryBytes: 2 ** 30 } });
    const leaving = node({ id: 'leaving', state: 'draining', capacity: { cpu: 64, memoryBytes: 2 ** 36 } });
    const busy = node({ id: 'busy', reserved: { cpu: 2, memoryBytes: 0 } });
    const tight = node({ id: 'tight', reserved: { cpu: 0, memoryBytes: 900 * MIB } });
    expect(place([full, leaving, tight, busy], wanted)?.id).toBe('busy');
    expect(place([full, leaving], wanted)).toBeUndefined();
  });
});

describe('making room', () => {
  const resources = { cpu: 1, memoryBytes: 256 * MIB, pidsMax: 1 };
  const sleepers = [30, 10, 20].map((pausedAtMs) => ({
    containerId: `slept-${pausedAtMs}`,
    pausedAtMs,
    resources,
  }));
  const full = node({
    capacity: { cpu: 4, memoryBytes: 2 ** 30 },
    reserved: { cpu: 4, memoryBytes: 2 ** 30 },
  });

  it('ends the fewest, those asleep longest first', () => {
    expect(chooseReclaim(full, { cpu: 2, memoryBytes: 0 }, sleepers)?.map((one) => one.containerId)).toEqual([
      'slept-10',
      'slept-20',
    ]);
  });

  it('ends nobody when that would not be enough', () => {
    expect(chooseReclaim(full, { cpu: 3.5, memoryBytes: 0 }, sleepers)).toBeUndefined();
  });
});

describe('after a failed start', () => {
  const { startTimeoutMs } = policy();

  it('tries twice more while the visitor waits, then backs off for longer and longer, up to a minute', () => {
    const steps = [1, 2, 3, 4, 5, 20].map((failures) =>
      decideRetry({ failures, retryable: true, remainingMs: startTimeoutMs }),
    );
    expect(steps).toEqual([
      { action: 'retry', afterMs: 50 },
      { action: 'retry', afterMs: 250 },
      { action: 'giveUp', backoffMs: 1_000 },
      { action: 'giveUp', backoffMs: 2_000 },
      { action: 'giveUp', backoffMs: 4_000 },
      { action: 'giveUp', backoffMs: 60_000 },
    ]);
  });

  it('does not retry what cannot end differently, nor when nobody would wait that long', () => {
    expect(decideRetry({ failures: 1, retryable: false, remainingMs: startTimeoutMs }).action).toBe('giveUp');
    expect(decideRetry({ failures: 2, retryable: true, remainingMs: 200 }).action).toBe('giveUp');
  });
});
