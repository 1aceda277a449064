/**
 * Which private keys may sign handshakes. Signing is done between requests, for whoever asks for a name, as often as they like: with RSA
 * of 16,384 bits it takes half a second, in which nobody else is served.
 */
import type { KeyObject } from 'node:crypto';

const MIN_RSA_BITS = 2_048;
const MAX_RSA_BITS = 4_096;
/** P-256, P-384 and P-521, as OpenSSL calls them. */
const CURVES = new Set(['prime256v1', 'secp384r1', 'secp521r1']);
const MAY_BE = `it may be RSA of ${MIN_RSA_BITS} to ${MAX_RSA_BITS} bits, EC on P-256, P-384 or P-521, or Ed25519`;

/** Why not this one; undefined: it may. */
export function keyFault(key: KeyObject): string | undefined {
  const { asymmetricKeyType: type = 'of no known kind', asymmetricKeyDetails: details = {} } = key;
  if (type === 'ed25519') return undefined;
  if (type === 'ec') {
    const { namedCurve = 'a curve without a name' } = details;
    return CURVES.has(namedCurve) ? undefined : `is EC on ${namedCurve}, ${MAY_BE}`;
  }
  if (type !== 'rsa') return `is ${type}, ${MAY_BE}`;
  const { modulusLength: bits = 0 } = details;
  if (bits < MIN_RSA_BITS || bits > MAX_RSA_BITS) return `is RSA of ${bits} bits, ${MAY_BE}`;
  return partsFit(key) ? undefined : 'is RSA whose parts do not fit each other';
}

/**
 * OpenSSL takes other parts than the modulus as they are, of any length, and calculates with them. As RFC 8017 §3.2 has them,
 * none is larger than the modulus.
 */
function partsFit(key: KeyObject): boolean {
  const jwk = key.export({ format: 'jwk' });
  const [n, d, p, q, dp, dq, qi] = [jwk.n, jwk.d, jwk.p, jwk.q, jwk.dp, jwk.dq, jwk.qi].map(numberOf);
  if (!n || !d || !p || !q || !dp || !dq || !qi || p === 1n || q === 1n) return false;
  return p * q === n && d < n && dp === d % (p - 1n) && dq === d % (q - 1n) && qi < p && (qi * q) % p === 1n;
}

function numberOf(base64url = ''): bigint {
  return BigInt(`0x0${Buffer.from(base64url, 'base64url').toString('hex')}`);
}
