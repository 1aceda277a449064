import { describe, expect, it } from 'vitest';
import { readProxyHeader } from '../../src/proxy/doors/proxy-protocol/header.ts';
import { Random } from '../fuzz/http1-mutate.ts';

const bytes = (text: string) => Buffer.from(text, 'latin1');
const SIGNATURE = bytes('\r\n\r\n\0\r\nQUIT\n');

/** Version 2 (§2.2 of the specification): command, family, addresses and whatever follows them. */
function v2(command: number, family: number, rest: Buffer, length = rest.length): Buffer {
  return Buffer.concat([SIGNATURE, Buffer.from([command, family, length >> 8, length & 255]), rest]);
}

/** 192.0.2.1:56324 to 198.51.100.1:443. */
const TCP4 = Buffer.from([192, 0, 2, 1, 198, 51, 100, 1, 0xdc, 0x04, 0x01, 0xbb]);
const TCP6 = Buffer.from(`20010db8${'0'.repeat(20)}000720010db8${'0'.repeat(20)}0001dc0401bb`, 'hex');

const complete = (header: string | Buffer, address: string | undefined, port = 56_324) => {
  const data = typeof header === 'string' ? bytes(header) : header;
  return [
    data,
    {
      state: 'complete',
      headerBytes: data.length,
      source: address === undefined ? undefined : { address, port },
    },
  ] as const;
};

describe('a PROXY header', () => {
  it.each([
    // The examples of §2.1.
    complete('PROXY TCP4 255.255.255.255 255.255.255.255 65535 65535\r\n', '255.255.255.255', 65_535),
    complete(
      `PROXY TCP6 ${'ffff:'.repeat(8).slice(0, -1)} ${'ffff:'.repeat(8).slice(0, -1)} 65535 65535\r\n`,
      'ffff:'.repeat(8).slice(0, -1),
      65_535,
    ),
    complete('PROXY UNKNOWN\r\n', undefined),
    complete(
      `PROXY UNKNOWN ${'ffff:'.repeat(8).slice(0, -1)} ${'ffff:'.repeat(8).slice(0, -1)} 65535 65535\r\n`,
      undefined,
    ),
    complete('PROXY TCP4 192.168.0.1 192.168.0.11 56324 443\r\n', '192.168.0.1'),
    complete('PROXY TCP4 192.0.2.1 198.51.100.1 0 0\r\n', '192.0.2.1', 0),
    complete('PROXY TCP6 2001:db8::7 ::1 56324 443\r\n', '2001:db8::7'),
    complete(v2(0x21, 0x11, TCP4), '192.0.2.1'),
    complete(v2(0x21, 0x21, TCP6), '2001:db8::7'),
    // Extensions (§2.2.1) are passed over: here one of type 4 (no operation) with three bytes.
    complete(v2(0x21, 0x11, Buffer.concat([TCP4, Buffer.from([4, 0, 3, 1, 2, 3])])), '192.0.2.1'),
    // A health check of the balancer itself, with or without addresses.
    complete(v2(0x20, 0x00, Buffer.alloc(0)), undefined),
    complete(v2(0x20, 0x11, TCP4), undefined),
    // Of which the family says nothing: datagrams, one that nobody knows, and addresses that are cut short.
    complete(v2(0x20, 0x12, TCP4), undefined),
    complete(v2(0x20, 0xff, Buffer.alloc(3)), undefined),
    complete(v2(0x20, 0x21, TCP4), undefined),
    complete(v2(0x21, 0x00, Buffer.alloc(0)), undefined),
    complete(v2(0x21, 0x31, Buffer.alloc(216)), undefined),
  ])('%j is read', (data, expected) => {
    expect(readProxyHeader(data)).toEqual(expected);
    const more = Buffer.concat([data, bytes('GET / HTTP/1.1\r\n')]);
    expect(readProxyHeader(more)).toEqual(expected);
    for (let length = 0; length < data.length; length++)
      expect(readProxyHeader(data.subarray(0, length))).toEqual({ state: 'incomplete' });
  });

  it.each([
    ['HTTP', 'GET / HTTP/1.1\r\n'],
    ['a TLS handshake', '\x16\x03\x01\x02\x00'],
    ['small letters', 'proxy TCP4 192.0.2.1 198.51.100.1 56324 443\r\n'],
    ['no family', 'PROXY \r\n'],
    ['an unknown family', 'PROXY UDP4 192.0.2.1 198.51.100.1 56324 443\r\n'],
    ['two spaces', 'PROXY  TCP4 192.0.2.1 198.51.100.1 56324 443\r\n'],
    ['a tab', 'PROXY TCP4\t192.0.2.1 198.51.100.1 56324 443\r\n'],
    ['a space at its end', 'PROXY TCP4 192.0.2.1 198.51.100.1 56324 443 \r\n'],
    ['one port', 'PROXY TCP4 192.0.2.1 198.51.100.1 56324\r\n'],
    ['an address with leading zeros', 'PROXY TCP4 192.0.02.1 198.51.100.1 56324 443\r\n'],
    ['an address of the other family', 'PROXY TCP4 2001:db8::7 198.51.100.1 56324 443\r\n'],
    ['a name', 'PROXY TCP4 balancer.example 198.51.100.1 56324 443\r\n'],
    ['a zone', 'PROXY TCP6 fe80::1%eth0 ::1 56324 443\r\n'],
    ['a port with a leading zero', 'PROXY TCP4 192.0.2.1 198.51.100.1 056324 443\r\n'],
    ['a port that is too large', 'PROXY TCP4 192.0.2.1 198.51.100.1 65536 443\r\n'],
    ['a negative port', 'PROXY TCP4 192.0.2.1 198.51.100.1 -1 443\r\n'],
    ['LF alone', `PROXY TCP4 192.0.2.1 198.51.100.1 56324 443\n${' '.repeat(107)}`],
    ['CR alone', 'PROXY TCP4 192.0.2.1 198.51.100.1 56324 443\r '],
    ['a line without end', `PROXY UNKNOWN ${'x'.repeat(200)}`],
    ['a line that ends too late', `PROXY UNKNOWN ${'x'.repeat(92)}\r\n`],
    ['another version', v2(0x11, 0x11, TCP4)],
    ['an unknown command', v2(0x22, 0x11, TCP4)],
    ['datagrams', v2(0x21, 0x12, TCP4)],
    ['an unknown binary family', v2(0x21, 0x41, TCP4)],
    ['addresses that are cut short', v2(0x21, 0x11, TCP4.subarray(0, 11))],
    ['a length beyond the bound', v2(0x21, 0x11, TCP4, 5_000)],
  ])('of %s is refused', (_, data) => {
    expect(readProxyHeader(typeof data === 'string' ? bytes(data) : data)).toMatchObject({
      state: 'refused',
    });
  });

  it('is decided by any bytes within its bound, whatever they are', () => {
    const random = new Random(7);
    for (let round = 0; round < 5_000; round++) {
      const start = random.pick([
        bytes('PROXY '),
        SIGNATURE,
        bytes('PROXY TCP4 '),
        v2(0x21, 0x11, Buffer.alloc(0), 12),
      ]);
      const tail = Buffer.from(Array.from({ length: 120 }, () => random.below(256)));
      const { state } = readProxyHeader(Buffer.concat([start, tail, Buffer.alloc(4_200)]));
      expect(['complete', 'refused']).toContain(state);
    }
  });
});
