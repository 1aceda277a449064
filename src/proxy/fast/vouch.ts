/**
 * What the fast path serves itself, decided in this one place. Everything else goes, on the connection it came on, to the
 * transport on node:http or, of HTTP/2, on node:http2, which then keeps that connection: the same routes, admission, balancing
 * and counters, with more patience for what is seldom. `docs/data-plane.md` has the same as a table.
 */
import { REFUSALS } from '../http1/refusals.ts';
import type { RequestHead } from '../http1/request-head.ts';
import type { Client } from './client.ts';

/** The transports that a connection may be handed to. */
export const HTTP1 = 1;
export const HTTP2 = 2;
export type Elsewhere = typeof HTTP1 | typeof HTTP2;

export function vouchesFor(head: RequestHead): boolean {
  return (
    // Upgrades, absolute-form, `OPTIONS *`, rare methods, no Host, a Host beyond ASCII, unknown expectations; of announced
    // trailers those that may not pass are taken out one by one.
    head.odd === 0 &&
    // An HTTP/1.0 client is sent no chunks and no interim answers, so an answer may have to be taken apart.
    head.minorVersion === 1 &&
    // The body comes only after an interim answer, or never.
    !head.expectsContinue
  );
}

/**
 * A client that knows beforehand that we speak HTTP/2 says so with the first bytes of its connection (RFC 9113 §3.3, §3.4).
 * Over TLS it would have been asked for by ALPN, and behind a request it is no greeting: there it is refused.
 */
export function greetsInHttp2({ head, socket, peer }: Client): boolean {
  return (
    head.refusal === REFUSALS.http2Preface &&
    head.line.start === 0 &&
    socket.bytesWritten === 0 &&
    peer.protocol === 'http'
  );
}
