/**
 * What the API answers. The records of the store are not shown as they are: a view names what a caller needs, and stays
 * the same when a record is laid out anew.
 */
import { z } from 'zod';
import type { KeepWarmHours, WakeMatcher } from '../cmdb/records.ts';
import { probe, protocol } from './schema-app.ts';

const epochMs = (text: string) => z.int().meta({ description: `${text} Milliseconds since the epoch.` });
const bytes = z.int().meta({ description: 'Bytes.' });
const cores = z.number().meta({ description: 'Cores.' });
const containerState = z.enum(['planned', 'starting', 'ready', 'paused', 'draining', 'stopped', 'failed']);
const nodeState = z.enum(['up', 'draining', 'down']);

const keepWarmHours: z.ZodType<readonly KeepWarmHours[]> = z.array(
  z.object({ days: z.string(), from: z.string(), to: z.string(), timeZone: z.string(), replicas: z.int() }),
);
const wakeMatchers: z.ZodType<readonly WakeMatcher[]> = z.array(
  z.object({
    path: z.string().optional(),
    method: z.string().optional(),
    userAgent: z.string().optional(),
  }),
);

const policyView = z
  .object({
    grade: z.string().nullable(),
    cpu: cores,
    memoryBytes: bytes,
    pidsMax: z.int(),
    boost: z.object({ cpu: cores.nullable(), afterReadyMs: z.int() }),
    minReplicas: z.int(),
    maxReplicas: z.int(),
    spares: z.int(),
    scaling: z.object({
      mode: z.enum(['off', 'out', 'up', 'up-then-out']),
      cpuMax: cores.nullable(),
      memoryMaxBytes: bytes.nullable(),
      highWater: z.number(),
      lowWater: z.number(),
    }),
    cooldownMs: z.object({ out: z.int(), in: z.int(), up: z.int(), down: z.int() }),
    concurrency: z.object({ target: z.int(), limit: z.int() }),
    idlePauseMs: z.int().nullable(),
    idleStopMs: z.int().nullable(),
    lifetimeMs: z.int().nullable(),
    startTimeoutMs: z.int(),
    requestTimeoutMs: z.int(),
    drainTimeoutMs: z.int(),
    hold: z.object({ requests: z.int(), bytes }),
    wake: z.object({
      ignore: wakeMatchers,
      reply: z.object({ status: z.int(), contentType: z.string(), body: z.string() }),
      perMinute: z.int().nullable(),
      waitingPage: z.boolean(),
    }),
    keepWarm: keepWarmHours,
  })
  .meta({ id: 'Policy', description: 'How the app may run, every field with its value.' });

export const revisionView = z
  .object({
    id: z.string(),
    number: z.int().meta({ description: '1, 2, 3 … within the app.' }),
    image: z.string().nullable().meta({ description: 'As it was given; null for a command in a folder.' }),
    digest: z.string().nullable().meta({ description: 'What the image resolved to at deploy.' }),
    command: z.array(z.string()).nullable(),
    cwd: z.string().nullable(),
    env: z.record(z.string(), z.string()),
    port: z.int(),
    protocol,
    probe,
    readOnly: z.boolean(),
    createdAtMs: epochMs('When it was deployed.'),
  })
  .meta({ id: 'Revision', description: 'One immutable version of an app.' });

export const appView = z
  .object({
    id: z.string(),
    name: z.string(),
    hosts: z.array(z.string()),
    revision: revisionView,
    policy: policyView,
    needs: z
      .array(z.string())
      .meta({ description: 'Apps that are woken before it, in this order, and kept awake while it is.' }),
    neededBy: z
      .array(z.string())
      .meta({ description: 'Apps that need it; it cannot be deleted while there are any.' }),
    generation: z.int().meta({ description: 'One more with every change; also the ETag.' }),
    createdAtMs: epochMs('When it was created.'),
  })
  .meta({ id: 'App' });

export const containerView = z
  .object({
    id: z.string(),
    appId: z.string(),
    appName: z.string().nullable().meta({ description: 'null when the app is gone.' }),
    revisionId: z.string(),
    nodeId: z.string(),
    state: containerState,
    reason: z.string().meta({ description: 'Why it is in this state.' }),
    address: z.object({ host: z.string(), port: z.int() }).nullable(),
    resources: z.object({ cpu: cores, memoryBytes: bytes, pidsMax: z.int() }),
    createdAtMs: epochMs('When it was planned.'),
    expiresAtMs: epochMs('When it is to be replaced.').nullable(),
    phasesMs: z
      .record(z.string(), z.number())
      .meta({ description: 'Milliseconds each phase of its start took.' }),
    enteredAtMs: z
      .record(z.string(), z.number())
      .meta({ description: 'When it last entered each state. Milliseconds since the epoch.' }),
  })
  .meta({ id: 'Container' });

export const eventView = z
  .object({
    sequence: z.int().meta({ description: 'Ascending; the cursor for `after` and `before`.' }),
    atMs: epochMs('When it happened.'),
    type: z.string().meta({ description: 'noun.verb', example: 'container.ready' }),
    appId: z.string().nullable(),
    appName: z.string().nullable().meta({ description: 'null when it concerns no app, or the app is gone.' }),
    containerId: z.string().nullable(),
    nodeId: z.string().nullable(),
    reason: z.string(),
    figures: z.record(z.string(), z.union([z.string(), z.number(), z.boolean()])),
  })
  .meta({ id: 'Event', description: 'What happened, to what, and why.' });

export const nodeView = z
  .object({
    id: z.string(),
    name: z.string(),
    engine: z.string(),
    state: nodeState,
    capacity: z.object({ cpu: cores, memoryBytes: bytes }),
    reserved: z.object({ cpu: cores, memoryBytes: bytes }),
    lastSeenAtMs: epochMs('When it was last heard of.'),
    createdAtMs: epochMs('When it joined.'),
  })
  .meta({ id: 'Node' });

export const gradeView = z
  .object({ name: z.string(), cpu: cores, memoryBytes: bytes })
  .meta({ id: 'Grade', description: 'A named size.' });

/** One line of a log stream. */
export const logLine = z
  .object({
    atMs: epochMs('When it was written.'),
    stream: z.enum(['stdout', 'stderr']),
    text: z.string(),
    containerId: z.string(),
  })
  .meta({ id: 'LogLine' });

/** RFC 9457, with the members `code`, `hint` and `errors` of its own. */
export const problemView = z
  .object({
    type: z.string().meta({ description: 'urn:mayfly:error:CODE' }),
    title: z.string(),
    status: z.int(),
    detail: z.string(),
    code: z.string(),
    hint: z.string().optional().meta({ description: 'What to do about it.' }),
    errors: z.array(z.object({ field: z.string(), reason: z.string() })).optional(),
  })
  .meta({ id: 'Problem', description: 'A problem document (RFC 9457).' });

/** One line of the answer to a change that was asked for as application/x-ndjson. The last line is no progress. */
export const changeLine = z
  .discriminatedUnion('type', [
    z.object({
      type: z.literal('progress'),
      status: z.string(),
      currentBytes: z.number(),
      totalBytes: z.number(),
    }),
    z.object({ type: z.literal('result'), created: z.boolean(), app: appView }),
    z.object({ type: z.literal('error'), problem: problemView }),
  ])
  .meta({ id: 'ChangeLine' });

/** A page of a list: `next` is the cursor for `after`; null at the end. */
export function page<T extends z.ZodType>(item: T) {
  return z.object({
    items: z.array(item),
    next: z
      .string()
      .nullable()
      .meta({ description: 'Pass it as `after` for the next page; null at the end.' }),
  });
}

export type RevisionView = z.output<typeof revisionView>;
export type AppView = z.output<typeof appView>;
export type ContainerView = z.output<typeof containerView>;
export type EventView = z.output<typeof eventView>;
export type NodeView = z.output<typeof nodeView>;
export type GradeView = z.output<typeof gradeView>;
export type LogLineView = z.output<typeof logLine>;
export type Problem = z.output<typeof problemView>;
export type ChangeLine = z.output<typeof changeLine>;
export interface Page<T> {
  items: T[];
  next: string | null;
}
