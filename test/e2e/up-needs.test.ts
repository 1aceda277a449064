/** Apps that need others, on real engines: what wakes first, and who may sleep when. */
import { expect, it } from 'vitest';
import { describeOnEngines } from '../support/platform.ts';
import { until } from '../support/until.ts';

describeOnEngines('an app that needs others', (shared) => {
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
});
