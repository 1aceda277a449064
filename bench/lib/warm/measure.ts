/**
 * Rounds: each peer has its turn in each, and the order turns from round to round, so that what changes on the machine
 * meanwhile changes for all of them alike. Only whole rounds count, which is why a ratio can be taken within one.
 */
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { TLS_HOST, type Bed } from './bed.ts';
import { openIdle } from './idle.ts';
import type { Peer } from './peer.ts';
import { cpuMs } from './process-tree.ts';
import type { PeerName, Scenario } from './scenarios.ts';
import { verify } from './verify.ts';
import { runWrk, wrkScript, type LoadOptions } from './wrk.ts';
import type { Workshop } from './workshop.ts';

/** One peer's turn in one round. */
export interface Sample {
  /** Right answers per second. */
  readonly requestsPerSecond: number;
  readonly bytesPerSecond: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  /** Of all the proxy's processes; undefined for `direct`. */
  readonly cpuSecondsPer100k: number | undefined;
  /** Refused requests, broken connections, time-outs, idle connections lost. */
  readonly errors: number;
}

/** Samples by peer, as many for each, in the order of the rounds. */
export type Measured = ReadonlyMap<PeerName, readonly Sample[]>;

export interface Plan {
  readonly rounds: number;
  readonly seconds: number;
  /** Of a peer that is compiled already: its pools fill. */
  readonly warmUpSeconds: number;
  readonly jitWarmUpSeconds: number;
  /** No round but a first one begins later (on `performance.now()`'s clock). */
  readonly latestStartMs: number;
}

/** Those of the scenario that are there. */
export function peersOf(bed: Bed, scenario: Scenario): Peer[] {
  return bed.peers.filter(({ name }) => scenario.peers.includes(name));
}

/** Errors: a peer that answers wrongly, before or meanwhile. */
export async function measure(
  workshop: Workshop,
  bed: Bed,
  scenario: Scenario,
  plan: Plan,
): Promise<Measured> {
  const peers = peersOf(bed, scenario);
  const scriptPath = join(workshop.folder, `${scenario.name}.lua`);
  await writeFile(scriptPath, wrkScript(scenario.request, bed.target));
  const { signal, cores } = workshop;
  const load = { scriptPath, connections: scenario.connections, core: cores.load, signal };

  for (const peer of peers) {
    if (peer.pids !== undefined) await verify({ peer, scenario, apps: bed.apps, signal });
    const seconds = peer.isJit ? plan.jitWarmUpSeconds : plan.warmUpSeconds;
    await runWrk({ ...load, url: urlOf(peer, scenario), seconds });
  }
  const measured = new Map<PeerName, Sample[]>(peers.map(({ name }) => [name, []]));
  const isLate = () => performance.now() > plan.latestStartMs;
  for (let round = 0; round < plan.rounds && !(round > 0 && isLate()); round++) {
    const first = round % peers.length;
    for (const peer of [...peers.slice(first), ...peers.slice(0, first)]) {
      const seconds = plan.seconds;
      measured.get(peer.name)?.push(await takeTurn(peer, scenario, bed, { ...load, seconds }));
    }
  }
  return measured;
}

async function takeTurn(
  peer: Peer,
  scenario: Scenario,
  bed: Bed,
  load: Omit<LoadOptions, 'url'>,
): Promise<Sample> {
  const { idleConnections, answerBytes } = scenario;
  const host = bed.apps[0]?.hosts[0] ?? '';
  const idle = idleConnections > 0 ? await openIdle(peer.port, host, idleConnections) : undefined;
  try {
    const pids = peer.pids?.();
    const beforeMs = pids && cpuMs(pids);
    const result = await runWrk({ ...load, url: urlOf(peer, scenario) });
    const usedMs = pids && cpuMs(pids) - (beforeMs ?? 0);
    const { requests, seconds, bytes, p50Ms, p99Ms, refused, broken } = result;
    const answers = requests - refused;
    if (answers <= 0)
      throw new Error(`${peer.name} gave no right answer for ${scenario.name}: ${JSON.stringify(result)}`);
    if (bytes < answers * answerBytes)
      throw new Error(`${peer.name} gave short answers for ${scenario.name}: ${JSON.stringify(result)}`);
    return {
      requestsPerSecond: answers / seconds,
      bytesPerSecond: (answers * answerBytes) / seconds,
      p50Ms,
      p99Ms,
      cpuSecondsPer100k: usedMs === undefined ? undefined : (usedMs / 1_000 / answers) * 100_000,
      errors: refused + broken + (idle?.lost() ?? 0),
    };
  } finally {
    idle?.close();
  }
}

function urlOf(peer: Peer, { bed, request }: Scenario): string {
  return bed === 'tls'
    ? `https://${TLS_HOST}:${peer.port}${request.path}`
    : `http://127.0.0.1:${peer.port}${request.path}`;
}
