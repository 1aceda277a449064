import { expect, it } from 'vitest';
import { claims } from '../../src/cmdb/claims.ts';
import { openMemoryStore } from '../../src/cmdb/memory.ts';
import { createCore } from '../../src/coreapi/core.ts';
import { removeOtherNodes } from '../../src/coreapi/lone-node.ts';
import { FakeClock } from '../support/fake-clock.ts';
import { app, revision } from '../support/records.ts';

it('a node that runs alone ends what ran on the others, whose names, places and shares are free again', async () => {
  const store = openMemoryStore();
  const clock = new FakeClock(1_000);
  const core = createCore({ store, clock });
  const { generation: _a, ...record } = app();
  const { generation: _r, ...first } = revision();
  await store.commit([
    { op: 'create', kind: 'app', record },
    { op: 'create', kind: 'revision', record: first },
  ]);
  const node = { name: 'vm', engine: 'simulated', capacity: { cpu: 2, memoryBytes: 2 ** 40 } };
  const plan = (nodeId: string) =>
    core.plan({ appId: 'app_1', nodeId, reason: 'a request came', successor: false, have: [] });
  await core.register({ ...node, nodeId: 'node_old' });
  const before = await plan('node_old');
  if (before.action !== 'run') throw new Error('there is room');

  await removeOtherNodes(store, clock, 'node_new');
  expect(await store.list('container')).toEqual([]);
  await core.register({ ...node, nodeId: 'node_new' });
  expect((await plan('node_new')).action).toBe('run');
  expect(await store.findByClaim('container', claims.slot('app_1', 0))).toMatchObject({ nodeId: 'node_new' });
  expect(await store.list('node')).toMatchObject([{ id: 'node_new', reserved: { cpu: 0.5 } }]);
  const events = await store.listEvents({ containerId: before.container.id });
  expect(events.at(-1)).toMatchObject({
    type: 'container.failed',
    reason: 'its node vm (node_old) is no more',
  });

  const revisionBefore = await store.revision();
  await removeOtherNodes(store, clock, 'node_new');
  expect(await store.revision()).toBe(revisionBefore);
});
