import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openDockerEngine } from '../../src/compute/docker/engine.ts';
import type { DockerEngine } from '../../src/compute/docker/engine.ts';
import type { PullProgress } from '../../src/compute/engine.ts';
import { newId } from '../../src/ids.ts';
import { DOCKER_SOCKET, buildTestImage, docker, whyNoDocker } from '../support/docker.ts';
import { openRegistry, push, whyNoRegistry } from '../support/docker-registry.ts';
import type { Registry } from '../support/docker-registry.ts';

const missing = (await whyNoDocker()) ?? whyNoRegistry();
const never = new AbortController().signal;

describe.skipIf(missing !== undefined)(`an image of the docker engine ${missing ?? ''}`, () => {
  let registry: Registry;
  let engine: DockerEngine;

  beforeAll(async () => {
    registry = await openRegistry();
    engine = openDockerEngine({
      nodeId: newId('node'),
      socketPath: DOCKER_SOCKET,
      localRegistries: [registry.host, '127.0.0.1:9'],
    });
  });

  afterAll(async () => {
    await engine.close();
    await registry.close();
  });

  const resolve = (image: string, onProgress: (progress: PullProgress) => void = () => {}, signal = never) =>
    engine.resolveImage(image, onProgress, signal);

  it('that is here is resolved to its digest and the one port it exposes, and nothing is pulled', async () => {
    const image = await buildTestImage({ exposedPorts: [8080] });
    try {
      const progress: PullProgress[] = [];
      expect(await resolve(image.name, (one) => progress.push(one))).toEqual({
        digest: image.digest,
        exposedPort: 8080,
      });
      expect(progress).toEqual([]);
    } finally {
      await image.remove();
    }
  });

  it('that exposes two ports, or none, names no port', async () => {
    const [two, none] = [await buildTestImage({ exposedPorts: [80, 443] }), await buildTestImage()];
    try {
      expect(await resolve(two.name)).toMatchObject({ exposedPort: null });
      expect(await resolve(none.name)).toMatchObject({ exposedPort: null });
    } finally {
      await two.remove();
      await none.remove();
    }
  });

  it('that is only in a registry is pulled, and the progress is told', async () => {
    const name = `${registry.host}/mayfly/pulled:1`;
    const image = await buildTestImage({ name });
    await push(name);
    await image.remove();
    expect((await docker('GET', `/images/${name}/json`)).status).toBe(404);
    const progress: PullProgress[] = [];
    try {
      expect(await resolve(name, (one) => progress.push(one))).toEqual({
        digest: image.digest,
        exposedPort: null,
      });
      const last = progress.at(-1);
      expect(progress.map(({ status }) => status)).toContain('Downloading');
      expect(last?.totalBytes).toBeGreaterThan(100_000);
      expect(last?.currentBytes).toBe(last?.totalBytes);
      const bytes = progress.map(({ currentBytes }) => currentBytes);
      expect(bytes).toEqual(bytes.toSorted((a, b) => a - b));
    } finally {
      await image.remove();
    }
  });

  it('without a tag means latest, and no other tag is pulled', async () => {
    const name = `${registry.host}/mayfly/tagged`;
    const [latest, other] = [
      await buildTestImage({ name: `${name}:latest` }),
      await buildTestImage({ name: `${name}:other` }),
    ];
    await push(latest.name);
    await push(other.name);
    await latest.remove();
    await other.remove();
    try {
      expect(await resolve(name)).toMatchObject({ digest: latest.digest });
      expect((await docker('GET', `/images/${other.name}/json`)).status).toBe(404);
    } finally {
      await latest.remove();
    }
  });

  it('that is nowhere is image_not_found, with its name, why, and a hint', async () => {
    const name = `${registry.host}/mayfly/absent:7`;
    await expect(resolve(name)).rejects.toMatchObject({
      code: 'image_not_found',
      message: expect.stringMatching(/mayfly\/absent:7.*its registry has no such image/) as string,
      hint: expect.stringContaining('tag') as string,
    });
  });

  it('of a registry that does not answer is image_not_found as well, and says so', async () => {
    const name = '127.0.0.1:9/mayfly/unreachable:1';
    await expect(resolve(name)).rejects.toMatchObject({
      code: 'image_not_found',
      message: expect.stringMatching(/unreachable:1.*does not answer/) as string,
    });
  });

  it('is not known by its id, or the beginning of one', async () => {
    const image = await buildTestImage();
    try {
      for (const id of [image.digest, image.digest.slice(0, 19), image.digest.slice(7, 19)])
        await expect(resolve(id)).rejects.toMatchObject({ code: 'image_not_found' });
    } finally {
      await image.remove();
    }
  });

  it('is not asked for on the node itself, which no tenant is to reach, but may be there already', async () => {
    const careful = openDockerEngine({ nodeId: newId('node'), socketPath: DOCKER_SOCKET });
    const name = `${registry.host}/mayfly/near:1`;
    const image = await buildTestImage({ name });
    try {
      await push(name);
      expect(await careful.resolveImage(name, () => {}, never)).toMatchObject({ digest: image.digest });
      await image.remove();
      await expect(careful.resolveImage(name, () => {}, never)).rejects.toMatchObject({
        code: 'image_not_found',
        hint: expect.stringContaining(`--local-registry ${registry.host}`) as string,
      });
    } finally {
      await image.remove();
      await careful.close();
    }
  });

  it.each(['', '../containers/json?', 'a b', 'UPPER/case', 'x'.repeat(600), '-c'])(
    'cannot be named "%s"',
    async (name) => {
      await expect(resolve(name)).rejects.toMatchObject({ code: 'image_not_found' });
    },
  );

  it('is given up when the caller gives up', async () => {
    const name = `${registry.host}/mayfly/given-up:1`;
    await expect(resolve(name, () => {}, AbortSignal.abort(new Error('enough')))).rejects.toThrow('enough');
  });
});
