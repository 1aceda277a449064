/** POST /v1/apps/:name/scale and `mayfly apps scale`: a size by force, and what is said when it cannot be had. */
import { describe, expect, it } from 'vitest';
import { systemClock } from '../../src/clock.ts';
import { createCore } from '../../src/coreapi/core.ts';
import type { ScaleView } from '../../src/coreapi/schema.ts';
import { mayfly } from '../support/cli.ts';
import { refusal, startApi, TOKEN, type Api } from './api-support.ts';

const MIB = 1024 ** 2;
const PATH = '/v1/apps/hello/scale';

async function withApp(policy = {}): Promise<Api> {
  const api = await startApi();
  const core = createCore({ store: api.store, clock: systemClock });
  await core.register({
    nodeId: 'node_1',
    name: 'one',
    engine: 'docker',
    capacity: { cpu: 2, memoryBytes: 2 ** 31 },
  });
  await api.client.createApp({
    name: 'hello',
    hosts: [],
    image: 'web:1',
    policy: { cpu: 0.3, memoryBytes: 256 * MIB, scaling: { cpuMax: 1.5 }, ...policy },
  });
  return api;
}

const scale = (api: Api, body: object) => api.call('POST', PATH, { body });

describe('a size by force', () => {
  it('is accepted with what was decided, recorded, and told as an event', async () => {
    const api = await withApp();
    const answer = await scale(api, { replicas: 2, cpu: 0.6 });
    expect(answer.status).toBe(202);
    expect((await answer.json()) as ScaleView).toEqual({
      appId: expect.stringMatching(/^app_/) as string,
      appName: 'hello',
      changed: true,
      directions: ['out', 'up'],
      from: { replicas: 0, cpu: 0.3, memoryBytes: 256 * MIB },
      to: { replicas: 2, cpu: 0.6, memoryBytes: 256 * MIB },
      reason: '0 → 2 containers, 0.3 → 0.6 CPU',
    });
    expect(await api.store.list('size')).toMatchObject([{ replicas: 2, cpu: 0.6, memoryBytes: null }]);
    const [event] = (await api.client.listEvents({ app: 'hello' })).filter(
      ({ type }) => type === 'scale.decided',
    );
    expect(event).toMatchObject({
      reason: '0 → 2 containers, 0.3 → 0.6 CPU: an operator asked for it',
      figures: { by: 'instruction', fromReplicas: 0, toReplicas: 2, fromCpu: 0.3, toCpu: 0.6 },
    });
  });

  it('that it has already is no error', async () => {
    const api = await withApp();
    await scale(api, { replicas: 2 });
    const answer = await scale(api, { replicas: 2 });
    expect(answer.status).toBe(202);
    expect(await answer.json()).toMatchObject({ changed: false, reason: 'it has that size already' });
  });

  it('may be a grade', async () => {
    const api = await withApp();
    expect(await (await scale(api, { grade: 'medium' })).json()).toMatchObject({
      to: { cpu: 1, memoryBytes: 2048 * MIB },
    });
  });

  it.each([
    [{}, 400, 'invalid_body', 'is needed, or cpu, memoryBytes or a grade'],
    [{ replicas: 0 }, 400, 'invalid_body', 'replicas'],
    [{ replicas: 1.5 }, 400, 'invalid_body', 'replicas'],
    [{ size: 2 }, 400, 'invalid_body', 'size'],
    [{ grade: 'nano', cpu: 1 }, 400, 'invalid_body', 'it stands for both'],
    [{ grade: 'huge' }, 422, 'unknown_grade', 'nano, micro'],
    [{ replicas: 9 }, 400, 'invalid_body', 'must be at most 3 (maxReplicas of its policy), but is 9'],
    [{ cpu: 2 }, 400, 'invalid_body', 'must be at most 1.5 (scaling.cpuMax of its policy), but is 2'],
    [{ cpu: 0.1 }, 400, 'invalid_body', 'must be at least 0.3 (cpu), but is 0.1'],
    [{ replicas: 3, cpu: 1.5 }, 503, 'no_capacity', 'there is room for 1 of 3 more containers'],
  ])('such as %j is refused with what is wrong: %i %s', async (body, status, code, text) => {
    const api = await withApp();
    const problem = await refusal(api, 'POST', PATH, { body });
    expect(problem).toMatchObject({ status, code });
    expect(JSON.stringify(problem)).toContain(text);
    expect((await api.store.list('size')).length).toBe(0);
  });

  it('beyond the tenant’s quota is refused', async () => {
    const api = await withApp();
    const [tenant] = await api.store.list('tenant');
    if (!tenant) throw new Error('there is no tenant');
    const quota = { containers: 1, cpu: 8, memoryBytes: 2 ** 40 };
    await api.store.commit([
      { op: 'update', kind: 'tenant', id: tenant.id, ifGeneration: tenant.generation, set: { quota } },
    ]);
    const problem = await refusal(api, 'POST', PATH, { body: { replicas: 2 } });
    expect(problem).toMatchObject({ status: 429, code: 'quota_exceeded' });
    expect(problem.detail).toContain('2 containers in all, and may have 1');
  });

  it('is that of an app that exists', async () => {
    const api = await startApi();
    expect(await refusal(api, 'POST', PATH, { body: { replicas: 2 } })).toMatchObject({ code: 'not_found' });
  });
});

describe('an app that is to be kept warm', () => {
  it('is known to the nodes from its registration to its end', async () => {
    const api = await withApp({ minReplicas: 1 });
    const core = createCore({ store: api.store, clock: systemClock });
    expect((await core.wantedApps()).map(({ app }) => app.name)).toEqual(['hello']);
    await api.client.patchApp('hello', { policy: { minReplicas: 0 } });
    expect(await core.wantedApps()).toEqual([]);
    await api.client.patchApp('hello', { policy: { minReplicas: 2 } });
    expect(await core.wantedApps()).toHaveLength(1);
    await api.client.deleteApp('hello');
    expect(await core.wantedApps()).toEqual([]);
    expect(await api.store.list('size')).toEqual([]);
  });
});

describe('mayfly apps scale', () => {
  const cli = ({ url }: Api, ...words: string[]) =>
    mayfly(['apps', 'scale', ...words], { env: { MAYFLY_URL: url, MAYFLY_TOKEN: TOKEN } });

  it('says what was decided, to people and to scripts', async () => {
    const api = await withApp();
    expect((await cli(api, 'hello', '--replicas', '2', '--cpu', '0.6')).stdout).toBe(
      'hello: 0 → 2 containers, 0.3 → 0.6 CPU each\n',
    );
    expect((await cli(api, 'hello', '--memory', '512MiB')).stdout).toBe('hello: 256 MiB → 512 MiB each\n');
    expect((await cli(api, 'hello', '--replicas', '2')).stdout).toBe(
      'hello has that size already: 2 containers, 0.6 CPU, 512 MiB each\n',
    );
    const { stdout } = await cli(api, 'hello', '--replicas', '1', '--json');
    expect(JSON.parse(stdout)).toMatchObject({ changed: true, directions: ['in'], to: { replicas: 1 } });
  });

  it.each([
    [[], 2, 'no size was given'],
    [['--replicas', 'many'], 2, '--replicas many: must be a whole number'],
    [['--cpu', 'much'], 2, '--cpu much: must be a number of cores'],
    [['--memory', 'some'], 2, '--memory some: must be a size'],
    [['--replicas', '9'], 1, 'must be at most 3 (maxReplicas of its policy)'],
  ])('refuses %j with exit code %i', async (words, exitCode, text) => {
    const outcome = await cli(await withApp(), 'hello', ...words);
    expect(outcome.exitCode).toBe(exitCode);
    expect(outcome.stderr).toContain(text);
    expect(outcome.stdout).toBe('');
  });
});
