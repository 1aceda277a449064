/** The table of names, held against a Map. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { NameTable } from '../../src/proxy/name-table.ts';
import { PackedName } from '../../src/proxy/packed-name.ts';

/** Few enough that they meet again, and of every kind: short, long, alike, and not ASCII. */
const name = fc.oneof(
  fc.integer({ min: 0, max: 40 }).map((i) => `h${i}.example.test`),
  fc.integer({ min: 0, max: 10 }).map((i) => 'x'.repeat(34 + i)),
  fc.constantFrom('', 'a', 'aa', 'aaa', 'aaaa', 'aaaaa', '\u0161', 'a\u0061', '\u0100a', 'é'),
);
const operation = fc.oneof(
  fc.record({ do: fc.constant('set' as const), name, value: fc.integer({ min: 1, max: 2 ** 24 - 2 }) }),
  fc.record({ do: fc.constant('delete' as const), name, value: fc.constant(0) }),
);

const shared = new PackedName();
const packed = (text: string) => shared.pack(text);

function contents(table: NameTable): number[] {
  const values: number[] = [];
  table.forEachValue((value) => values.push(value));
  return values.sort((a, b) => a - b);
}

describe('a table of names', () => {
  it('holds what a Map holds, whatever is put in and taken out', () => {
    fc.assert(
      fc.property(fc.array(operation, { maxLength: 300 }), (operations) => {
        const table = new NameTable();
        const map = new Map<string, number>();
        for (const { do: what, name, value } of operations) {
          const before = map.get(name) ?? 0;
          if (what === 'set') {
            expect(table.set(packed(name), value)).toBe(before);
            map.set(name, value);
          } else {
            expect(table.delete(packed(name))).toBe(before);
            map.delete(name);
          }
          expect(table.get(packed(name))).toBe(map.get(name) ?? 0);
          expect(table.size).toBe(map.size);
        }
        for (const [name, value] of map) expect(table.get(packed(name))).toBe(value);
        expect(contents(table)).toEqual([...map.values()].sort((a, b) => a - b));
      }),
    );
  });

  it('tells a hundred thousand names apart, also after half of them have gone and others come', () => {
    const table = new NameTable();
    const name = (i: number) => `app-${i}.customer-${i % 97}.example.test`;
    for (let i = 0; i < 100_000; i++) table.set(packed(name(i)), i + 1);
    for (let i = 0; i < 100_000; i += 2) table.delete(packed(name(i)));
    for (let i = 100_000; i < 150_000; i++) table.set(packed(name(i)), i + 1);
    expect(table.size).toBe(100_000);
    const wrong: number[] = [];
    for (let i = 0; i < 150_000; i++) {
      const there = i % 2 === 1 || i >= 100_000;
      if (table.get(packed(name(i))) !== (there ? i + 1 : 0)) wrong.push(i);
    }
    expect(wrong).toEqual([]);
  });

  it('holds names that meet, however many, wherever in the table', () => {
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.nat({ max: 150 }), fc.boolean()), { maxLength: 600 }),
        fc.constantFrom(0, 2 ** 30, 2 ** 31 - 2),
        (operations, hash) => {
          const table = new NameTable();
          const map = new Map<string, number>();
          // Two hashes of the same shard, one behind the other.
          const meeting = (i: number) => {
            const name = packed(`name-${i}`);
            name.hash = i % 3 === 0 && hash >= 64 ? hash - 64 : hash;
            return name;
          };
          for (const [i, isThere] of operations) {
            const before = map.get(`name-${i}`) ?? 0;
            expect(isThere ? table.set(meeting(i), i + 1) : table.delete(meeting(i))).toBe(before);
            if (isThere) map.set(`name-${i}`, i + 1);
            else map.delete(`name-${i}`);
          }
          for (let i = 0; i <= 150; i++) expect(table.get(meeting(i))).toBe(map.get(`name-${i}`) ?? 0);
          expect(contents(table)).toEqual([...map.values()].sort((a, b) => a - b));
        },
      ),
    );
  });

  it('does not grow where names come and go', () => {
    const table = new NameTable();
    for (let i = 0; i < 200_000; i++) {
      table.set(packed(`name-${i}`), 1);
      table.delete(packed(`name-${i - 100}`));
    }
    expect(table.size).toBe(100);
    expect(contents(table)).toHaveLength(100);
  });

  it('takes out what matches, and tells its values', () => {
    const table = new NameTable();
    for (let i = 0; i < 1_000; i++) table.set(packed(`${i}.${i % 2 === 0 ? 'even' : 'odd'}.test`), i + 1);
    table.set(packed(`${'long'.repeat(20)}.even.test`), 5_000);
    const dropped: number[] = [];
    table.deleteWhere(
      (name) => name.endsWith('.even.test'),
      (value) => dropped.push(value),
    );
    expect(dropped.sort((a, b) => a - b)).toEqual([
      ...Array.from({ length: 500 }, (_, i) => 2 * i + 1),
      5_000,
    ]);
    expect(table.size).toBe(500);
    expect([table.get(packed('2.even.test')), table.get(packed('3.odd.test'))]).toEqual([0, 4]);
  });
});
