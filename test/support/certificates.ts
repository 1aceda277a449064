/** Certificates for tests, made by openssl: each signs itself, unless another is named that signs it. */
import { execFile } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { X509Certificate } from 'node:crypto';
import type { Certificate } from '../../src/proxy/doors/certificates.ts';

const run = promisify(execFile);

export interface Pair {
  readonly names: readonly string[];
  readonly certPem: string;
  readonly keyPem: string;
}

export interface PairOptions {
  /** From now. */
  readonly days?: number;
  readonly keyType?: 'ec' | 'rsa';
}

export async function makePair(names: readonly string[], options: PairOptions = {}): Promise<Pair> {
  const { days = 30, keyType = 'ec' } = options;
  const folder = await mkdtemp(join(tmpdir(), 'mayfly-cert-'));
  try {
    const [keyPath, certPath] = [join(folder, 'key.pem'), join(folder, 'cert.pem')];
    const config = join(folder, 'openssl.cnf');
    const names_ = names.map((name, i) => `DNS.${i + 1} = ${name}`).join('\n');
    await writeFile(
      config,
      `[req]\ndistinguished_name = dn\nx509_extensions = ext\nprompt = no\n[dn]\nCN = ${names[0] ?? 'none'}\n[ext]\n` +
        (names.length > 0
          ? `subjectAltName = @names\n[names]\n${names_}\n`
          : 'keyUsage = digitalSignature\n'),
    );
    const newKey =
      keyType === 'ec'
        ? ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1']
        : ['-newkey', 'rsa:2048'];
    await run('openssl', [
      ...['req', '-x509', '-nodes', ...newKey, '-config', config],
      ...['-days', String(days), '-keyout', keyPath, '-out', certPath],
    ]);
    return { names, certPem: await readFile(certPath, 'utf8'), keyPem: await readFile(keyPath, 'utf8') };
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** As the doors take it. */
export function shown(id: string, pair: Pair, options: { readonly isDefault?: boolean } = {}): Certificate {
  return {
    id,
    names: pair.names,
    chainPem: pair.certPem,
    keyPem: pair.keyPem,
    expiresAtMs: Date.parse(new X509Certificate(pair.certPem).validTo),
    isDefault: options.isDefault ?? false,
  };
}
