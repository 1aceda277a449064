/**
 * The certificates of all apps, and every change of them, for the data planes that show them: once in whole, then by the
 * change feed. This is the one place where keys leave the store.
 */
import { sleep } from '../clock.ts';
import type { Clock } from '../clock.ts';
import type { App, Certificate } from '../cmdb/records.ts';
import type { Store } from '../cmdb/store.ts';
import { isPlatformError } from '../errors.ts';
import type { Log } from '../log.ts';
import { served } from './certificates.ts';
import { listAll } from './list-all.ts';

/** A certificate as a TLS server needs it. */
export interface FedCertificate {
  readonly id: string;
  readonly names: readonly string[];
  readonly chainPem: string;
  readonly keyPem: string;
  readonly expiresAtMs: number;
  readonly isDefault: false;
}

export interface CertificateFeedOptions {
  readonly store: Store;
  readonly clock: Clock;
  readonly log: Log;
}

/** First what goes, then what comes. */
export interface FedChange {
  readonly remove: readonly string[];
  readonly put: readonly FedCertificate[];
}

const RETRY_MS = 1_000;

export class CertificateFeed {
  readonly #options: CertificateFeedOptions;
  readonly #closing = new AbortController();
  #revision = 0;
  #publish: (change: FedChange) => void = () => undefined;
  /** What has been told, by app. */
  readonly #told = new Map<string, Map<string, FedCertificate>>();
  #following: Promise<void> = Promise.resolve();

  /** Resolves when all there are have been read. Errors: the store's. */
  static async open(options: CertificateFeedOptions): Promise<CertificateFeed> {
    const feed = new CertificateFeed(options);
    feed.#revision = await options.store.revision();
    await feed.#readAll();
    return feed;
  }

  private constructor(options: CertificateFeedOptions) {
    this.#options = options;
  }

  /** All of them, as they were told last. */
  get certificates(): FedCertificate[] {
    return [...this.#told.values()].flatMap((ofApp) => [...ofApp.values()]);
  }

  /** From now on every change since it was opened is told. */
  watch(publish: (change: FedChange) => void): void {
    this.#publish = publish;
    this.#following = this.#follow(this.#revision);
  }

  async close(): Promise<void> {
    this.#closing.abort();
    await this.#following;
  }

  async #follow(since: number): Promise<void> {
    const { store, clock, log } = this.#options;
    const { signal } = this.#closing;
    const isOver = () => signal.aborted; // it may be, after any await
    let cursor = since;
    while (!isOver()) {
      try {
        for await (const change of store.watch(cursor, signal)) {
          if (change.kind === 'certificate') await this.#certificateChanged(change.id);
          else if (change.kind === 'app' && this.#told.has(change.id)) await this.#readApp(change.id);
          cursor = change.revision;
        }
      } catch (thrown) {
        if (isOver()) return;
        log.warn({ err: thrown }, 'the feed of certificates broke; reading it again');
        if (isPlatformError(thrown, 'revision_compacted')) cursor = await this.#resync(cursor);
      }
      await sleep(clock, RETRY_MS, signal).catch(() => undefined);
    }
  }

  async #certificateChanged(id: string): Promise<void> {
    const certificate = await this.#options.store.get('certificate', id);
    const known = [...this.#told].find(([, ofApp]) => ofApp.has(id));
    const appId = certificate?.appId ?? known?.[0];
    if (appId !== undefined) await this.#readApp(appId);
  }

  async #resync(cursor: number): Promise<number> {
    try {
      const revision = await this.#options.store.revision();
      await this.#readAll();
      return revision;
    } catch (thrown) {
      this.#options.log.warn({ err: thrown }, 'the certificates could not be read');
      return cursor;
    }
  }

  async #readAll(): Promise<void> {
    const certificates = await listAll(this.#options.store, 'certificate', {});
    const appIds = new Set([...this.#told.keys(), ...certificates.map(({ appId }) => appId)]);
    for (const appId of appIds)
      await this.#tell(
        appId,
        certificates.filter((certificate) => certificate.appId === appId),
      );
  }

  async #readApp(appId: string): Promise<void> {
    await this.#tell(appId, await listAll(this.#options.store, 'certificate', { appId }));
  }

  /** What differs from what was told before. An app that is gone has none, nor one that has none of their names. */
  async #tell(appId: string, certificates: readonly Certificate[]): Promise<void> {
    const app = await this.#options.store.get('app', appId);
    const before = this.#told.get(appId) ?? new Map<string, FedCertificate>();
    const now = new Map(app ? certificates.map((one) => [one.id, fed(app, one)]) : []);
    const put = [...now.values()].filter((one) => !same(one, before.get(one.id)));
    const remove = [...before.keys()].filter((id) => !now.has(id));
    if (now.size > 0) this.#told.set(appId, now);
    else this.#told.delete(appId);
    if (put.length > 0 || remove.length > 0) this.#publish({ remove, put });
  }
}

function fed(app: App, certificate: Certificate): FedCertificate {
  const { id, chainPem, keyPem, expiresAtMs } = certificate;
  return { id, names: served(app, certificate).servedNames, chainPem, keyPem, expiresAtMs, isDefault: false };
}

function same(one: FedCertificate, other: FedCertificate | undefined): boolean {
  return (
    one.chainPem === other?.chainPem && one.keyPem === other.keyPem && one.names.join() === other.names.join()
  );
}
