/** Starts and stops, one after the other: the short version of `npm run bench -- churn`, which does a thousand. */
import { readdirSync } from 'node:fs';
import { expect, it, vi } from 'vitest';
import { ENGINES, Platform, whyNot } from '../support/platform.ts';
import { until } from '../support/until.ts';

vi.setConfig({ testTimeout: 180_000 });

const CYCLES = 12;

it.for(ENGINES)(
  'starts and stops leave nothing open in the program, and nothing on the machine (%s)',
  async (engine, { skip }) => {
    const reason = await whyNot(engine);
    skip(reason !== undefined, reason);
    await using platform = await Platform.open(engine); // whose end looks at the machine
    await platform.create('churn', { policy: { idlePauseMs: null, idleStopMs: 1 } });
    const openFiles = () => readdirSync(`/proc/${platform.program.pid}/fd`).length;
    const cycle = async () => {
      await platform.who('churn');
      const containerId = (await platform.containers('churn')).at(-1)?.id;
      await until('it to stop', async () =>
        (await platform.containers('churn')).every(({ state }) => state === 'stopped'),
      );
      return containerId;
    };
    await cycle(); // what is opened once and kept
    const before = openFiles();
    const served = new Set<string | undefined>();
    for (let i = 0; i < CYCLES; i++) served.add(await cycle());
    expect(served.size).toBe(CYCLES); // a new container each time
    await until('idle connections to be closed', () => openFiles() <= before, 30_000);
    expect((await platform.client.listNodes())[0]?.reserved).toEqual({ cpu: 0, memoryBytes: 0 });
  },
);
