/**
 * The certificates of all apps, and every change of them, for the data planes that show them: once in whole, then by the
 * change feed. This is the one place where keys leave the store.
 */
import { sleep } from '../clock.ts';
import type { Clock } from '../clock.ts';
import type { App, Certificate } from '../cmdb/records.ts';
import type { Store } from '../cmdb/store.ts';
import { isPlatformError } from '../errors.ts';
import { hostMatches } from '../hostname.ts';
import type { Log } from '../log.ts';
import { coveredNames, served, type ServedCertificate } from './certificates.ts';
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

/** What has been told of an app. */
interface Told {
  readonly certificates: ReadonlyMap<string, FedCertificate>;
  readonly wildcards: readonly string[];
  /** Another app has names of its certificates, and may give them back. */
  readonly isContested: boolean;
}

const NOTHING: Told = { certificates: new Map(), wildcards: [], isContested: false };

export class CertificateFeed {
  readonly #options: CertificateFeedOptions;
  readonly #closing = new AbortController();
  #revision = 0;
  #publish: (change: FedChange) => void = () => undefined;
  /** What has been told, by app. */
  readonly #told = new Map<string, Told>();
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
    return [...this.#told.values()].flatMap(({ certificates }) => [...certificates.values()]);
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
          else if (change.kind === 'app') await this.#appChanged(change.id);
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
    const known = [...this.#told].find(([, { certificates }]) => certificates.has(id));
    const appId = certificate?.appId ?? known?.[0];
    if (appId !== undefined) await this.#readApp(appId);
  }

  /** Its hosts decide on the names of its own certificates, and on those of apps that have a wildcard above them. */
  async #appChanged(id: string): Promise<void> {
    if (this.#told.size === 0) return;
    const { hosts = [] } = (await this.#options.store.get('app', id)) ?? {};
    for (const [appId, { wildcards, isContested }] of [...this.#told]) {
      const isBelow = wildcards.some((wildcard) => hosts.some((host) => hostMatches(wildcard, host)));
      if (appId === id || isContested || isBelow) await this.#readApp(appId);
    }
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
    const before = (this.#told.get(appId) ?? NOTHING).certificates;
    const now = app ? await this.#tellable(app, certificates) : NOTHING;
    const put = [...now.certificates.values()].filter((one) => !same(one, before.get(one.id)));
    const remove = [...before.keys()].filter((id) => !now.certificates.has(id));
    if (now.certificates.size > 0) this.#told.set(appId, now);
    else this.#told.delete(appId);
    if (put.length > 0 || remove.length > 0) this.#publish({ remove, put });
  }

  async #tellable(app: App, certificates: readonly Certificate[]): Promise<Told> {
    const all = await Promise.all(certificates.map((one) => served(this.#options.store, app, one)));
    return {
      certificates: new Map(all.map((one) => [one.certificate.id, fed(one)])),
      wildcards: app.hosts.filter((host) => host.startsWith('*.')),
      isContested: all.some(
        ({ certificate, servedNames }) => coveredNames(app, certificate.names).length > servedNames.length,
      ),
    };
  }
}

function fed({ certificate, servedNames }: ServedCertificate): FedCertificate {
  const { id, chainPem, keyPem, expiresAtMs } = certificate;
  return { id, names: servedNames, chainPem, keyPem, expiresAtMs, isDefault: false };
}

function same(one: FedCertificate, other: FedCertificate | undefined): boolean {
  return (
    one.chainPem === other?.chainPem && one.keyPem === other.keyPem && one.names.join() === other.names.join()
  );
}
