/** An app that is too busy to accept connections, and its backlog is full: one more is neither accepted nor refused. */
import { once } from 'node:events';
import { connect } from 'node:net';
import { Worker } from 'node:worker_threads';

/** The kernel keeps one connection more than it is told. */
const BACKLOG = 1;

/** A thread that listens and never gets back to its event loop. */
const LISTENS = `
  const { createServer } = require('node:net');
  const { parentPort } = require('node:worker_threads');
  const server = createServer();
  server.listen({ port: 0, host: '127.0.0.1', backlog: ${BACKLOG} }, () => {
    parentPort.postMessage(server.address().port);
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0);
  });
`;

export interface FullBacklog extends AsyncDisposable {
  readonly host: string;
  readonly port: number;
}

export async function fullBacklog(): Promise<FullBacklog> {
  const app = new Worker(LISTENS, { eval: true });
  const [port] = (await once(app, 'message')) as [number];
  const address = { host: '127.0.0.1', port };
  const waiting = Array.from({ length: BACKLOG + 1 }, () => connect(address).on('error', () => undefined));
  await Promise.all(waiting.map((socket) => once(socket, 'connect')));
  return {
    ...address,
    async [Symbol.asyncDispose]() {
      for (const socket of waiting) socket.destroy();
      await app.terminate();
    },
  };
}
