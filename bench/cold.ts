/**
 * The cold start as a visitor meets it: from before the connection to the first byte of the app's own answer, for an app
 * that never ran, one that was stopped, one that is lent a whole CPU to start with, one that is paused; split into the
 * platform's own phases as the platform recorded them. Beside it, in the same rounds: what plain Docker takes to create and
 * start a container of the same image with the same limits on a network of its own, until the same request is answered.
 */
import { join } from 'node:path';
import type { CreateAppBody } from '../src/coreapi/schema-app.ts';
import type { AppView, EventView } from '../src/coreapi/schema.ts';
import { dockerSocketAnswers, withBaselineImage, type Baseline } from './lib/docker-baseline.ts';
import { startProgram, type Program } from '../test/support/program.ts';
import { until } from '../test/support/until.ts';
import { barChart, type Bar } from './lib/bars.ts';
import { timeFirstByte } from './lib/first-byte.ts';
import { medianOf, publish, summarize, type Row } from './lib/report.ts';
import type { BenchOptions } from './main.ts';

const PHASES = ['lookup', 'place', 'create', 'start', 'listen', 'resume', 'firstByte'] as const;
const SCENARIOS = ['never created', 'stopped', 'stopped, 1 CPU lent', 'paused'] as const;
const POLICY = { cpu: 0.3, memoryBytes: 512 * 2 ** 20, lifetimeMs: null };
const BOOST = { cpu: 1, afterReadyMs: 0 };

type Samples = Map<string, number[]>;

export async function run({ quick, json }: BenchOptions): Promise<void> {
  const rounds = quick ? 12 : 40;
  const samples: Samples = new Map();
  const notes: string[] = [];
  if (await dockerSocketAnswers()) {
    await withBaselineImage((baseline) => measure('docker', rounds, samples, baseline));
  } else notes.push('no Docker engine answers: install docker.io and start dockerd to see its rows');
  await measure('process', rounds, samples, undefined);

  const rows = [...samples].map(([name, values]) => summarize(name, 'ms', values));
  const ratios: Record<string, number> = {};
  if (samples.has('docker run')) {
    const plain = medianOf(rows, 'docker run');
    for (const scenario of SCENARIOS)
      ratios[`${scenario}/docker run`] = medianOf(rows, `docker ${scenario}`) / plain;
  }
  const report = { bench: 'cold', params: { rounds, quick, cpu: POLICY.cpu }, rows, ratios, notes };
  publish(report, barChart('First request to first byte, median', 'ms', bars(rows)), json);
}

async function measure(
  engine: 'docker' | 'process',
  rounds: number,
  samples: Samples,
  baseline?: Baseline,
): Promise<void> {
  const program = await startProgram({ engine });
  const workload = baseline
    ? { image: baseline.image, port: baseline.port }
    : { command: ['node', 'server.mjs'], cwd: join(import.meta.dirname, '../examples/hello') };
  const app = (name: string, policy: CreateAppBody['policy']) =>
    program.client.createApp({
      name,
      hosts: [`${name}.localhost`],
      ...workload,
      policy: { ...POLICY, ...policy },
    });
  try {
    await app('stopped', { idlePauseMs: null, idleStopMs: 200 });
    await app('boosted', { idlePauseMs: null, idleStopMs: 200, boost: BOOST });
    await app('paused', { idlePauseMs: 200, idleStopMs: null });
    // One start outside the count: the first of all pays for caches that later ones find warm.
    for (const name of ['stopped', 'boosted', 'paused']) await wake(program, name);
    for (let round = 0; round < rounds; round++) {
      const name = `never-${round}`;
      await app(name, { idlePauseMs: null, idleStopMs: 200 });
      await sample(program, name, `${engine} never created`, samples);
      await state(program, 'stopped', 'stopped');
      await sample(program, 'stopped', `${engine} stopped`, samples);
      await state(program, 'boosted', 'stopped');
      await sample(program, 'boosted', `${engine} stopped, 1 CPU lent`, samples);
      await state(program, 'paused', 'paused');
      await sample(program, 'paused', `${engine} paused`, samples);
      if (baseline) add(samples, 'docker run', await baseline.coldStart(POLICY));
      await state(program, name, 'stopped');
      await program.client.deleteApp(name);
    }
  } finally {
    await program.stop();
  }
}

async function wake(program: Program, name: string): Promise<number> {
  const { status, firstByteMs } = await timeFirstByte(program.proxyPort, `${name}.localhost`);
  if (status !== 200) throw new Error(`${name} answered ${status}`);
  return firstByteMs;
}

async function sample(program: Program, name: string, row: string, samples: Samples): Promise<void> {
  const before = (await lastColdStart(program, name))?.sequence ?? 0;
  add(samples, row, await wake(program, name));
  const event = await until(`the cold start of ${name} to be recorded`, async () => {
    const last = await lastColdStart(program, name);
    return last && last.sequence > before ? last : undefined;
  });
  for (const phase of PHASES) {
    const value = event.figures[phase];
    if (typeof value === 'number') add(samples, `${row} · ${phase}`, value);
  }
}

async function lastColdStart(program: Program, app: AppView['name']): Promise<EventView | undefined> {
  const events = await program.client.listEvents({ app });
  return events.findLast((event) => event.type === 'app.cold_start');
}

async function state(program: Program, name: string, wanted: string): Promise<void> {
  await until(`${name} to be ${wanted}`, async () => {
    const containers = await program.client.listAppContainers(name);
    return containers.at(-1)?.state === wanted;
  });
}

function add(samples: Samples, row: string, value: number): void {
  const values = samples.get(row);
  if (values) values.push(value);
  else samples.set(row, [value]);
}

function bars(rows: readonly Row[]): Bar[] {
  return rows
    .filter(({ name }) => !name.includes(' · '))
    .map(({ name, median }) => {
      const parts = rows
        .filter((row) => row.name.startsWith(`${name} · `))
        .map((row) => ({ label: row.name.split(' · ')[1] ?? '', value: row.median }));
      const known = parts.reduce((sum, part) => sum + part.value, 0);
      return {
        name,
        parts: [...parts, { label: parts.length > 0 ? 'other' : 'all', value: Math.max(0, median - known) }],
      };
    });
}
