import { expect, it } from 'vitest';
import { Upstream } from '../../src/proxy/upstream.ts';
import { FakeClock } from '../support/fake-clock.ts';

it('was last active when a request ended, whatever the clocks do afterwards and however often it is asked', () => {
  const upstream = new Upstream('app_1', {
    containerId: 'ctr_1',
    host: '127.0.0.1',
    port: 80,
    concurrencyLimit: 1,
  });
  const [wallMs, monotonicMs] = [1_000_000, 20.25];
  const clock = (passedMs: number, setBackMs = 0) =>
    Object.assign(new FakeClock(), {
      nowMs: () => Math.floor(wallMs + passedMs - setBackMs),
      monotonicMs: () => monotonicMs + passedMs,
    });
  expect(upstream.lastActiveAtMs(clock(0))).toBe(0);
  const work = { place: 0, onAbort: undefined };
  upstream.start(work);
  upstream.end(work, monotonicMs);
  for (const now of [clock(500.5), clock(500.9), clock(7_000.1, 3_600_000)])
    expect(upstream.lastActiveAtMs(now)).toBe(wallMs);
});
