/**
 * Large bodies over HTTP/2, with an app and a client that stop reading for a while: what they do not take must wait at its
 * source, held back by windows, not in the proxy.
 */
import { fork } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import type { Readable, Writable } from 'node:stream';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { http2Session } from '../support/http2-client.ts';
import type { ProxyChildMessage } from '../support/upstreams-proxy-child.ts';
import { httpUpstream } from '../support/upstreams.ts';
import type { Upstream } from '../support/upstreams.ts';
import { until } from '../support/until.ts';

const BODY_BYTES = 100 * 1024 * 1024;
const ALLOWED_BYTES = 48 * 1024 * 1024;
const CHUNK = Buffer.from(Array.from({ length: 65_536 }, (_, i) => (i * 31 + (i >> 8)) & 255));
const EXPECTED = hashOf(BODY_BYTES);

let child: ChildProcess;
let port = 0;
let memory: Extract<ProxyChildMessage, { type: 'memory' }> | undefined;
let upstream: Upstream;
/** Lets the app read the upload it has been sent. */
let letAppRead: () => void;
/** What the app has been able to write of the download. */
let written = 0;

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
      feed(res, (bytes) => (written = bytes));
      return;
    }
    void mayRead.then(() => digest(req)).then((hash) => res.end(hash));
  });
  await until('the proxy to listen', () => port > 0);
  child.send({ type: 'ready', port: upstream.port } satisfies ProxyChildMessage);
});

afterAll(async () => {
  if (child.connected) child.disconnect();
  await until('the proxy to end', () => child.exitCode !== null || child.signalCode !== null);
  await upstream.close();
});

it('100 MB up and down arrive byte for byte, and the proxy holds less than 48 MB of them', async () => {
  await using session = await http2Session(`http://127.0.0.1:${port}`);
  const headers = { ':authority': 'a.test' };
  child.send({ type: 'measure' } satisfies ProxyChildMessage);

  const upload = session.request({ ...headers, ':method': 'PUT', 'content-length': BODY_BYTES });
  let sent = 0;
  feed(upload, (bytes) => (sent = bytes));
  await untilStuck('the upload to be held back', () => sent);
  letAppRead();
  expect(String(Buffer.concat((await upload.toArray()) as Buffer[]))).toBe(EXPECTED);

  const download = session.request(headers);
  await once(download, 'response');
  await untilStuck('the download to be held back', () => written);
  expect(await digest(download)).toBe(EXPECTED);

  const measured = await until('a measurement', () => memory);
  expect(measured.peakBytes - measured.idleBytes).toBeLessThan(ALLOWED_BYTES);
});

/** Several looks in a row find that something has been taken, and no more is. */
async function untilStuck(what: string, bytesNow: () => number): Promise<void> {
  let before = 0;
  let looks = 0;
  await until(what, () => {
    const bytes = bytesNow();
    looks = bytes > 0 && bytes === before ? looks + 1 : 0;
    before = bytes;
    return looks >= 20;
  });
  expect(before).toBeLessThan(BODY_BYTES / 2);
}

/** Writes the body with backpressure. */
function feed(to: Writable, progress: (bytes: number) => void): void {
  let bytes = 0;
  const more = () => {
    while (bytes < BODY_BYTES) {
      const room = to.write(CHUNK);
      bytes += CHUNK.length;
      progress(bytes);
      if (!room && bytes < BODY_BYTES) {
        to.once('drain', more);
        return;
      }
    }
    to.end();
  };
  more();
}

async function digest(from: Readable): Promise<string> {
  const hash = createHash('sha1');
  for await (const chunk of from) hash.update(chunk as Buffer);
  return hash.digest('hex');
}

function hashOf(length: number): string {
  const hash = createHash('sha1');
  for (let done = 0; done < length; done += CHUNK.length) hash.update(CHUNK);
  return hash.digest('hex');
}
