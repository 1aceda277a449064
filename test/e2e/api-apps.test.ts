import { describe, expect, it } from 'vitest';
import type { AppView, Page } from '../../src/coreapi/schema.ts';
import { addContainer, startApi } from './api-support.ts';

const HELLO = { name: 'hello', hosts: ['hello.localhost'], image: 'web:1' };

describe('creating an app', () => {
  it('answers 201 with its location, its generation as ETag, and every default filled in', async () => {
    const { call } = await startApi();
    const answer = await call('POST', '/v1/apps', { body: HELLO });
    expect(answer.status).toBe(201);
    expect(answer.headers.get('location')).toBe('/v1/apps/hello');
    expect(answer.headers.get('etag')).toBe('"1"');
    expect(await answer.json()).toMatchObject({
      name: 'hello',
      hosts: ['hello.localhost'],
      generation: 1,
      revision: { number: 1, image: 'web:1', digest: 'sha256:1111', command: null, port: 80, env: {} },
      policy: {
        grade: null,
        cpu: 0.5,
        memoryBytes: 256 * 1024 ** 2,
        maxReplicas: 3,
        concurrency: { target: 20, limit: 100 },
        idlePauseMs: 30_000,
        idleStopMs: 300_000,
        lifetimeMs: 86_400_000,
      },
    });
  });

  it('takes the body of the README', async () => {
    const { call, gateway } = await startApi();
    gateway.images.set('mayfly/hello', { digest: 'sha256:2', exposedPort: null });
    const answer = await call('POST', '/v1/apps', {
      body: `{"name":"hello","hosts":["hello.localhost"],"image":"mayfly/hello","port":8080,"env":{"GREETING":"hi"},
        "policy":{"cpu":0.3,"memoryBytes":536870912,"minReplicas":0,"maxReplicas":3,"idlePauseMs":30000,"idleStopMs":300000,
        "lifetimeMs":86400000,"startTimeoutMs":30000,"concurrency":{"target":20,"limit":100}}}`,
    });
    expect(answer.status).toBe(201);
  });

  it('keeps hosts in one form, each once', async () => {
    const { client } = await startApi();
    const hosts = ['Shop.Example.', 'shop.example', '*.Shop.EXAMPLE', 'bücher.example'];
    const app = await client.createApp({ ...HELLO, hosts });
    expect(app.hosts).toEqual(['shop.example', '*.shop.example', 'xn--bcher-kva.example']);
  });

  it('takes the port from the body, else the image, else 8080', async () => {
    const { client, gateway } = await startApi();
    gateway.images.set('many:1', { digest: 'sha256:2', exposedPort: null });
    const port = async (name: string, image: string, given?: number) =>
      (await client.createApp({ name, hosts: [], image, ...(given && { port: given }) })).revision.port;
    expect(await port('a', 'web:1', 3000)).toBe(3000);
    expect(await port('b', 'web:1')).toBe(80);
    expect(await port('c', 'many:1')).toBe(8080);
  });

  it('takes cpu and memory from a grade', async () => {
    const { client } = await startApi();
    const app = await client.createApp({ ...HELLO, policy: { grade: 'micro' } });
    expect(app.policy).toMatchObject({ grade: 'micro', cpu: 0.3, memoryBytes: 512 * 1024 ** 2 });
  });

  it('takes a command and its folder', async () => {
    const { client } = await startApi();
    const app = await client.createApp({ name: 'job', hosts: [], command: ['node', 'x.mjs'], cwd: '/srv' });
    expect(app.revision).toMatchObject({
      image: null,
      digest: null,
      command: ['node', 'x.mjs'],
      cwd: '/srv',
    });
  });

  it('gives one of many simultaneous creations of a name, and name_taken to the others', async () => {
    const { call, client } = await startApi();
    const answers = await Promise.all(
      Array.from({ length: 10 }, () => call('POST', '/v1/apps', { body: HELLO })),
    );
    expect(answers.map((answer) => answer.status).sort()).toEqual([201, ...Array<number>(9).fill(409)]);
    expect(await client.listApps()).toHaveLength(1);
  });
});

describe('PUT', () => {
  it('creates, and the same body again changes nothing', async () => {
    const { call, client } = await startApi();
    const first = await call('PUT', '/v1/apps/hello', { body: HELLO });
    expect(first.status).toBe(201);
    const again = await call('PUT', '/v1/apps/hello', { body: HELLO });
    expect(again.status).toBe(200);
    expect(await again.json()).toEqual(await first.json());
    expect(await client.listRevisions('hello')).toHaveLength(1);
    expect((await client.listEvents({ app: 'hello' })).map((event) => event.type)).toEqual(['app.created']);
  });

  it('replaces the whole: what the body leaves out has its default again', async () => {
    const { client } = await startApi();
    await client.putApp('hello', { ...HELLO, env: { A: '1' }, policy: { cpu: 2 } });
    const app = await client.putApp('hello', { hosts: [], image: 'web:1' });
    expect(app).toMatchObject({ hosts: [], policy: { cpu: 0.5 }, revision: { number: 2, env: {} } });
  });

  it('makes a new revision when the tag has moved to another digest', async () => {
    const { client, gateway } = await startApi();
    await client.putApp('hello', HELLO);
    gateway.images.set('web:1', { digest: 'sha256:9999', exposedPort: 80 });
    const app = await client.putApp('hello', HELLO);
    expect(app.revision).toMatchObject({ number: 2, digest: 'sha256:9999' });
  });

  it('makes a new revision only where what runs has changed', async () => {
    const { client } = await startApi();
    await client.putApp('hello', HELLO);
    const app = await client.putApp('hello', { ...HELLO, policy: { cpu: 1 } });
    expect(app.revision.number).toBe(1);
    expect(app.policy.cpu).toBe(1);
    expect(app.generation).toBe(2);
  });

  it('agrees on one app however many put it at once', async () => {
    const { call, client } = await startApi();
    const answers = await Promise.all(
      Array.from({ length: 10 }, () => call('PUT', '/v1/apps/hello', { body: HELLO })),
    );
    expect(answers.map((answer) => answer.status).sort()).toEqual([...Array<number>(9).fill(200), 201]);
    expect((await client.getApp('hello')).generation).toBe(1);
  });

  it('with If-None-Match: * creates, and changes nothing that is there', async () => {
    const { call, client } = await startApi();
    const put = (port: number) =>
      call('PUT', '/v1/apps/hello', { body: { ...HELLO, port }, headers: { 'if-none-match': '*' } });
    const answers = await Promise.all([put(81), put(82), put(83)]);
    expect(answers.map(({ status }) => status).sort()).toEqual([201, 412, 412]);
    expect((await client.getApp('hello')).generation).toBe(1);
  });

  it('lets a host move to another app once it is given up', async () => {
    const { client } = await startApi();
    await client.createApp(HELLO);
    await client.createApp({ name: 'other', hosts: [], image: 'web:1' });
    await client.patchApp('hello', { hosts: [] });
    const other = await client.patchApp('other', { hosts: ['hello.localhost'] });
    expect(other.hosts).toEqual(['hello.localhost']);
  });
});

describe('PATCH', () => {
  it('merges the policy field by field and leaves the rest', async () => {
    const { client } = await startApi();
    await client.createApp({ ...HELLO, policy: { cpu: 0.3, concurrency: { target: 5, limit: 10 } } });
    const app = await client.patchApp('hello', {
      policy: { concurrency: { limit: 50 }, lifetimeMs: null },
    });
    expect(app.policy).toMatchObject({
      cpu: 0.3,
      concurrency: { target: 5, limit: 50 },
      lifetimeMs: null,
      idleStopMs: 300_000,
    });
    expect(app.revision.number).toBe(1);
  });

  it('merges the environment: null removes a variable', async () => {
    const { client } = await startApi();
    await client.createApp({ ...HELLO, env: { A: '1', B: '2' } });
    const app = await client.patchApp('hello', { env: { A: null, C: '3' } });
    expect(app.revision).toMatchObject({ number: 2, env: { B: '2', C: '3' } });
  });

  it('keeps the digest that was resolved when the image is not mentioned', async () => {
    const { client, gateway } = await startApi();
    await client.createApp(HELLO);
    gateway.images.set('web:1', { digest: 'sha256:9999', exposedPort: 80 });
    const app = await client.patchApp('hello', { port: 81 });
    expect(app.revision).toMatchObject({ number: 2, digest: 'sha256:1111', port: 81 });
  });

  it('changes nothing with an empty body', async () => {
    const { client } = await startApi();
    const before = await client.createApp(HELLO);
    expect(await client.patchApp('hello', {})).toEqual(before);
  });

  it('keeps every one of many simultaneous changes', async () => {
    const { client } = await startApi();
    await client.createApp(HELLO);
    const keys = Array.from({ length: 10 }, (_, index) => `KEY_${index}`);
    await Promise.all(keys.map((key) => client.patchApp('hello', { env: { [key]: 'x' } })));
    const app = await client.getApp('hello');
    expect(Object.keys(app.revision.env).sort()).toEqual(keys);
    expect(app.revision.number).toBe(11);
  });

  it('with If-Match changes only the generation that was read', async () => {
    const { call, client } = await startApi();
    await client.createApp(HELLO);
    const patch = (etag: string) =>
      call('PATCH', '/v1/apps/hello', { body: { port: 81 }, headers: { 'if-match': etag } });
    expect((await patch('"7"')).status).toBe(412);
    const done = await patch('"1"');
    expect([done.status, done.headers.get('etag')]).toEqual([200, '"2"']);
    for (const [path, body] of [
      ['scale', { replicas: 2 }],
      ['deploy', {}],
    ] as const) {
      const act = (etag: string) =>
        call('POST', `/v1/apps/hello/${path}`, { body, headers: { 'if-match': etag } });
      expect((await act('"1"')).status).toBe(412);
      expect((await act('"2"')).status).not.toBe(412);
    }
    await expect(client.deleteApp('hello', { ifGeneration: 1 })).rejects.toMatchObject({
      code: 'precondition_failed',
    });
    await expect(client.putApp('none', HELLO, { ifGeneration: 1 })).rejects.toMatchObject({
      code: 'invalid_body',
    });
  });
});

describe('deploying', () => {
  it('makes a new revision even of the same, with the tag resolved anew', async () => {
    const { call, client, gateway } = await startApi();
    await client.createApp(HELLO);
    gateway.images.set('web:1', { digest: 'sha256:9999', exposedPort: 80 });
    const answer = await call('POST', '/v1/apps/hello/deploy');
    expect(answer.status).toBe(200);
    expect(((await answer.json()) as AppView).revision).toMatchObject({ number: 2, digest: 'sha256:9999' });
    expect((await client.deployApp('hello')).revision.number).toBe(3);
  });

  it('takes an app from an image to a command and back', async () => {
    const { client } = await startApi();
    await client.createApp({ ...HELLO, env: { A: '1' } });
    const command = await client.deployApp('hello', { command: ['node', 'x.mjs'], cwd: '/srv' });
    expect(command.revision).toMatchObject({ image: null, cwd: '/srv', env: { A: '1' } });
    const image = await client.deployApp('hello', { image: 'web:1' });
    expect(image.revision).toMatchObject({ image: 'web:1', command: null, cwd: null });
  });

  it('keeps the last twenty revisions, and older ones while a container runs them', async () => {
    const api = await startApi();
    const { client } = api;
    const app = await client.createApp(HELLO);
    await addContainer(api, app.id, { revisionId: app.revision.id });
    for (let count = 0; count < 24; count++) await client.deployApp('hello');
    const numbers = (await client.listRevisions('hello')).map((revision) => revision.number);
    expect(numbers.sort((a, b) => a - b)).toEqual([
      1,
      ...Array.from({ length: 20 }, (_, index) => index + 6),
    ]);
  });
});

describe('reading and deleting', () => {
  it('finds an app by name and by id', async () => {
    const { client } = await startApi();
    const app = await client.createApp(HELLO);
    expect(await client.getApp('hello')).toEqual(app);
    expect(await client.getApp(app.id)).toEqual(app);
  });

  it('pages through 250 apps without losing or repeating one', async () => {
    const { call, client } = await startApi();
    for (let index = 0; index < 250; index++) {
      await client.createApp({ name: `app-${index}`, hosts: [`a${index}.localhost`], image: 'web:1' });
    }
    const pages: AppView[][] = [];
    let after = '';
    do {
      const answer = await call('GET', `/v1/apps?limit=50${after}`);
      const page = (await answer.json()) as Page<AppView>;
      pages.push(page.items);
      after = page.next === null ? '' : `&after=${encodeURIComponent(page.next)}`;
    } while (after !== '');
    expect(pages.map((page) => page.length)).toEqual([50, 50, 50, 50, 50]);
    expect(new Set(pages.flat().map((app) => app.name)).size).toBe(250);
    expect(await client.listApps()).toHaveLength(250);
    expect((await client.appsPage()).items).toHaveLength(100);
  });

  it('ends a page where it grows large, and goes on with the next', async () => {
    const { call, client } = await startApi();
    const command = Array.from({ length: 20 }, () => 'x'.repeat(30_000));
    for (const name of ['a', 'b', 'c', 'd', 'e'])
      await client.createApp({ ...HELLO, name, hosts: [], command });
    const page = (await (await call('GET', '/v1/apps')).json()) as Page<AppView>;
    expect(page.items.map((app) => app.name)).toEqual(['a', 'b']);
    expect((await client.listApps()).map((app) => app.name)).toEqual(['a', 'b', 'c', 'd', 'e']);
  });

  it('deletes an app with its revisions, and its name and hosts are free', async () => {
    const { call, client, store } = await startApi();
    const app = await client.createApp(HELLO);
    const answer = await call('DELETE', '/v1/apps/hello');
    expect([answer.status, await answer.text()]).toEqual([204, '']);
    await expect(client.getApp('hello')).rejects.toMatchObject({ code: 'not_found' });
    expect(await store.list('revision', { where: { appId: app.id } })).toEqual([]);
    expect((await client.createApp(HELLO)).id).not.toBe(app.id);
  });

  it('shows the containers of one app and of all', async () => {
    const api = await startApi();
    const { client } = api;
    const app = await client.createApp(HELLO);
    const other = await client.createApp({ name: 'other', hosts: [], image: 'web:1' });
    const { id } = await addContainer(api, app.id, { reason: 'a request came' });
    await addContainer(api, other.id);
    expect(await client.listAppContainers('hello')).toMatchObject([
      { id, appName: 'hello', state: 'ready', reason: 'a request came', resources: { cpu: 0.5 } },
    ]);
    expect((await client.listContainers()).map((container) => container.appName)).toEqual(['hello', 'other']);
  });

  it('lists the grades that a new store begins with, and the nodes', async () => {
    const { client, store } = await startApi();
    expect((await client.listGrades()).map((grade) => grade.name)).toEqual([
      'nano',
      'micro',
      'small',
      'medium',
      'large',
    ]);
    expect(await client.listNodes()).toEqual([]);
    await store.commit([
      {
        op: 'create',
        kind: 'node',
        record: {
          id: 'node_1',
          createdAtMs: 1,
          name: 'here',
          engine: 'docker',
          state: 'up',
          capacity: { cpu: 2, memoryBytes: 10 },
          reserved: { cpu: 0, memoryBytes: 0 },
          lastSeenAtMs: 2,
        },
      },
    ]);
    expect(await client.listNodes()).toMatchObject([{ name: 'here', engine: 'docker', state: 'up' }]);
  });
});

describe('events', () => {
  it('tell what was changed, by whom it can be read, and never a value of the environment', async () => {
    const { client, log } = await startApi();
    await client.createApp({ ...HELLO, env: { SECRET: 'xyzzy-1' } });
    await client.patchApp('hello', { hosts: [], policy: { cpu: 1 }, env: { SECRET: 'xyzzy-2' } });
    await client.deployApp('hello', { env: { SECRET: 'xyzzy-3' } });
    await client.deleteApp('hello');
    const events = await client.listEvents();
    expect(events.map(({ type, reason }) => `${type}: ${reason}`)).toEqual([
      'app.created: app hello was created: image web:1 (sha256:1111)',
      'app.updated: app hello was changed: hosts, policy.cpu',
      'app.deployed: app hello was given revision 2: image web:1 (sha256:1111)',
      'app.deployed: app hello was given revision 3: image web:1 (sha256:1111)',
      'app.deleted: app hello was deleted; its containers are drained',
    ]);
    expect(JSON.stringify([events, log.entries])).not.toContain('xyzzy');
  });

  it('are read after a sequence, before one, or the newest', async () => {
    const { call, client } = await startApi();
    const app = await client.createApp(HELLO);
    for (let count = 0; count < 9; count++) await client.deployApp('hello');
    const sequences = async (options: object) =>
      (await client.listEvents({ app: 'hello', ...options })).map((event) => event.sequence);
    expect(await sequences({ limit: 3 })).toEqual([8, 9, 10]);
    expect(await sequences({ after: 2, limit: 3 })).toEqual([3, 4, 5]);
    expect(await sequences({ before: 8, limit: 3 })).toEqual([5, 6, 7]);
    const nextAfter = async (after: number) =>
      ((await (await call('GET', `/v1/events?after=${after}&limit=3`)).json()) as Page<unknown>).next;
    expect([await nextAfter(6), await nextAfter(7)]).toEqual(['9', null]);
    await client.deleteApp('hello');
    expect((await client.listEvents({ app: app.id, limit: 1 }))[0]?.type).toBe('app.deleted');
  });
});
