/** Those who visit an app: each has a connection of its own that it keeps, and every visit is noted, whatever comes of it. */
import { Agent, request } from 'node:http';
import type { Visit } from './windows.ts';

/** A visitor does not wait longer for an answer. */
const PATIENCE_MS = 30_000;

export interface VisitorsOptions {
  readonly port: number;
  readonly host: string;
  readonly path: string;
  readonly signal: AbortSignal;
}

export class Visitors {
  /** In the order of their ends. */
  readonly visits: Visit[] = [];
  /** Epoch ms of the moment that visits count from. */
  readonly beganAtMs = Date.now();
  readonly #options: VisitorsOptions;
  readonly #agent = new Agent({ keepAlive: true });
  readonly #originMs = performance.now();

  constructor(options: VisitorsOptions) {
    this.#options = options;
  }

  /** Milliseconds since the first moment. */
  get nowMs(): number {
    return performance.now() - this.#originMs;
  }

  /** Every visit that was not answered with 200. */
  get failures(): Visit[] {
    return this.visits.filter(({ status }) => status !== 200);
  }

  /** Resolves when it is over, answered or not. Rejects only when the signal is aborted. */
  async visit(): Promise<Visit> {
    const { signal } = this.#options;
    signal.throwIfAborted();
    const beganMs = this.nowMs;
    const answer = await this.#ask().catch((thrown: unknown) => ({ status: 0, by: String(thrown) }));
    signal.throwIfAborted();
    const visit = { beganMs, endedMs: this.nowMs, ...answer };
    this.visits.push(visit);
    return visit;
  }

  close(): void {
    this.#agent.destroy();
  }

  #ask(): Promise<{ status: number; by: string }> {
    const { port, host, path, signal } = this.#options;
    return new Promise((resolve, reject) => {
      const patience = AbortSignal.timeout(PATIENCE_MS);
      const outgoing = request(
        {
          ...{ host: '127.0.0.1', port, path, headers: { host }, agent: this.#agent },
          signal: AbortSignal.any([signal, patience]),
        },
        (response) => {
          let by = '';
          response.setEncoding('utf8').on('data', (text: string) => (by += text));
          response.once('error', reject);
          response.once('end', () => resolve({ status: response.statusCode ?? 0, by }));
        },
      );
      outgoing.once('error', reject);
      outgoing.end();
    });
  }
}
