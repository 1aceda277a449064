/**
 * How a container goes: its work in flight is finished or its drain deadline passes, it is asked to stop, then made to,
 * and its remains (logs, file system) are kept for a while for whoever wants to know what it said.
 */
import { sleep } from '../clock.ts';
import { isPlatformError } from '../errors.ts';
import type { NodeContext } from './context.ts';
import type { Live } from './live.ts';

const FIRST_RETRY_MS = 200;
const MAX_RETRY_MS = 30_000;

/** Resolves or rejects as the work does, or resolves when the signal aborts; the work is then left to itself. */
export async function orAborted(work: Promise<unknown>, signal: AbortSignal): Promise<void> {
  if (signal.aborted) {
    work.catch(() => undefined);
    return;
  }
  const { promise: aborted, resolve } = Promise.withResolvers<undefined>();
  const stopWaiting = () => resolve(undefined);
  signal.addEventListener('abort', stopWaiting, { once: true });
  try {
    await Promise.race([work, aborted]);
  } finally {
    signal.removeEventListener('abort', stopWaiting);
  }
}

/** Lets requests in flight end, until `deadlineMs` have passed or the signal aborts; what is left is then broken off. */
export async function drain(
  context: NodeContext,
  live: Live,
  deadlineMs: number,
  signal: AbortSignal,
): Promise<void> {
  const { clock, dataPlanes } = context;
  const cancel = clock.after(deadlineMs, () => dataPlanes.abort(live.id));
  try {
    await orAborted(dataPlanes.drain(live.id), signal);
    if (signal.aborted) dataPlanes.abort(live.id);
  } finally {
    cancel();
  }
}

/** Stops it, however long the engine is away; when `signal` aborts, one last try is made and not waited for. */
export function stop(context: NodeContext, live: Live, graceMs: number, signal: AbortSignal): Promise<void> {
  return untilDone(context, live, signal, 'stop', () =>
    orAborted(context.engine.stop(live.id, graceMs), signal),
  );
}

/**
 * Removes its remains, then its record, however long the engine or the database is away. A record that cannot be removed when the
 * node stops (`closing`) stays; adoption forgets it at the next start, finding no container for it.
 */
export async function remove(
  context: NodeContext,
  live: Live,
  { giveUp, closing }: { readonly giveUp: AbortSignal; readonly closing: AbortSignal },
): Promise<void> {
  const { engine, outbox, core } = context;
  await untilDone(context, live, giveUp, 'remove', () => orAborted(engine.remove(live.id), giveUp));
  await untilDone(context, live, closing, 'forget', async () => {
    await outbox.recorded(live.id);
    await core.forget(live.id);
  });
}

async function untilDone(
  context: NodeContext,
  live: Live,
  signal: AbortSignal,
  what: string,
  act: () => Promise<void>,
): Promise<void> {
  for (let retryMs = FIRST_RETRY_MS; ; retryMs = Math.min(MAX_RETRY_MS, retryMs * 2)) {
    try {
      await act();
      return;
    } catch (thrown) {
      if (isPlatformError(thrown, 'not_found')) return;
      context.log.warn(
        { containerId: live.id, what, retryMs, err: thrown },
        'it could not be done; trying again',
      );
      await sleep(context.clock, retryMs, signal).catch(() => undefined);
      if (signal.aborted) return;
    }
  }
}
