/** The errors of the store port, worded once for all drivers. Each names the record, claim or cursor at fault. */
import { PlatformError } from '../errors.ts';
import type { Kind, RecordBase } from './records.ts';

export function recordMissing(kind: Kind, id: string): PlatformError {
  return new PlatformError('not_found', `There is no ${kind} "${id}"`);
}

export function idExists(kind: Kind, id: string): PlatformError {
  return new PlatformError('conflict', `There is a ${kind} "${id}" already`);
}

export function generationDiffers(kind: Kind, record: RecordBase, ifGeneration: number): PlatformError {
  return new PlatformError(
    'conflict',
    `The ${kind} "${record.id}" is at generation ${record.generation}, the change was decided on ${ifGeneration}`,
    { hint: 'Read it again and decide on what it is now.' },
  );
}

export function claimTaken(claim: string): PlatformError {
  return new PlatformError('name_taken', `"${claim}" is taken`, {
    hint: 'Choose another name, or release it first.',
    fields: [{ field: claim, reason: 'is taken' }],
  });
}

/** For a cursor that is too old, and for one that is newer than the store: its tail was lost, or it is another store's. */
export function cursorLost(since: number, range: { floor: number; newest: number }): PlatformError {
  return new PlatformError(
    'revision_compacted',
    `Changes after revision ${since} cannot be told: the store has those after ${range.floor}, up to ${range.newest}`,
    { hint: 'Read everything again, then watch from the revision of that moment.' },
  );
}

export function storeClosed(): PlatformError {
  return new PlatformError('store_unavailable', 'The store is closed');
}
