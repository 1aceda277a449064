import { describe, expect, it } from 'vitest';
import { LatencyHistogram } from '../../src/proxy/latency.ts';

describe('the latency histogram', () => {
  it('knows every quantile to about 3%', () => {
    const latency = new LatencyHistogram();
    for (let us = 1; us <= 100_000; us++) latency.record(us / 1_000);
    expect(latency.count).toBe(100_000);
    expect(latency.sumMs).toBeCloseTo(5_000_050, 0);
    for (const q of [0.01, 0.5, 0.9, 0.99, 0.999, 1]) {
      const exactMs = q * 100;
      expect(latency.quantileMs(q)).toBeGreaterThanOrEqual(exactMs);
      expect(latency.quantileMs(q)).toBeLessThan(exactMs * 1.04);
    }
  });

  it('has a bucket for everything, from nothing to hours', () => {
    const latency = new LatencyHistogram();
    for (const ms of [0, 0.0004, 1, 59_000, 3_600_000, 1e12]) latency.record(ms);
    const seen: number[] = [];
    latency.forEach((upToMs, count) => seen.push(upToMs, count));
    expect(seen).toHaveLength(8);
    expect(seen.slice(0, 2)).toEqual([0.001, 2]);
    expect(seen.at(-1)).toBe(2);
    expect(latency.quantileMs(0.5)).toBeGreaterThanOrEqual(1);
  });

  it('says 0 when nothing was recorded', () => {
    expect(new LatencyHistogram().quantileMs(0.99)).toBe(0);
  });
});
