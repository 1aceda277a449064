import { describe, expect, it } from 'vitest';
import { hashToken, newToken } from '../../src/coreapi/tokens.ts';
import { refusal, startApi } from './api-support.ts';

const HELLO = { name: 'hello', hosts: ['hello.localhost'], image: 'web:1' };

describe('the token', () => {
  it('is needed for everything but health and the API description', async () => {
    const api = await startApi();
    const status = async (path: string, headers: Record<string, string> = {}) =>
      (await fetch(api.url + path, { headers })).status;
    expect(await status('/healthz')).toBe(200);
    expect(await status('/v1/openapi.json')).toBe(200);
    for (const path of ['/v1/apps', '/v1/nodes', '/v1/grades', '/v1/events', '/v1/nonsense']) {
      expect(await status(path)).toBe(401);
      expect(await status(path, { authorization: 'Basic an-operator-token-for-tests' })).toBe(401);
    }
  });

  it('is answered the same whether it is missing, unknown, wrong or expired', async () => {
    const api = await startApi();
    const expired = newToken('0expired');
    const record = { tenantId: null, hash: hashToken(expired), expiresAtMs: 1 };
    await api.store.commit([
      { op: 'create', kind: 'token', record: { id: 'tok_0expired', createdAtMs: 0, ...record } },
    ]);
    const answers = await Promise.all(
      [undefined, 'x', newToken('0none'), newToken('operator'), newToken('0expired'), expired].map(
        async (token) => {
          const answer = await fetch(`${api.url}/v1/apps`, {
            headers: token === undefined ? {} : { authorization: `Bearer ${token}` },
          });
          expect(answer.headers.get('www-authenticate')).toBe('Bearer realm="mayfly"');
          return `${answer.status} ${await answer.text()}`;
        },
      ),
    );
    expect(new Set(answers).size).toBe(1);
    expect(answers[0]).toMatch(/^401 /);
    expect(JSON.stringify(api.log.entries)).not.toContain(expired);
  });

  it('of a tenant acts on that tenant’s apps alone', async () => {
    const api = await startApi();
    await api.client.createApp(HELLO);
    const token = newToken('0tenant');
    const fields = { tenantId: 'ten_other', hash: hashToken(token), expiresAtMs: null };
    await api.store.commit([
      { op: 'create', kind: 'token', record: { id: 'tok_0tenant', createdAtMs: 0, ...fields } },
    ]);
    const as = { headers: { authorization: `Bearer ${token}` } };
    const { id } = await api.client.getApp('hello');
    expect(await refusal(api, 'GET', '/v1/apps/hello', as)).toMatchObject({ status: 404 });
    expect(await refusal(api, 'GET', `/v1/apps/${id}`, as)).toMatchObject({ status: 404 });
    for (const path of ['/v1/nodes', '/v1/containers', '/v1/events']) {
      expect(await refusal(api, 'GET', path, as)).toMatchObject({ status: 403, code: 'forbidden' });
    }
    const mine = await api.call('POST', '/v1/apps', { ...as, body: { ...HELLO, hosts: [] } });
    expect(mine.status).toBe(201);
    expect(await refusal(api, 'POST', '/v1/apps', { ...as, body: { ...HELLO, name: 'b' } })).toMatchObject({
      code: 'host_taken',
    });
    const above = { name: 'c', hosts: ['free.example', '*.localhost'], image: 'web:1' };
    expect(await refusal(api, 'POST', '/v1/apps', { ...as, body: above })).toMatchObject({
      code: 'host_taken',
      detail: 'the hostname hello.localhost belongs to another app, and *.localhost overlaps it',
    });
  });
});
