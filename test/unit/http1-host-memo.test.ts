/** A Host as a connection keeps it, held against the normal form of its text. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { normalizeHost } from '../../src/hostname.ts';
import { HostMemo } from '../../src/proxy/http1/host-memo.ts';
import { PackedName } from '../../src/proxy/packed-name.ts';

/** Names, and what is nearly one: dots and hyphens where they may not be, ports, addresses, any byte. */
const label = fc.stringMatching(/^[A-Za-z0-9_-]{0,12}$/);
const host = fc.oneof(
  fc.domain(),
  fc.array(label, { minLength: 1, maxLength: 5 }).map((labels) => labels.join('.')),
  fc.tuple(fc.domain(), fc.constantFrom('.', ':80', ':', ':x', '.:8080')).map((parts) => parts.join('')),
  fc.ipV4(),
  fc.ipV6().map((address) => `[${address}]`),
  fc.string({ unit: fc.nat({ max: 255 }).map((code) => String.fromCharCode(code)), maxLength: 12 }),
  fc.constantFrom(
    '',
    'a',
    '-',
    '.',
    'a-',
    '-a',
    'a.-b',
    'a--b',
    'x'.repeat(40),
    'x'.repeat(41),
    'x'.repeat(64),
  ),
);

/** What its bytes say: as UTF-8 where they are not ASCII. */
function normalized(bytes: Buffer): string | undefined {
  return normalizeHost(bytes.toString(bytes.some((byte) => byte >= 0x80) ? 'utf8' : 'latin1'));
}

describe('the Host of a connection', () => {
  it('is the normal form of what was sent, whatever was sent before', () => {
    fc.assert(
      fc.property(fc.array(host, { maxLength: 6 }), (hosts) => {
        const memo = new HostMemo();
        for (const text of hosts) {
          const bytes = Buffer.from(`Host: ${text}\r\n`, 'latin1');
          const meant = normalized(bytes.subarray(6, bytes.length - 2));
          // Twice: the second time it is compared, not read.
          for (let time = 0; time < 2; time++) {
            expect(memo.read(bytes, 6, bytes.length - 2)).toBe(meant !== undefined);
            expect(memo.name.text).toBe(meant ?? '');
            expect(memo.raw).toBe(meant === undefined ? '' : text);
          }
        }
      }),
      { numRuns: 2_000 },
    );
  });

  it('is packed from bytes as it is from a text', () => {
    fc.assert(
      fc.property(fc.domain(), (domain) => {
        const memo = new HostMemo();
        memo.read(Buffer.from(domain, 'latin1'), 0, domain.length);
        const packed = new PackedName().pack(domain.toLowerCase());
        const words = (name: PackedName) => [...name.words.subarray(0, (name.length + 3) >> 2)];
        expect([memo.name.hash, memo.name.length]).toEqual([packed.hash, packed.length]);
        if (packed.length <= 40) expect(words(memo.name)).toEqual(words(packed));
      }),
    );
  });
});
