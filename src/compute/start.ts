/**
 * One container from plan to listening. The phases are timed where they happen, and the platform adds no waiting of its
 * own: readiness looks from the first millisecond on.
 */
import type { App, ColdStartPhase } from '../cmdb/records.ts';
import type { AppSpec } from '../coreapi/core-api.ts';
import { isPlatformError, PlatformError } from '../errors.ts';
import { formatDuration } from '../units.ts';
import type { NodeContext } from './context.ts';
import type { ExitEvent, NeededApp } from './engine.ts';
import type { Live } from './live.ts';

/** Log lines of a failed start that its event carries, and their length in all. */
const LAST_LINES = 20;
const LAST_LINES_CHARACTERS = 4_000;
const LAST_LINES_TIMEOUT_MS = 2_000;

export type PhasesMs = Partial<Record<ColdStartPhase, number>>;

/**
 * Starts a planned container and waits until it serves. Errors: those of `Engine.start` and `Readiness`, or the reason
 * `live.abort` was given (the container exited, the app was deleted). What was started is stopped again then.
 */
export async function startContainer(
  context: NodeContext,
  live: Live,
  { app, revision }: AppSpec,
): Promise<PhasesMs> {
  const { engine, readiness, clock } = context;
  const { signal } = live.abort;
  const beganMs = clock.monotonicMs();
  const patienceMs = app.policy.startTimeoutMs;
  const timedOut = () =>
    new PlatformError('start_failed', `it did not start within ${formatDuration(patienceMs)}`);
  const stopPatience = clock.after(patienceMs, () => live.abort.abort(timedOut()));
  try {
    const started = await engine.start(
      {
        containerId: live.id,
        appId: app.id,
        revisionId: revision.id,
        workload: revision.workload,
        env: revision.env,
        port: revision.port,
        readOnly: revision.readOnly,
        resources: { ...live.container.resources, ...(live.boost && { cpu: live.boost.cpu }) },
        needs: await neededApps(context, app),
      },
      signal,
    );
    live.address = started.address;
    // From here on readiness keeps the time: it knows what the container was met with.
    stopPatience();
    const listenBeganMs = clock.monotonicMs();
    const timeoutMs = Math.max(1, patienceMs - (listenBeganMs - beganMs));
    await readiness.waitUntilListening(
      { address: started.address, probe: revision.probe },
      { timeoutMs, signal },
    );
    signal.throwIfAborted();
    return { create: started.createMs, start: started.startMs, listen: clock.monotonicMs() - listenBeganMs };
  } catch (thrown) {
    throw PlatformError.from(signal.aborted ? signal.reason : thrown);
  } finally {
    stopPatience();
  }
}

/** What the app needs, by the names it has now. */
async function neededApps({ core }: NodeContext, { needs = [] }: App): Promise<NeededApp[]> {
  const specs = await Promise.all(needs.map(({ appId }) => core.spec(appId)));
  return specs.flatMap((spec) =>
    spec ? [{ name: spec.app.name, hosts: spec.app.hosts.filter(leadsSomewhere) }] : [],
  );
}

/** A name that can be told to mean an address: no wildcard, and not the one that everybody has for himself. */
function leadsSomewhere(host: string): boolean {
  return !host.startsWith('*.') && host !== 'localhost';
}

/** What an exit means to a start that was waiting for the container. */
export function exitedBeforeReady(event: ExitEvent): PlatformError {
  return new PlatformError('start_failed', `it ${describeExit(event)} before it listened`);
}

/** How it ended, to be read behind "it". */
export function describeExit({ exitCode, outOfMemory }: ExitEvent): string {
  if (outOfMemory) return 'was killed for using more memory than its limit';
  return exitCode === null ? 'exited' : `exited with code ${exitCode}`;
}

/** The container's last words, for its owner. Empty when there are none, or none to be had in time. */
export async function lastLines(context: NodeContext, containerId: string): Promise<string> {
  const timeout = new AbortController();
  const cancel = context.clock.after(LAST_LINES_TIMEOUT_MS, () => timeout.abort());
  const lines: string[] = [];
  try {
    const options = { follow: false, tailLines: LAST_LINES, signal: timeout.signal };
    for await (const line of context.engine.logs(containerId, options)) lines.push(line.text);
  } catch (thrown) {
    if (!isPlatformError(thrown, 'not_found'))
      context.log.debug({ containerId, err: thrown }, 'no last lines');
  } finally {
    cancel();
  }
  return lines.join('\n').slice(-LAST_LINES_CHARACTERS);
}
