/** Apps that need others, on real engines: what wakes first, and who may sleep when. */
import { expect, it } from 'vitest';
import { describeOnEngines } from '../support/platform.ts';
import { until } from '../support/until.ts';

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

  it('reaches them the same way on every engine: at the address it is told, by the hostname it is told', async () => {
    const platform = shared();
    await platform.create('data-base', { env: { GREETING: 'from the base' } });
    await platform.create('client', { app: 'asker', needs: ['data-base'] });
    const told = JSON.parse((await platform.get('client', '/environment')).body) as Record<string, string>;
    expect(told).toMatchObject({ MAYFLY_NEED_DATA_BASE_HOST: 'data-base.localhost' });
    const { MAYFLY_NEED_DATA_BASE_URL: url = '', MAYFLY_NEED_DATA_BASE_HOST: host = '' } = told;
    if (engine === 'process') expect(url).toBe(`http://127.0.0.1:${platform.program.proxyPort}`);
    const query = new URLSearchParams({ url, host });
    const { body } = await platform.get('client', `/ask?${query.toString()}`);
    const asked = JSON.parse(body) as { status: number; body: string };
    expect(asked.status, body).toBe(200);
    expect(JSON.parse(asked.body)).toMatchObject({ greeting: 'from the base' });
  });
});
