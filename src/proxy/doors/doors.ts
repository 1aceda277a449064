/**
 * Where clients come in. Every door takes connections by the same rules: not from the containers' networks, not more than a
 * bound in all, behind a load balancer with the address it tells first, over TLS only once that stands. The inside door is
 * for those whom the others refuse: from containers, as guests, and from nobody else. What has passed is somebody else's.
 */
import { createServer } from 'node:net';
import type { AddressInfo, ListenOptions, Server, Socket } from 'node:net';
import type { Clock } from '../../clock.ts';
import { plainAddress } from '../../networks.ts';
import type { Networks } from '../../networks.ts';
import type { ConnectionRefusal, ProxyCounters } from '../counters.ts';
import { mayHave } from '../fair-share.ts';
import type { Guests } from '../guests.ts';
import type { TransportLimits } from '../limits.ts';
import type { ProxyLog } from '../transport.ts';
import type { Peer } from './peer.ts';
import { readOrigin } from './proxy-protocol/read-origin.ts';
import { remoteAddressOf } from './remote-address.ts';
import type { TlsStage } from './tls-stage.ts';

/**
 * An address, port 0 for any free one, with `reusePort` by `SOCKETS_A_DOOR` sockets; or sockets that are bound to it already, as
 * open files.
 */
export type ListenAt =
  | { readonly host: string; readonly port: number; readonly reusePort?: boolean | undefined }
  | { readonly fds: readonly number[] };

/**
 * libuv accepts one connection from a socket in each turn of the event loop. With several sockets on one address (SO_REUSEPORT) that
 * is several connections, which share what a turn costs: docs/performance.md has the figures.
 */
export const SOCKETS_A_DOOR = 8;

export interface DoorsOptions {
  readonly clock: Clock;
  readonly log: ProxyLog;
  readonly limits: Pick<TransportLimits, 'connections' | 'guestConnections' | 'headersTimeoutMs'>;
  readonly counters: ProxyCounters;
  /** The containers' own networks, from which no connection is taken but at the inside door. */
  readonly refuseFrom: Networks | undefined;
  /** Peers whose `X-Forwarded-*` and `Forwarded` are believed and added to. */
  readonly trustedProxies: Networks | undefined;
  /** Load balancers that begin each connection with a PROXY header. */
  readonly proxyProtocolFrom: Networks | undefined;
  /** A connection has passed; its bytes from here on are HTTP. Over TLS, `socket` is a TLSSocket. */
  readonly enter: (socket: Socket, peer: Peer) => void;
}

/** That there are too many is said this often. */
const COMPLAIN_EVERY_MS = 60_000;

export class Doors {
  readonly #options: DoorsOptions;
  readonly #servers: Server[] = [];
  /** Connections that have not passed yet. */
  readonly #waiting = new Set<Socket>();
  #connections = 0;
  /** How many of them are containers', in all and by address. */
  #guests = 0;
  readonly #guestsAt = new Map<string, number>();
  #complainAtMs = -Infinity;
  #shut: Promise<unknown> | undefined;
  #closed = false;

  constructor(options: DoorsOptions) {
    this.#options = options;
  }

  /** Resolves with the port. With `tls`, clients are taken over TLS. Errors: what `listen` gives, e.g. EADDRINUSE. */
  open(address: ListenAt, tls?: TlsStage): Promise<number> {
    return this.#listen(address, (socket) => this.#accept(socket, tls));
  }

  /** The same, for containers. */
  openInside(address: ListenAt, guests: Guests): Promise<number> {
    return this.#listen(address, (socket) => this.#acceptGuest(socket, guests));
  }

  async #listen(at: ListenAt, accept: (socket: Socket) => void): Promise<number> {
    let port = 0;
    if ('fds' in at) {
      for (const fd of at.fds) port = await this.#listenOne({ fd }, accept);
      return port;
    }
    port = await this.#listenOne(at, accept);
    if (at.reusePort === true)
      for (let i = 1; i < SOCKETS_A_DOOR; i++) await this.#listenOne({ ...at, port }, accept);
    return port;
  }

  #listenOne(
    at: ListenOptions & { readonly fd?: number },
    accept: (socket: Socket) => void,
  ): Promise<number> {
    // A client that ends its side is answered by whoever serves it, who also says TCP_NODELAY where that is of use.
    const server = createServer({ allowHalfOpen: true }, accept);
    return new Promise((resolve, reject) => {
      server.once('error', reject);
      server.listen(at, () => {
        this.#servers.push(server);
        server.off('error', reject);
        server.on('error', (error) =>
          this.#options.log.error({ err: error }, 'accepting connections failed'),
        );
        resolve((server.address() as AddressInfo).port);
      });
    });
  }

  /** Takes no further connection; those that are coming in still do. Resolves when all are closed, which is others' to do. */
  async shut(): Promise<void> {
    this.#shut ??= Promise.all(
      this.#servers.map((server) => new Promise<void>((resolve) => server.close(() => resolve()))),
    );
    await this.#shut;
  }

  /** Nobody comes in any more. Resolves when those that passed are closed, which is others' to do. */
  async close(): Promise<void> {
    this.#closed = true;
    for (const socket of this.#waiting) socket.destroy();
    await this.shut();
  }

  #accept(socket: Socket, tls: TlsStage | undefined): void {
    const { proxyProtocolFrom } = this.#options;
    const address = this.#admit(socket, this.#visitorRefusal);
    if (address === undefined) return;
    if (proxyProtocolFrom?.has(address) === true) this.#awaitOrigin(socket, address, tls);
    else this.#secure(socket, address, tls);
  }

  #acceptGuest(socket: Socket, guests: Guests): void {
    const { enter } = this.#options;
    const address = this.#admit(socket, this.#guestRefusal);
    if (address === undefined) return;
    this.#guestsAt.set(address, (this.#guestsAt.get(address) ?? 0) + 1);
    this.#guests++;
    socket.once('close', () => this.#guestLeft(address));
    enter(socket, { address, protocol: 'http', trusted: false, guest: guests.enter(address) });
  }

  /** Where it comes from, if it may come in; it counts as a connection from here on, else it is closed. */
  #admit(socket: Socket, refusalOf: (from: string) => ConnectionRefusal | undefined): string | undefined {
    const remoteAddress = remoteAddressOf(socket);
    if (remoteAddress === undefined) {
      socket.destroy(); // it has gone again
      return undefined;
    }
    const address = plainAddress(remoteAddress);
    const isFull = this.#connections >= this.#options.limits.connections;
    const refusal = isFull ? 'too_many' : refusalOf(address);
    if (refusal !== undefined) {
      this.#refuse(socket, refusal);
      return undefined;
    }
    this.#connections++;
    socket.on('close', this.#left);
    return address;
  }

  #refuse(socket: Socket, refusal: ConnectionRefusal): void {
    const { counters, clock, log } = this.#options;
    counters.refusedConnections[refusal]++;
    socket.destroy();
    if (refusal !== 'too_many' || clock.monotonicMs() < this.#complainAtMs) return;
    this.#complainAtMs = clock.monotonicMs() + COMPLAIN_EVERY_MS;
    log.warn({ connections: this.#connections, guests: this.#guests }, 'there are too many connections');
  }

  readonly #visitorRefusal = (address: string): ConnectionRefusal | undefined =>
    this.#options.refuseFrom?.has(address) === true ? 'network' : undefined;

  /** Whatever containers do, there is room for visitors; and whatever some of them do, for the others. */
  readonly #guestRefusal = (address: string): ConnectionRefusal | undefined => {
    if (this.#visitorRefusal(address) === undefined) return 'network';
    const { connections, guestConnections } = this.#options.limits;
    const own = this.#guestsAt.get(address) ?? 0;
    const hasRoom = mayHave(1, { own, all: this.#guests, most: Math.ceil(connections / 2) });
    return own < guestConnections && hasRoom ? undefined : 'too_many';
  };

  #guestLeft(address: string): void {
    this.#guests--;
    const left = (this.#guestsAt.get(address) ?? 0) - 1;
    if (left > 0) this.#guestsAt.set(address, left);
    else this.#guestsAt.delete(address);
  }

  readonly #left = (): void => {
    this.#connections--;
  };

  #awaitOrigin(socket: Socket, balancer: string, tls: TlsStage | undefined): void {
    const { clock, limits, log } = this.#options;
    this.#hold(socket);
    readOrigin(socket, { clock, timeoutMs: limits.headersTimeoutMs }, (origin) => {
      this.#waiting.delete(socket);
      if ('refusal' in origin) {
        log.warn({ balancer, reason: origin.refusal }, 'a connection did not begin with a PROXY header');
        this.#refuse(socket, 'proxy_header');
        return;
      }
      this.#secure(socket, origin.address ?? balancer, tls);
      if (tls === undefined) socket.resume();
    });
  }

  #secure(socket: Socket, address: string, tls: TlsStage | undefined): void {
    const trusted = this.#options.trustedProxies?.has(address) === true;
    if (tls === undefined) {
      this.#options.enter(socket, { address, protocol: 'http', trusted });
      return;
    }
    this.#hold(socket);
    socket.setNoDelay(true);
    // Until there is something to answer, one that ends its side has gone.
    socket.allowHalfOpen = false;
    tls.handshake(socket, (secured) => {
      this.#waiting.delete(socket);
      secured.allowHalfOpen = true;
      this.#options.enter(secured, { address, protocol: 'https', trusted });
    });
  }

  #hold(socket: Socket): void {
    if (this.#closed) socket.destroy();
    this.#waiting.add(socket);
    socket.once('close', () => this.#waiting.delete(socket));
  }
}
