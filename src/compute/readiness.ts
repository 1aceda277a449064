/**
 * When does a container serve? When its port accepts (and its probe path answers, if it has one). Nobody tells us, so we
 * look: at first after a millisecond, because that wait is part of somebody's first request, then ever less often.
 */
import { request } from 'node:http';
import { connect } from 'node:net';
import { sleep, type Clock } from '../clock.ts';
import type { Address, Probe } from '../cmdb/records.ts';
import { PlatformError } from '../errors.ts';
import { formatDuration } from '../units.ts';

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

/**
 * What became of a connection. `refused`: nothing listens there, or there is no way. `silent`: neither yes nor no came, as from a
 * container whose backlog is full.
 */
export type Reached = 'accepted' | 'refused' | 'silent';

export interface Readiness {
  /** Errors: `start_failed`, saying what the last attempt met; else the signal's reason. */
  waitUntilListening(target: ReadinessTarget, options: ReadinessOptions): Promise<void>;

  /** Tries until a connection is accepted; else tells what the last attempt met. Errors: the signal's reason. */
  reach(address: Address, options: ReadinessOptions): Promise<Reached>;
}

/** What an attempt met. */
interface Obstacle {
  readonly what: string;
  readonly isSilence: boolean;
}

/** Resolves to nothing when the container is ready. */
type Look = (attempt: Attempt, probe: Probe) => Promise<Obstacle | undefined>;

interface Attempt {
  readonly clock: Clock;
  readonly address: Address;
  readonly leftMs: number;
  readonly signal: AbortSignal;
  /** What the attempt before met: one that is cut short knows no better. */
  readonly before: Obstacle | undefined;
}

/** Looks over the network. An HTTP probe is ready at a status of 200–399; redirects are not followed, bodies not read. */
export function tcpReadiness(clock: Clock): Readiness {
  return readiness(clock, (attempt, probe) =>
    probe.type === 'tcp' ? tryConnect(attempt) : tryProbe(attempt, probe.path),
  );
}

/** Asks the simulated engine instead of the network. */
export function simulatedReadiness(
  engine: { listening(address: Address): boolean },
  clock: Clock,
): Readiness {
  return readiness(clock, ({ address }) =>
    Promise.resolve(engine.listening(address) ? undefined : nothingListened(address)),
  );
}

function readiness(clock: Clock, look: Look): Readiness {
  return {
    async waitUntilListening(target, options) {
      const obstacle = await retry(clock, target, options, look);
      if (obstacle === undefined) return;
      throw new PlatformError(
        'start_failed',
        `${obstacle.what} within ${formatDuration(options.timeoutMs)}`,
        {
          hint: 'The app has to listen on its port (on the process engine: the one in PORT), and its probe to answer 200–399.',
        },
      );
    },

    async reach(address, options) {
      const obstacle = await retry(clock, { address, probe: { type: 'tcp' } }, options, look);
      if (obstacle === undefined) return 'accepted';
      return obstacle.isSilence ? 'silent' : 'refused';
    },
  };
}

/** What the last attempt met; undefined as soon as one met nothing. */
async function retry(
  clock: Clock,
  { address, probe }: ReadinessTarget,
  { timeoutMs, signal }: ReadinessOptions,
  look: Look,
): Promise<Obstacle | undefined> {
  const untilMs = clock.monotonicMs() + timeoutMs;
  let before: Obstacle | undefined;
  for (let intervalMs = FIRST_INTERVAL_MS; ; intervalMs = Math.min(intervalMs * 2, MAX_INTERVAL_MS)) {
    signal.throwIfAborted();
    const leftMs = untilMs - clock.monotonicMs();
    if (leftMs <= 0) return before ?? nothingListened(address);
    before = await look({ clock, address, leftMs, signal, before }, probe);
    if (before === undefined) return undefined;
    await sleep(clock, Math.min(intervalMs, Math.max(0, untilMs - clock.monotonicMs())), signal);
  }
}

function nothingListened({ port }: Address): Obstacle {
  return { what: `nothing listened on port ${port}`, isSilence: false };
}

function nothingAnswered({ port }: Address): Obstacle {
  return { what: `port ${port} did not answer`, isSilence: true };
}

function tryConnect({ clock, address, leftMs, signal, before }: Attempt): Promise<Obstacle | undefined> {
  return new Promise((resolve) => {
    const socket = connect({ host: address.host, port: address.port });
    const settle = (obstacle: Obstacle | undefined) => {
      cancel();
      signal.removeEventListener('abort', giveUp);
      socket.destroy();
      resolve(obstacle);
    };
    const giveUp = () => settle(before ?? nothingAnswered(address));
    const cancel = clock.after(Math.min(leftMs, CONNECT_TIMEOUT_MS), giveUp);
    signal.addEventListener('abort', giveUp, { once: true });
    socket.once('connect', () => settle(undefined));
    socket.on('error', () => settle(nothingListened(address)));
  });
}

function tryProbe(
  { clock, address, leftMs, signal, before }: Attempt,
  path: string,
): Promise<Obstacle | undefined> {
  return new Promise((resolve) => {
    const probe = request({
      ...address,
      path,
      agent: false, // a connection of its own, closed with it
      headers: { connection: 'close', 'user-agent': 'mayfly-probe' },
    });
    const name = `GET ${path} on port ${address.port}`;
    let obstacle = nothingListened(address);
    const settle = (met: Obstacle | undefined) => {
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
        obstacle = { what: `${name} got no answer`, isSilence: true };
      }),
    );
    probe.once('response', ({ statusCode = 0 }) =>
      settle(
        statusCode >= 200 && statusCode < 400
          ? undefined
          : { what: `${name} answered ${statusCode}, not 200–399,`, isSilence: false },
      ),
    );
    probe.on('error', () => settle(obstacle));
    probe.end();
  });
}
