/**
 * What an app needs before it can listen, in the hands of a test: every start of a probe that is given the gate's port asks
 * here first, from a container too, and the test lets it go on, fail, or wait.
 */
import { createServer } from 'node:http';
import type { Server, ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

export type Verdict = 'go' | 'fail' | 'wait';

export class StartGate implements AsyncDisposable {
  /** Starts that have asked so far. */
  starts = 0;
  readonly #server: Server;
  readonly #waiting = new Set<ServerResponse>();

  /** `verdict` is given how many starts have asked, this one included, and the probe's GATE_NAME. */
  static async open(verdict: (start: number, name: string) => Verdict): Promise<StartGate> {
    const gate = new StartGate(verdict);
    await new Promise<void>((resolve) => gate.#server.listen(0, '0.0.0.0', resolve));
    return gate;
  }

  private constructor(verdict: (start: number, name: string) => Verdict) {
    this.#server = createServer((request, response) => {
      this.starts += 1;
      const said = verdict(this.starts, request.url?.slice(1) ?? '');
      if (said !== 'wait') {
        response.end(said);
        return;
      }
      this.#waiting.add(response);
      response.on('close', () => this.#waiting.delete(response));
    });
  }

  get waiting(): number {
    return this.#waiting.size;
  }

  /** Those that wait may go on. */
  release(): void {
    for (const response of this.#waiting) response.end('go');
  }

  get env(): { GATE_PORT: string } {
    return { GATE_PORT: String((this.#server.address() as AddressInfo).port) };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }
}
