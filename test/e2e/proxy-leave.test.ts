/** A data plane that leaves while another takes over its port: whoever is connected may ask once more and is told to go. */
import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { once } from 'node:events';
import type { Socket } from 'node:net';
import { describe, expect, it } from 'vitest';
import { WebSocket, WebSocketServer } from 'ws';
import { get, GOAWAY, RawH2 } from '../support/raw-h2.ts';
import { RawClient } from '../support/raw-http.ts';
import { activation } from '../support/scripted-control-plane.ts';
import { ask, testProxy } from '../support/upstreams-proxy.ts';
import { httpUpstream, rawUpstream } from '../support/upstreams.ts';
import type { Upstream } from '../support/upstreams.ts';
import { until } from '../support/until.ts';

const REQUEST = 'GET / HTTP/1.1\r\nHost: a.test\r\n\r\n';
const PATIENT = { graceMs: 60_000, patient: true };

async function serving(upstream: Upstream, transport: 'fast' | 'http' = 'fast') {
  const proxy = await testProxy({ transport });
  proxy.control.app('a', { activate: () => Promise.resolve(activation([upstream.endpoint], 'warm')) });
  return proxy;
}

describe.each(['fast', 'http'] as const)('a proxy that leaves (%s)', (transport) => {
  it('answers what comes on an idle connection once more, says that it closes, and has gone then', async () => {
    await using upstream = await httpUpstream((_req, res) => res.end('hello'));
    await using proxy = await serving(upstream, transport);
    await using client = await RawClient.open(proxy.port);
    client.send(REQUEST);
    expect(await client.saw('hello')).not.toMatch(/connection: close/i);
    const closed = proxy.close(PATIENT);
    await expect(ask(proxy)).rejects.toThrow('ECONNREFUSED');
    client.received = '';
    client.send(REQUEST);
    expect(await client.rest()).toMatch(/^HTTP\/1\.1 200 .*\r\nconnection: close\r\n.*hello/is);
    await closed;
  });

  it('closes no connection whose answer has not said so', async () => {
    const { promise, resolve } = Promise.withResolvers<undefined>();
    await using upstream = await httpUpstream((_req, res) => {
      res.write('begun ');
      void promise.then(() => res.end('and done'));
    });
    await using proxy = await serving(upstream, transport);
    await using client = await RawClient.open(proxy.port);
    client.send(REQUEST);
    await client.saw('begun');
    const closed = proxy.close(PATIENT);
    resolve(undefined);
    expect(await client.saw('and done')).not.toMatch(/connection: close/i);
    client.received = '';
    client.send(REQUEST);
    expect(await client.rest()).toMatch(/connection: close/i);
    await closed;
  });

  it('waits for a WebSocket until its time is over', async () => {
    const sockets = new WebSocketServer({ noServer: true });
    await using upstream = await httpUpstream((_req, res) => res.end('hello'), {
      configure: (server) =>
        server.on('upgrade', (req, socket, head) =>
          sockets.handleUpgrade(req, socket, head, (one) => one.on('message', (text) => one.send(text))),
        ),
    });
    await using proxy = await serving(upstream, transport);
    const socket = new WebSocket(`ws://127.0.0.1:${proxy.port}/`, { headers: { host: 'a.test' } });
    await once(socket, 'open');
    let gone = false;
    const closed = proxy.close(PATIENT).then(() => (gone = true));
    socket.send('are you there?');
    await once(socket, 'message');
    expect(gone).toBe(false);
    // Told again, with less patience.
    const over = once(socket, 'close');
    await Promise.all([proxy.close({ graceMs: 0 }), closed, over]);
    sockets.close();
  });
});

it('a client that is slow to take an answer which is whole gets it, if there is time for that', async () => {
  const sockets = new Map<number | undefined, Socket>();
  const onAccepted = (message: unknown) => {
    const { socket } = message as { socket: Socket };
    sockets.set(socket.remotePort, socket);
  };
  subscribe('net.server.socket', onAccepted);
  let app: Socket | undefined;
  await using upstream = await rawUpstream((socket) => {
    socket.once('data', () => {
      (app = socket).write('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n');
    });
  });
  await using proxy = await serving(upstream);
  await using client = await RawClient.open(proxy.port);
  client.send(REQUEST);
  await client.saw('chunked');
  client.socket.pause();
  const near = sockets.get(client.socket.localPort);
  unsubscribe('net.server.socket', onAccepted);
  let bodyBytes = 0;
  while (near?.writableLength === 0) {
    const { sentBytes } = proxy.snapshot();
    app?.write(`9c40\r\n${'x'.repeat(40_000)}\r\n`);
    bodyBytes += 40_000;
    await until('it to be passed on', () => proxy.snapshot().sentBytes >= sentBytes + 40_000);
  }
  app?.write('0\r\n\r\n');
  await until('the request to be over', () => proxy.snapshot().inFlight === 0);
  const closed = proxy.close({ graceMs: 60_000 });
  await expect(ask(proxy)).rejects.toThrow('ECONNREFUSED');
  client.socket.resume();
  await closed;
  await client.saw('\r\n0\r\n\r\n');
  expect(client.received.match(/x/g)).toHaveLength(bodyBytes);
});

it('clients of HTTP/2 are told to go: what is under way is served, and of anything later they know that it was not', async () => {
  const { promise, resolve } = Promise.withResolvers<undefined>();
  await using upstream = await httpUpstream((_req, res) => void promise.then(() => res.end('hello')));
  await using proxy = await serving(upstream);
  await using busy = await RawH2.open(proxy.port);
  await using fresh = await RawH2.open(proxy.port);
  const underway = busy.request(get());
  await until('the request to be there', () => proxy.snapshot().inFlight === 1);
  const closed = proxy.close(PATIENT);
  await until('a GOAWAY', () => busy.frames.some(({ type }) => type === GOAWAY));
  busy.request(get()); // as if it had been on its way
  const only = fresh.request(get()); // who has just come is served once
  await until('the other request to be there', () => proxy.snapshot().inFlight === 2);
  resolve(undefined);
  await closed;
  for (const [client, last] of [
    [busy, underway],
    [fresh, only],
  ] as const) {
    expect(client.body(last)).toBe('hello');
    expect(client.frames.findLast(({ type }) => type === GOAWAY)?.payload.readUInt32BE(0)).toBe(last);
  }
  expect(proxy.snapshot().requests).toBe(2);
});
