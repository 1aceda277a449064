/**
 * How durable a commit has to be. Everything acknowledged survives kill -9 of the process. Surviving a power loss costs
 * a flush of the disk, and is paid where something cannot be found out again: what a tenant or operator has defined.
 *
 * Containers, their sizes, events and what a node holds in reserve are different: after a power loss the containers themselves are
 * gone, and the node that comes back says what it runs. So no cold start waits for a disk.
 */
import type { Operation } from './store.ts';

/** What is taken from the living containers again when the node registers. */
const OBSERVED_NODE_FIELDS = new Set(['reserved', 'lastSeenAtMs']);

export function mustSurvivePowerLoss(operations: readonly Operation[]): boolean {
  return operations.some(isDefinition);
}

function isDefinition(operation: Operation): boolean {
  if (operation.op === 'event' || operation.op === 'expect') return false;
  if (operation.kind === 'container' || operation.kind === 'size') return false;
  if (operation.op === 'update' && operation.kind === 'node') {
    return operation.claims !== undefined || !isObserved(operation.set);
  }
  return true;
}

function isObserved(set: object): boolean {
  return Object.keys(set).every((field) => OBSERVED_NODE_FIELDS.has(field));
}
