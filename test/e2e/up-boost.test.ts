/** More CPU while a container starts, as the kernel holds it. */
import { expect, it } from 'vitest';
import { Platform, describeOnEngines } from '../support/platform.ts';
import { StartGate } from '../support/start-gate.ts';
import { until } from '../support/until.ts';

describeOnEngines('a container that starts with more CPU', (shared, engine) => {
  it('has it while it starts and for a while after, then its own, without a restart', async () => {
    const platform = shared();
    await using gate = await StartGate.open(() => 'wait');
    const policy = { cpu: 0.3, boost: { cpu: 1, afterReadyMs: 1_000 } };
    await platform.create('keen', { env: gate.env, policy });
    const answer = platform.who('keen');
    await until('it to start', () => gate.waiting === 1);
    const { id } = await platform.container('keen');
    const starting = await platform.limits(id);
    expect(starting.cpu).toBe(1);
    const releasedAtMs = Date.now();
    gate.release();
    await answer;
    const ended = await platform.saw('keen', 'container.boost_ended');
    // It became ready after that; the event of it may be younger than that moment.
    expect(ended.atMs - releasedAtMs).toBeGreaterThanOrEqual(1_000);
    expect(await platform.limits(id)).toEqual({ ...starting, cpu: 0.3 });
    const after = await platform.container('keen');
    expect(after).toMatchObject({ id, resources: { cpu: 0.3 } });
  });

  it('has its own CPU once the platform, killed in between, is there again', async () => {
    await using platform = await Platform.open(engine);
    const policy = { cpu: 0.3, boost: { cpu: 1, afterReadyMs: 300_000 } };
    await platform.create('orphan', { policy });
    const who = await platform.who('orphan');
    const { id } = await platform.container('orphan');
    const before = await platform.limits(id);
    expect(before.cpu).toBe(1);
    await platform.kill();
    expect((await platform.limits(id)).cpu).toBe(1);
    await platform.start();
    await until('its own CPU', async () => (await platform.limits(id)).cpu === 0.3);
    expect(await platform.limits(id)).toEqual({ ...before, cpu: 0.3 });
    expect(await platform.who('orphan')).toEqual(who);
  });
});
