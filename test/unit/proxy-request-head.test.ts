import fc from 'fast-check';
import { expect, it } from 'vitest';
import { PlatformError } from '../../src/errors.ts';
import { normalizeHost } from '../../src/hostname.ts';
import { requestHeaders } from '../../src/proxy/forward-headers.ts';
import { readRequestHead } from '../../src/proxy/request-head.ts';
import type { RawRequest, RequestHead } from '../../src/proxy/request-head.ts';

const limits = { targetBytes: 200 };

const name = fc.constantFrom(
  'Host',
  'host',
  'Content-Length',
  'Transfer-Encoding',
  'Connection',
  'X-A',
  'TE',
  'Mayfly-A',
  'X-Forwarded-For',
  'Forwarded',
  'Upgrade',
  'Proxy-X',
  'Trailer',
);
const value = fc.oneof(
  fc.constantFrom(
    'a.test',
    'b.test:80',
    'chunked',
    'gzip',
    '3',
    '0',
    '3, 3',
    'close',
    'x-a, host',
    'for=1.2.3.4',
    '',
  ),
  fc.string({ maxLength: 10 }),
);
const request: fc.Arbitrary<RawRequest> = fc.record({
  method: fc.constantFrom('GET', 'POST', 'OPTIONS', 'HEAD', 'DELETE'),
  target: fc.oneof(
    fc.constantFrom('/', '*', '/a?b', 'http://a.test/x', 'http://b.test', 'ftp://a', '//a'),
    fc.string({ maxLength: 250 }),
  ),
  version: fc.constantFrom('1.1', '1.1', '1.1', '1.0', '2.0'),
  rawHeaders: fc
    .tuple(fc.boolean(), fc.array(fc.tuple(name, value), { maxLength: 5 }))
    .map(([named, fields]) => [...(named ? ['Host', 'a.test'] : []), ...fields.flat()]),
});

function read(raw: RawRequest): RequestHead | PlatformError {
  try {
    return readRequestHead(raw, limits);
  } catch (error) {
    expect(error).toBeInstanceOf(PlatformError);
    return error as PlatformError;
  }
}

const count = (raw: readonly string[], wanted: string) =>
  raw.filter((text, i) => i % 2 === 0 && text.toLowerCase() === wanted).length;

it('reads any request in one way or refuses it, and never accepts two framings or two hosts', () => {
  fc.assert(
    fc.property(request, (raw) => {
      const head = read(raw);
      if (head instanceof PlatformError) {
        expect(head.status).toBeGreaterThanOrEqual(400);
        expect(head.status).toBeLessThan(500);
        return;
      }
      expect(count(raw.rawHeaders, 'host')).toBeLessThanOrEqual(1);
      expect(
        count(raw.rawHeaders, 'content-length') + count(raw.rawHeaders, 'transfer-encoding'),
      ).toBeLessThanOrEqual(1);
      expect(normalizeHost(head.host)).toBe(head.host);
      expect(head.target.startsWith('/') || head.target === '*').toBe(true);
    }),
    { numRuns: 3_000 },
  );
});

it('forwards what it accepted with one host, one framing, and nothing that is ours to say', () => {
  fc.assert(
    fc.property(request, fc.boolean(), (raw, trusted) => {
      const head = read(raw);
      if (head instanceof PlatformError) return;
      const sent = requestHeaders({
        ...raw,
        head,
        peer: { address: '192.0.2.1', protocol: 'http', trusted },
        upgrade: undefined,
      });
      expect(count(sent, 'host')).toBe(1);
      const lengths = count(sent, 'content-length');
      const encodings = count(sent, 'transfer-encoding');
      expect(encodings).toBe(head.body === 'chunked' ? 1 : 0);
      expect(lengths + encodings).toBeLessThanOrEqual(1);
      if (head.body === 'length') expect(lengths).toBe(1);
      for (const ours of ['x-forwarded-for', 'x-forwarded-proto', 'x-forwarded-host', 'forwarded'])
        expect(count(sent, ours)).toBe(1);
      for (const gone of ['mayfly-a', 'proxy-x', 'upgrade']) expect(count(sent, gone)).toBe(0);
      const from = sent[sent.findIndex((text) => text === 'X-Forwarded-For') + 1];
      if (!trusted) expect(from).toBe('192.0.2.1');
      else expect(from?.endsWith('192.0.2.1')).toBe(true);
    }),
    { numRuns: 3_000 },
  );
});
