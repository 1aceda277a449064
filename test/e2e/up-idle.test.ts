/** How a container falls asleep, wakes and goes when nobody asks anything of it, on real engines. */
import { expect, it } from 'vitest';
import { describeOnEngines } from '../support/platform.ts';
import { RawClient } from '../support/raw-http.ts';
import { until } from '../support/until.ts';

describeOnEngines('an idle container', (shared) => {
  it('is paused, uses no CPU then, and answers itself when it is woken', async () => {
    const platform = shared();
    await platform.create('dozer', {
      env: { BURN: '1' },
      policy: { idlePauseMs: 300, idleStopMs: null, cpu: 0.2 },
    });
    await platform.create('clock');
    const before = await platform.who('dozer');
    const { id } = await platform.container('dozer');
    await platform.saw('dozer', 'container.paused');
    expect(await platform.container('dozer')).toMatchObject({ id, state: 'paused' });

    const pausedCpuMs = await platform.cpuMs(id);
    expect(pausedCpuMs).toBeGreaterThan(0);
    await using clock = await RawClient.open(platform.program.proxyPort);
    clock.send('GET /ticks HTTP/1.1\r\nHost: clock.localhost\r\n\r\n');
    await clock.saw('tick 6.');
    expect(await platform.cpuMs(id)).toBe(pausedCpuMs);

    const woken = await platform.get('dozer');
    expect(JSON.parse(woken.body)).toEqual(before);
    expect(woken.headers['mayfly-cold-start']).toMatch(/^resumed;/);
    await until('it to burn CPU again', async () => (await platform.cpuMs(id)) > pausedCpuMs);
    expect(await platform.container('dozer')).toMatchObject({ id });
  });

  it('is paused, stopped, and removed once its successor has ended too', async () => {
    const platform = shared();
    await platform.create('napper', { policy: { idlePauseMs: 200, idleStopMs: 600 } });
    const first = await platform.who('napper');
    const stopped = await platform.saw('napper', 'container.stopped');
    expect(stopped.reason).toBe('no activity for 600ms');
    expect((await platform.story('napper')).filter((type) => type.startsWith('container.'))).toEqual([
      'container.planned',
      'container.starting',
      'container.ready',
      'container.paused',
      'container.draining',
      'container.stopped',
    ]);
    const [ended] = await platform.containers('napper');
    expect(ended).toMatchObject({ id: stopped.containerId, state: 'stopped', address: null });
    expect([...(await platform.running()).keys()]).not.toContain(ended?.id);

    const second = await platform.who('napper');
    expect(second.id).not.toBe(first.id);
    const successor = await platform.container('napper');
    const left = await until('the first to be removed', async () => {
      const all = await platform.containers('napper');
      return all.length === 1 && all[0]?.state === 'stopped' ? all : undefined;
    });
    expect(left.map(({ id }) => id)).toEqual([successor.id]);
  });
});
