/**
 * A load that changes as loads do, and an app that should not change more than it has to: steps up, a plateau, swings with
 * periods from a second to a minute, a fall, and silence. Counted is what load decided, above all when a size should have
 * been found already.
 */
import { setTimeout as pause } from 'node:timers/promises';
import type { EventView } from '../src/coreapi/schema.ts';
import { startProgram, type Program } from '../test/support/program.ts';
import { until } from '../test/support/until.ts';
import { withBurningApp, type BurningApp, type EngineName } from './lib/burning-app.ts';
import { arrivals, byPhase, calmness, lengthOf, rateAt, type Decision, type Phase } from './lib/calm-plan.ts';
import { readyOf } from './lib/crowd-run.ts';
import { dockerSocketAnswers } from './lib/docker-baseline.ts';
import { interruptible, progress } from './lib/interruptible.ts';
import { publish, single, summarize, type Row } from './lib/report.ts';
import { timelineChart } from './lib/timeline.ts';
import { Visitors } from './lib/visitors.ts';
import type { BenchOptions } from './main.ts';

const REQUEST_CPU_MS = 8;
const SEED = 1;
/** More open requests than that mean that the app, or this machine, does not keep up at all. */
const MAX_OPEN = 1_000;

const swinging = (periodMs: number, lengthMs: number): Phase => ({
  name: `swings of ${periodMs / 1_000} s`,
  lengthMs,
  perSecond: 38,
  swing: { by: 22, periodMs },
});

const FULL: readonly Phase[] = [
  { name: 'few', lengthMs: 10_000, perSecond: 10 },
  { name: 'step up', lengthMs: 15_000, perSecond: 30 },
  { name: 'plateau', lengthMs: 30_000, perSecond: 60 },
  swinging(1_000, 15_000),
  swinging(5_000, 20_000),
  swinging(20_000, 40_000),
  swinging(60_000, 60_000),
  { name: 'fall', lengthMs: 90_000, perSecond: 10 },
];
/** Too short for anything to shrink before the end: that takes a quiet minute. */
const QUICK: readonly Phase[] = [
  { name: 'few', lengthMs: 4_000, perSecond: 10 },
  { name: 'plateau', lengthMs: 9_000, perSecond: 60 },
  swinging(1_000, 7_000),
  swinging(5_000, 10_000),
];

export function run({ quick, json }: BenchOptions): Promise<void> {
  return interruptible(async (signal) => {
    const engine: EngineName = (await dockerSocketAnswers()) ? 'docker' : 'process';
    const phases = quick ? QUICK : FULL;
    const policy = {
      ...{ cpu: 0.3, memoryBytes: 64 * 2 ** 20, maxReplicas: 5, lifetimeMs: null },
      cooldownMs: { in: quick ? 5_000 : 15_000 },
      ...{ idlePauseMs: null, idleStopMs: quick ? 3_000 : 10_000 },
      concurrency: { target: 10, limit: 50 },
    };
    const { visitors, events, zeroMs } = await withBurningApp(engine, REQUEST_CPU_MS, async (app) => {
      const program = await startProgram({ engine, detached: true });
      try {
        return await measure(program, app, { policy, phases, signal });
      } finally {
        await program.stop();
      }
    });
    const { beganAtMs, visits, failures } = visitors;
    const decisions = decisionsOf(events, beganAtMs);
    const calm = calmness(decisions, phases, policy.cooldownMs.in);
    const rows: Row[] = [
      single('decisions', 'count', calm.decisions),
      ...[...byPhase(decisions, phases)].map(([name, count]) => single(`decisions: ${name}`, 'count', count)),
      single('decisions after settling', 'count', calm.afterSettling),
      single('most of them in one cooldown', 'count', calm.mostInACooldown),
      single('changes back within a cooldown', 'count', calm.reversals),
      single(
        'containers started',
        'count',
        events.filter(({ type }) => type === 'container.starting').length,
      ),
      summarize(
        'response time',
        'ms',
        visits.map(({ beganMs, endedMs }) => endedMs - beganMs),
      ),
      single('requests failed', 'count', failures.length),
      single('from the last answer to no container', 'ms', zeroMs),
    ];
    const notes = [
      calm.mostInACooldown <= 1 && calm.reversals === 0
        ? 'calm: after settling at most one change per cooldown, and none taken back within one'
        : 'NOT calm: after settling, more than one change in a cooldown, or one that was taken back',
      `settled: 5 s after its phase began; cooldown ${policy.cooldownMs.in / 1_000} s; idleStopMs ${policy.idleStopMs}`,
    ];
    const { cpu } = policy;
    publish(
      {
        bench: 'calm',
        params: { quick, engine, cpu, requestCpuMs: REQUEST_CPU_MS, seed: SEED },
        ...{ rows, ratios: {}, notes },
      },
      picture(phases, decisions, readyOf(events, beganAtMs)),
      json,
    );
  });
}

async function measure(
  program: Program,
  app: BurningApp,
  { policy, phases, signal }: { policy: object; phases: readonly Phase[]; signal: AbortSignal },
): Promise<{ visitors: Visitors; events: EventView[]; zeroMs: number }> {
  const name = 'calm';
  const host = `${name}.localhost`;
  await program.client.createApp({ name, hosts: [host], ...app.workload, policy });
  const visitors = new Visitors({ port: program.proxyPort, host, path: app.path, signal });
  try {
    progress(`${phases.map((phase) => phase.name).join(', ')}: ${lengthOf(phases) / 1_000} s`);
    const open = new Set<Promise<unknown>>();
    for (const atMs of arrivals(phases, SEED)) {
      const leadMs = atMs - visitors.nowMs;
      if (leadMs > 0) await pause(leadMs, undefined, { signal });
      if (open.size >= MAX_OPEN) throw new Error(`${MAX_OPEN} requests wait for an answer: nothing keeps up`);
      // An interruption is told to whoever waits below.
      const visit: Promise<unknown> = visitors
        .visit()
        .catch(() => undefined)
        .finally(() => open.delete(visit));
      open.add(visit);
    }
    await Promise.all(open);
    signal.throwIfAborted();
    const stoppedMs = visitors.nowMs;
    progress('silence');
    await until(
      'no container to be left',
      async () => {
        signal.throwIfAborted();
        const containers = await program.client.listAppContainers(name);
        return containers.every(({ state }) => state === 'stopped');
      },
      60_000,
    );
    const events = await program.client.listEvents({ app: name, limit: 1_000 });
    return { visitors, events, zeroMs: visitors.nowMs - stoppedMs };
  } finally {
    visitors.close();
  }
}

function decisionsOf(events: readonly EventView[], beganAtMs: number): Decision[] {
  return events
    .filter(({ type, figures }) => type === 'scale.decided' && figures['by'] === 'load')
    .map(({ atMs, figures }) => ({
      atMs: atMs - beganAtMs,
      from: Number(figures['fromReplicas']),
      to: Number(figures['toReplicas']),
    }));
}

function picture(
  phases: readonly Phase[],
  decisions: readonly Decision[],
  ready: readonly { atMs: number; value: number }[],
): string {
  const loadMs = lengthOf(phases);
  const lengthMs = Math.max(loadMs, ready.at(-1)?.atMs ?? 0);
  const rate = Array.from({ length: 601 }, (_, index) => {
    const atMs = (index * lengthMs) / 600;
    return { atMs, value: rateAt(phases, atMs) };
  });
  const wanted = decisions.map(({ atMs, to }) => ({ atMs, value: to }));
  return timelineChart('A load that changes, and containers that do so seldom', lengthMs, [
    { title: 'requests a second', series: [{ name: 'on average', colour: '#4c78a8', points: rate }] },
    {
      title: 'containers',
      series: [
        { name: 'ready', colour: '#e45756', steps: true, points: ready },
        {
          name: 'decided',
          colour: '#999999',
          steps: true,
          points: [{ atMs: 0, value: 1 }, ...wanted, { atMs: loadMs, value: 0 }],
        },
      ],
    },
  ]);
}
