/** How the program ends, and who may start it: in good order, for a restart, and never twice on one data folder. */
import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { ENGINES, past, Platform, whyNot } from '../support/platform.ts';
import { get } from '../support/program.ts';
import { until } from '../support/until.ts';

const MAYFLY = join(import.meta.dirname, '../../bin/mayfly');

it.for(ENGINES)(
  'containers that were left running on purpose are taken over (%s)',
  async (engine, { skip }) => {
    const reason = await whyNot(engine);
    skip(reason !== undefined, reason);
    await using platform = await Platform.open(engine, ['--leave-running']);
    await platform.create('awake');
    await platform.create('asleep', { policy: { idlePauseMs: 200 } });
    const before = [await platform.who('asleep'), await platform.who('awake')];
    await platform.saw('asleep', 'container.paused');
    const engineIds = await platform.running();
    const containers = [await platform.container('asleep'), await platform.container('awake')];
    expect(containers.map(({ state }) => state)).toEqual(['paused', 'ready']);
    expect(await platform.stop()).toBe(0);
    expect(await platform.running()).toEqual(engineIds);

    await platform.start();
    expect([await platform.container('asleep'), await platform.container('awake')]).toMatchObject(
      containers.map(({ id, state }) => ({ id, state })),
    );
    expect([await platform.who('asleep'), await platform.who('awake')]).toEqual(before);
    expect(await platform.running()).toEqual(engineIds);
  },
);

it.for(ENGINES)(
  'SIGTERM lets requests in flight finish, takes no others, and leaves nothing (%s)',
  async (engine, { skip }) => {
    const reason = await whyNot(engine);
    skip(reason !== undefined, reason);
    await using platform = await Platform.open(engine);
    await platform.create('busy');
    await platform.create('idle');
    await platform.who('idle');
    const me = await platform.who('busy');
    const container = await platform.container('busy');
    const inFlight = platform.get('busy', '/hold');
    await until('the request to be there', async () =>
      (await past(container, '/held')).body.includes('"held":1'),
    );

    const stopping = platform.stop();
    await until('new visitors to be refused', () =>
      platform.get('idle').then(
        () => false,
        (error: unknown) => String(error).includes('ECONNREFUSED'),
      ),
    );
    await past(container, '/release');
    const answer = await inFlight;
    expect(answer.status).toBe(200);
    expect(JSON.parse(answer.body)).toEqual(me);
    expect(await stopping).toBe(0);

    expect(await platform.left()).toEqual([]);
    const ports = [platform.program.proxyPort, Number(new URL(platform.program.apiUrl).port)];
    // On Docker the container's address is nobody's by now.
    if (engine === 'process') ports.push(container.address?.port ?? 0);
    for (const port of ports) await expect(get(port, '/', {})).rejects.toThrow('ECONNREFUSED');
  },
);

it('a second program on the same data folder is refused, and the first serves on', async () => {
  await using platform = await Platform.open('process');
  await platform.create('first');
  const before = await platform.who('first');
  const args = ['up', '--data', platform.data, '--engine', 'process', '--proxy-port', '0', '--api-port', '0'];
  const second = await new Promise<{ code: unknown; stderr: string }>((resolve) => {
    execFile(MAYFLY, args, (error, _stdout, stderr) => resolve({ code: error?.code, stderr }));
  });
  expect(second.code).toBe(2);
  expect(second.stderr).toContain(
    `error: the data directory ${platform.data} is in use by process ${platform.program.pid}`,
  );
  expect(second.stderr).toContain('hint: ');
  expect(await platform.who('first')).toEqual(before);
});
