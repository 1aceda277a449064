/**
 * One container of the process engine: the process that leads it, and whatever that has forked. It is either a child of
 * ours, whose end the kernel tells us, or one that an earlier platform process started, whose end we have to look for.
 *
 * When the leader ends, the container ends: what it left behind is killed, the cgroup goes, and the end is written down.
 */
import type { ChildProcess } from 'node:child_process';
import { constants } from 'node:os';
import { sleep, type Clock } from '../../clock.ts';
import type { Resources } from '../../cmdb/records.ts';
import { PlatformError } from '../../errors.ts';
import type { ContainerStats, EngineContainer, EngineStatus, ExitEvent } from '../engine.ts';
import { untilKernel } from './cgroup-files.ts';
import type { Cgroups } from './cgroups.ts';
import { CONTAINER_VARIABLE } from './launch.ts';
import { LogFile } from './logs.ts';
import { findProcesses, hasInEnvironment, readLive, readMemoryBytes, readStat, sendSignal } from './proc.ts';
import type { ProcessIdentity, ProcessStat } from './proc.ts';
import type { SavedState, StateFolder } from './state-folder.ts';

/** How long a killed process may take to be gone; one that hangs in the kernel takes longer. */
const KILL_TIMEOUT_MS = 5_000;
const MAX_LOOK_INTERVAL_MS = 50;

export interface ManagedProcessOptions {
  readonly state: SavedState & { readonly process: ProcessIdentity };
  /** The process as our child; undefined for one that was found. */
  readonly child: ChildProcess | undefined;
  readonly folder: StateFolder;
  readonly cgroups: Cgroups | undefined;
  readonly clock: Clock;
  /** It ended by itself. */
  readonly onExit: (event: ExitEvent) => void;
}

export class ManagedProcess {
  readonly files: readonly LogFile[];
  readonly #process: ProcessIdentity;
  readonly #child: ChildProcess | undefined;
  readonly #folder: StateFolder;
  readonly #cgroups: Cgroups | undefined;
  readonly #clock: Clock;
  readonly #onExit: (event: ExitEvent) => void;
  readonly #ended = Promise.withResolvers<undefined>();
  #state: SavedState;
  #ending: Promise<void> | undefined;
  /** It is being stopped or removed: its end is no news. */
  #isUnwanted = false;

  constructor({ state, child, folder, cgroups, clock, onExit }: ManagedProcessOptions) {
    this.#state = state;
    this.#process = state.process;
    this.#child = child;
    this.#folder = folder;
    this.#cgroups = cgroups;
    this.#clock = clock;
    this.#onExit = onExit;
    const paths = folder.paths(state.containerId);
    this.files = [new LogFile('stdout', paths.stdout, clock), new LogFile('stderr', paths.stderr, clock)];
    if (state.exit) this.#ended.resolve(undefined);
    child?.once('exit', this.#onChildExit);
  }

  readonly #onChildExit = (code: number | null, signal: NodeJS.Signals | null): void => {
    void this.#end(code ?? 128 + (signal ? constants.signals[signal] : 0));
  };

  get id(): string {
    return this.#state.containerId;
  }

  get port(): number {
    return this.#state.port;
  }

  get hasEnded(): boolean {
    return this.#state.exit !== null;
  }

  /** Notices the end of a process that is not our child. */
  async check(): Promise<void> {
    if (this.#ending) await this.#ending;
    else if (!this.hasEnded && this.#child === undefined && !readLive(this.#process)) await this.#end(null);
  }

  /** The slow look at everything that no signal tells. */
  async patrol(): Promise<void> {
    await this.check();
    // A log that cannot be looked at now (its folder is being removed) is looked at next time, if there is one.
    await Promise.allSettled(this.files.map((file) => file.check()));
  }

  async inspect(): Promise<EngineContainer> {
    await this.check();
    const status = await this.#status();
    const { containerId, appId, revisionId, resources, exit, startedAtMs, port } = this.#state;
    return {
      containerId,
      appId,
      revisionId,
      status,
      address: status === 'exited' ? null : { host: '127.0.0.1', port },
      resources,
      exitCode: exit?.exitCode ?? null,
      outOfMemory: exit?.outOfMemory ?? false,
      startedAtMs,
    };
  }

  async stats(): Promise<ContainerStats> {
    await this.check();
    const atMs = this.#clock.nowMs();
    if (this.#state.exit) return { atMs, cpuMs: this.#state.exit.cpuMs, memoryBytes: 0, pids: 0 };
    return { atMs, ...(await this.#usage()) };
  }

  /** Stops all use of CPU. Errors: `invalid_transition`. */
  async pause(): Promise<void> {
    await this.#mustRun('paused');
    if (this.#cgroups) await this.#cgroups.freeze(this.id);
    else await this.#signalUntil('SIGSTOP', (state) => state === 'T');
  }

  /** Errors: `invalid_transition`. */
  async unpause(): Promise<void> {
    await this.#mustRun('unpaused');
    await this.#thaw();
  }

  /** Errors: `unsupported` without cgroups, `invalid_transition`. */
  async updateResources(resources: Resources): Promise<void> {
    if (!this.#cgroups)
      throw new PlatformError(
        'unsupported',
        'the process engine may not write cgroups here: it sets no limits',
        {
          hint: 'Run Mayfly as a user to whom the cpu, memory and pids controllers are delegated.',
        },
      );
    await this.#mustRun('given other limits');
    try {
      await this.#cgroups.update(this.id, resources);
    } catch (cause) {
      throw new PlatformError('invalid_transition', `the limits of ${this.id} cannot be changed now`, {
        cause,
        hint: 'Memory cannot be taken below what is in use.',
      });
    }
    this.#state = { ...this.#state, resources };
    await this.#folder.write(this.#state);
  }

  async yieldCpu(): Promise<void> {
    if (!this.hasEnded) await this.#cgroups?.yieldCpu(this.id);
  }

  async stop(graceMs: number): Promise<void> {
    if (this.hasEnded) return;
    this.#isUnwanted = true;
    await this.#thaw(); // what is frozen hears no signal
    if (this.#leader()) sendSignal(-this.#process.pid, 'SIGTERM');
    if (!(await this.#endsWithin(graceMs))) await this.kill();
  }

  /** SIGKILL to all of it, again and again until it is gone. */
  async kill(): Promise<void> {
    if (this.hasEnded) return;
    this.#isUnwanted = true;
    await this.#signalAll('SIGKILL');
    await this.#thaw();
    if (!(await this.#endsWithin(KILL_TIMEOUT_MS)))
      throw new PlatformError(
        'engine_unavailable',
        `process ${this.#process.pid} of ${this.id} does not die`,
        {
          hint: 'It hangs in the kernel, on a disk or network file system perhaps; look at its stack in /proc.',
        },
      );
  }

  /** Lets go of it: its end is noticed no more, but one that was noticed is seen through. */
  async release(): Promise<void> {
    this.#child?.off('exit', this.#onChildExit);
    await this.#ending;
  }

  /** Resolves to whether it ended in time. */
  async #endsWithin(timeoutMs: number): Promise<boolean> {
    const untilMs = this.#clock.monotonicMs() + timeoutMs;
    for (let intervalMs = 1; !this.hasEnded; intervalMs = Math.min(intervalMs * 2, MAX_LOOK_INTERVAL_MS)) {
      const leftMs = untilMs - this.#clock.monotonicMs();
      if (leftMs <= 0) return false;
      await this.check();
      // A child's end comes by itself; any other has to be looked for.
      const waitMs = this.#child ? leftMs : Math.min(leftMs, intervalMs);
      const waited = new AbortController();
      await Promise.race([this.#ended.promise, sleep(this.#clock, waitMs, waited.signal).catch(() => {})]);
      waited.abort();
    }
    return true;
  }

  #end(exitCode: number | null): Promise<void> {
    this.#ending ??= this.#finish(exitCode);
    return this.#ending;
  }

  async #finish(exitCode: number | null): Promise<void> {
    let outOfMemory = false;
    let cpuMs = 0;
    try {
      await this.#sweep();
      if (this.#cgroups) {
        outOfMemory = await this.#cgroups.wasOutOfMemory(this.id);
        ({ cpuMs } = this.#cgroups.usage(this.id));
        await this.#cgroups.remove(this.id);
      }
    } catch {
      // Its end is a fact whatever could not be tidied; `remove` and the next open tidy again and say why they cannot.
    }
    this.#state = { ...this.#state, exit: { exitCode, outOfMemory, cpuMs } };
    // Unwritten (a full disk), the next open finds the process gone and comes to the same end.
    await this.#folder.write(this.#state).catch(() => {});
    this.#ended.resolve(undefined);
    if (!this.#isUnwanted) this.#onExit({ containerId: this.id, exitCode, outOfMemory });
  }

  /** Kills what the leader left behind. */
  async #sweep(): Promise<void> {
    const untilMs = this.#clock.monotonicMs() + KILL_TIMEOUT_MS;
    for (;;) {
      const left = await this.#members();
      if (left.length === 0 || this.#clock.monotonicMs() > untilMs) return;
      for (const pid of left) sendSignal(pid, 'SIGKILL');
      await this.#cgroups?.thaw(this.id);
      await sleep(this.#clock, 2);
    }
  }

  async #mustRun(wanted: string): Promise<void> {
    await this.check();
    if (this.hasEnded)
      throw new PlatformError('invalid_transition', `${this.id} has ended and cannot be ${wanted}`);
  }

  async #status(): Promise<EngineStatus> {
    if (this.hasEnded) return 'exited';
    const isPaused = this.#cgroups ? await this.#cgroups.isFrozen(this.id) : this.#leader()?.state === 'T';
    return isPaused ? 'paused' : 'running';
  }

  async #thaw(): Promise<void> {
    if (this.#cgroups) await this.#cgroups.thaw(this.id);
    else await this.#signalUntil('SIGCONT', (state) => state !== 'T');
  }

  /** A process takes such a signal in its own time, and may have forked meanwhile. */
  async #signalUntil(signal: NodeJS.Signals, isDone: (state: string) => boolean): Promise<void> {
    await untilKernel(`${signal} to ${this.id}`, async () => {
      const waiting = (await this.#members()).filter((pid) => {
        const state = readStat(pid)?.state;
        return state !== undefined && !isDone(state);
      });
      for (const pid of waiting) sendSignal(pid, signal);
      return waiting.length === 0;
    });
  }

  async #signalAll(signal: NodeJS.Signals): Promise<void> {
    for (const pid of await this.#members()) sendSignal(pid, signal);
  }

  /** The leading process, if it is alive. */
  #leader(): ProcessStat | undefined {
    return readLive(this.#process);
  }

  /**
   * Every process of the container. A cgroup knows them all. Without one they are those in the leader's session, and
   * those that left it but carry the container's id in their environment; one that left and cleared that is not found.
   */
  async #members(): Promise<number[]> {
    if (this.#cgroups) return this.#cgroups.members(this.id);
    const mark = `${CONTAINER_VARIABLE}=${this.id}`;
    // A session's number is its leader's pid: it proves something only while the leader is known to be ours.
    const isSessionOurs = this.#child !== undefined || this.#leader() !== undefined;
    const found = await findProcesses(
      ({ pid, sessionId, startTicks }) =>
        startTicks >= this.#process.startTicks &&
        ((isSessionOurs && sessionId === this.#process.pid) || hasInEnvironment(pid, mark)),
    );
    return found.map(({ pid }) => pid);
  }

  async #usage(): Promise<Omit<ContainerStats, 'atMs'>> {
    if (this.#cgroups) return this.#cgroups.usage(this.id);
    let cpuMs = 0;
    let memoryBytes = 0;
    const pids = await this.#members();
    for (const pid of pids) {
      cpuMs += readStat(pid)?.cpuMs ?? 0;
      memoryBytes += readMemoryBytes(pid);
    }
    return { cpuMs, memoryBytes, pids: pids.length };
  }
}
