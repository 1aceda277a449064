/**
 * What every engine driver has to keep, in one suite. A driver supplies a harness that knows how to open it, what to run
 * on it, and how to see from outside (processes, containers, cgroups, folders) whether anything of it is left.
 *
 * Every test opens engines of its own and ends with nothing left: that is asserted after each of them, so a driver that
 * leaks fails the very test that made it leak.
 */
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import type { Address, Resources } from '../../src/cmdb/records.ts';
import type { Engine, ExitEvent, LogLine, LogOptions, StartSpec } from '../../src/compute/engine.ts';

/** What a workload does. The harness turns it into an image or a command. */
export type Behaviour =
  /** Listens on its port and goes on. */
  | { readonly kind: 'listens' }
  /** Ends at once, by itself. */
  | { readonly kind: 'exits'; readonly code: number }
  /** Ignores SIGTERM, then prints `ready` and goes on. */
  | { readonly kind: 'ignoresSigterm' }
  /** Prints these lines (the order within a stream is kept), then goes on or ends with code 0. */
  | {
      readonly kind: 'prints';
      readonly stdout: readonly string[];
      readonly stderr: readonly string[];
      readonly then: 'stays' | 'exits';
    }
  /** Prints the value of the variable `GREETING` and goes on. */
  | { readonly kind: 'greets' }
  /** Uses CPU all the time. */
  | { readonly kind: 'burns' }
  /** Leaves a child behind in a session of its own (double fork), prints `escaped` when it is there, and goes on. */
  | { readonly kind: 'escapes' }
  /** Its command does not exist; the command's name is `no-such-command`. */
  | { readonly kind: 'missing' };

export interface EngineHarness {
  /**
   * Opens an engine for the node (one node unless told) and prepares it. Opened a second time it finds what the first left
   * running, as the platform's next process would.
   */
  open(nodeId?: string): Promise<Engine>;
  /** A start of such a workload, with fresh ids and modest limits. */
  spec(behaviour: Behaviour): StartSpec;
  /** Waits until the condition holds, in the time the engine lives in. */
  until<T>(what: string, condition: () => T | Promise<T>): Promise<NonNullable<T>>;
  /** Whether something accepts connections there. */
  reachable(address: Address): Promise<boolean>;
  /** Kills the container's main process from outside with SIGKILL, behind the engine's back. */
  kill(containerId: string): Promise<void>;
  /** The limits as the kernel (or what stands for it) holds them. Asked only where the engine has limits. */
  limits(containerId: string): Promise<Resources>;
  /** What it gets of a CPU that others want as well, in proportion to them. Asked only where the engine has limits. */
  cpuWeight(containerId: string): Promise<number>;
  /** Whether others go first, as the kernel holds it. Asked only where the engine has limits. */
  yields(containerId: string): Promise<boolean>;
  /** Whatever is left of all that this harness's engines made: processes, containers, cgroups, files. One line each. */
  left(): Promise<string[]>;
  close(): Promise<void>;
}

const never = () => new AbortController().signal;

export function engineContract(name: string, makeHarness: () => Promise<EngineHarness>): void {
  describe(`an engine: ${name}`, () => {
    let harness: EngineHarness;
    const opened: Engine[] = [];

    async function open(nodeId?: string): Promise<Engine> {
      const engine = await harness.open(nodeId);
      opened.push(engine);
      return engine;
    }

    /** As the end of the platform's process does; the engine is not used any more. */
    async function close(engine: Engine): Promise<void> {
      opened.splice(opened.indexOf(engine), 1);
      await engine.close();
    }

    async function start(engine: Engine, behaviour: Behaviour) {
      const spec = harness.spec(behaviour);
      const started = await engine.start(spec, never());
      return { ...started, spec, id: spec.containerId };
    }

    async function collect(
      engine: Engine,
      id: string,
      options: Partial<LogOptions> = {},
    ): Promise<LogLine[]> {
      const lines: LogLine[] = [];
      for await (const line of engine.logs(id, {
        follow: false,
        tailLines: 10_000,
        signal: never(),
        ...options,
      }))
        lines.push(line);
      return lines;
    }

    const texts = (lines: readonly LogLine[], stream: LogLine['stream'] = 'stdout') =>
      lines.filter((line) => line.stream === stream).map((line) => line.text);

    const printed = (engine: Engine, id: string, text: string) =>
      harness.until(`${id} to print ${text}`, async () => texts(await collect(engine, id)).includes(text));

    const exited = (engine: Engine, id: string) =>
      harness.until(`${id} to end`, async () => (await engine.inspect(id))?.status === 'exited');

    beforeAll(async () => {
      harness = await makeHarness();
    });

    afterEach(async () => {
      try {
        for (const engine of opened)
          for (const container of await engine.listOwn()) await engine.remove(container.containerId);
      } finally {
        await Promise.all(opened.splice(0).map((engine) => engine.close()));
      }
      await harness
        .until('nothing to be left', async () => (await harness.left()).length === 0)
        .catch(() => {});
      expect(await harness.left()).toEqual([]);
    });

    afterAll(async () => {
      await harness.close();
    });

    describe('start', () => {
      it('runs a workload that can then be reached at the address it returns', async () => {
        const engine = await open();
        const { address, createMs, startMs } = await start(engine, { kind: 'listens' });
        await harness.until('it to listen', () => harness.reachable(address));
        expect(createMs).toBeGreaterThanOrEqual(0);
        expect(startMs).toBeGreaterThanOrEqual(0);
      });

      it('lets the container be inspected: whose it is, where it is, what it may use', async () => {
        const engine = await open();
        const { id, spec, address } = await start(engine, { kind: 'listens' });
        const container = await engine.inspect(id);
        expect(container).toMatchObject({
          containerId: id,
          appId: spec.appId,
          revisionId: spec.revisionId,
          status: 'running',
          address,
          resources: spec.resources,
          exitCode: null,
          outOfMemory: false,
        });
        expect(container?.startedAtMs).toBeGreaterThan(0);
        expect(await engine.listOwn()).toEqual([container]);
      });

      it('gives the workload its environment', async () => {
        const engine = await open();
        const spec = harness.spec({ kind: 'greets' });
        const greeting = `grüße, "you" & $HOME `;
        await engine.start({ ...spec, env: { ...spec.env, GREETING: greeting } }, never());
        await printed(engine, spec.containerId, greeting);
      });

      it('puts the limits in force, or says that it has none', async () => {
        const engine = await open();
        const { id, spec, address } = await start(engine, { kind: 'listens' });
        if (engine.capabilities.limits) expect(await harness.limits(id)).toEqual(spec.resources);
        else {
          expect(engine.capabilities.liveUpdate).toBe(false);
          await harness.until('it to listen', () => harness.reachable(address));
        }
      });

      it('of a command that does not exist is start_failed, names it, and leaves nothing', async () => {
        const engine = await open();
        const spec = harness.spec({ kind: 'missing' });
        await expect(engine.start(spec, never())).rejects.toMatchObject({
          code: 'start_failed',
          message: expect.stringContaining('no-such-command') as string,
        });
        expect(await engine.inspect(spec.containerId)).toBeUndefined();
        expect(await engine.listOwn()).toEqual([]);
      });

      it('of a workload of either kind works, or is unsupported as declared', async () => {
        const engine = await open();
        const spec = harness.spec({ kind: 'listens' });
        const other: StartSpec['workload'] =
          spec.workload.type === 'command'
            ? { type: 'image', image: 'some/image', digest: `sha256:${'0'.repeat(64)}`, command: null }
            : { type: 'command', command: ['true'], cwd: '/' };
        const starting = engine.start({ ...spec, workload: other }, never());
        if (engine.capabilities.workloads.includes(other.type)) {
          await starting;
          expect((await engine.listOwn()).length).toBe(1);
        } else {
          await expect(starting).rejects.toMatchObject({ code: 'unsupported' });
          expect(await engine.listOwn()).toEqual([]);
        }
      });

      it('under an id that is taken is refused, and the container that has it runs on', async () => {
        const engine = await open();
        const { id, spec, address } = await start(engine, { kind: 'listens' });
        await expect(engine.start(spec, never())).rejects.toMatchObject({ code: 'start_failed' });
        expect(await engine.inspect(id)).toMatchObject({ status: 'running', address });
        await harness.until('it to listen', () => harness.reachable(address));
      });

      it('that is given up leaves nothing', async () => {
        const engine = await open();
        const before = harness.spec({ kind: 'listens' });
        await expect(engine.start(before, AbortSignal.abort())).rejects.toThrow();
        const during = harness.spec({ kind: 'listens' });
        const giveUp = new AbortController();
        const starting = engine.start(during, giveUp.signal);
        giveUp.abort();
        await expect(starting).rejects.toThrow();
        expect(await engine.listOwn()).toEqual([]);
      });

      it('of many at once gives each an address of its own', async () => {
        const engine = await open();
        const all = await Promise.all(Array.from({ length: 8 }, () => start(engine, { kind: 'listens' })));
        expect(new Set(all.map(({ address }) => `${address.host}:${address.port}`)).size).toBe(8);
        for (const { address } of all)
          await harness.until('each to listen', () => harness.reachable(address));
        expect((await engine.listOwn()).map(({ containerId }) => containerId).sort()).toEqual(
          all.map(({ id }) => id).sort(),
        );
        await Promise.all(all.map(({ id }) => engine.remove(id)));
        expect(await engine.listOwn()).toEqual([]);
      });
    });

    describe('stop', () => {
      it('ends the container; it stays known as exited, and is no longer reached', async () => {
        const engine = await open();
        const { id, address } = await start(engine, { kind: 'listens' });
        await harness.until('it to listen', () => harness.reachable(address));
        await engine.stop(id, 1_000);
        expect(await engine.inspect(id)).toMatchObject({ status: 'exited', address: null });
        expect(await harness.reachable(address)).toBe(false);
      });

      it('kills what ignores SIGTERM once the grace is over', async () => {
        const engine = await open();
        const { id } = await start(engine, { kind: 'ignoresSigterm' });
        await printed(engine, id, 'ready');
        await engine.stop(id, 200);
        expect(await engine.inspect(id)).toMatchObject({ status: 'exited', exitCode: 137 });
      });

      it('ends children that left the process group and the session', async () => {
        const engine = await open();
        const { id } = await start(engine, { kind: 'escapes' });
        await printed(engine, id, 'escaped');
        await engine.stop(id, 200);
        // That the child is gone is what `left` finds once the container is removed.
        expect(await engine.inspect(id)).toMatchObject({ status: 'exited' });
      });

      it('is idempotent, alone and at once, and takes an id that nobody knows', async () => {
        const engine = await open();
        const { id } = await start(engine, { kind: 'listens' });
        await Promise.all([engine.stop(id, 500), engine.stop(id, 500)]);
        await engine.stop(id, 500);
        await engine.stop('ctr_unknown', 500);
        expect(await engine.inspect(id)).toMatchObject({ status: 'exited' });
      });

      it('is not reported as an exit: the container did not end by itself', async () => {
        const engine = await open();
        const exits: ExitEvent[] = [];
        engine.onExit((event) => exits.push(event));
        const stopped = await start(engine, { kind: 'listens' });
        await engine.stop(stopped.id, 500);
        // A later exit of another container is the sign that all earlier events have been delivered.
        const other = await start(engine, { kind: 'exits', code: 3 });
        await harness.until('the exit', () => exits.some(({ containerId }) => containerId === other.id));
        expect(exits.map(({ containerId }) => containerId)).toEqual([other.id]);
      });
    });

    describe('remove', () => {
      it('kills what runs, forgets it, and is idempotent', async () => {
        const engine = await open();
        const { id, address } = await start(engine, { kind: 'listens' });
        await Promise.all([engine.remove(id), engine.remove(id)]);
        await engine.remove(id);
        await engine.remove('ctr_unknown');
        expect(await engine.inspect(id)).toBeUndefined();
        expect(await engine.listOwn()).toEqual([]);
        expect(await harness.reachable(address)).toBe(false);
      });

      it('comes through beside a stop that is still waiting for its grace', async () => {
        const engine = await open();
        const { id } = await start(engine, { kind: 'ignoresSigterm' });
        await printed(engine, id, 'ready');
        await Promise.all([engine.stop(id, 1_000), engine.remove(id)]);
        expect(await engine.inspect(id)).toBeUndefined();
      });

      it('makes the id free again', async () => {
        const engine = await open();
        const { id, spec } = await start(engine, { kind: 'listens' });
        await engine.remove(id);
        const { address } = await engine.start(spec, never());
        await harness.until('it to listen again', () => harness.reachable(address));
      });
    });

    describe('pause', () => {
      it('stops all use of CPU until unpause, which lets it go on', async () => {
        const engine = await open();
        const cpuMs = async (id: string) => (await engine.stats(id)).cpuMs;
        const paused = await start(engine, { kind: 'burns' });
        const other = await start(engine, { kind: 'burns' });
        for (const { id } of [paused, other])
          await harness.until('it to use CPU', async () => (await cpuMs(id)) > 20);

        await engine.pause(paused.id);
        const whenPausedMs = await cpuMs(paused.id);
        const otherMs = await cpuMs(other.id);
        await harness.until('the other one to go on', async () => (await cpuMs(other.id)) > otherMs + 100);
        expect(await cpuMs(paused.id)).toBeLessThanOrEqual(whenPausedMs);
        expect(await engine.inspect(paused.id)).toMatchObject({ status: 'paused', address: paused.address });

        await engine.unpause(paused.id);
        expect(await engine.inspect(paused.id)).toMatchObject({ status: 'running' });
        await harness.until('it to go on', async () => (await cpuMs(paused.id)) > whenPausedMs + 20);
      });

      it('and unpause are idempotent', async () => {
        const engine = await open();
        const { id } = await start(engine, { kind: 'listens' });
        await engine.unpause(id);
        expect(await engine.inspect(id)).toMatchObject({ status: 'running' });
        await engine.pause(id);
        await engine.pause(id);
        expect(await engine.inspect(id)).toMatchObject({ status: 'paused' });
        await engine.unpause(id);
        await engine.unpause(id);
        expect(await engine.inspect(id)).toMatchObject({ status: 'running' });
      });

      it('of what has ended is an invalid_transition, of what does not exist not_found', async () => {
        const engine = await open();
        const { id } = await start(engine, { kind: 'listens' });
        await engine.stop(id, 500);
        await expect(engine.pause(id)).rejects.toMatchObject({ code: 'invalid_transition' });
        await expect(engine.unpause(id)).rejects.toMatchObject({ code: 'invalid_transition' });
        await expect(engine.pause('ctr_unknown')).rejects.toMatchObject({ code: 'not_found' });
        await expect(engine.unpause('ctr_unknown')).rejects.toMatchObject({ code: 'not_found' });
      });

      it('does not keep a container from being stopped, or removed', async () => {
        const engine = await open();
        const stopped = await start(engine, { kind: 'listens' });
        const removed = await start(engine, { kind: 'ignoresSigterm' });
        await engine.pause(stopped.id);
        await engine.pause(removed.id);
        await engine.stop(stopped.id, 500);
        await engine.remove(removed.id);
        expect(await engine.inspect(stopped.id)).toMatchObject({ status: 'exited' });
        expect(await engine.inspect(removed.id)).toBeUndefined();
      });
    });

    describe('updateResources', () => {
      it('changes the limits of a running container, or is unsupported', async () => {
        const engine = await open();
        const { id } = await start(engine, { kind: 'listens' });
        const resources = { cpu: 0.75, memoryBytes: 192 * 1024 * 1024, pidsMax: 200 };
        if (!engine.capabilities.liveUpdate) {
          const refused = engine.updateResources(id, resources);
          await expect(refused).rejects.toMatchObject({ code: 'unsupported' });
          return;
        }
        await engine.updateResources(id, resources);
        expect(await engine.inspect(id)).toMatchObject({ status: 'running', resources });
        expect(await harness.limits(id)).toEqual(resources);
        const less = { ...resources, cpu: 0.1, memoryBytes: 96 * 1024 * 1024 };
        await engine.updateResources(id, less);
        expect(await harness.limits(id)).toEqual(less);
      });

      it('gives more of a CPU that is wanted by many to who has more', async () => {
        const engine = await open();
        if (!engine.capabilities.limits) return;
        const { id, spec } = await start(engine, { kind: 'listens' });
        const { resources } = spec;
        const before = await harness.cpuWeight(id);
        await engine.updateResources(id, { ...resources, cpu: resources.cpu * 4 });
        const ratio = (await harness.cpuWeight(id)) / before;
        // Docker's own figures for cgroup v2 are not quite in proportion.
        expect(ratio).toBeGreaterThan(3);
        expect(ratio).toBeLessThan(5);
      });

      it('of what does not exist is not_found', async () => {
        const engine = await open();
        const refused = engine.updateResources('ctr_unknown', { cpu: 1, memoryBytes: 1 << 28, pidsMax: 50 });
        await expect(refused).rejects.toMatchObject({ code: 'not_found' });
      });
    });

    describe('yieldCpu', () => {
      it('lets others go first, until it is told its size again, and then it has the weight it had', async () => {
        const engine = await open();
        if (!engine.capabilities.limits) return;
        const { id, spec } = await start(engine, { kind: 'listens' });
        const weight = await harness.cpuWeight(id);
        expect(await harness.yields(id)).toBe(false);
        for (let times = 0; times < 2; times++) {
          await engine.yieldCpu(id);
          await engine.yieldCpu(id);
          expect(await harness.yields(id)).toBe(true);
          expect(await harness.limits(id)).toEqual(spec.resources);
          await engine.updateResources(id, spec.resources);
          expect(await harness.yields(id)).toBe(false);
          expect(await harness.cpuWeight(id)).toBe(weight);
        }
      });

      it('of what yields, another size can be given, and it can be paused and stopped', async () => {
        const engine = await open();
        if (!engine.capabilities.limits) return;
        const { id, spec } = await start(engine, { kind: 'listens' });
        await engine.yieldCpu(id);
        const resources = { ...spec.resources, cpu: spec.resources.cpu * 2 };
        await engine.updateResources(id, resources);
        expect([await harness.yields(id), await harness.limits(id)]).toEqual([false, resources]);
        await engine.yieldCpu(id);
        if (engine.capabilities.pause) {
          await engine.pause(id);
          await engine.unpause(id);
        }
        expect(await engine.inspect(id)).toMatchObject({ status: 'running' });
        await engine.stop(id, 500);
        await engine.yieldCpu(id);
        expect(await engine.inspect(id)).toMatchObject({ status: 'exited' });
      });

      it('of what does not exist does nothing', async () => {
        const engine = await open();
        await engine.yieldCpu('ctr_unknown');
      });
    });

    describe('onExit', () => {
      it('tells of a container that ends by itself, with its exit code', async () => {
        const engine = await open();
        const exits: ExitEvent[] = [];
        engine.onExit((event) => exits.push(event));
        const { id } = await start(engine, { kind: 'exits', code: 7 });
        await harness.until('the exit', () => exits.length > 0);
        expect(exits).toEqual([{ containerId: id, exitCode: 7, outOfMemory: false }]);
        expect(await engine.inspect(id)).toMatchObject({ status: 'exited', exitCode: 7, address: null });
      });

      it('tells 128 and the signal number of a container that is killed from outside', async () => {
        const engine = await open();
        const exits: ExitEvent[] = [];
        engine.onExit((event) => exits.push(event));
        const { id } = await start(engine, { kind: 'listens' });
        await harness.kill(id);
        await harness.until('the exit', () => exits.length > 0);
        expect(exits).toMatchObject([{ containerId: id, exitCode: 137 }]);
      });

      it('calls back no more once it was unsubscribed', async () => {
        const engine = await open();
        const heard: string[] = [];
        engine.onExit(() => heard.push('kept'));
        const unsubscribe = engine.onExit(() => heard.push('gone'));
        unsubscribe();
        await start(engine, { kind: 'exits', code: 0 });
        await harness.until('the exit', () => heard.length > 0);
        expect(heard).toEqual(['kept']);
      });
    });

    describe('opened again', () => {
      it('finds what the one before left running, and can pause, stop and remove it', async () => {
        const before = await open();
        const running = await start(before, { kind: 'listens' });
        const paused = await start(before, { kind: 'listens' });
        const ended = await start(before, { kind: 'listens' });
        await before.pause(paused.id);
        await before.stop(ended.id, 500);
        const known = await before.listOwn();
        await close(before);

        const after = await open();
        const byId = (a: { containerId: string }, b: { containerId: string }) =>
          a.containerId < b.containerId ? -1 : 1;
        expect((await after.listOwn()).sort(byId)).toEqual(known.sort(byId));
        await harness.until('it to be served still', () => harness.reachable(running.address));
        await after.pause(running.id);
        await after.unpause(running.id);
        await after.unpause(paused.id);
        await harness.until('the paused one to be served', () => harness.reachable(paused.address));
        await after.stop(running.id, 500);
        expect(await after.inspect(running.id)).toMatchObject({ status: 'exited' });
        for (const { id } of [running, paused, ended]) await after.remove(id);
        expect(await after.listOwn()).toEqual([]);
      });

      it('tells of the end of a container that it found by listOwn', async () => {
        const before = await open();
        const { id } = await start(before, { kind: 'listens' });
        await close(before);
        const after = await open();
        const exits: ExitEvent[] = [];
        after.onExit((event) => exits.push(event));
        expect(await after.listOwn()).toMatchObject([{ containerId: id, status: 'running' }]);
        await harness.kill(id);
        await harness.until('the exit', () => exits.length > 0);
        expect(exits.map(({ containerId }) => containerId)).toEqual([id]);
        expect(await after.inspect(id)).toMatchObject({ status: 'exited', address: null });
      });

      it('gives no address that a container found again still has', async () => {
        const before = await open();
        const old = await start(before, { kind: 'listens' });
        await close(before);
        const after = await open();
        const fresh = await Promise.all([1, 2, 3].map(() => start(after, { kind: 'listens' })));
        expect(fresh.map(({ address }) => address)).not.toContainEqual(old.address);
      });

      it('for another node sees nothing of this one', async () => {
        const engine = await open();
        await start(engine, { kind: 'listens' });
        const other = await open('node_other');
        expect(await other.listOwn()).toEqual([]);
        expect(await engine.listOwn()).toHaveLength(1);
      });

      it('does not mind being prepared again', async () => {
        const engine = await open();
        const { address } = await start(engine, { kind: 'listens' });
        await engine.prepare();
        await harness.until('it to listen', () => harness.reachable(address));
      });
    });

    describe('logs', () => {
      it('give what was printed, by stream, and keep it after the container has ended', async () => {
        const engine = await open();
        const { id } = await start(engine, {
          kind: 'prints',
          stdout: ['one', 'two  with spaces ', 'trois: é'],
          stderr: ['oops'],
          then: 'exits',
        });
        await exited(engine, id);
        const lines = await collect(engine, id);
        expect(texts(lines)).toEqual(['one', 'two  with spaces ', 'trois: é']);
        expect(texts(lines, 'stderr')).toEqual(['oops']);
        for (const { atMs } of lines) expect(atMs).toBeGreaterThan(0);
      });

      it('give only the last lines that are asked for', async () => {
        const engine = await open();
        const stdout = Array.from({ length: 50 }, (_, i) => `line ${i}`);
        const { id } = await start(engine, { kind: 'prints', stdout, stderr: [], then: 'exits' });
        await exited(engine, id);
        expect(texts(await collect(engine, id, { tailLines: 3 }))).toEqual(['line 47', 'line 48', 'line 49']);
        expect(await collect(engine, id, { tailLines: 0 })).toEqual([]);
      });

      it('cut a line at 16 KiB', async () => {
        const engine = await open();
        const { id } = await start(engine, {
          kind: 'prints',
          stdout: ['x'.repeat(20_000), 'next'],
          stderr: [],
          then: 'exits',
        });
        await exited(engine, id);
        expect(texts(await collect(engine, id))).toEqual(['x'.repeat(16 * 1024), 'next']);
      });

      it('followed, go on with what is printed later and end with the container', async () => {
        const engine = await open();
        const { id } = await start(engine, { kind: 'prints', stdout: ['hello'], stderr: [], then: 'stays' });
        const lines: string[] = [];
        let ended = false;
        const following = (async () => {
          for await (const line of engine.logs(id, { follow: true, tailLines: 100, signal: never() }))
            lines.push(line.text);
          ended = true;
        })();
        await harness.until('the line', () => lines.includes('hello'));
        expect(ended).toBe(false);
        await engine.stop(id, 500);
        await harness.until('the end of the log', () => ended);
        await following;
        expect(lines).toContain('hello');
      });

      it('followed, end when the reader gives up', async () => {
        const engine = await open();
        const { id } = await start(engine, { kind: 'prints', stdout: ['hello'], stderr: [], then: 'stays' });
        await printed(engine, id, 'hello');
        const giveUp = new AbortController();
        const lines: string[] = [];
        for await (const line of engine.logs(id, { follow: true, tailLines: 10, signal: giveUp.signal })) {
          lines.push(line.text);
          giveUp.abort();
        }
        expect(lines).toEqual(['hello']);
        expect(await engine.inspect(id)).toMatchObject({ status: 'running' });
      });

      it('of what does not exist are not_found', async () => {
        const engine = await open();
        await expect(collect(engine, 'ctr_unknown')).rejects.toMatchObject({ code: 'not_found' });
        const { id } = await start(engine, { kind: 'listens' });
        await engine.remove(id);
        await expect(collect(engine, id)).rejects.toMatchObject({ code: 'not_found' });
      });
    });

    it('counts memory and processes of a container, and knows none of an unknown one', async () => {
      const engine = await open();
      const { id } = await start(engine, { kind: 'listens' });
      const stats = await harness.until('it to use memory', async () => {
        const now = await engine.stats(id);
        return now.memoryBytes > 0 && now.pids > 0 ? now : undefined;
      });
      expect(stats.cpuMs).toBeGreaterThanOrEqual(0);
      expect(stats.atMs).toBeGreaterThan(0);
      await expect(engine.stats('ctr_unknown')).rejects.toMatchObject({ code: 'not_found' });
    });

    it('inspects nothing where there is nothing', async () => {
      const engine = await open();
      expect(await engine.inspect('ctr_unknown')).toBeUndefined();
    });

    it('resolves an image to its digest, or says plainly that it has none', async () => {
      const engine = await open();
      const { workload } = harness.spec({ kind: 'listens' });
      const image = workload.type === 'image' ? workload.image : 'some/image';
      const resolving = engine.resolveImage(image, () => {}, never());
      if (engine.capabilities.workloads.includes('image'))
        expect((await resolving).digest).toMatch(/^sha256:[0-9a-f]{64}$/);
      else await expect(resolving).rejects.toMatchObject({ code: 'unsupported' });
    });
  });
}
