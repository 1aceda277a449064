/**
 * A second socket to the Docker Engine that a test can cut: to the driver the engine is then away, while other tests go on
 * using it.
 */
import { createServer, connect } from 'node:net';
import type { Server, Socket } from 'node:net';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DOCKER_SOCKET } from './docker.ts';

export class DockerRelay {
  readonly socketPath: string;
  readonly #folder: string;
  readonly #sockets = new Set<Socket>();
  #server: Server | undefined;
  #cutAt: { requestLine: RegExp; done: () => void } | undefined;

  private constructor(folder: string) {
    this.#folder = folder;
    this.socketPath = join(folder, 'docker.sock');
  }

  static async open(): Promise<DockerRelay> {
    const relay = new DockerRelay(await mkdtemp(join(tmpdir(), 'mayfly-relay-')));
    await relay.mend();
    return relay;
  }

  /** The engine goes away: connections break, new ones are refused. */
  async cut(): Promise<void> {
    const server = this.#server;
    this.#server = undefined;
    for (const socket of this.#sockets) socket.destroy();
    if (server) await new Promise((resolve) => server.close(resolve));
  }

  /** The engine goes away the moment it has been sent a request whose first line matches. Resolves when it has. */
  cutAt(requestLine: RegExp): Promise<void> {
    return new Promise((resolve) => (this.#cutAt = { requestLine, done: resolve }));
  }

  /** The engine is back. */
  async mend(): Promise<void> {
    const server = createServer((near) => this.#relay(near));
    this.#server = server;
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject).listen(this.socketPath, resolve);
    });
  }

  async close(): Promise<void> {
    await this.cut();
    await rm(this.#folder, { recursive: true, force: true });
  }

  #relay(near: Socket): void {
    const far = connect(DOCKER_SOCKET);
    for (const [from, to] of [
      [near, far],
      [far, near],
    ] as const) {
      this.#sockets.add(from);
      from.on('error', () => {}); // its close follows
      from.once('close', () => {
        this.#sockets.delete(from);
        to.destroy();
      });
    }
    far.pipe(near);
    near.on('data', (chunk) => {
      // Requests are small and sent one after the other: a chunk begins with its first line.
      const [line = ''] = chunk.toString('latin1').split('\r\n', 1);
      far.write(chunk, () => {
        const { requestLine, done } = this.#cutAt ?? {};
        if (!done || !requestLine?.test(line)) return;
        this.#cutAt = undefined;
        void this.cut().then(done);
      });
    });
  }
}
