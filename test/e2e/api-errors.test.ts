import { request } from 'node:http';
import { connect } from 'node:net';
import { text } from 'node:stream/consumers';
import { describe, expect, it } from 'vitest';
import { exchangeRaw } from '../support/raw-http.ts';
import { refusal, startApi, type Api } from './api-support.ts';

const HELLO = { name: 'hello', hosts: ['hello.localhost'], image: 'web:1' };

const create = (api: Api, change: object) =>
  refusal(api, 'POST', '/v1/apps', { body: { ...HELLO, ...change } });

describe('a body that does not match the schema', () => {
  it.each([
    [
      { name: 'Hello_World' },
      'name',
      'must be a DNS label: 1 to 63 lower-case letters, digits and inner hyphens',
    ],
    [{ name: undefined }, 'name', 'is missing'],
    [{ hosts: undefined }, 'hosts', 'is missing'],
    [{ hosts: ['ok.example', 'http://x/'] }, 'hosts.1', 'is a hostname alone, without scheme or path'],
    [
      { image: 'a b' },
      'image',
      'must be an image reference such as nginx:1.27 or registry.example/team/app@sha256:…',
    ],
    [{ image: undefined }, 'image', 'is needed, or a command and its cwd (process engine)'],
    [{ cwd: '/srv' }, 'cwd', 'goes with a command without an image; leave one of the two out'],
    [{ image: undefined, command: ['x'] }, 'cwd', 'is needed with a command that runs without an image'],
    [{ image: undefined, command: ['x'], cwd: 'srv' }, 'cwd', 'must be an absolute path'],
    [
      { image: undefined, command: ['x'], cwd: '/srv', readOnly: true },
      'readOnly',
      'is for images; a command without one writes where its user may',
    ],
    [{ port: 70_000 }, 'port', 'expected number to be <=65535'],
    [
      { env: { 'A B': 'x' } },
      'env.A B',
      'an environment variable is letters, digits and underscores, not first a digit',
    ],
    [{ env: { PORT: '1' } }, 'env.PORT', 'PORT is set by Mayfly; use the field port'],
    [{ env: { A: 1 } }, 'env.A', 'expected string, received number'],
    [{ env: { ['__proto__']: '1' } }, 'env.__proto__', 'cannot be the name of an environment variable'],
    [{ probe: { type: 'http', path: 'health' } }, 'probe.path', 'must begin with / and hold no spaces'],
    [{ hots: [] }, 'hots', 'is not a field that is known here'],
    [{ policy: { cpus: 1 } }, 'policy.cpus', 'is not a field that is known here'],
    [{ policy: { cpu: 0 } }, 'policy.cpu', 'expected number to be >=0.01'],
    [
      { policy: { memoryBytes: 1e7 + 0.5 } },
      'policy.memoryBytes',
      'expected a whole number, received number',
    ],
    [
      { policy: { minReplicas: 4, maxReplicas: 3 } },
      'policy.minReplicas',
      'must be at most maxReplicas (3), but is 4',
    ],
    [
      { policy: { concurrency: { target: 9, limit: 3 } } },
      'policy.concurrency.target',
      'must be at most concurrency.limit (3), but is 9',
    ],
    [
      { policy: { idlePauseMs: 20, idleStopMs: 10 } },
      'policy.idlePauseMs',
      'must be at most idleStopMs (10), but is 20',
    ],
    [
      { policy: { grade: 'nano', cpu: 4 } },
      'policy.cpu',
      'the grade nano has 0.1; give the grade or the figures, not both',
    ],
  ])('%j is refused, naming the field and the reason', async (change, field, reason) => {
    const api = await startApi();
    const problem = await create(api, change);
    expect(problem).toMatchObject({ status: 400, code: 'invalid_body', errors: [{ field, reason }] });
    expect(problem.detail).toContain(field);
    expect(await api.client.listApps()).toEqual([]);
  });

  it('names every field at fault at once', async () => {
    const problem = await create(await startApi(), { name: '', port: 0, nonsense: 1 });
    expect(problem.errors?.map((error) => error.field)).toEqual(['name', 'port', 'nonsense']);
  });

  it('is refused on PATCH as well when what is left does not go together', async () => {
    const api = await startApi();
    await api.client.createApp(HELLO);
    const patch = (body: object) => refusal(api, 'PATCH', '/v1/apps/hello', { body });
    expect((await patch({ policy: { idleStopMs: 1_000 } })).errors?.[0]?.field).toBe('policy.idlePauseMs');
    expect((await patch({ cwd: '/srv' })).errors?.[0]?.field).toBe('command');
    expect((await patch({ name: 'other' })).errors?.[0]?.field).toBe('name');
    const put = await refusal(api, 'PUT', '/v1/apps/hello', { body: { ...HELLO, name: 'other' } });
    expect(put.errors?.[0]).toEqual({
      field: 'name',
      reason: 'must be hello, as in the path: an app cannot be renamed',
    });
  });
});

describe('what the platform cannot do', () => {
  it('a host of another app is named, but not whose it is', async () => {
    const api = await startApi();
    await api.client.createApp({ ...HELLO, name: 'victim' });
    const problem = await create(api, { hosts: ['free.example', 'HELLO.localhost'] });
    expect(problem).toMatchObject({ status: 409, code: 'host_taken' });
    expect(problem.detail).toContain('hello.localhost');
    expect(JSON.stringify(problem)).not.toContain('victim');
    expect((await api.client.listApps()).map((app) => app.name)).toEqual(['victim']);
  });

  it('a name that is taken, with the way to change that app', async () => {
    const api = await startApi();
    await api.client.createApp(HELLO);
    const problem = await create(api, { hosts: [] });
    expect(problem).toMatchObject({ status: 409, code: 'name_taken', errors: [{ field: 'name' }] });
    expect(problem.hint).toContain('PATCH');
  });

  it('an unknown grade, with those there are', async () => {
    const problem = await create(await startApi(), { policy: { grade: 'huge' } });
    expect(problem).toMatchObject({ status: 422, code: 'unknown_grade' });
    expect(problem.detail).toContain('"huge"');
    expect(problem.hint).toBe('the grades are nano, micro, small, medium, large');
  });

  it('an image that is absent', async () => {
    const problem = await create(await startApi(), { image: 'nobody/nothing:1' });
    expect(problem).toMatchObject({ status: 422, code: 'image_not_found', hint: 'build it' });
    expect(problem.detail).toContain('nobody/nothing:1');
  });

  it('an image without an engine for images, and a command without one for commands', async () => {
    const api = await startApi();
    api.gateway.types = ['command'];
    const image = await create(api, {});
    expect([image.status, image.code, image.errors?.[0]?.field]).toEqual([422, 'unsupported', 'image']);
    expect(image.hint).toContain('--engine docker');
    api.gateway.types = ['image'];
    const command = await create(api, { image: undefined, command: ['x'], cwd: '/srv' });
    expect([command.status, command.code]).toEqual([422, 'unsupported']);
    expect(command.hint).toContain('--engine process');
    expect(api.gateway.resolutions).toBe(0);
  });

  it('an app that is not there, on every route that names one', async () => {
    const api = await startApi();
    const paths = ['', '/revisions', '/containers', '/logs'].map((rest) => `/v1/apps/none${rest}`);
    for (const path of [...paths, '/v1/events?app=none', '/v1/apps/app_none']) {
      expect(await refusal(api, 'GET', path)).toMatchObject({ status: 404, code: 'not_found' });
    }
    for (const [method, path] of [
      ['DELETE', '/v1/apps/none'],
      ['PATCH', '/v1/apps/none'],
      ['POST', '/v1/apps/none/deploy'],
    ] as const) {
      const problem = await refusal(api, method, path, { body: {} });
      expect(problem).toMatchObject({ status: 404, code: 'not_found' });
      expect(problem.detail).toContain('"none"');
    }
  });
});

describe('a request that is no good', () => {
  it('malformed JSON, no UTF-8, another content type, and a form are refused as what they are', async () => {
    const api = await startApi();
    const post = (body: string | Buffer, type?: string) =>
      fetch(`${api.url}/v1/apps`, {
        method: 'POST',
        headers: {
          authorization: 'Bearer an-operator-token-for-tests',
          ...(type && { 'content-type': type }),
        },
        body: Buffer.from(body),
      });
    const statuses = [
      await post('{"name":', 'application/json'),
      await post(Buffer.from([0x7b, 0xff, 0x7d]), 'application/json'),
      await post('name=x', 'application/x-www-form-urlencoded'),
      await post('{}'),
    ].map((answer) => answer.status);
    expect(statuses).toEqual([400, 400, 415, 415]);
  });

  it('a body over 1 MiB is refused, whether or not it says its length', async () => {
    const api = await startApi();
    const big = JSON.stringify({ ...HELLO, env: { A: 'x'.repeat(1024 ** 2) } });
    expect(await refusal(api, 'POST', '/v1/apps', { body: big })).toMatchObject({
      status: 413,
      code: 'body_too_large',
    });
    const status = await new Promise((resolve, reject) => {
      const headers = {
        authorization: 'Bearer an-operator-token-for-tests',
        'content-type': 'application/json',
      };
      const chunked = request(`${api.url}/v1/apps`, { method: 'POST', headers }, (answer) => {
        resolve(answer.statusCode);
        answer.resume();
      });
      chunked.on('error', reject);
      for (let offset = 0; offset < big.length; offset += 65_536) {
        chunked.write(big.slice(offset, offset + 65_536));
      }
      chunked.end();
    });
    expect(status).toBe(413);
    expect((await api.call('GET', '/v1/apps')).status).toBe(200);
  });

  it('an unknown path is 404, a known one with another method 405 with those it takes', async () => {
    const api = await startApi();
    expect(await refusal(api, 'GET', '/v1/nonsense')).toMatchObject({ status: 404, code: 'not_found' });
    expect(await refusal(api, 'GET', '/')).toMatchObject({ status: 404 });
    const problem = await refusal(api, 'POST', '/v1/apps/hello', { body: {} });
    expect(problem).toMatchObject({ status: 405, code: 'method_not_allowed' });
    expect(problem.headers.get('allow')?.split(', ').sort()).toEqual([
      'DELETE',
      'GET',
      'HEAD',
      'PATCH',
      'PUT',
    ]);
  });

  it('a parameter that is unknown or out of bounds is named', async () => {
    const api = await startApi();
    for (const [query, field] of [
      ['limit=0', 'limit'],
      ['limit=1001', 'limit'],
      ['limit=ten', 'limit'],
      ['limit=1&limit=2', 'limit'],
      ['lmit=1', 'lmit'],
    ] as const) {
      const problem = await refusal(api, 'GET', `/v1/apps?${query}`);
      expect(problem).toMatchObject({ status: 400, code: 'bad_request', errors: [{ field }] });
    }
    for (const [method, path] of [
      ['GET', '/v1/apps/x'],
      ['GET', '/v1/grades'],
      ['DELETE', '/v1/apps/x'],
    ] as const) {
      const problem = await refusal(api, method, `${path}?force=1`);
      expect(problem).toMatchObject({ status: 400, errors: [{ field: 'force' }] });
    }
    const both = await refusal(api, 'GET', '/v1/events?after=1&before=5');
    expect(both.errors?.[0]).toEqual({ field: 'before', reason: 'cannot be given together with after' });
    const etag = await refusal(api, 'DELETE', '/v1/apps/x', { headers: { 'if-match': 'nonsense' } });
    expect(etag).toMatchObject({ status: 400, errors: [{ field: 'if-match' }] });
  });

  it('what is not HTTP gets a problem document too', async () => {
    const api = await startApi();
    const socket = connect(api.port, '127.0.0.1');
    socket.end('NONSENSE\r\n\r\n');
    const answer = await text(socket);
    expect(answer).toMatch(/^HTTP\/1\.1 400 /);
    expect(JSON.parse(answer.slice(answer.indexOf('\r\n\r\n')))).toMatchObject({ code: 'bad_request' });
  });

  it('a request without Host is told so', async () => {
    const { port } = await startApi();
    const answer = await exchangeRaw(port, 'GET /healthz HTTP/1.1\r\nConnection: close\r\n\r\n');
    expect(answer).toMatch(/^HTTP\/1\.1 400 [^]*"code":"bad_request"/);
  });

  it('a header section that is too large is told so', async () => {
    const api = await startApi();
    const problem = await refusal(api, 'GET', '/v1/apps', { headers: { 'x-large': 'x'.repeat(20_000) } });
    expect(problem).toMatchObject({ status: 431, code: 'headers_too_large' });
  });

  it('a store that fails is the server’s fault: the caller learns no more, the log learns all', async () => {
    const api = await startApi();
    api.store.list = () => Promise.reject(new Error('disk image is malformed at /secret/path'));
    const problem = await refusal(api, 'GET', '/v1/apps');
    expect(problem).toMatchObject({ status: 500, code: 'internal' });
    expect(JSON.stringify(problem)).not.toContain('/secret/path');
    expect(api.log.entries).toMatchObject([
      { level: 'error', details: { err: { message: 'disk image is malformed at /secret/path' } } },
    ]);
  });
});
