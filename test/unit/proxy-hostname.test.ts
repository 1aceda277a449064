import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { hostMatches, normalizeHost, parseHostPattern, wildcardsOf } from '../../src/hostname.ts';

describe('a Host header in normal form', () => {
  it.each([
    ['a.example', 'a.example'],
    ['A.Example:8080', 'a.example'],
    ['a.example.', 'a.example'],
    ['a.example.:80', 'a.example'],
    ['a.example:', 'a.example'],
    ['localhost', 'localhost'],
    ['127.0.0.1:80', '127.0.0.1'],
    ['[::1]', '[::1]'],
    ['[0:0:0:0:0:0:0:1]:80', '[::1]'],
    ['[2001:DB8::A]', '[2001:db8::a]'],
    ['münchen.example', 'xn--mnchen-3ya.example'],
    ['MÜNCHEN.example', 'xn--mnchen-3ya.example'],
    ['my_service.internal', 'my_service.internal'],
    [`${'x'.repeat(63)}.example`, `${'x'.repeat(63)}.example`],
  ])('%s is %s', (text, normal) => {
    expect(normalizeHost(text)).toBe(normal);
  });

  it.each([
    '',
    '.',
    ':80',
    'a..example',
    'a.example..',
    '-a.example',
    'a-.example',
    'a.example:65536',
    'a.example:80:80',
    'a.example:8o',
    'user@a.example',
    'a.example/path',
    'a b',
    'a\u0000b',
    'a,b',
    '*.example',
    '::1',
    '[::1',
    '[::1]x',
    '[fe80::1%eth0]',
    '[1.2.3.4]',
    `${'x'.repeat(64)}.example`,
    `${'a.'.repeat(127)}example`,
    '\ufffd.example',
    'x'.repeat(100_000),
  ])('%j is not a host', (text) => {
    expect(normalizeHost(text)).toBeUndefined();
  });

  it('is its own normal form, whatever the text was', () => {
    fc.assert(
      fc.property(
        fc.oneof(
          fc.domain(),
          fc.ipV6().map((ip) => `[${ip}]`),
          fc.string(),
        ),
        (text) => {
          const normal = normalizeHost(text);
          if (normal !== undefined) expect(normalizeHost(normal)).toBe(normal);
        },
      ),
    );
  });
});

describe('a host pattern from an API caller', () => {
  it.each([
    ['Shop.Example', 'shop.example', false],
    ['*.Shop.Example.', '*.shop.example', true],
    ['*.localhost', '*.localhost', true],
    ['[::1]', '[::1]', false],
    ['*.bücher.example', '*.xn--bcher-kva.example', true],
  ])('%s is kept as %s', (text, pattern, wildcard) => {
    expect(parseHostPattern(text)).toEqual({ ok: true, pattern, wildcard });
  });

  it.each([
    ['', /empty/],
    ['*.', /empty/],
    ['*', /wildcard only as its first label/],
    ['a.*.example', /wildcard only as its first label/],
    ['*.*.example', /wildcard only as its first label/],
    ['http://a.example', /without scheme/],
    ['a.example:80', /without a port/],
    ['[::1]:80', /without a port/],
    ['*.127.0.0.1', /IP address/],
    ['*.[::1]', /IP address/],
    ['a b', /not a valid hostname/],
    ['x'.repeat(2000), /too long/],
    [`*.${'abc.'.repeat(62)}abcd`, /too long/],
  ])('%j is refused with its reason', (text, reason) => {
    const parsed = parseHostPattern(text);
    expect(parsed.ok ? 'accepted' : parsed.reason).toMatch(reason);
  });
});

describe('the wildcards of a host', () => {
  it('are tried longest first', () => {
    expect(wildcardsOf('a.b.example')).toEqual(['*.b.example', '*.example']);
  });

  it('do not exist for a single label or an address', () => {
    expect(wildcardsOf('localhost')).toEqual([]);
    expect(wildcardsOf('127.0.0.1')).toEqual([]);
    expect(wildcardsOf('[::1]')).toEqual([]);
  });

  it('are exactly the patterns that match it', () => {
    expect(hostMatches('*.example', 'a.b.example')).toBe(true);
    expect(hostMatches('*.example', 'example')).toBe(false);
    expect(hostMatches('*.example', 'notexample')).toBe(false);
    expect(hostMatches('*.0.0.1', '127.0.0.1')).toBe(false);
    fc.assert(
      fc.property(fc.domain(), (domain) => {
        const host = domain.toLowerCase();
        for (const pattern of wildcardsOf(host)) expect(hostMatches(pattern, host)).toBe(true);
      }),
    );
  });
});
