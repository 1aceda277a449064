import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import type { Address } from '../../src/cmdb/records.ts';
import type { DockerEngine } from '../../src/compute/docker/engine.ts';
import type { ExitEvent } from '../../src/compute/engine.ts';
import { containersWith, docker, engineIdOf, sandboxesOf, whyNoDocker } from '../support/docker.ts';
import { DockerRelay } from '../support/docker-relay.ts';
import { dockerHarness, imageSpec, reachable } from '../support/docker-harness.ts';
import type { DockerHarness } from '../support/docker-harness.ts';
import { until } from '../support/until.ts';

const missing = await whyNoDocker();
const never = new AbortController().signal;

describe.skipIf(missing !== undefined)(`the docker engine, when something goes away ${missing ?? ''}`, () => {
  let harness: DockerHarness;
  const engines: DockerEngine[] = [];
  const relays: DockerRelay[] = [];

  beforeAll(async () => {
    harness = await dockerHarness();
  });

  afterEach(async () => {
    for (const engine of engines.splice(0)) {
      for (const { containerId } of await engine.listOwn()) await engine.remove(containerId);
      await engine.close();
    }
    for (const relay of relays.splice(0)) await relay.close();
    expect(await harness.left()).toEqual([]);
  });

  afterAll(() => harness.close());

  async function open(nodeId?: string, socketPath?: string): Promise<DockerEngine> {
    const engine = await harness.open(nodeId, socketPath === undefined ? {} : { socketPath });
    engines.push(engine);
    return engine;
  }

  /** An engine behind a socket that can be cut. */
  async function openCuttable() {
    const relay = await DockerRelay.open();
    relays.push(relay);
    return { relay, engine: await open(undefined, relay.socketPath) };
  }

  async function start(engine: DockerEngine) {
    const spec = imageSpec(harness.image);
    const { address } = await engine.start(spec, never);
    await until('it to listen', () => reachable(address));
    return { id: spec.containerId, address };
  }

  it('adopts what a killed process had running, and removes what it had kept ready', async () => {
    const script = join(import.meta.dirname, '../support/docker-child.ts');
    const args = [script, harness.nodeId, harness.image.name, harness.image.digest];
    const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] });
    const gone = once(child, 'exit');
    const [line] = (await once(createInterface(child.stdout), 'line')) as [string];
    child.kill('SIGKILL');
    await gone;
    const left = JSON.parse(line) as { id: string; address: Address }[];
    const [running, ended] = left;
    if (!running || !ended) throw new Error(`the process printed ${line}`);
    // While nobody watches, one of them dies.
    await docker('POST', `/containers/${await engineIdOf(ended.id)}/kill`);
    const before = (await sandboxesOf(harness.nodeId)).map(({ Id }) => Id);
    expect(before.length).toBeGreaterThanOrEqual(2);

    const engine = await open();
    const own = await engine.listOwn();
    expect(own.map(({ containerId, status, address }) => ({ containerId, status, address }))).toHaveLength(2);
    expect(own).toContainEqual(
      expect.objectContaining({ containerId: running.id, status: 'running', address: running.address }),
    );
    expect(own).toContainEqual(
      expect.objectContaining({ containerId: ended.id, status: 'exited', address: null }),
    );
    expect(await reachable(running.address)).toBe(true);
    // One that serves, one that is ready; all others were removed.
    const after = (await sandboxesOf(harness.nodeId)).map(({ Id }) => Id);
    expect(after).toHaveLength(2);
    expect(after.filter((id) => before.includes(id))).toHaveLength(1);
  });

  it('for one node leaves alone what belongs to another on the same machine', async () => {
    const mine = await open();
    const theirs = await open('other');
    const { address } = await start(theirs);
    const label = `mayfly.node=${harness.nodeId.replace('node', 'other')}`;
    const ids = async () => (await containersWith(label)).map(({ Id }) => Id).sort();
    // The app, its sandbox, and the next one.
    const before = await until('their pool to be refilled', async () => {
      const now = await ids();
      return now.length === 3 ? now : undefined;
    });
    await mine.prepare();
    await mine.close();
    expect(await reachable(address)).toBe(true);
    expect(await ids()).toEqual(before);
  });

  it('is engine_unavailable at once while Docker is away, and works again when it is back', async () => {
    const { relay, engine } = await openCuttable();
    const { id, address } = await start(engine);
    await relay.cut();
    const away = { code: 'engine_unavailable', hint: expect.stringContaining('Docker') as string };
    await expect(engine.start(imageSpec(harness.image), never)).rejects.toMatchObject(away);
    await expect(engine.inspect(id)).rejects.toMatchObject(away);
    await expect(engine.stop(id, 1_000)).rejects.toMatchObject(away);
    await expect(engine.prepare()).rejects.toMatchObject(away);
    expect(await reachable(address)).toBe(true);
    await relay.mend();
    expect(await engine.inspect(id)).toMatchObject({ status: 'running', address });
    const next = await start(engine);
    expect(await engine.inspect(next.id)).toMatchObject({ status: 'running' });
  });

  it.each([
    ['before it is created', /^POST \S*\/containers\/create/],
    ['while it starts', /^POST \S*\/containers\/[0-9a-f]+\/start/],
  ])('leaves nothing of a container when Docker goes away %s', async (_, requestLine) => {
    const { relay, engine } = await openCuttable();
    const spec = imageSpec(harness.image);
    const cut = relay.cutAt(requestLine);
    await expect(engine.start(spec, never)).rejects.toMatchObject({ code: 'engine_unavailable' });
    await cut;
    await relay.mend();
    await until('it to be removed, and the pool to be whole', async () => {
      const rows = await containersWith(`mayfly.node=${harness.nodeId}`);
      return rows.length === 1 && rows[0]?.Labels['mayfly.role'] === 'sandbox' && rows[0].State === 'running';
    });
    // The same start succeeds now.
    const { address } = await engine.start(spec, never);
    await until('it to listen', () => reachable(address));
  });

  it('tells of a container that ended while Docker was away, once', async () => {
    const { relay, engine } = await openCuttable();
    const exits: ExitEvent[] = [];
    engine.onExit((event) => exits.push(event));
    const lost = await start(engine);
    const kept = await start(engine);
    await relay.cut();
    await docker('POST', `/containers/${await engineIdOf(lost.id)}/kill`);
    expect(exits).toEqual([]);
    await relay.mend();
    await until('the exit', () => exits.length > 0);
    await docker('POST', `/containers/${await engineIdOf(kept.id)}/kill`);
    await until('the other exit', () => exits.length > 1);
    expect(exits).toMatchObject([
      { containerId: lost.id, exitCode: 137 },
      { containerId: kept.id, exitCode: 137 },
    ]);
  });

  it('does not mind that Docker goes away again while it recovers', async () => {
    const { relay, engine } = await openCuttable();
    const exits: ExitEvent[] = [];
    engine.onExit((event) => exits.push(event));
    const { id } = await start(engine);
    await relay.cut();
    await docker('POST', `/containers/${await engineIdOf(id)}/kill`);
    const cutAgain = relay.cutAt(/^GET \S*\/containers\/json/);
    await relay.mend();
    await cutAgain;
    expect(exits).toEqual([]);
    await relay.mend();
    await until('the exit', () => exits.length > 0);
    expect(exits).toMatchObject([{ containerId: id }]);
  });

  it('breaks off a log that is followed when Docker goes away', async () => {
    const { relay, engine } = await openCuttable();
    const { id } = await start(engine);
    const lines = engine.logs(id, { follow: true, tailLines: 0, signal: never })[Symbol.asyncIterator]();
    const next = lines.next();
    await until('the log to be followed', async () => (await engine.inspect(id)) !== undefined);
    await relay.cut();
    await expect(next).rejects.toMatchObject({ code: 'engine_unavailable' });
    await relay.mend();
  });

  it('finds a container again whose name was changed by hand, while it runs and when it has ended', async () => {
    const engine = await open();
    const { id, address } = await start(engine);
    const engineId = await engineIdOf(id);
    await docker('POST', `/containers/${engineId}/rename?name=renamed-${harness.nodeId}`);
    expect(await engine.inspect(id)).toMatchObject({ containerId: id, status: 'running', address });
    expect(await engine.listOwn()).toMatchObject([{ containerId: id, status: 'running' }]);
    await engine.stop(id, 1_000);
    expect(await reachable(address)).toBe(false);
    expect(await engine.inspect(id)).toMatchObject({ containerId: id, status: 'exited' });
    await engine.remove(id);
    expect(await containersWith(`mayfly.container=${id}`)).toEqual([]);
    await expect(engine.pause(id)).rejects.toMatchObject({ code: 'not_found' });
  });

  it('says what to do where no Docker is', async () => {
    await expect(harness.open('nowhere', { socketPath: '/nonexistent/docker.sock' })).rejects.toMatchObject({
      code: 'engine_unavailable',
      message: expect.stringContaining('/nonexistent/docker.sock') as string,
      hint: expect.stringContaining('--engine process') as string,
    });
  });
});
