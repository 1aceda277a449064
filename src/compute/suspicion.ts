import type { AppOnNode } from './app-on-node.ts';
import type { Live } from './live.ts';
import { PlatformError } from '../errors.ts';

/** How long a suspected container may take to accept a connection. */
const SUSPECT_TIMEOUT_MS = 1_000;

/** A connection to it failed: looks whether it lives and listens, once however many say so. */
export function suspect(app: AppOnNode, live: Live): void {
  if (!live.is('ready') || live.suspicion) return;
  live.suspicion = investigate(app, live).finally(() => {
    live.suspicion = undefined;
  });
}

async function investigate({ context, crew, closing }: AppOnNode, live: Live): Promise<void> {
  const { engine, readiness } = context;
  // With the engine away, what matters is whether the container can be reached.
  const found = await engine.inspect(live.id).catch(() => undefined);
  if (!live.is('ready')) return;
  if (found && found.status !== 'running') {
    crew.lose(live, 'it is not running any more');
    return;
  }
  try {
    if (!live.address) throw new PlatformError('start_failed', 'it has no address');
    const options = { timeoutMs: SUSPECT_TIMEOUT_MS, signal: closing.signal };
    await readiness.waitUntilListening({ address: live.address, probe: { type: 'tcp' } }, options);
    crew.publish();
  } catch {
    // What it has accepted before, it may still be working on.
    if (!closing.signal.aborted)
      crew.retire(live, 'it does not accept connections any more', { end: 'failed' });
  }
}
