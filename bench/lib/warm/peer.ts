/** A server that is measured, and what it is set up with. */
import type { PeerName } from './scenarios.ts';

export interface Peer {
  readonly name: PeerName;
  /** On 127.0.0.1. */
  readonly port: number;
  /** Its processes now; undefined for `direct`, which is no proxy. */
  readonly pids: (() => number[]) | undefined;
  /** It is compiled while it runs, and needs longer to become as fast as it gets. */
  readonly isJit: boolean;
}

export interface TlsFiles {
  readonly certPath: string;
  readonly keyPath: string;
  /** Both in one file. */
  readonly pemPath: string;
}

/** The same for every peer of a bed. Lists are by app. */
export interface Setup {
  /** Where each app's container listens on 127.0.0.1. */
  readonly upstreamPorts: readonly number[];
  /** Each app's hosts; undefined where there is one app and every host is its own. */
  readonly hostsByApp: readonly (readonly string[])[] | undefined;
  readonly tls: TlsFiles | undefined;
  readonly accessLog: boolean;
}
