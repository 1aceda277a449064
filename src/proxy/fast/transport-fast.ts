/**
 * The transport on plain sockets: heads are read and written as bytes, bodies passed on by their framing. What it does not
 * vouch for goes to the transport on node:http, on the connection that it came on.
 */
import { createServer, isIPv6 } from 'node:net';
import type { AddressInfo, BlockList, Server, Socket } from 'node:net';
import { BufferSweep } from '../buffer-sweep.ts';
import { newCounters } from '../counters.ts';
import type { ProxyCounters } from '../counters.ts';
import { plainAddress } from '../forward-headers.ts';
import { Origin } from '../http1/origin.ts';
import { LatencyHistogram } from '../latency.ts';
import { HttpTransport } from '../transport-http.ts';
import type { Transport, TransportOptions } from '../transport.ts';
import { Client } from './client.ts';
import type { FastContext } from './context.ts';
import { Deadlines } from './deadlines.ts';
import { Scratch } from './scratch.ts';
import { UpstreamConnections } from './upstream-connections.ts';

export class FastTransport implements Transport {
  readonly counters: ProxyCounters;
  readonly latency: LatencyHistogram;
  readonly #options: TransportOptions;
  readonly #fallback: HttpTransport;
  readonly #upstreams: UpstreamConnections;
  readonly #context: FastContext;
  readonly #server: Server;
  readonly #clients = new Set<Client>();
  #open = 0;
  #closing = false;
  #closed: Promise<void> | undefined;
  #onIdle: (() => void)[] = [];

  constructor(options: TransportOptions) {
    const { clock, limits } = options;
    this.#options = options;
    this.counters = options.counters ?? newCounters();
    this.latency = options.latency ?? new LatencyHistogram();
    this.#fallback = new HttpTransport({ ...options, counters: this.counters, latency: this.latency });
    const deadlines = new Deadlines(clock);
    const sweep = new BufferSweep();
    this.#upstreams = new UpstreamConnections({ clock, deadlines, sweep, limits });
    this.#context = this.#createContext(deadlines, sweep);
    // Handed over or not: a client that ends its side is answered by whoever serves it.
    this.#server = createServer({ allowHalfOpen: true, noDelay: true }, (socket) => this.#accept(socket));
    this.#server.maxConnections = limits.connections;
  }

  listen({ host, port }: { readonly host: string; readonly port: number }): Promise<number> {
    return new Promise((resolve, reject) => {
      this.#server.once('error', reject);
      this.#server.listen({ host, port }, () => {
        this.#server.off('error', reject);
        this.#server.on('error', (error) =>
          this.#options.log.error({ err: error }, 'accepting connections failed'),
        );
        resolve((this.#server.address() as AddressInfo).port);
      });
    });
  }

  retire(containerId: string): void {
    this.#upstreams.retire(containerId);
    this.#fallback.retire(containerId);
  }

  async drain(): Promise<void> {
    void this.#stopListening();
    await Promise.all([this.#idle(), this.#fallback.drain()]);
  }

  async close(): Promise<void> {
    const closed = this.#stopListening();
    for (const client of this.#clients) client.closeSoon();
    const fallback = this.#fallback.close();
    // An answer that a client does not take would keep its connection: what has not left by now does not.
    await new Promise((resolve) => setImmediate(resolve));
    for (const client of this.#clients) client.abort();
    this.#upstreams.close();
    await Promise.all([closed, fallback, this.#idle()]);
  }

  async #idle(): Promise<void> {
    if (this.#open > 0) await new Promise<void>((resolve) => this.#onIdle.push(resolve));
  }

  #stopListening(): Promise<void> {
    this.#closing = true;
    // Busy connections are told to close with their answer.
    for (const client of this.#clients) if (client.idle) client.closeSoon();
    this.#closed ??= new Promise((resolve) => this.#server.close(() => resolve()));
    return this.#closed;
  }

  #createContext(deadlines: Deadlines, sweep: BufferSweep): FastContext {
    const { dispatcher, clock, log, limits } = this.#options;
    const isClosing = () => this.#closing;
    return {
      ...{ dispatcher, clock, log, limits, deadlines, sweep },
      upstreams: this.#upstreams,
      counters: this.counters,
      latency: this.latency,
      requestLog: this.#options.requestLog,
      scratch: new Scratch(),
      begun: () => {
        this.#open++;
      },
      ended: () => {
        if (--this.#open > 0) return;
        for (const resolve of this.#onIdle.splice(0)) resolve();
      },
      get closing() {
        return isClosing();
      },
      handOver: (client) => {
        this.#clients.delete(client);
        this.#fallback.adopt(client.socket);
      },
      gone: (client) => void this.#clients.delete(client),
    };
  }

  #accept(socket: Socket): void {
    const { refuseFrom, trustedProxies } = this.#options;
    const address = socket.remoteAddress;
    if (address === undefined) {
      socket.destroy(); // it has gone again
      return;
    }
    if (refuseFrom !== undefined && isListed(refuseFrom, address)) {
      this.counters.refusedConnections++;
      socket.destroy();
      return;
    }
    const peer = plainAddress(address);
    const trusted = trustedProxies !== undefined && isListed(trustedProxies, peer);
    this.#clients.add(new Client(this.#context, socket, new Origin({ peer, protocol: 'http', trusted })));
  }
}

function isListed(list: BlockList, address: string): boolean {
  return list.check(address, isIPv6(address) ? 'ipv6' : 'ipv4');
}
