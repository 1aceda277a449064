/**
 * The certificates that the TLS doors show, by name. They are plain data, which can be sent to another process, and change
 * while connections are open: a new connection sees the change, an open one does not.
 */
import { createSecureContext } from 'node:tls';
import type { SecureContext } from 'node:tls';
import { LruMap } from '../lru.ts';
import { TLS_PROFILE } from './tls-profile.ts';

export interface Certificate {
  /** Unique: one that is put again replaces the one before. */
  readonly id: string;
  /** Normalised names that it is shown for: exact, or `*.` for exactly one label (RFC 9525 §6.3). */
  readonly names: readonly string[];
  /** The certificate first, then what leads from it to a root. */
  readonly chainPem: string;
  readonly keyPem: string;
  /** Of two for the same name the one that lasts longer is shown. */
  readonly expiresAtMs: number;
  /** Shown where no name fits, and to clients that name none. One of all. */
  readonly isDefault: boolean;
}

/** First what goes, then what comes. */
export interface CertificateChange {
  readonly remove: readonly string[];
  readonly put: readonly Certificate[];
}

/** Prepared for OpenSSL, some 50 KB each. */
const PREPARED = 1_000;

export class Certificates {
  readonly #byId = new Map<string, Certificate>();
  readonly #byName = new Map<string, Certificate[]>();
  readonly #prepared = new LruMap<string, SecureContext>(PREPARED);

  apply({ remove, put }: CertificateChange): void {
    for (const id of remove) this.#remove(id);
    for (const certificate of put) {
      this.#remove(certificate.id);
      this.#byId.set(certificate.id, certificate);
      for (const name of certificate.names) {
        const others = this.#byName.get(name) ?? [];
        const sorted = [...others, certificate].sort((a, b) => b.expiresAtMs - a.expiresAtMs);
        this.#byName.set(name, sorted);
      }
    }
  }

  /** The one for a normalised name: exact, else wildcard. Undefined: the default one, if any. */
  find(name: string): Certificate | undefined {
    const exact = this.#byName.get(name)?.[0];
    if (exact !== undefined) return exact;
    const dot = name.indexOf('.');
    return dot === -1 ? undefined : this.#byName.get(`*${name.slice(dot)}`)?.[0];
  }

  get all(): Certificate[] {
    return [...this.#byId.values()];
  }

  get default(): Certificate | undefined {
    return this.all.find(({ isDefault }) => isDefault);
  }

  /** Throws where OpenSSL does not take it. */
  prepare({ id, chainPem, keyPem }: Certificate): SecureContext {
    const known = this.#prepared.get(id);
    if (known !== undefined) return known;
    const context = createSecureContext({ ...TLS_PROFILE, cert: chainPem, key: keyPem });
    this.#prepared.set(id, context);
    return context;
  }

  #remove(id: string): void {
    const known = this.#byId.get(id);
    if (known === undefined) return;
    this.#byId.delete(id);
    this.#prepared.delete(id);
    for (const name of known.names) {
      const others = this.#byName.get(name)?.filter((one) => one.id !== id) ?? [];
      if (others.length > 0) this.#byName.set(name, others);
      else this.#byName.delete(name);
    }
  }
}
