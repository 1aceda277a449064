/**
 * Where clients come in. Every door takes connections by the same rules: not from the containers' networks, not more than a
 * bound in all, behind a load balancer with the address it tells first, over TLS only once that stands. What has passed is
 * somebody else's.
 */
import { createServer } from 'node:net';
import type { AddressInfo, BlockList, Server, Socket } from 'node:net';
import type { Clock } from '../../clock.ts';
import type { ProxyCounters } from '../counters.ts';
import { plainAddress } from '../forward-headers.ts';
import type { TransportLimits } from '../limits.ts';
import type { ProxyLog } from '../transport.ts';
import { isListed } from './peer.ts';
import type { Peer } from './peer.ts';
import { readOrigin } from './proxy-protocol/read-origin.ts';
import type { TlsStage } from './tls-stage.ts';

/** An address, port 0 for any free one; or a socket that is bound already, as an open file. */
export type ListenAt =
  | { readonly host: string; readonly port: number; readonly reusePort?: boolean | undefined }
  | { readonly fd: number };

export interface DoorsOptions {
  readonly clock: Clock;
  readonly log: ProxyLog;
  readonly limits: Pick<TransportLimits, 'connections' | 'headersTimeoutMs'>;
  readonly counters: ProxyCounters;
  /** Where no connection is taken from: the containers' own networks. */
  readonly refuseFrom: BlockList | undefined;
  /** Peers whose `X-Forwarded-*` and `Forwarded` are believed and added to. */
  readonly trustedProxies: BlockList | undefined;
  /** Load balancers that begin each connection with a PROXY header. */
  readonly proxyProtocolFrom: BlockList | undefined;
  /** A connection has passed; its bytes from here on are HTTP. Over TLS, `socket` is a TLSSocket. */
  readonly enter: (socket: Socket, peer: Peer) => void;
}

export class Doors {
  readonly #options: DoorsOptions;
  readonly #servers: Server[] = [];
  /** Connections that have not passed yet. */
  readonly #waiting = new Set<Socket>();
  #connections = 0;
  #shut: Promise<unknown> | undefined;
  #closed = false;

  constructor(options: DoorsOptions) {
    this.#options = options;
  }

  /** Resolves with the port. With `tls`, clients are taken over TLS. Errors: what `listen` gives, e.g. EADDRINUSE. */
  open(address: ListenAt, tls?: TlsStage): Promise<number> {
    // A client that ends its side is answered by whoever serves it.
    const server = createServer({ allowHalfOpen: true, noDelay: true }, (socket) =>
      this.#accept(socket, tls),
    );
    return new Promise((resolve, reject) => {
      server.once('error', reject);
      server.listen(address, () => {
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
    const { limits, counters, refuseFrom, proxyProtocolFrom } = this.#options;
    const { remoteAddress } = socket;
    if (remoteAddress === undefined || this.#connections >= limits.connections) {
      socket.destroy(); // it has gone again, or there are too many
      return;
    }
    if (isListed(refuseFrom, remoteAddress)) {
      counters.refusedConnections++;
      socket.destroy();
      return;
    }
    this.#connections++;
    socket.on('close', this.#left);
    const address = plainAddress(remoteAddress);
    if (isListed(proxyProtocolFrom, address)) this.#awaitOrigin(socket, address, tls);
    else this.#secure(socket, address, tls);
  }

  readonly #left = (): void => {
    this.#connections--;
  };

  #awaitOrigin(socket: Socket, balancer: string, tls: TlsStage | undefined): void {
    const { clock, limits, log, counters } = this.#options;
    this.#hold(socket);
    readOrigin(socket, { clock, timeoutMs: limits.headersTimeoutMs }, (origin) => {
      this.#waiting.delete(socket);
      if ('refusal' in origin) {
        counters.refusedConnections++;
        log.warn({ balancer, reason: origin.refusal }, 'a connection did not begin with a PROXY header');
        socket.destroy();
        return;
      }
      this.#secure(socket, origin.address ?? balancer, tls);
      if (tls === undefined) socket.resume();
    });
  }

  #secure(socket: Socket, address: string, tls: TlsStage | undefined): void {
    const trusted = isListed(this.#options.trustedProxies, address);
    if (tls === undefined) {
      this.#options.enter(socket, { address, protocol: 'http', trusted });
      return;
    }
    this.#hold(socket);
    tls.handshake(socket, (secured) => {
      this.#waiting.delete(socket);
      this.#options.enter(secured, { address, protocol: 'https', trusted });
    });
  }

  #hold(socket: Socket): void {
    if (this.#closed) socket.destroy();
    this.#waiting.add(socket);
    socket.once('close', () => this.#waiting.delete(socket));
  }
}
