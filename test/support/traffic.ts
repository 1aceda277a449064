/** Visitors who never stop asking, over connections that they keep: what is changed under them must not show. */
import { Agent, request } from 'node:http';
import { setTimeout as pause } from 'node:timers/promises';
import type { Who } from './platform.ts';
import { until } from './until.ts';

const VISITORS = 4;
/** Between two requests of one visitor. */
const PACE_MS = 5;
const MAX_REQUESTS = 50_000;

export interface Visit extends Who {
  /** Its number among the visits that were begun. */
  readonly begun: number;
  readonly status: number;
}

export class Traffic implements AsyncDisposable {
  /** In the order of their ends. */
  readonly visits: Visit[] = [];
  /** What was not answered by the app with 200, in words. */
  readonly failures: string[] = [];
  readonly #agent = new Agent({ keepAlive: true, maxSockets: VISITORS });
  readonly #visitors: Promise<unknown>;
  #begun = 0;
  #over = false;

  /** Visits `http://127.0.0.1:port/` with this Host until it is disposed of. */
  constructor(port: number, host: string) {
    this.#visitors = Promise.all(Array.from({ length: VISITORS }, () => this.#visitor(port, host)));
  }

  get begun(): number {
    return this.#begun;
  }

  /** The containers that answered, by the probe's own id, in the order of their first answers. */
  get answeredBy(): string[] {
    return [...new Set(this.visits.map(({ id }) => id))];
  }

  /** Waits for so many further visits. */
  async further(visits: number): Promise<void> {
    const wanted = this.visits.length + visits;
    await until(`${visits} further visits`, () => this.failures.length > 0 || this.visits.length >= wanted);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#over = true;
    await this.#visitors;
    this.#agent.destroy();
  }

  async #visitor(port: number, host: string): Promise<void> {
    while (!this.#over && this.#begun < MAX_REQUESTS) {
      const begun = (this.#begun += 1);
      try {
        const { status, body } = await this.#ask(port, host);
        if (status === 200) this.visits.push({ begun, status, ...(JSON.parse(body) as Who) });
        else this.failures.push(`${status} ${body}`);
      } catch (error) {
        this.failures.push(String(error));
      }
      await pause(PACE_MS);
    }
  }

  #ask(port: number, host: string): Promise<{ status: number; body: string }> {
    return new Promise((resolve, reject) => {
      const options = { host: '127.0.0.1', port, headers: { host }, agent: this.#agent };
      const outgoing = request(options, (response) => {
        let body = '';
        response.setEncoding('utf8').on('data', (text: string) => (body += text));
        response.on('error', reject);
        response.on('end', () => resolve({ status: response.statusCode ?? 0, body }));
      });
      outgoing.on('error', reject).end();
    });
  }
}
