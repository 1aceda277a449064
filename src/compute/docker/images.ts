/**
 * From the name a tenant gives to the one image that is meant: found here, else pulled.
 */
import { PlatformError } from '../../errors.ts';
import type { PullProgress, ResolvedImage } from '../engine.ts';
import { DockerFailure, isFailure } from './api.ts';
import type { DockerApi, ImageDetails, ProgressMessage } from './api.ts';
import { kindOfFailure, registryOf } from './registry.ts';

const MAX_NAME_LENGTH = 512;

export interface ResolveOptions {
  readonly api: DockerApi;
  /** Whether images are pulled from there. */
  readonly mayAsk: (registry: string) => boolean;
  readonly onProgress: (progress: PullProgress) => void;
  readonly signal: AbortSignal;
}

/** See `Engine.resolveImage`. */
export async function resolveImage(
  image: string,
  { api, mayAsk, onProgress, signal }: ResolveOptions,
): Promise<ResolvedImage> {
  signal.throwIfAborted();
  // It becomes part of a path of the engine's API, so what could leave that path is not let through.
  if (!/^[\w][\w.\-/:@+]*$/.test(image) || image.includes('..') || image.length > MAX_NAME_LENGTH)
    throw new PlatformError(
      'image_not_found',
      `"${image.slice(0, MAX_NAME_LENGTH)}" is not the name of an image`,
      {
        hint: 'An image is named like "nginx", "ghcr.io/acme/shop:1.4" or "shop@sha256:…".',
      },
    );
  const here = await inspect(api, image);
  if (here) return resolved(here);
  const registry = registryOf(image);
  if (registry !== undefined && !mayAsk(registry))
    throw notFound(
      image,
      `its registry ${registry} is on the node itself or beside it, and not one that its operator names`,
      { hint: `Start the node with --local-registry ${registry}, or build or pull the image on the node.` },
    );
  try {
    const tally = new PullTally();
    for await (const message of api.pull(withTag(image), signal)) {
      if (message.error !== undefined) throw new DockerFailure(500, message.error);
      onProgress(tally.add(message));
    }
    signal.throwIfAborted();
    const pulled = await inspect(api, image);
    if (!pulled) throw new DockerFailure(404, 'the pull ended, and the image is not there');
    return resolved(pulled);
  } catch (thrown) {
    if (isFailure(thrown)) throw notFound(image, kindOfFailure(thrown.message), { cause: thrown });
    throw thrown;
  }
}

/** By its name alone: the engine takes the beginning of any image's id for one as well. */
async function inspect(api: DockerApi, image: string): Promise<ImageDetails | undefined> {
  try {
    const found = await api.inspectImage(image);
    const isId = found.Id.startsWith(`sha256:${image.replace(/^sha256:/, '')}`);
    return isId ? undefined : found;
  } catch (thrown) {
    if (isFailure(thrown, 404)) return undefined;
    if (isFailure(thrown, 400)) throw notFound(image, thrown.message, { cause: thrown });
    throw thrown;
  }
}

/** `image_not_found` with the reason. */
export const notFound = (image: string, why: string, more: { cause?: unknown; hint?: string } = {}) =>
  new PlatformError(
    'image_not_found',
    `the image ${image} is not on this node, and cannot be pulled: ${why}`,
    {
      hint: 'Check its name and tag, and that the registry can be reached from the node; or build it on the node.',
      ...more,
    },
  );

/** Without a tag the engine would pull every tag of the repository. */
function withTag(image: string): string {
  const name = image.slice(image.lastIndexOf('/') + 1);
  return name.includes(':') || name.includes('@') ? image : `${image}:latest`;
}

function resolved({ Id, Config }: ImageDetails): ResolvedImage {
  const ports = Object.keys(Config?.ExposedPorts ?? {}).flatMap((port) => {
    const [, tcp] = /^(\d+)(?:\/tcp)?$/.exec(port) ?? [];
    return tcp === undefined ? [] : [Number(tcp)];
  });
  const [port] = ports;
  return { digest: Id, exposedPort: ports.length === 1 && port !== undefined ? port : null };
}

/** The engine reports each layer by itself; people want one figure. */
class PullTally {
  readonly #layers = new Map<string, { currentBytes: number; totalBytes: number }>();

  add({ id, status = '', progressDetail }: ProgressMessage): PullProgress {
    const { current, total } = progressDetail ?? {};
    if (id !== undefined && status === 'Downloading' && current !== undefined)
      this.#layers.set(id, { currentBytes: current, totalBytes: Math.max(current, total ?? 0) });
    const layer = id === undefined ? undefined : this.#layers.get(id);
    // The last report of a download comes before its end.
    if (layer && (status === 'Download complete' || status === 'Pull complete'))
      layer.currentBytes = layer.totalBytes;
    const sum = { status, currentBytes: 0, totalBytes: 0 };
    for (const { currentBytes, totalBytes } of this.#layers.values()) {
      sum.currentBytes += currentBytes;
      sum.totalBytes += totalBytes;
    }
    return sum;
  }
}
