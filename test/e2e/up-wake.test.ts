/** Who wakes an app that sleeps, and who does not, on a platform that runs. */
import { expect, it } from 'vitest';
import { describeOnEngines } from '../support/platform.ts';
import { until } from '../support/until.ts';

describeOnEngines('an app that not everybody wakes', (shared) => {
  it('is left asleep by its monitor, woken by a visitor, and asks the monitor itself while it is awake', async () => {
    const platform = shared();
    const reply = { body: 'asleep, and well' };
    await platform.create('monitored', {
      policy: { idleStopMs: 500, wake: { ignore: [{ path: '/healthz' }], reply } },
    });
    const asleep = await platform.get('monitored', '/healthz');
    expect(asleep).toMatchObject({ status: 200, body: 'asleep, and well' });
    expect(asleep.headers).toMatchObject({
      'mayfly-state': 'asleep',
      'content-type': 'text/plain; charset=utf-8',
    });
    expect(await platform.containers('monitored')).toEqual([]);

    const { id } = await platform.who('monitored');
    expect(await platform.who('monitored', '/healthz')).toMatchObject({ id });
    await platform.saw('monitored', 'container.stopped');
    expect((await platform.get('monitored', '/healthz')).body).toBe('asleep, and well');
    expect((await platform.story('monitored')).filter((type) => type === 'container.planned')).toHaveLength(
      1,
    );
  });

  it('is ready within its hours before anybody asks, and sleeps when it has none', async () => {
    const platform = shared();
    await platform.create('kept', {
      policy: { idleStopMs: 300, keepWarm: [{ from: '00:00', to: '24:00', timeZone: 'Europe/Berlin' }] },
    });
    const { reason } = await platform.saw('kept', 'app.keep_warm');
    expect(reason).toBe('its hours mon-sun 00:00-24:00 Europe/Berlin keep 1 ready');
    await platform.saw('kept', 'container.ready');
    const warm = await platform.get('kept');
    expect(warm.status).toBe(200);
    expect(warm.headers).not.toHaveProperty('mayfly-cold-start');
    await platform.client.patchApp('kept', { policy: { keepWarm: [] } });
    expect((await platform.saw('kept', 'container.stopped')).reason).toBe('no activity for 300ms');
    expect((await platform.saw('kept', 'app.keep_warm')).reason).toBe('its keep-warm hours are over');
  });

  it('that has been woken as often as it may be tells its next visitor when to come back', async () => {
    const platform = shared();
    await platform.create('seldom', { policy: { idleStopMs: 300, wake: { perMinute: 1 } } });
    await platform.who('seldom');
    await platform.saw('seldom', 'container.stopped');
    const refused = await platform.get('seldom');
    expect(refused.status).toBe(503);
    expect(refused.headers['mayfly-error']).toBe('wake_limit');
    expect(Number(refused.headers['retry-after'])).toBeGreaterThan(0);
    expect(Number(refused.headers['retry-after'])).toBeLessThanOrEqual(60);
    expect((await platform.story('seldom')).filter((type) => type === 'container.planned')).toHaveLength(1);

    await platform.client.patchApp('seldom', { policy: { wake: { perMinute: null } } });
    await until('the node to know', async () => (await platform.get('seldom')).status === 200);
  });
});
