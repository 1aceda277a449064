import { createPrivateKey, createPublicKey, generateKeyPairSync } from 'node:crypto';
import type { KeyObject } from 'node:crypto';
import { beforeAll, describe, expect, it } from 'vitest';
import { CertificateFault, covers, MAX_CHAIN_BYTES, readCertificate } from '../../src/certificate.ts';
import { keyFault } from '../../src/private-key.ts';
import { makePair } from '../support/certificates.ts';
import type { Pair } from '../support/certificates.ts';

let pair: Pair;
let other: Pair;
beforeAll(async () => {
  pair = await makePair(['Shop.example', '*.shop.example', 'münchen.example']);
  other = await makePair(['other.example'], { keyType: 'rsa' });
});

function faultOf(chainPem: string, keyPem: string): CertificateFault {
  try {
    readCertificate({ chainPem, keyPem });
  } catch (thrown) {
    if (thrown instanceof CertificateFault) return thrown;
    throw thrown;
  }
  throw new Error('the certificate was taken');
}

describe('a certificate and its key', () => {
  it('are read together: the names in one spelling, and when it ends', () => {
    const facts = readCertificate({ chainPem: pair.certPem, keyPem: pair.keyPem });
    expect(facts.names.slice(0, 2)).toEqual(['shop.example', '*.shop.example']);
    expect(facts.fingerprint).toMatch(/^([0-9A-F]{2}:){31}[0-9A-F]{2}$/);
    expect(Math.round((facts.expiresAtMs - facts.notBeforeMs) / 86_400_000)).toBe(30);
    const chain = `${other.certPem}\nsome words between\n${pair.certPem}`;
    expect(readCertificate({ chainPem: chain, keyPem: other.keyPem }).names).toEqual(['other.example']);
  });

  it('are refused where they do not belong together, and the message names which of the two is at fault', () => {
    expect(faultOf(pair.certPem, other.keyPem)).toMatchObject({
      part: 'key',
      message: 'is not the key of the certificate',
    });
    expect(faultOf('', pair.keyPem)).toMatchObject({ part: 'chain', message: 'holds no certificate in PEM' });
    expect(faultOf(pair.keyPem, pair.keyPem)).toMatchObject({ part: 'chain' });
    expect(faultOf(pair.certPem, pair.certPem)).toMatchObject({
      part: 'key',
      message: 'is not a private key in PEM',
    });
    const broken = pair.certPem.replace(/\n[^\n-]{20}/, '\nAAAAAAAAAAAAAAAAAAAA');
    expect(faultOf(broken, pair.keyPem)).toMatchObject({
      part: 'chain',
      message: expect.stringContaining('that is none') as string,
    });
    expect(faultOf(pair.certPem.repeat(11), pair.keyPem).message).toBe('holds more than 10 certificates');
    expect(faultOf(pair.certPem + ' '.repeat(MAX_CHAIN_BYTES), pair.keyPem).message).toContain(
      'is larger than',
    );
  });

  it('are refused with a locked key, whose words are in no message', () => {
    const cipher = { cipher: 'aes-256-cbc', passphrase: 'secret' } as const;
    const pem = (key: KeyObject, options = {}) => key.export({ type: 'pkcs8', format: 'pem', ...options });
    const locked = pem(createPrivateKey(pair.keyPem), cipher);
    const fault = faultOf(pair.certPem, locked);
    expect(fault).toMatchObject({ part: 'key', message: 'is locked with a passphrase' });
    const { privateKey } = generateKeyPairSync('ed25519');
    const strange = pem(privateKey);
    expect(faultOf(pair.certPem, strange).message).not.toContain(strange.split('\n')[1] ?? '');
  });

  it.each([
    ['RSA of 1024 bits', () => generateKeyPairSync('rsa', { modulusLength: 1_024 }).privateKey],
    ['EC on secp256k1', () => generateKeyPairSync('ec', { namedCurve: 'secp256k1' }).privateKey],
    ['rsa-pss', () => generateKeyPairSync('rsa-pss', { modulusLength: 2_048 }).privateKey],
    ['ed448', () => generateKeyPairSync('ed448').privateKey],
  ])('are refused with a key that is %s, and the message says what it may be', (what, make) => {
    const key = make().export({ type: 'pkcs8', format: 'pem' });
    expect(faultOf(pair.certPem, key)).toMatchObject({
      part: 'key',
      message: `is ${what}, it may be RSA of 2048 to 4096 bits, EC on P-256, P-384 or P-521, or Ed25519`,
    });
  });

  it('are refused with a key so large that each handshake would keep everybody waiting', () => {
    const modulus = Buffer.alloc(16_384 / 8, 0xff).toString('base64url');
    const large = createPublicKey({ key: { kty: 'RSA', n: modulus, e: 'AQAB' }, format: 'jwk' });
    expect(keyFault(large)).toContain('is RSA of 16384 bits');
  });

  it.each([
    ['RSA of 3072 bits', () => generateKeyPairSync('rsa', { modulusLength: 3_072 }).privateKey],
    ['EC on P-384', () => generateKeyPairSync('ec', { namedCurve: 'P-384' }).privateKey],
    ['EC on P-521', () => generateKeyPairSync('ec', { namedCurve: 'P-521' }).privateKey],
    ['Ed25519', () => generateKeyPairSync('ed25519').privateKey],
  ])('may have a key that is %s', (_, make) => {
    const key = make().export({ type: 'pkcs8', format: 'pem' });
    expect(faultOf(pair.certPem, key).message).toBe('is not the key of the certificate');
  });

  it('are refused where a part of an RSA key is not what the others make it: it would cost time at each handshake', () => {
    const jwk = createPrivateKey(other.keyPem).export({ format: 'jwk' });
    const changed = createPrivateKey({ key: { ...jwk, qi: 'Aw' }, format: 'jwk' });
    const key = changed.export({ type: 'pkcs8', format: 'pem' });
    expect(faultOf(other.certPem, key)).toMatchObject({
      part: 'key',
      message: 'is RSA whose parts do not fit each other',
    });
  });

  it('are for no name that is hidden in another: an alternative name with a comma in it is one name', async () => {
    const tricky = await makePair(['evil.example, DNS:shop.example']).catch(() => undefined);
    // Some versions of openssl refuse to make one.
    const names = tricky ? readCertificate({ chainPem: tricky.certPem, keyPem: tricky.keyPem }).names : [];
    expect(names).not.toContain('shop.example');
  });
});

describe('a name of a certificate', () => {
  it.each([
    ['shop.example', 'shop.example', true],
    ['shop.example', 'a.shop.example', false],
    ['*.shop.example', 'a.shop.example', true],
    ['*.shop.example', 'a.b.shop.example', false],
    ['*.shop.example', 'shop.example', false],
    ['*.shop.example', '.shop.example', false],
  ])('%s covers %s: %s', (name, host, expected) => {
    expect(covers(name, host)).toBe(expected);
  });
});
