/** The inside door on real sockets: this machine's second loopback address is the container. */
import { connect as connectHttp2 } from 'node:http2';
import { connect } from 'node:net';
import type { Socket } from 'node:net';
import { describe, expect, it } from 'vitest';
import { Networks } from '../../src/networks.ts';
import type { ProxyLimits } from '../../src/proxy/limits.ts';
import { activation, ScriptedControlPlane } from '../support/scripted-control-plane.ts';
import { ask, testProxy } from '../support/upstreams-proxy.ts';
import { httpUpstream } from '../support/upstreams.ts';
import { until } from '../support/until.ts';

const VISITOR = '127.0.0.1';
const CONTAINER = '127.0.0.2';
const OTHER_CONTAINER = '127.0.0.3';
const THIRD_CONTAINER = '127.0.0.4';
const CLOSED = /hang up|ECONNRESET/;

/** The container may ask for `a.test`, not for `b.test`. */
async function open({
  limits,
  ...options
}: { limits?: Partial<ProxyLimits>; transport?: 'fast' | 'http' } = {}) {
  const upstream = await httpUpstream((req, res) => res.end(JSON.stringify(req.headers)));
  const control = new ScriptedControlPlane();
  for (const appId of ['a', 'b'])
    control.app(appId, { activate: () => Promise.resolve(activation([upstream.endpoint], 'warm')) });
  control.guests.set(CONTAINER, { containerId: 'front-1', appName: 'front', needs: ['a'] });
  const refuseFrom = new Networks(
    [CONTAINER, OTHER_CONTAINER, THIRD_CONTAINER].map((address) => `${address}/32`),
  );
  const trustedProxies = new Networks(['127.0.0.0/8']);
  const inside = { host: '127.0.0.1', port: 0 };
  const proxy = await testProxy({ ...options, control, limits, inside, refuseFrom, trustedProxies });
  return {
    ...{ proxy, control, inside: { port: proxy.insidePort ?? 0 } },
    async [Symbol.asyncDispose]() {
      await proxy[Symbol.asyncDispose]();
      await upstream.close();
    },
  };
}

describe.each(['fast', 'http'] as const)('the door for containers, with the %s transport', (transport) => {
  it('leads a container to what its app needs, which sees its address whatever it says of itself', async () => {
    await using world = await open({ transport });
    const headers = { 'X-Forwarded-For': '192.0.2.1', Forwarded: 'for=192.0.2.1' };
    const answer = await ask(world.inside, { host: 'a.test', localAddress: CONTAINER, headers });
    expect(answer.status).toBe(200);
    expect(JSON.parse(answer.text)).toMatchObject({
      host: 'a.test',
      'x-forwarded-for': CONTAINER,
      forwarded: `for=${CONTAINER};host=a.test;proto=http`,
    });
  });

  it('refuses it all else, in HTTP/1.1, as a WebSocket and in HTTP/2, and wakes nobody', async () => {
    await using world = await open({ transport });
    const upgrade = { Connection: 'Upgrade', Upgrade: 'websocket', 'Sec-WebSocket-Version': '13' };
    for (const headers of [{}, { ...upgrade, 'Sec-WebSocket-Key': 'AAAAAAAAAAAAAAAAAAAAAA==' }]) {
      const answer = await ask(world.inside, { host: 'b.test', localAddress: CONTAINER, headers });
      expect(answer.status).toBe(403);
      expect(answer.headers['mayfly-error']).toBe('need_missing');
    }
    if (transport === 'fast') expect(await statusOverHttp2(world.inside.port, 'b.test')).toBe(403);
    expect(world.control.activated).toEqual([]);
    if (transport === 'fast') expect(await statusOverHttp2(world.inside.port, 'a.test')).toBe(200);
  });

  it('is closed to visitors, and the visitors’ one to containers', async () => {
    await using world = await open({ transport });
    await expect(ask(world.inside, { host: 'a.test', localAddress: VISITOR })).rejects.toThrow(CLOSED);
    await expect(ask(world.proxy, { host: 'a.test', localAddress: CONTAINER })).rejects.toThrow(CLOSED);
    expect((await ask(world.proxy, { host: 'b.test', localAddress: VISITOR })).status).toBe(200);
    expect(world.proxy.snapshot().refusedConnections.network).toBe(2);
  });

  it('leaves room for visitors, whatever all containers open together', async () => {
    await using world = await open({ transport, limits: { connections: 4 } });
    const guests = [await connected(world.inside.port, CONTAINER)];
    guests.push(await connected(world.inside.port, OTHER_CONTAINER));
    await expect(ask(world.inside, { host: 'a.test', localAddress: CONTAINER })).rejects.toThrow(CLOSED);
    expect((await ask(world.proxy, { host: 'a.test', localAddress: VISITOR })).status).toBe(200);
    for (const guest of guests) guest.destroy();
  });

  it('leaves room for visitors and for other containers, whatever one of them opens', async () => {
    await using world = await open({ transport, limits: { connections: 8, guestConnections: 2 } });
    const first = await connected(world.inside.port, CONTAINER);
    const second = await connected(world.inside.port, CONTAINER);
    await expect(ask(world.inside, { host: 'a.test', localAddress: CONTAINER })).rejects.toThrow(CLOSED);
    expect((await ask(world.proxy, { host: 'a.test', localAddress: VISITOR })).status).toBe(200);
    expect((await ask(world.inside, { host: 'a.test', localAddress: OTHER_CONTAINER })).status).toBe(403);
    first.destroy();
    const again = await until('room for another', () =>
      ask(world.inside, { host: 'a.test', localAddress: CONTAINER }).catch(() => undefined),
    );
    expect(again.status).toBe(200);
    second.destroy();
  });

  it('leaves room for the next container, however many others open all that they can', async () => {
    await using world = await open({ transport, limits: { connections: 24 } });
    const guests: Socket[] = [];
    for (const container of [CONTAINER, OTHER_CONTAINER])
      for (let i = 0; i < 12; i++) guests.push(await connected(world.inside.port, container));
    await until(
      'all to be taken or refused',
      () => world.proxy.snapshot().refusedConnections.too_many === 6 + 9,
    );
    expect((await ask(world.inside, { host: 'a.test', localAddress: THIRD_CONTAINER })).status).toBe(403);
    for (const guest of guests) guest.destroy();
  });
});

function connected(port: number, localAddress: string): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = connect({ host: '127.0.0.1', port, localAddress }, () => resolve(socket));
    socket.once('error', reject);
  });
}

/** On a plain connection that begins in HTTP/2. */
function statusOverHttp2(port: number, host: string): Promise<number> {
  return new Promise((resolve, reject) => {
    const session = connectHttp2(`http://${host}`, {
      createConnection: () => connect({ host: '127.0.0.1', port, localAddress: CONTAINER }),
    });
    session.once('error', reject);
    const stream = session.request({ ':path': '/', ':authority': host });
    stream.once('response', (headers) => resolve(headers[':status'] ?? 0));
    stream.once('error', reject).resume();
    stream.once('close', () => session.close());
  });
}
