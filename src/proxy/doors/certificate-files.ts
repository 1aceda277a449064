/**
 * Certificates from files, and what has changed of them since. They are looked at when the program is told to (SIGHUP), and
 * every few seconds for the truth: whoever renews a certificate only has to put it in its place. What cannot be read, does not
 * belong together or has expired is said once, and the one that was shown before stays for as long as it is good.
 */
import { lstatSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { basename, join } from 'node:path';
import { CertificateFault, readCertificate } from '../../certificate.ts';
import type { Clock } from '../../clock.ts';
import { PlatformError } from '../../errors.ts';
import type { ProxyLog } from '../transport.ts';
import type { Certificate, CertificateChange } from './certificates.ts';

export interface FilePair {
  readonly certPath: string;
  readonly keyPath: string;
}

export interface CertificateFilesOptions {
  /** The first of them, or of the folder by name, is shown where no name fits. */
  readonly pairs: readonly FilePair[];
  /** A folder of pairs: NAME.crt and NAME.key, or NAME/fullchain.pem and NAME/privkey.pem as certbot leaves them. */
  readonly folder: string | undefined;
  readonly clock: Clock;
  readonly log: ProxyLog & { info(fields: object, message: string): void };
}

const LOOK_EVERY_MS = 10_000;
/** Pairs of a folder. */
const MAX_PAIRS = 10_000;

interface Known {
  /** What both files were when they were read. */
  readonly stamp: string;
  /** Undefined: they were no good. */
  readonly certificate: Certificate | undefined;
}

export class CertificateFiles {
  readonly #options: CertificateFilesOptions;
  readonly #known = new Map<string, Known>();
  /** What was found when the folder could be read last, and why it cannot be now. */
  #inFolder: readonly FilePair[] = [];
  #folderFault: string | undefined;
  #cancel: (() => void) | undefined;
  #publish: (change: CertificateChange) => void = () => undefined;

  /** Errors: `invalid_config`, where a file cannot be read or what is in it not be used. */
  constructor(options: CertificateFilesOptions) {
    this.#options = options;
    const { change, faults } = this.#look();
    const [fault] = faults;
    if (fault !== undefined) throw fault;
    this.#warnOf(change);
  }

  /** All of them, as they are shown. */
  get certificates(): Certificate[] {
    return [...this.#known.values()].flatMap(({ certificate }) => certificate ?? []);
  }

  /** From now on changes are told. */
  watch(publish: (change: CertificateChange) => void): void {
    this.#publish = publish;
    this.#schedule();
  }

  /** Looks now. */
  reload(): void {
    const { change, faults } = this.#look();
    for (const fault of faults) this.#options.log.error({ err: fault }, 'a certificate stays as it was');
    this.#sayOf(change);
    this.#warnOf(change);
    if (change.remove.length > 0 || change.put.length > 0) this.#publish(change);
  }

  close(): void {
    this.#cancel?.();
    this.#cancel = undefined;
  }

  #schedule(): void {
    this.#cancel = this.#options.clock.after(LOOK_EVERY_MS, () => {
      this.reload();
      this.#schedule();
    });
  }

  #look(): { change: CertificateChange; faults: PlatformError[] } {
    const faults: PlatformError[] = [];
    const put: Certificate[] = [];
    const looked = this.#pairs(faults).map((pair) => {
      const id = `file:${pair.certPath}`;
      return { id, ...this.#read(id, pair, faults) };
    });
    // The first that is good, else the first there is: one that is not takes nothing away from the others.
    const shown = looked.flatMap(({ certificate }) => certificate ?? []);
    const first = shown.find((certificate) => !this.#hasExpired(certificate)) ?? shown[0];
    for (const { id, stamp, isNew, certificate: found } of looked) {
      const isDefault = id === first?.id;
      const before = this.#known.get(id)?.certificate;
      const certificate = found && { ...found, isDefault };
      if (certificate && (isNew || isDefault !== before?.isDefault)) put.push(certificate);
      this.#known.set(id, { stamp, certificate });
    }
    const present = new Set(looked.map(({ id }) => id));
    const remove = [...this.#known.keys()].filter((id) => !present.has(id));
    for (const id of remove) this.#known.delete(id);
    return { change: { remove, put }, faults };
  }

  /** As it is now, or as it was where it is no good any more, which is a fault once. */
  #read(id: string, pair: FilePair, faults: PlatformError[]): Known & { readonly isNew: boolean } {
    const before = this.#known.get(id);
    // Of a folder that cannot be read, that is said.
    if (before && this.#folderFault !== undefined && this.#inFolder.includes(pair))
      return { ...before, isNew: false };
    const stamp = `${stampOf(pair.certPath)} ${stampOf(pair.keyPath)}`;
    if (before?.stamp === stamp) return { ...before, isNew: false };
    try {
      const certificate = readPair(id, pair);
      if (this.#hasExpired(certificate) && before?.certificate && !this.#hasExpired(before.certificate))
        throw expired(certificate, pair);
      return { stamp, certificate, isNew: true };
    } catch (thrown) {
      faults.push(thrown as PlatformError);
      return { stamp, certificate: before?.certificate, isNew: false };
    }
  }

  /** Whoever renewed one wants to see that it was taken. */
  #sayOf({ remove, put }: CertificateChange): void {
    const { log } = this.#options;
    for (const { id, names, expiresAtMs } of put)
      log.info(
        { certificate: id, names, expiresAt: new Date(expiresAtMs).toISOString() },
        'a certificate is shown from now on',
      );
    for (const id of remove) log.info({ certificate: id }, 'a certificate is shown no longer');
  }

  /** Of what is shown, and of no use to visitors. */
  #warnOf({ put }: CertificateChange): void {
    const { log } = this.#options;
    for (const certificate of put) {
      const { id, names, isDefault } = certificate;
      if (this.#hasExpired(certificate)) log.warn({ certificate: id }, 'a certificate has expired');
      if (names.length === 0 && !isDefault)
        log.warn({ certificate: id }, 'a certificate is never shown: it names no host (subjectAltName)');
    }
  }

  #hasExpired({ expiresAtMs }: Certificate): boolean {
    return expiresAtMs < this.#options.clock.nowMs();
  }

  #pairs(faults: PlatformError[]): FilePair[] {
    const { pairs, folder } = this.#options;
    if (folder === undefined) return [...pairs];
    try {
      this.#inFolder = pairsIn(folder);
      this.#folderFault = undefined;
    } catch (thrown) {
      const fault = cannotRead(folder, thrown);
      if (fault.message !== this.#folderFault) faults.push(fault);
      this.#folderFault = fault.message;
    }
    // A folder that cannot be read for a moment is not an empty one.
    return [...pairs, ...this.#inFolder];
  }
}

function pairsIn(folder: string): FilePair[] {
  const pairs: FilePair[] = [];
  for (const name of readdirSync(folder).sort()) {
    const path = join(folder, name);
    if (name.endsWith('.crt'))
      pairs.push({ certPath: path, keyPath: join(folder, `${basename(name, '.crt')}.key`) });
    else if (isThere(join(path, 'fullchain.pem')))
      pairs.push({ certPath: join(path, 'fullchain.pem'), keyPath: join(path, 'privkey.pem') });
  }
  if (pairs.length > MAX_PAIRS)
    throw new PlatformError('invalid_config', `${folder} holds more than ${MAX_PAIRS} certificates`);
  return pairs;
}

/** What cannot be looked at is there as well: what is wrong with it is told by its reading. */
function isThere(path: string): boolean {
  try {
    lstatSync(path);
    return true;
  } catch (thrown) {
    const { code } = thrown as NodeJS.ErrnoException;
    return code !== 'ENOENT' && code !== 'ENOTDIR';
  }
}

/** Links are followed: renewing is often a link that leads elsewhere. What cannot be found or looked at is told by its reading. */
function stampOf(path: string): string {
  try {
    const { ino, size, mtimeMs } = statSync(path);
    return `${ino}/${size}/${mtimeMs}`;
  } catch (thrown) {
    return (thrown as NodeJS.ErrnoException).code ?? 'unknown';
  }
}

function readPair(id: string, { certPath, keyPath }: FilePair): Certificate {
  const chainPem = readText(certPath);
  const keyPem = readText(keyPath);
  try {
    const { names, expiresAtMs } = readCertificate({ chainPem, keyPem });
    return { id, names, chainPem, keyPem, expiresAtMs, isDefault: false };
  } catch (cause) {
    if (!(cause instanceof CertificateFault)) throw cause;
    const path = cause.part === 'key' ? keyPath : certPath;
    throw new PlatformError('invalid_config', `${path} ${cause.message}`, {
      hint: 'Both are PEM files that belong together, the key without a passphrase. One of another kind is good for nothing here: have the certificate issued for a new key.',
    });
  }
}

function expired({ expiresAtMs }: Certificate, { certPath }: FilePair): PlatformError {
  const since = new Date(expiresAtMs).toISOString();
  return new PlatformError('invalid_config', `${certPath} has expired (${since}), the one before has not`);
}

function readText(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch (thrown) {
    throw cannotRead(path, thrown);
  }
}

function cannotRead(path: string, thrown: unknown): PlatformError {
  if (thrown instanceof PlatformError) return thrown;
  const { code = 'unknown' } = thrown as NodeJS.ErrnoException;
  return new PlatformError('invalid_config', `${path} cannot be read (${code})`, {
    cause: thrown,
    hint: 'Name files that this user may read with --tls-cert and --tls-key, or their folder with --tls-dir.',
  });
}
