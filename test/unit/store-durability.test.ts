import { expect, it } from 'vitest';
import { mustSurvivePowerLoss } from '../../src/cmdb/durability.ts';
import type { Operation } from '../../src/cmdb/store.ts';
import { app, container, createTenant, event, node } from '../contract/store-fixtures.ts';

const createContainer: Operation = {
  op: 'create',
  kind: 'container',
  record: container('ctr_1'),
  claims: ['a'],
};
const reserve: Operation = {
  op: 'update',
  kind: 'node',
  id: 'node_1',
  ifGeneration: 1,
  set: { reserved: { cpu: 1, memoryBytes: 1 }, lastSeenAtMs: 1 },
};

it('waits for the disk when something is defined', () => {
  const definitions: Operation[] = [
    createTenant('ten_1'),
    { op: 'create', kind: 'app', record: app('app_1') },
    { op: 'update', kind: 'app', id: 'app_1', ifGeneration: 1, set: { hosts: [] } },
    { op: 'delete', kind: 'token', id: 'tok_1' },
    { op: 'create', kind: 'node', record: node('node_1') },
    {
      op: 'update',
      kind: 'node',
      id: 'node_1',
      ifGeneration: 1,
      set: { state: 'draining', lastSeenAtMs: 1 },
    },
    { op: 'update', kind: 'node', id: 'node_1', ifGeneration: 1, set: {}, claims: ['node:a'] },
  ];
  for (const definition of definitions) {
    expect(mustSurvivePowerLoss([createContainer, definition]), JSON.stringify(definition)).toBe(true);
  }
});

it('does not on the way of a cold start: container, reservation and event', () => {
  expect(mustSurvivePowerLoss([createContainer, reserve, event()])).toBe(false);
  expect(mustSurvivePowerLoss([{ op: 'delete', kind: 'container', id: 'ctr_1' }])).toBe(false);
  expect(mustSurvivePowerLoss([])).toBe(false);
});
