/**
 * Two apps of one platform, one of them flooded past every bound: what does the other notice? It is visited at a steady rate,
 * in turns alone, while its neighbour is flooded, and while the same flood goes to an app of another platform on this
 * machine: what is seen then already is the machine's, not the platform's.
 */
import { setTimeout as pause } from 'node:timers/promises';
import { startProgram, type Program } from '../test/support/program.ts';
import { barChart } from './lib/bars.ts';
import { withBurningApp, type BurningApp, type EngineName } from './lib/burning-app.ts';
import { arrivals } from './lib/calm-plan.ts';
import { dockerSocketAnswers } from './lib/docker-baseline.ts';
import { startFlood, type FloodCounts } from './lib/flood.ts';
import { interruptible, progress } from './lib/interruptible.ts';
import { publish, single, summarize, type Row } from './lib/report.ts';
import { Visitors } from './lib/visitors.ts';
import type { Visit } from './lib/windows.ts';
import type { BenchOptions } from './main.ts';

const REQUEST_CPU_MS = 4;
const VISITS_PER_SECOND = 40;
const QUIET = {
  ...{ cpu: 0.5, memoryBytes: 64 * 2 ** 20, lifetimeMs: null, idlePauseMs: null },
  scaling: { mode: 'off' },
} as const;
const FLOODED = {
  ...{ ...QUIET, cpu: 0.3, concurrency: { target: 5, limit: 10 } },
  hold: { requests: 50, bytes: 2 ** 20 },
} as const;
const TARGET = 1.5;
/** Three hundred connections at once are a moment of their own: it is shown, and is not part of the flood that follows. */
const BEGIN_MS = 1_000;

const CONDITIONS = ['alone', 'flood elsewhere', 'neighbour flooded'] as const;
type Condition = (typeof CONDITIONS)[number];

interface Measured {
  readonly engine: EngineName;
  readonly visits: ReadonlyMap<Condition, Visit[]>;
  /** While the neighbour's flood begins. */
  readonly beginning: readonly Visit[];
  readonly flood: FloodCounts;
}

export function run({ quick, json }: BenchOptions): Promise<void> {
  return interruptible(async (signal) => {
    const rounds = quick ? 3 : 10;
    const roundMs = quick ? 1_000 : 4_000;
    const hasDocker = await dockerSocketAnswers();
    const notes = hasDocker
      ? []
      : ['no Docker engine answers: install docker.io and start dockerd to see its rows'];
    const measured: Measured[] = [];
    for (const engine of [...(hasDocker ? ['docker' as const] : []), 'process' as const])
      measured.push(
        await withBurningApp(engine, REQUEST_CPU_MS, (app) =>
          measure(engine, app, { rounds, roundMs, signal }),
        ),
      );
    const rows = measured.flatMap(rowsOf);
    const p99 = (engine: EngineName, condition: Condition) =>
      rows.find(({ name }) => name === `${engine}: ${condition}`)?.p99 ?? Number.NaN;
    const ratios = Object.fromEntries(
      measured.flatMap(({ engine }) =>
        (['neighbour flooded', 'flood elsewhere'] as const).map((condition) => [
          `${engine}: p99 ${condition}/alone`,
          p99(engine, condition) / p99(engine, 'alone'),
        ]),
      ),
    );
    notes.push(
      `target: p99 while the neighbour is flooded at most ${TARGET} times that alone`,
      'flood elsewhere: to an app of another Mayfly on this machine; what that costs is not the doing of the one platform',
    );
    const bars = measured.flatMap(({ engine }) => [
      { name: engine, parts: [] },
      ...CONDITIONS.map((condition) => ({
        name: condition,
        parts: [{ label: 'p99', value: p99(engine, condition) }],
      })),
    ]);
    publish(
      {
        bench: 'neighbour',
        params: { quick, rounds, roundMs, visitsPerSecond: VISITS_PER_SECOND, requestCpuMs: REQUEST_CPU_MS },
        ...{ rows, ratios, notes },
      },
      barChart('p99 of an app whose neighbour is flooded', 'ms', bars),
      json,
    );
  });
}

async function measure(
  engine: EngineName,
  app: BurningApp,
  { rounds, roundMs, signal }: { rounds: number; roundMs: number; signal: AbortSignal },
): Promise<Measured> {
  const programs: Program[] = [];
  const open = async () => {
    const program = await startProgram({ engine, detached: true });
    programs.push(program);
    const create = (name: string, policy: typeof QUIET | typeof FLOODED) =>
      program.client.createApp({ name, hosts: [`${name}.localhost`], ...app.workload, policy });
    await create('flooded', FLOODED);
    await create('quiet', QUIET);
    for (const name of ['flooded', 'quiet']) await program.get(`${name}.localhost`, app.path);
    return program;
  };
  try {
    const here = await open();
    const elsewhere = await open();
    const visits = new Map<Condition, Visit[]>(CONDITIONS.map((condition) => [condition, []]));
    const beginning: Visit[] = [];
    const counts: FloodCounts[] = [];
    for (let round = 1; round <= rounds; round++) {
      progress(`${engine}: round ${round} of ${rounds}, ${roundMs} ms for each of ${CONDITIONS.join(', ')}`);
      for (const [condition, seen] of visits) {
        const flooded = { alone: undefined, 'flood elsewhere': elsewhere, 'neighbour flooded': here }[
          condition
        ];
        const target = { host: 'flooded.localhost', path: app.path };
        const flood = flooded && (await startFlood({ port: flooded.proxyPort, ...target }, signal));
        const visitFor = (ms: number) =>
          visit(here.proxyPort, app.path, { roundMs: ms, seed: round, signal });
        try {
          if (flooded) {
            const begun = await visitFor(BEGIN_MS);
            if (flooded === here) beginning.push(...begun);
          }
          seen.push(...(await visitFor(roundMs)));
        } finally {
          const told = await flood?.stop();
          if (told && flooded === here) counts.push(told);
        }
      }
    }
    const sum = (pick: keyof FloodCounts) => counts.reduce((all, one) => all + one[pick], 0);
    return {
      ...{ engine, visits, beginning },
      flood: { answered: sum('answered'), refused: sum('refused'), other: sum('other') },
    };
  } finally {
    await Promise.all(programs.map((program) => program.stop()));
  }
}

/** Visits at that rate, by chance; the same moments in every condition of a round. */
async function visit(
  port: number,
  path: string,
  { roundMs, seed, signal }: { roundMs: number; seed: number; signal: AbortSignal },
): Promise<Visit[]> {
  const visitors = new Visitors({ port, path, host: 'quiet.localhost', signal });
  try {
    const phase = { name: 'steady', lengthMs: roundMs, perSecond: VISITS_PER_SECOND };
    await Promise.all(
      arrivals([phase], seed).map(async (atMs) => {
        await pause(Math.max(0, atMs - visitors.nowMs), undefined, { signal });
        await visitors.visit();
      }),
    );
    return visitors.visits;
  } finally {
    visitors.close();
  }
}

function rowsOf({ engine, visits, beginning, flood }: Measured): Row[] {
  const all = [...[...visits.values()].flat(), ...beginning];
  return [
    ...[...visits, [`the first ${BEGIN_MS / 1_000} s of it`, beginning] as const].map(([condition, seen]) =>
      summarize(
        `${engine}: ${condition}`,
        'ms',
        seen.map(({ beganMs, endedMs }) => endedMs - beganMs),
      ),
    ),
    single(`${engine}: visits failed`, 'count', all.filter(({ status }) => status !== 200).length),
    single(`${engine}: flood, answered`, 'count', flood.answered),
    single(`${engine}: flood, refused`, 'count', flood.refused),
    single(`${engine}: flood, anything else`, 'count', flood.other),
  ];
}
