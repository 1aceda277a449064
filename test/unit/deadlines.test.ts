import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Deadlines } from '../../src/compute/deadlines.ts';
import { FakeClock } from '../support/fake-clock.ts';

function setUp() {
  const clock = new FakeClock(0);
  return { clock, deadlines: new Deadlines(clock) };
}

describe('deadlines', () => {
  it('come due in order of time, whatever order they were set in', async () => {
    const { clock, deadlines } = setUp();
    const due: string[] = [];
    for (const atMs of [30, 10, 50, 20, 40]) {
      deadlines.set(`at ${atMs}`, atMs, () => due.push(`at ${atMs}, ${clock.nowMs()}`));
    }
    await clock.advance(100);
    expect(due).toEqual(['at 10, 10', 'at 20, 20', 'at 30, 30', 'at 40, 40', 'at 50, 50']);
  });

  it('that are past come due at once, but not while they are being set', async () => {
    const { clock, deadlines } = setUp();
    await clock.advance(1_000);
    let due = 0;
    deadlines.set('late', 10, () => due++);
    expect(due).toBe(0);
    await clock.advance(0);
    expect(due).toBe(1);
  });

  it('are replaced by the next one for the same key, and never come when infinitely far', async () => {
    const { clock, deadlines } = setUp();
    const due: string[] = [];
    deadlines.set('a', 10, () => due.push('first'));
    deadlines.set('a', 20, () => due.push('second'));
    deadlines.set('b', 10, () => due.push('b'));
    deadlines.set('b', Infinity, () => due.push('b'));
    await clock.advance(1_000);
    expect(due).toEqual(['second']);
  });

  it('may be set and cancelled by one that comes due', async () => {
    const { clock, deadlines } = setUp();
    const due: number[] = [];
    deadlines.set('other', 20, () => due.push(-1));
    const again = () => {
      due.push(clock.nowMs());
      deadlines.cancel('other');
      if (due.length < 3) deadlines.set('again', clock.nowMs() + 10, again);
    };
    deadlines.set('again', 10, again);
    await clock.advance(100);
    expect(due).toEqual([10, 20, 30]);
    expect(clock.pending).toBe(0);
  });

  it('need one timer for a whole node, and none when there are none', async () => {
    const { clock, deadlines } = setUp();
    for (let i = 0; i < 1_000; i++) deadlines.set(`${i}`, 1_000 + ((i * 7) % 1_000), () => undefined);
    expect(clock.pending).toBe(1);
    await clock.advance(1_500);
    expect(clock.pending).toBe(1);
    for (let i = 0; i < 1_000; i++) deadlines.cancel(`${i}`);
    expect(deadlines.size).toBe(0);
    expect(clock.pending).toBe(0);
  });

  it('that were replaced a hundred thousand times leave nothing to clear up when time comes', async () => {
    const { clock, deadlines } = setUp();
    let due = 0;
    for (let i = 0; i < 100_000; i++) deadlines.set('busy', 1_000 + i, () => due++);
    let wakeUps = 0;
    const nowMs = clock.nowMs.bind(clock);
    clock.nowMs = () => {
      wakeUps++;
      return nowMs();
    };
    await clock.advance(200_000);
    expect(due).toBe(1);
    expect(wakeUps).toBeLessThan(500);
  });

  it('never come once closed', async () => {
    const { clock, deadlines } = setUp();
    let due = 0;
    deadlines.set('a', 10, () => due++);
    deadlines.close();
    deadlines.set('b', 10, () => due++);
    await clock.advance(100);
    expect(due).toBe(0);
    expect(clock.pending).toBe(0);
  });

  it('do what a list that is searched each time would do', async () => {
    const key = fc.constantFrom('a', 'b', 'c', 'd', 'e');
    const step = fc.oneof(
      fc.record({ do: fc.constant('set' as const), key, inMs: fc.integer({ min: -5, max: 60 }) }),
      fc.record({ do: fc.constant('cancel' as const), key }),
      fc.record({ do: fc.constant('wait' as const), ms: fc.integer({ min: 0, max: 40 }) }),
    );
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 60 }), async (steps) => {
        const { clock, deadlines } = setUp();
        const model = new Map<string, number>();
        const seen: string[] = [];
        const expected: string[] = [];
        for (const one of steps) {
          if (one.do === 'set') {
            const atMs = clock.nowMs() + one.inMs;
            model.set(one.key, atMs);
            deadlines.set(one.key, atMs, () => seen.push(`${clock.nowMs()} ${one.key}`));
          } else if (one.do === 'cancel') {
            model.delete(one.key);
            deadlines.cancel(one.key);
          } else {
            const fromMs = clock.nowMs();
            await clock.advance(one.ms);
            for (const [name, atMs] of [...model]) {
              if (atMs > clock.nowMs()) continue;
              model.delete(name);
              expected.push(`${Math.max(atMs, fromMs)} ${name}`);
            }
          }
          expect(deadlines.size).toBe(model.size);
          expect(clock.pending).toBeLessThanOrEqual(1);
        }
        expect(seen.toSorted()).toEqual(expected.toSorted());
        expect(seen.map((line) => parseInt(line))).toEqual(
          seen.map((line) => parseInt(line)).sort((a, b) => a - b),
        );
      }),
      { numRuns: 200 },
    );
  });
});
