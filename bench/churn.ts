/**
 * Start and stop, a thousand times over, through the front door: each cycle is a request that starts a container and a
 * silence that stops it. What counts is what is left afterwards: nothing, on the machine or in the program.
 */
import { readdirSync, readlinkSync } from 'node:fs';
import { dockerSocketAnswers, withBaselineImage } from './lib/docker-baseline.ts';
import { startProgram, type Program } from '../test/support/program.ts';
import { until } from '../test/support/until.ts';
import { barChart } from './lib/bars.ts';
import { timeFirstByte } from './lib/first-byte.ts';
import { census, type Census } from './lib/census.ts';
import { medianOf, publish, single, summarize } from './lib/report.ts';
import type { BenchOptions } from './main.ts';

/** Apps that start and stop side by side. */
const LANES = 4;
const SETTLE_MS = 60_000;

export async function run({ quick, json }: BenchOptions): Promise<void> {
  if (!(await dockerSocketAnswers()))
    throw new Error('no Docker engine answers: install docker.io and start dockerd');
  const cycles = quick ? 60 : 1_000;
  const startMs: number[] = [];
  await withBaselineImage(async ({ image, port }) => {
    const outside = await census();
    const program = await startProgram({ engine: 'docker' });
    let before: Census = {};
    let after: Census = {};
    try {
      await lanes(program, LANES * 2, { image, port }, []); // warm: caches, pools, lazily loaded code
      before = { ...(await census()), ...inside(program.pid) };
      await lanes(program, cycles, { image, port }, startMs);
      after = await settled(before, async () => ({ ...(await census()), ...inside(program.pid) }));
    } finally {
      await program.stop();
    }
    const end = await census();
    const rows = [
      summarize('first byte', 'ms', startMs),
      ...differences('left while it runs', before, after),
      ...differences('left after it ended', outside, end),
    ];
    const cyclesPerSecond = (LANES * 1_000) / medianOf(rows, 'first byte');
    const svg = barChart(
      `Left behind after ${cycles} starts and stops`,
      'count',
      rows
        .slice(1)
        .map(({ name, median }) => ({ name, parts: [{ label: 'left', value: Math.max(0, median) }] })),
    );
    const notes = [`at most ${cyclesPerSecond.toFixed(1)} starts/s with ${LANES} side by side`];
    publish({ bench: 'churn', params: { cycles, lanes: LANES, quick }, rows, ratios: {}, notes }, svg, json);
    const left = rows.slice(1).filter(({ median }) => median > 0);
    if (left.length > 0)
      throw new Error(`left behind: ${left.map(({ name, median }) => `${median} ${name}`).join(', ')}`);
  });
}

/** Runs the cycles in lanes, an app each, and waits until every container is gone again. */
async function lanes(
  program: Program,
  cycles: number,
  workload: { image: string; port: number },
  startMs: number[],
): Promise<void> {
  let left = cycles;
  const lane = async (index: number) => {
    const name = `lane-${index}`;
    const policy = { cpu: 0.3, idlePauseMs: null, idleStopMs: 1 };
    await program.client.createApp({ name, hosts: [`${name}.localhost`], ...workload, policy });
    while (left-- > 0) {
      const { status, firstByteMs } = await timeFirstByte(program.proxyPort, `${name}.localhost`);
      if (status !== 200) throw new Error(`${name} answered ${status}`);
      startMs.push(firstByteMs);
      await until(`${name} to stop`, async () => {
        const containers = await program.client.listAppContainers(name);
        return containers.every(({ state }) => state === 'stopped');
      });
    }
    await program.client.deleteApp(name);
  };
  await Promise.all(Array.from({ length: LANES }, (_, index) => lane(index)));
  await until(
    'all containers to be forgotten',
    async () => (await program.client.listContainers()).length === 0,
  );
}

/** What is left once pools and idle connections have shrunk back, which may take them a while. */
async function settled(before: Census, look: () => Promise<Census>): Promise<Census> {
  let now = await look();
  const isBack = async () => {
    now = await look();
    return Object.entries(now).every(([name, count]) => count <= (before[name] ?? 0));
  };
  await until('everything to be as before', isBack, SETTLE_MS).catch(() => undefined); // what is left is the result
  return now;
}

/** Descriptors and sockets of the program itself. */
function inside(pid: number): Census {
  const folder = `/proc/${pid}/fd`;
  const targets = readdirSync(folder).flatMap((fd) => {
    try {
      return [readlinkSync(`${folder}/${fd}`)];
    } catch {
      return []; // closed while we looked
    }
  });
  return {
    'file descriptors': targets.length,
    sockets: targets.filter((target) => target.startsWith('socket:')).length,
  };
}

function differences(what: string, before: Census, after: Census) {
  return Object.entries(after).map(([name, count]) =>
    single(`${what}: ${name}`, 'count', count - (before[name] ?? 0)),
  );
}
