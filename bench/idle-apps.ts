/**
 * What 100,000 apps cost that nobody visits: CPU, memory and timers of the program that knows them, beside one that knows
 * none, at the same time; and how long the first request to one of them takes, beside that to the only ones there are.
 */
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { Random } from '../test/simulation/scaling/random.ts';
import { barChart } from './lib/bars.ts';
import { timeFirstByte } from './lib/first-byte.ts';
import { openProgram, type OpenProgram } from './lib/idle-apps/inside.ts';
import { hostOf, registerApps } from './lib/idle-apps/register.ts';
import { interruptible, progress } from './lib/interruptible.ts';
import { medianOf, publish, single, summarize, type Row } from './lib/report.ts';
import type { BenchOptions } from './main.ts';

/** A third of a core each: those that are woken in the end fit two cores, overcommitted as they are by default. */
const APP = {
  command: ['node', 'server.mjs'],
  cwd: join(import.meta.dirname, '../examples/hello'),
  policy: { cpu: 0.33 },
};
/** What a start leaves to be done is over by then. */
const SETTLE_MS = 3_000;
/** Of a core, while nobody comes. */
const CPU_TARGET_SHARE = 0.01;

export function run({ quick, json }: BenchOptions): Promise<void> {
  return interruptible(async (signal) => {
    const apps = quick ? 10_000 : 100_000;
    const first = quick ? 5 : 20;
    const idleMs = quick ? 10_000 : 60_000;
    const open: OpenProgram[] = [];
    try {
      for (const count of [first, apps]) {
        progress(`registering ${count} apps`);
        open.push(await openProgram((dataDir) => registerApps(dataDir, count, APP, signal)));
      }
      const [few, many] = open;
      if (!few || !many) return;
      await pause(SETTLE_MS, undefined, { signal });
      progress(`nobody comes for ${idleMs / 1_000} s`);
      const [fewIdle, manyIdle] = await Promise.all([few, many].map((one) => idle(one, idleMs, signal)));
      if (!fewIdle || !manyIdle) return;
      progress(`first requests to ${first} apps of each`);
      const firstBytes = await firstRequests({ few, many, count: first, apps });
      const perApp = (key: 'residentBytes' | 'heapBytes') =>
        (manyIdle.inside[key] - fewIdle.inside[key]) / (apps - first);
      const rows = [
        ...idleRows(`${apps} apps`, manyIdle),
        ...idleRows(`${first} apps`, fewIdle),
        single('memory per idle app, resident', 'bytes', perApp('residentBytes')),
        single('memory per idle app, JavaScript', 'bytes', perApp('heapBytes')),
        single('timers more than with few apps', 'count', manyIdle.inside.timers - fewIdle.inside.timers),
        summarize(`first request to one of ${apps}`, 'ms', firstBytes.many),
        summarize(`first request to one of ${first}`, 'ms', firstBytes.few),
      ];
      const ratios = {
        [`first request, one of ${apps}/of ${first}`]:
          medianOf(rows, `first request to one of ${apps}`) /
          medianOf(rows, `first request to one of ${first}`),
      };
      const share = medianOf(rows, `${apps} apps: CPU`) / 100;
      const notes = [
        `${apps} apps that nobody visits take ${(100 * share).toFixed(2)}% of a core (target: below ${100 * CPU_TARGET_SHARE}%)`,
      ];
      publish(
        { bench: 'idle-apps', params: { quick, apps, idleMs }, rows, ratios, notes },
        barChart(
          'CPU of a program while nobody comes',
          '% of a core',
          [apps, first].map((count) => ({
            name: `${count} apps`,
            parts: [{ label: 'CPU', value: medianOf(rows, `${count} apps: CPU`) }],
          })),
        ),
        json,
      );
    } finally {
      for (const one of open) await one.close();
    }
  });
}

interface Idle {
  readonly cpuShare: number;
  readonly wakeUpsPerSecond: number;
  readonly inside: Awaited<ReturnType<OpenProgram['inside']>>;
}

async function idle(one: OpenProgram, idleMs: number, signal: AbortSignal): Promise<Idle> {
  const before = one.spent();
  await pause(idleMs, undefined, { signal });
  const after = one.spent();
  return {
    cpuShare: (after.cpuMs - before.cpuMs) / idleMs,
    wakeUpsPerSecond: (1_000 * (after.wakeUps - before.wakeUps)) / idleMs,
    inside: await one.inside(),
  };
}

function idleRows(name: string, { cpuShare, wakeUpsPerSecond, inside }: Idle): Row[] {
  return [
    single(`${name}: CPU`, '% of a core', 100 * cpuShare),
    single(`${name}: main thread woke up`, '1/s', wakeUpsPerSecond),
    single(`${name}: timers`, 'count', inside.timers),
    single(`${name}: resident memory`, 'bytes', inside.residentBytes),
    single(`${name}: JavaScript memory`, 'bytes', inside.heapBytes),
  ];
}

/** In turns, each to an app that has never run. */
async function firstRequests(options: {
  readonly few: OpenProgram;
  readonly many: OpenProgram;
  readonly count: number;
  readonly apps: number;
}): Promise<{ few: number[]; many: number[] }> {
  const { few, many, count, apps } = options;
  const random = new Random(1);
  const times = { few: [] as number[], many: [] as number[] };
  const ask = async ({ program }: OpenProgram, index: number) => {
    const { status, firstByteMs } = await timeFirstByte(program.proxyPort, hostOf(index));
    if (status !== 200) throw new Error(`${hostOf(index)} answered ${status}`);
    return firstByteMs;
  };
  for (let index = 0; index < count; index++) {
    times.few.push(await ask(few, index));
    times.many.push(await ask(many, Math.floor(random.next() * apps)));
  }
  return times;
}
