import { mkdtempSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import { openSqliteStore } from '../../src/cmdb/sqlite.ts';
import { CertificateFeed } from '../../src/coreapi/certificate-feed.ts';
import type { FedCertificate, FedChange } from '../../src/coreapi/certificate-feed.ts';
import { MAX_CERTIFICATES, MAX_NAMES, coveredNames } from '../../src/coreapi/certificates.ts';
import { systemClock } from '../../src/clock.ts';
import { silentLog } from '../../src/log.ts';
import { makePair } from '../support/certificates.ts';
import type { Pair } from '../support/certificates.ts';
import { until } from '../support/until.ts';
import { refusal, startApi } from './api-support.ts';
import type { Api } from './api-support.ts';

let shop: Pair;
let newer: Pair;
let foreign: Pair;
let below: Pair;
beforeAll(async () => {
  [shop, newer, foreign, below] = await Promise.all([
    makePair(['shop.example', '*.shop.example']),
    makePair(['shop.example'], { days: 60 }),
    makePair(['foreign.example']),
    makePair(['login.shop.example', 'a.pay.shop.example']),
  ]);
});

const body = (pair: Pair) => ({ chain: pair.certPem, key: pair.keyPem });
const secretOf = (pair: Pair) => pair.keyPem.split('\n')[1] ?? '';

async function withShop(options: Parameters<typeof startApi>[0] = {}): Promise<Api> {
  const api = await startApi(options);
  await api.client.createApp({ name: 'shop', hosts: ['shop.example', 'www.shop.example'], image: 'web:1' });
  return api;
}

/** What the data planes would know, kept as they keep it. */
async function follow({ store }: Api) {
  const feed = await CertificateFeed.open({ store, clock: systemClock, log: silentLog });
  onTestFinished(() => feed.close());
  const known = new Map<string, FedCertificate>(feed.certificates.map((one) => [one.id, one]));
  const changes: FedChange[] = [];
  feed.watch((change) => {
    changes.push(change);
    for (const id of change.remove) known.delete(id);
    for (const one of change.put) known.set(one.id, one);
  });
  return { known, changes };
}

describe('a certificate of an app', () => {
  it('is put, shown, listed and deleted; its key is in no answer, no event and no line of the log', async () => {
    const api = await withShop();
    const put = await api.call('PUT', '/v1/apps/shop/certificates/main', { body: body(shop) });
    expect(put.status).toBe(201);
    const text = await put.text();
    expect(JSON.parse(text)).toMatchObject({
      name: 'main',
      hosts: ['shop.example', 'www.shop.example'],
      names: ['shop.example', '*.shop.example'],
      generation: 1,
    });
    const again = await api.client.putCertificate('shop', 'main', body(newer));
    expect(again).toMatchObject({ hosts: ['shop.example'], generation: 2 });
    expect(await api.client.getCertificate('shop', 'main')).toEqual(again);
    expect(await api.client.listCertificates('shop')).toEqual([again]);
    await api.client.deleteCertificate('shop', 'main');
    expect(await api.client.listCertificates('shop')).toEqual([]);

    const events = await api.client.listEvents({ app: 'shop' });
    expect(events.map(({ type }) => type)).toEqual([
      'app.created',
      'certificate.created',
      'certificate.updated',
      'certificate.deleted',
    ]);
    const told = [text, JSON.stringify([again, events, api.log.entries])].join();
    for (const pair of [shop, newer]) expect(told).not.toContain(secretOf(pair));
    expect(told).not.toContain('PRIVATE KEY');
  });

  it.each([
    ['is none', () => ({ chain: 'hello', key: shop.keyPem }), 'chain'],
    ['has another key', () => ({ chain: shop.certPem, key: foreign.keyPem }), 'key'],
    ['is for none of its hosts', () => body(foreign), 'chain'],
    ['has a field that is misspelt', () => ({ ...body(shop), privateKey: '' }), 'privateKey'],
  ])('that %s is refused by the name of the field, and nothing is kept of it', async (_, given, field) => {
    const api = await withShop();
    const problem = await refusal(api, 'PUT', '/v1/apps/shop/certificates/main', { body: given() });
    expect(problem).toMatchObject({ code: 'invalid_body', errors: [{ field }] });
    expect(JSON.stringify([problem, api.log.entries])).not.toContain(secretOf(foreign));
    expect(await api.client.listCertificates('shop')).toEqual([]);
  });

  it('that has expired is refused', async () => {
    const inTwoMonths = { ...systemClock, nowMs: () => Date.now() + 61 * 86_400_000 };
    const api = await withShop({ clock: inTwoMonths });
    const problem = await refusal(api, 'PUT', '/v1/apps/shop/certificates/main', { body: body(newer) });
    expect(problem).toMatchObject({
      code: 'invalid_body',
      errors: [{ field: 'chain', reason: 'has expired' }],
    });
  });

  it('that is for more names than a bound is refused, instead of shown for some of them', async () => {
    const api = await withShop();
    const names = Array.from({ length: MAX_NAMES }, (_, index) => `n${index}.shop.example`);
    const [most, tooMany] = await Promise.all([
      makePair(['shop.example', ...names.slice(1)]),
      makePair(['shop.example', ...names]),
    ]);
    await api.client.putCertificate('shop', 'main', body(most));
    const problem = await refusal(api, 'PUT', '/v1/apps/shop/certificates/main', { body: body(tooMany) });
    expect(problem).toMatchObject({
      code: 'invalid_body',
      errors: [{ field: 'chain', reason: 'is for 201 hostnames; 200 are the most' }],
    });
  });

  it('needs an app, and there are no more than a bound of them', async () => {
    const api = await withShop();
    expect(await refusal(api, 'PUT', '/v1/apps/none/certificates/main', { body: body(shop) })).toMatchObject({
      code: 'not_found',
    });
    expect(await refusal(api, 'GET', '/v1/apps/shop/certificates/main')).toMatchObject({ code: 'not_found' });
    expect(await refusal(api, 'DELETE', '/v1/apps/shop/certificates/main')).toMatchObject({
      code: 'not_found',
    });
    for (let i = 0; i < MAX_CERTIFICATES; i++) await api.client.putCertificate('shop', `c${i}`, body(shop));
    expect(await refusal(api, 'PUT', '/v1/apps/shop/certificates/more', { body: body(shop) })).toMatchObject({
      code: 'quota_exceeded',
    });
    await api.client.putCertificate('shop', 'c0', body(newer));
  });

  it('goes with its app', async () => {
    const api = await withShop();
    await api.client.putCertificate('shop', 'main', body(shop));
    await api.client.deleteApp('shop');
    expect(await api.store.list('certificate')).toEqual([]);
  });

  it('lasts, in a file that nobody else may read', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'mayfly-certificates-'));
    onTestFinished(() => rmSync(folder, { recursive: true }));
    const path = join(folder, 'mayfly.db');
    const api = await withShop({ store: openSqliteStore({ path }) });
    await api.client.putCertificate('shop', 'main', body(shop));
    await using second = {
      store: openSqliteStore({ path }),
      [Symbol.asyncDispose]: () => second.store.close(),
    };
    expect(await second.store.list('certificate')).toMatchObject([{ name: 'main', keyPem: shop.keyPem }]);
    for (const file of [path, `${path}-wal`]) expect(statSync(file).mode & 0o077).toBe(0);
  });
});

describe('the feed of certificates', () => {
  it('tells what there is, and what changes: certificates, and the hosts of their apps', async () => {
    const api = await withShop();
    await api.client.putCertificate('shop', 'main', body(shop));
    const { known } = await follow(api);
    const names = () => [...known.values()].map((one) => one.names.join());
    expect(names()).toEqual(['shop.example,www.shop.example']);

    await api.client.patchApp('shop', { hosts: ['www.shop.example'] });
    await until('fewer names', () => names().join() === 'www.shop.example');
    await api.client.putCertificate('shop', 'other', body(shop));
    await until('a second certificate', () => known.size === 2);
    expect([...known.values()].every(({ keyPem }) => keyPem === shop.keyPem)).toBe(true);
    await api.client.deleteCertificate('shop', 'main');
    await until('one less', () => known.size === 1);
    await api.client.deleteApp('shop');
    await until('none', () => known.size === 0);
  });

  it('tells no name below a wildcard for as long as it leads to another app', async () => {
    const api = await startApi();
    const { client } = api;
    await client.createApp({ name: 'all', hosts: ['*.shop.example'], image: 'web:1' });
    await client.putCertificate('all', 'main', body(below));
    const { known } = await follow(api);
    const names = () => [...known.values()].flatMap((one) => one.names);
    expect(names()).toEqual(['login.shop.example', 'a.pay.shop.example']);

    await client.createApp({ name: 'login', hosts: ['login.shop.example'], image: 'web:1' });
    await until('without the name of another app', () => names().join() === 'a.pay.shop.example');
    expect((await client.getCertificate('all', 'main')).hosts).toEqual(['a.pay.shop.example']);
    await client.patchApp('login', { hosts: ['login.shop.example', '*.pay.shop.example'] });
    await until('without what another wildcard has', () => names().length === 0);
    expect(await refusal(api, 'PUT', '/v1/apps/all/certificates/main', { body: body(below) })).toMatchObject({
      code: 'invalid_body',
      errors: [{ field: 'chain' }],
    });
    await client.patchApp('login', { hosts: ['login.shop.example'] });
    await until('one that was given back', () => names().join() === 'a.pay.shop.example');
    await client.deleteApp('login');
    await until('all of them again', () => names().length === 2);
  });

  it('is silent about changes that concern no certificate', async () => {
    const api = await withShop();
    await api.client.putCertificate('shop', 'main', body(shop));
    const { changes, known } = await follow(api);
    await api.client.patchApp('shop', { env: { GREETING: 'hi' } });
    await api.client.createApp({ name: 'other', hosts: ['other.example'], image: 'web:1' });
    await api.client.putCertificate('shop', 'last', body(newer));
    await until('the last change', () => known.size === 2);
    expect(changes).toHaveLength(1);
  });
});

describe('the names of a certificate that the hosts of its app allow for', () => {
  it.each([
    [['shop.example'], ['shop.example'], ['shop.example']],
    [['shop.example'], ['*.shop.example'], []],
    [['a.shop.example', 'a.b.shop.example'], ['*.shop.example'], ['a.shop.example']],
    [['*.shop.example'], ['*.shop.example'], ['*.shop.example']],
    [
      ['*.shop.example'],
      ['a.shop.example', 'a.b.shop.example', 'shop.example'],
      ['a.shop.example', 'a.b.shop.example'],
    ],
    [['*.shop.example'], ['*.b.shop.example'], ['*.b.shop.example']],
    [['*.b.shop.example'], ['*.shop.example'], []],
    [['shop.example'], ['foreign.example'], []],
  ])('of an app with %j and a certificate for %j are %j', (hosts, names, expected) => {
    expect(coveredNames({ hosts }, names)).toEqual(expected);
  });
});
