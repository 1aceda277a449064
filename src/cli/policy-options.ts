/** `--policy idlePauseMs=30s`: any policy field by its name in the API, with values as people write them. */
import type { Policy } from '../cmdb/records.ts';
import type { PolicyInput } from '../coreapi/schema.ts';
import { UsageError } from './exit-codes.ts';
import { parseHours, parseList, parseMatcher } from './policy-lists.ts';
import { parseBytes, parseDurationMs } from '../units.ts';

type Shape =
  | 'number'
  | 'number or none'
  | 'bytes'
  | 'bytes or none'
  | 'duration'
  | 'duration or never'
  | 'mode'
  | 'name'
  | 'text'
  | 'yes or no'
  | 'matchers'
  | 'hours';

/** Paths of the policy's leaves, so that a field added there is missed here by the compiler. */
type Leaf<T, Prefix extends string = ''> = {
  [K in keyof T & string]: T[K] extends readonly unknown[]
    ? `${Prefix}${K}`
    : T[K] extends object
      ? Leaf<T[K], `${Prefix}${K}.`>
      : `${Prefix}${K}`;
}[keyof T & string];

const SHAPES: Readonly<Record<Leaf<Policy>, Shape>> = {
  grade: 'name',
  cpu: 'number',
  memoryBytes: 'bytes',
  pidsMax: 'number',
  'boost.cpu': 'number or none',
  'boost.afterReadyMs': 'duration',
  minReplicas: 'number',
  maxReplicas: 'number',
  spares: 'number',
  'scaling.mode': 'mode',
  'scaling.cpuMax': 'number or none',
  'scaling.memoryMaxBytes': 'bytes or none',
  'scaling.highWater': 'number',
  'scaling.lowWater': 'number',
  'cooldownMs.out': 'duration',
  'cooldownMs.in': 'duration',
  'cooldownMs.up': 'duration',
  'cooldownMs.down': 'duration',
  'concurrency.target': 'number',
  'concurrency.limit': 'number',
  idlePauseMs: 'duration or never',
  idleStopMs: 'duration or never',
  lifetimeMs: 'duration or never',
  startTimeoutMs: 'duration',
  requestTimeoutMs: 'duration',
  drainTimeoutMs: 'duration',
  'hold.requests': 'number',
  'hold.bytes': 'bytes',
  'wake.ignore': 'matchers',
  'wake.reply.status': 'number',
  'wake.reply.contentType': 'text',
  'wake.reply.body': 'text',
  'wake.perMinute': 'number or none',
  'wake.waitingPage': 'yes or no',
  keepWarm: 'hours',
};

export const POLICY_FIELDS = Object.keys(SHAPES) as Leaf<Policy>[];

const EXAMPLES: Readonly<Record<Shape, string>> = {
  number: 'a number',
  'number or none': 'a number, or none',
  bytes: 'a size such as 512MiB',
  'bytes or none': 'a size such as 512MiB, or none',
  duration: 'a time such as 30s',
  'duration or never': 'a time such as 30s, or never',
  mode: 'off, out, up or up-then-out',
  name: 'a name, or none',
  text: 'a text',
  'yes or no': 'true or false',
  hours: 'hours such as "mon-fri 08:00-18:00 Europe/Berlin x2", several with ; between them, or none',
  matchers: 'a list such as /healthz,UptimeRobot, or none',
};

/** The `policy` of a request from its options, in order; a later one wins. Errors: UsageError. */
export function parsePolicy(options: readonly string[]): PolicyInput {
  const policy: Record<string, unknown> = {};
  for (const option of options) {
    const [, field, text] = /^([^=]+)=(.*)$/s.exec(option) ?? [];
    if (field === undefined || text === undefined) {
      throw new UsageError(`--policy ${option} has no value`, 'write it as FIELD=VALUE, such as cpu=0.3');
    }
    if (!isField(field)) throw unknownField(field);
    const value = parseValue(SHAPES[field], text);
    if (value === undefined)
      throw new UsageError(`--policy ${field}=${text}: must be ${EXAMPLES[SHAPES[field]]}`);
    setAt(policy, field.split('.'), value);
  }
  return policy;
}

function setAt(
  object: Record<string, unknown>,
  [key = '', ...path]: readonly string[],
  value: unknown,
): void {
  if (path.length === 0) object[key] = value;
  else setAt((object[key] ??= {}) as Record<string, unknown>, path, value);
}

function isField(field: string): field is Leaf<Policy> {
  return Object.hasOwn(SHAPES, field);
}

function parseValue(shape: Shape, text: string): unknown {
  const isNone = text === 'none' || text === 'null';
  switch (shape) {
    case 'number or none':
      return isNone ? null : parseValue('number', text);
    case 'bytes or none':
      return isNone ? null : parseValue('bytes', text);
    case 'number':
      return text.trim() !== '' && Number.isFinite(Number(text)) ? Number(text) : undefined;
    case 'bytes':
      return parseBytes(text);
    case 'duration':
      return parseDurationMs(text);
    case 'duration or never':
      return text === 'never' || text === 'null' ? null : parseDurationMs(text);
    case 'name':
      return isNone ? null : text || undefined;
    case 'mode':
      return text || undefined; // the server knows which there are
    case 'text':
      return text;
    case 'yes or no':
      return text === 'true' ? true : text === 'false' ? false : undefined;
    case 'matchers':
      return parseList(text, ',', parseMatcher);
    case 'hours':
      return parseList(text, ';', parseHours);
  }
}

/** Units are the last word of a name, and the first to be forgotten: `idlePause` means `idlePauseMs`. */
function unknownField(field: string): UsageError {
  const guess = POLICY_FIELDS.find(
    (known) =>
      known.toLowerCase().replace(/ms$|bytes$/, '') === field.toLowerCase().replace(/ms$|bytes$/, ''),
  );
  return new UsageError(
    `--policy ${field}: there is no such field`,
    guess === undefined ? `there are ${POLICY_FIELDS.join(', ')}` : `it is called ${guess}`,
  );
}
