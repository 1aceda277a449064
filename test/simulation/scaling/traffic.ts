/**
 * Synthetic traffic: a rate over time, and requests that come by chance at that rate (a Poisson process, by thinning). Rates are
 * in requests a second, for a workload of which one container can serve 12.5 a second; a workload that takes less has more of it.
 */
import type { Random } from './random.ts';

export interface Traffic {
  readonly name: string;
  /** What it is, for people. */
  readonly text: string;
  readonly lengthMs: number;
  /** Requests per second at a time; drawn for each seed. */
  rate(random: Random): (atMs: number) => number;
  readonly peak: number;
}

const MINUTE_MS = 60_000;

function constant(name: string, text: string, perSecond: number, minutes: number): Traffic {
  return { name, text, lengthMs: minutes * MINUTE_MS, peak: perSecond, rate: () => () => perSecond };
}

/** On for half of each period, and off, with 2 requests a second left. */
export function oscillation(periodMs: number, minutes = 30, onPerSecond = 60): Traffic {
  return {
    name: `oscillation ${periodMs / 1_000} s`,
    text: `${onPerSecond} for ${periodMs / 2_000} s, 2 for ${periodMs / 2_000} s, and so on`,
    lengthMs: minutes * MINUTE_MS,
    peak: onPerSecond,
    rate: () => (atMs) => (atMs % periodMs < periodMs / 2 ? onPerSecond : 2),
  };
}

const STEPS = [5, 40, 15, 80, 10, 30];

export const TRAFFICS: readonly Traffic[] = [
  constant('steady', '40 a second', 40, 30),
  {
    name: 'steps',
    text: `${STEPS.join(', ')} a second for 7 minutes each`,
    lengthMs: STEPS.length * 7 * MINUTE_MS,
    peak: 80,
    rate: () => (atMs) => STEPS[Math.floor(atMs / (7 * MINUTE_MS))] ?? 0,
  },
  {
    name: 'spikes',
    text: '5 a second; 100 for 20 to 60 s, about every six minutes',
    lengthMs: 60 * MINUTE_MS,
    peak: 100,
    rate(random) {
      const spikes: { from: number; to: number }[] = [];
      for (let at = random.exponential(5 * MINUTE_MS); at < this.lengthMs;) {
        const to = at + 20_000 + 40_000 * random.next();
        spikes.push({ from: at, to });
        at = to + MINUTE_MS + random.exponential(5 * MINUTE_MS);
      }
      return (atMs) => (spikes.some(({ from, to }) => atMs >= from && atMs < to) ? 100 : 5);
    },
  },
  {
    name: 'diurnal',
    text: 'a day in an hour: 2 to 62 a second and back, as a sine',
    lengthMs: 60 * MINUTE_MS,
    peak: 62,
    rate: () => (atMs) => 32 - 30 * Math.cos((2 * Math.PI * atMs) / (60 * MINUTE_MS)),
  },
  oscillation(10_000),
  oscillation(40_000),
  {
    name: 'on and off',
    text: '40 a second for 3 minutes, none for 5',
    lengthMs: 56 * MINUTE_MS,
    peak: 40,
    rate: () => (atMs) => (atMs % (8 * MINUTE_MS) < 3 * MINUTE_MS ? 40 : 0),
  },
  {
    name: 'crowd',
    text: 'none; then 100 a second at once, fading over 10 minutes; none',
    lengthMs: 30 * MINUTE_MS,
    peak: 100,
    rate: () => (atMs) => {
      const sinceMs = atMs - 5 * MINUTE_MS;
      return sinceMs < 0 || sinceMs > 15 * MINUTE_MS ? 0 : 100 * Math.exp(-sinceMs / (3 * MINUTE_MS));
    },
  },
  {
    name: 'ramp',
    text: '1 to 90 a second over 30 minutes, then 1 again',
    lengthMs: 45 * MINUTE_MS,
    peak: 90,
    rate: () => (atMs) => (atMs < 30 * MINUTE_MS ? 1 + (89 * atMs) / (30 * MINUTE_MS) : 1),
  },
  {
    name: 'bursty',
    text: 'a new rate every 2 s to 2 minutes: 3 to 80 a second, mostly low',
    lengthMs: 60 * MINUTE_MS,
    peak: 80,
    rate(random) {
      const parts: { untilMs: number; perSecond: number }[] = [];
      for (let at = 0; at < this.lengthMs;) {
        at += Math.min(120_000, 2_000 + random.exponential(30_000));
        parts.push({ untilMs: at, perSecond: 3 + 77 * random.next() ** 3 });
      }
      let index = 0;
      return (atMs) => {
        while (index + 1 < parts.length && (parts[index]?.untilMs ?? 0) <= atMs) index++;
        return parts[index]?.perSecond ?? 0;
      };
    },
  },
  constant('trickle', 'one in 20 s', 0.05, 120),
];

export function trafficNamed(name: string): Traffic {
  const found = TRAFFICS.find((one) => one.name === name);
  if (!found) throw new Error(`there is no traffic ${name}`);
  return found;
}

/** When requests come, one after the other; undefined once the traffic is over. */
export function arrivals(traffic: Traffic, random: Random, factor: number): () => number | undefined {
  const rate = traffic.rate(random);
  const meanMs = 1_000 / (traffic.peak * factor);
  let atMs = 0;
  return () => {
    do {
      atMs += random.exponential(meanMs);
      if (atMs >= traffic.lengthMs) return undefined;
    } while (random.next() * traffic.peak > rate(atMs));
    return atMs;
  };
}
