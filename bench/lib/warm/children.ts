/**
 * The programs that a benchmark starts. Each has a session of its own, so that Ctrl-C reaches this program alone, which
 * then ends them in order and waits until they are gone. They write to a file: nobody has to read along.
 */
import { spawn, type ChildProcess } from 'node:child_process';
import { closeSync, openSync, readFileSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import { sendSignal } from '../../../src/compute/process/proc.ts';
import { until } from '../../../test/support/until.ts';
import { processTree } from './process-tree.ts';

export interface StartOptions {
  /** For messages and for the name of its log file. */
  readonly name: string;
  readonly command: string;
  readonly args: readonly string[];
  readonly core: number;
  readonly env?: Readonly<Record<string, string>>;
  /** It is ready when this port of 127.0.0.1 accepts connections. */
  readonly port: number;
  /** How long it may take to end when told to. 5,000 unless told. */
  readonly stopMs?: number;
}

export interface Child {
  readonly name: string;
  readonly pid: number;
  /** SIGTERM, and SIGKILL to it and its descendants when that does not help. Calling it again waits for the same end. */
  stop(): Promise<void>;
}

const READY_MS = 20_000;
const STOP_MS = 5_000;

export class Children {
  readonly #folder: string;
  readonly #signal: AbortSignal;
  readonly #running = new Set<Child>();
  #isClosed = false;

  /** `folder` takes the log files; `signal` ends the waiting for a child to become ready. */
  constructor(folder: string, signal: AbortSignal) {
    this.#folder = folder;
    this.#signal = signal;
  }

  /** Resolves when its port accepts. Errors: it ended before, with what it wrote; or it takes more than 20 s. */
  async start(options: StartOptions): Promise<Child> {
    this.#signal.throwIfAborted();
    if (this.#isClosed) throw new Error(`${options.name} is not started any more`);
    const { name, command, args, core, env, port, stopMs = STOP_MS } = options;
    const logPath = join(this.#folder, `${name.replaceAll(/\W+/g, '-')}.log`);
    const log = openSync(logPath, 'a');
    let child: ChildProcess;
    try {
      child = spawn('taskset', ['-c', String(core), command, ...args], {
        cwd: this.#folder,
        detached: true,
        stdio: ['ignore', log, log],
        env: { ...process.env, ...env },
      });
    } finally {
      closeSync(log);
    }
    let failure: Error | undefined;
    child.once('error', (error) => (failure = error));
    let stopping: Promise<void> | undefined;
    const running: Child = {
      name,
      pid: child.pid ?? 0,
      stop: () => (stopping ??= end(child, stopMs).finally(() => this.#running.delete(running))),
    };
    this.#running.add(running);
    await until(
      `${name} to accept connections`,
      async () => {
        this.#signal.throwIfAborted();
        if (failure !== undefined) throw new Error(`${name}: ${failure.message}`, { cause: failure });
        if (hasEnded(child))
          throw new Error(
            `${name} ended with ${child.exitCode ?? child.signalCode}:\n${readFileSync(logPath, 'utf8')}`,
          );
        return accepts(port);
      },
      READY_MS,
    );
    return running;
  }

  /** Ends all of them for good: no other can be started afterwards. */
  async close(): Promise<void> {
    this.#isClosed = true;
    await this.stopAll();
  }

  /** Ends all of them, the last started first. */
  async stopAll(): Promise<void> {
    for (const child of [...this.#running].reverse()) await child.stop();
  }
}

/** Whether a connection to this port comes about. */
export function accepts(port: number, host = '127.0.0.1'): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, host, () => resolve(true));
    socket.once('error', () => resolve(false));
    socket.once('connect', () => socket.destroy());
  });
}

function hasEnded(child: ChildProcess): boolean {
  return child.pid === undefined || child.exitCode !== null || child.signalCode !== null;
}

async function end(child: ChildProcess, stopMs: number): Promise<void> {
  if (hasEnded(child)) return;
  child.kill('SIGTERM');
  try {
    await until(`process ${child.pid ?? 0} to end`, () => hasEnded(child), stopMs);
  } catch {
    // Its own children first: without their parent nobody would know them.
    for (const pid of processTree(child.pid ?? 0).reverse()) sendSignal(pid, 'SIGKILL');
    await until(`process ${child.pid ?? 0} to die`, () => hasEnded(child));
  }
}
