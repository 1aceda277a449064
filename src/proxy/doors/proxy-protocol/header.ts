/**
 * The header that a load balancer puts before the bytes of a connection, to say whose it is: the PROXY protocol, versions 1
 * (text) and 2 (binary), by haproxy.org/download/2.9/doc/proxy-protocol.txt. One pure function; what could be read in two
 * ways is refused, and nothing is looked at beyond a bound.
 */
import { INCOMPLETE, refused } from './result.ts';
import type { ProxyHeader } from './result.ts';
import { readV1, V1_START } from './v1.ts';
import { readV2, V2_SIGNATURE } from './v2.ts';

/** Reads the header at the start of what a connection has sent so far. */
export function readProxyHeader(bytes: Buffer): ProxyHeader {
  if (beginsLike(bytes, V2_SIGNATURE)) return bytes.length < V2_SIGNATURE.length ? INCOMPLETE : readV2(bytes);
  if (beginsLike(bytes, V1_START)) return bytes.length < V1_START.length ? INCOMPLETE : readV1(bytes);
  return refused('it does not begin as a PROXY header does');
}

/** As far as both go. */
function beginsLike(bytes: Buffer, start: Buffer): boolean {
  const length = Math.min(bytes.length, start.length);
  return bytes.compare(start, 0, length, 0, length) === 0;
}
