/** A load that steps up, stays, swings and stops; and whether what was decided meanwhile was calm. */
import { Random } from '../../test/simulation/scaling/random.ts';

export interface Phase {
  readonly name: string;
  readonly lengthMs: number;
  /** Requests a second, on average over a swing. */
  readonly perSecond: number;
  /** It swings by so many to either side, in a sine of this period. */
  readonly swing?: { readonly by: number; readonly periodMs: number };
}

/** A change of an app's width that load has decided. */
export interface Decision {
  readonly atMs: number;
  readonly from: number;
  readonly to: number;
}

export interface Calmness {
  readonly decisions: number;
  /** Of those, how many came when their phase had lasted so long that its size should have been found. */
  readonly afterSettling: number;
  /** The most of these that a cooldown has seen. */
  readonly mostInACooldown: number;
  /** Changes back, in less than a cooldown. */
  readonly reversals: number;
}

const SETTLE_MS = 5_000;

export function lengthOf(phases: readonly Phase[]): number {
  return phases.reduce((sum, { lengthMs }) => sum + lengthMs, 0);
}

/** Requests a second; 0 when all phases are over. */
export function rateAt(phases: readonly Phase[], atMs: number): number {
  const found = phaseAt(phases, atMs);
  if (!found) return 0;
  const { perSecond, swing } = found.phase;
  return swing ? perSecond + swing.by * Math.sin((2 * Math.PI * found.sinceMs) / swing.periodMs) : perSecond;
}

/** When requests come, by chance (Poisson) at that rate; ascending. The same seed, the same moments. */
export function arrivals(phases: readonly Phase[], seed: number): number[] {
  const random = new Random(seed);
  const most = Math.max(...phases.map(({ perSecond, swing }) => perSecond + (swing?.by ?? 0)));
  const lengthMs = lengthOf(phases);
  const found: number[] = [];
  for (let atMs = 0; ;) {
    atMs += random.exponential(1_000 / most);
    if (atMs >= lengthMs) return found;
    if (random.next() * most < rateAt(phases, atMs)) found.push(atMs);
  }
}

export function calmness(
  decisions: readonly Decision[],
  phases: readonly Phase[],
  cooldownMs: number,
): Calmness {
  const settled = decisions.filter(({ atMs }) => (phaseAt(phases, atMs)?.sinceMs ?? 0) >= SETTLE_MS);
  const within = (one: Decision) =>
    settled.filter(({ atMs }) => atMs >= one.atMs && atMs < one.atMs + cooldownMs).length;
  const reversals = decisions.filter((one, index) => {
    const before = decisions[index - 1];
    if (!before || one.atMs - before.atMs >= cooldownMs) return false;
    return one.to > one.from !== before.to > before.from;
  });
  return {
    decisions: decisions.length,
    afterSettling: settled.length,
    mostInACooldown: Math.max(0, ...settled.map(within)),
    reversals: reversals.length,
  };
}

/** How many fall into each phase. */
export function byPhase(decisions: readonly Decision[], phases: readonly Phase[]): Map<string, number> {
  const counts = new Map(phases.map(({ name }) => [name, 0]));
  for (const { atMs } of decisions) {
    const name = phaseAt(phases, atMs)?.phase.name;
    if (name !== undefined) counts.set(name, (counts.get(name) ?? 0) + 1);
  }
  return counts;
}

function phaseAt(
  phases: readonly Phase[],
  atMs: number,
): { readonly phase: Phase; readonly sinceMs: number } | undefined {
  let fromMs = 0;
  for (const phase of phases) {
    if (atMs < fromMs + phase.lengthMs) return { phase, sinceMs: atMs - fromMs };
    fromMs += phase.lengthMs;
  }
  return undefined;
}
