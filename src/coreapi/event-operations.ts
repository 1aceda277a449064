/** Events as a part of the commit that makes them true. */
import type { Container } from '../cmdb/records.ts';
import type { Operation } from '../cmdb/store.ts';
import type { EventReport } from './core-api.ts';

export function eventOperation(
  { figures = {}, ...event }: EventReport,
  atMs: number,
  nodeId: string | null = null,
): Operation {
  return { op: 'event', event: { atMs, nodeId, ...event, figures } };
}

/** That a container has come to be what its record says. */
export function containerEvent(
  { id, appId, nodeId, state, reason }: Omit<Container, 'generation'>,
  atMs: number,
  figures: NonNullable<EventReport['figures']>,
): Operation {
  return eventOperation(
    { type: `container.${state}`, appId, containerId: id, reason, figures },
    atMs,
    nodeId,
  );
}
