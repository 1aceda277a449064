/** When load makes an app grow, how far, and in which words. */
import type { Demand, Finding, Need } from './load-demand.ts';
import { fillOf, grownFor, memoryFor, modesOf, waterOf } from './load-shape.ts';
import type { ContainerUse } from './load-window.ts';
import { coresText, countText, toHundredths } from './words.ts';
import type { LoadContext } from './load.ts';
import type { Extent } from './scale.ts';

export interface Growth {
  readonly to: Partial<Extent>;
  readonly reasons: readonly string[];
  readonly figures: Readonly<Record<string, number>>;
}

/** An OOM kill says that there was too little, not how much would have been enough. */
const OOM_GROWTH = 1.5;

/** Where the least that is needed is above the high water: the size for what is likely to be needed. */
export function growCpuAndPlaces(
  { cpu, places }: Need,
  context: LoadContext,
): (Growth & { readonly demand: Demand }) | undefined {
  const { policy, extent } = context;
  const water = waterOf(policy);
  const filled = fillOf({ cpu: cpu.least.cpu, places: places.least.places }, extent, policy, water);
  const high = water.high / water.aim;
  const lacksCpu = filled.cpu > high;
  const lacksPlaces = modesOf(policy).wide && filled.places > high;
  if (!lacksCpu && !lacksPlaces) return undefined;
  const demand: Demand = { cpu: cpu.likely.cpu, places: places.likely.places };
  const { span } = lacksCpu ? cpu : places;
  const to = grownFor(demand, extent, context);
  // A request is served by one container: more of them than requests at once would help nobody.
  const useful = Math.max(extent.replicas, Math.ceil(span.inFlight + span.held));
  const containers = countText(extent.replicas, 'container');
  return {
    demand,
    to: { ...to, replicas: Math.min(to.replicas, useful) },
    reasons: [
      ...(lacksCpu
        ? [
            `requests need ${coresText(demand.cpu)}; ${containers} of ${coresText(extent.cpu)} ${extent.replicas === 1 ? 'is' : 'are'} not enough`,
          ]
        : []),
      ...(lacksPlaces
        ? [
            `${countText(demand.places, 'request')} at once are too many for ${containers} with a target of ${policy.concurrency.target}`,
          ]
        : []),
    ],
    figures: {
      neededCpu: toHundredths(demand.cpu),
      neededConcurrency: toHundredths(demand.places),
      ...figuresOf(span),
    },
  };
}

export interface MemoryUse {
  /** Of the container that uses most. */
  readonly usedBytes: number;
  /** How full the fullest is, 0 … 1. */
  readonly share: number;
  readonly oomKills: number;
}

export function memoryIn(containers: readonly ContainerUse[]): MemoryUse {
  return {
    usedBytes: Math.max(0, ...containers.map(({ memoryBytes }) => memoryBytes)),
    share: Math.max(0, ...containers.map((one) => one.memoryBytes / one.memoryLimitBytes)),
    oomKills: containers.reduce((sum, { oomKills }) => sum + oomKills, 0),
  };
}

export function growMemory(
  { usedBytes, share, oomKills }: MemoryUse,
  context: LoadContext,
): Growth | undefined {
  const { policy, extent } = context;
  const water = waterOf(policy);
  if (!modesOf(policy).strong || (oomKills === 0 && share <= water.high)) return undefined;
  const enough = oomKills > 0 ? OOM_GROWTH * extent.memoryBytes * water.aim : 0;
  return {
    to: { memoryBytes: memoryFor(Math.max(usedBytes, enough), context) },
    reasons: [
      oomKills > 0
        ? `${countText(oomKills, 'process', 'processes')} died for want of memory`
        : `a container uses ${Math.round(share * 100)}% of its memory`,
    ],
    figures: { memoryBytes: usedBytes, oomKills },
  };
}

function figuresOf(span: Finding['span']): Record<string, number> {
  return {
    windowMs: Math.round(span.ms),
    arrivalsPerSecond: toHundredths((span.arrivals / span.ms) * 1_000),
    cpuUsed: toHundredths(span.cpu),
    cpuGranted: toHundredths(span.granted),
    throttledShare: toHundredths(span.throttledShare),
  };
}
