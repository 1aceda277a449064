/**
 * When does a container serve? When its port accepts (and its probe path answers, if it has one). Nobody tells us, so we
 * look: at first after a millisecond, because that wait is part of somebody's first request, then ever less often.
 */
import { request } from 'node:http';
import { connect } from 'node:net';
import { sleep, type Clock } from '../clock.ts';
import type { Address, Probe } from '../cmdb/records.ts';
import { PlatformError } from '../errors.ts';

const FIRST_INTERVAL_MS = 1;
const MAX_INTERVAL_MS = 50;
/** One connection attempt; a host that drops packets must not use up the whole time. */
const CONNECT_TIMEOUT_MS = 1_000;
/** One probe request, its connection included. */
const PROBE_TIMEOUT_MS = 5_000;

export interface ReadinessTarget {
  readonly address: Address;
  readonly probe: Probe;
}

export interface ReadinessOptions {
  /** For all attempts together. */
  readonly timeoutMs: number;
  /** Ends the wait at once, e.g. because the container has exited; its reason is what the wait rejects with. */
  readonly signal: AbortSignal;
}

export interface Readiness {
  /** Errors: `start_failed`, saying what the last attempt met; else the signal's reason. */
  waitUntilListening(target: ReadinessTarget, options: ReadinessOptions): Promise<void>;
}

/** What an attempt met; undefined when the container is ready. */
type Obstacle = string | undefined;

interface Attempt {
  readonly clock: Clock;
  readonly address: Address;
  readonly leftMs: number;
  readonly signal: AbortSignal;
  /** What the attempt before met: one that is cut short knows no better. */
  readonly before: Obstacle;
}

/** Looks over the network. An HTTP probe is ready at a status of 200–399; redirects are not followed, bodies not read. */
export function tcpReadiness(clock: Clock): Readiness {
  return {
    waitUntilListening: ({ address, probe }, options) =>
      retry(clock, address, options, (attempt) =>
        probe.type === 'tcp' ? tryConnect(attempt) : tryProbe(attempt, probe.path),
      ),
  };
}

/** Asks the simulated engine instead of the network. */
export function simulatedReadiness(
  engine: { listening(address: Address): boolean },
  clock: Clock,
): Readiness {
  return {
    waitUntilListening: ({ address }, options) =>
      retry(clock, address, options, () =>
        Promise.resolve(engine.listening(address) ? undefined : nothingListened(address)),
      ),
  };
}

async function retry(
  clock: Clock,
  address: Address,
  { timeoutMs, signal }: ReadinessOptions,
  look: (attempt: Attempt) => Promise<Obstacle>,
): Promise<void> {
  const untilMs = clock.monotonicMs() + timeoutMs;
  let before: Obstacle;
  for (let intervalMs = FIRST_INTERVAL_MS; ; intervalMs = Math.min(intervalMs * 2, MAX_INTERVAL_MS)) {
    signal.throwIfAborted();
    const leftMs = untilMs - clock.monotonicMs();
    if (leftMs <= 0) break;
    before = await look({ clock, address, leftMs, signal, before });
    if (before === undefined) return;
    await sleep(clock, Math.min(intervalMs, Math.max(0, untilMs - clock.monotonicMs())), signal);
  }
  throw new PlatformError(
    'start_failed',
    `${before ?? nothingListened(address)} within ${Math.round(timeoutMs)} ms`,
    {
      hint: 'The app has to listen on its port (on the process engine: the one in PORT), and its probe to answer 200–399.',
    },
  );
}

function nothingListened({ port }: Address): string {
  return `nothing listened on port ${port}`;
}

function tryConnect({ clock, address, leftMs, signal, before }: Attempt): Promise<Obstacle> {
  return new Promise((resolve) => {
    const socket = connect({ host: address.host, port: address.port });
    const settle = (obstacle: Obstacle) => {
      cancel();
      signal.removeEventListener('abort', giveUp);
      socket.destroy();
      resolve(obstacle);
    };
    const giveUp = () => settle(before ?? nothingListened(address));
    const cancel = clock.after(Math.min(leftMs, CONNECT_TIMEOUT_MS), giveUp);
    signal.addEventListener('abort', giveUp, { once: true });
    socket.once('connect', () => settle(undefined));
    socket.on('error', () => settle(nothingListened(address)));
  });
}

function tryProbe({ clock, address, leftMs, signal, before }: Attempt, path: string): Promise<Obstacle> {
  return new Promise((resolve) => {
    const probe = request({
      ...address,
      path,
      agent: false, // a connection of its own, closed with it
      headers: { connection: 'close', 'user-agent': 'mayfly-probe' },
    });
    const name = `GET ${path} on port ${address.port}`;
    let obstacle = nothingListened(address);
    const settle = (met: Obstacle) => {
      cancel();
      signal.removeEventListener('abort', giveUp);
      probe.destroy();
      resolve(met);
    };
    const giveUp = () => settle(before ?? obstacle);
    const cancel = clock.after(Math.min(leftMs, PROBE_TIMEOUT_MS), giveUp);
    signal.addEventListener('abort', giveUp, { once: true });
    probe.once('socket', (socket) =>
      socket.once('connect', () => {
        obstacle = `${name} got no answer`;
      }),
    );
    probe.once('response', ({ statusCode = 0 }) =>
      settle(
        statusCode >= 200 && statusCode < 400 ? undefined : `${name} answered ${statusCode}, not 200–399,`,
      ),
    );
    probe.on('error', () => settle(obstacle));
    probe.end();
  });
}
