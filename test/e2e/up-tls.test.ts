/** The whole program behind its TLS door: certificates from files and from tenants, with one worker and with two. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { request } from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connect } from 'node:tls';
import { beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import { makePair } from '../support/certificates.ts';
import type { Pair } from '../support/certificates.ts';
import { askH2, http2Session } from '../support/http2-client.ts';
import { Platform } from '../support/platform.ts';
import { freePort } from '../support/program.ts';
import { exchangeRaw } from '../support/raw-http.ts';
import { until } from '../support/until.ts';

let own: Pair;
let newer: Pair;
let shop: Pair;
beforeAll(async () => {
  [own, newer, shop] = await Promise.all([
    makePair(['hello.localhost']),
    makePair(['hello.localhost', 'newer.localhost']),
    makePair(['shop.localhost']),
  ]);
});

interface Files {
  readonly folder: string;
  readonly certPath: string;
  readonly keyPath: string;
  readonly put: (pair: Pair) => Promise<void>;
}

async function files(): Promise<Files> {
  const folder = await mkdtemp(join(tmpdir(), 'mayfly-tls-'));
  onTestFinished(() => rm(folder, { recursive: true }));
  const [certPath, keyPath] = [join(folder, 'site.crt'), join(folder, 'site.key')];
  const put = async (pair: Pair) => {
    await writeFile(certPath, pair.certPem);
    await writeFile(keyPath, pair.keyPem);
  };
  await put(own);
  return { folder, certPath, keyPath, put };
}

/** The names in the certificate that is shown for a name; undefined where the handshake fails. */
function namesShown(port: number, servername: string): Promise<string | undefined> {
  return new Promise((resolve) => {
    const socket = connect({ port, host: '127.0.0.1', servername, rejectUnauthorized: false }, () => {
      resolve(socket.getPeerCertificate().subjectaltname);
      socket.destroy();
    });
    socket.once('error', () => resolve(undefined));
  });
}

function getTls(port: number, host: string, ca: string): Promise<{ status: number; body: string }> {
  return new Promise((resolve, reject) => {
    const options = { host: '127.0.0.1', port, ca, servername: host, headers: { host }, agent: false };
    request(options, (answer) => {
      answer
        .toArray()
        .then(
          (chunks) =>
            resolve({ status: answer.statusCode ?? 0, body: Buffer.concat(chunks as Buffer[]).toString() }),
          reject,
        );
    })
      .once('error', reject)
      .end();
  });
}

describe.each([1, 2])('mayfly up with a TLS door and --workers %i', { timeout: 90_000 }, (workers) => {
  it('serves apps over HTTP/1.1 and HTTP/2 with certificates of files and of tenants, which change while it runs', async () => {
    const { certPath, keyPath, put } = await files();
    const port = await freePort();
    const tls = ['--tls-port', String(port), '--tls-cert', certPath, '--tls-key', keyPath];
    await using platform = await Platform.open('process', [...tls, '--workers', String(workers)]);
    await platform.create('hello');
    await platform.create('shop');

    // From a file.
    expect((await getTls(port, 'hello.localhost', own.certPem)).status).toBe(200);
    await using session = await http2Session(`https://127.0.0.1:${port}`, {
      ca: own.certPem,
      servername: 'hello.localhost',
    });
    const ask = async () => (await askH2(session, { ':authority': 'hello.localhost' })).status;
    expect(await ask()).toBe(200);

    // From a tenant: until then the default one is shown.
    expect(await namesShown(port, 'shop.localhost')).toBe('DNS:hello.localhost');
    await platform.client.putCertificate('shop', 'main', { chain: shop.certPem, key: shop.keyPem });
    await until(
      'the certificate of the shop',
      async () => (await namesShown(port, 'shop.localhost')) === 'DNS:shop.localhost',
    );
    expect((await getTls(port, 'shop.localhost', shop.certPem)).status).toBe(200);
    expect(await ask()).toBe(200);

    // Another in the place of the first, on a signal.
    await put(newer);
    process.kill(platform.program.pid, 'SIGHUP');
    await until('the newer certificate', async () =>
      (await namesShown(port, 'newer.localhost'))?.includes('newer.localhost'),
    );
    expect((await getTls(port, 'hello.localhost', newer.certPem)).status).toBe(200);
    if (workers === 1) expect(await ask()).toBe(200);

    // What tenants gave outlives the program, and is in none of its words.
    await platform.client.deleteCertificate('shop', 'main');
    await until('the default again', async () =>
      (await namesShown(port, 'shop.localhost'))?.includes('hello'),
    );
    await platform.client.putCertificate('shop', 'main', { chain: shop.certPem, key: shop.keyPem });
    await platform.kill();
    const said = platform.program.output();
    await platform.start([...tls, '--workers', String(workers)]);
    expect(await namesShown(port, 'shop.localhost')).toBe('DNS:shop.localhost');
    for (const pair of [own, newer, shop])
      expect(said + platform.program.output()).not.toContain(pair.keyPem.split('\n')[1]);
  });

  it('believes the load balancers and proxies that it is told of', async () => {
    const flags = ['--proxy-protocol-from', '127.0.0.0/8', '--trusted-proxy', '192.0.2.0/24'];
    await using platform = await Platform.open('process', [...flags, '--workers', String(workers)]);
    const { proxyPort } = platform.program;
    const get = 'GET / HTTP/1.1\r\nHost: none.localhost\r\nConnection: close\r\n\r\n';
    expect(await exchangeRaw(proxyPort, get)).toBe('');
    expect(await exchangeRaw(proxyPort, `PROXY TCP4 192.0.2.1 198.51.100.1 1 80\r\n${get}`)).toMatch(
      /^HTTP\/1\.1 404 /,
    );
  });
});

it('mayfly up without workers, and with a folder of certificates, says on SIGHUP of no failure', async () => {
  const { folder, put } = await files();
  const port = await freePort();
  const tls = ['--tls-port', String(port), '--tls-dir', folder];
  await using platform = await Platform.open('process', [...tls, '--workers', '1']);
  const before = platform.program.output().length;
  await put(newer);
  process.kill(platform.program.pid, 'SIGHUP');
  await until('the newer certificate', async () =>
    (await namesShown(port, 'newer.localhost'))?.includes('newer.localhost'),
  );
  expect(await platform.stop()).toBe(0); // all is said that was to say
  expect(platform.program.output().slice(before)).not.toMatch(/"level":[456]0/);
});

it('mayfly up does not start with a certificate that is no good, and names the file', async () => {
  const { certPath, keyPath, put } = await files();
  await put({ ...own, keyPem: newer.keyPem });
  const tls = ['--tls-port', '0', '--tls-cert', certPath, '--tls-key', keyPath];
  await expect(Platform.open('process', tls)).rejects.toThrow(`${keyPath} is not the key of the certificate`);
});
