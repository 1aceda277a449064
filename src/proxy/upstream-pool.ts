/**
 * Connections to containers, kept between requests, one pool per container. A container that is taken out of use loses its
 * idle connections at once and the others when their request is done: a kept connection would hold up its stop, and one
 * to a container that was replaced would answer for the wrong one.
 */
import { request } from 'node:http';
import type { Clock } from '../clock.ts';
import { AppAgent, hearOut } from './app-agent.ts';
import type { Endpoint } from './control-plane.ts';
import { H2cPool } from './h2/h2c-pool.ts';
import { DEFAULT_RESPONSE_HEAD_LIMITS } from './http1/limits.ts';
import type { OutgoingRequest } from './upstream-side.ts';

export interface UpstreamRequest {
  readonly method: string;
  readonly path: string;
  /** Names and values in turn. */
  readonly headers: readonly string[];
  readonly hasBody: boolean;
  /** On a connection of its own that is closed afterwards. */
  readonly fresh: boolean;
}

export interface UpstreamPoolOptions {
  readonly clock: Clock;
  readonly limits: {
    readonly connectTimeoutMs: number;
    readonly upstreamKeepAliveMs: number;
    readonly upstreamIdleConnections: number;
  };
}

export class UpstreamPool {
  readonly #clock: Clock;
  readonly #keepAliveMs: number;
  readonly #idleConnections: number;
  readonly #agents = new Map<string, AppAgent>();
  readonly #h2c: H2cPool;

  constructor({ clock, limits }: UpstreamPoolOptions) {
    this.#clock = clock;
    this.#h2c = new H2cPool({ clock, keepAliveMs: limits.upstreamKeepAliveMs });
    this.#keepAliveMs = limits.upstreamKeepAliveMs;
    this.#idleConnections = limits.upstreamIdleConnections;
  }

  /** Containers that connections are kept for. */
  get size(): number {
    return this.#agents.size + this.#h2c.size;
  }

  /** Begins a request; nothing is sent before its connection stands. Throws where Node refuses a header or the path. */
  request(endpoint: Endpoint, outgoing: UpstreamRequest): OutgoingRequest {
    if (endpoint.protocol === 'h2c') return this.#h2c.request(endpoint, outgoing);
    const { method, path, headers, fresh } = outgoing;
    const sent = request({
      host: endpoint.host,
      port: endpoint.port,
      method,
      path,
      headers,
      agent: fresh ? new AppAgent() : this.#agent(endpoint.containerId),
      // Node's own bound is a quarter of it.
      maxHeaderSize: DEFAULT_RESPONSE_HEAD_LIMITS.headBytes,
    });
    // With a limit, fields of the answer beyond it are dropped without a word.
    sent.maxHeadersCount = 0;
    hearOut(sent, this.#clock);
    return sent;
  }

  retire(containerId: string): void {
    this.#h2c.retire(containerId);
    const agent = this.#agents.get(containerId);
    if (agent === undefined) return;
    this.#agents.delete(containerId);
    agent.maxFreeSockets = 0; // those in use end with their request
    for (const sockets of Object.values(agent.freeSockets))
      for (const socket of sockets ?? []) socket.destroy();
  }

  close(): void {
    for (const containerId of [...this.#agents.keys()]) this.retire(containerId);
    this.#h2c.close();
  }

  #agent(containerId: string): AppAgent {
    let agent = this.#agents.get(containerId);
    if (agent === undefined) {
      agent = new AppAgent({
        keepAlive: true,
        maxFreeSockets: this.#idleConnections,
        timeout: this.#keepAliveMs,
        scheduling: 'lifo',
      });
      this.#agents.set(containerId, agent);
    }
    return agent;
  }
}
