/** What an app may say it needs, and what becomes of those that are needed, through the API. */
import { describe, expect, it } from 'vitest';
import { startApi, type Api } from './api-support.ts';

const NAMES = ['a', 'b', 'c', 'd', 'e', 'f', 'g', 'h', 'i', 'j'];

async function withApps(...names: string[]): Promise<Api> {
  const api = await startApi();
  for (const name of names) await create(api, name);
  return api;
}

function create({ client }: Api, name: string, needs: string[] = []) {
  return client.createApp({ name, hosts: [], image: 'web:1', needs });
}

describe('the needs of an app', () => {
  it('are kept in their order, shown on both sides, and changed by PATCH; what is left out stays', async () => {
    const api = await withApps('db', 'mail', 'cache');
    expect(await create(api, 'shop', ['mail', 'db', 'mail'])).toMatchObject({ needs: ['mail', 'db'] });
    expect(await api.client.getApp('db')).toMatchObject({ needs: [], neededBy: ['shop'], generation: 2 });
    await api.client.patchApp('shop', { needs: ['cache', 'db'] });
    await api.client.patchApp('shop', { hosts: ['shop.example'] });
    expect(await api.client.getApp('shop')).toMatchObject({ needs: ['cache', 'db'] });
    expect(await api.client.getApp('db')).toMatchObject({ neededBy: ['shop'], generation: 3 });
    expect(await api.client.getApp('mail')).toMatchObject({ neededBy: [] });
    expect(await api.client.getApp('cache')).toMatchObject({ neededBy: ['shop'] });
    await api.client.putApp('shop', { hosts: [], image: 'web:1' });
    expect(await api.client.getApp('shop')).toMatchObject({ needs: [] });
    expect(await api.client.getApp('db')).toMatchObject({ neededBy: [] });
  });

  it.each([
    {
      what: 'an app that is not there',
      needs: ['db', 'nobody'],
      field: 'needs.1',
      reason: /nobody, which is not an app/,
    },
    { what: 'the app itself', needs: ['shop'], field: 'needs.0', reason: /not name the app itself/ },
    { what: 'more than eight', needs: NAMES.slice(0, 9), field: 'needs', reason: /8/ },
    { what: 'what is no name', needs: ['A b'], field: 'needs.0', reason: /name of an app/ },
  ])('are refused where they name $what', async ({ needs, field, reason }) => {
    const api = await withApps('db', 'shop', ...NAMES);
    const answer = await api.call('PATCH', '/v1/apps/shop', { body: { needs } });
    expect(answer.status).toBe(400);
    expect(await answer.json()).toMatchObject({
      code: 'invalid_body',
      errors: [{ field, reason: expect.stringMatching(reason) as string }],
    });
    expect(await api.client.getApp('shop')).toMatchObject({ needs: [], generation: 1 });
  });

  it('are refused where they would go in a circle, which the answer shows', async () => {
    const api = await withApps('db');
    await create(api, 'api', ['db']);
    await create(api, 'shop', ['api']);
    await expect(api.client.patchApp('db', { needs: ['shop'] })).rejects.toMatchObject({
      code: 'invalid_body',
      message: expect.stringContaining('db → shop → api → db') as string,
    });
  });

  it('are refused where a chain of more than eight would come about, above and below', async () => {
    const api = await withApps('a', 'f');
    for (const at of [1, 2, 3, 4]) await create(api, NAMES[at] ?? '', [NAMES[at - 1] ?? '']);
    for (const at of [6, 7, 8, 9]) await create(api, NAMES[at] ?? '', [NAMES[at - 1] ?? '']);
    await expect(api.client.patchApp('f', { needs: ['e'] })).rejects.toMatchObject({
      message: expect.stringContaining('chain of 9 needs') as string,
    });
    expect(await api.client.patchApp('f', { needs: ['d'] })).toMatchObject({ needs: ['d'] });
    await expect(create(api, 'top', ['j'])).rejects.toMatchObject({ code: 'invalid_body' });
  });

  it('are refused where more than 32 apps would be woken for one that needs the app, also when two add to them at once', async () => {
    const api = await startApi();
    const needsOf = (name: string, count: number) =>
      Array.from({ length: count }, (_, index) => `${name}-${index + 1}`);
    const middle = needsOf('m', 4);
    for (const name of middle) {
      for (const leaf of needsOf(name, 8)) await create(api, leaf);
      await create(api, name);
    }
    await create(api, 'top', middle);
    await create(api, 'higher', ['top']);
    const add = (name: string, count: number) => api.client.patchApp(name, { needs: needsOf(name, count) });
    // For `higher`: top, 4 in the middle and 16 leaves; 8 more are no more than 32 in all, 16 more are.
    await add('m-1', 8);
    await add('m-2', 8);
    const both = await Promise.allSettled([add('m-3', 8), add('m-4', 8)]);
    expect(both.map(({ status }) => status).sort()).toEqual(['fulfilled', 'rejected']);
    const [last] = ['m-3', 'm-4'].filter((_, index) => both[index]?.status === 'rejected');
    await expect(add(last ?? '', 4)).rejects.toMatchObject({
      code: 'invalid_body',
      message: expect.stringContaining('more than 32 apps woken for higher') as string,
    });
    await add(last ?? '', 3);
    await api.client.putApp('higher', { hosts: ['higher.example'], image: 'web:1', needs: ['top'] });
  });

  it('do not close a circle when two say so at the same moment', async () => {
    const api = await withApps('x', 'y');
    await create(api, 'w', ['x']);
    await create(api, 'z', ['y']);
    const outcomes = await Promise.allSettled([
      api.client.patchApp('x', { needs: ['z'] }),
      api.client.patchApp('y', { needs: ['w'] }),
    ]);
    expect(outcomes.filter(({ status }) => status === 'fulfilled')).toHaveLength(1);
  });
});

describe('an app that others need', () => {
  it('is not deleted: 409 names them; once they are gone, or need it no more, it is', async () => {
    const api = await withApps('db');
    await create(api, 'shop', ['db']);
    await create(api, 'blog', ['db']);
    const answer = await api.call('DELETE', '/v1/apps/db');
    expect(answer.status).toBe(409);
    expect(await answer.json()).toMatchObject({
      code: 'app_needed',
      detail: expect.stringContaining('needed by shop, blog') as string,
    });
    await api.client.deleteApp('shop');
    await api.client.patchApp('blog', { needs: [] });
    await api.client.deleteApp('db');
    expect(await api.client.listApps()).toMatchObject([{ name: 'blog' }]);
  });
});
