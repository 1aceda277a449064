import { describe, expect, it } from 'vitest';
import type { Container, ContainerState } from '../../src/cmdb/records.ts';
import { decideAdoption } from '../../src/compute/adoption.ts';
import type { EngineContainer, EngineStatus } from '../../src/compute/engine.ts';
import { container } from '../support/records.ts';

const ADDRESS = { host: '192.0.2.1', port: 9 };

function found(status: EngineStatus, change: Partial<EngineContainer> = {}): EngineContainer {
  const alive = status === 'running' || status === 'paused';
  return {
    containerId: 'ctr_1',
    appId: 'app_1',
    revisionId: 'rev_1',
    status,
    address: alive ? ADDRESS : null,
    resources: { cpu: 1, memoryBytes: 1, pidsMax: 1 },
    exitCode: alive ? null : 0,
    outOfMemory: false,
    startedAtMs: 0,
    ...change,
  };
}

const STATES: ContainerState[] = ['planned', 'starting', 'ready', 'paused', 'draining', 'stopped', 'failed'];
const STATUSES: (EngineStatus | 'absent')[] = ['created', 'running', 'paused', 'exited', 'absent'];
const isOver = (state: ContainerState) => state === 'stopped' || state === 'failed';
const slotOf = (state: ContainerState): Container['slot'] =>
  isOver(state) || state === 'draining' ? null : 0;

describe('after a restart, of what the records say and what the engine says', () => {
  const table: [ContainerState, string][] = [
    //         created, running, paused, exited, absent
    ['planned', 'end end end end end'],
    ['starting', 'end end end end end'],
    ['ready', 'end adopt:ready adopt:paused end end'],
    ['paused', 'end adopt:ready adopt:paused end end'],
    ['draining', 'end end end end end'],
    ['stopped', 'keep keep keep keep forget'],
    ['failed', 'keep keep keep keep forget'],
  ];

  it.each(table)('one recorded as %s: %s', (state, expected) => {
    const outcomes = STATUSES.map((status) => {
      const here = status === 'absent' ? [] : [found(status)];
      const [decision, ...more] = decideAdoption([container({ state, slot: slotOf(state) })], here);
      expect(more).toEqual([]);
      return decision?.action === 'adopt' ? `adopt:${decision.as}` : decision?.action;
    });
    expect(outcomes.join(' ')).toBe(expected);
  });

  it('what serves is taken over at the address the engine tells, not the recorded one', () => {
    expect(decideAdoption([container()], [found('running')])).toMatchObject([
      { action: 'adopt', as: 'ready', address: ADDRESS },
    ]);
  });

  it('one that nobody can reach is ended', () => {
    expect(decideAdoption([container()], [found('running', { address: null })])).toMatchObject([
      { action: 'end' },
    ]);
  });

  it('one that was to succeed another is ended, and the other goes on serving', () => {
    const records = [container({ id: 'old' }), container({ id: 'new', slot: 'next' })];
    const here = records.map(({ id }) => found('running', { containerId: id }));
    expect(decideAdoption(records, here).map(({ action }) => action)).toEqual(['adopt', 'end']);
  });

  it('what no record knows is removed, and nothing else of it is touched', () => {
    const here = STATUSES.flatMap((status) =>
      status === 'absent' ? [] : [found(status, { containerId: `stray-${status}` })],
    );
    expect(decideAdoption([], here)).toEqual(
      here.map(({ containerId }) => ({ action: 'removeStray', containerId })),
    );
  });

  it('every container gets exactly one decision, and every end says why', () => {
    const records = STATES.flatMap((state) =>
      STATUSES.map((status) => container({ id: `${state} ${status}`, state, slot: slotOf(state) })),
    );
    const here = STATUSES.flatMap((status) =>
      status === 'absent'
        ? []
        : STATES.map((state) => found(status, { containerId: `${state} ${status}` })).concat(
            found(status, { containerId: `stray ${status}` }),
          ),
    );
    const decisions = decideAdoption(records, here);
    const ids = decisions.map((one) => (one.action === 'removeStray' ? one.containerId : one.container.id));
    const all = new Set([...records.map(({ id }) => id), ...here.map(({ containerId }) => containerId)]);
    expect(ids.toSorted()).toEqual([...all].toSorted());
    const reasons = decisions.flatMap((one) => (one.action === 'end' ? [one.reason] : []));
    expect(reasons.length).toBeGreaterThan(20);
    for (const reason of reasons) expect(reason).toMatch(/^its? .{10}/);
  });
});
