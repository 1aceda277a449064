/** An engine that does what it was asked for only after it was given up on, or refuses to undo it: nothing of that stays. */
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { DockerEngine, DockerEngineOptions } from '../../src/compute/docker/engine.ts';
import { containersWith, docker, engineIdOf, whyNoDocker } from '../support/docker.ts';
import { DockerRelay } from '../support/docker-relay.ts';
import { dockerHarness, imageSpec, reachable } from '../support/docker-harness.ts';
import type { DockerHarness } from '../support/docker-harness.ts';
import { until } from '../support/until.ts';

const missing = await whyNoDocker();
const never = new AbortController().signal;

/** Enough for what the engine really does. */
const PATIENCE_MS = 5_000;
const AWAY = { code: 'engine_unavailable' };

const CREATE_APP = /^POST \S*\/containers\/create\?name=\S+-ctr_/;
const CREATE_SANDBOX = /^POST \S*\/containers\/create\?name=\S+-sandbox-/;
const START = /^POST \S*\/containers\/\w+\/start/;
const REMOVE = /^DELETE \S*\/containers\//;
const ANY = /./;

describe.skipIf(missing !== undefined)(`the docker engine, when it is late ${missing ?? ''}`, () => {
  let harness: DockerHarness;
  let relay: DockerRelay;
  let engine: DockerEngine;

  beforeAll(async () => {
    harness = await dockerHarness();
  });

  beforeEach(async () => {
    relay = await DockerRelay.open();
  });

  afterEach(async () => {
    relay.allow();
    for (const { containerId } of await engine.listOwn()) await engine.remove(containerId);
    await engine.close();
    await relay.close();
    expect(await harness.left()).toEqual([]);
  });

  afterAll(() => harness.close());

  async function open(options: Partial<DockerEngineOptions> = {}): Promise<DockerEngine> {
    const { socketPath } = relay;
    engine = await harness.open(undefined, {
      socketPath,
      callTimeoutMs: PATIENCE_MS,
      sandboxRestMs: 0,
      ...options,
    });
    return engine;
  }

  const rows = () => containersWith(`mayfly.node=${harness.nodeId}`);
  const appRows = async () => (await rows()).filter(({ Labels }) => Labels['mayfly.role'] === 'app');

  /** At most one sandbox, for whoever comes next, and nothing else. */
  const onlyThePool = () =>
    until('all to be gone but what is kept ready', async () => {
      const found = await rows();
      const isReady = found.every(
        ({ Labels, State }) => Labels['mayfly.role'] === 'sandbox' && State === 'running',
      );
      return isReady && found.length <= 1;
    });

  const giveUpStart = () => expect(engine.start(imageSpec(harness.image), never)).rejects.toMatchObject(AWAY);

  it('removes a container that is created after its start was given up', async () => {
    await open();
    const held = relay.hold(CREATE_APP);
    await giveUpStart();
    await onlyThePool();
    await held.release();
    await onlyThePool();
    const next = await engine.start(imageSpec(harness.image), never);
    await until('it to listen', () => reachable(next.address));
  });

  it('starts a container of which an earlier start comes about at that moment', async () => {
    await open();
    const spec = imageSpec(harness.image);
    const held = relay.hold(CREATE_APP);
    const started = engine.start(spec, never);
    await until('it to be asked for', () => held.lines.length === 1);
    const name = /name=([^&\s]+)/.exec(held.lines[0] ?? '')?.[1];
    const Labels = {
      'mayfly.node': harness.nodeId,
      'mayfly.role': 'app',
      'mayfly.container': spec.containerId,
    };
    await docker('POST', `/containers/create?name=${name}`, { Image: harness.image, Labels });
    await held.release();
    const { address } = await started;
    await until('it to listen', () => reachable(address));
    expect(await appRows()).toHaveLength(1);
  });

  it('removes a sandbox that is created after it was given up', async () => {
    await open({ poolSize: 0 });
    const held = relay.hold(CREATE_SANDBOX);
    await giveUpStart();
    expect(await rows()).toEqual([]);
    await held.release();
    await until('it to go', async () => (await rows()).length === 0);
    expect(held.lines).toHaveLength(1);
  });

  it('removes what an engine that stood still does when it goes on', async () => {
    await open();
    const held = relay.hold(ANY);
    const starts = [giveUpStart(), giveUpStart(), giveUpStart()];
    await Promise.all(starts);
    await held.release();
    expect(held.lines.filter((line) => line.includes('/create'))).not.toHaveLength(0);
    await onlyThePool();
  });

  it.each([
    ['answers neither its start nor its removal', () => relay.hold(/^(POST \S*\/start|DELETE) /)],
    ['starts it late', () => relay.hold(START)],
  ])('removes a container whose engine %s in time', async (_, hold) => {
    await open();
    const held = hold();
    await giveUpStart();
    await held.release();
    await onlyThePool();
  });

  it.each([
    ['runs', null],
    ['has ended', ['sh', '-c', 'exit 3']],
  ])(
    'removes a container that %s after its start was given up, and whose removal failed',
    async (_, command) => {
      await open();
      const refused = relay.refuse(REMOVE);
      const held = relay.hold(START);
      const start = engine.start(imageSpec(harness.image, command), never);
      await expect(start).rejects.toMatchObject(AWAY);
      await held.release();
      await until('its removal to be tried again', () => refused.length > 2);
      const state = command ? 'exited' : 'running';
      await until(`it to be ${state}`, async () => (await appRows())[0]?.State === state);
      relay.allow();
      await onlyThePool();
    },
  );

  it('removes spent sandboxes that it could not remove at first', async () => {
    await open();
    const refused = relay.refuse(REMOVE);
    const spec = imageSpec(harness.image);
    await engine.start(spec, never);
    await engine.stop(spec.containerId, 0);
    await until('its sandbox to be refused', () => refused.length > 0);
    relay.allow();
    await until('the sandbox to go, and the remains to stay', async () => {
      const found = await rows();
      return found.length === 2 && found.some(({ State }) => State === 'exited');
    });
    expect(await engine.inspect(spec.containerId)).toMatchObject({ status: 'exited' });
  });

  it('comes up although something is left that cannot be removed, and removes it when it can be', async () => {
    await open();
    relay.refuse(REMOVE);
    await engine.close();
    expect(await rows()).toHaveLength(1);
    const spec = imageSpec(harness.image);
    await open();
    await engine.start(spec, never);
    relay.allow();
    await engine.remove(spec.containerId);
    await onlyThePool();
  });

  it('wakes a container that is paused after its pause was given up, and leaves one that was to be paused', async () => {
    await open();
    const [late, asleep] = [imageSpec(harness.image), imageSpec(harness.image)];
    for (const spec of [late, asleep]) await engine.start(spec, never);
    await engine.pause(asleep.containerId);
    const held = relay.hold(/^POST \S*\/pause/);
    await expect(engine.pause(late.containerId)).rejects.toMatchObject(AWAY);
    await held.release();
    const status = async ({ containerId }: { containerId: string }) =>
      (await engine.inspect(containerId))?.status;
    await until('it to run', async () => (await status(late)) === 'running');
    expect(await status(asleep)).toBe('paused');
    await engine.pause(late.containerId);
    expect(await status(late)).toBe('paused');
  });

  it.each([
    ['while it listens', false],
    ['while it is not heard', true],
  ])('wakes a container that somebody has paused by hand %s', async (_, isAway) => {
    await open();
    const [used, asleep] = [imageSpec(harness.image), imageSpec(harness.image)];
    for (const spec of [used, asleep]) await engine.start(spec, never);
    await engine.pause(asleep.containerId);
    if (isAway) await relay.cut();
    const engineId = await engineIdOf(used.containerId);
    expect((await docker('POST', `/containers/${engineId}/pause`)).status).toBe(204);
    if (isAway) await relay.mend();
    const state = async ({ containerId }: { containerId: string }) =>
      (await containersWith(`mayfly.container=${containerId}`))[0]?.State;
    await until('it to run', async () => (await state(used)) === 'running');
    expect(await state(asleep)).toBe('paused');
  });

  it('does not take a container for stopped that Docker will not stop, and then does not say whether it runs', async () => {
    await open();
    const spec = imageSpec(harness.image);
    const { address } = await engine.start(spec, never);
    await until('it to listen', () => reachable(address));
    relay.refuse(/^POST \S*\/stop/);
    const held = relay.hold(new RegExp(`^GET \\S*/containers/${await engineIdOf(spec.containerId)}/json`));
    await expect(engine.stop(spec.containerId, 0)).rejects.toMatchObject({ code: 'internal' });
    await held.release();
    expect(held.lines).toHaveLength(1);
    expect(await engine.inspect(spec.containerId)).toMatchObject({ status: 'running', address });
    relay.allow();
    await engine.stop(spec.containerId, 0);
    expect(await reachable(address)).toBe(false);
  });

  it('removes its network although the engine takes it to be in use for a moment longer', async () => {
    await open();
    const refused = relay.refuse(/^DELETE \S*\/networks\//, 403);
    const closed = engine.close();
    await until('it to be refused', () => refused.length > 0);
    relay.allow();
    await closed;
    expect(await harness.left()).toEqual([]);
  });

  it('touches neither what serves, sleeps or has ended, nor what is of another node', async () => {
    const other = await harness.open('other');
    const theirs = imageSpec(harness.image);
    await other.start(theirs, never);
    await open();
    const [serving, sleeping, ended] = [1, 2, 3].map(() => imageSpec(harness.image));
    if (!serving || !sleeping || !ended) throw new Error('unreachable');
    for (const spec of [serving, sleeping, ended]) await engine.start(spec, never);
    await engine.pause(sleeping.containerId);
    await engine.stop(ended.containerId, 0);
    const held = relay.hold(CREATE_APP);
    await giveUpStart();
    await held.release();
    await until('all to be gone but those', async () => (await appRows()).length === 3);
    const statuses = async (which: DockerEngine) =>
      (await which.listOwn()).map(({ containerId, status }) => `${containerId} ${status}`).sort();
    expect(await statuses(engine)).toEqual(
      [
        `${serving.containerId} running`,
        `${sleeping.containerId} paused`,
        `${ended.containerId} exited`,
      ].sort(),
    );
    expect(await statuses(other)).toEqual([`${theirs.containerId} running`]);
    await other.remove(theirs.containerId);
    await other.close();
  });
});
