/**
 * From what a caller says to a whole policy. In a new app a field that is left out has its default, except that a
 * default gives way to its partner: whoever sets only idleStopMs to 10 s means "sleep early", not "refuse, because the
 * default idlePauseMs is 30 s".
 */
import type { Grade, KeepWarmHours, Policy } from '../cmdb/records.ts';
import { PlatformError, type FieldError } from '../errors.ts';
import { DEFAULT_HOURS, type HoursInput } from './schema-keep-warm.ts';
import { DEFAULT_POLICY, type PolicyInput } from './schema-policy.ts';

/** The low water is at most this part of the high one: closer together, a size that leaves the one behind is at the other. */
const WATER_RATIO = 0.8;

/**
 * The policy that `input` makes of `base`, or of the defaults when there is no base.
 * `grade` is the record that `input.grade` names. Errors: `invalid_body`, naming the fields that do not go together.
 */
export function resolvePolicy(
  input: PolicyInput,
  base: Policy | undefined,
  grade: Grade | undefined,
): Policy {
  const from = base ?? defaultsFor(input);
  const policy: Policy = {
    ...size(input, from, grade),
    pidsMax: input.pidsMax ?? from.pidsMax,
    boost: {
      cpu: input.boost?.cpu === undefined ? from.boost.cpu : input.boost.cpu,
      afterReadyMs: input.boost?.afterReadyMs ?? from.boost.afterReadyMs,
    },
    minReplicas: input.minReplicas ?? from.minReplicas,
    maxReplicas: input.maxReplicas ?? from.maxReplicas,
    spares: input.spares ?? from.spares,
    scaling: {
      mode: input.scaling?.mode ?? from.scaling.mode,
      cpuMax: input.scaling?.cpuMax === undefined ? from.scaling.cpuMax : input.scaling.cpuMax,
      memoryMaxBytes:
        input.scaling?.memoryMaxBytes === undefined
          ? from.scaling.memoryMaxBytes
          : input.scaling.memoryMaxBytes,
      highWater: input.scaling?.highWater ?? from.scaling.highWater,
      lowWater: input.scaling?.lowWater ?? from.scaling.lowWater,
    },
    cooldownMs: { ...from.cooldownMs, ...given(input.cooldownMs ?? {}) },
    concurrency: {
      target: input.concurrency?.target ?? from.concurrency.target,
      limit: input.concurrency?.limit ?? from.concurrency.limit,
    },
    idlePauseMs: input.idlePauseMs === undefined ? from.idlePauseMs : input.idlePauseMs,
    idleStopMs: input.idleStopMs === undefined ? from.idleStopMs : input.idleStopMs,
    lifetimeMs: input.lifetimeMs === undefined ? from.lifetimeMs : input.lifetimeMs,
    startTimeoutMs: input.startTimeoutMs ?? from.startTimeoutMs,
    requestTimeoutMs: input.requestTimeoutMs ?? from.requestTimeoutMs,
    drainTimeoutMs: input.drainTimeoutMs ?? from.drainTimeoutMs,
    hold: {
      requests: input.hold?.requests ?? from.hold.requests,
      bytes: input.hold?.bytes ?? from.hold.bytes,
    },
    wake: {
      ignore: input.wake?.ignore ?? from.wake.ignore,
      reply: { ...from.wake.reply, ...given(input.wake?.reply ?? {}) },
      perMinute: input.wake?.perMinute === undefined ? from.wake.perMinute : input.wake.perMinute,
      waitingPage: input.wake?.waitingPage ?? from.wake.waitingPage,
    },
    keepWarm: input.keepWarm?.map(wholeHours) ?? from.keepWarm,
  };
  refuse([...gradeContradictions(input, grade), ...contradictions(policy)]);
  return policy;
}

function defaultsFor(input: PolicyInput): Policy {
  const { idlePauseMs, idleStopMs, concurrency, maxReplicas, scaling } = DEFAULT_POLICY;
  const { highWater = scaling.highWater, lowWater = scaling.lowWater } = input.scaling ?? {};
  return {
    ...DEFAULT_POLICY,
    scaling: {
      ...scaling,
      highWater: Math.min(1, Math.max(scaling.highWater, lowWater / WATER_RATIO)),
      lowWater: Math.min(scaling.lowWater, highWater * WATER_RATIO),
    },
    maxReplicas: Math.max(
      maxReplicas,
      input.minReplicas ?? 0,
      1 + (input.spares ?? 0),
      ...(input.keepWarm ?? []).map(({ replicas = 1 }) => replicas),
    ),
    idlePauseMs: Math.min(idlePauseMs, input.idleStopMs ?? idlePauseMs),
    idleStopMs: Math.max(idleStopMs, input.idlePauseMs ?? idleStopMs),
    concurrency: {
      target: Math.min(concurrency.target, input.concurrency?.limit ?? concurrency.target),
      limit: Math.max(concurrency.limit, input.concurrency?.target ?? concurrency.limit),
    },
  };
}

/** Without the fields that are spelled out as undefined. */
function given<T extends object>(input: T): { [K in keyof T]?: Exclude<T[K], undefined> } {
  return Object.fromEntries(Object.entries(input).filter(([, value]) => value !== undefined)) as never;
}

function wholeHours({ from, to, ...rest }: HoursInput): KeepWarmHours {
  return { ...DEFAULT_HOURS, ...given(rest), from, to };
}

/** A grade sets both figures; a figure given by itself ends the grade. */
function size(
  input: PolicyInput,
  from: Policy,
  grade: Grade | undefined,
): Pick<Policy, 'grade' | 'cpu' | 'memoryBytes'> {
  if (grade) return { grade: grade.name, cpu: grade.cpu, memoryBytes: grade.memoryBytes };
  const cpu = input.cpu ?? from.cpu;
  const memoryBytes = input.memoryBytes ?? from.memoryBytes;
  const same = input.grade === undefined && cpu === from.cpu && memoryBytes === from.memoryBytes;
  return { grade: same ? from.grade : null, cpu, memoryBytes };
}

function gradeContradictions(input: PolicyInput, grade: Grade | undefined): FieldError[] {
  if (!grade) return [];
  return (['cpu', 'memoryBytes'] as const)
    .filter((field) => input[field] !== undefined && input[field] !== grade[field])
    .map((field) => ({
      field: `policy.${field}`,
      reason: `the grade ${grade.name} has ${grade[field]}; give the grade or the figures, not both`,
    }));
}

function contradictions(policy: Policy): FieldError[] {
  const errors: FieldError[] = [];
  const { concurrency, idlePauseMs, idleStopMs, minReplicas, maxReplicas, spares, scaling } = policy;
  if (concurrency.target > concurrency.limit) {
    const reason = `must be at most concurrency.limit (${concurrency.limit}), but is ${concurrency.target}`;
    errors.push({ field: 'policy.concurrency.target', reason });
  }
  if (idlePauseMs !== null && idleStopMs !== null && idlePauseMs > idleStopMs) {
    const reason = `must be at most idleStopMs (${idleStopMs}), but is ${idlePauseMs}`;
    errors.push({ field: 'policy.idlePauseMs', reason });
  }
  if (minReplicas > maxReplicas) {
    const reason = `must be at most maxReplicas (${maxReplicas}), but is ${minReplicas}`;
    errors.push({ field: 'policy.minReplicas', reason });
  }
  if (spares > 0 && (scaling.mode === 'off' || scaling.mode === 'up')) {
    const reason = `must be 0 in scaling.mode ${scaling.mode}, which adds no containers, but is ${spares}`;
    errors.push({ field: 'policy.spares', reason });
  }
  if (spares >= maxReplicas) {
    const reason = `must be less than maxReplicas (${maxReplicas}), but is ${spares}`;
    errors.push({ field: 'policy.spares', reason });
  }
  for (const [index, { replicas }] of policy.keepWarm.entries()) {
    if (replicas <= maxReplicas) continue;
    const reason = `must be at most maxReplicas (${maxReplicas}), but is ${replicas}`;
    errors.push({ field: `policy.keepWarm.${index}.replicas`, reason });
  }
  if (scaling.cpuMax !== null && scaling.cpuMax < policy.cpu) {
    const reason = `must be at least cpu (${policy.cpu}), but is ${scaling.cpuMax}`;
    errors.push({ field: 'policy.scaling.cpuMax', reason });
  }
  if (scaling.memoryMaxBytes !== null && scaling.memoryMaxBytes < policy.memoryBytes) {
    const reason = `must be at least memoryBytes (${policy.memoryBytes}), but is ${scaling.memoryMaxBytes}`;
    errors.push({ field: 'policy.scaling.memoryMaxBytes', reason });
  }
  if (scaling.lowWater > WATER_RATIO * scaling.highWater + 1e-9) {
    const reason = `must be at most four fifths of scaling.highWater (${scaling.highWater}), but is ${scaling.lowWater}`;
    errors.push({ field: 'policy.scaling.lowWater', reason });
  }
  return errors;
}

function refuse(fields: readonly FieldError[]): void {
  const [first] = fields;
  if (!first) return;
  throw new PlatformError('invalid_body', `${first.field} ${first.reason}`, { fields });
}
