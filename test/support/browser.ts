/** Chromium with a profile of its own, as a visitor has it; the test can ask what its page looks like. */
import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { programPath } from './programs.ts';
import { until } from './until.ts';

/** On a busy machine a browser takes seconds to come up. */
const PATIENCE_MS = 45_000;

export class Browser implements AsyncDisposable {
  readonly #process: ChildProcess;
  readonly #profile: string;
  readonly #ended: Promise<unknown>;

  /**
   * Opens the page; every name below `.test` is this machine. Whoever calls has looked whether there is a Chromium
   * (`whyNoProgram`).
   */
  static async open(url: string): Promise<Browser> {
    const profile = await mkdtemp(join(tmpdir(), 'mayfly-chromium-'));
    const child = spawn(
      programPath('chromium') ?? '',
      [
        ...['--headless=new', '--no-sandbox', '--disable-gpu', '--disable-dev-shm-usage', '--no-first-run'],
        ...[
          '--disable-background-networking',
          '--disable-component-update',
          '--disable-sync',
          '--no-proxy-server',
        ],
        ...['--ignore-certificate-errors', '--host-resolver-rules=MAP *.test 127.0.0.1'],
        ...['--remote-debugging-port=0', `--user-data-dir=${profile}`, url],
      ],
      { stdio: 'ignore', detached: true },
    );
    return new Browser(child, profile);
  }

  private constructor(child: ChildProcess, profile: string) {
    this.#process = child;
    this.#profile = profile;
    this.#ended = once(child, 'exit');
  }

  /** Waits until `look` finds something. */
  until<T>(what: string, look: () => T | Promise<T>): Promise<NonNullable<T>> {
    return until(
      what,
      () => {
        if (this.#process.exitCode !== null)
          throw new Error(`the browser ended with ${this.#process.exitCode}`);
        return look();
      },
      PATIENCE_MS,
    );
  }

  /** What an expression of JavaScript is on the page at this moment; undefined while there is no page to ask. */
  async evaluate(expression: string): Promise<unknown> {
    // The file is there, empty, before Chromium has written its port and its path into it.
    const file = await readFile(join(this.#profile, 'DevToolsActivePort'), 'utf8').catch(() => '');
    const port = /^(\d+)\n\/devtools/.exec(file)?.[1];
    if (port === undefined) return undefined;
    const list = await fetch(`http://127.0.0.1:${port}/json/list`);
    const pages = (await list.json()) as { type: string; webSocketDebuggerUrl: string }[];
    const page = pages.find(({ type }) => type === 'page');
    if (page === undefined) return undefined;
    const socket = new WebSocket(page.webSocketDebuggerUrl);
    try {
      await once(socket, 'open');
      const answered = once(socket, 'message');
      socket.send(JSON.stringify({ id: 1, method: 'Runtime.evaluate', params: { expression } }));
      const [message] = (await answered) as [{ readonly data: string }];
      const { result } = JSON.parse(message.data) as { result?: { result?: { value?: unknown } } };
      return result?.result?.value;
    } finally {
      socket.close();
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    // With all its processes: it leads a group of its own.
    const { exitCode, pid } = this.#process;
    if (exitCode === null && pid !== undefined) process.kill(-pid, 'SIGKILL');
    await this.#ended;
    await until('the profile to be removed', () =>
      rm(this.#profile, { recursive: true, force: true }).then(
        () => true,
        () => false,
      ),
    );
  }
}
