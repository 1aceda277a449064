/**
 * Hours of synthetic traffic on simulated time: ours beside other policies, as tables and pictures for docs/scaling.md.
 * `npm run simulate` writes them; with `--quick`, one seed, and nothing is written.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import {
  CONCURRENCY,
  CPU,
  isBetter,
  MAYFLY,
  measure,
  smallestFixed,
  VARIANTS,
  type Result,
} from '../test/simulation/scaling/compare.ts';
import { Random } from '../test/simulation/scaling/random.ts';
import { TRAFFICS, trafficNamed } from '../test/simulation/scaling/traffic.ts';
import { World, type Workload } from '../test/simulation/scaling/world.ts';
import { workloadNamed, WORKLOADS } from '../test/simulation/scaling/workloads.ts';
import { frontierPicture, timelinePicture, type Panel, type Track } from './scaling-pictures.ts';

const DOCS = join(import.meta.dirname, '../docs');
const isQuick = process.argv.includes('--quick');
/** Looked at only here: the constants were chosen on 1 to 5, and once on what 11 showed. */
const SEEDS = isQuick ? [21] : [21, 22, 23];

const percent = (share: number) => `${(100 * share).toFixed(2)}%`;
const seconds = (value: number) => value.toFixed(0);

/** Late requests, container-seconds and decisions; bold where it is better than ours. */
function cells(result: Result, ours: Result): string {
  const text = `${percent(result.late)} · ${seconds(result.containerSeconds)} · ${result.decisions.toFixed(0)}`;
  return isBetter(result, ours) ? `**${text}**` : text;
}

function compareAll(workload: Workload): string {
  const rows = TRAFFICS.map((traffic) => {
    const ours = measure(MAYFLY, workload, traffic, SEEDS);
    const others = [CONCURRENCY, CPU].map((one) => cells(measure(one, workload, traffic, SEEDS), ours));
    const fixed = smallestFixed(ours, workload, traffic, SEEDS);
    const asGood = !fixed
      ? 'none'
      : `${fixed.contender.name.replace('fixed at ', '')}: ${cells(fixed, ours).replace(/ · \d+(?=\**$)/, '')}`;
    process.stderr.write(`${workload.name}, ${traffic.name}\n`);
    return `| ${traffic.name} | ${cells(ours, ours)} | ${others.join(' | ')} | ${asGood} |`;
  });
  return [
    `**${workload.name}**: ${workload.text}; late: over ${workload.latencyTargetMs} ms; target ${workload.target}.`,
    '',
    '| traffic | Mayfly | concurrency target | CPU target 70% | smallest fixed size as good |',
    '|---|---|---|---|---|',
    ...rows,
    '',
    `With other settings, better than Mayfly: ${betterVariants(workload)}.`,
  ].join('\n');
}

/** On one seed: those of the same policies with other settings. */
function betterVariants(workload: Workload): string {
  const seeds = SEEDS.slice(0, 1);
  const found = TRAFFICS.flatMap((traffic) => {
    const ours = measure(MAYFLY, workload, traffic, seeds);
    const better = VARIANTS.filter((one) => isBetter(measure(one, workload, traffic, seeds), ours));
    return better.length === 0 ? [] : [`${traffic.name} (${better.map(({ name }) => name).join(', ')})`];
  });
  return found.length === 0 ? 'none' : found.join('; ');
}

function frontier(): Panel[] {
  const workload = workloadNamed('pages');
  return TRAFFICS.filter(({ name }) => name !== 'trickle' && name !== 'oscillation 40 s').map((traffic) => {
    process.stderr.write(`frontier, ${traffic.name}\n`);
    const results = [MAYFLY, CONCURRENCY, CPU, ...VARIANTS].map((one) =>
      measure(one, workload, traffic, SEEDS.slice(0, 1)),
    );
    return { title: traffic.name, results };
  });
}

function timeline(): string {
  const workload = workloadNamed('pages');
  const traffic = trafficNamed('spikes');
  const [seed = 0] = SEEDS;
  const tracks = [CPU, CONCURRENCY, MAYFLY].map((contender): Track => {
    const scaler = contender.make(workload);
    const { decisions } = new World(workload, scaler.initial).run(traffic, scaler, seed);
    return { kind: contender.kind, initial: scaler.initial, decisions };
  });
  const rate = traffic.rate(new Random(seed));
  const perContainer = (0.65 * 1_000 * workload.cpu) / 40;
  return timelinePicture(
    'Containers under spikes',
    20 * 60_000,
    (atMs) => rate(atMs) / perContainer,
    tracks.toReversed(),
  );
}

const tables = WORKLOADS.map(compareAll).join('\n\n');
process.stdout.write(`${tables}\n`);
if (!isQuick) {
  const path = join(DOCS, 'scaling.md');
  const page = readFileSync(path, 'utf8');
  const marked = /(<!-- tables: npm run simulate -->\n)[^]*(<!-- end of tables -->)/;
  writeFileSync(
    path,
    page.replace(marked, (_, begin: string, end: string) => `${begin}\n${tables}\n\n${end}`),
  );
  writeFileSync(join(DOCS, 'scaling-frontier.svg'), frontierPicture(frontier()));
  writeFileSync(join(DOCS, 'scaling-timeline.svg'), timeline());
}
