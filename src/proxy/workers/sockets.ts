/**
 * The sockets that workers listen on. Each worker's place has its own, as many as each other's, on the same address
 * (SO_REUSEPORT): the kernel spreads connections over them by a hash of the addresses, so about evenly.
 *
 * The control process binds them and keeps them open, without listening itself; a worker is given its sockets as open
 * files. So the queues of connections that nobody has accepted yet belong to the place and not to the worker: when a worker
 * is replaced, or killed, they wait for its successor and none is reset. Only a place that cannot be filled at once gives up
 * its sockets, so that connections go to the others.
 *
 * A Node without `net.BoundSocket` (public since 26.4) has no public way to that. There each worker binds for itself, and
 * what waits in its queue when it closes is reset by the kernel: docs/decisions/workers.md has the figures.
 */
import { lookup } from 'node:dns/promises';
import * as net from 'node:net';
import { setTimeout as pause } from 'node:timers/promises';
import { SOCKETS_A_DOOR } from '../doors/doors.ts';
import type { ListenAt } from '../doors/doors.ts';
import type { DoorsAt } from './settings.ts';

/** Workers of a program that was killed a moment ago end by themselves; their port is waited for so often, so long each time. */
const TAKEN_TRIES = 20;
const TAKEN_PAUSE_MS = 50;

export interface Address {
  readonly host: string;
  readonly port: number;
}

/** Where the worker of one place listens. */
export interface WorkerPlace {
  readonly listen: DoorsAt;
  /** Open files to hand to it, in this order, after those that every worker has. */
  readonly fds: readonly number[];
}

/** Behind standard input, output, error, and the channel. */
const FIRST_INHERITED_FD = 4;

export class WorkerSockets {
  readonly #doors: DoorsAt<Address>;
  readonly #keep: boolean;
  /** By place, those of its doors, one door after the other. */
  readonly #kept = new Map<number, readonly net.BoundSocket[]>();

  private constructor(doors: DoorsAt<Address>, keep: boolean) {
    this.#doors = doors;
    this.#keep = keep;
  }

  /**
   * For places 1 … `workers`. `keep: false`: workers bind for themselves, as on a Node that cannot do otherwise. Errors: what
   * binding gives, e.g. EADDRINUSE where anybody else listens on the port, EACCES, EADDRNOTAVAIL, ENOTFOUND.
   */
  static async open(
    doors: DoorsAt<Address>,
    workers: number,
    keep = 'BoundSocket' in net,
  ): Promise<WorkerSockets> {
    const sockets = new WorkerSockets(await exclusiveDoors(doors), keep);
    try {
      for (let place = 1; place <= workers; place++) sockets.at(place);
      return sockets;
    } catch (thrown) {
      sockets.close();
      throw thrown;
    }
  }

  get port(): number {
    return this.#doors.http.port;
  }

  get tlsPort(): number | undefined {
    return this.#doors.tls?.port;
  }

  /** The place's sockets, bound anew if they were released. Errors: what binding gives. */
  at(place: number): WorkerPlace {
    if (!this.#keep) return { listen: sharedDoors(this.#doors), fds: [] };
    const { http, tls, inside } = this.#doors;
    const addresses = [http, tls, inside].filter((address) => address !== undefined);
    const kept = this.#kept.get(place) ?? bind(addresses);
    this.#kept.set(place, kept);
    const inherited = (address: Address): ListenAt => {
      const first = FIRST_INHERITED_FD + addresses.indexOf(address) * SOCKETS_A_DOOR;
      return { fds: Array.from({ length: SOCKETS_A_DOOR }, (_, i) => first + i) };
    };
    return { listen: eachDoor(this.#doors, inherited), fds: kept.map((socket) => socket.fd()) };
  }

  /**
   * Nobody serves the place for some time: the kernel sends connections to the others from now on. What waits in its queue
   * is reset.
   */
  release(place: number): void {
    for (const socket of this.#kept.get(place) ?? []) socket.close();
    this.#kept.delete(place);
  }

  close(): void {
    for (const place of [...this.#kept.keys()]) this.release(place);
  }
}

function bind(addresses: readonly Address[]): net.BoundSocket[] {
  const sockets: net.BoundSocket[] = [];
  try {
    for (const address of addresses)
      for (let i = 0; i < SOCKETS_A_DOOR; i++)
        sockets.push(new net.BoundSocket({ ...address, reusePort: true }));
    return sockets;
  } catch (thrown) {
    for (const socket of sockets) socket.close();
    throw thrown;
  }
}

/** For each door what `of` makes of where it is. */
function eachDoor<At, To>({ http, tls, inside }: DoorsAt<At>, of: (at: At) => To): DoorsAt<To> {
  return { http: of(http), tls: tls && of(tls), inside: inside && of(inside) };
}

/** Where others may listen too. */
export function sharedDoors(doors: DoorsAt<Address>): DoorsAt {
  return eachDoor(doors, (address) => ({ ...address, reusePort: true }));
}

/** Where nobody listens so far. Errors: what binding gives, e.g. EADDRINUSE, EACCES, EADDRNOTAVAIL, ENOTFOUND. */
export async function exclusiveDoors({ http, tls, inside }: DoorsAt<Address>): Promise<DoorsAt<Address>> {
  return {
    http: await exclusive(http),
    tls: tls && (await exclusive(tls)),
    inside: inside && (await exclusive(inside)),
  };
}

/**
 * The address as a number, with a port that nobody listens on. Asked without SO_REUSEPORT, which would let two programs of one
 * user share a port without a word.
 */
async function exclusive({ host, port }: Address): Promise<Address> {
  // Bound sockets take addresses, not names.
  const address = net.isIP(host) === 0 ? (await lookup(host)).address : host;
  for (let attempt = 1; ; attempt++) {
    try {
      return { host: address, port: await listenOnce(address, port) };
    } catch (thrown) {
      if ((thrown as NodeJS.ErrnoException).code !== 'EADDRINUSE' || attempt === TAKEN_TRIES) throw thrown;
      await pause(TAKEN_PAUSE_MS);
    }
  }
}

function listenOnce(host: string, port: number): Promise<number> {
  const { promise, resolve, reject } = Promise.withResolvers<number>();
  const server = net.createServer((socket) => socket.destroy());
  server.once('error', reject);
  server.listen({ host, port, exclusive: true }, () => {
    const address = server.address() as net.AddressInfo;
    server.close(() => resolve(address.port));
  });
  return promise;
}
