import { describe, expect, it } from 'vitest';
import { Networks, plainAddress } from '../../src/networks.ts';

describe('networks', () => {
  const networks = new Networks(['192.0.2.0/24', '198.51.100.7/32', '2001:db8::/32']);

  it.each(['192.0.2.0', '192.0.2.255', '198.51.100.7', '2001:db8::1', '2001:db8:ffff::'])(
    'has %s',
    (address) => {
      expect(networks.has(address)).toBe(true);
    },
  );

  it.each(['192.0.3.0', '198.51.100.8', '2001:db9::', '::1', '', 'localhost', '192.0.2'])(
    'has not %j',
    (address) => {
      expect(networks.has(address)).toBe(false);
    },
  );

  it('has an IPv4 address that came over an IPv6 socket, once that is put plainly', () => {
    expect(networks.has(plainAddress('::ffff:192.0.2.1'))).toBe(true);
    expect(plainAddress('::ffff:1')).toBe('::ffff:1');
  });

  it('that are none have nobody', () => {
    expect(new Networks([]).has('0.0.0.0')).toBe(false);
  });
});
