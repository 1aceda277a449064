/**
 * A crowd in front of an app that sleeps: nobody, then 200 visitors at once. With scaling by load as any app has it, and beside
 * it, in the same rounds, the same app with scaling off: how soon the crowd is recognised, how soon a second container
 * serves, and how long it takes until waiting is what it will stay.
 */
import { dockerSocketAnswers } from './lib/docker-baseline.ts';
import { withBurningApp, type BurningApp, type EngineName } from './lib/burning-app.ts';
import { CLIENTS, runCrowd, THINK_MS, type Crowd, type CrowdFigures } from './lib/crowd-run.ts';
import { interruptible, progress } from './lib/interruptible.ts';
import { observationCost } from './lib/observation-cost.ts';
import { medianOf, publish, single, summarize, type Row } from './lib/report.ts';
import { timelineChart, type Panel } from './lib/timeline.ts';
import { settledAtMs, steadyP95, windowsOf } from './lib/windows.ts';
import { startProgram } from '../test/support/program.ts';
import type { BenchOptions } from './main.ts';

/** CPU that a request takes: 200 visitors with a second between two requests need about twice what a container has. */
const REQUEST_CPU_MS = 5;
const POLICY = {
  cpu: 0.4,
  memoryBytes: 64 * 2 ** 20,
  maxReplicas: 4,
  lifetimeMs: null,
  concurrency: { target: 10, limit: 20 },
};
const VARIANTS = {
  'scaling out': { ...POLICY, scaling: { mode: 'out' } },
  'scaling off': { ...POLICY, scaling: { mode: 'off' } },
} as const;
type Variant = keyof typeof VARIANTS;
const COLOURS: Readonly<Record<Variant, string>> = { 'scaling out': '#e45756', 'scaling off': '#999999' };
const WINDOW_MS = 250;
/** Waiting is as it will stay when its p95 is within so many times of that. */
const SETTLED_FACTOR = 2;
const SERVING_TARGET_MS = 1_000;
const RECOGNISED_TARGET_MS = 300;

interface Measured {
  readonly engine: EngineName;
  readonly crowds: ReadonlyMap<Variant, Crowd[]>;
  readonly lengthMs: number;
  readonly observation: readonly Row[];
}

export function run({ quick, json }: BenchOptions): Promise<void> {
  return interruptible(async (signal) => {
    const notes: string[] = [];
    const hasDocker = await dockerSocketAnswers();
    if (!hasDocker)
      notes.push('no Docker engine answers: install docker.io and start dockerd to see its rows');
    const engines: EngineName[] = [...(hasDocker ? ['docker' as const] : []), 'process'];
    if (quick) engines.length = 1;
    const rounds = quick ? 1 : 5;
    const lengthMs = quick ? 8_000 : 15_000;
    const measured: Measured[] = [];
    for (const engine of engines)
      measured.push(
        await withBurningApp(engine, REQUEST_CPU_MS, (app) =>
          measure(engine, app, { rounds, lengthMs, signal }),
        ),
      );
    const rows = measured.flatMap(rowsOf);
    const [main] = measured;
    if (!main) return;
    const median = (name: string) => medianOf(rows, `${main.engine}: ${name}`);
    notes.push(
      `${main.engine}: recognised after ${median('overload recognised')} ms (target: ${RECOGNISED_TARGET_MS}), a second container served after ${median('second container serving')} ms (target: ${SERVING_TARGET_MS})`,
      ...failuresIn(measured),
      `times count from the crowd's first request; p95 in windows of ${WINDOW_MS} ms; steady is its median in the last third`,
    );
    const report = {
      bench: 'crowd',
      params: {
        quick,
        rounds,
        clients: CLIENTS,
        thinkMs: THINK_MS,
        requestCpuMs: REQUEST_CPU_MS,
        cpu: POLICY.cpu,
      },
      rows,
      ratios: {
        'steady p95, scaling out/off': median('scaling out: steady p95') / median('scaling off: steady p95'),
      },
      notes,
    };
    publish(report, picture(main), json);
  });
}

async function measure(
  engine: EngineName,
  app: BurningApp,
  { rounds, lengthMs, signal }: { rounds: number; lengthMs: number; signal: AbortSignal },
): Promise<Measured> {
  progress(`${engine}: what an observation costs`);
  const observation = await observationCost(engine, app, signal);
  const crowds = new Map<Variant, Crowd[]>(Object.keys(VARIANTS).map((variant) => [variant as Variant, []]));
  const program = await startProgram({ engine, detached: true });
  try {
    const crowd = (variant: Variant, round: number, ms: number) =>
      runCrowd({
        ...{ program, app, signal, policy: VARIANTS[variant], lengthMs: ms, seed: round },
        name: `${variant.replace(' ', '-')}-${round}`,
      });
    // One outside the count: the first start of all pays for caches that later ones find warm.
    await crowd('scaling off', 0, 1);
    for (let round = 1; round <= rounds; round++) {
      for (const [variant, done] of crowds) {
        progress(`${engine}: round ${round} of ${rounds}, ${variant}, ${lengthMs / 1_000} s`);
        done.push(await crowd(variant, round, lengthMs));
      }
    }
    return { engine, crowds, lengthMs, observation };
  } finally {
    await program.stop();
  }
}

function rowsOf({ engine, crowds, lengthMs, observation }: Measured): Row[] {
  const scaled = crowds.get('scaling out') ?? [];
  const times = (name: string, pick: (figures: CrowdFigures) => number | undefined) => {
    const values = scaled.flatMap(({ figures }) => pick(figures) ?? []);
    // What did not happen in every round has no median.
    return values.length < scaled.length ? [] : [summarize(`${engine}: ${name}`, 'ms', values)];
  };
  return [
    ...times('first answer', ({ firstAnswerMs }) => firstAnswerMs),
    ...times('overload recognised', ({ recognisedMs }) => recognisedMs),
    ...times('second container ready', ({ secondReadyMs }) => secondReadyMs),
    ...times('second container serving', ({ secondServingMs }) => secondServingMs),
    ...[...crowds].flatMap(([variant, rounds]) => variantRows(`${engine}: ${variant}`, rounds, lengthMs)),
    ...observation,
  ];
}

function failuresIn(measured: readonly Measured[]): string[] {
  return measured.flatMap(({ engine, crowds }) =>
    [...crowds].flatMap(([variant, rounds]) =>
      rounds.flatMap(({ figures }) =>
        figures.containersFailed.map((reason) => `${engine}, ${variant}: a container failed: ${reason}`),
      ),
    ),
  );
}

function variantRows(name: string, rounds: readonly Crowd[], lengthMs: number): Row[] {
  const waited = rounds.map(({ visits }) => {
    const windows = windowsOf(visits, { everyMs: WINDOW_MS, lengthMs });
    const steadyMs = steadyP95(windows);
    return { steadyMs, settledMs: settledAtMs(windows, SETTLED_FACTOR * steadyMs) ?? lengthMs };
  });
  const sum = (pick: (crowd: Crowd) => number) => rounds.reduce((all, crowd) => all + pick(crowd), 0);
  return [
    summarize(
      `${name}: p95 within ${SETTLED_FACTOR}x of steady`,
      'ms',
      waited.map(({ settledMs }) => settledMs),
    ),
    summarize(
      `${name}: steady p95`,
      'ms',
      waited.map(({ steadyMs }) => steadyMs),
    ),
    summarize(
      `${name}: containers started`,
      'count',
      rounds.map(({ figures }) => figures.containersStarted),
    ),
    summarize(
      `${name}: decisions`,
      'count',
      rounds.map(({ figures }) => figures.decisions),
    ),
    single(
      `${name}: requests`,
      'count',
      sum(({ visits }) => visits.length),
    ),
    single(
      `${name}: requests failed`,
      'count',
      sum(({ failures }) => failures.length),
    ),
  ];
}

/** The last round. */
function picture({ engine, crowds, lengthMs }: Measured): string {
  const last = [...crowds].flatMap(([name, rounds]) => {
    const crowd = rounds.at(-1);
    return crowd ? [{ name, colour: COLOURS[name], crowd }] : [];
  });
  const panels: Panel[] = [
    {
      title: 'p95 (ms)',
      series: last.map(({ name, colour, crowd }) => ({
        ...{ name, colour },
        points: windowsOf(crowd.visits, { everyMs: WINDOW_MS, lengthMs }).map(({ toMs, p95Ms }) => ({
          atMs: toMs,
          value: p95Ms,
        })),
      })),
    },
    {
      title: 'containers ready',
      series: last.map(({ name, colour, crowd }) => ({ name, colour, steps: true, points: crowd.ready })),
    },
  ];
  return timelineChart(`${CLIENTS} visitors at once before an app that sleeps, ${engine}`, lengthMs, panels);
}
