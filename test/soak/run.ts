/**
 * A soak: full load of every kind for some time, while clients leave, apps break, readers and writers are slow and containers
 * fall asleep; then the proxy has to be as it was before. What is promised of every single answer is looked at as it comes.
 */
import { fork } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { setTimeout as pause } from 'node:timers/promises';
import { Random } from '../fuzz/http1-mutate.ts';
import { makePair } from '../support/certificates.ts';
import { until } from '../support/until.ts';
import { SoakApp } from './app.ts';
import { Ledger } from './ledger.ts';
import type { Figures } from './ledger.ts';
import type { FromProxy, Kept, ToProxy } from './proxy-child.ts';
import { hastyVisitor, stubbornVisitor, visitor } from './visitors.ts';
import type { World } from './visitors.ts';
import { http2Visitor, oddVisitor, webSocketVisitor } from './visitors-seldom.ts';

export interface SoakOptions {
  readonly seconds: number;
  readonly seed: number;
  /** Connections at once. */
  readonly visitors: number;
  readonly say: (line: string) => void;
}

export interface SoakResult {
  readonly figures: Figures;
  readonly violations: readonly string[];
  /** Of which `violations` are the first. */
  readonly violationCount: number;
  readonly before: Kept;
  readonly after: Kept;
}

/** Of the visitors: fickle, hasty, stubborn, over WebSockets, over HTTP/2, odd. */
const SHARES = [0.45, 0.2, 0.1, 0.1, 0.1, 0.05];
const PROGRESS_MS = 10_000;
/** First load, so that what is made once has been made: a share of the time, within bounds. */
const WARM_UP_SHARE = 0.2;
const WARM_UP_MAX_MS = 20_000;
const SETTLE_MS = 30_000;

const MIB = 1024 * 1024;
/** By how much the proxy may have grown since the end of its first load, with nothing left to do. */
const GROWTH = { heapBytes: 12 * MIB, externalBytes: 24 * MIB, residentBytes: 96 * MIB };

export async function runSoak({ seconds, seed, visitors, say }: SoakOptions): Promise<SoakResult> {
  const ledger = new Ledger();
  const pair = await makePair(['warm.test', '*.test']);
  await using app = await SoakApp.open(ledger, seed);
  const proxy = fork(new URL('./proxy-child.ts', import.meta.url), [], { execArgv: ['--expose-gc'] });
  let ended = false;
  proxy.once('exit', (code, signal) => {
    if (!ended) ledger.violation(`the proxy ended with ${String(code ?? signal)}`);
    ended = true;
  });
  try {
    const listening = once(proxy, 'message') as Promise<[Extract<FromProxy, { type: 'listening' }>]>;
    proxy.send({ type: 'begin', appPort: app.port, seed, pair } satisfies ToProxy);
    const [{ port, tlsPort }] = await listening;
    const load = async (ms: number, round: number) => {
      let over = false;
      const world: World = {
        ...{ port, tlsPort, ledger, certPem: pair.certPem },
        isOver: () => over || ended,
      };
      const random = (i: number) => new Random(seed + 1_000_003 * round + 7_919 * i);
      const kinds = [visitor, hastyVisitor, stubbornVisitor, webSocketVisitor, http2Visitor, oddVisitor];
      const all = kinds.flatMap((kind, k) =>
        Array.from({ length: Math.ceil(visitors * (SHARES[k] ?? 0)) }, (_, i) =>
          kind(world, random(10_000 * k + i)).catch((error: unknown) => {
            ledger.violation(`a visitor could not go on: ${String(error)}`);
          }),
        ),
      );
      await pause(ms);
      over = true;
      await Promise.all(all);
    };
    const startMs = performance.now();
    const stopProgress = progress(proxy, ledger, () => (performance.now() - startMs) / 1_000, say);
    try {
      const warmUpMs = Math.min(WARM_UP_MAX_MS, seconds * 1_000 * WARM_UP_SHARE);
      await load(warmUpMs, 0);
      const before = await settled(proxy, app, ledger);
      await load(seconds * 1_000 - warmUpMs, 1);
      const after = await settled(proxy, app, ledger);
      compare(before, after, ledger);
      const { figures, violations, violationCount } = ledger;
      return { figures, violations, violationCount, before, after };
    } finally {
      stopProgress();
    }
  } finally {
    ended = true;
    if (proxy.connected) proxy.disconnect();
    await until('the proxy to end', () => proxy.exitCode !== null || proxy.signalCode !== null);
  }
}

async function ask(proxy: ChildProcess, isSettled: boolean): Promise<Kept> {
  if (!proxy.connected) throw new Error('the proxy has ended');
  const answer = once(proxy, 'message', { signal: AbortSignal.timeout(SETTLE_MS) });
  proxy.send({ type: 'ask', settled: isSettled } satisfies ToProxy);
  const [message] = (await answer) as [Extract<FromProxy, { type: 'kept' }>];
  return message.kept;
}

/** Waits until nothing is under way and no connection is left, which the proxy's own time-outs see to. */
async function settled(proxy: ChildProcess, app: SoakApp, ledger: Ledger): Promise<Kept> {
  const isQuiet = async () => {
    const { snapshot, resources } = await ask(proxy, false);
    const { inFlight, held, heldBytes } = snapshot;
    const sockets =
      (resources['TCPSocketWrap'] ?? 0) + (resources['TLSWrap'] ?? 0) + (await app.connections());
    return inFlight + held + heldBytes + sockets === 0;
  };
  await until('the proxy to have nothing left to do', isQuiet, SETTLE_MS).catch(async (error: unknown) => {
    const { snapshot, resources } = await ask(proxy, false);
    const { inFlight, held, heldBytes } = snapshot;
    const left = { inFlight, held, heldBytes, resources, appConnections: await app.connections() };
    ledger.violation(`${String(error)}: ${JSON.stringify(left)}`);
  });
  return ask(proxy, true);
}

function compare(before: Kept, after: Kept, ledger: Ledger): void {
  const { snapshot } = after;
  const fds = (kept: Kept) => kept.snapshot.process.openFds ?? 0;
  if (fds(after) > fds(before)) ledger.violation(`${fds(before)} open files became ${fds(after)}`);
  for (const [kind, count] of Object.entries(after.resources)) {
    const had = before.resources[kind] ?? 0;
    // The wheel of the deadlines, and sleeps that are on their way, come and go.
    const allowed = kind === 'Timeout' ? had + 2 : had;
    if (count > allowed) ledger.violation(`${had} of ${kind} became ${count}`);
  }
  const grown = (what: keyof typeof GROWTH, from: number, to: number) => {
    if (to - from > GROWTH[what])
      ledger.violation(`${what} went from ${Math.round(from / MIB)} to ${Math.round(to / MIB)} MiB`);
  };
  grown('heapBytes', before.heapBytes, after.heapBytes);
  grown('externalBytes', before.externalBytes, after.externalBytes);
  grown('residentBytes', before.snapshot.process.residentBytes, snapshot.process.residentBytes);

  const { requests, status1xx, status2xx, status3xx, status4xx, status5xx, clientAborts, errors } = snapshot;
  const answers = status1xx + status2xx + status3xx + status4xx + status5xx;
  // What is refused before it is a request.
  const malformed = ['bad_request', 'ambiguous_http', 'uri_too_long', 'headers_too_large', 'request_timeout']
    .map((code) => errors[code] ?? 0)
    .reduce((sum, count) => sum + count, 0);
  if (requests + malformed !== answers + clientAborts)
    ledger.violation(
      `${requests} requests and ${malformed} refused heads, but ${answers} answers and ${clientAborts} aborts`,
    );
  if (snapshot.latency.count !== requests)
    ledger.violation(`${requests} requests, but ${snapshot.latency.count} latencies`);
}

function progress(
  proxy: ChildProcess,
  ledger: Ledger,
  seconds: () => number,
  say: (line: string) => void,
): () => void {
  let beforeRequests = 0;
  let beforeSeconds = 0;
  const timer = setInterval(() => {
    ask(proxy, false).then(
      ({ snapshot, externalBytes }) => {
        const { requests, inFlight, held, process } = snapshot;
        const now = seconds();
        const rate = Math.round((requests - beforeRequests) / (now - beforeSeconds));
        [beforeRequests, beforeSeconds] = [requests, now];
        const { answered, refused, broken, aborted, messages, bytes } = ledger.figures;
        const mib = (count: number) => `${Math.round(count / MIB)} MiB`;
        say(
          `${now.toFixed(0).padStart(4)} s  ${requests} requests (${rate}/s), ${answered} answered, ${refused} refused, ` +
            `${broken} broken, ${aborted} left, ${messages} messages, ${mib(bytes)}; in flight ${inFlight}, held ${held}, ` +
            `${process.openFds ?? 0} fds, rss ${mib(process.residentBytes)}, external ${mib(externalBytes)}; ` +
            `${ledger.violationCount} violations`,
        );
      },
      () => undefined,
    );
  }, PROGRESS_MS);
  return () => clearInterval(timer);
}
