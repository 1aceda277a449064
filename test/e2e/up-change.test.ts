/** What is changed while people are visiting: age, a new revision, the end of the app. No request of theirs fails. */
import { expect, it } from 'vitest';
import { describeOnEngines, past } from '../support/platform.ts';
import { Traffic } from '../support/traffic.ts';
import { until } from '../support/until.ts';

describeOnEngines('under traffic', (shared) => {
  it('containers that reach their lifetime are replaced, and no request fails', async () => {
    const platform = shared();
    await platform.create('mortal', { policy: { lifetimeMs: 2_000 } });
    await using traffic = new Traffic(platform.program.proxyPort, 'mortal.localhost');
    await until(
      'the third successor to answer',
      () => traffic.failures.length > 0 || (traffic.answeredBy.length >= 4 && traffic.visits.length >= 300),
      30_000,
    );
    expect(traffic.failures).toEqual([]);
    const retired = (await platform.events('mortal')).filter(({ type }) => type === 'container.draining');
    expect(retired.length).toBeGreaterThanOrEqual(3);
    expect(new Set(retired.map(({ reason }) => reason))).toEqual(new Set(['it has reached its lifetime']));
  }, 60_000);

  it('a new revision takes over, and no request fails', async () => {
    const platform = shared();
    await platform.create('shop', { env: { GREETING: 'old' } });
    await platform.who('shop');
    const old = await platform.container('shop');
    await using traffic = new Traffic(platform.program.proxyPort, 'shop.localhost');
    await traffic.further(100);
    await platform.client.deployApp('shop', { env: { GREETING: 'new' } });
    await until(
      'the new revision to answer',
      () => traffic.failures.length > 0 || traffic.visits.at(-1)?.greeting === 'new',
    );
    const begun = traffic.begun;
    await traffic.further(200);

    expect(traffic.failures).toEqual([]);
    expect(traffic.visits[0]?.greeting).toBe('old');
    const later = traffic.visits.filter((visit) => visit.begun > begun);
    expect(new Set(later.map(({ greeting }) => greeting))).toEqual(new Set(['new']));
    expect(await platform.saw('shop', 'container.stopped')).toMatchObject({
      containerId: old.id,
      reason: 'a new revision was deployed',
    });
    expect([...(await platform.running()).keys()]).not.toContain(old.id);
  });

  it('an app that is deleted finishes the request that it has in flight', async () => {
    const platform = shared();
    await platform.create('closing');
    const inFlight = platform.get('closing', '/hold');
    const container = await until('the container', () =>
      platform.container('closing').catch(() => undefined),
    );
    await until('the request to be there', async () => {
      const held = await platform
        .container('closing')
        .then((one) => past(one, '/held'))
        .catch(() => undefined);
      return held?.body.includes('"held":1');
    });
    await platform.client.deleteApp('closing');
    const gone = await until('the hostname to be unknown', async () => {
      const answer = await platform.get('closing');
      return answer.status === 404 ? answer : undefined;
    });
    expect(gone.headers['mayfly-error']).toBe('unknown_host');

    const { address } = (await platform.client.listContainers()).find(({ id }) => id === container.id) ?? {};
    await past({ ...container, address: address ?? null }, '/release');
    expect(await inFlight).toMatchObject({ status: 200 });
    await until('its container to end', async () => !(await platform.running()).has(container.id));
  });
});
