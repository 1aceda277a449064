/** A container that dies of itself: at most what it was doing is lost, and whoever comes next is served. */
import { expect, it } from 'vitest';
import { describeOnEngines, past } from '../support/platform.ts';
import { RawClient } from '../support/raw-http.ts';
import { until } from '../support/until.ts';

describeOnEngines('a container that is killed', (shared) => {
  it('while it is idle is missed by nobody', async () => {
    const platform = shared();
    await platform.create('idle');
    const before = await platform.who('idle');
    const { id } = await platform.container('idle');
    await platform.crash(id);
    const after = await platform.who('idle');
    expect(after.id).not.toBe(before.id);
    expect(await platform.saw('idle', 'container.failed')).toMatchObject({
      containerId: id,
      reason: 'it exited with code 137',
    });
    expect([...(await platform.running()).keys()]).toEqual([(await platform.container('idle')).id]);
  });

  it('while it serves breaks that request alone, with 502', async () => {
    const platform = shared();
    await platform.create('busy');
    const before = await platform.who('busy');
    const container = await platform.container('busy');
    // Not a method that may be sent twice.
    await using client = await RawClient.open(platform.program.proxyPort);
    client.send('POST /hold HTTP/1.1\r\nHost: busy.localhost\r\nContent-Length: 0\r\n\r\n');
    await until('the request to be there', async () =>
      (await past(container, '/held')).body.includes('"held":1'),
    );
    await platform.crash(container.id);
    expect(await client.saw('"status":502')).toMatch(
      /^HTTP\/1\.1 502 .*\r\nMayfly-Error: upstream_broken\r\n/s,
    );
    expect((await platform.who('busy')).id).not.toBe(before.id);
  });
});
