/** A Docker Engine of a few lines at a socket of its own: it answers as a test says, or not at all. */
import { createServer } from 'node:http';
import type { RequestListener } from 'node:http';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

export interface ScriptedDocker {
  readonly socketPath: string;
  connections(): Promise<number>;
  close(): Promise<void>;
}

export async function scriptedDocker(answer: RequestListener): Promise<ScriptedDocker> {
  const folder = await mkdtemp(join(tmpdir(), 'mayfly-docker-'));
  const socketPath = join(folder, 'docker.sock');
  const server = createServer(answer);
  await new Promise<void>((resolve) => server.listen(socketPath, resolve));
  return {
    socketPath,
    connections: () =>
      new Promise((resolve, reject) => {
        server.getConnections((error, count) => (error ? reject(error) : resolve(count)));
      }),
    async close() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
      await rm(folder, { recursive: true });
    },
  };
}
