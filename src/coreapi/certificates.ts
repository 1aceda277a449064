/**
 * Certificates that tenants give for their apps' hostnames. What does not hold together is refused as it is given; the key goes
 * into the store with it and comes out in one place only, for the data planes (certificate-feed.ts).
 */
import { claims } from '../cmdb/claims.ts';
import type { App, Certificate, Event } from '../cmdb/records.ts';
import type { NewRecord, Operation, Store } from '../cmdb/store.ts';
import { CertificateFault, covers, readCertificate } from '../certificate.ts';
import type { CertificateFacts } from '../certificate.ts';
import type { Clock } from '../clock.ts';
import { PlatformError } from '../errors.ts';
import { hostMatches } from '../hostname.ts';
import { newId } from '../ids.ts';
import { findApp, findByHost } from './apps-find.ts';
import { listAll } from './list-all.ts';
import { retryConflicts } from './retry-conflicts.ts';
import type { PutCertificateBody } from './schema-certificates.ts';
import type { Principal } from './tokens.ts';

/** Certificates of one app. */
export const MAX_CERTIFICATES = 20;
/** Names that one certificate may be for. */
export const MAX_NAMES = 200;

/** A certificate with the names it is shown for now: those of its own that lead to its app. */
export interface ServedCertificate {
  readonly certificate: Certificate;
  readonly servedNames: readonly string[];
}

export class AppCertificates {
  readonly #store: Store;
  readonly #clock: Clock;

  constructor({ store, clock }: { readonly store: Store; readonly clock: Clock }) {
    this.#store = store;
    this.#clock = clock;
  }

  /**
   * Makes the app's certificate of that name what the body says. Errors: `not_found` (the app), `invalid_body` (with the field:
   * not a certificate, not its key, expired, for too many hosts or none of the app's), `quota_exceeded`.
   */
  put(
    principal: Principal,
    nameOrId: string,
    name: string,
    body: PutCertificateBody,
  ): Promise<ServedCertificate & { readonly created: boolean }> {
    return retryConflicts(async () => {
      const app = await findApp(this.#store, principal, nameOrId);
      const facts = this.#read(body);
      const names = await servedNames(this.#store, app, facts.names);
      if (names.length === 0) {
        const some = facts.names.slice(0, 5).join(', ');
        throw refused('chain', `is for ${some}, none of which is a host of ${app.name}`);
      }
      const before = await this.#find(app, name);
      const content = { ...facts, chainPem: body.chain, keyPem: body.key };
      const figures = { hosts: names.length, expiresAtMs: facts.expiresAtMs };
      const told = this.#event(
        before ? 'updated' : 'created',
        app,
        `${name} (${facts.fingerprint})`,
        figures,
      );
      const { created, certificate } = before
        ? { created: false, certificate: { ...before, ...content, generation: before.generation + 1 } }
        : { created: true, certificate: { ...(await this.#new(app, name, content)), generation: 1 } };
      const { generation, ...record } = certificate;
      const { id } = certificate;
      await this.#store.commit([
        before
          ? { op: 'update', kind: 'certificate', id, ifGeneration: generation - 1, set: content }
          : { op: 'create', kind: 'certificate', record, claims: [claims.certificate(app.id, name)] },
        // It belongs to the app as it was read: one that is deleted meanwhile leaves nothing behind.
        { op: 'update', kind: 'app', id: app.id, ifGeneration: app.generation, set: {} },
        told,
      ]);
      return { created, certificate, servedNames: names };
    });
  }

  /** All of the app's, oldest first. Errors: `not_found`. */
  async list(principal: Principal, nameOrId: string): Promise<ServedCertificate[]> {
    const app = await findApp(this.#store, principal, nameOrId);
    const certificates = await listAll(this.#store, 'certificate', { appId: app.id });
    return Promise.all(certificates.map((certificate) => served(this.#store, app, certificate)));
  }

  /** Errors: `not_found`. */
  async get(principal: Principal, nameOrId: string, name: string): Promise<ServedCertificate> {
    const app = await findApp(this.#store, principal, nameOrId);
    return served(this.#store, app, await this.#existing(app, name));
  }

  /** Errors: `not_found`. */
  delete(principal: Principal, nameOrId: string, name: string): Promise<void> {
    return retryConflicts(async () => {
      const app = await findApp(this.#store, principal, nameOrId);
      const { id, generation } = await this.#existing(app, name);
      await this.#store.commit([
        { op: 'delete', kind: 'certificate', id, ifGeneration: generation },
        this.#event('deleted', app, name, {}),
      ]);
    });
  }

  #read(body: PutCertificateBody): CertificateFacts {
    const facts = readOrRefuse(body);
    const nowMs = this.#clock.nowMs();
    if (facts.expiresAtMs <= nowMs) throw refused('chain', 'has expired');
    const { length } = facts.names;
    if (length === 0) throw refused('chain', 'is for no hostname');
    if (length > MAX_NAMES) throw refused('chain', `is for ${length} hostnames; ${MAX_NAMES} are the most`);
    return facts;
  }

  async #new(
    app: App,
    name: string,
    content: Omit<NewRecord<'certificate'>, 'id' | 'createdAtMs' | 'appId' | 'name'>,
  ): Promise<NewRecord<'certificate'>> {
    const others = await this.#store.list('certificate', {
      where: { appId: app.id },
      limit: MAX_CERTIFICATES,
    });
    if (others.length >= MAX_CERTIFICATES)
      throw new PlatformError(
        'quota_exceeded',
        `app ${app.name} has ${MAX_CERTIFICATES} certificates already`,
        {
          hint: 'delete one that is not needed, or put the new one in its place',
        },
      );
    const nowMs = this.#clock.nowMs();
    return { id: newId('crt', nowMs), createdAtMs: nowMs, appId: app.id, name, ...content };
  }

  #find(app: App, name: string): Promise<Certificate | undefined> {
    return this.#store.findByClaim('certificate', claims.certificate(app.id, name));
  }

  async #existing(app: App, name: string): Promise<Certificate> {
    const found = await this.#find(app, name);
    if (found) return found;
    throw new PlatformError('not_found', `app ${app.name} has no certificate ${JSON.stringify(name)}`, {
      hint: 'GET /v1/apps/NAME/certificates names those there are',
    });
  }

  #event(what: string, { id: appId, name }: App, which: string, figures: Event['figures']): Operation {
    const reason = `certificate ${which} of app ${name} was ${what}`;
    const event = { atMs: this.#clock.nowMs(), type: `certificate.${what}`, appId, reason, figures };
    return { op: 'event', event: { ...event, containerId: null, nodeId: null } };
  }
}

/**
 * The names of a certificate that the hosts of its app allow for: a host that the certificate is for, or a name of the
 * certificate that a wildcard host of the app stands for.
 */
export function coveredNames({ hosts }: Pick<App, 'hosts'>, names: readonly string[]): string[] {
  const found = new Set<string>();
  for (const host of hosts)
    for (const name of names) {
      if (
        host.startsWith('*.')
          ? name === host || hostMatches(host, name.replace(/^\*/, 'x'))
          : covers(name, host)
      )
        found.add(host.startsWith('*.') ? name : host);
    }
  return [...found];
}

/** Where it is shown: of those names the ones that lead to the app. A name below its wildcard may be another app's. */
export async function servedNames(store: Store, app: App, names: readonly string[]): Promise<string[]> {
  const found: string[] = [];
  for (const name of coveredNames(app, names))
    if (app.hosts.includes(name) || (await findByHost(store, name))?.id === app.id) found.push(name);
  return found;
}

/** With where it is shown, which depends on the apps that there are now: it is found out anew each time. */
export async function served(store: Store, app: App, certificate: Certificate): Promise<ServedCertificate> {
  return { certificate, servedNames: await servedNames(store, app, certificate.names) };
}

function readOrRefuse({ chain, key }: PutCertificateBody): CertificateFacts {
  try {
    return readCertificate({ chainPem: chain, keyPem: key });
  } catch (thrown) {
    if (thrown instanceof CertificateFault) throw refused(thrown.part, thrown.message);
    throw thrown;
  }
}

function refused(field: 'chain' | 'key', reason: string): PlatformError {
  return new PlatformError('invalid_body', `${field} ${reason}`, { fields: [{ field, reason }] });
}
