/** The transports of a data plane as one: each connection goes to the one that speaks its protocol. */
import type { Socket } from 'node:net';
import { TLSSocket } from 'node:tls';
import type { ProxyCounters } from './counters.ts';
import type { Peer } from './doors/peer.ts';
import { FastTransport } from './fast/transport-fast.ts';
import { H2Transport } from './h2/transport-h2.ts';
import type { LatencyHistogram } from './latency.ts';
import { HttpTransport } from './transport-http.ts';
import type { Transport, TransportOptions } from './transport.ts';

export class Transports implements Transport {
  readonly counters: Readonly<ProxyCounters>;
  readonly latency: LatencyHistogram;
  readonly #pool: TransportOptions['pool'];
  readonly #http1: Transport;
  readonly #http2: Transport;

  /** `http1`: what serves HTTP/1.1; `http` is node:http for all of it. */
  constructor(options: TransportOptions, http1: 'fast' | 'http') {
    this.counters = options.counters;
    this.latency = options.latency;
    this.#pool = options.pool;
    this.#http2 = new H2Transport(options);
    this.#http1 =
      http1 === 'http'
        ? new HttpTransport(options)
        : new FastTransport(options, (socket, peer) => this.#http2.accept(socket, peer));
  }

  /** Over TLS the client has chosen; on a plain connection its first bytes will tell. */
  accept(socket: Socket, peer: Peer): void {
    const chosen = socket instanceof TLSSocket && socket.alpnProtocol === 'h2' ? this.#http2 : this.#http1;
    chosen.accept(socket, peer);
  }

  retire(containerId: string): void {
    this.#http1.retire(containerId);
    this.#http2.retire(containerId);
  }

  closeAfterNext(): void {
    this.#http1.closeAfterNext();
    this.#http2.closeAfterNext();
  }

  async drain(): Promise<void> {
    await Promise.all([this.#http1.drain(), this.#http2.drain()]);
  }

  async close(): Promise<void> {
    const closed = Promise.all([this.#http1.close(), this.#http2.close()]);
    this.#pool.close();
    await closed;
  }
}
