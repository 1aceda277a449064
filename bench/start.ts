/**
 * The engine alone: create, start, listen; with a network namespace from the pool, beside an own bridge network, in turns.
 */
import { openDockerEngine } from '../src/compute/docker/engine.ts';
import { newId } from '../src/ids.ts';
import { DOCKER_SOCKET } from '../test/support/docker.ts';
import { barChart } from './lib/bars.ts';
import {
  dockerSocketAnswers,
  untilListening,
  withBaselineImage,
  type Baseline,
} from './lib/docker-baseline.ts';
import type { BenchOptions } from './main.ts';
import { medianOf, publish, summarize, type Row } from './lib/report.ts';

const PHASES = ['create', 'start', 'listen', 'all'] as const;
const WAYS = ['own bridge', 'from the pool'] as const;
const RESOURCES = { cpu: 0.3, memoryBytes: 512 * 2 ** 20, pidsMax: 512 };
/** After each start, for the engine to come to rest. */
const PAUSE_MS = { 'own bridge': 300, 'from the pool': 1_000 /* and for the pool to be full again */ };

type Samples = Record<(typeof PHASES)[number], number[]>;

export async function run({ quick, json }: BenchOptions): Promise<void> {
  if (!(await dockerSocketAnswers()))
    throw new Error('no Docker engine answers: install docker.io and start dockerd');
  const rounds = quick ? 15 : 40;
  const samples = await withBaselineImage((baseline) => measure(baseline, rounds));
  const rows = WAYS.flatMap((way) =>
    PHASES.map((phase) => summarize(`${way}: ${phase}`, 'ms', samples[way][phase])),
  );
  const ratio = medianOf(rows, 'from the pool: all') / medianOf(rows, 'own bridge: all');
  const ratios = { 'from the pool/own bridge': ratio };
  const params = { rounds, quick, cpu: RESOURCES.cpu };
  publish(
    { bench: 'start', params, rows, ratios },
    barChart('Start of a container, median', 'ms', bars(rows)),
    json,
  );
}

async function measure(baseline: Baseline, rounds: number): Promise<Record<(typeof WAYS)[number], Samples>> {
  const empty = (): Samples => ({ create: [], start: [], listen: [], all: [] });
  const samples = { 'own bridge': empty(), 'from the pool': empty() };
  // Spent sandboxes go at once: nothing is made or removed behind the other's start.
  const engine = openDockerEngine({ nodeId: newId('node'), socketPath: DOCKER_SOCKET, sandboxRestMs: 0 });
  try {
    await engine.prepare();
    // One of each outside the count: the first of all pays for caches that later ones find warm.
    for (let round = -1; round < rounds; round++) {
      const plain = await baseline.start(RESOURCES);
      if (round >= 0) add(samples['own bridge'], plain);
      await pause('own bridge');
      const pooled = await startFromPool();
      if (round >= 0) add(samples['from the pool'], pooled);
      await pause('from the pool');
    }
    return samples;
  } finally {
    await engine.close();
  }

  async function startFromPool() {
    const containerId = newId('ctr');
    const { image, digest, port } = baseline;
    const { address, createMs, startMs } = await engine.start(
      {
        containerId,
        appId: newId('app'),
        revisionId: newId('rev'),
        workload: { type: 'image', image, digest, command: null },
        env: {},
        port,
        readOnly: false,
        resources: RESOURCES,
      },
      new AbortController().signal,
    );
    const startedMs = performance.now();
    await untilListening(address);
    const listenMs = performance.now() - startedMs;
    await engine.remove(containerId);
    return { createMs, startMs, listenMs };
  }
}

function add(
  samples: Samples,
  { createMs, startMs, listenMs }: Record<'createMs' | 'startMs' | 'listenMs', number>,
) {
  samples.create.push(createMs);
  samples.start.push(startMs);
  samples.listen.push(listenMs);
  samples.all.push(createMs + startMs + listenMs);
}

const pause = (way: (typeof WAYS)[number]) => new Promise((resolve) => setTimeout(resolve, PAUSE_MS[way]));

function bars(rows: readonly Row[]) {
  return WAYS.map((name) => ({
    name,
    parts: PHASES.filter((phase) => phase !== 'all').map((label) => ({
      label,
      value: medianOf(rows, `${name}: ${label}`),
    })),
  }));
}
