/** kill -9 of the whole program at any instant: what serves goes on and is taken over, what was half made is resolved. */
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, it, vi } from 'vitest';
import { ENGINES, Platform, whyNot } from '../support/platform.ts';
import { StartGate } from '../support/start-gate.ts';
import { until } from '../support/until.ts';

const SERVING = 20;
const STARTING = 5;

vi.setConfig({ testTimeout: 180_000 });

it.for(ENGINES)(
  'a program killed while 20 containers serve and 5 start comes back to them (%s)',
  async (engine, { skip }) => {
    const reason = await whyNot(engine);
    skip(reason !== undefined, reason);
    // The 20 go on at once; the first start of each of the 5 would wait for ever.
    const asked = new Set<string>();
    await using gate = await StartGate.open((_, name) => {
      if (!name.startsWith('starting') || asked.has(name)) return 'go';
      asked.add(name);
      return 'wait';
    });
    await using platform = await Platform.open(engine);
    const serving = Array.from({ length: SERVING }, (_, index) => `serving-${index}`);
    const starting = Array.from({ length: STARTING }, (_, index) => `starting-${index}`);
    for (const name of [...serving, ...starting]) {
      const env = { ...gate.env, GATE_NAME: name };
      await platform.create(name, { env, policy: { startTimeoutMs: 60_000 } });
    }
    const before = await Promise.all(serving.map((name) => platform.who(name)));
    const cutOff = starting.map((name) => platform.get(name).catch((error: unknown) => String(error)));
    await until('the five to be starting', () => gate.waiting === STARTING);
    const known = await platform.client.listContainers();
    const startingIds = known.filter(({ state }) => state === 'starting').map(({ id }) => id);
    expect(startingIds).toHaveLength(STARTING);
    const engineIds = await platform.running();
    expect(engineIds.size).toBe(SERVING + STARTING);

    await platform.kill();
    for (const outcome of await Promise.all(cutOff)) expect(outcome).toMatch(/ECONNRESET|hang up/);
    expect(await platform.running()).toEqual(engineIds); // they need nobody to live on

    await platform.start();
    for (const id of startingIds) engineIds.delete(id);
    expect(await platform.running()).toEqual(engineIds);
    const living = (await platform.client.listContainers()).filter(({ state }) => state === 'ready');
    expect(living.map(({ id }) => id).sort()).toEqual([...engineIds.keys()].sort());
    expect(await Promise.all(serving.map((name) => platform.who(name)))).toEqual(before);
    expect(await platform.running()).toEqual(engineIds);

    for (const name of starting) {
      const ended = await platform.saw(name, 'container.stopped');
      expect(startingIds).toContain(ended.containerId);
      expect(ended.reason).toBe('its start was cut off by a restart of its node');
    }
    await Promise.all(starting.map((name) => platform.who(name)));
    expect((await platform.running()).size).toBe(SERVING + STARTING);
  },
);

it.for(ENGINES)(
  'a database without the rest of its folder finds its containers again (%s)',
  async (engine, { skip }) => {
    const reason = await whyNot(engine);
    skip(reason !== undefined, reason);
    await using platform = await Platform.open(engine);
    await platform.create('kept');
    const before = await platform.who('kept');
    const { nodeId } = platform;
    await platform.kill();
    await rm(join(platform.data, 'node-id'));
    await platform.start();
    expect(platform.nodeId).toBe(nodeId);
    expect(await platform.who('kept')).toEqual(before);
  },
);
