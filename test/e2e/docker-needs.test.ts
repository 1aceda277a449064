/** What the docker driver does for an app that needs others: whose an address is, and the file that shows the way. */
import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { DockerEngine, DockerEngineOptions } from '../../src/compute/docker/engine.ts';
import type { StartSpec } from '../../src/compute/engine.ts';
import { engineIdOf, execIn, whyNoDocker } from '../support/docker.ts';
import { dockerHarness, imageSpec } from '../support/docker-harness.ts';
import type { DockerHarness } from '../support/docker-harness.ts';

const missing = await whyNoDocker();
const never = new AbortController().signal;
const NEEDS = [
  { name: 'db', hosts: ['db.example', 'store.example'] },
  { name: 'api', hosts: ['api.example'] },
];

describe.skipIf(missing !== undefined)(
  `an app that needs others, on the docker engine ${missing ?? ''}`,
  () => {
    let harness: DockerHarness;
    let folder: string;
    let engine: DockerEngine;

    beforeAll(async () => {
      harness = await dockerHarness();
    });
    beforeEach(async () => {
      folder = await mkdtemp(join(tmpdir(), 'mayfly-hosts-'));
    });
    afterEach(async () => {
      for (const { containerId } of await engine.listOwn()) await engine.remove(containerId);
      await engine.close();
      expect(await readdir(folder)).toEqual([]);
      await rm(folder, { recursive: true });
      expect(await harness.left()).toEqual([]);
    });
    afterAll(() => harness.close());

    const open = async (options: Partial<DockerEngineOptions> = {}) =>
      (engine = await harness.open(undefined, {
        ...{ poolSize: 1, sandboxRestMs: 0, insideDoor: { port: 7080, folder } },
        ...options,
      }));

    async function start(options: Partial<StartSpec> = {}) {
      const spec = { ...imageSpec(harness.image), ...options };
      const { address } = await engine.start(spec, never);
      return { id: spec.containerId, address };
    }

    it('is known by its address while it lives; then nobody is, until the next has the address', async () => {
      await open();
      const other = await start();
      const first = await start();
      const { host } = first.address;
      expect(engine.occupantOf?.(other.address.host)).toBe(other.id);
      expect(engine.occupantOf?.(host)).toBe(first.id);
      await engine.pause(first.id);
      expect(engine.occupantOf?.(host)).toBe(first.id);
      await engine.stop(first.id, 0);
      expect(engine.occupantOf?.(host)).toBeUndefined();

      let next = await start();
      for (let tries = 1; next.address.host !== host; tries++) {
        expect(tries, 'the address was not used again').toBeLessThan(8);
        expect(engine.occupantOf?.(host)).toBeUndefined();
        next = await start();
      }
      expect(engine.occupantOf?.(host)).toBe(next.id);
    });

    it('finds all their hostnames at the gateway, whatever user it runs as', async () => {
      const umask = process.umask(0o077);
      try {
        await open();
        const { id } = await start({ needs: NEEDS });
        const engineId = await engineIdOf(id);
        const { output } = await execIn(engineId, ['cat', '/etc/hosts'], '65534:65534');
        const gateway = engine.network.gateway ?? '';
        for (const host of ['db.example', 'store.example', 'api.example'])
          expect(output).toContain(`${gateway}\t${host}\n`);
      } finally {
        process.umask(umask);
      }
    });

    it('that cannot be started leaves no file behind', async () => {
      await open();
      const gone = {
        type: 'image',
        image: 'gone',
        digest: `sha256:${'0'.repeat(64)}`,
        command: null,
      } as const;
      await expect(start({ needs: NEEDS, workload: gone })).rejects.toThrow();
      await expect(
        start({ needs: NEEDS, workload: { ...imageSpec(harness.image, ['no-such-command']).workload } }),
      ).rejects.toThrow();
      expect(await readdir(folder)).toEqual([]);
    });

    it('keeps its file when the program starts again, which removes those of the dead', async () => {
      await open();
      const { id } = await start({ needs: NEEDS });
      await writeFile(join(folder, 'ctr_dead'), '');
      await engine.close(); // containers run on
      await open();
      expect(await readdir(folder)).toEqual([id]);
      const { address } = (await engine.inspect(id)) ?? {};
      expect(engine.occupantOf?.(address?.host ?? '')).toBe(id);
    });
  },
);
