import { describe, expect, it } from 'vitest';
import type { ChangeLine, EventView, LogLineView } from '../../src/coreapi/schema.ts';
import { until } from '../support/until.ts';
import { addContainer, startApi, take } from './api-support.ts';

const HELLO = { name: 'hello', hosts: ['hello.localhost'], image: 'web:1' };

/** Reads a stream in the background; `items` grows as they come. */
function collect<T>(source: AsyncIterable<T>): { items: T[]; done: Promise<void> } {
  const items: T[] = [];
  const run = async () => {
    for await (const item of source) items.push(item);
  };
  const done = run();
  done.catch(() => undefined); // a stream still open at the end of a test ends with the server
  return { items, done };
}

const texts = (items: readonly LogLineView[]) => items.map((line) => line.text);

describe('a change that is asked for as a stream', () => {
  it('tells how the pull goes, line by line, and ends with the app', async () => {
    const { call, gateway } = await startApi();
    gateway.beforePull = async (onProgress) => {
      onProgress({ status: 'Downloading', currentBytes: 1, totalBytes: 2 });
      onProgress({ status: 'Extracting', currentBytes: 2, totalBytes: 2 });
    };
    const answer = await call('POST', '/v1/apps', {
      body: HELLO,
      headers: { accept: 'application/x-ndjson' },
    });
    expect(answer.status).toBe(200);
    expect(answer.headers.get('content-type')).toBe('application/x-ndjson');
    const lines = (await answer.text()).trimEnd().split('\n');
    expect(lines.map((line) => JSON.parse(line) as ChangeLine)).toMatchObject([
      { type: 'progress', status: 'Downloading', currentBytes: 1, totalBytes: 2 },
      { type: 'progress', status: 'Extracting' },
      { type: 'result', created: true, app: { name: 'hello', revision: { number: 1 } } },
    ]);
  });

  it('shows progress while the pull still goes on', async () => {
    const { client, gateway } = await startApi();
    const gate = Promise.withResolvers<undefined>();
    gateway.beforePull = async (onProgress) => {
      onProgress({ status: 'Downloading', currentBytes: 1, totalBytes: 2 });
      await gate.promise;
    };
    const seen: string[] = [];
    const created = client.createApp(HELLO, { onProgress: ({ status }) => seen.push(status) });
    await until('the first word of progress', () => seen.length === 1);
    gate.resolve(undefined);
    expect((await created).name).toBe('hello');
  });

  it('ends with the problem when it fails', async () => {
    const { call, client } = await startApi();
    const body = { ...HELLO, image: 'nobody/nothing:1' };
    const answer = await call('PUT', '/v1/apps/hello', {
      body,
      headers: { accept: 'application/x-ndjson' },
    });
    expect(JSON.parse(await answer.text())).toMatchObject({
      type: 'error',
      problem: { status: 422, code: 'image_not_found', hint: 'build it' },
    });
    await expect(client.putApp('hello', body, { onProgress: () => undefined })).rejects.toMatchObject({
      code: 'image_not_found',
      hint: 'build it',
    });
  });

  it('is given up when the caller goes away', async () => {
    const { client, gateway } = await startApi();
    let pulling: AbortSignal | undefined;
    gateway.beforePull = (_, signal) => {
      pulling = signal;
      return new Promise((_resolve, reject) => {
        signal.addEventListener('abort', () => reject(new Error('stopped')));
      });
    };
    for (const onProgress of [undefined, () => undefined]) {
      const caller = new AbortController();
      pulling = undefined;
      const created = client.createApp(HELLO, { onProgress, signal: caller.signal });
      created.catch(() => undefined);
      const signal = await until('the pull', () => pulling);
      caller.abort(new Error('Ctrl-C'));
      await expect(created).rejects.toThrow('Ctrl-C');
      await until('the pull to be given up', () => signal.aborted);
    }
    expect(await client.listApps()).toEqual([]);
  });
});

describe('the log of an app', () => {
  it('is that of its newest container when it sleeps, the last hundred lines unless told', async () => {
    const api = await startApi();
    const app = await api.client.createApp(HELLO);
    const first = await addContainer(api, app.id, { state: 'stopped' });
    first.log.write('old');
    const second = await addContainer(api, app.id, { state: 'stopped' });
    second.log.write(...Array.from({ length: 150 }, (_, index) => `line ${index}`));
    const lines = await take(api.client.logs('hello'), 1_000);
    expect(texts(lines)).toEqual(Array.from({ length: 100 }, (_, index) => `line ${index + 50}`));
    expect(lines[0]).toEqual({ atMs: 1, stream: 'stdout', text: 'line 50', containerId: second.id });
    expect(texts(await take(api.client.logs('hello', { tail: 2 }), 9))).toEqual(['line 148', 'line 149']);
    expect(texts(await take(api.client.logs('hello', { container: first.id }), 9))).toEqual(['old']);
  });

  it('is that of all its containers that live, not of the newest one if that has ended', async () => {
    const api = await startApi();
    const app = await api.client.createApp(HELLO);
    for (const [index, state] of (['stopped', 'ready', 'paused', 'stopped'] as const).entries()) {
      const { log } = await addContainer(api, app.id, { state });
      log.write(`of ${index}`, `last of ${index}`);
      log.end();
    }
    expect(texts(await take(api.client.logs('hello', { tail: 1 }), 9))).toEqual(['last of 1', 'last of 2']);
  });

  it('is followed in each of its containers, when the newest ends too, and when an older id comes after it', async () => {
    const api = await startApi();
    const app = await api.client.createApp(HELLO);
    const ended = await addContainer(api, app.id, { state: 'stopped' });
    ended.log.write('long ago');
    const [first, second] = [await addContainer(api, app.id), await addContainer(api, app.id)];
    const { items } = collect(api.client.logs('hello', { follow: true }));
    await until('both', () => first.log.followers === 1 && second.log.followers === 1);
    first.log.write('one');
    await until('the first', () => items.length === 1);
    second.log.write('two');
    second.log.end();
    await until('the second', () => items.length === 2);
    first.log.write('three');
    await until('the first again', () => items.length === 3);
    const third = await addContainer(api, app.id, { id: 'ctr_0' });
    third.log.write('four');
    await until('one whose clock went back', () => items.length === 4);
    expect(texts(items)).toEqual(['one', 'two', 'three', 'four']);
  });

  it('is empty while it never ran, and a container of another app is not found', async () => {
    const api = await startApi();
    await api.client.createApp(HELLO);
    const other = await api.client.createApp({ name: 'other', hosts: [], image: 'web:1' });
    const { id } = await addContainer(api, other.id);
    expect(await take(api.client.logs('hello'), 9)).toEqual([]);
    await expect(take(api.client.logs('hello', { container: id }), 9)).rejects.toMatchObject({
      code: 'not_found',
    });
  });

  it('is followed from container to container, through the sleep in between', async () => {
    const api = await startApi();
    const app = await api.client.createApp(HELLO);
    const first = await addContainer(api, app.id);
    first.log.write('one');
    const { items } = collect(api.client.logs('hello', { follow: true }));
    await until('what was there', () => items.length === 1);
    first.log.write('two');
    first.log.end();
    await until('what came after', () => items.length === 2);
    const other = await api.client.createApp({ name: 'other', hosts: [], image: 'web:1' });
    (await addContainer(api, other.id)).log.write('of another app');
    const second = await addContainer(api, app.id);
    second.log.write('three');
    await until('the successor', () => items.length === 3);
    expect(items.map((line) => [line.containerId, line.text])).toEqual([
      [first.id, 'one'],
      [first.id, 'two'],
      [second.id, 'three'],
    ]);
  });

  it('is followed from the first container of an app that never ran, once its engine knows it', async () => {
    const api = await startApi();
    const app = await api.client.createApp(HELLO);
    const { items } = collect(api.client.logs('hello', { follow: true }));
    const container = await addContainer(api, app.id, { state: 'starting' });
    api.gateway.logsOf.delete(container.id);
    await api.client.patchApp('hello', { policy: { cpu: 1 } });
    api.gateway.logsOf.set(container.id, container.log);
    container.log.write('up');
    await api.store.commit([
      { op: 'update', kind: 'container', id: container.id, ifGeneration: 1, set: { state: 'ready' } },
    ]);
    await until('its first line', () => items.length === 1);
    expect(texts(items)).toEqual(['up']);
  });

  it('lets go of the container when the caller stops following', async () => {
    const api = await startApi();
    const app = await api.client.createApp(HELLO);
    const { log } = await addContainer(api, app.id);
    const caller = new AbortController();
    const { done } = collect(api.client.logs('hello', { follow: true }, caller.signal));
    await until('a follower', () => log.followers === 1);
    caller.abort();
    await done;
    await until('no follower', () => log.followers === 0);
  });

  it('ends when the app is deleted', async () => {
    const api = await startApi();
    const app = await api.client.createApp(HELLO);
    const { log } = await addContainer(api, app.id);
    const { done } = collect(api.client.logs('hello', { follow: true }));
    await until('a follower', () => log.followers === 1);
    await api.client.deleteApp('hello');
    log.end();
    await done;
  });

  it('is not begun by a HEAD request, whose body nobody reads', async () => {
    const api = await startApi();
    const app = await api.client.createApp(HELLO);
    const { log } = await addContainer(api, app.id);
    const answer = await api.call('HEAD', '/v1/apps/hello/logs?follow=1');
    expect(answer.status).toBe(200);
    expect(log.followers).toBe(0);
  });
});

describe('following events', () => {
  it('begins with the page and goes on with each further event, once and in order', async () => {
    const { client } = await startApi();
    await client.createApp(HELLO);
    const { items } = collect(client.followEvents({ app: 'hello' }));
    await until('the page', () => items.length === 1);
    await client.createApp({ name: 'other', hosts: [], image: 'web:1' });
    for (let count = 0; count < 20; count++) await client.deployApp('hello');
    await until('the rest', () => items.length === 21);
    const sequences = items.map((event: EventView) => event.sequence);
    expect(sequences).toEqual([1, ...Array.from({ length: 20 }, (_, index) => index + 3)]);
    expect(new Set(items.map((event) => event.appName))).toEqual(new Set(['hello']));
  });

  it('goes on from a sequence, past more than one page', async () => {
    const { client } = await startApi();
    await client.createApp(HELLO);
    for (let count = 0; count < 9; count++) await client.deployApp('hello');
    const events = await take(client.followEvents({ after: 2, limit: 3 }), 8);
    expect(events.map((event) => event.sequence)).toEqual([3, 4, 5, 6, 7, 8, 9, 10]);
  });

  it('ends with the reason when the server stops', async () => {
    const { client, server } = await startApi();
    const { items, done } = collect(client.followEvents());
    const failure = done.then(
      () => undefined,
      (thrown: unknown) => thrown,
    );
    await client.createApp(HELLO);
    await until('the stream to be open', () => items.length === 1);
    await server.close();
    expect(await failure).toMatchObject({ code: 'shutting_down' });
  });
});
