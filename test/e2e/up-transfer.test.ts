/** Large bodies pass through a cold app and the program byte for byte, without the program growing with them. */
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { request } from 'node:http';
import type { IncomingMessage } from 'node:http';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { bodyBlocks, bodyHash } from '../support/apps/body.ts';
import { Platform } from '../support/platform.ts';

const MIB = 1024 ** 2;
const LARGE_BYTES = 200 * MIB;
const WARM_UP_BYTES = 4 * MIB;
const MAX_GROWTH_BYTES = 64 * MIB;

let platform: Platform;

beforeAll(async () => {
  platform = await Platform.open('process');
  const command = [process.execPath, join(import.meta.dirname, '../support/apps/transfer.ts')];
  for (const name of ['warm', 'upload', 'download']) {
    const policy = { cpu: 2, memoryBytes: 512 * MIB, idleStopMs: null, idlePauseMs: null };
    await platform.client.createApp({ name, hosts: [`${name}.localhost`], command, cwd: '/', policy });
  }
  await upload('warm', WARM_UP_BYTES);
  await download('warm', WARM_UP_BYTES);
});
afterAll(() => platform[Symbol.asyncDispose]());

it('an upload of 200 MB to a cold app arrives whole, and the program does not grow with it', async () => {
  const { result, growthBytes } = await watchMemory('upload', () => upload('upload', LARGE_BYTES));
  expect(result).toEqual({ sizeBytes: LARGE_BYTES, hash: bodyHash(LARGE_BYTES) });
  expect(growthBytes).toBeLessThan(MAX_GROWTH_BYTES);
}, 60_000);

it('a download of 200 MB from a cold app arrives whole, and the program does not grow with it', async () => {
  const { result, growthBytes } = await watchMemory('download', () => download('download', LARGE_BYTES));
  expect(result).toEqual({ sizeBytes: LARGE_BYTES, hash: bodyHash(LARGE_BYTES) });
  expect(growthBytes).toBeLessThan(MAX_GROWTH_BYTES);
}, 60_000);

interface Received {
  readonly sizeBytes: number;
  readonly hash: string;
}

async function upload(name: string, sizeBytes: number): Promise<Received> {
  const outgoing = ask(name, 'POST', '/');
  const answered = answerTo(outgoing);
  await pipeline(Readable.from(bodyBlocks(sizeBytes)), outgoing);
  let text = '';
  for await (const chunk of (await answered).setEncoding('utf8')) text += String(chunk);
  return JSON.parse(text) as Received;
}

async function download(name: string, wantedBytes: number): Promise<Received> {
  const outgoing = ask(name, 'GET', `/?bytes=${wantedBytes}`);
  const answered = answerTo(outgoing);
  outgoing.end();
  const hash = createHash('sha256');
  let sizeBytes = 0;
  for await (const chunk of (await answered) as AsyncIterable<Buffer>) {
    sizeBytes += chunk.length;
    hash.update(chunk);
  }
  return { sizeBytes, hash: hash.digest('hex') };
}

function ask(name: string, method: string, path: string) {
  const { proxyPort: port } = platform.program;
  const headers = { host: `${name}.localhost` };
  return request({ host: '127.0.0.1', port, method, path, headers, agent: false });
}

function answerTo(outgoing: ReturnType<typeof request>): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => outgoing.once('response', resolve).once('error', reject));
}

/** The program's largest resident memory during the work, above what it was before. */
async function watchMemory<T>(
  what: string,
  work: () => Promise<T>,
): Promise<{ result: T; growthBytes: number }> {
  const idleBytes = memoryBytes();
  let peakBytes = idleBytes;
  let samples = 0;
  const sampling = setInterval(() => {
    peakBytes = Math.max(peakBytes, memoryBytes());
    samples += 1;
  }, 10);
  const beganMs = performance.now();
  try {
    const result = await work();
    const tookS = ((performance.now() - beganMs) / 1000).toFixed(1);
    const growth = ((peakBytes - idleBytes) / MIB).toFixed(1);
    console.log(
      `${what} of 200 MB: ${tookS} s, ${(idleBytes / MIB).toFixed(1)} MiB before, at most ${growth} MiB more (${samples} samples)`,
    );
    return { result, growthBytes: peakBytes - idleBytes };
  } finally {
    clearInterval(sampling);
  }
}

function memoryBytes(): number {
  const status = readFileSync(`/proc/${platform.program.pid}/status`, 'utf8');
  return Number(/^VmRSS:\s+(\d+) kB$/m.exec(status)?.[1]) * 1024;
}
