/** kill -9 in the middle of a burst of starts, again and again: nothing comes to run that the platform does not know. */
import { expect, it, vi } from 'vitest';
import { ENGINES, Platform, whyNot } from '../support/platform.ts';
import { until } from '../support/until.ts';

vi.setConfig({ testTimeout: 180_000 });

it.for(ENGINES)(
  'a program killed in one burst of starts after another leaves nothing unknown (%s)',
  async (engine, { skip }) => {
    const reason = await whyNot(engine);
    skip(reason !== undefined, reason);
    await using platform = await Platform.open(engine);
    const all: string[] = [];
    // Each time a little further into the burst.
    for (const seen of [0, 1, 3]) {
      const names = Array.from({ length: 4 }, (_, index) => `burst-${seen}-${index}`);
      all.push(...names);
      for (const name of names) await platform.create(name);
      const runningBefore = (await platform.running()).size;
      const requests = names.map((name) => platform.get(name).catch(() => undefined));
      await until('the burst', async () => (await platform.client.listContainers()).length > runningBefore);
      await until(`${seen} to run`, async () => (await platform.running()).size >= runningBefore + seen);
      await platform.kill();
      await Promise.all(requests);
      await platform.start();
      const ready = (await platform.client.listContainers()).filter(({ state }) => state === 'ready');
      expect([...(await platform.running()).keys()].sort()).toEqual(ready.map(({ id }) => id).sort());
    }
    await Promise.all(all.map((name) => platform.who(name)));
    const policy = { idlePauseMs: 100, idleStopMs: 200 };
    for (const name of all) await platform.client.patchApp(name, { policy });
    await until('all to have gone', async () => (await platform.running()).size === 0);
    await until(
      'the node to know it',
      async () => (await platform.client.listNodes())[0]?.reserved.cpu === 0,
    );
    const states = (await platform.client.listContainers()).map(({ state }) => state);
    expect(states).toEqual(all.map(() => 'stopped'));
  },
);
