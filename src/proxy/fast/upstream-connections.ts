/**
 * Connections to containers that are kept between requests, the last used first. A container that is taken out of use loses
 * its idle ones at once and the others when their answer is over: a kept connection would hold up its stop, and one to a
 * container that was replaced would answer for the wrong one.
 */
import type { Endpoint } from '../control-plane.ts';
import { ResponseHead } from '../http1/response-head.ts';
import type { TransportLimits } from '../limits.ts';
import type { Deadlines } from './deadlines.ts';
import type { ReadMemory } from './reading.ts';
import { UpstreamConnection } from './upstream-connection.ts';
import type { Asker } from './upstream-connection.ts';

/** An app that says how long it keeps a connection is believed, less this: its farewell may be on its way. */
const MARGIN_MS = 500;
/** Heads that no connection of a container reads with at the moment. */
const KEPT_HEADS = 16;

/** One container's connections. */
export class Shelf {
  readonly host: string;
  readonly port: number;
  /** The last used one last. */
  readonly idle: UpstreamConnection[] = [];
  /** Nothing is put here any more. */
  retired = false;
  readonly #heads: ResponseHead[] = [];

  constructor({ host, port }: Endpoint) {
    this.host = host;
    this.port = port;
  }

  /**
   * To read the head of an answer with. The last one that was given back: it knows what the app has said last, on whatever
   * connection, and is still in the processor's cache.
   */
  takeHead(): ResponseHead {
    return this.#heads.pop() ?? new ResponseHead();
  }

  /** The head that was read with it was whole, and nobody asks for what it said any more. */
  giveHead(head: ResponseHead): void {
    if (this.#heads.length < KEPT_HEADS) this.#heads.push(head);
  }
}

export interface UpstreamConnectionsOptions {
  readonly deadlines: Deadlines;
  readonly memory: ReadMemory;
  readonly limits: Pick<TransportLimits, 'upstreamKeepAliveMs' | 'upstreamIdleConnections'>;
}

export class UpstreamConnections {
  readonly memory: ReadMemory;
  readonly #options: UpstreamConnectionsOptions;
  readonly #shelves = new Map<string, Shelf>();

  constructor(options: UpstreamConnectionsOptions) {
    this.#options = options;
    this.memory = options.memory;
  }

  /** An idle one, or undefined. */
  take(endpoint: Endpoint): UpstreamConnection | undefined {
    const connection = this.#shelf(endpoint).idle.pop();
    if (connection === undefined) return undefined;
    connection.reused = true;
    connection.withoutDeadline();
    return connection;
  }

  /** A new one; `asker` is told how that ends. `once`: it is not kept afterwards. */
  open(endpoint: Endpoint, asker: Asker, once: boolean): UpstreamConnection {
    const shelf = once ? new Shelf(endpoint) : this.#shelf(endpoint);
    if (once) shelf.retired = true;
    return new UpstreamConnection(this, shelf, asker);
  }

  /** Its answer is over and it can have another request. */
  keep(connection: UpstreamConnection): void {
    const { deadlines, limits } = this.#options;
    const { shelf, keepAliveTimeoutSeconds: said } = connection;
    const idleMs =
      said < 0 ? limits.upstreamKeepAliveMs : Math.min(limits.upstreamKeepAliveMs, said * 1_000 - MARGIN_MS);
    if (shelf.retired || idleMs <= 0 || shelf.idle.length >= limits.upstreamIdleConnections) {
      connection.destroy();
      return;
    }
    shelf.idle.push(connection);
    deadlines.after(connection, idleMs);
  }

  /** It expires then, if nothing else has come of it. */
  waitFor(connection: UpstreamConnection, ms: number): void {
    this.#options.deadlines.after(connection, ms);
  }

  /** It is closed, or about to be. */
  forget(connection: UpstreamConnection): void {
    this.#options.deadlines.remove(connection);
    const at = connection.shelf.idle.indexOf(connection);
    if (at !== -1) connection.shelf.idle.splice(at, 1);
  }

  retire(containerId: string): void {
    const shelf = this.#shelves.get(containerId);
    if (shelf === undefined) return;
    this.#shelves.delete(containerId);
    shelf.retired = true;
    for (const connection of [...shelf.idle]) connection.destroy();
  }

  close(): void {
    for (const containerId of [...this.#shelves.keys()]) this.retire(containerId);
  }

  #shelf(endpoint: Endpoint): Shelf {
    const { containerId, host, port } = endpoint;
    const known = this.#shelves.get(containerId);
    if (known !== undefined && known.port === port && known.host === host) return known;
    this.retire(containerId);
    const shelf = new Shelf(endpoint);
    this.#shelves.set(containerId, shelf);
    return shelf;
  }
}
