/**
 * A fixed number of clients who ask one after the other, each over a connection that it keeps, until so many requests have
 * been sent; of every one it is noted when it began, how long it took and which container answered.
 */
import { Agent, request } from 'node:http';

/** What became of the requests, by number, in the order in which they began. */
export interface Visits {
  /** Milliseconds of `performance.now()`. */
  readonly beganMs: Float64Array;
  /** From before it was sent until its last byte. */
  readonly tookMs: Float64Array;
  /** Whoever answered, as an index into `answerers`; FAILED: nobody did. */
  readonly by: Uint8Array;
  /** Host names of the containers, in the order of their first answers. */
  readonly answerers: readonly string[];
  readonly failed: number;
  /** The first few failures in words. */
  readonly failures: readonly string[];
}

export const FAILED = 255;
const FAILURES_TOLD = 5;
/** A client does not wait longer. */
const PATIENCE_MS = 30_000;
/** The host name is within so many bytes. */
const HEAD_BYTES = 8_192;
/** The first line of phpinfo()'s first table is uname(2): system, host name, release … */
const HOSTNAME = /System <\/td><td class="v">\S+ (\S+)/;
const END = '</body></html>';

export interface LoadOptions {
  /** On 127.0.0.1. */
  readonly port: number;
  readonly host: string;
  readonly path: string;
  readonly requests: number;
  readonly clients: number;
  readonly signal: AbortSignal;
}

/** A load that has been prepared; `run` sends it. */
export class Load {
  readonly #options: LoadOptions;
  readonly #agent: Agent;
  readonly #beganMs: Float64Array;
  readonly #tookMs: Float64Array;
  readonly #by: Uint8Array;
  readonly #answerers: string[] = [];
  readonly #failures: string[] = [];
  #begun = 0;
  #failed = 0;

  constructor(options: LoadOptions) {
    const { requests, clients } = options;
    this.#options = options;
    this.#agent = new Agent({ keepAlive: true, maxSockets: clients });
    this.#beganMs = new Float64Array(requests);
    this.#tookMs = new Float64Array(requests);
    this.#by = new Uint8Array(requests).fill(FAILED);
  }

  /** Requests begun so far. */
  get begun(): number {
    return this.#begun;
  }

  /** Calls back once, when half of the requests have begun. Rejects only when the signal is aborted. */
  async run(onHalf: () => void = () => undefined): Promise<Visits> {
    const { requests, clients, signal } = this.#options;
    const half = requests >> 1;
    const client = async () => {
      while (this.#begun < requests) {
        signal.throwIfAborted();
        const number = this.#begun++;
        if (number === half) onHalf();
        await this.#visit(number);
      }
    };
    // Nobody waits for an answer any more once it is aborted.
    const end = () => this.#agent.destroy();
    signal.addEventListener('abort', end, { once: true });
    try {
      await Promise.all(Array.from({ length: clients }, client));
    } finally {
      signal.removeEventListener('abort', end);
      end();
    }
    return {
      beganMs: this.#beganMs,
      tookMs: this.#tookMs,
      by: this.#by,
      answerers: this.#answerers,
      failed: this.#failed,
      failures: this.#failures,
    };
  }

  async #visit(number: number): Promise<void> {
    const beganMs = performance.now();
    this.#beganMs[number] = beganMs;
    try {
      const answerer = await this.#ask();
      const known = this.#answerers.indexOf(answerer);
      this.#by[number] = known >= 0 ? known : this.#answerers.push(answerer) - 1;
    } catch (thrown) {
      this.#failed += 1;
      if (this.#failures.length < FAILURES_TOLD) this.#failures.push(`request ${number}: ${String(thrown)}`);
    }
    this.#tookMs[number] = performance.now() - beganMs;
  }

  /** The host name of the container that answered. Errors: not 200, no connection, an answer that breaks off. */
  #ask(): Promise<string> {
    const { port, host, path } = this.#options;
    return new Promise((resolve, reject) => {
      const options = { host: '127.0.0.1', port, path, headers: { host }, agent: this.#agent };
      const outgoing = request(options, (answer) => {
        let head = '';
        let last = '';
        answer.setEncoding('latin1').on('data', (text: string) => {
          if (head.length < HEAD_BYTES) head += text;
          last = text.length < END.length ? last + text : text;
        });
        answer.once('error', reject);
        answer.once('end', () => {
          const hostname = HOSTNAME.exec(head)?.[1];
          if (answer.statusCode !== 200) reject(new Error(`answered with ${String(answer.statusCode)}`));
          else if (hostname === undefined || !last.trimEnd().endsWith(END))
            reject(new Error('the answer is not all of phpinfo()'));
          else resolve(hostname);
        });
      });
      outgoing.setTimeout(PATIENCE_MS, () => outgoing.destroy(new Error(`no answer in ${PATIENCE_MS} ms`)));
      outgoing.once('error', reject);
      outgoing.end();
    });
  }
}
