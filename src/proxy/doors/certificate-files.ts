/**
 * Certificates from files, and what has changed of them since. They are looked at when the program is told to (SIGHUP), and
 * every few seconds for the truth: whoever renews a certificate only has to put it in its place. What cannot be read or does
 * not belong together is said once, and the one that was shown before stays.
 */
import { readdirSync, readFileSync, statSync } from 'node:fs';
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
  /** The first of them is shown where no name fits. */
  readonly pairs: readonly FilePair[];
  /** A folder of pairs: NAME.crt and NAME.key, or NAME/fullchain.pem and NAME/privkey.pem as certbot leaves them. */
  readonly folder: string | undefined;
  readonly clock: Clock;
  readonly log: ProxyLog;
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
  #cancel: (() => void) | undefined;
  #publish: (change: CertificateChange) => void = () => undefined;

  /** Errors: `invalid_config`, where a file cannot be read or what is in it not be used. */
  constructor(options: CertificateFilesOptions) {
    this.#options = options;
    const { change, faults } = this.#look();
    const [fault] = faults;
    if (fault !== undefined) throw fault;
    for (const { id, expiresAtMs } of change.put)
      if (expiresAtMs < options.clock.nowMs())
        options.log.warn({ certificate: id }, 'a certificate has expired');
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
    const present = new Set<string>();
    for (const [index, pair] of this.#pairs(faults).entries()) {
      const id = `file:${pair.certPath}`;
      present.add(id);
      const isDefault = index === 0;
      const stamp = `${isDefault} ${stampOf(pair.certPath)} ${stampOf(pair.keyPath)}`;
      const before = this.#known.get(id);
      if (before?.stamp === stamp) continue;
      try {
        const certificate = readPair(id, pair, isDefault);
        this.#known.set(id, { stamp, certificate });
        put.push(certificate);
      } catch (thrown) {
        faults.push(thrown as PlatformError);
        this.#known.set(id, { stamp, certificate: before?.certificate });
      }
    }
    // A folder that cannot be read for a moment is not an empty one.
    const remove = faults.length > 0 ? [] : [...this.#known.keys()].filter((id) => !present.has(id));
    for (const id of remove) this.#known.delete(id);
    return { change: { remove, put }, faults };
  }

  #pairs(faults: PlatformError[]): FilePair[] {
    const { pairs, folder } = this.#options;
    if (folder === undefined) return [...pairs];
    try {
      return [...pairs, ...pairsIn(folder)];
    } catch (thrown) {
      faults.push(cannotRead(folder, thrown));
      return [...pairs];
    }
  }
}

function pairsIn(folder: string): FilePair[] {
  const pairs: FilePair[] = [];
  for (const name of readdirSync(folder).sort()) {
    const path = join(folder, name);
    if (name.endsWith('.crt'))
      pairs.push({ certPath: path, keyPath: join(folder, `${basename(name, '.crt')}.key`) });
    else if (isFile(join(path, 'fullchain.pem')))
      pairs.push({ certPath: join(path, 'fullchain.pem'), keyPath: join(path, 'privkey.pem') });
  }
  if (pairs.length > MAX_PAIRS)
    throw new PlatformError('invalid_config', `${folder} holds more than ${MAX_PAIRS} certificates`);
  return pairs;
}

function isFile(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false })?.isFile() === true;
}

/** Links are followed: renewing is often a link that leads elsewhere. */
function stampOf(path: string): string {
  const found = statSync(path, { throwIfNoEntry: false });
  return found === undefined ? 'none' : `${found.ino}/${found.size}/${found.mtimeMs}`;
}

function readPair(id: string, { certPath, keyPath }: FilePair, isDefault: boolean): Certificate {
  const chainPem = readText(certPath);
  const keyPem = readText(keyPath);
  try {
    const { names, expiresAtMs } = readCertificate({ chainPem, keyPem });
    return { id, names, chainPem, keyPem, expiresAtMs, isDefault };
  } catch (cause) {
    if (!(cause instanceof CertificateFault)) throw cause;
    const path = cause.part === 'key' ? keyPath : certPath;
    throw new PlatformError('invalid_config', `${path} ${cause.message}`, {
      hint: 'A certificate is a PEM file, and its key another one, without a passphrase.',
    });
  }
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
  return new PlatformError('invalid_config', `${path} cannot be read (${code})`, { cause: thrown });
}
