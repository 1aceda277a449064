/**
 * Requests of an app that sleeps and has a wake policy, through a real proxy: over each way in they get the same answer, the
 * connection stays what it was, and it is counted as what it is.
 */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { systemClock } from '../../src/clock.ts';
import { PlatformError } from '../../src/errors.ts';
import { AccessLog } from '../../src/proxy/access-log/access-log.ts';
import type { Activation, WakeRules } from '../../src/proxy/control-plane.ts';
import { Browser } from '../support/browser.ts';
import { askH2, http2Session } from '../support/http2-client.ts';
import { whyNoProgram } from '../support/programs.ts';
import { exchangeRaw, RawClient } from '../support/raw-http.ts';
import { activation, deferred, ScriptedControlPlane } from '../support/scripted-control-plane.ts';
import { ask, testProxy } from '../support/upstreams-proxy.ts';
import { httpUpstream } from '../support/upstreams.ts';
import { until } from '../support/until.ts';

const WAKE: WakeRules = {
  ignore: [{ path: '/healthz' }, { userAgent: 'UptimeRobot' }],
  reply: { status: 200, contentType: 'application/json', body: '{"state":"asleep"}' },
  waitingPage: true,
};

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'mayfly-wake-'));
});
afterAll(() => rmSync(folder, { recursive: true }));

/** A sleeping app, and whoever decides when its start ends. */
function sleeper() {
  const control = new ScriptedControlPlane();
  const started = deferred<Activation>();
  control.app('a', { route: { wake: WAKE }, activate: () => started.promise });
  return { control, started };
}

describe('a health check of an app that sleeps', () => {
  it.each(['fast', 'http'] as const)(
    'is answered on a kept connection by the %s transport',
    async (transport) => {
      const { control } = sleeper();
      await using proxy = await testProxy({ control, transport });
      await using client = await RawClient.open(proxy.port);
      client.send('GET /healthz?from=lb HTTP/1.1\r\nHost: a.test\r\n\r\n');
      await client.saw('{"state":"asleep"}');
      client.send('GET / HTTP/1.1\r\nHost: a.test\r\nUser-Agent: Mozilla/5.0 (UptimeRobot/2.0)\r\n\r\n');
      await until('the second answer', () => client.statuses.length === 2);
      client.send(
        'HEAD / HTTP/1.1\r\nHost: a.test\r\nUser-Agent: UptimeRobot/2.0\r\nConnection: close\r\n\r\n',
      );
      const all = await client.rest();
      expect(client.statuses).toEqual([200, 200, 200]);
      expect(all.match(/^Mayfly-State: asleep\r$/gm)).toHaveLength(3);
      expect(all.match(/\{"state":"asleep"\}/g)).toHaveLength(2); // HEAD has no body
      expect(all).not.toContain('Mayfly-Error');
      expect(control.activated).toEqual([]);
      expect(control.observed).toEqual([]);
      expect(proxy.snapshot()).toMatchObject({
        requests: 3,
        status2xx: 3,
        errors: {},
        standIns: { asleep: 3, waiting_page: 0 },
      });
    },
  );

  it.each(['fast', 'http'] as const)(
    'is answered although it has a body, by the %s transport',
    async (transport) => {
      const { control } = sleeper();
      await using proxy = await testProxy({ control, transport });
      const answer = await ask(proxy, { path: '/healthz', method: 'POST', body: 'x'.repeat(300_000) });
      expect(answer).toMatchObject({ status: 200, text: '{"state":"asleep"}' });
    },
  );

  it('is answered over HTTP/1.0 and HTTP/2 as well', async () => {
    const { control } = sleeper();
    await using proxy = await testProxy({ control });
    const old = await exchangeRaw(proxy.port, 'GET /healthz HTTP/1.0\r\nHost: a.test\r\n\r\n');
    expect(old).toMatch(/^HTTP\/1\.1 200 OK\r\n[^]*\r\n\r\n\{"state":"asleep"\}$/);
    await using session = await http2Session(`http://127.0.0.1:${proxy.port}`);
    const answer = await askH2(session, { ':path': '/healthz' });
    expect(answer).toMatchObject({ status: 200, text: '{"state":"asleep"}' });
    expect(answer.headers['mayfly-state']).toBe('asleep');
    expect(control.activated).toEqual([]);
  });

  it.each(['fast', 'http'] as const)('is told in the access log by the %s transport', async (transport) => {
    const { control } = sleeper();
    const path = join(folder, `${transport}.log`);
    const log = { warn: () => undefined, error: () => undefined };
    const requestLog = new AccessLog({ path, sample: 1, clock: systemClock, log });
    await using proxy = await testProxy({ control, transport, requestLog });
    await ask(proxy, { path: '/healthz' });
    await requestLog.close();
    const line = JSON.parse(readFileSync(path, 'utf8')) as object;
    expect(line).toMatchObject({ path: '/healthz', status: 200, standIn: 'asleep' });
    expect(line).not.toHaveProperty('error');
    expect(line).not.toHaveProperty('heldMs');
  });
});

describe('a page that is loaded while its app is started', () => {
  const headers = { accept: 'text/html,application/xhtml+xml;q=0.9' };

  it.each(['fast', 'http'] as const)('is one that waits, on the %s transport', async (transport) => {
    const { control, started } = sleeper();
    await using upstream = await httpUpstream((_, res) => res.end('hello'));
    await using proxy = await testProxy({ control, transport });
    const [page, api] = [ask(proxy, { headers }), ask(proxy)];
    const shown = await page;
    expect(shown.status).toBe(503);
    expect(shown.headers).toMatchObject({
      'content-type': 'text/html; charset=utf-8',
      'cache-control': 'no-store',
      'retry-after': '5',
      'mayfly-state': 'starting',
    });
    expect(shown.text).toContain('<h1>a is being started</h1>');
    started.resolve(activation([upstream.endpoint]));
    expect((await api).text).toBe('hello'); // whoever is no browser has waited
    expect((await ask(proxy, { headers })).text).toBe('hello');
    expect(control.activated).toEqual(['a']);
    expect(proxy.snapshot().standIns).toEqual({ asleep: 0, waiting_page: 1 });
  });

  describe('in Chromium', () => {
    beforeEach((context) => {
      const reason = whyNoProgram('chromium', 'chromium');
      context.skip(reason !== undefined, reason);
    });

    it('becomes the app by itself', { timeout: 60_000 }, async () => {
      const { control, started } = sleeper();
      const methods: string[] = [];
      await using upstream = await httpUpstream((req, res) => {
        if (req.url === '/page?x=1') methods.push(req.method ?? '');
        res.setHeader('Content-Type', 'text/html').end('<title>ready</title><h1>the app itself</h1>');
      });
      await using proxy = await testProxy({ control });
      await using browser = await Browser.open(`http://a.test:${proxy.port}/page?x=1`);
      await browser.until(
        'the waiting page',
        async () => (await browser.evaluate('document.title')) === 'Starting a',
      );
      await until('its request to be held', () => proxy.snapshot().held === 1);
      started.resolve(activation([upstream.endpoint]));
      await browser.until('the app', async () => (await browser.evaluate('document.title')) === 'ready');
      expect(methods).toEqual(['HEAD', 'GET']);
      expect(control.activated).toEqual(['a']);
    });

    it('says that the start failed, and tries again when it is told to', { timeout: 60_000 }, async () => {
      const { control, started } = sleeper();
      await using proxy = await testProxy({ control });
      await using browser = await Browser.open(`http://a.test:${proxy.port}/`);
      await browser.until('its page', () => proxy.snapshot().standIns.waiting_page === 1);
      await until('its request to be held', () => proxy.snapshot().held === 1);
      started.reject(new PlatformError('start_failed', 'it crashed', { retryAfterMs: 3_000 }));
      const words = await browser.until('the failure', async () => {
        const text = String(await browser.evaluate('document.body?.innerText'));
        return text.includes('could not') ? text : undefined;
      });
      expect(words.split('\n').filter(Boolean)).toEqual([
        'The app could not be started',
        'It may be tried again in 3 seconds.',
        'Try again',
      ]);
      expect(control.activated).toEqual(['a']);
      await browser.evaluate("document.querySelector('button').click()");
      await until('another start', () => control.activated.length === 2);
    });
  });
});
