import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { startApi } from './api-support.ts';

const HELLO = { name: 'hello', hosts: ['hello.localhost'], image: 'web:1' };

describe('whatever is sent', () => {
  it('is never the server’s fault', async () => {
    const api = await startApi();
    await api.client.createApp(HELLO);
    const field = fc.constantFrom(
      ...['name', 'hosts', 'image', 'command', 'cwd', 'port', 'env', 'probe', 'policy'],
    );
    const almost = fc.dictionary(
      fc.oneof(field, fc.string()),
      fc.oneof(
        fc.jsonValue({ maxDepth: 3 }),
        fc.constantFrom('web:1', ['a.localhost'], { cpu: 1 }, { type: 'tcp' }),
      ),
    );
    const body = fc.oneof(
      fc.string({ unit: 'binary' }),
      fc.jsonValue({ maxDepth: 4 }).map((value) => JSON.stringify(value)),
      almost.map((value) => JSON.stringify({ ...HELLO, ...value })),
      fc.constantFrom(
        '{"__proto__":{"name":"x"}}',
        '['.repeat(100_000),
        '1e999',
        '{"env":{"__proto__":"x"}}',
        '',
      ),
    );
    const target = fc.constantFrom(
      ['POST', '/v1/apps'],
      ['PUT', '/v1/apps/hello'],
      ['PUT', '/v1/apps/%00'],
      ['PATCH', '/v1/apps/hello'],
      ['POST', '/v1/apps/hello/deploy'],
      ['DELETE', '/v1/apps/%E0%A4%A'],
    );
    await fc.assert(
      fc.asyncProperty(target, body, async ([method = '', path = ''], text) => {
        const answer = await api.call(method, path, { body: text });
        await answer.arrayBuffer();
        expect(answer.status).toBeLessThan(500);
      }),
      { numRuns: 500 },
    );
  });

  it('is never the server’s fault in a path or a query either', async () => {
    const api = await startApi();
    const piece = fc.oneof(
      fc.webPath(),
      fc.webQueryParameters(),
      fc.string({ unit: 'binary' }).map(encodeURI),
    );
    const prefix = fc.constantFrom('/v1/apps', '/v1/apps/', '/v1/events?', '/v1/apps?after=', '/');
    await fc.assert(
      fc.asyncProperty(prefix, piece, async (start, rest) => {
        const answer = await api.call('GET', start + rest);
        await answer.body?.cancel();
        expect(answer.status).toBeLessThan(500);
      }),
      { numRuns: 300 },
    );
  });
});
