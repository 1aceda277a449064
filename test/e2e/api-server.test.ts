import { once } from 'node:events';
import { createServer } from 'node:net';
import { describe, expect, it } from 'vitest';
import { systemClock } from '../../src/clock.ts';
import { openMemoryStore } from '../../src/cmdb/memory.ts';
import { startCoreApi } from '../../src/coreapi/http/server.ts';
import { Networks } from '../../src/networks.ts';
import { statusFrom } from '../support/connect-from.ts';
import { FakeClock } from '../support/fake-clock.ts';
import { node } from '../support/records.ts';
import { until } from '../support/until.ts';
import { FakeGateway, recordingLog, startApi } from './api-support.ts';

const HELLO = { name: 'hello', hosts: ['hello.localhost'], image: 'web:1' };

describe('health', () => {
  it('is alive at once, and ready when a node is registered and nothing else is in the way', async () => {
    let obstacle: string | undefined = 'the engine does not answer';
    const { url, store, client } = await startApi({ ready: async () => obstacle });
    expect((await fetch(`${url}/healthz`)).status).toBe(200);
    await expect(client.ready()).rejects.toMatchObject({
      code: 'not_ready',
      message: 'no compute node is registered',
    });
    const { generation: _, ...record } = node({ state: 'up' });
    await store.commit([{ op: 'create', kind: 'node', record }]);
    await expect(client.ready()).rejects.toMatchObject({ message: 'the engine does not answer' });
    obstacle = undefined;
    await client.ready();
  });

  it('is not ready, with Retry-After, when the store fails or hangs', async () => {
    const clock = new FakeClock();
    const { url, store } = await startApi({ clock });
    store.list = () => new Promise(() => undefined);
    const answer = fetch(`${url}/readyz`);
    await until('the question', () => clock.pending === 1);
    await clock.advance(2_000);
    expect([(await answer).status, (await answer).headers.get('retry-after')]).toEqual([503, '1']);
    await store.close();
  });
});

describe('the socket', () => {
  it('takes no connection from an address that is refused', async () => {
    const containers = new Networks(['127.0.0.2/32']);
    const { port } = await startApi({ refuseFrom: containers });
    expect(await statusFrom('127.0.0.1', port, '/healthz')).toBe('HTTP/1.1 200');
    expect(await statusFrom('127.0.0.2', port, '/healthz')).toBe('');
  });

  it('says which port is taken', async () => {
    const other = createServer().listen(0, '127.0.0.1');
    await once(other, 'listening');
    const { port } = other.address() as { port: number };
    const starting = startCoreApi({
      store: openMemoryStore(),
      gateway: new FakeGateway(),
      clock: systemClock,
      log: recordingLog(),
      listen: { host: '127.0.0.1', port },
    });
    await expect(starting).rejects.toMatchObject({ code: 'EADDRINUSE', port });
    other.close();
  });

  it('is free once it is closed, though a connection was kept alive and a stream open', async () => {
    const { client, server, port, call } = await startApi();
    await client.createApp(HELLO);
    const following = await call('GET', '/v1/events?follow=1');
    await Promise.all([server.close(), server.close()]);
    await following.text().catch(() => undefined);
    const next = createServer().listen(port, '127.0.0.1');
    await once(next, 'listening');
    next.close();
    await expect(client.getApp('hello')).rejects.toMatchObject({ code: 'api_unavailable' });
  });

  it('answers a change in the making with shutting_down when it closes', async () => {
    const { client, server, gateway } = await startApi();
    let pulling = false;
    gateway.beforePull = (_, signal) => {
      pulling = true;
      return new Promise((_resolve, reject) => {
        signal.addEventListener('abort', () => reject(new Error('stopped')));
      });
    };
    const created = client.createApp(HELLO);
    created.catch(() => undefined);
    await until('the pull', () => pulling);
    await server.close();
    await expect(created).rejects.toMatchObject({ code: 'shutting_down', retryAfterMs: 1_000 });
  });
});
