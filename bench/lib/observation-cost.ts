/**
 * What a look at an app costs the control process: its containers' cgroups are read by the engine's own driver, and load decides
 * by the modules that decide in production, here in this process, thousands of times.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { availableParallelism, tmpdir, totalmem } from 'node:os';
import { join } from 'node:path';
import { systemClock } from '../../src/clock.ts';
import { openDockerEngine } from '../../src/compute/docker/engine.ts';
import type { ContainerStats, Engine } from '../../src/compute/engine.ts';
import { openProcessEngine } from '../../src/compute/process/process-engine.ts';
import { DEFAULT_POLICY } from '../../src/coreapi/schema-policy.ts';
import { AppLoad } from '../../src/coreapi/decisions/load.ts';
import { newId } from '../../src/ids.ts';
import type { BurningApp, EngineName } from './burning-app.ts';
import { summarize, type Row } from './report.ts';

const CONTAINERS = 4;
const LOOKS_A_ROUND = 100;
const ROUNDS = 20;
/** As far apart as they are when an app is busy. */
const LOOK_EVERY_MS = 100;
const RESOURCES = { cpu: 0.1, memoryBytes: 64 * 2 ** 20, pidsMax: 64 };

/** A row in ms for one look at an app, with one container and with four. Leaves nothing behind. */
export async function observationCost(
  engineName: EngineName,
  { workload }: BurningApp,
  signal: AbortSignal,
): Promise<Row[]> {
  const nodeId = newId('node');
  const dataDir = await mkdtemp(join(tmpdir(), 'mayfly-bench-observe-'));
  const engine: Engine =
    engineName === 'docker'
      ? openDockerEngine({ nodeId, poolSize: 0 })
      : await openProcessEngine({ dataDir, nodeId, clock: systemClock });
  const ids = Array.from({ length: CONTAINERS }, () => newId('ctr'));
  try {
    await engine.prepare();
    const runs =
      'image' in workload
        ? {
            type: 'image' as const,
            image: workload.image,
            digest: (await engine.resolveImage(workload.image, () => undefined, signal)).digest,
            command: null,
          }
        : { type: 'command' as const, command: workload.command, cwd: workload.cwd };
    for (const containerId of ids)
      await engine.start(
        {
          ...{ containerId, appId: newId('app'), revisionId: newId('rev'), workload: runs },
          ...{ env: workload.env ?? {}, port: 8080, readOnly: false, resources: RESOURCES },
        },
        signal,
      );
    const rows: Row[] = [];
    for (const count of [1, CONTAINERS])
      rows.push(
        summarize(
          `${engineName}: one observation, ${count === 1 ? '1 container' : `${count} containers`}`,
          'ms',
          await measure(engine, ids.slice(0, count), signal),
        ),
      );
    return rows;
  } finally {
    for (const id of ids) await engine.remove(id);
    await engine.close();
    await rm(dataDir, { recursive: true, force: true });
  }
}

/** CPU time of this process for one look, in ms: the mean of each round. */
async function measure(engine: Engine, ids: readonly string[], signal: AbortSignal): Promise<number[]> {
  const load = new AppLoad();
  const machine = { cpu: availableParallelism(), memoryBytes: totalmem() };
  const extent = { replicas: ids.length, cpu: RESOURCES.cpu, memoryBytes: RESOURCES.memoryBytes };
  const before = new Map<string, ContainerStats>();
  let atMs = 0;
  const look = async () => {
    atMs += LOOK_EVERY_MS;
    const containers = await Promise.all(
      ids.map(async (containerId) => {
        const now = await engine.stats(containerId);
        const last = before.get(containerId) ?? now;
        before.set(containerId, now);
        return {
          ...{ containerId, overMs: LOOK_EVERY_MS, cpuMs: now.cpuMs - last.cpuMs, cpu: RESOURCES.cpu },
          ...{ throttledShare: 0, memoryBytes: now.memoryBytes, memoryLimitBytes: RESOURCES.memoryBytes },
          ...{ oomKills: 0, pids: now.pids },
        };
      }),
    );
    const traffic = { arrivals: 3, completed: 3, servedMs: 30, heldMs: 0 };
    load.observe(
      { atMs, containers, traffic, inFlight: 1, held: 0 },
      { policy: DEFAULT_POLICY, extent, ready: ids.length, starting: 0, machine },
    );
  };
  const rounds: number[] = [];
  // The first round only warms the code up.
  for (let round = 0; round <= ROUNDS; round++) {
    signal.throwIfAborted();
    const from = process.cpuUsage();
    for (let i = 0; i < LOOKS_A_ROUND; i++) await look();
    const { user, system } = process.cpuUsage(from);
    if (round > 0) rounds.push((user + system) / 1_000 / LOOKS_A_ROUND);
  }
  return rounds;
}
