/** Which upstream a request is for, as simply as a program can have it: a map of hosts. */
import { readFileSync } from 'node:fs';
import type { NodePeerConfig } from '../node-peers.ts';

export interface Router {
  /** Where the peer is to listen, on 127.0.0.1. */
  readonly port: number;
  /** Undefined for a host that is nobody's. */
  readonly upstreamPort: (host: string | undefined) => number | undefined;
}

export function readRouter(configPath = ''): Router {
  const config = JSON.parse(readFileSync(configPath, 'utf8')) as NodePeerConfig;
  const { port, upstreamPorts, hostsByApp } = config;
  if (!hostsByApp) return { port, upstreamPort: () => upstreamPorts[0] };
  const byHost = new Map(
    hostsByApp.flatMap((hosts, app) => hosts.map((host) => [host, upstreamPorts[app]] as const)),
  );
  return { port, upstreamPort: (host = '') => byHost.get(host) };
}
