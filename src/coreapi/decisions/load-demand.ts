/**
 * How much the requests need, in the two things a container has: CPU, and places for requests at once. What is *used* says
 * little in a crowd: CPU in use cannot exceed what there is, and the requests at hand pile up for as long as nothing is done,
 * whatever they need. So need is counted from the side of those who come: how many a second, times what one of them takes.
 *
 * A crowd is to be seen at once, and chance is not to be taken for one. Therefore four stretches of time are looked at, from the
 * last two observations to twelve seconds; each is cut in two and believed as far as both halves agree; and what chance may have
 * added to a count is taken off before it is compared with what there is. The stretch that is surest of most need counts.
 */
import type { Water } from './load-shape.ts';
import type { LoadWindow, RequestCost, Span, Stretch } from './load-window.ts';

/** What requests need at once. */
export interface Demand {
  /** Cores, if they were used to the full. */
  readonly cpu: number;
  /** Requests in containers at the same time. */
  readonly places: number;
}

export interface Finding {
  /** Beyond doubt: in both halves, and not by chance. */
  readonly least: Demand;
  /** As the newer half has it: if something has just begun, or all came at once, the older one is wrong about the present. */
  readonly likely: Demand;
  /** The newest span that shows it. */
  readonly span: Span;
}

export interface Need {
  /** Where most CPU is needed beyond doubt, and where most places are. */
  readonly cpu: Finding;
  readonly places: Finding;
  /** With half as much doubt: what a smaller size would have to be enough for. */
  readonly lasting: Demand;
  /** What the newest two observations show, doubtful as that is. */
  readonly now: Demand;
}

export interface DemandInput {
  readonly window: LoadWindow;
  readonly water: Water;
  /** Requests that the ready containers are meant to have at once, all together. */
  readonly places: number;
}

/** Halves of the stretches, beside the newest two observations. */
const HALVES_MS = [400, 2_000, 6_000] as const;
/** In a stretch of twice that, nothing is put down to chance. */
const LONGEST_MS = 6_000;
/** Standard deviations of a count that may be chance. */
const CHANCE = 2;
/** Held back in so many of its periods, a container uses as much CPU as it gets, even if it rests in between. */
const THROTTLED_SHARE = 0.9;
/** How soon what has piled up is to be gone. */
const DRAIN_MS = 2_000;

/** What is needed; undefined before the third observation. */
export function findNeed(input: DemandInput): Need | undefined {
  const cost = input.window.cost();
  const newest = input.window.newest();
  if (!newest) return undefined;
  const reckoning: Reckoning = { ...input, cost };
  let cpu = find(reckoning, newest, CHANCE);
  let places = cpu;
  let lasting = cpu.lasting;
  for (const halfMs of HALVES_MS) {
    const stretch = input.window.last(halfMs);
    if (!stretch) break;
    const found = find(reckoning, stretch, halfMs === LONGEST_MS ? 0 : CHANCE);
    if (found.least.cpu > cpu.least.cpu) cpu = found;
    if (found.least.places > places.least.places) places = found;
    lasting = both(Math.max, lasting, found.lasting);
  }
  return { cpu, places, lasting, now: reckon(reckoning, newest, 0, Math.max) };
}

interface Reckoning extends DemandInput {
  readonly cost: RequestCost;
}

type Choose = (a: number, b: number) => number;

function find(
  reckoning: Reckoning,
  stretch: Stretch,
  chance: number,
): Finding & { readonly lasting: Demand } {
  return {
    least: reckon(reckoning, stretch, chance, Math.min),
    likely: reckon(reckoning, stretch, 0, (_, inNewer) => inNewer),
    lasting: reckon(reckoning, stretch, chance / 2, Math.min),
    span: stretch.newer,
  };
}

/** What the halves show, with so many standard deviations taken off, and chosen from. */
function reckon(reckoning: Reckoning, { older, newer }: Stretch, doubt: number, choose: Choose): Demand {
  // The two counts are doubted as one: that chance should raise both is less likely than either.
  const count = older.arrivals + newer.arrivals;
  const sureShare = count > 0 ? beyondDoubt(count, doubt) / count : 0;
  // A shortage is one if it is there now; how much is needed has to show in both.
  const isShort = newer.granted > 0 && newer.cpu >= reckoning.water.high * newer.granted;
  const a = demandIn(reckoning, older, { doubt, sureShare, isShort });
  const b = demandIn(reckoning, newer, { doubt, sureShare, isShort });
  return both(choose, a, b);
}

function both(choose: Choose, a: Demand, b: Demand): Demand {
  return { cpu: choose(a.cpu, b.cpu), places: choose(a.places, b.places) };
}

function demandIn(
  { water, places, cost }: Reckoning,
  { ms, arrivals, inFlight, held, cpu, granted, throttledShare }: Span,
  { doubt, sureShare, isShort }: { doubt: number; sureShare: number; isShort: boolean },
): Demand {
  const used = throttledShare >= THROTTLED_SHARE && doubt === 0 ? granted : cpu;
  const present = inFlight + held;
  if (cost.cpuMs === undefined) {
    // Nobody knows yet what one takes. The target says how many a container's CPU is thought to be enough for.
    const guess = isShort ? (water.aim * granted * present) / places : 0;
    return { cpu: Math.max(used, guess), places: present };
  }
  const perMs = (arrivals * sureShare) / ms;
  const piledUp = Math.max(0, present - places);
  const wanted = cost.cpuMs * (perMs + piledUp / DRAIN_MS);
  const served = perMs * (cost.servedMs ?? 0);
  // In a shortage of CPU, requests are there because of it: how many is no need for places.
  if (isShort) return { cpu: doubt > 0 ? wanted : Math.max(used, wanted), places: served };
  const waiting = held * Math.min(1, (cost.servedMs ?? DRAIN_MS) / DRAIN_MS);
  return {
    // Without a shortage they use what they need: what was reckoned beyond that is an error of the reckoning.
    cpu: doubt > 0 ? Math.min(used, wanted) : used,
    places: Math.max(beyondDoubt(inFlight, doubt), served) + waiting,
  };
}

/** The part of a count that is not chance. */
function beyondDoubt(count: number, doubt: number): number {
  return Math.max(0, count - doubt * Math.sqrt(count));
}
