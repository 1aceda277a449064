/** Whatever is planned and reported, in whatever order: a node has given away what its living containers have. */
import fc from 'fast-check';
import { expect, it } from 'vitest';
import { openMemoryStore } from '../../src/cmdb/memory.ts';
import { createCore } from '../../src/coreapi/core.ts';
import { isLiving } from '../../src/coreapi/decisions/lifecycle.ts';
import { listAll } from '../../src/coreapi/list-all.ts';
import { FakeClock } from '../support/fake-clock.ts';
import { app, policy, revision } from '../support/records.ts';

const APPS = [0.1, 0.3, 0.7];
const MAX_REPLICAS = 3;
const STATES = ['starting', 'ready', 'paused', 'draining', 'stopped', 'failed'] as const;

const step = fc.oneof(
  fc.record({
    do: fc.constant('plan' as const),
    app: fc.nat({ max: 2 }),
    successor: fc.boolean(),
    knows: fc.boolean(),
    core: fc.nat({ max: 1 }),
  }),
  fc.record({
    do: fc.constant('report' as const),
    which: fc.nat({ max: 9 }),
    state: fc.constantFrom(...STATES),
    core: fc.nat({ max: 1 }),
  }),
  fc.record({
    do: fc.constant('scale' as const),
    app: fc.nat({ max: 2 }),
    replicas: fc.integer({ min: 1, max: MAX_REPLICAS }),
    core: fc.nat({ max: 1 }),
  }),
  fc.record({
    do: fc.constant('resize' as const),
    which: fc.nat({ max: 9 }),
    cpu: fc.constantFrom(0.5, 1, 4),
    core: fc.nat({ max: 1 }),
  }),
  fc.record({ do: fc.constant('forget' as const), which: fc.nat({ max: 9 }), core: fc.nat({ max: 1 }) }),
  fc.record({ do: fc.constant('register' as const), core: fc.nat({ max: 1 }) }),
);

it('reservations never drift, no slot is held twice, and no app has more containers than its policy allows', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.array(step, { minLength: 1, maxLength: 4 }), { maxLength: 25 }),
      async (rounds) => {
        const store = openMemoryStore();
        const clock = new FakeClock();
        const cores = [createCore({ store, clock }), createCore({ store, clock })] as const;
        const node = {
          nodeId: 'node_1',
          name: 'one',
          engine: 'simulated',
          capacity: { cpu: 2, memoryBytes: 2 ** 40 },
        };
        await cores[0].register(node);
        for (const [index, cpu] of APPS.entries()) {
          const id = `app_${index}`;
          const { generation: _a, ...record } = app({
            id,
            revisionId: `rev_${index}`,
            policy: policy({ cpu, maxReplicas: MAX_REPLICAS }),
          });
          const { generation: _b, ...first } = revision({ id: `rev_${index}`, appId: id });
          await store.commit([
            { op: 'create', kind: 'app', record },
            { op: 'create', kind: 'revision', record: first },
          ]);
        }
        for (const round of rounds) {
          const known = await listAll(store, 'container', {});
          const idOf = (which: number) => known[which % Math.max(1, known.length)]?.id ?? 'ctr_none';
          const work = round.map((one): Promise<unknown> => {
            const core = cores[one.core === 0 ? 0 : 1];
            switch (one.do) {
              case 'plan':
                return core.plan({
                  appId: `app_${one.app}`,
                  nodeId: 'node_1',
                  reason: '',
                  successor: one.successor,
                  have: one.knows ? known.map(({ id }) => id) : [],
                });
              case 'report':
                return core.report(idOf(one.which), { state: one.state, reason: '' });
              case 'scale':
                return core.scale({
                  appId: `app_${one.app}`,
                  by: 'instruction',
                  replicas: one.replicas,
                  reason: '',
                });
              case 'resize':
                return core.resize(idOf(one.which), {
                  cpu: one.cpu,
                  memoryBytes: one.cpu * 2 ** 30,
                  pidsMax: 1,
                });
              case 'forget':
                return core.forget(idOf(one.which));
              case 'register':
                return core.register(node);
            }
          });
          for (const { status, reason } of (await Promise.allSettled(work)) as {
            status: string;
            reason?: unknown;
          }[])
            if (status === 'rejected')
              expect(['invalid_transition', 'no_capacity', 'not_found']).toContain(
                (reason as { code?: string }).code,
              );

          const living = (await listAll(store, 'container', {})).filter(isLiving);
          const reserved = (await store.get('node', 'node_1'))?.reserved;
          expect(reserved?.cpu).toBeCloseTo(
            living.reduce((sum, { resources }) => sum + resources.cpu, 0),
            5,
          );
          expect(reserved?.cpu).toBeLessThanOrEqual(2.000001);
          expect(reserved?.memoryBytes).toBe(
            living.reduce((sum, { resources }) => sum + resources.memoryBytes, 0),
          );
          const slots = living.flatMap(({ appId, slot }) => (slot === null ? [] : [`${appId} ${slot}`]));
          expect(new Set(slots).size).toBe(slots.length);
          for (const [index] of APPS.entries()) {
            const seated = living.filter(
              ({ appId, slot }) => appId === `app_${index}` && typeof slot === 'number',
            );
            expect(seated.length).toBeLessThanOrEqual(MAX_REPLICAS);
          }
        }
      },
    ),
    { numRuns: 150 },
  );
});
