/**
 * Which port an app gets. The range lies outside the one the kernel takes source ports from, so that no outgoing
 * connection sits on an app's port. Ports go round from a random start: one that was given back is not given out again
 * soon, and two engines on a machine hardly meet.
 */
import { randomInt } from 'node:crypto';
import { createServer } from 'node:net';
import { PlatformError } from '../../errors.ts';

/** Both ends included. */
export interface PortRange {
  readonly from: number;
  readonly to: number;
}

export const DEFAULT_PORT_RANGE: PortRange = { from: 20_000, to: 29_999 };

/** Ports in use by strangers that are passed over before the range is given up. */
const MAX_TRIES = 200;

export class PortPool {
  readonly #range: PortRange;
  readonly #taken = new Set<number>();
  #next: number;

  constructor(range: PortRange) {
    this.#range = range;
    this.#next = randomInt(range.from, range.to + 1);
  }

  /** A port that is neither given out nor in use by anyone on 127.0.0.1. Errors: `no_capacity`. */
  async take(): Promise<number> {
    const { from, to } = this.#range;
    for (let tries = 0; tries < MAX_TRIES && this.#taken.size <= to - from;) {
      const port = this.#next;
      this.#next = port >= to ? from : port + 1;
      if (this.#taken.has(port)) continue;
      tries++;
      this.#taken.add(port); // before the await: two callers never test the same port
      if (await isFree(port)) return port;
      this.#taken.delete(port);
    }
    throw new PlatformError('no_capacity', `no free port between ${from} and ${to}`, {
      hint: 'Give the process engine another port range, or stop what uses these ports.',
    });
  }

  /** Marks a port as given out: a container that was found again has it. */
  reserve(port: number): void {
    this.#taken.add(port);
  }

  release(port: number): void {
    this.#taken.delete(port);
  }
}

function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once('error', () => resolve(false));
    server.listen({ port, host: '127.0.0.1', exclusive: true }, () => server.close(() => resolve(true)));
  });
}
