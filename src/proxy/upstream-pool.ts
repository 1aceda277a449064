/**
 * Connections to containers, kept between requests, one pool per container. A container that is taken out of use loses its
 * idle connections at once and the others when their request is done: a kept connection would hold up its stop, and one
 * to a container that was replaced would answer for the wrong one.
 */
import { Agent, request } from 'node:http';
import type { ClientRequest } from 'node:http';
import type { Endpoint } from './control-plane.ts';

export interface UpstreamRequest {
  readonly method: string;
  readonly path: string;
  /** Names and values in turn. */
  readonly headers: readonly string[];
  /** On a connection of its own that is closed afterwards. */
  readonly fresh: boolean;
}

export class UpstreamPool {
  readonly #keepAliveMs: number;
  readonly #idleConnections: number;
  readonly #agents = new Map<string, Agent>();

  constructor(limits: { readonly upstreamKeepAliveMs: number; readonly upstreamIdleConnections: number }) {
    this.#keepAliveMs = limits.upstreamKeepAliveMs;
    this.#idleConnections = limits.upstreamIdleConnections;
  }

  /** Containers that connections are kept for. */
  get size(): number {
    return this.#agents.size;
  }

  /** Begins a request; nothing is sent before its connection stands. Throws where Node refuses a header or the path. */
  request(endpoint: Endpoint, { method, path, headers, fresh }: UpstreamRequest): ClientRequest {
    return request({
      host: endpoint.host,
      port: endpoint.port,
      method,
      path,
      headers,
      agent: fresh ? false : this.#agent(endpoint.containerId),
    });
  }

  retire(containerId: string): void {
    const agent = this.#agents.get(containerId);
    if (agent === undefined) return;
    this.#agents.delete(containerId);
    agent.maxFreeSockets = 0; // those in use end with their request
    for (const sockets of Object.values(agent.freeSockets))
      for (const socket of sockets ?? []) socket.destroy();
  }

  close(): void {
    for (const containerId of [...this.#agents.keys()]) this.retire(containerId);
  }

  #agent(containerId: string): Agent {
    let agent = this.#agents.get(containerId);
    if (agent === undefined) {
      agent = new Agent({
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
