/**
 * A connection to a container failed: does it live, does it listen? One that has gone, or refuses, is replaced. One that lets
 * connections wait is busy, its backlog is full: it stays in use, and is looked at again until it accepts one. It hangs, and
 * is replaced as well, when it has not accepted a single one for long.
 */
import { formatDuration } from '../units.ts';
import type { AppOnNode } from './app-on-node.ts';
import type { Live } from './live.ts';

/** How long a suspected container may take to accept a connection. */
const SUSPECT_TIMEOUT_MS = 1_000;
/** After a look that met silence. */
const LOOK_AGAIN_MS = 1_000;
/** One that accepts none of the connections of so long is not busy any more. */
const HANGS_AFTER_MS = 60_000;

/** A connection to it failed: looks whether it lives and listens, once however many say so. */
export function suspect(app: AppOnNode, live: Live): void {
  if (!live.is('ready') || live.suspicion) return;
  live.suspicion = investigate(app, live).finally(() => {
    live.suspicion = undefined;
  });
}

/** Asks the engine and the network at once: an engine that hangs keeps nobody from a container that can be reached. */
async function investigate(app: AppOnNode, live: Live): Promise<void> {
  const { context, crew, closing } = app;
  const lost = new AbortController();
  live.inspection ??= loseIfEnded(app, live).finally(() => {
    live.inspection = undefined;
  });
  void live.inspection.then((ended) => ended && lost.abort());
  const signal = AbortSignal.any([closing.signal, lost.signal]);
  const reached = live.address
    ? await context.readiness
        .reach(live.address, { timeoutMs: SUSPECT_TIMEOUT_MS, signal })
        .catch(() => undefined)
    : 'refused';
  if (reached === undefined || !live.is('ready')) return;
  if (reached === 'silent') wasSilent(app, live);
  else live.silentSinceMs = undefined;
  if (reached === 'accepted') crew.publish();
  // What it has accepted before, it may still be working on.
  if (reached === 'refused') crew.retire(live, 'it does not accept connections any more', { end: 'failed' });
}

/** With the engine away, what matters is whether the container can be reached. */
async function loseIfEnded({ context, crew }: AppOnNode, live: Live): Promise<boolean> {
  const found = await context.engine.inspect(live.id).catch(() => undefined);
  if (!found || found.status === 'running' || !live.is('ready')) return false;
  crew.lose(live, 'it is not running any more');
  return true;
}

/** It may be busy: it is named again, and looked at again. */
function wasSilent(app: AppOnNode, live: Live): void {
  const { crew, context } = app;
  const { clock, deadlines } = context;
  live.silentSinceMs ??= clock.monotonicMs();
  const silentMs = clock.monotonicMs() - live.silentSinceMs;
  if (silentMs >= HANGS_AFTER_MS) {
    const reason = `it runs, and has not accepted a connection for ${formatDuration(silentMs)}`;
    crew.retire(live, reason, { end: 'failed' });
    return;
  }
  crew.publish();
  deadlines.set(`silence ${live.id}`, clock.nowMs() + LOOK_AGAIN_MS, () => {
    if (live.is('ready')) suspect(app, live);
    else live.silentSinceMs = undefined; // nobody looks while it sleeps
  });
}
