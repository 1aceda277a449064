/** Networks as people write them, and lists of them that addresses are held against. */
import { BlockList, isIPv6 } from 'node:net';
import type { Server, Socket } from 'node:net';

/** An IPv4 address that came over an IPv6 socket is an IPv4 address. */
export function plainAddress(address: string): string {
  return address.startsWith('::ffff:') && address.includes('.') ? address.slice(7) : address;
}

export class Networks {
  readonly #list = new BlockList();
  readonly #isEmpty: boolean;

  /** Each an address and a prefix: `192.0.2.0/24`, `2001:db8::/32`. */
  constructor(networks: readonly string[]) {
    this.#isEmpty = networks.length === 0;
    for (const network of networks) {
      const [address = '', prefix = ''] = network.split('/');
      this.#list.addSubnet(address, Number(prefix), address.includes(':') ? 'ipv6' : 'ipv4');
    }
  }

  /** `address`: as `plainAddress` gives it; what is no address is in no network. */
  has(address: string): boolean {
    return !this.#isEmpty && this.#list.check(address, isIPv6(address) ? 'ipv6' : 'ipv4');
  }
}

/** What connects from there is closed before a byte of it is read. */
export function refuseConnections(server: Server, from: Networks): void {
  server.prependListener('connection', (socket: Socket) => {
    const { remoteAddress } = socket; // none: it has gone again
    if (remoteAddress === undefined || from.has(plainAddress(remoteAddress))) socket.destroy();
  });
}
