/** All about an app, for people: a line for each thing that can be said of it. */
import type { KeepWarmHours, WakeMatcher } from '../cmdb/records.ts';
import type { AppView } from '../coreapi/schema.ts';
import { formatAgo, formatBytes, formatDuration } from '../units.ts';

type Policy = AppView['policy'];

/** Names and values; what the app's owner wrote is in them as it is. Rows that say nothing are left out. */
export function describeApp(app: AppView, nowMs: number): [name: string, value: string][] {
  const { revision, policy } = app;
  const rows: [string, string | null][] = [
    ['name', `${app.name} (${app.id})`],
    ['hosts', app.hosts.join(', ') || 'none'],
    ['created', formatAgo(app.createdAtMs, nowMs)],
    ['revision', `${revision.number}, deployed ${formatAgo(revision.createdAtMs, nowMs)}`],
    ['image', revision.image],
    ['digest', revision.digest],
    ['command', revision.command && revision.command.join(' ')],
    ['folder', revision.cwd],
    ['port', port(revision)],
    ['files', revision.readOnly ? 'read-only, but for /tmp' : null],
    ['needs', app.needs.join(', ') || null],
    ['needed by', app.neededBy.join(', ') || null],
    ['environment', Object.keys(revision.env).join(', ') || 'none'],
    ['size', size(policy)],
    ['boost', boost(policy)],
    ['containers', containers(policy)],
    ['kept ready', policy.keepWarm.map(hours).join('; ') || null],
    ['scaling', scaling(policy)],
    ['concurrency', `${policy.concurrency.target} aimed at, never more than ${policy.concurrency.limit}`],
    ['idle', `paused after ${orNever(policy.idlePauseMs)}, stopped after ${orNever(policy.idleStopMs)}`],
    ['wake', wake(policy)],
    ['lifetime', orNever(policy.lifetimeMs)],
    ['start', `fails after ${formatDuration(policy.startTimeoutMs)}`],
    ['request', `fails after ${formatDuration(policy.requestTimeoutMs)} without an answer`],
    ['drain', `${formatDuration(policy.drainTimeoutMs)} at most for what is in flight`],
    ['hold', `${policy.hold.requests} requests, ${formatBytes(policy.hold.bytes)}`],
  ];
  return rows.filter((row): row is [string, string] => row[1] !== null);
}

function orNever(durationMs: number | null): string {
  return durationMs === null ? 'never' : formatDuration(durationMs);
}

function port({ port, protocol, probe }: AppView['revision']): string {
  const speaks = protocol === 'h2c' ? ', HTTP/2 without TLS' : '';
  return `${port}${speaks}${probe.type === 'http' ? `, serves when ${probe.path} answers` : ''}`;
}

function size({ cpu, memoryBytes, grade }: Policy): string {
  return `${cpu} CPU, ${formatBytes(memoryBytes)}${grade ? ` (grade ${grade})` : ''}`;
}

function boost({ boost: { cpu, afterReadyMs } }: Policy): string | null {
  return cpu === null ? null : `${cpu} CPU while it starts and ${formatDuration(afterReadyMs)} longer`;
}

function containers({ minReplicas, maxReplicas, spares }: Policy): string {
  const more = spares > 0 ? `, ${spares} more than load needs` : '';
  return `${minReplicas} always kept ready, ${maxReplicas} at most${more}`;
}

/** As `--policy keepWarm` takes them. */
function hours({ days, from, to, timeZone, replicas }: KeepWarmHours): string {
  return `${days} ${from}-${to} ${timeZone} x${replicas}`;
}

function scaling({ scaling: { mode, cpuMax, memoryMaxBytes } }: Policy): string {
  const bounds = [
    ...(cpuMax === null ? [] : [`${cpuMax} CPU`]),
    ...(memoryMaxBytes === null ? [] : [formatBytes(memoryMaxBytes)]),
  ];
  if (mode === 'off') return 'by instruction alone';
  return `${mode} by load${bounds.length === 0 ? '' : `, up to ${bounds.join(' and ')} each`}`;
}

function wake({ wake: { ignore, perMinute, waitingPage, reply } }: Policy): string {
  const limit = perMinute === null ? 'by any request' : `${perMinute} times a minute at most`;
  const others = ignore.map(matcher).join(', ');
  return [
    limit,
    ...(others === '' ? [] : [`but not by ${others}, answered with ${reply.status}`]),
    ...(waitingPage ? ['browsers are shown a page that waits'] : []),
  ].join(', ');
}

function matcher({ method, path, userAgent }: WakeMatcher): string {
  const parts = [method, path, userAgent === undefined ? undefined : `User-Agent ${userAgent}`];
  return parts.filter((part) => part !== undefined).join(' ');
}
