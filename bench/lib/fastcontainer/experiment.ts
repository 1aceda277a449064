/**
 * The paper's experiment: half of the requests at the old size, then, while they go on, the instruction; the other half meets
 * whatever comes of it.
 */
import { cpus } from 'node:os';
import { setTimeout as pause } from 'node:timers/promises';
import { progress } from '../interruptible.ts';
import { Load, type Visits } from './load.ts';
import { CPU_AFTER, look, PATH, SIZE, type Running, type Subject, type SubjectName } from './subject.ts';

export type Kind = 'out' | 'up';

/** One side of the comparison, measured. Times are milliseconds of `performance.now()`. */
export interface Run {
  readonly name: SubjectName;
  readonly visits: Visits;
  /** When the instruction was given. */
  readonly instructedMs: number;
  /** When the new size served: the first answer of the new container, or the new quota in the cgroup. */
  readonly servedMs: number;
  /** Share of the machine's CPU that nobody used, in each half. Where it is nearly 0, others had what the containers lacked. */
  readonly idle: { readonly before: number; readonly after: number };
}

export interface LoadOn {
  readonly subject: Subject;
  readonly requests: number;
  readonly clients: number;
  readonly signal: AbortSignal;
}

const PROGRESS_MS = 10_000;
const QUOTA_EVERY_MS = 1;
const QUOTA_TIMEOUT_MS = 30_000;

/** Errors: the container is not of the size it should be, is replaced by another one, or nothing becomes of the instruction. */
export async function experiment(kind: Kind, on: LoadOn): Promise<Run> {
  const { subject, signal } = on;
  const { name } = subject;
  const before = await look(subject);
  if (before.cpu() !== SIZE.cpu)
    throw new Error(`${name}: the container has ${before.cpu()} CPU, not ${SIZE.cpu}`);

  let instructedMs = Number.NaN;
  let change: Promise<number | undefined> | undefined;
  const cpuAtStart = cpuTimes();
  let cpuAtHalf = cpuAtStart;
  const visits = await send(on, `${name}, ${kind}`, () => {
    cpuAtHalf = cpuTimes();
    instructedMs = performance.now();
    change = kind === 'out' ? subject.scaleOut().then(() => undefined) : scaleUp(subject, before, signal);
    change.catch(() => undefined); // told below, when the load is over
  });
  const idle = { before: idleShare(cpuAtStart, cpuAtHalf), after: idleShare(cpuAtHalf, cpuTimes()) };
  const servedMs = (await change) ?? firstAnswerMs(visits);
  if (servedMs === undefined)
    throw new Error(`${name}: ${visits.answerers.length} containers answered, and no further one`);

  const after = await look(subject);
  if (after.id !== before.id || after.startedAt !== before.startedAt)
    throw new Error(`${name}: the container was replaced by another one`);
  return { name, visits, instructedMs, servedMs, idle };
}

/**
 * Requests that do not count, and how many a second were answered when half of them were over: the first ones pay for Apache's
 * own start. Errors: one was not answered.
 */
export async function warmUp(on: LoadOn): Promise<number> {
  const { name } = on.subject;
  let halfMs = 0;
  const visits = await send(on, `${name}, to warm up`, () => (halfMs = performance.now()));
  if (visits.failed > 0) throw new Error(`${name} cannot be measured: ${visits.failures.join('; ')}`);
  return (on.requests * 500) / (performance.now() - halfMs);
}

/** Tells every ten seconds how far it is, and how long the rest takes at the pace of those ten seconds. */
async function send({ subject, ...rest }: LoadOn, what: string, onHalf?: () => void): Promise<Visits> {
  const { port, host } = subject;
  const load = new Load({ port, host, path: PATH, ...rest });
  let told = 0;
  const timer = setInterval(() => {
    const perSecond = ((load.begun - told) * 1_000) / PROGRESS_MS;
    told = load.begun;
    const leftSeconds = perSecond > 0 ? ((rest.requests - told) / perSecond).toFixed(0) : '?';
    progress(
      `${what}: ${told} of ${rest.requests} requests, ${perSecond.toFixed(0)}/s, ${leftSeconds} s left`,
    );
  }, PROGRESS_MS);
  try {
    return await load.run(onHalf);
  } finally {
    clearInterval(timer);
  }
}

/** When the cgroup of the container that runs already had the new quota. */
async function scaleUp(subject: Subject, running: Running, signal: AbortSignal): Promise<number> {
  const instruction = subject.scaleUp();
  const deadlineMs = performance.now() + QUOTA_TIMEOUT_MS;
  const isThere = async () => {
    while (running.cpu() !== CPU_AFTER) {
      if (performance.now() > deadlineMs)
        throw new Error(
          `${subject.name}: ${running.cpu()} CPU after ${QUOTA_TIMEOUT_MS} ms, not ${CPU_AFTER}`,
        );
      await pause(QUOTA_EVERY_MS, undefined, { signal });
    }
    return performance.now();
  };
  const [atMs] = await Promise.all([isThere(), instruction]);
  return atMs;
}

/** When a container that had not answered before gave its first answer. */
function firstAnswerMs({ by, beganMs, tookMs, answerers }: Visits): number | undefined {
  if (answerers.length !== 2) return undefined;
  let firstMs: number | undefined;
  for (const [number, answerer] of by.entries()) {
    if (answerer !== 1) continue;
    const endedMs = (beganMs[number] ?? 0) + (tookMs[number] ?? 0);
    firstMs = Math.min(firstMs ?? endedMs, endedMs);
  }
  return firstMs;
}

/** Of all cores since the machine's start, in milliseconds. */
interface CpuTimes {
  readonly idleMs: number;
  readonly allMs: number;
}

function cpuTimes(): CpuTimes {
  const times = cpus().map((core) => core.times);
  const idleMs = times.reduce((sum, { idle }) => sum + idle, 0);
  const allMs = times.reduce(
    (sum, { user, nice, sys, idle, irq }) => sum + user + nice + sys + idle + irq,
    0,
  );
  return { idleMs, allMs };
}

function idleShare(from: CpuTimes, to: CpuTimes): number {
  return (to.idleMs - from.idleMs) / (to.allMs - from.allMs);
}
