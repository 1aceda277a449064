/** Which container takes a request: what one that has just become ready is given beside those that serve already. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Balancer } from '../../src/proxy/balancer.ts';

class Container {
  readonly limit: number;
  readonly inFlight = { size: 0 };

  constructor(limit: number, size = 0) {
    this.limit = limit;
    this.inFlight.size = size;
  }

  get hasSlot(): boolean {
    return this.inFlight.size < this.limit;
  }
}

const sizes = (containers: readonly Container[]) => containers.map(({ inFlight }) => inFlight.size);

describe('a container that becomes ready beside others', () => {
  it('is given requests until it has as many as they, and never more', () => {
    fc.assert(
      fc.property(
        fc.array(fc.nat({ max: 50 }), { minLength: 1, maxLength: 5 }),
        fc.array(fc.constantFrom('arrives', 'leaves'), { maxLength: 300 }),
        (busy, steps) => {
          const balancer = new Balancer();
          const others = busy.map((size) => new Container(100, size));
          const fresh = new Container(100);
          const all = [...others, fresh];
          for (const step of steps) {
            if (step === 'arrives') {
              const picked = balancer.pick(all);
              // Nobody had less at that moment.
              if (picked) expect(picked.inFlight.size).toBe(Math.min(...sizes(all)));
              if (picked) picked.inFlight.size++;
            } else {
              const busiest = all.toSorted((a, b) => b.inFlight.size - a.inFlight.size)[0];
              if (busiest && busiest.inFlight.size > 0) busiest.inFlight.size--;
            }
            expect(fresh.inFlight.size).toBeLessThanOrEqual(Math.max(...sizes(others)) + 1);
          }
        },
      ),
    );
  });

  it('is given no more than its limit of those that waited', () => {
    const balancer = new Balancer();
    const all = [new Container(3, 3), new Container(3)];
    const given = Array.from({ length: 10 }, () => {
      const picked = balancer.pick(all);
      if (picked) picked.inFlight.size++;
      return picked;
    });
    expect(given.filter(Boolean)).toHaveLength(3);
    expect(sizes(all)).toEqual([3, 3]);
  });

  it('has its turn also when there is hardly anything to do', () => {
    const balancer = new Balancer();
    const all = [new Container(9), new Container(9), new Container(9)];
    const turns = Array.from({ length: 9 }, () => all.indexOf(balancer.pick(all) as Container));
    expect(turns).toEqual([0, 1, 2, 0, 1, 2, 0, 1, 2]);
  });
});
