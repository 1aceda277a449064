import { once } from 'node:events';
import { createServer } from 'node:net';
import { describe, expect, it } from 'vitest';
import { systemClock } from '../../src/clock.ts';
import { openMemoryStore } from '../../src/cmdb/memory.ts';
import type { Kind } from '../../src/cmdb/records.ts';
import { MAX_PIPELINED } from '../../src/coreapi/http/request-turns.ts';
import { startCoreApi } from '../../src/coreapi/http/server.ts';
import { Networks } from '../../src/networks.ts';
import { statusFrom } from '../support/connect-from.ts';
import { FakeClock } from '../support/fake-clock.ts';
import { exchangeRaw, RawClient } from '../support/raw-http.ts';
import { node } from '../support/records.ts';
import { until } from '../support/until.ts';
import { FakeGateway, recordingLog, startApi, TOKEN, type Api } from './api-support.ts';

const HELLO = { name: 'hello', hosts: ['hello.localhost'], image: 'web:1' };
const LIST = `GET /v1/apps HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${TOKEN}\r\n\r\n`;

/**
 * A request that is in the making until `answer` is called, with what is sent right behind it; the signal says that its
 * client has left.
 */
async function sendSlowRequest({ port, gateway }: Api, behind: string) {
  const pulled = Promise.withResolvers<undefined>();
  let pulling: AbortSignal | undefined;
  gateway.beforePull = async (_, signal) => {
    pulling = signal;
    await pulled.promise;
  };
  const body = JSON.stringify(HELLO);
  const client = await RawClient.open(port);
  client.send(
    LIST.replace('GET', 'POST').replace(
      '\r\n\r\n',
      `\r\nContent-Type: application/json\r\nContent-Length: ${body.length}\r\n\r\n${body}`,
    ) + behind,
  );
  const signal = await until('the pull', () => pulling);
  return { client, signal, answer: () => pulled.resolve(undefined) };
}

/** Calls back at every list of that kind that is read from now on. */
function onList({ store }: Api, kind: Kind, callback: () => void): void {
  const list = store.list.bind(store);
  store.list = (listed, options) => {
    if (listed === kind) callback();
    return list(listed, options);
  };
}

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

  it('is closed on who connects and says nothing, and left to who has asked', async () => {
    const clock = new FakeClock();
    const { port } = await startApi({ clock });
    await using silent = await RawClient.open(port);
    await using asking = await RawClient.open(port);
    const ask = () => asking.send('GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n');
    await ask().saw('alive');
    await clock.advance(10_000);
    expect(await silent.rest()).toBe('');
    ask();
    await until('a second answer', () => asking.statuses.length === 2);
    expect(clock.pending).toBe(0);
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

describe('a client that asks more than it waits for', () => {
  it('has one request served after the other, in order', async () => {
    const api = await startApi();
    const { client, answer } = await sendSlowRequest(api, LIST);
    answer();
    expect(await client.saw('"items":')).toMatch(/ 201 [^]*"items":\[\{[^]*"name":"hello"/);
    await client[Symbol.asyncDispose]();
  });

  it('is let go of when too many of its requests wait', async () => {
    const { port } = await startApi();
    expect(await exchangeRaw(port, LIST.repeat(MAX_PIPELINED + 2))).toBe('');
  });

  it('costs nothing further once it has left', async () => {
    const api = await startApi();
    let listed = 0;
    onList(api, 'app', () => listed++);
    const { client, signal, answer } = await sendSlowRequest(api, LIST.repeat(5));
    await client[Symbol.asyncDispose]();
    await until('the server to know', () => signal.aborted);
    answer();
    await api.client.listApps();
    expect(listed).toBe(1);
  });

  it('shares the event loop: of all connections one request is begun in each turn', async () => {
    const api = await startApi();
    const clients = await Promise.all(Array.from({ length: 20 }, () => RawClient.open(api.port)));
    let turn = 0;
    const countTurn = () => {
      turn++;
      counting = setImmediate(countTurn);
    };
    let counting = setImmediate(countTurn);
    const turns = new Set<number>();
    onList(api, 'node', () => turns.add(turn));
    for (const client of clients) await client.send(LIST).saw('"items":'); // by then it is connected
    for (const client of clients) client.send('GET /readyz HTTP/1.1\r\nHost: x\r\n\r\n');
    for (const client of clients) await client.saw('no compute node');
    clearImmediate(counting);
    expect(turns.size).toBe(20);
    for (const client of clients) await client[Symbol.asyncDispose]();
  });
});
