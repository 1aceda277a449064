/**
 * A certificate and its key, as people hand them over: PEM texts that are read, held against each other, and told apart from
 * what is wrong with them. No message ever carries a part of a key.
 */
import { createPrivateKey, X509Certificate } from 'node:crypto';
import type { KeyObject } from 'node:crypto';
import { createSecureContext } from 'node:tls';
import { parseHostPattern } from './hostname.ts';
import { keyFault } from './private-key.ts';

export interface PemPair {
  /** The certificate first, then what leads from it to a root. */
  readonly chainPem: string;
  readonly keyPem: string;
}

export interface CertificateFacts {
  /** Normalised DNS names that it is for: exact, or `*.` before a name, for exactly one label (RFC 9525 §6.3). */
  readonly names: readonly string[];
  readonly issuer: string;
  /** SHA-256 of the certificate, in hex with colons. */
  readonly fingerprint: string;
  readonly notBeforeMs: number;
  readonly expiresAtMs: number;
}

/** What is wrong, and with which of the two. */
export class CertificateFault extends Error {
  readonly part: 'chain' | 'key';

  constructor(part: 'chain' | 'key', reason: string) {
    super(reason);
    this.part = part;
  }
}

/** A chain is a handful of certificates of two kilobytes each. */
export const MAX_CHAIN_BYTES = 64 * 1024;
export const MAX_KEY_BYTES = 16 * 1024;
const MAX_CHAIN = 10;
const CERTIFICATE = /-----BEGIN CERTIFICATE-----[^-]*-----END CERTIFICATE-----/g;

/** Errors: `CertificateFault`. Whether it has expired is left to whoever asks. */
export function readCertificate({ chainPem, keyPem }: PemPair): CertificateFacts {
  const chain = readChain(chainPem);
  const [leaf] = chain;
  if (leaf === undefined) throw new CertificateFault('chain', 'holds no certificate in PEM');
  const key = readKey(keyPem);
  const fault = keyFault(key);
  if (fault !== undefined) throw new CertificateFault('key', fault);
  if (!leaf.checkPrivateKey(key)) throw new CertificateFault('key', 'is not the key of the certificate');
  try {
    createSecureContext({ cert: chainPem, key: keyPem });
  } catch (error) {
    // OpenSSL names what it does not take (a key that is too short, a hash that is too weak), never what is in it.
    throw new CertificateFault('chain', `is not taken by OpenSSL: ${(error as Error).message}`);
  }
  return {
    names: namesOf(leaf),
    issuer: leaf.issuer.replaceAll('\n', ', '),
    fingerprint: leaf.fingerprint256,
    notBeforeMs: Date.parse(leaf.validFrom),
    expiresAtMs: Date.parse(leaf.validTo),
  };
}

/** Whether a name of a certificate is the host, or stands for it. Both normalised; `host` is exact. */
export function covers(name: string, host: string): boolean {
  if (name === host) return true;
  return name.startsWith('*.') && host.indexOf('.') > 0 && host.slice(host.indexOf('.')) === name.slice(1);
}

function readChain(pem: string): X509Certificate[] {
  if (pem.length > MAX_CHAIN_BYTES)
    throw new CertificateFault('chain', `is larger than ${MAX_CHAIN_BYTES} bytes`);
  const blocks = pem.match(CERTIFICATE) ?? [];
  if (blocks.length > MAX_CHAIN)
    throw new CertificateFault('chain', `holds more than ${MAX_CHAIN} certificates`);
  return blocks.map((block, i) => {
    try {
      return new X509Certificate(block);
    } catch {
      throw new CertificateFault('chain', `holds something as its certificate ${i + 1} that is none`);
    }
  });
}

function readKey(pem: string): KeyObject {
  if (pem.length > MAX_KEY_BYTES) throw new CertificateFault('key', `is larger than ${MAX_KEY_BYTES} bytes`);
  try {
    return createPrivateKey(pem);
  } catch {
    const encrypted = /-----BEGIN ENCRYPTED|^Proc-Type: 4,ENCRYPTED/m.test(pem);
    throw new CertificateFault(
      'key',
      encrypted ? 'is locked with a passphrase' : 'is not a private key in PEM',
    );
  }
}

/** One of its own kind: `DNS:a.example`, or with a value in JSON's quotes where that could be misread. */
const ALTERNATIVE = /\s*([^:]+):("(?:[^"\\]|\\.)*"|[^,]*)(?:,|$)/y;

/** What it says to be for; what is no hostname (an address, a mailbox) is left out. The subject counts for nothing. */
function namesOf({ subjectAltName = '' }: X509Certificate): string[] {
  const names = new Set<string>();
  ALTERNATIVE.lastIndex = 0;
  for (
    let match = ALTERNATIVE.exec(subjectAltName);
    match !== null;
    match = ALTERNATIVE.exec(subjectAltName)
  ) {
    const [, type, value = ''] = match;
    const parsed = type === 'DNS' ? parseHostPattern(value) : undefined;
    if (parsed?.ok === true) names.add(parsed.pattern);
    if (ALTERNATIVE.lastIndex >= subjectAltName.length) break;
  }
  return [...names];
}
