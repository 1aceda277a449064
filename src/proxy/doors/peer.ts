/** Who is connected, as its door has found out: what is said to apps about where a request came from. */
import type { Guest } from '../guests.ts';

export interface Peer {
  /** Of the client itself where a load balancer has told it; an IPv4 one in its own notation, not mapped into IPv6. */
  readonly address: string;
  /** What the client speaks with us. */
  readonly protocol: 'http' | 'https';
  /** Whether its word on where a request came from is believed. */
  readonly trusted: boolean;
  /** A container, which may ask for what its app needs and for nothing else. Left out: a visitor. */
  readonly guest?: Guest | undefined;
}
