import { once } from 'node:events';
import { createServer as createHttpServer } from 'node:http';
import { createServer, type AddressInfo, type Server } from 'node:net';
import { describe, expect, it } from 'vitest';
import { createClient } from '../../src/coreapi/client.ts';
import { fromProblem, problemResponse, toProblem } from '../../src/coreapi/problem.ts';
import { ERROR_CODES, PlatformError, type ErrorCode } from '../../src/errors.ts';
import { errorAnswer } from '../../src/proxy/error-answer.ts';
import { take } from '../e2e/api-support.ts';
import { FakeClock } from '../support/fake-clock.ts';

const TOKEN = 'a-secret-token-0123456789';

/** A client whose server answers as the test says. */
function clientOf(answer: (url: URL, init: RequestInit) => Response | Promise<Response>) {
  return createClient({
    url: 'http://127.0.0.1:9080/',
    token: TOKEN,
    fetch: async (input, init = {}) => answer(input as URL, init),
  });
}

function typed(body: string | ReadableStream<Uint8Array>, type: string, status = 200): Response {
  return new Response(body, { status, headers: { 'content-type': type } });
}

function streamOf(...chunks: string[]): Response {
  const body = new ReadableStream<Uint8Array>({
    start(controller) {
      for (const chunk of chunks) controller.enqueue(Buffer.from(chunk, 'latin1'));
      controller.close();
    },
  });
  return typed(body, 'application/x-ndjson');
}

async function listening(server: Server): Promise<{ url: string; close: () => Promise<unknown> }> {
  await once(server.listen(0, '127.0.0.1'), 'listening');
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  return { url, close: () => once(server.close(), 'close') };
}

describe('a problem document', () => {
  it('carries every error to the other side and back', () => {
    for (const code of Object.keys(ERROR_CODES) as ErrorCode[]) {
      if (code === 'internal') continue;
      const fields = [{ field: 'policy.cpu', reason: 'is wrong' }];
      const error = new PlatformError(code, 'what happened', { hint: 'what to do', fields });
      const back = fromProblem(toProblem(error));
      expect(back).toMatchObject({ code, message: 'what happened', hint: 'what to do', fields });
    }
  });

  it('says when to try again in whole seconds', () => {
    const error = new PlatformError('start_backoff', 'later', { retryAfterMs: 1_200 });
    expect(problemResponse(error).headers.get('retry-after')).toBe('2');
  });

  it('tells a caller nothing of what broke inside', () => {
    const error = new PlatformError('internal', 'secret', { hint: 'secret', cause: new Error('secret') });
    expect(JSON.stringify(toProblem(error))).not.toContain('secret');
  });
});

describe('the client', () => {
  it('turns a refusal into the error it was', async () => {
    const fields = [{ field: 'hosts', reason: 'x is taken' }];
    const client = clientOf(() =>
      problemResponse(
        new PlatformError('host_taken', 'x is taken', { hint: 'choose', fields, retryAfterMs: 3_000 }),
      ),
    );
    await expect(client.getApp('a')).rejects.toMatchObject({
      code: 'host_taken',
      message: 'x is taken',
      hint: 'choose',
      fields,
      retryAfterMs: 3_000,
    });
  });

  const { body: unknownHost } = errorAnswer(new PlatformError('unknown_host', 'no app has it'), undefined);
  it.each([
    ['the proxy', () => typed(unknownHost.toString(), 'application/problem+json', 404)],
    ['a page', () => typed('<html>', 'text/html; charset=utf-8')],
    ['a page about an error', () => typed('<html>', 'text/html', 502)],
    ['something of no type', () => typed('{}', '')],
    ['another API', () => Response.json({})],
    ['another problem document', () => typed('{}', 'application/problem+json', 500)],
  ])('says so when it is %s that answers, and takes it for no success', async (_who, answer) => {
    const client = clientOf(answer);
    const calls = [
      ...[client.getApp('a'), client.listApps(), client.listEvents(), client.deployApp('a')],
      ...[client.deleteApp('a'), client.scaleApp('a', { replicas: 2 }), take(client.logs('a'), 1)],
      ...[take(client.followEvents(), 1), client.deployApp('a', {}, { onProgress: () => undefined })],
    ];
    const refused = {
      code: 'api_unavailable',
      message: expect.stringMatching(/^http:\/\/127\.0\.0\.1:9080 is not a Core API: /) as string,
      hint: expect.stringContaining('--url') as string,
    };
    await Promise.all(calls.map((call) => expect(call).rejects.toMatchObject(refused)));
  });

  it('follows no redirection, on which a change may become a read', async () => {
    const { url, close } = await listening(
      createHttpServer((request, response) => {
        if (request.method === 'POST') response.writeHead(302, { location: '/' }).end();
        else response.setHeader('content-type', 'application/json').end('{"id":"app_1"}');
      }),
    );
    await expect(createClient({ url, token: TOKEN }).deployApp('a')).rejects.toMatchObject({
      code: 'api_unavailable',
    });
    await close();
  });

  it('still says what is wrong with lines that are none', async () => {
    const client = clientOf(() => typed('<html>\n', 'application/x-ndjson'));
    await expect(take(client.logs('a'), 1)).rejects.toThrow('lines of JSON');
  });

  it('names the address and the way to start a server where nobody listens', async () => {
    const { url, close } = await listening(createServer());
    await close();
    await expect(createClient({ url, token: TOKEN }).listApps()).rejects.toMatchObject({
      code: 'api_unavailable',
      message: `no Core API answers at ${url} (ECONNREFUSED)`,
      hint: expect.stringContaining('mayfly up') as string,
    });
  });

  it('refuses a URL that is none, and a token that cannot be one without quoting it', () => {
    expect(() => createClient({ url: 'localhost:9080', token: TOKEN })).toThrow('"localhost:9080"');
    const bad = 'secret\nvalue';
    expect(() => createClient({ url: 'http://x', token: bad })).toThrow(PlatformError);
    expect(() => createClient({ url: 'http://x', token: bad })).not.toThrow('secret');
  });

  it('encodes what it puts in a path, and never lets a name walk through it', async () => {
    const paths: string[] = [];
    const client = clientOf((url) => {
      paths.push(url.pathname + url.search);
      return Response.json({ id: 'app_1', items: [], next: null });
    });
    await client.getApp('a/../b?c');
    await client.listEvents({ app: 'x&y', limit: 3 });
    expect(paths).toEqual(['/v1/apps/a%2F..%2Fb%3Fc', '/v1/events?app=x%26y&limit=3']);
    for (const name of ['', '.', '..']) {
      await expect(Promise.resolve().then(() => client.getApp(name))).rejects.toMatchObject({
        code: 'not_found',
      });
    }
  });

  it('reads a list to its end', async () => {
    const asked: (string | null)[] = [];
    const client = clientOf((url) => {
      const after = url.searchParams.get('after');
      asked.push(after);
      return Response.json(after === null ? { items: [1, 2], next: 'two' } : { items: [3], next: null });
    });
    expect(await client.listNodes()).toEqual([1, 2, 3]);
    expect(asked).toEqual([null, 'two']);
  });

  it('waits for a minute, and for what takes work as long as it takes', async () => {
    const clock = new FakeClock();
    let slow = 0;
    const client = createClient({
      ...{ url: 'http://127.0.0.1:9080', token: TOKEN, clock, onSlow: () => (slow += 1) },
      fetch: (_, init) =>
        new Promise((resolve, reject) => {
          init?.signal?.addEventListener('abort', () => reject(init.signal?.reason as Error));
          clock.after(600_000, () => resolve(Response.json({ id: 'app_1' })));
        }),
    });
    const reading = expect(client.listApps()).rejects.toMatchObject({ hint: 'try again' });
    const scaling = expect(client.scaleApp('a', { replicas: 2 })).rejects.toMatchObject({
      code: 'api_unavailable',
      message: 'the Core API at http://127.0.0.1:9080 has not answered for 60 s',
      hint: expect.stringContaining('is not known') as string,
    });
    const deploying = client.deployApp('a');
    await clock.advance(600_000);
    await Promise.all([reading, scaling]);
    expect(await deploying).toEqual({ id: 'app_1' });
    expect(slow).toBe(3);
  });

  it('sends the generation a change is decided on', async () => {
    let sent: Headers | undefined;
    const client = clientOf((_, init) => {
      sent = new Headers(init.headers);
      return Response.json({ id: 'app_1' });
    });
    await client.patchApp('a', {}, { ifGeneration: 7 });
    expect(sent?.get('if-match')).toBe('"7"');
  });
});

describe('a stream of lines', () => {
  it('is put together from whatever pieces it comes in, empty lines left out', async () => {
    const first = '{"text":"gr\xc3';
    const second = '\xbc\xc3\x9fe"}\n\n\n{"te';
    const client = clientOf(() => streamOf(first, second, 'xt":"b"}\n'));
    expect(await take(client.logs('a'), 9)).toEqual([{ text: 'grüße' }, { text: 'b' }]);
  });

  it('throws what its last line tells of, after what came before', async () => {
    const problem = toProblem(new PlatformError('engine_unavailable', 'Docker is gone'));
    const client = clientOf(() => streamOf(`{"text":"a"}\n${JSON.stringify({ type: 'error', problem })}\n`));
    const seen: unknown[] = [];
    const read = async () => {
      for await (const line of client.logs('a')) seen.push(line);
    };
    await expect(read()).rejects.toMatchObject({ code: 'engine_unavailable', message: 'Docker is gone' });
    expect(seen).toEqual([{ text: 'a' }]);
  });

  it('that breaks off is api_unavailable, and leaves in doubt only a change', async () => {
    const broken = new ReadableStream<Uint8Array>({
      pull: (controller) => controller.error(new TypeError('terminated')),
    });
    const following = take(clientOf(() => typed(broken, 'application/x-ndjson')).followEvents(), 1);
    const listing = clientOf(() => typed('{"items":[', 'application/json')).listApps();
    const doubtless = { code: 'api_unavailable', hint: 'try again' };
    await Promise.all([following, listing].map((one) => expect(one).rejects.toMatchObject(doubtless)));
    const body = { name: 'a', hosts: [], image: 'x' };
    const cut = clientOf(() =>
      streamOf('{"type":"progress","status":"x","currentBytes":0,"totalBytes":0}\n'),
    );
    await expect(cut.createApp(body, { onProgress: () => undefined })).rejects.toMatchObject({
      code: 'api_unavailable',
      hint: expect.stringContaining('whether the change was made is not known') as string,
    });
  });

  it('whose signal has aborted is empty', async () => {
    const client = clientOf(() => Promise.reject(new Error('not reached')));
    expect(await take(client.logs('a', {}, AbortSignal.abort()), 1)).toEqual([]);
  });
});
