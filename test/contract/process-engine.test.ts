/** What the process engine promises beyond the contract of all engines. */
import { execFileSync, spawn, type ChildProcess } from 'node:child_process';
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { createServer, type AddressInfo } from 'node:net';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Address } from '../../src/cmdb/records.ts';
import type { Engine, ExitEvent, StartSpec } from '../../src/compute/engine.ts';
import { openProcessEngine } from '../../src/compute/process/process-engine.ts';
import { commandSpec, pidOf, processesOf, processHarness, reachable } from '../support/process-harness.ts';
import type { ProcessHarness } from '../support/process-harness.ts';
import { until } from '../support/until.ts';

const never = () => new AbortController().signal;

describe('the process engine', () => {
  let harness: ProcessHarness;
  const engines: Engine[] = [];
  const platforms: ChildProcess[] = [];

  async function open(): Promise<Engine> {
    const engine = await harness.open();
    engines.push(engine);
    return engine;
  }

  async function output(engine: Engine, spec: StartSpec): Promise<string> {
    await until('its end', async () => (await engine.inspect(spec.containerId))?.status === 'exited');
    const lines: string[] = [];
    const options = { follow: false, tailLines: 1_000, signal: never() };
    for await (const line of engine.logs(spec.containerId, options)) lines.push(line.text);
    return lines.join('\n');
  }

  beforeEach(async () => {
    harness = await processHarness();
  });

  afterEach(async () => {
    for (const platform of platforms.splice(0)) platform.kill('SIGKILL');
    for (const engine of engines)
      for (const { containerId } of await engine.listOwn()) await engine.remove(containerId);
    await Promise.all(engines.splice(0).map((engine) => engine.close()));
    expect(await harness.left()).toEqual([]);
    await harness.close();
  });

  /** A process of its own that opens the engine and starts these; resolves once it has. */
  async function platform(
    specs: readonly StartSpec[],
  ): Promise<{ child: ChildProcess; addresses: Address[] }> {
    const source = `
      import { openProcessEngine } from ${JSON.stringify(new URL('../../src/compute/process/process-engine.ts', import.meta.url))};
      const engine = await openProcessEngine(${JSON.stringify({ dataDir: harness.dataDir, nodeId: harness.nodeId })});
      const addresses = [];
      for (const spec of ${JSON.stringify(specs)})
        addresses.push((await engine.start(spec, new AbortController().signal)).address);
      console.log(JSON.stringify(addresses));
      setInterval(() => {}, 1000);
    `;
    const child = spawn(process.execPath, ['--input-type=module', '-e', source], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    platforms.push(child);
    for await (const line of createInterface({ input: child.stdout }))
      return { child, addresses: JSON.parse(line) as Address[] };
    throw new Error('the platform process ended before it had started the apps');
  }

  async function killPlatform(child: ChildProcess): Promise<void> {
    const ended = new Promise((resolve) => child.once('exit', resolve));
    child.kill('SIGKILL');
    await ended;
  }

  it('keeps apps running when the platform is killed; the next one adopts, pauses and stops them', async () => {
    const specs = [harness.spec({ kind: 'listens' }), harness.spec({ kind: 'listens' })] as const;
    const { child, addresses } = await platform(specs);
    for (const address of addresses) await until('each to listen', () => reachable(address));
    await killPlatform(child);
    for (const address of addresses) expect(await reachable(address)).toBe(true);

    const engine = await open();
    const exits: ExitEvent[] = [];
    engine.onExit((event) => exits.push(event));
    const found = await engine.listOwn();
    expect(found.map(({ containerId, status, address }) => ({ containerId, status, address }))).toEqual(
      expect.arrayContaining(
        specs.map(({ containerId }, i) => ({ containerId, status: 'running', address: addresses[i] })),
      ) as unknown,
    );
    const [first, second] = [specs[0].containerId, specs[1].containerId];
    await engine.pause(first);
    expect(await engine.inspect(first)).toMatchObject({ status: 'paused' });
    await engine.stop(first, 500);
    expect(await engine.inspect(first)).toMatchObject({ status: 'exited' });
    expect(exits).toEqual([]);
    process.kill(pidOf(harness.dataDir, harness.nodeId, second), 'SIGKILL');
    await until('its end to be noticed', () => exits.length === 1);
    // Whose child it was is gone: nobody was told the exit code.
    expect(exits).toMatchObject([{ containerId: second, exitCode: null }]);
  });

  it('takes an app that ended while no platform lived for ended', async () => {
    const spec = harness.spec({ kind: 'listens' });
    const { child } = await platform([spec]);
    const pid = pidOf(harness.dataDir, harness.nodeId, spec.containerId);
    await killPlatform(child);
    process.kill(pid, 'SIGKILL');
    await until('the app to be gone', () => processesOf(new Set([spec.containerId])).length === 0);
    const engine = await open();
    expect(await engine.listOwn()).toMatchObject([{ status: 'exited', address: null, exitCode: null }]);
  });

  it('never takes a process that has got the pid of an app since for that app', async () => {
    const spec = harness.spec({ kind: 'listens' });
    const { child } = await platform([spec]);
    await killPlatform(child);
    const pid = pidOf(harness.dataDir, harness.nodeId, spec.containerId);
    process.kill(pid, 'SIGKILL');
    await until('the app to be gone', () => processesOf(new Set([spec.containerId])).length === 0);
    const stranger = spawn('sleep', ['600'], { detached: true, stdio: 'ignore' });
    platforms.push(stranger);
    const path = join(harness.dataDir, harness.nodeId, spec.containerId, 'state.json');
    const state = JSON.parse(await readFile(path, 'utf8')) as { process: object };
    await writeFile(path, JSON.stringify({ ...state, process: { ...state.process, pid: stranger.pid } }));

    const engine = await open();
    expect(await engine.listOwn()).toMatchObject([{ status: 'exited' }]);
    await engine.stop(spec.containerId, 100);
    await engine.remove(spec.containerId);
    expect(stranger.exitCode).toBeNull();
    expect(stranger.signalCode).toBeNull();
    expect(stranger.kill(0)).toBe(true);
  });

  it('removes what was being made when its maker was killed', async () => {
    const before = await open();
    await before.close();
    engines.splice(0);
    const folder = join(harness.dataDir, harness.nodeId, 'ctr_half');
    await mkdir(join(folder, 'scratch'), { recursive: true });
    const engine = await open();
    expect(await engine.listOwn()).toEqual([]);
    expect(await readdir(join(harness.dataDir, harness.nodeId))).toEqual([]);
  });

  it('gives an app PATH, HOME, LANG, TMPDIR, PORT and HOST, and nothing of its own environment', async () => {
    process.env['MAYFLY_OPERATOR_TOKEN'] = 'secret';
    try {
      const engine = await open();
      const spec = { ...commandSpec(['env']), env: { GREETING: 'hi', PORT: '1', LANG: 'de_DE.UTF-8' } };
      const { address } = await engine.start(spec, never());
      const printed = (await output(engine, spec)).split('\n');
      const names = printed.map((line) => line.split('=')[0]).sort();
      // PWD is the shell's, which the command replaces.
      expect(names.filter((name) => name !== 'PWD' && name !== 'OLDPWD')).toEqual(
        ['GREETING', 'HOME', 'HOST', 'LANG', 'MAYFLY_CONTAINER_ID', 'PATH', 'PORT', 'TMPDIR'].sort(),
      );
      expect(printed).toEqual(
        expect.arrayContaining([
          `PORT=${address.port}`,
          'HOST=127.0.0.1',
          'GREETING=hi',
          'LANG=de_DE.UTF-8',
        ]) as unknown,
      );
    } finally {
      delete process.env['MAYFLY_OPERATOR_TOKEN'];
    }
  });

  it('runs a command with its arguments as they are, in its folder, a relative path taken from there', async () => {
    const engine = await open();
    const folder = join(harness.dataDir, 'an app');
    await mkdir(folder);
    await writeFile(join(folder, 'run.sh'), '#!/bin/sh\npwd; for a in "$@"; do echo "<$a>"; done\n', {
      mode: 0o755,
    });
    const spec = commandSpec(['./run.sh', 'a b', '', '$HOME', `it's "so"`, '*'], folder);
    await engine.start(spec, never());
    expect((await output(engine, spec)).split('\n')).toEqual([
      folder,
      '<a b>',
      '<>',
      '<$HOME>',
      `<it's "so">`,
      '<*>',
    ]);
  });

  it('refuses a cwd that is no folder, a file that cannot be executed and an empty command, naming them', async () => {
    const engine = await open();
    const refused = (spec: StartSpec, message: string) =>
      expect(engine.start(spec, never())).rejects.toMatchObject({
        code: 'start_failed',
        message: expect.stringContaining(message) as string,
      });
    await refused(commandSpec(['true'], '/no/such/folder'), '/no/such/folder');
    await refused(commandSpec(['true'], '/etc/passwd'), '/etc/passwd');
    await refused(commandSpec(['./passwd'], '/etc'), '/etc/passwd');
    const empty = commandSpec([]);
    await refused(empty, empty.appId);
    await refused({ ...commandSpec(['true']), containerId: '../outside' }, '../outside');
    expect(await engine.listOwn()).toEqual([]);
  });

  it('says when the kernel killed an app for want of memory', async ({ skip }) => {
    const engine = await open();
    skip(!engine.capabilities.limits, 'no cgroup may be written here');
    const exits: ExitEvent[] = [];
    engine.onExit((event) => exits.push(event));
    const greedy = 'const all = []; for (;;) all.push(Buffer.alloc(1 << 22, 1))';
    const spec = commandSpec([process.execPath, '-e', greedy]);
    await engine.start(spec, never());
    await until('its end', () => exits.length > 0);
    expect(exits).toEqual([{ containerId: spec.containerId, exitCode: 137, outOfMemory: true }]);
    expect(await engine.inspect(spec.containerId)).toMatchObject({ outOfMemory: true });
  });

  it('lets an app have no more processes than its limit', async ({ skip }) => {
    const engine = await open();
    skip(!engine.capabilities.limits, 'no cgroup may be written here');
    const count = `let n = 0; const { spawn } = require('node:child_process');
      for (let i = 0; i < 60; i++) {
        try { const c = spawn('sleep', ['600']); c.on('error', () => {}); if (c.pid) n++; } catch {}
      }
      console.log('processes ' + n); setTimeout(() => {}, 600_000);`;
    const base = commandSpec([process.execPath, '-e', count]);
    const spec = { ...base, resources: { ...base.resources, cpu: 2, pidsMax: 32 } };
    await engine.start(spec, never());
    await until('it to have tried', async () => {
      for await (const line of engine.logs(spec.containerId, {
        follow: false,
        tailLines: 10,
        signal: never(),
      }))
        if (line.text.startsWith('processes ')) return true;
      return false;
    });
    const { pids } = await engine.stats(spec.containerId);
    expect(pids).toBeGreaterThan(5);
    expect(pids).toBeLessThanOrEqual(32);
  });

  it('passes over a port that a stranger uses, and says so when none is left', async () => {
    const stranger = createServer();
    await new Promise<void>((resolve) => stranger.listen(0, '127.0.0.1', resolve));
    const { port } = stranger.address() as AddressInfo;
    const engine = await openProcessEngine({
      dataDir: harness.dataDir,
      nodeId: harness.nodeId,
      portRange: { from: port, to: port },
    });
    engines.push(engine);
    const spec = harness.spec({ kind: 'listens' });
    await expect(engine.start(spec, never())).rejects.toMatchObject({
      code: 'no_capacity',
      message: `no free port between ${port} and ${port}`,
    });
    await new Promise((resolve) => stranger.close(resolve));
    expect((await engine.start(spec, never())).address.port).toBe(port);
  });

  it('leaves no file descriptor and no timer behind after many starts', async () => {
    const engine = await open();
    const descriptors = async () => (await readdir('/proc/self/fd')).length;
    const cycle = async () => {
      const spec = harness.spec({ kind: 'exits', code: 0 });
      await engine.start(spec, never());
      await engine.remove(spec.containerId);
    };
    await cycle();
    const before = await descriptors();
    for (let i = 0; i < 20; i++) await cycle();
    await until('the descriptors to be closed', async () => (await descriptors()) <= before);
  });

  it('has nothing on the machine while it has no container, so that being killed then leaves nothing', async () => {
    const engine = await open();
    const spec = harness.spec({ kind: 'listens' });
    await engine.start(spec, never());
    expect(await harness.left()).not.toEqual([]);
    await engine.remove(spec.containerId);
    expect(await harness.left()).toEqual([]);
  });

  it('starts nothing that it has not noted: a process whose gate never opens ends by itself', () => {
    // The gate is the engine's own script; here its pipe is closed without a line, as the kernel does for a dead writer.
    const text = execFileSync(
      process.execPath,
      [
        '--input-type=module',
        '-e',
        `import { launchGated } from ${JSON.stringify(new URL('../../src/compute/process/launch.ts', import.meta.url))};
         const folder = ${JSON.stringify(harness.dataDir)};
         const paths = { stdout: folder + '/gate.out', stderr: folder + '/gate.err' };
         const launch = { executable: '/bin/touch', args: [folder + '/ran'], cwd: folder, env: {} };
         const { child } = await launchGated(launch, paths);
         child.ref();
         child.once('exit', (code) => console.log('exit ' + code));
         child.stdin.destroy();`,
      ],
      { encoding: 'utf8' },
    );
    expect(text.trim()).toBe('exit 1');
    return expect(readdir(harness.dataDir)).resolves.not.toContain('ran');
  });
});
