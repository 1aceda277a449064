/** Networks as people write them, and lists of them as sockets' addresses are held against. */
import { BlockList } from 'node:net';

/** Each an address and a prefix: `192.0.2.0/24`, `2001:db8::/32`. */
export function blockList(networks: readonly string[]): BlockList {
  const list = new BlockList();
  for (const network of networks) {
    const [address = '', prefix = ''] = network.split('/');
    list.addSubnet(address, Number(prefix), address.includes(':') ? 'ipv6' : 'ipv4');
  }
  return list;
}
