/** What is wrong is said by its name, to whoever can mend it; whoever visits another app meanwhile notices nothing. */
import { describe, expect, it } from 'vitest';
import { DockerRelay } from '../support/docker-relay.ts';
import { describeOnEngines, Platform, whyNot } from '../support/platform.ts';
import { freePort, startProgram } from '../support/program.ts';
import { Traffic } from '../support/traffic.ts';
import { until } from '../support/until.ts';

describeOnEngines('next to an app that goes on being served', (shared, engine) => {
  /** Visits to a neighbour from before to after. */
  async function meanwhile(platform: Platform, work: () => Promise<void>): Promise<void> {
    await platform.client.putApp('neighbour', {
      hosts: ['neighbour.localhost'],
      ...platform.workload('probe'),
      port: 8080,
      policy: { idlePauseMs: null, idleStopMs: null },
    });
    const before = await platform.who('neighbour');
    await using traffic = new Traffic(platform.program.proxyPort, 'neighbour.localhost');
    await traffic.further(10);
    await work();
    await traffic.further(10);
    expect(traffic.failures).toEqual([]);
    expect(traffic.answeredBy).toEqual([before.id]);
  }

  it('every malformed request to the API is refused with the field that is wrong', async () => {
    const platform = shared();
    const ask = async (method: string, path: string, body: unknown) => {
      const { apiUrl, token } = platform.program;
      const answer = await fetch(`${apiUrl}${path}`, {
        method,
        headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
        body: typeof body === 'string' ? body : JSON.stringify(body),
      });
      return { status: answer.status, body: JSON.stringify(await answer.json()) };
    };
    const good = { name: 'good', hosts: ['good.localhost'], ...platform.workload('probe') };
    await meanwhile(platform, async () => {
      for (const [body, status, ...named] of [
        ['{"name":', 400, 'JSON'],
        [{ ...good, name: 'Not a label' }, 400, '"name"', 'DNS label'],
        [{ ...good, nmae: 'good' }, 400, 'nmae'],
        [{ ...good, hosts: ['bad host'] }, 400, 'hosts'],
        [{ ...good, policy: { cpu: 0 } }, 400, 'policy.cpu'],
        [{ ...good, policy: { idlePauseMs: 10, idleStopMs: 5 } }, 400, 'idlePauseMs'],
        [{ name: 'good', hosts: [] }, 400, 'image'],
        [{ ...good, env: { PORT: '1' } }, 400, 'PORT'],
        [{ ...good, policy: { grade: 'huge' } }, 422, 'unknown_grade', 'huge'],
        [{ ...good, hosts: ['Neighbour.localhost'] }, 409, 'host_taken', 'neighbour.localhost'],
      ] as const) {
        const answer = await ask('POST', '/v1/apps', body);
        expect(answer, JSON.stringify(body)).toMatchObject({ status });
        for (const name of named) expect(answer.body).toContain(name);
      }
      expect(await ask('PATCH', '/v1/apps/nobody', {})).toMatchObject({ status: 404 });
    });
    expect((await platform.client.listApps()).map(({ name }) => name)).not.toContain('good');
  });

  it('an image that is not here is refused by its name', async () => {
    const platform = shared();
    const app = { name: 'absent', hosts: ['absent.localhost'], image: 'mayfly-test/no-such-image:1' };
    await meanwhile(platform, async () => {
      await expect(platform.client.createApp(app)).rejects.toMatchObject({
        code: engine === 'docker' ? 'image_not_found' : 'unsupported',
        message: expect.stringContaining('mayfly-test/no-such-image:1') as string,
      });
      expect((await platform.get('absent')).status).toBe(404);
    });
  });

  it('a command that exits at once is a 503 to the visitor, and its last words are for its owner', async () => {
    const platform = shared();
    const { command, image, cwd } = platform.workload('probe');
    const script = 'console.error("no such table: users"); process.exit(3)';
    await platform.client.createApp({
      name: 'broken',
      hosts: ['broken.localhost'],
      command: [command?.[0] ?? 'node', '--eval', script],
      ...(image === undefined ? { cwd: cwd ?? '/' } : { image }),
    });
    await meanwhile(platform, async () => {
      const answer = await platform.get('broken');
      expect(answer.status).toBe(503);
      expect(answer.headers).toMatchObject({ 'mayfly-error': 'start_failed', 'retry-after': '1' });
      expect(answer.body).not.toMatch(/users|code 3|ctr_/);
      const again = await platform.get('broken');
      expect(again.status).toBe(503);
      expect(again.headers).toHaveProperty('retry-after');

      expect(await platform.saw('broken', 'container.failed')).toMatchObject({
        reason: 'it exited with code 3 before it listened',
        figures: { lastLines: 'no such table: users' },
      });
      expect(await platform.saw('broken', 'app.start_backoff')).toMatchObject({
        reason: expect.stringContaining('it exited with code 3 before it listened') as string,
      });
    });
  });

  it('a port that nobody listens on is named to the owner', async () => {
    const platform = shared();
    const { command, image, cwd } = platform.workload('probe');
    await platform.client.createApp({
      name: 'deaf',
      hosts: ['deaf.localhost'],
      command: [command?.[0] ?? 'node', '--eval', 'setInterval(() => {}, 1_000)'],
      ...(image === undefined ? { cwd: cwd ?? '/' } : { image }),
      port: 8123,
      policy: { startTimeoutMs: 1_500 },
    });
    await meanwhile(platform, async () => {
      const answer = await platform.get('deaf');
      expect(answer.status).toBe(503);
      expect(answer.headers).toMatchObject({ 'mayfly-error': 'start_failed' });
      const failed = await platform.saw('deaf', 'container.failed');
      // The process engine gives a port of its own.
      expect(failed.reason).toMatch(
        engine === 'docker' ? /^nothing listened on port 8123 / : /^nothing listened on port \d+ /,
      );
    });
  });
});

describe.each([1, 2])('mayfly up with --workers %i', (workers) => {
  it.each([
    ['--proxy-host', '10.9.9.9'],
    ['--proxy-host', 'nohost.invalid'],
    ['--api-host', '10.9.9.9'],
    ['--metrics-host', 'nohost.invalid'],
  ])('does not start where %s is %s, no address of this machine, and says so', async (flag, host) => {
    const metrics = flag === '--metrics-host' ? ['--metrics-port', String(await freePort())] : [];
    const args = ['--workers', String(workers), ...metrics, flag, host];
    const refusal = await startProgram({ engine: 'process', args }).catch(String);
    expect(refusal).toContain('mayfly up ended with 2:');
    expect(refusal).toContain(`error: ${host} is no address of this machine`);
    expect(refusal).toContain(`hint: Name one with ${flag}: `);
  });
});

it('Docker that goes away in the middle of a start is named, and comes back', async ({ skip }) => {
  const reason = await whyNot('docker');
  skip(reason !== undefined, reason);
  const relay = await DockerRelay.open();
  try {
    await using platform = await Platform.open('docker', ['--docker-socket', relay.socketPath]);
    await platform.create('neighbour');
    const neighbour = await platform.who('neighbour');
    // Once when a container of an app is being made, once when one is being started.
    for (const [name, call] of [
      ['made', /^POST \/\S*containers\/create\?\S*ctr_/],
      ['started', /^POST \/\S*containers\/[0-9a-f]{64}\/start/],
    ] as const) {
      await platform.create(name);
      const cut = relay.cutAt(call);
      const visitor = platform.get(name);
      await cut;
      const answer = await visitor;
      expect(answer.status).toBe(503);
      expect(answer.headers['mayfly-error']).toBe('engine_unavailable');
      expect(await platform.who('neighbour')).toEqual(neighbour);

      await relay.mend();
      const who = await until('the app to start', () => platform.who(name).catch(() => undefined));
      expect(await platform.who(name)).toEqual(who);
      await until('what was cut off to be gone', async () => {
        const living = await platform.client.listContainers();
        const ready = living.filter(({ state }) => state === 'ready').map(({ id }) => id);
        return [...(await platform.running()).keys()].sort().join() === ready.sort().join();
      });
      expect(await platform.who('neighbour')).toEqual(neighbour);
    }
  } finally {
    await relay.close();
  }
}, 60_000);
