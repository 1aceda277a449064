/**
 * What load wants of an app's size. It grows at the first observations that leave no doubt, at once by as much as is needed;
 * it shrinks only after a minute in which less would have been enough at every moment. Between the two lies a band (from the low
 * to the high water) in which nothing happens: a new size is chosen to be in its middle, so no constant load moves it twice.
 *
 * Here is decided what is wanted. Whether it may be done now (mode, cooldown, quota, room) is decided on the record of the size,
 * by `decideScale`: so many may want the same at once, and it happens once.
 */
import { findNeed, type Demand, type Need } from './load-demand.ts';
import { growCpuAndPlaces, growMemory, memoryIn, type Growth } from './load-growth.ts';
import { Peaks, STABLE_MS } from './load-peaks.ts';
import {
  fillOf,
  memoryFor,
  modesOf,
  shrunkFor,
  waterOf,
  type Ceiling,
  type LoadPolicy,
} from './load-shape.ts';
import { withoutSpares, withSpares } from './load-spares.ts';
import { LoadWindow, type Observation } from './load-window.ts';
import { coresText, countText, toHundredths } from './words.ts';
import type { Extent } from './scale.ts';

export type { LoadPolicy } from './load-shape.ts';
export type { ContainerUse, Observation, Traffic } from './load-window.ts';

export interface LoadContext {
  readonly policy: LoadPolicy;
  /** The size that is wanted of the app by now: containers that start are part of it. */
  readonly extent: Extent;
  /** Containers that take requests, and that are about to. */
  readonly ready: number;
  readonly starting: number;
  /** What one container can have at most where its policy has no bound: all that a machine has. */
  readonly machine: Ceiling;
}

/** What is to be asked of `CoreApi.scale`, with `by: 'load'`. */
export interface LoadWish {
  /** What is left out stays. */
  readonly wanted: Partial<Extent>;
  /** One sentence for people. */
  readonly reason: string;
  readonly figures: Readonly<Record<string, string | number | boolean>>;
}

/** Whether a smaller size would do is asked of the last minute, and which one of a little less. */
const SETTLED_MS = 45_000;

/**
 * The load of one app while it is awake: give it every observation, and drop it when the app falls asleep. It has no clock and
 * does nothing by itself; the same observations have the same answers.
 */
export class AppLoad {
  readonly #window = new LoadWindow();
  readonly #peaks = { cpu: new Peaks(), places: new Peaks(), memory: new Peaks() };

  /** `sinceMs`: from then until the first observation, all of its traffic has come, epoch ms. Left out: it is not known. */
  constructor(sinceMs?: number) {
    if (sinceMs !== undefined) this.#window.begin(sinceMs);
  }

  /**
   * Takes in an observation and says what the load wants; undefined: the size there is, or that it cannot be told yet. A wish
   * that is not granted is said again for as long as it lasts. An observation not later than the one before is left aside.
   */
  observe(observation: Observation, context: LoadContext): LoadWish | undefined {
    return withSpares(this.#weigh(observation, withoutSpares(context)), observation, context);
  }

  #weigh(observation: Observation, context: LoadContext): LoadWish | undefined {
    const { policy, extent, ready } = context;
    const water = waterOf(policy);
    if (!this.#window.add(observation, water.high)) return undefined;
    const memory = memoryIn(observation.containers);
    this.#peaks.memory.note(observation.atMs, memory.usedBytes);
    if (policy.scaling.mode === 'off' || extent.replicas === 0) return undefined;
    const places = policy.concurrency.target * Math.max(1, ready);
    const need = findNeed({ window: this.#window, water, places });
    const growths: (Growth | undefined)[] = [growMemory(memory, context)];
    if (need) {
      const growth = growCpuAndPlaces(need, context);
      this.#note(observation.atMs, growth?.demand ?? need.lasting);
      growths.push(growth);
    }
    return grow(growths, observation, context) ?? this.#shrink(observation, context, need);
  }

  #note(atMs: number, { cpu, places }: Demand): void {
    this.#peaks.cpu.note(atMs, cpu);
    this.#peaks.places.note(atMs, places);
  }

  /** The most of each that was needed. */
  #peak(overMs: number): Demand {
    return { cpu: this.#peaks.cpu.highest(overMs), places: this.#peaks.places.highest(overMs) };
  }

  #shrink(observation: Observation, context: LoadContext, need: Need | undefined): LoadWish | undefined {
    if (!need || observation.atMs - this.#window.sinceMs < STABLE_MS) return undefined;
    const { policy, extent } = context;
    const { wide, strong } = modesOf(policy);
    const water = waterOf(policy);
    const filled = fillOf(this.#peak(STABLE_MS), extent, policy, water);
    const low = water.low / water.aim;
    const isLow = filled.cpu < low && (filled.places < low || !wide);
    // A crowd that is over fades from the window for some seconds: those are not what a size is chosen for.
    const peak = this.#peak(SETTLED_MS);
    const peakBytes = this.#peaks.memory.highest(STABLE_MS);
    const shape = isLow ? shrunkFor(peak, extent, policy, water) : extent;
    const needsLess = strong && peakBytes < water.low * extent.memoryBytes;
    const memoryBytes = needsLess ? memoryFor(peakBytes, context) : extent.memoryBytes;
    const to = { ...shape, memoryBytes };
    const wanted = difference(extent, to, (now, then) => then < now);
    // Not at the very moment when, perhaps, a crowd comes.
    const then = fillOf(need.now, to, policy, water);
    if (!wanted || then.cpu > 1 || (wide && then.places > 1)) return undefined;
    const most = `${coresText(peak.cpu)} and ${countText(peak.places, 'request')} at once`;
    return {
      wanted,
      reason: `in the last ${SETTLED_MS / 1_000} s, never more than ${most} was needed`,
      figures: {
        peakCpu: toHundredths(peak.cpu),
        peakConcurrency: toHundredths(peak.places),
        peakMemoryBytes: peakBytes,
        ...figuresOf(observation, context),
      },
    };
  }
}

function grow(
  growths: readonly (Growth | undefined)[],
  observation: Observation,
  context: LoadContext,
): LoadWish | undefined {
  const there = growths.filter((growth) => growth !== undefined);
  const { extent } = context;
  const to = Object.assign({}, extent, ...there.map((growth) => growth.to)) as Extent;
  const wanted = difference(extent, to, (now, then) => then > now);
  if (!wanted) return undefined;
  return {
    wanted,
    reason: there.flatMap(({ reasons }) => reasons).join('; '),
    figures: Object.assign(figuresOf(observation, context), ...there.map(({ figures }) => figures)) as Record<
      string,
      number
    >,
  };
}

function difference(
  from: Extent,
  to: Extent,
  counts: (now: number, then: number) => boolean,
): Partial<Extent> | undefined {
  const keys = (['replicas', 'cpu', 'memoryBytes'] as const).filter((key) => counts(from[key], to[key]));
  return keys.length === 0 ? undefined : Object.fromEntries(keys.map((key) => [key, to[key]]));
}

function figuresOf(
  { inFlight, held }: Observation,
  { ready, starting }: LoadContext,
): Record<string, number> {
  return { inFlight, held, ready, starting };
}
