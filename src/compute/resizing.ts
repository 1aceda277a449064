/**
 * Another size for a container that runs, without a restart. What it may come to have is reserved before the engine gives
 * it, and given back after the engine has taken it: so a node never gives away more than it has, whenever this is cut off.
 */
import type { Resources } from '../cmdb/records.ts';
import { decideResize } from '../coreapi/decisions/resize.ts';
import { sameResources } from '../coreapi/decisions/size.ts';
import { isPlatformError, PlatformError } from '../errors.ts';
import { formatBytes } from '../units.ts';
import type { AppOnNode } from './app-on-node.ts';
import type { Live } from './live.ts';

/** What could not be done, or only in part, is tried again after this. */
const RETRY_MS = 60_000;

/** Begins at once; a failure is told as an event, and the container goes on as it is. */
export function resize(app: AppOnNode, live: Live, wanted: Resources): void {
  const { clock, log } = app.context;
  live.resizing = attempt(app, live, wanted)
    .catch((thrown: unknown) => {
      if (live.isGoing || app.closing.signal.aborted) return;
      live.resizeNotBeforeMs = clock.nowMs() + RETRY_MS;
      const error = PlatformError.from(thrown);
      log.warn({ containerId: live.id, err: error }, 'a container could not be given another size');
      app.tell('scale.failed', `container ${live.id} keeps its size: ${error.message}`, {
        code: error.code,
        ...figures(live.resources, wanted),
      });
    })
    .finally(() => {
      live.resizing = undefined;
      app.changed();
    });
}

async function attempt(app: AppOnNode, live: Live, wanted: Resources): Promise<void> {
  const { engine, core, clock } = app.context;
  const has = live.resources;
  const shrinks = wanted.memoryBytes < has.memoryBytes;
  const memoryUsedBytes = shrinks ? (await engine.stats(live.id)).memoryBytes : 0;
  const { to, peak, isHeldBack } = decideResize({ has, wanted, memoryUsedBytes });
  // What this program took over may have been cut off in the middle of another change: then the engine is told in any case.
  if (!sameResources(to, has) || !live.isSizeSure) {
    if (!sameResources(peak, has)) await core.resize(live.id, peak);
    try {
      await engine.updateResources(live.id, to);
    } catch (thrown) {
      if (isPlatformError(thrown, 'engine_unavailable')) {
        // It may have it, or get it yet: what is reserved for it stays so, until the engine is told again.
        live.resources = peak;
        live.isSizeSure = false;
      } else if (!sameResources(peak, has)) await core.resize(live.id, has);
      throw thrown;
    }
    live.resources = to;
    live.gotItsSize(clock.nowMs());
    live.isSizeSure = true;
    if (!sameResources(to, peak)) await core.resize(live.id, to);
    app.tell('container.resized', describe(has, to), { ...figures(has, to), memoryUsedBytes }, live.id);
  }
  if (!isHeldBack) return;
  live.resizeNotBeforeMs = clock.nowMs() + RETRY_MS;
  if (live.heldBackAtBytes === wanted.memoryBytes) return; // that has been told
  live.heldBackAtBytes = wanted.memoryBytes;
  const reason = `it uses ${formatBytes(memoryUsedBytes)} of memory and keeps ${formatBytes(to.memoryBytes)} for now, not ${formatBytes(wanted.memoryBytes)}`;
  app.tell('scale.held_back', reason, { memoryUsedBytes, ...figures(to, wanted) }, live.id);
}

function describe(from: Resources, to: Resources): string {
  const parts = [
    ...(from.cpu === to.cpu ? [] : [`${from.cpu} → ${to.cpu} CPU`]),
    ...(from.memoryBytes === to.memoryBytes
      ? []
      : [`${formatBytes(from.memoryBytes)} → ${formatBytes(to.memoryBytes)} of memory`]),
    ...(from.pidsMax === to.pidsMax ? [] : [`${from.pidsMax} → ${to.pidsMax} processes`]),
  ];
  return `it was given another size: ${parts.join(', ') || 'the one that is recorded'}`;
}

function figures(from: Resources, to: Resources): Record<string, number> {
  return {
    fromCpu: from.cpu,
    toCpu: to.cpu,
    fromMemoryBytes: from.memoryBytes,
    toMemoryBytes: to.memoryBytes,
  };
}
