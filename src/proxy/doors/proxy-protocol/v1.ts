/** Version 1 (§2.1): `PROXY TCP4 192.0.2.1 198.51.100.1 56324 443` CR LF, with exactly one space between two words. */
import { isIPv4, isIPv6 } from 'node:net';
import { INCOMPLETE, refused } from './result.ts';
import type { ProxyHeader } from './result.ts';

export const V1_START = Buffer.from('PROXY ', 'latin1');
/** §2.1: the longest line there is, its CR LF included. */
const MAX_BYTES = 107;

export function readV1(bytes: Buffer): ProxyHeader {
  const cr = bytes.subarray(0, MAX_BYTES).indexOf(0x0d);
  if (cr === -1 || cr + 1 >= MAX_BYTES)
    return bytes.length < MAX_BYTES ? INCOMPLETE : refused(`its line is longer than ${MAX_BYTES} bytes`);
  if (cr + 1 === bytes.length) return INCOMPLETE;
  if (bytes[cr + 1] !== 0x0a) return refused('its line does not end with CR LF');
  const words = bytes.toString('latin1', V1_START.length, cr).split(' ');
  const headerBytes = cr + 2;
  const [family = '', address = '', target = '', port = '', targetPort = ''] = words;
  // Whatever follows UNKNOWN is to be ignored up to the line's end.
  if (family === 'UNKNOWN') return { state: 'complete', headerBytes, source: undefined };
  const isAddress = family === 'TCP4' ? isIPv4 : family === 'TCP6' ? isIPv6Plain : undefined;
  if (isAddress === undefined) return refused('its family is none of TCP4, TCP6 and UNKNOWN');
  if (words.length !== 5) return refused('it has not two addresses and two ports');
  if (!isAddress(address) || !isAddress(target)) return refused(`an address of it is none of ${family}`);
  if (!isPort(port) || !isPort(targetPort)) return refused('a port of it is no number from 0 to 65535');
  return { state: 'complete', headerBytes, source: { address, port: Number(port) } };
}

/** A zone means nothing to another machine. */
function isIPv6Plain(text: string): boolean {
  return isIPv6(text) && !text.includes('%');
}

/** §2.1: without leading zeros. */
function isPort(text: string): boolean {
  return /^(?:0|[1-9]\d{0,4})$/.test(text) && Number(text) <= 65_535;
}
