/**
 * Large bodies through a cold app, with an app and a client that stop reading for a while: what they do not take must wait
 * at its source, not in the proxy.
 */
import { fork } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { request } from 'node:http';
import type { IncomingMessage } from 'node:http';
import type { Socket } from 'node:net';
import { afterAll, beforeAll, expect, it } from 'vitest';
import type { ProxyChildMessage } from '../support/upstreams-proxy-child.ts';
import { httpUpstream } from '../support/upstreams.ts';
import type { Upstream } from '../support/upstreams.ts';
import { until } from '../support/until.ts';

const BODY_BYTES = 200 * 1024 * 1024;
const ALLOWED_BYTES = 64 * 1024 * 1024;
const CHUNK = Buffer.from(Array.from({ length: 65_536 }, (_, i) => (i * 31 + (i >> 8)) & 255));
const EXPECTED = hashOf(BODY_BYTES);

let child: ChildProcess;
let port = 0;
let memory: Extract<ProxyChildMessage, { type: 'memory' }> | undefined;
let upstream: Upstream;
/** Lets the app read the upload it has been sent. */
let letAppRead: () => void;

beforeAll(async () => {
  child = fork(new URL('../support/upstreams-proxy-child.ts', import.meta.url), [], {
    execArgv: ['--expose-gc'],
  });
  child.on('message', (message: ProxyChildMessage) => {
    if (message.type === 'listening') port = message.port;
    if (message.type === 'memory') memory = message;
  });
  const mayRead = new Promise<void>((resolve) => (letAppRead = resolve));
  upstream = await httpUpstream((req, res) => {
    if (req.method === 'GET') {
      res.writeHead(200, { 'Content-Length': BODY_BYTES });
      feed(res);
      return;
    }
    void mayRead.then(() => digest(req)).then((hash) => res.end(hash));
  });
  await until('the proxy to listen', () => port > 0);
});

afterAll(async () => {
  if (child.connected) child.disconnect();
  await until('the proxy to end', () => child.exitCode !== null || child.signalCode !== null);
  await upstream.close();
});

it('200 MB up and down arrive byte for byte, and the proxy holds less than 64 MB of them', async () => {
  child.send({ type: 'measure' } satisfies ProxyChildMessage);

  const upload = request({
    port,
    method: 'PUT',
    headers: { host: 'a.test', 'content-length': BODY_BYTES },
    agent: false,
  });
  const answered = once(upload, 'response') as Promise<[IncomingMessage]>;
  feed(upload);
  await until('the upload to be held', () => memory?.held === 1);
  child.send({ type: 'ready', port: upstream.port } satisfies ProxyChildMessage);
  await until('the upload at the app', () => upstream.accepted === 1);
  await untilStuck('the upload to be held back', () => upload.socket);
  letAppRead();
  const [answer] = await answered;
  expect(Buffer.concat(await answer.toArray()).toString()).toBe(EXPECTED);

  const download = request({ port, headers: { host: 'a.test' }, agent: false }).end();
  const [body] = (await once(download, 'response')) as [IncomingMessage];
  const [appSide] = [...upstream.sockets].slice(-1);
  await untilStuck('the download to be held back', () => appSide);
  expect(await digest(body)).toBe(EXPECTED);

  const measured = await until('a measurement', () => memory);
  expect(measured.peakBytes - measured.idleBytes).toBeLessThan(ALLOWED_BYTES);
});

/** The socket takes no more: several looks in a row find that its sender waits and nothing moves. */
async function untilStuck(what: string, socketNow: () => Socket | null | undefined): Promise<void> {
  let before = -1;
  let looks = 0;
  await until(what, () => {
    const socket = socketNow();
    if (!socket) return false;
    looks = socket.writableNeedDrain && socket.bytesWritten === before ? looks + 1 : 0;
    before = socket.bytesWritten;
    return looks >= 10;
  });
  expect(before).toBeLessThan(BODY_BYTES / 2);
}

/** Writes the body with backpressure. */
function feed(to: NodeJS.WritableStream): void {
  let left = BODY_BYTES / CHUNK.length;
  const more = () => {
    while (left > 0) {
      left--;
      if (!to.write(CHUNK) && left > 0) {
        to.once('drain', more);
        return;
      }
    }
    to.end();
  };
  more();
}

async function digest(from: IncomingMessage): Promise<string> {
  const hash = createHash('sha1');
  for await (const chunk of from) hash.update(chunk as Buffer);
  return hash.digest('hex');
}

function hashOf(length: number): string {
  const hash = createHash('sha1');
  for (let written = 0; written < length; written += CHUNK.length) hash.update(CHUNK);
  return hash.digest('hex');
}
