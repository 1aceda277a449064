/**
 * A second socket to the Docker Engine that a test can cut: to the driver the engine is then away, while other tests go on
 * using it. It can be slow as well, and refuse.
 */
import { once } from 'node:events';
import { createServer, connect } from 'node:net';
import type { Server, Socket } from 'node:net';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DOCKER_SOCKET } from './docker.ts';

/** Requests that are kept from the engine. */
export interface Held {
  /** First lines of those that came so far. */
  readonly lines: readonly string[];
  /**
   * They go to the engine now, which does what they say whether or not somebody waits for its answer still. Resolves when it
   * has answered them all.
   */
  release(): Promise<void>;
}

export class DockerRelay {
  readonly socketPath: string;
  readonly #folder: string;
  readonly #sockets = new Set<Socket>();
  #server: Server | undefined;
  #cutAt: { requestLine: RegExp; done: () => void } | undefined;
  #holding: { requestLine: RegExp; lines: string[]; passing: (() => Promise<void>)[] } | undefined;
  #refusing: { requestLine: RegExp; status: number; lines: string[] } | undefined;

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

  /** Requests whose first line matches wait on their way, as in front of an engine that is stopped or very slow. */
  hold(requestLine: RegExp): Held {
    const holding = { requestLine, lines: [] as string[], passing: [] as (() => Promise<void>)[] };
    this.#holding = holding;
    return {
      lines: holding.lines,
      release: async () => {
        if (this.#holding === holding) this.#holding = undefined;
        await Promise.all(holding.passing.splice(0).map((pass) => pass()));
      },
    };
  }

  /** Requests without a body whose first line matches are answered with that status instead. Returns how many were, line by line. */
  refuse(requestLine: RegExp, status = 500): readonly string[] {
    const lines: string[] = [];
    this.#refusing = { requestLine, status, lines };
    return lines;
  }

  /** All requests reach the engine again. */
  allow(): void {
    this.#refusing = undefined;
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
    /** What has come since a request was held; undefined where none is. */
    let held: Buffer[] | undefined;
    for (const [from, to] of [
      [near, far],
      [far, near],
    ] as const) {
      this.#sockets.add(from);
      from.on('error', () => {}); // its close follows
      from.once('close', () => {
        this.#sockets.delete(from);
        if (from === far || !held) to.destroy();
      });
    }
    // Not piped: what the engine answers is read whether or not somebody waits for it still.
    far.on('data', (chunk) => {
      if (near.writable) near.write(chunk);
    });
    const pass = async () => {
      const answered = once(far, 'data');
      far.write(Buffer.concat(held ?? []));
      await answered;
      held = undefined;
      if (near.destroyed) far.destroy();
    };
    near.on('data', (chunk: Buffer) => {
      if (held) {
        held.push(chunk);
        return;
      }
      // Requests are small and sent one after the other: a chunk begins with its first line.
      const [line = ''] = chunk.toString('latin1').split('\r\n', 1);
      if (this.#holding?.requestLine.test(line)) {
        held = [chunk];
        this.#holding.lines.push(line);
        this.#holding.passing.push(pass);
        return;
      }
      if (this.#refusing?.requestLine.test(line)) {
        this.#refusing.lines.push(line);
        near.write(refusal(this.#refusing.status));
        return;
      }
      far.write(chunk, () => {
        const { requestLine, done } = this.#cutAt ?? {};
        if (!done || !requestLine?.test(line)) return;
        this.#cutAt = undefined;
        void this.cut().then(done);
      });
    });
  }
}

function refusal(status: number): string {
  const body = JSON.stringify({ message: 'the test says no' });
  return `HTTP/1.1 ${status} No\r\nContent-Type: application/json\r\nContent-Length: ${body.length}\r\n\r\n${body}`;
}
