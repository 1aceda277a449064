import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Roll } from '../../src/proxy/roll.ts';

describe('a roll', () => {
  it('has all that were added and not deleted, whoever is deleted in which order and how often', () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(fc.boolean(), fc.nat(9)), { maxLength: 100 }), (steps) => {
        const all = Array.from({ length: 10 }, () => ({ place: 0 }));
        const roll = new Roll<{ place: number }>();
        const model = new Set<{ place: number }>();
        for (const [comes, which] of steps) {
          const one = all[which];
          if (one === undefined) continue;
          if (comes && !model.has(one)) {
            roll.add(one);
            model.add(one);
          } else {
            roll.delete(one);
            model.delete(one);
          }
          const there = new Set(roll.all());
          expect([roll.size, there.size]).toEqual([model.size, model.size]);
          for (const each of model) expect(there.has(each)).toBe(true);
        }
      }),
    );
  });
});
