/**
 * Spares: containers that an app has beyond what load needs, so that a burst finds them ready. Load is weighed as if they were
 * not there, and what comes of that has them on top. They come with the first requests and go when the app falls asleep.
 */
import type { Observation } from './load-window.ts';
import { countText } from './words.ts';
import { modesOf } from './load-shape.ts';
import type { LoadContext, LoadWish } from './load.ts';

/** The app without its spares; at least one container is none. */
export function withoutSpares(context: LoadContext): LoadContext {
  const spares = sparesOf(context);
  if (spares === 0) return context;
  const { extent } = context;
  const replicas = Math.min(extent.replicas, Math.max(1, extent.replicas - spares));
  return { ...context, extent: { ...extent, replicas } };
}

/** What is wanted of an app with them, if `wish` is wanted of it without. */
export function withSpares(
  wish: LoadWish | undefined,
  { inFlight, held }: Observation,
  context: LoadContext,
): LoadWish | undefined {
  const spares = sparesOf(context);
  const { policy, extent, ready, starting } = context;
  if (spares === 0 || extent.replicas === 0) return wish;
  const needed = wish?.wanted.replicas ?? withoutSpares(context).extent.replicas;
  const replicas = Math.min(policy.maxReplicas, needed + spares);
  const { replicas: _, ...others } = wish?.wanted ?? {};
  const wanted = replicas === extent.replicas ? others : { ...others, replicas };
  if (Object.keys(wanted).length === 0) return undefined;
  const kept = `${countText(spares, 'spare')} ${spares === 1 ? 'is' : 'are'} kept ready while it is used`;
  if (!wish) return { wanted, reason: kept, figures: { spares, inFlight, held, ready, starting } };
  return { wanted, reason: `${wish.reason}; ${kept}`, figures: { ...wish.figures, spares } };
}

function sparesOf({ policy }: LoadContext): number {
  return modesOf(policy).wide ? policy.spares : 0;
}
