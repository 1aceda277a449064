/**
 * A planned container for an app. Where the node is full, those who sleep are stopped first, and those who are on their way
 * out are waited for.
 */
import type { Container } from '../cmdb/records.ts';
import type { PlanRequest, SizedSpec } from '../coreapi/core-api.ts';
import { PlatformError } from '../errors.ts';
import type { NodeContext } from './context.ts';
import { orAborted } from './ending.ts';

/** How often room is made for one start before it is given up. */
const MAX_RECLAIMS = 3;
/** Whoever is to make room may have work in flight, or an engine that is away: the Core API is asked again then. */
const RECLAIM_TIMEOUT_MS = 5_000;

export interface Placed {
  readonly spec: SizedSpec;
  readonly container: Container;
  /** CPU of the node that nobody has reserved. */
  readonly spareCpu: number;
}

/** Errors: those of `CoreApi.plan`. When `signal` aborts, nobody is waited for any more. */
export async function place(
  context: NodeContext,
  request: Omit<PlanRequest, 'nodeId'>,
  signal: AbortSignal,
): Promise<Placed> {
  const { core, nodeId, engine, log } = context;
  for (let reclaims = 0; ;) {
    const plan = await core.plan({ ...request, nodeId });
    if (plan.action === 'reclaim') {
      if (++reclaims > MAX_RECLAIMS) {
        const message = `the node is full, and who could make room for app ${request.appId} did not do so in time`;
        throw new PlatformError('no_capacity', message, { retryAfterMs: 5_000 });
      }
      await makeRoom(context, plan.containerIds, plan.reason, signal);
      continue;
    }
    const { container, app, revision, size, spareCpu } = plan;
    if (container.state === 'planned') return { spec: { app, revision, size }, container, spareCpu };
    // A record without a container: a report of its end was lost.
    log.warn({ containerId: container.id, state: container.state }, 'a recorded container is not here');
    await engine.remove(container.id);
    await core.report(container.id, { state: 'failed', reason: 'its node does not know it any more' });
  }
}

async function makeRoom(
  { clock, reclaim }: NodeContext,
  containerIds: readonly string[],
  reason: string,
  signal: AbortSignal,
): Promise<void> {
  const enough = new AbortController();
  const cancel = clock.after(RECLAIM_TIMEOUT_MS, () => enough.abort());
  try {
    await orAborted(reclaim(containerIds, reason), AbortSignal.any([enough.signal, signal]));
  } finally {
    cancel();
  }
}
