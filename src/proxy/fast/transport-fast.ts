/**
 * The transport on plain sockets: heads are read and written as bytes, bodies passed on by their framing. What it does not
 * vouch for goes to the transport on node:http, on the connection that it came on.
 */
import type { Socket } from 'node:net';
import { BufferSweep } from '../buffer-sweep.ts';
import type { ProxyCounters } from '../counters.ts';
import type { Peer } from '../doors/peer.ts';
import type { LatencyHistogram } from '../latency.ts';
import { Roll } from '../roll.ts';
import { HttpTransport } from '../transport-http.ts';
import type { Transport, TransportOptions } from '../transport.ts';
import { Client } from './client.ts';
import type { FastContext } from './context.ts';
import { Deadlines } from './deadlines.ts';
import { Heads } from './heads.ts';
import { ReadMemory } from './reading.ts';
import { Scratch } from './scratch.ts';
import { HTTP2 } from './vouch.ts';
import { UpstreamConnections } from './upstream-connections.ts';

export class FastTransport implements Transport {
  readonly counters: ProxyCounters;
  readonly latency: LatencyHistogram;
  readonly #options: TransportOptions;
  readonly #fallback: HttpTransport;
  readonly #upstreams: UpstreamConnections;
  readonly #context: FastContext;
  readonly #clients = new Roll<Client>();
  readonly #acceptHttp2: Transport['accept'];
  #open = 0;
  #closing = false;
  #closesIdle = false;
  #onIdle: (() => void)[] = [];

  /** `acceptHttp2` is given connections that begin with the greeting of HTTP/2; all that was read is put back. */
  constructor(options: TransportOptions, acceptHttp2: Transport['accept']) {
    const { clock, limits } = options;
    this.#options = options;
    this.#acceptHttp2 = acceptHttp2;
    this.counters = options.counters;
    this.latency = options.latency;
    this.#fallback = new HttpTransport(options);
    const deadlines = new Deadlines(clock);
    const memory = new ReadMemory(new BufferSweep());
    this.#upstreams = new UpstreamConnections({ deadlines, memory, limits });
    this.#context = this.#createContext(deadlines, memory);
  }

  accept(socket: Socket, peer: Peer): void {
    this.#clients.add(new Client(this.#context, socket, peer));
  }

  retire(containerId: string): void {
    this.#upstreams.retire(containerId);
    this.#fallback.retire(containerId);
  }

  closeAfterNext(): void {
    this.#closing = true;
    this.#fallback.closeAfterNext();
  }

  async drain(): Promise<void> {
    this.#closeIdle();
    await Promise.all([this.#idle(), this.#fallback.drain()]);
    await Promise.all(this.#clients.all().map((client) => client.taken()));
  }

  async close(): Promise<void> {
    this.#closeIdle();
    for (const client of this.#clients.all()) client.closeSoon();
    const fallback = this.#fallback.close();
    // An answer that a client does not take would keep its connection: what has not left by now does not.
    await new Promise((resolve) => setImmediate(resolve));
    for (const client of this.#clients.all()) client.abort();
    this.#upstreams.close();
    await Promise.all([fallback, this.#idle()]);
  }

  async #idle(): Promise<void> {
    if (this.#open > 0) await new Promise<void>((resolve) => this.#onIdle.push(resolve));
  }

  #closeIdle(): void {
    this.#closing = true;
    this.#closesIdle = true;
    // Busy connections are told to close with their answer.
    for (const client of this.#clients.all()) if (client.idle) client.closeSoon();
  }

  #createContext(deadlines: Deadlines, memory: ReadMemory): FastContext {
    const { dispatcher, clock, failureLog, limits, requestLog } = this.#options;
    const isClosing = () => this.#closing;
    const closesIdle = () => this.#closesIdle;
    return {
      ...{ dispatcher, clock, failureLog, limits, deadlines, memory },
      upstreams: this.#upstreams,
      counters: this.counters,
      latency: this.latency,
      requestLog,
      heads: new Heads(
        {
          headBytes: limits.headerBytes,
          targetBytes: limits.targetBytes,
          fieldLines: limits.headerBytes, // as many as there is room for
        },
        requestLog !== undefined,
      ),
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
      get closesIdle() {
        return closesIdle();
      },
      handOver: (client, to) => {
        this.#clients.delete(client);
        if (to === HTTP2) this.#acceptHttp2(client.socket, client.peer);
        else this.#fallback.accept(client.socket, client.peer);
      },
      gone: (client) => this.#clients.delete(client),
    };
  }
}
