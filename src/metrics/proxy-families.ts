/** What is told of the traffic. */
import type { ProxyTotals } from './totals.ts';
import type { AppTotal } from '../proxy/app-totals.ts';
import type { Exposition, Sample } from './exposition.ts';

/** Upper bounds of the duration histogram, in seconds: from a warm request to a cold start that takes its time. */
export const DURATION_BOUNDS_SECONDS = [
  0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60,
] as const;

/** Apps that have a series of their own: those with the most requests. */
export const MAX_APP_SERIES = 100;

const CLASSES = ['1xx', '2xx', '3xx', '4xx', '5xx'] as const;

export function addProxyFamilies(to: Exposition, totals: ProxyTotals): void {
  addRequests(to, totals);
  addWaiting(to, totals);
  addApps(to, totals);
  addAccessLog(to, totals);
}

function addRequests(to: Exposition, totals: ProxyTotals): void {
  to.counter('mayfly_http_requests_total', 'Requests whose head has been read.', totals.requests);
  to.counter(
    'mayfly_http_responses_total',
    'Answers begun, by class of their status; those of apps and our own.',
    CLASSES.map((code) => [{ code }, totals[`status${code}`]]),
  );
  to.counter(
    'mayfly_http_errors_total',
    'Requests that the proxy itself answered, with an error, by its code (docs/errors.md).',
    Object.entries(totals.errors).map(([code, count]) => [{ code }, count]),
  );
  to.counter(
    'mayfly_http_stand_ins_total',
    'Requests that found their app asleep and that the proxy answered in its place (policy.wake), by how.',
    Object.entries(totals.standIns).map(([kind, count]) => [{ kind }, count]),
  );
  to.histogram(
    'mayfly_http_request_duration_seconds',
    'From the head of a request to the last byte of its answer, waiting for a container included.',
    DURATION_BOUNDS_SECONDS,
    [[{}, totals.latency]],
  );
  to.gauge('mayfly_http_requests_in_flight', 'Requests that containers are serving.', totals.inFlight);
  to.counter('mayfly_http_received_bytes_total', 'From clients.', totals.receivedBytes);
  to.counter('mayfly_http_sent_bytes_total', 'To clients.', totals.sentBytes);
  to.counter(
    'mayfly_http_client_aborts_total',
    'Clients that went away before their answer began.',
    totals.clientAborts,
  );
  to.counter(
    'mayfly_http_truncated_responses_total',
    'Answers of apps that ended before they were complete.',
    totals.truncated,
  );
  to.counter(
    'mayfly_http_refused_connections_total',
    'Connections that were closed before anything was read of them as HTTP, by why.',
    Object.entries(totals.refusedConnections).map(([reason, count]) => [{ reason }, count]),
  );
  to.counter('mayfly_upstream_retries_total', 'Requests sent again, by why.', [
    [{ reason: 'stale_connection' }, totals.staleRetries],
    [{ reason: 'connect_failed' }, totals.retriesTotal],
  ]);
}

function addWaiting(to: Exposition, totals: ProxyTotals): void {
  to.gauge('mayfly_held_requests', 'Requests that wait for a container.', totals.held);
  to.histogram(
    'mayfly_hold_duration_seconds',
    'How long requests waited for a container that was not there or had no room, until they were given to one.',
    DURATION_BOUNDS_SECONDS,
    [[{}, totals.heldTime]],
  );
  to.gauge('mayfly_held_bytes', 'What those occupy.', totals.heldBytes);
  to.counter(
    'mayfly_hold_overflows_total',
    'Requests refused because too many waited already.',
    totals.holdOverflowsTotal,
  );
  to.counter(
    'mayfly_activations_total',
    'Times that a data plane asked for an app to be made ready.',
    totals.activationsTotal,
  );
  to.gauge('mayfly_proxy_apps', 'Apps that the data plane has state of.', totals.apps);
  to.gauge('mayfly_proxy_containers', 'Containers that the data plane knows.', totals.containers);
  to.gauge(
    'mayfly_proxy_routes',
    'Hosts that the data plane remembers, unknown ones included.',
    totals.routes,
  );
}

function addApps(to: Exposition, { appTotals }: ProxyTotals): void {
  const shown = appTotals.slice(0, MAX_APP_SERIES);
  const each = (value: (app: AppTotal) => number) =>
    shown.map((app): Sample => [{ app: app.name, app_id: app.appId }, value(app)]);
  to.counter(
    'mayfly_app_requests_total',
    `Requests given to a container, of the ${MAX_APP_SERIES} apps with the most.`,
    each(({ requests }) => requests),
  );
  to.counter(
    'mayfly_app_held_requests_total',
    'Of those, the ones that had to wait for one.',
    each(({ held }) => held),
  );
  to.counter(
    'mayfly_app_held_seconds_total',
    'How long those waited, all together.',
    each(({ heldMs }) => heldMs / 1_000),
  );
}

function addAccessLog(to: Exposition, { accessLog }: ProxyTotals): void {
  if (accessLog === undefined) return;
  to.counter('mayfly_access_log_lines_total', 'Lines written.', accessLog.linesTotal);
  to.counter(
    'mayfly_access_log_dropped_total',
    'Lines that are missing: the disk was too slow or full.',
    accessLog.droppedTotal,
  );
  to.gauge(
    'mayfly_access_log_buffered_bytes',
    'Lines that are still to be written.',
    accessLog.bufferedBytes,
  );
}
