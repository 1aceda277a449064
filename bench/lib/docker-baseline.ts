/**
 * Plain Docker, for comparison: what a start costs somebody who uses the engine as everybody does, with a bridge network
 * made beforehand and a container created and started when it is wanted. Same engine, same image, same limits and same
 * probe as Mayfly's, in the same run.
 */
import { systemClock } from '../../src/clock.ts';
import type { Address } from '../../src/cmdb/records.ts';
import { DockerApi } from '../../src/compute/docker/api.ts';
import { limitsOf } from '../../src/compute/docker/container-spec.ts';
import { dockerVersion } from '../../src/compute/docker/engine.ts';
import { tcpReadiness } from '../../src/compute/readiness.ts';
import { newId } from '../../src/ids.ts';
import { DOCKER_SOCKET, buildTestImage } from '../../test/support/docker.ts';
import { timeFirstByte } from './first-byte.ts';

export interface PlainStart {
  readonly createMs: number;
  readonly startMs: number;
  /** From the start's end until its port accepts. */
  readonly listenMs: number;
  /** From the request that is then sent until the first byte of its answer. */
  readonly firstByteMs: number;
}

export interface Baseline {
  /** A web server of busybox. */
  readonly image: string;
  readonly digest: string;
  readonly port: number;
  /** One container on an own bridge network, from nothing to its first answer; it is removed again, untimed. */
  start(resources: { cpu: number; memoryBytes: number }): Promise<PlainStart>;
  /** The same in one figure: milliseconds from nothing to the first byte. */
  coldStart(resources: { cpu: number; memoryBytes: number }): Promise<number>;
}

export const dockerSocketAnswers = (): Promise<boolean> =>
  dockerVersion(DOCKER_SOCKET).then(
    () => true,
    () => false,
  );

/** Resolves when the port accepts, looking as often as Mayfly itself does. */
export const untilListening = (address: Address): Promise<void> =>
  tcpReadiness(systemClock).waitUntilListening(
    { address, probe: { type: 'tcp' } },
    { timeoutMs: 30_000, signal: new AbortController().signal },
  );

/** Makes the image and the network, and removes them when `use` is done. */
export async function withBaselineImage<T>(use: (baseline: Baseline) => Promise<T>): Promise<T> {
  const port = 8080;
  const api = new DockerApi({ socketPath: DOCKER_SOCKET });
  const label = `mayfly.bench=${newId('node')}`;
  const [key = '', value = ''] = label.split('=');
  const network = `mayfly-bench-${value}`;
  const image = await buildTestImage();
  try {
    await api.createNetwork({ Name: network, Driver: 'bridge', Labels: { [key]: value } });
    const start: Baseline['start'] = async ({ cpu, memoryBytes }) => {
      const beganMs = performance.now();
      const id = await api.create({
        Image: image.digest,
        Env: [`PORT=${port}`],
        Labels: { [key]: value },
        HostConfig: { ...limitsOf({ cpu, memoryBytes, pidsMax: 512 }, Infinity), NetworkMode: network },
      });
      try {
        const createdMs = performance.now();
        await api.start(id);
        const startedMs = performance.now();
        // Untimed, to plain Docker's advantage: the app boots meanwhile.
        const host = (await api.inspect(id)).NetworkSettings.Networks[network]?.IPAddress ?? '';
        const askedMs = performance.now();
        await untilListening({ host, port });
        const listenMs = performance.now() - askedMs;
        const { firstByteMs } = await timeFirstByte(port, 'plain.localhost', host);
        return { createMs: createdMs - beganMs, startMs: startedMs - createdMs, listenMs, firstByteMs };
      } finally {
        await api.remove(id);
      }
    };
    const coldStart: Baseline['coldStart'] = async (resources) => {
      const { createMs, startMs, listenMs, firstByteMs } = await start(resources);
      return createMs + startMs + listenMs + firstByteMs;
    };
    return await use({ image: image.name, digest: image.digest, port, start, coldStart });
  } finally {
    for (const { Id } of await api.list(label)) await api.remove(Id);
    for (const { Id } of await api.listNetworks(label)) await api.removeNetwork(Id);
    await image.remove();
    api.close();
  }
}
