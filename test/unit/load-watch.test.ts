/** What load may make of a container. */
import { expect, it } from 'vitest';
import { NodeUnderTest } from '../support/node-under-test.ts';
import { policy } from '../support/records.ts';

it('makes a container as big as the machine, not as big as what its node gives away in all', async () => {
  const node = await new NodeUnderTest({
    capacity: { cpu: 8, memoryBytes: 2 ** 30 },
    limits: { cores: 2 },
  }).boot();
  const scaling = { ...policy().scaling, mode: 'up' as const, cpuMax: null };
  await node.createApp('busy', { cpu: 0.5, maxReplicas: 1, idlePauseMs: null, idleStopMs: null, scaling });
  node.fault = { cpuLoad: 4 };
  for (let ms = 0; ms < 60_000; ms += 100) {
    const visit = node.visit('busy', 10);
    await node.clock.advance(100);
    await visit;
  }
  expect(node.machine.list().map(({ resources }) => resources.cpu)).toEqual([2]);
  await node.close();
});
