/** Behind a load balancer that tells whose each connection is: a real one, and one that lies or dawdles. */
import { spawn } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import type { RequestListener } from 'node:http';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { Networks } from '../../src/networks.ts';
import { makePair, shown } from '../support/certificates.ts';
import type { Pair } from '../support/certificates.ts';
import { askH2, http2Session } from '../support/http2-client.ts';
import { freePort } from '../support/program.ts';
import { programPath, whyNoProgram } from '../support/programs.ts';
import { exchangeRaw, RawClient } from '../support/raw-http.ts';
import { activation } from '../support/scripted-control-plane.ts';
import { ask, testProxy } from '../support/upstreams-proxy.ts';
import { httpUpstream } from '../support/upstreams.ts';
import { until } from '../support/until.ts';

let pair: Pair;
beforeAll(async () => {
  pair = await makePair(['a.test']);
});

const echo: RequestListener = (req, res) => res.end(JSON.stringify(req.headers));
const GET = 'GET / HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n\r\n';
const V2 = Buffer.from('0d0a0d0a000d0a515549540a2111000cc0000201c6336401dc0401bb', 'hex');

async function world(options: Parameters<typeof testProxy>[0] = {}) {
  const upstream = await httpUpstream(echo);
  const tls = {
    listen: { host: '127.0.0.1', port: 0 },
    certificates: [shown('a', pair, { isDefault: true })],
  };
  const proxy = await testProxy({ tls, proxyProtocolFrom: new Networks(['127.0.0.0/8']), ...options });
  proxy.control.app('a', { activate: async () => activation([upstream.endpoint], 'warm') });
  return {
    proxy,
    async [Symbol.asyncDispose]() {
      await proxy[Symbol.asyncDispose]();
      await upstream.close();
    },
  };
}

/** HAProxy in TCP mode, from one address of loopback to a port. */
async function balancer(target: number, how: 'send-proxy' | 'send-proxy-v2') {
  const folder = await mkdtemp(join(tmpdir(), 'mayfly-haproxy-'));
  const port = await freePort();
  const config = join(folder, 'haproxy.cfg');
  await writeFile(
    config,
    `defaults\n mode tcp\n timeout connect 5s\n timeout client 30s\n timeout server 30s\n` +
      `listen door\n bind 127.0.0.1:${port}\n server mayfly 127.0.0.1:${target} ${how}\n`,
  );
  const child = spawn(programPath('haproxy') ?? '', ['-db', '-f', config], { stdio: 'ignore' });
  const failed = new Promise<never>((_, reject) => child.once('error', reject));
  const listening = until(
    'haproxy to listen',
    () =>
      new Promise<boolean>((resolve) => {
        const probe = connect(port, '127.0.0.1', () => {
          probe.destroy();
          resolve(true);
        });
        probe.once('error', () => resolve(false));
      }),
  );
  await Promise.race([failed, listening]);
  return {
    port,
    async [Symbol.asyncDispose]() {
      child.kill('SIGKILL');
      await until('haproxy to end', () => child.exitCode !== null || child.signalCode !== null);
      await rm(folder, { recursive: true, force: true });
    },
  };
}

describe.each(['send-proxy', 'send-proxy-v2'] as const)('behind HAProxy with %s', (how) => {
  beforeEach((context) => {
    const reason = whyNoProgram('haproxy', 'haproxy');
    context.skip(reason !== undefined, reason);
  });

  it('apps are told the address of the client, over HTTP/1.1, TLS and HTTP/2', async () => {
    await using w = await world();
    await using plain = await balancer(w.proxy.port, how);
    const answer = await ask(plain, { localAddress: '127.0.0.9' });
    expect(JSON.parse(answer.text)).toMatchObject({
      'x-forwarded-for': '127.0.0.9',
      'x-forwarded-proto': 'http',
    });

    await using secure = await balancer(w.proxy.tlsPort ?? 0, how);
    const socket = { localAddress: '127.0.0.8', ca: pair.certPem, servername: 'a.test' };
    await using session = await http2Session(`https://127.0.0.1:${secure.port}`, socket);
    const h2 = await askH2(session, {});
    expect(JSON.parse(h2.text)).toMatchObject({
      'x-forwarded-for': '127.0.0.8',
      'x-forwarded-proto': 'https',
    });

    await using greeting = await http2Session(`http://127.0.0.1:${plain.port}`);
    expect((await askH2(greeting, {})).status).toBe(200);
  });
});

describe('a connection from a load balancer', () => {
  it.each([
    ['version 1', Buffer.from('PROXY TCP4 192.0.2.1 198.51.100.1 56324 443\r\n')],
    ['version 2', V2],
  ])(
    'is read as it comes: the header of %s and a request in one piece, in two, or byte by byte',
    async (_, header) => {
      await using w = await world();
      const bytes = Buffer.concat([header, Buffer.from(GET)]);
      const cuts = [bytes.length, header.length, header.length - 1, header.length + 5, 1];
      for (const step of cuts) {
        await using client = await RawClient.open(w.proxy.port);
        for (let at = 0; at < bytes.length; at += step) {
          client.send(bytes.subarray(at, at + step));
          if (step > 1) await new Promise((resolve) => setImmediate(resolve));
        }
        expect(await client.rest()).toContain('"x-forwarded-for":"192.0.2.1"');
      }
    },
  );

  it('is of its own client, also where that says just what another one has said before', async () => {
    await using w = await world();
    for (const address of ['192.0.2.1', '192.0.2.2', '192.0.2.2', '192.0.2.1']) {
      const answer = await exchangeRaw(
        w.proxy.port,
        `PROXY TCP4 ${address} 198.51.100.1 56324 443\r\n${GET}`,
      );
      expect(answer).toContain(`"x-forwarded-for":"${address}"`);
      expect(answer).toContain(`"forwarded":"for=${address};`);
    }
  });

  it('is the balancer’s own where it says so', async () => {
    await using w = await world();
    const local = '\r\n\r\n\0\r\nQUIT\n\x20';
    // Whatever family such a one names.
    for (const header of ['PROXY UNKNOWN\r\n', `${local}\0\0\0`, `${local}\x12\0\0`, `${local}\xff\0\x02ab`])
      expect(await exchangeRaw(w.proxy.port, header + GET)).toContain('"x-forwarded-for":"127.0.0.1"');
  });

  it('that does not begin with a header is closed without an answer, and its operator is told', async () => {
    await using w = await world();
    for (const bytes of [GET, 'PROXY TCP4 192.0.2.1\r\n' + GET, 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'])
      expect(await exchangeRaw(w.proxy.port, bytes)).toBe('');
    expect(w.proxy.snapshot()).toMatchObject({ refusedConnections: { proxy_header: 3 }, requests: 0 });
    expect(w.proxy.logged).toHaveLength(3);
    expect(w.proxy.logged[0]).toMatchObject({ level: 'warn', fields: { balancer: '127.0.0.1' } });
  });

  it('that does not finish its header in time is closed', async () => {
    await using w = await world({ limits: { headersTimeoutMs: 100 } });
    expect(await exchangeRaw(w.proxy.port, 'PROXY TCP4 192.')).toBe('');
    await using silent = await RawClient.open(w.proxy.port);
    expect(await silent.rest()).toBe('');
  });

  it('has the client of whom it tells trusted, or not, by that client’s address', async () => {
    const trustedProxies = new Networks(['192.0.2.1/32']);
    await using w = await world({ trustedProxies });
    const claim = GET.replace('Connection', 'X-Forwarded-For: 203.0.113.9\r\nConnection');
    const from = (address: string) => `PROXY TCP4 ${address} 198.51.100.1 56324 443\r\n${claim}`;
    expect(await exchangeRaw(w.proxy.port, from('192.0.2.1'))).toContain('"203.0.113.9, 192.0.2.1"');
    expect(await exchangeRaw(w.proxy.port, from('192.0.2.2'))).toContain('"x-forwarded-for":"192.0.2.2"');
  });
});

it('a PROXY header from anybody else is refused as the malformed HTTP it is', async () => {
  await using w = await world({ proxyProtocolFrom: undefined });
  const answer = await exchangeRaw(w.proxy.port, `PROXY TCP4 192.0.2.1 198.51.100.1 56324 443\r\n${GET}`);
  expect(answer).toMatch(/^HTTP\/1\.1 400 /);
  expect(await exchangeRaw(w.proxy.port, Buffer.concat([V2, Buffer.from(GET)]))).toMatch(/^HTTP\/1\.1 400 /);
  expect(w.proxy.snapshot().requests).toBe(0);
});
