import { afterEach, describe, expect, it } from 'vitest';
import { DockerApi, MAX_PULLS } from '../../src/compute/docker/api.ts';
import { openDockerEngine } from '../../src/compute/docker/engine.ts';
import { FakeClock } from '../support/fake-clock.ts';
import { scriptedDocker } from '../support/scripted-docker.ts';
import type { ScriptedDocker } from '../support/scripted-docker.ts';
import { until } from '../support/until.ts';

describe('the calls of the docker engine', () => {
  let engine: ScriptedDocker;
  let api: DockerApi;

  afterEach(async () => {
    api.close();
    await engine.close();
  });

  it('do not wait for pulls whose registry is silent, of which there may be so many', async () => {
    engine = await scriptedDocker((request, answer) => {
      if (!request.url?.includes('/images/create')) answer.end('[]');
    });
    api = new DockerApi({ socketPath: engine.socketPath });
    const pull = (signal: AbortSignal) => api.pull('registry.example/app:1', signal).next();
    const giveUp = new AbortController();
    const pulls = Array.from({ length: MAX_PULLS }, () => pull(giveUp.signal));
    await until('all to be asked', async () => (await engine.connections()) === MAX_PULLS);

    await expect(pull(giveUp.signal)).rejects.toMatchObject({
      code: 'quota_exceeded',
      message: expect.stringContaining(String(MAX_PULLS)) as string,
    });
    expect(await api.list('any=thing')).toEqual([]);

    giveUp.abort(new Error('enough'));
    for (const one of pulls) await expect(one).rejects.toThrow('enough');
    const again = new AbortController();
    const next = pull(again.signal);
    again.abort(new Error('enough'));
    await expect(next).rejects.toThrow('enough');
  });

  it('end with the driver, which gives a silent engine ten seconds for all that is left to do', async () => {
    engine = await scriptedDocker(() => {});
    const { socketPath } = engine;
    api = new DockerApi({ socketPath });
    const clock = new FakeClock();
    const driver = openDockerEngine({ nodeId: 'node_1', socketPath, clock });
    const prepared = driver.prepare().catch((error: unknown) => error);
    let isClosed = false;
    const closed = driver.close().then(() => (isClosed = true));
    await clock.advance(9_999);
    expect(isClosed).toBe(false);
    await clock.advance(1);
    await closed;
    expect(await prepared).toMatchObject({ code: 'shutting_down' });
    expect(clock.pending).toBe(0);
  });

  it.each([
    ['inspects an image', () => api.inspectImage('app:1')],
    ['asks for statistics', () => api.stats('one')],
  ])('let go of an engine that is silent: one that %s', async (_, call) => {
    engine = await scriptedDocker(() => {});
    api = new DockerApi({ socketPath: engine.socketPath, callTimeoutMs: 50 });
    await expect(call()).rejects.toMatchObject({ code: 'engine_unavailable' });
    await until('the connection to be closed', async () => (await engine.connections()) === 0);
  });
});
