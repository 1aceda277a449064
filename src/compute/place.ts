/**
 * A planned container for an app. Where the node is full, those who sleep are stopped first, and those who are on their way
 * out are waited for. Placements of a node take turns, and a turn ends when it is recorded who goes for it: so no two count
 * on the room of the same sleeper, and nobody is refused while others sleep.
 */
import type { Container } from '../cmdb/records.ts';
import type { Plan, PlanRequest, SizedSpec } from '../coreapi/core-api.ts';
import { PlatformError } from '../errors.ts';
import type { NodeContext } from './context.ts';
import { orAborted } from './ending.ts';
import type { Live } from './live.ts';

/** How often those who go are waited for in vain; whoever has not gone then makes no room for this start. */
const MAX_WAITS = 3;
/** Whoever is to make room may have work in flight, or an engine that is away: the Core API is asked again then. */
const WAIT_MS = 5_000;

export interface Placed {
  readonly spec: SizedSpec;
  readonly container: Container;
  /** CPU of the node that nobody has reserved. */
  readonly spareCpu: number;
}

type Request = Omit<PlanRequest, 'nodeId' | 'staying'>;

/** Errors: those of `CoreApi.plan`; `shutting_down` when `signal` aborts while room is made. */
export async function place(context: NodeContext, request: Request, signal: AbortSignal): Promise<Placed> {
  const { core, engine, log } = context;
  const staying = new Set<string>();
  for (let waits = 0; ;) {
    const { plan, going } = await decide(context, request, staying);
    if (plan.action === 'reclaim') {
      if (!(await haveGone(context, going, signal))) waits++;
      if (signal.aborted) throw new PlatformError('shutting_down', 'the node is stopping');
      const leaving = waits < MAX_WAITS ? going.map(({ id }) => id) : [];
      for (const id of plan.containerIds) if (!leaving.includes(id)) staying.add(id);
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

/** Asks the Core API for a place. Who is to make room for it has begun to go when this resolves, and is recorded so. */
function decide(
  { core, nodeId, outbox, reclaim, turns }: NodeContext,
  request: Request,
  staying: ReadonlySet<string>,
): Promise<{ plan: Plan; going: Live[] }> {
  return turns.take(nodeId, async () => {
    const plan = await core.plan({ ...request, nodeId, staying: [...staying] });
    const going = plan.action === 'reclaim' ? reclaim(plan.containerIds, plan.reason) : [];
    await Promise.all(going.map(({ id }) => outbox.recorded(id)));
    return { plan, going };
  });
}

/** Whether all of them end in time, and the Core API knows. Errors: `store_unavailable`. */
async function haveGone(
  { clock, outbox }: NodeContext,
  going: readonly Live[],
  signal: AbortSignal,
): Promise<boolean> {
  const enough = new AbortController();
  const cancel = clock.after(WAIT_MS, () => enough.abort());
  const end = async (live: Live) => {
    await live.gone;
    await outbox.recorded(live.id);
  };
  try {
    await orAborted(Promise.all(going.map(end)), AbortSignal.any([enough.signal, signal]));
  } finally {
    cancel();
  }
  return !enough.signal.aborted;
}
