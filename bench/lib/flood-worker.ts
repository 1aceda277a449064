/** The thread of a flood (flood.ts). It says so when the bounds are reached; told to stop, it lets what is open end, and counts. */
import { Agent, request } from 'node:http';
import { setTimeout as pause } from 'node:timers/promises';
import { parentPort, workerData } from 'node:worker_threads';
import type { FloodOptions } from './flood.ts';

const CONNECTIONS = 300;
/** Before a refused visitor asks again, on average, though it was told to wait longer. */
const RETRY_MS = 100;
const MOST_REQUESTS = 1_000_000;

const { port, host, path } = workerData as FloodOptions;
const agent = new Agent({ keepAlive: true, maxSockets: CONNECTIONS });
const counts = { answered: 0, refused: 0, other: 0 };
let isOver = false;
let isTold = false;

function ask(): Promise<number> {
  return new Promise((resolve) => {
    const outgoing = request({ host: '127.0.0.1', port, path, headers: { host }, agent }, (response) => {
      response.resume();
      response.once('error', () => resolve(0));
      response.once('end', () => resolve(response.statusCode ?? 0));
    });
    outgoing.once('error', () => resolve(0));
    outgoing.end();
  });
}

async function visitor(): Promise<void> {
  while (!isOver && counts.answered + counts.refused + counts.other < MOST_REQUESTS) {
    const status = await ask();
    if (status === 200) counts.answered++;
    else if (status === 503) counts.refused++;
    else counts.other++;
    if (!isTold && counts.answered > 0 && counts.refused > 0) {
      isTold = true;
      parentPort?.postMessage('flooded');
    }
    if (status !== 200) await pause(2 * RETRY_MS * Math.random());
  }
}

parentPort?.once('message', () => (isOver = true));
await Promise.all(Array.from({ length: CONNECTIONS }, visitor));
agent.destroy();
parentPort?.postMessage(counts);
