/**
 * Idle means no activity, and an open connection is activity: whoever listens is not cut off because nothing is being said.
 * The wakes are cold: the upgrade itself, or the stream's own request, starts the container.
 */
import { once } from 'node:events';
import { expect, it } from 'vitest';
import WebSocket from 'ws';
import type { ContainerView } from '../../src/coreapi/schema.ts';
import { describeOnEngines } from '../support/platform.ts';
import type { Platform } from '../support/platform.ts';
import { RawClient } from '../support/raw-http.ts';

const POLICY = { idlePauseMs: 300, idleStopMs: 1_000 };
const ASLEEP = ['container.paused', 'container.draining', 'container.stopped'];

describeOnEngines('a connection that stays open', (shared) => {
  it('keeps its container awake for longer than idleStopMs, and no longer than it is open', async () => {
    const platform = shared();
    const names = ['socket-room', 'stream-room', 'ticker'];
    await platform.create('socket-room', { app: 'chat', policy: POLICY });
    await platform.create('stream-room', { app: 'chat', policy: POLICY });
    await platform.create('ticker', { policy: POLICY });

    const socket = await openWebSocket(platform, 'socket-room');
    const room = await openStream(platform, 'stream-room', '/events');
    await room.saw(': welcome');
    const ticker = await openStream(platform, 'ticker', '/ticks');
    await ticker.saw('tick 1.');
    const containers = await Promise.all(names.map((name) => platform.container(name)));
    // Four ticks a second are sent on one of the three connections; the others are silent meanwhile.
    await ticker.saw('tick 14.');

    for (const [index, name] of names.entries()) {
      expect(await platform.container(name)).toMatchObject({ id: containers[index]?.id, state: 'ready' });
      expect((await platform.story(name)).filter((type) => ASLEEP.includes(type))).toEqual([]);
    }
    // What is said past the proxy arrives: these are the connections that were opened, to the same containers.
    const heard = once(socket, 'message') as Promise<[Buffer]>;
    await say(containers[0], 'still here?');
    await say(containers[1], 'and you?');
    expect((await heard)[0].toString()).toContain('still here?');
    await room.saw('and you?');

    socket.close();
    await room[Symbol.asyncDispose]();
    await ticker[Symbol.asyncDispose]();
    for (const name of names) {
      await platform.saw(name, 'container.stopped');
      expect((await platform.story(name)).filter((type) => ASLEEP.includes(type))).toEqual(ASLEEP);
    }
    expect([...(await platform.running()).keys()]).toEqual([]);
  });
});

async function openWebSocket(platform: Platform, name: string): Promise<WebSocket> {
  const headers = { host: `${name}.localhost` };
  const socket = new WebSocket(`ws://127.0.0.1:${platform.program.proxyPort}/ws`, { headers });
  await once(socket, 'open');
  return socket;
}

async function openStream(platform: Platform, name: string, path: string): Promise<RawClient> {
  const client = await RawClient.open(platform.program.proxyPort);
  return client.send(`GET ${path} HTTP/1.1\r\nHost: ${name}.localhost\r\n\r\n`);
}

async function say(container: ContainerView | undefined, text: string): Promise<void> {
  const { host = '', port = 0 } = container?.address ?? {};
  const body = JSON.stringify({ from: 'test', text });
  const answer = await fetch(`http://${host}:${port}/messages`, { method: 'POST', body });
  expect(answer.status).toBe(204);
}
