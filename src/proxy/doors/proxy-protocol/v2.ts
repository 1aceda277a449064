/** Version 2 (§2.2): twelve bytes that no other protocol begins with, command, family, length, addresses, and extensions. */
import { SocketAddress } from 'node:net';
import { INCOMPLETE, refused } from './result.ts';
import type { ProxyHeader } from './result.ts';

export const V2_SIGNATURE = Buffer.from([
  0x0d, 0x0a, 0x0d, 0x0a, 0x00, 0x0d, 0x0a, 0x51, 0x55, 0x49, 0x54, 0x0a,
]);
const FIXED_BYTES = 16;
/**
 * Addresses and extensions together. The format allows 65,535; the certificate of a client is the largest that balancers
 * send, and what is larger than this is not waited for.
 */
const MAX_REST_BYTES = 4_096;

const LOCAL = 0x20;
const PROXY = 0x21;
/** Family and transport, and what their addresses and ports take up. */
const UNSPECIFIED = 0x00;
const TCP4 = 0x11;
const TCP6 = 0x21;
const UNIX_STREAM = 0x31;
const ADDRESS_BYTES = new Map([
  [UNSPECIFIED, 0],
  [TCP4, 12],
  [TCP6, 36],
  [UNIX_STREAM, 216],
]);

/** The signature has been seen. */
export function readV2(bytes: Buffer): ProxyHeader {
  if (bytes.length < FIXED_BYTES) return INCOMPLETE;
  const command = bytes.readUInt8(12);
  const family = bytes.readUInt8(13);
  const restBytes = bytes.readUInt16BE(14);
  if (command !== LOCAL && command !== PROXY) return refused('its version or command is not known');
  if (restBytes > MAX_REST_BYTES) return refused(`it is longer than ${FIXED_BYTES + MAX_REST_BYTES} bytes`);
  // §2.2: the family and the addresses of a LOCAL one are skipped, whatever they are.
  if (command === PROXY) {
    const addressBytes = ADDRESS_BYTES.get(family);
    if (addressBytes === undefined) return refused('it is not about a stream of a known family');
    if (restBytes < addressBytes) return refused('it is too short for its addresses');
  }
  const headerBytes = FIXED_BYTES + restBytes;
  if (bytes.length < headerBytes) return INCOMPLETE;
  const source = command === PROXY ? readSource(bytes, family) : undefined;
  return { state: 'complete', headerBytes, source };
}

/** Source and target address, then source and target port. */
function readSource(bytes: Buffer, family: number): { address: string; port: number } | undefined {
  if (family === TCP4) {
    const address = bytes.subarray(FIXED_BYTES, FIXED_BYTES + 4).join('.');
    return { address, port: bytes.readUInt16BE(FIXED_BYTES + 8) };
  }
  if (family !== TCP6) return undefined;
  const groups = Array.from({ length: 8 }, (_, i) => bytes.readUInt16BE(FIXED_BYTES + 2 * i).toString(16));
  // In the one notation that addresses have everywhere else (RFC 5952).
  const { address } = new SocketAddress({ family: 'ipv6', address: groups.join(':') });
  return { address, port: bytes.readUInt16BE(FIXED_BYTES + 32) };
}
