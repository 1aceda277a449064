/**
 * The sockets that workers listen on. Each worker's place has one of its own on the same address (SO_REUSEPORT): the kernel
 * spreads connections over them by a hash of the addresses, so about evenly.
 *
 * The control process binds them and keeps them open, without listening itself; a worker is given its socket as an open
 * file. So the queue of connections that nobody has accepted yet belongs to the place and not to the worker: when a worker
 * is replaced, or killed, they wait for its successor and none is reset.
 *
 * A Node without `net.BoundSocket` (before 24.17 and 26.4) has no public way to that. There each worker binds for itself, and
 * what waits in its queue when it closes is reset by the kernel: docs/decisions/workers.md has the figures.
 */
import { lookup } from 'node:dns/promises';
import * as net from 'node:net';
import { setTimeout as pause } from 'node:timers/promises';
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
  readonly port: number;
  readonly tlsPort: number | undefined;
  readonly places: readonly WorkerPlace[];
  readonly #kept: readonly net.BoundSocket[];

  private constructor(
    ports: DoorsAt<number>,
    places: readonly WorkerPlace[],
    kept: readonly net.BoundSocket[],
  ) {
    this.port = ports.http;
    this.tlsPort = ports.tls;
    this.places = places;
    this.#kept = kept;
  }

  /**
   * `keep: false`: workers bind for themselves, as on a Node that cannot do otherwise. Errors: what binding gives, e.g.
   * EADDRINUSE where anybody else listens on the port, EACCES, EADDRNOTAVAIL, ENOTFOUND.
   */
  static async open(
    doors: DoorsAt<Address>,
    workers: number,
    keep = 'BoundSocket' in net,
  ): Promise<WorkerSockets> {
    const http = await exclusive(doors.http);
    const tls = doors.tls && (await exclusive(doors.tls));
    const ports = { http: http.port, tls: tls?.port };
    const kept: net.BoundSocket[] = [];
    const bind = (address: Address, fds: number[]): ListenAt => {
      if (!keep) return { ...address, reusePort: true };
      const socket = new net.BoundSocket({ ...address, reusePort: true });
      kept.push(socket);
      fds.push(socket.fd());
      return { fd: FIRST_INHERITED_FD + fds.length - 1 };
    };
    try {
      const places = Array.from({ length: workers }, () => {
        const fds: number[] = [];
        return { listen: { http: bind(http, fds), tls: tls && bind(tls, fds) }, fds };
      });
      return new WorkerSockets(ports, places, kept);
    } catch (thrown) {
      for (const socket of kept) socket.close();
      throw thrown;
    }
  }

  close(): void {
    for (const socket of this.#kept) socket.close();
  }
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
