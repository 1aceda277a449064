import { describe, expect, it } from 'vitest';
import { newId } from '../../src/ids.ts';

describe('a new id', () => {
  it('says what it names, and is safe in names, labels, paths and URLs', () => {
    expect(newId('ctr')).toMatch(/^ctr_[0-9a-hjkmnp-tv-z]{19}$/);
  });

  it('sorts by time', () => {
    const times = [0, 1, 1_000, 1_700_000_000_000, 1_700_000_000_001, 4_102_444_800_000];
    const ids = times.map((nowMs) => newId('app', nowMs));
    expect(ids.toSorted()).toEqual(ids);
  });

  it('sorts by creation within one millisecond, and is never the same', () => {
    const ids = Array.from({ length: 5_000 }, () => newId('rev', 1_700_000_000_000));
    expect(ids.toSorted()).toEqual(ids);
    expect(new Set(ids).size).toBe(ids.length);
  });

  it('is new also when the clock goes back, and sorts by creation', () => {
    const ids = Array.from({ length: 1_000 }, (_, index) => newId('rev', 1_700_000_000_000 - index));
    expect(ids.toSorted()).toEqual(ids);
    expect(new Set(ids).size).toBe(ids.length);
  });
});
