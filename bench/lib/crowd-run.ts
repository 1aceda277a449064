/** One crowd: 200 visitors at once in front of an app that sleeps, and what the platform told of it. */
import { setTimeout as pause } from 'node:timers/promises';
import type { EventView } from '../../src/coreapi/schema.ts';
import type { PolicyInput } from '../../src/coreapi/schema-policy.ts';
import type { Program } from '../../test/support/program.ts';
import { until } from '../../test/support/until.ts';
import { Random } from '../../test/simulation/scaling/random.ts';
import type { BurningApp } from './burning-app.ts';
import { Visitors } from './visitors.ts';
import type { Visit } from './windows.ts';

export const CLIENTS = 200;
/** Between an answer and the next request of a visitor, on average. */
export const THINK_MS = 1_000;

export interface CrowdOptions {
  readonly program: Program;
  readonly app: BurningApp;
  readonly name: string;
  readonly policy: PolicyInput;
  readonly lengthMs: number;
  readonly seed: number;
  readonly signal: AbortSignal;
}

export interface Crowd {
  readonly visits: readonly Visit[];
  readonly failures: readonly Visit[];
  readonly figures: CrowdFigures;
  /** Containers that are ready, by time. */
  readonly ready: readonly { readonly atMs: number; readonly value: number }[];
}

/** Milliseconds since the crowd came; undefined: it did not happen. */
export interface CrowdFigures {
  readonly firstAnswerMs: number | undefined;
  /** The first decision that load made. */
  readonly recognisedMs: number | undefined;
  /** A second container accepts connections; and has given its first answer. */
  readonly secondReadyMs: number | undefined;
  readonly secondServingMs: number | undefined;
  readonly containersStarted: number;
  readonly decisions: number;
  /** Why containers failed, if any did: another one is started in the place of each. */
  readonly containersFailed: readonly string[];
}

/** Registers the app, lets the crowd come, and deletes the app again. */
export async function runCrowd(options: CrowdOptions): Promise<Crowd> {
  const { program, app, name, policy, lengthMs, seed, signal } = options;
  const host = `${name}.localhost`;
  await program.client.createApp({ name, hosts: [host], ...app.workload, policy });
  const visitors = new Visitors({ port: program.proxyPort, host, path: app.path, signal });
  try {
    const random = new Random(seed);
    const visitor = async () => {
      while (visitors.nowMs < lengthMs) {
        await visitors.visit();
        const leftMs = Math.max(0, lengthMs - visitors.nowMs);
        await pause(Math.min(leftMs, random.exponential(THINK_MS)), undefined, { signal });
      }
    };
    await Promise.all(Array.from({ length: CLIENTS }, visitor));
    const events = await program.client.listEvents({ app: name, limit: 1_000 });
    const { visits, failures, beganAtMs } = visitors;
    return {
      visits,
      failures,
      figures: figuresOf(visits, events, beganAtMs),
      ready: readyOf(events, beganAtMs),
    };
  } finally {
    visitors.close();
    await program.client.deleteApp(name);
    await until(
      `the containers of ${name} to be gone`,
      async () => (await program.client.listContainers()).length === 0,
    );
  }
}

export function figuresOf(
  visits: readonly Visit[],
  events: readonly Pick<EventView, 'type' | 'atMs' | 'figures' | 'reason'>[],
  beganAtMs: number,
): CrowdFigures {
  const answered = visits.filter(({ status }) => status === 200);
  const first = answered[0];
  const second = answered.find(({ by }) => by !== first?.by);
  const decided = events.filter(({ type, figures }) => type === 'scale.decided' && figures['by'] === 'load');
  const recognised = decided[0];
  const secondReady = events.filter(({ type }) => type === 'container.ready')[1];
  return {
    firstAnswerMs: first?.endedMs,
    recognisedMs: recognised && recognised.atMs - beganAtMs,
    secondReadyMs: secondReady && secondReady.atMs - beganAtMs,
    secondServingMs: second?.endedMs,
    containersStarted: events.filter(({ type }) => type === 'container.starting').length,
    decisions: decided.length,
    containersFailed: events.filter(({ type }) => type === 'container.failed').map(({ reason }) => reason),
  };
}

/** From events of states: each `container.ready` is one more, each end of one that was ready is one less. */
export function readyOf(
  events: readonly Pick<EventView, 'type' | 'atMs' | 'containerId'>[],
  beganAtMs: number,
): { atMs: number; value: number }[] {
  const ready = new Set<string>();
  const steps = [{ atMs: 0, value: 0 }];
  for (const { type, atMs, containerId } of events) {
    const before = ready.size;
    if (containerId === null || !type.startsWith('container.')) continue;
    if (type === 'container.ready') ready.add(containerId);
    else if (
      ['container.draining', 'container.stopped', 'container.failed', 'container.paused'].includes(type)
    )
      ready.delete(containerId);
    if (ready.size !== before) steps.push({ atMs: Math.max(0, atMs - beganAtMs), value: ready.size });
  }
  return steps;
}
