/** Interim answers of an app that cannot be held back: they are passed on to a client that reads, and wait for nobody. */
import { describe, expect, it } from 'vitest';
import { get, HEADERS, RawH2 } from '../support/raw-h2.ts';
import { RawClient } from '../support/raw-http.ts';
import { activation } from '../support/scripted-control-plane.ts';
import { testProxy } from '../support/upstreams-proxy.ts';
import { rawUpstream } from '../support/upstreams.ts';
import { until } from '../support/until.ts';

const ANSWER = 'HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ndone';
const HANDSHAKE =
  'GET / HTTP/1.1\r\nHost: a.test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n' +
  'Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n';

/** Each asks, reads or not as it is told to, and says what it was answered. */
const CLIENTS = {
  'a WebSocket handshake': async (port: number) => {
    const client = await RawClient.open(port);
    return {
      socket: client.socket,
      ask: () => client.send(HANDSHAKE),
      hints: () => client.statuses.filter((status) => status === 103).length,
      isAnswered: () => client.received.endsWith('done'),
      isBroken: () => client.statuses.at(-1) === 502,
      [Symbol.asyncDispose]: () => client[Symbol.asyncDispose](),
    };
  },
  'a request over HTTP/2': async (port: number) => {
    const client = await RawH2.open(port);
    const heads = () => client.frames.filter(({ type, stream }) => type === HEADERS && stream === 1);
    return {
      socket: client.socket,
      ask: () => client.request(get()),
      hints: () => heads().length - 1,
      isAnswered: () => client.body(1) === 'done',
      isBroken: () => client.body(1).includes('upstream_broken'),
      [Symbol.asyncDispose]: () => client[Symbol.asyncDispose](),
    };
  },
};

/** A proxy in front of an app that says so many hints, then its answer. */
async function appWithHints(count: number, linkBytes: number) {
  const hint = `HTTP/1.1 103 Early Hints\r\nLink: <${'~'.repeat(linkBytes)}>\r\n\r\n`;
  const upstream = await rawUpstream((socket) =>
    socket.once('data', () => socket.write(hint.repeat(count) + ANSWER)),
  );
  const proxy = await testProxy();
  proxy.control.app('a', { activate: async () => activation([upstream.endpoint], 'warm') });
  return {
    proxy,
    async [Symbol.asyncDispose]() {
      await proxy[Symbol.asyncDispose]();
      await upstream.close();
    },
  };
}

describe.each(Object.entries(CLIENTS))('interim answers to %s', (_, open) => {
  it('all reach a client that reads', async () => {
    await using app = await appWithHints(100, 10);
    await using client = await open(app.proxy.port);
    client.ask();
    await until('the answer', client.isAnswered);
    expect(client.hints()).toBe(100);
  });

  it('are dropped while the client does not take what came before, and the answer comes whole', async () => {
    await using app = await appWithHints(1_000, 14 * 1024);
    await using client = await open(app.proxy.port);
    client.socket.pause();
    client.ask();
    await until('the answer to have begun', () => app.proxy.snapshot().status2xx === 1);
    client.socket.resume();
    await until('the answer', client.isAnswered);
    expect(client.hints()).toBeLessThan(1_000);
  });

  it('without end are a broken answer', async () => {
    await using app = await appWithHints(1_001, 10);
    await using client = await open(app.proxy.port);
    client.ask();
    await until('a refusal', client.isBroken);
    expect(app.proxy.snapshot()).toMatchObject({ status2xx: 0, inFlight: 0 });
  });
});
