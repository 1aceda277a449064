/**
 * How an app may run: bounds, units and defaults of every policy field, said once. The same schema refuses a wrong
 * value and describes it in `/v1/openapi.json`. A field left out is filled in by `resolvePolicy` (apps-policy.ts), so
 * that a change can tell "not mentioned" from "set to the default".
 */
import { z } from 'zod';
import type { Policy } from '../cmdb/records.ts';
import { keepWarmInput } from './schema-keep-warm.ts';
import { DEFAULT_WAKE, wakeInput } from './schema-wake.ts';

const MIB = 1024 ** 2;
const GIB = 1024 ** 3;
const MINUTE_MS = 60_000;
const HOUR_MS = 60 * MINUTE_MS;
const DAY_MS = 24 * HOUR_MS;

export const DEFAULT_POLICY = {
  grade: null,
  cpu: 0.5,
  memoryBytes: 256 * MIB,
  pidsMax: 256,
  boost: { cpu: null, afterReadyMs: 1_000 },
  minReplicas: 0,
  maxReplicas: 3,
  spares: 0,
  scaling: { mode: 'out', cpuMax: null, memoryMaxBytes: null, highWater: 0.8, lowWater: 0.5 },
  cooldownMs: { out: 1_000, in: MINUTE_MS, up: 1_000, down: MINUTE_MS },
  concurrency: { target: 20, limit: 100 },
  idlePauseMs: 30_000,
  idleStopMs: 5 * MINUTE_MS,
  lifetimeMs: DAY_MS,
  startTimeoutMs: 30_000,
  requestTimeoutMs: 5 * MINUTE_MS,
  drainTimeoutMs: 30_000,
  hold: { requests: 1_000, bytes: 64 * MIB },
  wake: DEFAULT_WAKE,
  keepWarm: [],
} as const satisfies Policy;

/** A whole number from `min` to `max`, described with its bounds and default. */
function whole(bounds: { min: number; max: number }, fallback: number, text: string) {
  const { min, max } = bounds;
  return z
    .int()
    .min(min)
    .max(max)
    .meta({ description: `${text} ${String(min)} … ${String(max)}.`, default: fallback });
}

/** Milliseconds, or null for never. */
function wholeOrNever(bounds: { min: number; max: number }, fallback: number | null, text: string) {
  const { min, max } = bounds;
  return z
    .int()
    .min(min)
    .max(max)
    .nullable()
    .meta({
      description: `${text} Milliseconds, ${String(min)} … ${String(max)}; null: never.`,
      default: fallback,
    });
}

const gradeName = z.string().min(1).max(63).nullable().meta({
  description:
    'A named size from /v1/grades that sets cpu and memoryBytes; null: they are given as they are.',
  default: null,
});

/** CPU of one container, in cores. */
export const cpuCores = z.number().min(0.01).max(256);
/** Memory of one container. */
export const memorySize = z
  .int()
  .min(6 * MIB)
  .max(1024 * GIB);
/** Containers that an app may have at once. */
export const REPLICAS_MAX = 100;

function share(fallback: number, text: string) {
  return z
    .number()
    .min(0.05)
    .max(1)
    .meta({ description: `${text} 0.05 … 1.`, default: fallback });
}

const scaling = z.strictObject({
  mode: z
    .enum(['off', 'out', 'up', 'up-then-out'])
    .meta({
      description:
        'What load may do by itself: more containers (out), stronger ones (up), first the one and then the other.',
      default: DEFAULT_POLICY.scaling.mode,
    })
    .optional(),
  cpuMax: cpuCores
    .nullable()
    .meta({
      description:
        'CPU that a container may be scaled up to, in cores; at least cpu. null: what the nodes have.',
      default: DEFAULT_POLICY.scaling.cpuMax,
    })
    .optional(),
  memoryMaxBytes: memorySize
    .nullable()
    .meta({
      description:
        'Memory that a container may be scaled up to, in bytes; at least memoryBytes. null: what the nodes have.',
      default: DEFAULT_POLICY.scaling.memoryMaxBytes,
    })
    .optional(),
  highWater: share(
    DEFAULT_POLICY.scaling.highWater,
    "Share of its containers' CPU and memory above which load makes an app grow; as far above its concurrency target, too.",
  ).optional(),
  lowWater: share(
    DEFAULT_POLICY.scaling.lowWater,
    'Share below which it shrinks; at most four fifths of highWater. A new size is chosen half-way between the two.',
  ).optional(),
});

function cooldown(direction: keyof Policy['cooldownMs'], text: string) {
  const fallback = DEFAULT_POLICY.cooldownMs[direction];
  return whole({ min: 0, max: DAY_MS }, fallback, `${text} Milliseconds,`).optional();
}

const cooldownMs = z.strictObject({
  out: cooldown('out', 'From one scaling out by load to the next.'),
  in: cooldown('in', 'From a scaling out or in to the next scaling in by load.'),
  up: cooldown('up', 'From one scaling up by load to the next.'),
  down: cooldown('down', 'From a scaling up or down to the next scaling down by load.'),
});

const concurrency = z.strictObject({
  target: whole(
    { min: 1, max: 10_000 },
    DEFAULT_POLICY.concurrency.target,
    'Requests in flight per container that scaling aims at; at most limit.',
  ).optional(),
  limit: whole(
    { min: 1, max: 10_000 },
    DEFAULT_POLICY.concurrency.limit,
    'Requests in flight per container that are never exceeded; further ones wait.',
  ).optional(),
});

const boost = z.strictObject({
  cpu: cpuCores
    .nullable()
    .meta({
      description:
        'CPU of a container while it starts, in cores, where the node has so much that nobody has reserved. 0.01 … 256; null, or less than cpu: its own.',
      default: DEFAULT_POLICY.boost.cpu,
    })
    .optional(),
  afterReadyMs: whole(
    { min: 0, max: 5 * MINUTE_MS },
    DEFAULT_POLICY.boost.afterReadyMs,
    'How long it keeps that once it is ready. Milliseconds,',
  ).optional(),
});

const hold = z.strictObject({
  requests: whole(
    { min: 0, max: 100_000 },
    DEFAULT_POLICY.hold.requests,
    'Requests that may wait for the app while nothing can serve it, on one machine.',
  ).optional(),
  bytes: whole(
    { min: 0, max: GIB },
    DEFAULT_POLICY.hold.bytes,
    'Bytes of bodies that may wait with them.',
  ).optional(),
});

/** The `policy` of a request body: any part of it. */
export const policyInput = z
  .strictObject({
    grade: gradeName.optional(),
    cpu: cpuCores
      .meta({
        description: 'CPU of each container, in cores. 0.01 … 256.',
        default: DEFAULT_POLICY.cpu,
        example: 0.3,
      })
      .optional(),
    memoryBytes: whole(
      { min: 6 * MIB, max: 1024 * GIB },
      DEFAULT_POLICY.memoryBytes,
      'Memory of each container, in bytes.',
    ).optional(),
    pidsMax: whole(
      { min: 1, max: 32_768 },
      DEFAULT_POLICY.pidsMax,
      'Processes and threads each container may have.',
    ).optional(),
    boost: boost.optional(),
    minReplicas: whole(
      { min: 0, max: REPLICAS_MAX },
      DEFAULT_POLICY.minReplicas,
      'Containers kept ready without a request: started when the app is registered, never put to sleep, replaced when they die.',
    ).optional(),
    maxReplicas: whole(
      { min: 1, max: REPLICAS_MAX },
      DEFAULT_POLICY.maxReplicas,
      'Containers it may be scaled out to.',
    ).optional(),
    spares: whole(
      { min: 0, max: REPLICAS_MAX - 1 },
      DEFAULT_POLICY.spares,
      'Containers kept ready beyond what load needs, while the app is used. Needs a scaling mode that adds containers.',
    ).optional(),
    scaling: scaling.optional(),
    cooldownMs: cooldownMs.optional(),
    concurrency: concurrency.optional(),
    idlePauseMs: wholeOrNever(
      { min: 1, max: 7 * DAY_MS },
      DEFAULT_POLICY.idlePauseMs,
      'Paused after so long without activity; at most idleStopMs.',
    ).optional(),
    idleStopMs: wholeOrNever(
      { min: 1, max: 7 * DAY_MS },
      DEFAULT_POLICY.idleStopMs,
      'Stopped after so long without activity.',
    ).optional(),
    lifetimeMs: wholeOrNever(
      { min: 1_000, max: 14 * DAY_MS },
      DEFAULT_POLICY.lifetimeMs,
      'Replaced at this age, less up to a tenth of jitter.',
    ).optional(),
    startTimeoutMs: whole(
      { min: 100, max: 10 * MINUTE_MS },
      DEFAULT_POLICY.startTimeoutMs,
      'A start that takes longer has failed. Milliseconds,',
    ).optional(),
    requestTimeoutMs: whole(
      { min: 100, max: HOUR_MS },
      DEFAULT_POLICY.requestTimeoutMs,
      "From a request's forwarding to its answer's head. Milliseconds,",
    ).optional(),
    drainTimeoutMs: whole(
      { min: 0, max: HOUR_MS },
      DEFAULT_POLICY.drainTimeoutMs,
      'How long work in flight may go on once a container is to go. Milliseconds,',
    ).optional(),
    hold: hold.optional(),
    wake: wakeInput.optional(),
    keepWarm: keepWarmInput(REPLICAS_MAX).optional(),
  })
  .meta({
    id: 'PolicyInput',
    description:
      'How the app may run. A field that is left out keeps its value, or has its default in a new app. ' +
      'Together: target ≤ limit, idlePauseMs ≤ idleStopMs, minReplicas ≤ maxReplicas, spares < maxReplicas, cpu ≤ cpuMax, memoryBytes ≤ memoryMaxBytes, lowWater ≤ 0.8 × highWater.',
  });

export type PolicyInput = z.input<typeof policyInput>;
