import { describe, expect, it } from 'vitest';
import { Deadlines, Timed } from '../../src/proxy/fast/deadlines.ts';
import { FakeClock } from '../support/fake-clock.ts';

class Probe extends Timed {
  readonly firedMs: number[] = [];
  readonly #clock: FakeClock;

  constructor(clock: FakeClock) {
    super();
    this.#clock = clock;
  }

  expired(): void {
    this.firedMs.push(this.#clock.monotonicMs());
  }
}

function wheel() {
  const clock = new FakeClock(1_000_000);
  return { clock, deadlines: new Deadlines(clock), probe: new Probe(clock) };
}

describe('a deadline', () => {
  it.each([1, 20, 50, 1_000, 20_479, 20_480, 60_000, 3_600_000])(
    'of %i ms is never early, and late by no more than two ticks',
    async (ms) => {
      const { clock, deadlines, probe } = wheel();
      deadlines.set(probe, clock.monotonicMs() + ms);
      await clock.advance(ms - 1);
      expect(probe.firedMs).toEqual([]);
      await clock.advance(41);
      expect(probe.firedMs).toHaveLength(1);
      await clock.advance(30_000);
      expect(probe.firedMs).toHaveLength(1);
    },
    60_000,
  );

  it('that is moved counts where it was moved to, earlier or later', async () => {
    const { clock, deadlines, probe } = wheel();
    deadlines.set(probe, clock.monotonicMs() + 60_000);
    deadlines.set(probe, clock.monotonicMs() + 100);
    deadlines.set(probe, clock.monotonicMs() + 500);
    await clock.advance(499);
    expect(probe.firedMs).toEqual([]);
    await clock.advance(41);
    expect(probe.firedMs).toHaveLength(1);
  });

  it('that is removed does not come, and without any no timer runs', async () => {
    const { clock, deadlines, probe } = wheel();
    deadlines.set(probe, clock.monotonicMs() + 100);
    expect(clock.pending).toBe(1);
    deadlines.remove(probe);
    expect(clock.pending).toBe(0);
    await clock.advance(1_000);
    expect(probe.firedMs).toEqual([]);
  });

  it('may be set again when it has passed', async () => {
    const { clock, deadlines, probe } = wheel();
    deadlines.set(probe, clock.monotonicMs() + 100);
    await clock.advance(200);
    deadlines.set(probe, clock.monotonicMs() + 100);
    await clock.advance(200);
    expect(probe.firedMs).toHaveLength(2);
  });

  it('passes for all that are due after a long standstill, whatever one of them does to the others', async () => {
    const { clock, deadlines } = wheel();
    const fired: number[] = [];
    const many = Array.from(
      { length: 100 },
      (_, i) =>
        new (class extends Timed {
          override expired(): void {
            fired.push(i);
            const partner = many[i ^ 1];
            if (partner !== undefined) deadlines.remove(partner);
          }
        })(),
    );
    for (const one of many) deadlines.set(one, clock.monotonicMs() + 100);
    await clock.advance(100_000);
    // One of each pair, whichever came first.
    expect(fired.map((i) => i >> 1).sort((a, b) => a - b)).toEqual(Array.from({ length: 50 }, (_, i) => i));
  });
});
