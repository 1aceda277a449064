/**
 * The experiments of the FastContainer paper (Matsumoto et al., IPSJ IOT38, 2017), on its own container: Apache, mod_php and
 * phpinfo() with 30% of a core and 512 MB. 100,000 requests come; after half of them one container becomes two
 * (`fastcontainer-out`), or its CPU is doubled (`fastcontainer-up`). The paper's answer: the response time falls to half, and
 * no request is disturbed. Beside it, in the same call, the same by hand with HAProxy and `docker run`.
 *
 * The platform, or HAProxy, has a core to itself and the clients have another; containers run on any, as their quota lets them.
 */
import { dockerSocketAnswers } from './lib/docker-baseline.ts';
import { startByHand } from './lib/fastcontainer/by-hand.ts';
import { experiment, warmUp, type Kind, type Run } from './lib/fastcontainer/experiment.ts';
import { ratiosOf, rowsOf, tableOf, TARGET_LONGEST, TARGET_MEAN } from './lib/fastcontainer/figures.ts';
import { startMayfly } from './lib/fastcontainer/mayfly.ts';
import { picture } from './lib/fastcontainer/picture.ts';
import { ensureImage, SIZE, type Subject } from './lib/fastcontainer/subject.ts';
import { interruptible, progress } from './lib/interruptible.ts';
import { findProgram, isMissing } from './lib/programs.ts';
import { publish } from './lib/report.ts';
import { chooseCores, pin } from './lib/warm/cores.ts';
import type { BenchOptions } from './main.ts';

const CLIENTS = 10;
const REQUESTS = 100_000;
const WARM_UP = 3_000;
const QUICK_REQUESTS = 10_000;
const QUICK_WARM_UP = 1_200;
const QUICK_SECONDS = 50;
/** For stopping everything, and for a margin. */
const QUICK_STOP_SECONDS = 8;

/** Where less of the machine is idle, the containers did not get what their quota allows. */
const IDLE_NEEDED = 0.15;

const TITLES: Readonly<Record<Kind, string>> = {
  out: 'One container becomes two: response time',
  up: 'CPU is doubled while it runs, 0.3 to 0.6: response time',
};

export const out = { run: (options: BenchOptions) => run('out', options) };
export const up = { run: (options: BenchOptions) => run('up', options) };

function run(kind: Kind, { quick, json }: BenchOptions): Promise<void> {
  return interruptible(async (signal) => {
    if (!(await dockerSocketAnswers()))
      throw new Error('no Docker engine answers: install docker.io and start dockerd');
    const notes: string[] = [];
    const image = await ensureImage(signal);
    // What building the image took is not counted: it is done once.
    const beganMs = performance.now();
    const haproxy = await findProgram('haproxy');
    if (haproxy === undefined) notes.push(`${isMissing('haproxy')} to see the same done by hand`);
    const cores = chooseCores();
    await pin(process.pid, cores.load);

    const core = cores.proxy;
    const starts: (() => Promise<Subject>)[] = [() => startMayfly(image, core)];
    if (haproxy !== undefined) starts.push(() => startByHand({ image, haproxy, core, signal }));
    const runs: Run[] = [];
    let requests = quick ? undefined : REQUESTS;
    for (const start of starts) {
      signal.throwIfAborted();
      const subject = await start();
      try {
        const on = { subject, clients: CLIENTS, signal };
        const perSecond = await warmUp({ ...on, requests: quick ? QUICK_WARM_UP : WARM_UP });
        // As many for one as for the other.
        requests ??= quickRequests(perSecond, starts.length, beganMs);
        const minutes = (secondsFor(requests, perSecond) / 60).toFixed(1);
        progress(
          `${subject.name}: ${requests} requests at ${perSecond.toFixed(0)}/s take about ${minutes} minutes`,
        );
        runs.push(await experiment(kind, { ...on, requests }));
      } finally {
        await subject.close();
      }
    }

    const rows = runs.flatMap((one) => rowsOf(kind, one));
    const ratios = ratiosOf(rows);
    const target = (name: string, limit: number) =>
      `${name} ${String(ratios[name])} (target: at most ${limit})`;
    notes.push(
      '',
      `before → after; after is from the moment the new size served; ${CLIENTS} clients, each asking again once it is answered`,
      `${target('after/before', TARGET_MEAN)}; ${target('longest around/p99 before', TARGET_LONGEST)}`,
      ...runs.flatMap(({ name, visits }) => visits.failures.map((failure) => `${name}: ${failure}`)),
      ...runs
        .filter(({ idle }) => Math.min(idle.before, idle.after) < IDLE_NEEDED)
        .map(({ name }) => `${name}: others used this machine's CPU meanwhile; the figures say little`),
    );
    const params = {
      requests: requests ?? 0,
      clients: CLIENTS,
      cpu: SIZE.cpu,
      memoryBytes: SIZE.memoryBytes,
      quick,
    };
    const report = {
      bench: `fastcontainer-${kind}`,
      params,
      rows,
      ratios,
      notes,
      tables: [tableOf(kind, rows)],
    };
    publish(report, picture(TITLES[kind], runs), json);
  });
}

/** The second half takes about half as long as the first. */
function secondsFor(requests: number, perSecond: number): number {
  return (requests / perSecond) * 0.75;
}

/** As many as fit the time that is left: each of `sides` starts and warms up as long as the first, and has a busy machine. */
function quickRequests(perSecond: number, sides: number, beganMs: number): number {
  const startSeconds = (performance.now() - beganMs) / 1_000;
  const seconds = (QUICK_SECONDS - QUICK_STOP_SECONDS) / sides - startSeconds;
  const fit = Math.floor((seconds * perSecond) / 1_000) * 1_000;
  return Math.max(1_000, Math.min(QUICK_REQUESTS, fit));
}
