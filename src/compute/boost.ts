/**
 * Lending CPU to a container while it starts, and taking it back. What is lent is known here and to the engine alone: in the
 * records a container has its own size throughout, so a program that finds more than that takes it back (adoption.ts).
 */
import { boostedCpu } from '../coreapi/decisions/boost.ts';
import { PlatformError } from '../errors.ts';
import type { AppOnNode } from './app-on-node.ts';
import type { Live } from './live.ts';
import type { Placed } from './place.ts';

/** What the engine did not take back is asked for again after this. */
const RETRY_MS = 5_000;

/** Decides what the container is lent for its start; the engine gives it with the start. */
export function lend({ context, crew }: AppOnNode, live: Live, { spec, spareCpu }: Placed): void {
  const { engine, limits, lentCpu } = context;
  // What could not be taken back without a restart is not lent.
  if (!engine.capabilities.limits || !engine.capabilities.liveUpdate || crew.deleted) return;
  const { policy } = spec.app;
  const { resources } = live;
  const cpu = boostedCpu({ policy, resources, spareCpu, lentCpu: lentCpu(), cores: limits.cores });
  if (cpu !== undefined) live.boost = { cpu, endsAtMs: Infinity };
}

/** Takes it back. Begins at once; a failure is told, and the container goes on as it is for a while. */
export function takeBack(app: AppOnNode, live: Live): void {
  const { clock, log, engine } = app.context;
  const { boost, resources } = live;
  if (boost === undefined) return;
  live.resizing = engine
    .updateResources(live.id, resources)
    .then(() => {
      live.gotItsSize(clock.nowMs());
      const reason = `it has its own ${resources.cpu} CPU again, after ${boost.cpu} for its start`;
      app.tell('container.boost_ended', reason, { fromCpu: boost.cpu, toCpu: resources.cpu }, live.id);
    })
    .catch((thrown: unknown) => {
      if (live.isGoing || app.closing.signal.aborted) return;
      live.boost = { ...boost, endsAtMs: clock.nowMs() + RETRY_MS };
      const error = PlatformError.from(thrown);
      log.warn({ containerId: live.id, err: error }, 'a container could not be given its own CPU again');
    })
    .finally(() => {
      live.resizing = undefined;
      app.changed();
    });
}
