/** Apps that need others, on real engines: what wakes first, and who may sleep when. */
import { expect, it } from 'vitest';
import { describeOnEngines } from '../support/platform.ts';
import { until } from '../support/until.ts';

/** Asks the platform's proxy for another app by its hostname, and answers with what came of it. */
const ASKER = `
  const { createServer, get } = require('node:http');
  const { readFileSync } = require('node:fs');
  const hex = /^\\S+\\s+00000000\\s+([0-9A-F]{8})/m.exec(readFileSync('/proc/net/route', 'utf8'))?.[1] ?? '';
  const gateway = (hex.match(/../g) ?? []).reverse().map((byte) => parseInt(byte, 16)).join('.');
  const host = process.env.HOST === '127.0.0.1' ? process.env.HOST : gateway;
  createServer((request, response) => {
    get({ host, port: process.env.PROXY_PORT, headers: { host: process.env.ASKS } }, (answer) => {
      answer.resume();
      response.end('answered ' + answer.statusCode);
    }).on('error', ({ code }) => response.end(code));
  }).listen(process.env.PORT, process.env.HOST ?? '0.0.0.0');
`;

describeOnEngines('an app that needs others', (shared, engine) => {
  it('is started after them, keeps them awake while it has a request, and wakes them again', async () => {
    const platform = shared();
    const policy = { idlePauseMs: 300, idleStopMs: null };
    await platform.create('base', { policy });
    await platform.create('middle', { policy, needs: ['base'] });
    await platform.create('front', { policy, needs: ['middle'] });
    await platform.create('bystander', { policy });
    const ids = async () =>
      Promise.all(['base', 'middle', 'front'].map(async (name) => (await platform.container(name)).id));

    const held = platform.who('front', '/hold');
    await until('the request to be held', async () => {
      const front = await platform.containers('front');
      return front[0]?.state === 'ready';
    });
    const started = await ids();
    const lives = (await platform.client.listEvents({ limit: 1_000 })).filter(
      ({ type, containerId }) =>
        started.includes(containerId ?? '') && ['container.planned', 'container.ready'].includes(type),
    );
    expect(lives.map(({ type, appName }) => `${appName} ${type.slice('container.'.length)}`)).toEqual([
      ...['base planned', 'base ready'],
      ...['middle planned', 'middle ready'],
      ...['front planned', 'front ready'],
    ]);

    // Another one that is as idle as they are sleeps by now.
    await platform.who('bystander');
    await platform.saw('bystander', 'container.paused');
    expect(await platform.container('base')).toMatchObject({ state: 'ready' });
    expect(await platform.container('middle')).toMatchObject({ state: 'ready' });

    await platform.who('front', '/release');
    await held;
    for (const name of ['front', 'middle', 'base']) await platform.saw(name, 'container.paused');
    const woken = await platform.get('front');
    expect(woken.status).toBe(200);
    expect(woken.headers['mayfly-cold-start']).toMatch(/^resumed;/);
    expect(woken.headers['server-timing']).toContain('mayfly-needs;dur=');
    expect(await ids()).toEqual(started);
    expect(await platform.container('base')).toMatchObject({ state: 'ready' });
  });

  it('is not started where one of them fails: the visitor is told so, and its owner which one and why', async () => {
    const platform = shared();
    await platform.create('broken', { policy: { startTimeoutMs: 300 }, env: { GATE_PORT: '1' } });
    await platform.create('leaning', { needs: ['broken'] });
    const answer = await platform.get('leaning');
    expect(answer.status).toBe(503);
    expect(answer.headers['mayfly-error']).toBe('need_failed');
    expect(answer.headers['retry-after']).toBeDefined();
    const told = await platform.saw('leaning', 'app.need_failed');
    expect(told.reason).toContain('app leaning needs broken, which is not ready');
    expect(await platform.containers('leaning')).toEqual([]);
  });

  it('reaches them through the proxy by their hostname as a process; as a container it is not let in there', async () => {
    const platform = shared();
    await platform.create('asked');
    const env = { ASKS: 'asked.localhost', PROXY_PORT: String(platform.program.proxyPort) };
    const command = [engine === 'docker' ? 'node' : process.execPath, '--eval', ASKER];
    const workload = engine === 'docker' ? { image: 'mayfly/hello', command } : { command, cwd: '/' };
    await platform.client.createApp({
      ...{ name: 'asker', hosts: ['asker.localhost'], ...workload, env, port: 8080, needs: ['asked'] },
      policy: { idlePauseMs: null, idleStopMs: null },
    });
    const { body } = await platform.get('asker');
    if (engine === 'process') expect(body).toBe('answered 200');
    else expect(body).toMatch(/^E[A-Z]+$/);
  });
});
