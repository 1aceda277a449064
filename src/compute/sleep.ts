/**
 * Falling asleep and waking up. Whether an app is idle is known by the data planes alone: they are asked whether it is, then
 * asked to let go of those that are to rest *only if* it still is; a no of one of them cancels it all.
 */
import type { CrewAction } from '../coreapi/decisions/crew.ts';
import { isPlatformError, PlatformError } from '../errors.ts';
import type { AppOnNode } from './app-on-node.ts';
import type { Live } from './live.ts';

type Rest = Extract<CrewAction, { do: 'rest' }>;

/** Brings what is known of the activity of all that serve up to date. Nothing is taken out of use for that. */
export async function askActivity({ crew, context }: AppOnNode): Promise<void> {
  await Promise.all(
    crew.ready().map(async (live) => {
      const atMs = await context.dataPlanes.lastActiveAtMs(live.id);
      live.lastActiveAtMs = Math.max(live.lastActiveAtMs, atMs);
    }),
  );
}

/** Whoever comes from here on asks to wake the app, and waits for the end of this. Begins at once. */
export function putToRest(app: AppOnNode, { ids, how, idleSinceMs, reason }: Rest): void {
  const { crew } = app;
  const lastActiveAtMs = Math.max(...crew.ready().map((live) => live.lastActiveAtMs));
  const chosen = ids.flatMap((id) => crew.get(id) ?? []).filter((live) => live.is('ready'));
  const { promise: idle, resolve, reject } = Promise.withResolvers<boolean>();
  for (const live of chosen) {
    crew.change(live, 'pausing', async () => {
      const isIdle = await idle;
      if (!live.is('pausing')) return undefined;
      // It was kept awake for the others, so it sleeps as long as they do.
      if (isIdle) live.lastActiveAtMs = lastActiveAtMs;
      if (!isIdle) putBack(app, live);
      else if (how === 'pause') await pause(app, live, reason);
      else crew.retire(live, reason);
      return undefined;
    });
  }
  takeOutOfUse(app, chosen, idleSinceMs).then(resolve, reject);
}

/** Whether all of them were idle, and so the app has fallen asleep; then they get no requests any more. */
async function takeOutOfUse(
  app: AppOnNode,
  chosen: readonly Live[],
  onlyIfIdleSinceMs: number,
): Promise<boolean> {
  const results = await Promise.all(
    chosen.map(async (live) => {
      const result = await app.context.dataPlanes.drain(live.id, { onlyIfIdleSinceMs });
      if (result.drained) return true;
      // Whoever says no was active after that, whatever its clock says: or it would be asked again and again.
      live.lastActiveAtMs = Math.max(result.lastActiveAtMs, onlyIfIdleSinceMs + 1);
      return false;
    }),
  );
  const isIdle = results.every(Boolean);
  if (isIdle) app.fellAsleep();
  return isIdle;
}

/** In use again; that alone is no activity. */
function putBack({ crew }: AppOnNode, live: Live): void {
  live.state = 'ready';
  crew.publish();
}

async function pause({ crew, context }: AppOnNode, live: Live, reason: string): Promise<void> {
  const { engine, outbox, log } = context;
  try {
    await engine.pause(live.id);
  } catch (thrown) {
    if (!live.is('pausing')) return;
    log.warn({ containerId: live.id, err: thrown }, 'an idle container could not be paused');
    const gone = isPlatformError(thrown, 'not_found') || isPlatformError(thrown, 'invalid_transition');
    if (gone) crew.lose(live, 'it is not running any more');
    else crew.serve(live);
    return;
  }
  if (!live.is('pausing')) return;
  live.state = 'paused';
  outbox.report(live.id, { state: 'paused', reason });
  crew.publish();
}

export interface WakeOptions {
  readonly reason: string;
  /** Called where the engine is away, or what it needs is not ready, and it sleeps on, before anything else is looked at. */
  readonly onFailed: () => void;
}

/** Begins at once; `live.change` resolves with the failure where it sleeps on. */
export function wake(app: AppOnNode, live: Live, { reason, onFailed }: WakeOptions): void {
  app.crew.change(live, 'waking', async () => {
    const error = await resume(app, live, reason);
    if (error) onFailed();
    return error;
  });
}

async function resume(app: AppOnNode, live: Live, reason: string): Promise<PlatformError | undefined> {
  const { crew, context } = app;
  const { engine, clock, outbox, log } = context;
  let needsMs: number | undefined;
  try {
    needsMs = await app.wakeNeeds();
  } catch (thrown) {
    if (live.is('waking')) live.state = 'paused';
    return PlatformError.from(thrown);
  }
  if (!live.is('waking')) return undefined;
  const beganMs = clock.monotonicMs();
  try {
    await engine.unpause(live.id);
  } catch (thrown) {
    if (!live.is('waking')) return undefined;
    if (isPlatformError(thrown, 'engine_unavailable')) {
      live.state = 'paused';
      return thrown;
    }
    log.warn({ containerId: live.id, err: thrown }, 'a paused container could not be resumed');
    crew.lose(live, `it could not be resumed: ${PlatformError.from(thrown).message}`);
    return undefined;
  }
  if (!live.is('waking')) return undefined; // it died, or was told to go, at that moment
  const resumeMs = clock.monotonicMs() - beganMs;
  const phasesMs = { ...(needsMs !== undefined && { needs: needsMs }), resume: resumeMs };
  live.awakening = { kind: 'resumed', phasesMs, atMs: clock.monotonicMs() };
  crew.serve(live);
  outbox.report(live.id, { state: 'ready', reason, phasesMs });
  return undefined;
}
