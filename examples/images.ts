/**
 * Images of the example apps, made without a registry and without a builder: the base layer is this machine's own Node
 * with the libraries it links to, and each app adds a layer of a few kilobytes. Everything is in the archive format of
 * `docker save`, which every engine can load, and is the same bytes whenever the files are, so that what is there
 * already is recognised by the hash in its label.
 *
 *     node examples/images.ts [SOCKET]
 */
import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { readdir, realpath } from 'node:fs/promises';
import { request } from 'node:http';
import { basename, dirname, join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { promisify } from 'node:util';
import { PlatformError } from '../src/errors.ts';
import { bytes, directory, file, tar, tarBytes } from './tar.ts';
import type { TarEntry } from './tar.ts';

export const EXAMPLES = ['hello', 'chat', 'burner', 'slow-starter'] as const;
export type Example = (typeof EXAMPLES)[number];

const CONTENT_LABEL = 'mayfly.example.content';
const PORT = 8080;

export function exampleImage(example: Example): string {
  return `mayfly/${example}`;
}

/**
 * Makes `mayfly/hello`, `mayfly/chat` … present in the engine behind a Unix socket. Images that are up to date are left
 * alone. Errors: `engine_unavailable` (nothing answers, or it refuses), `unsupported` (not Linux, or Node is no ordinary
 * dynamically linked program).
 */
export async function buildExampleImages(
  socketPath: string,
  onProgress: (line: string) => void = () => undefined,
): Promise<void> {
  const base = await layer(await baseEntries());
  const images = await Promise.all(EXAMPLES.map((example) => describe(example, base)));
  const present = await Promise.all(
    images.map(async (image) => (await contentOf(socketPath, image.tag)) === image.content),
  );
  const missing = images.filter((_, index) => present[index] === false);
  if (missing.length === 0) return;
  onProgress(
    `making ${missing.map((image) => image.tag).join(', ')} from this machine's Node ${process.version}`,
  );
  await load(socketPath, archive(base, missing));
}

interface Layer {
  readonly entries: readonly TarEntry[];
  readonly diffId: string;
}

interface Image {
  readonly tag: string;
  readonly content: string;
  readonly config: string;
  readonly app: Layer;
}

async function layer(entries: readonly TarEntry[]): Promise<Layer> {
  const hash = createHash('sha256');
  for await (const piece of tar(entries)) hash.update(piece);
  return { entries, diffId: `sha256:${hash.digest('hex')}` };
}

/** A root file system with Node, its libraries, and a /tmp. */
async function baseEntries(): Promise<TarEntry[]> {
  const libraries = await librariesOf(process.execPath);
  const folders = new Set<string>();
  for (const path of [...libraries, '/usr/local/bin/node']) {
    for (let folder = dirname(path); folder !== '/'; folder = dirname(folder)) folders.add(folder.slice(1));
  }
  return [
    ...[...folders].sort().map((folder) => directory(folder)),
    directory('etc'),
    directory('tmp', 0o1777),
    bytes('etc/passwd', 'root:x:0:0:root:/:/\nnobody:x:65534:65534:nobody:/:/\n'),
    bytes('etc/group', 'root:x:0:\nnogroup:x:65534:\n'),
    ...(await Promise.all(libraries.map(async (path) => file(path.slice(1), await realpath(path), 0o755)))),
    await file('usr/local/bin/node', process.execPath, 0o755),
  ];
}

/** Where a program's loader finds the libraries it links to, the loader included. */
async function librariesOf(program: string): Promise<string[]> {
  const { stdout } = await promisify(execFile)('ldd', [program]).catch((cause: unknown) => {
    throw new PlatformError('unsupported', `the libraries of ${program} cannot be listed with ldd`, {
      cause,
      hint: 'Images can be made from the Node of a Linux machine with glibc; elsewhere build the examples FROM node:26-slim.',
    });
  });
  const paths = stdout.split('\n').flatMap((line) => /(?:=> )?(\/\S+) \(0x/.exec(line)?.[1] ?? []);
  return [...new Set(paths)].sort();
}

async function describe(example: Example, base: Layer): Promise<Image> {
  const folder = join(import.meta.dirname, example);
  const names = (await readdir(folder)).filter((name) => name !== 'app.json').sort();
  const files = await Promise.all(names.map((name) => file(`app/${name}`, join(folder, name))));
  const app = await layer([directory('app'), ...files]);
  const config = (labels: Record<string, string>) =>
    JSON.stringify({
      architecture: { x64: 'amd64', arm: 'arm' }[process.arch as string] ?? process.arch,
      os: 'linux',
      created: '1970-01-01T00:00:00Z',
      config: {
        User: '65534:65534',
        WorkingDir: '/app',
        Cmd: ['/usr/local/bin/node', 'server.mjs'],
        Env: ['PATH=/usr/local/bin:/usr/bin:/bin', `PORT=${PORT}`, 'NODE_ENV=production'],
        ExposedPorts: { [`${PORT}/tcp`]: {} },
        Labels: labels,
      },
      rootfs: { type: 'layers', diff_ids: [base.diffId, app.diffId] },
      history: [{ created_by: 'node and its libraries' }, { created_by: `examples/${example}` }],
    });
  const content = sha256(config({}));
  return {
    tag: `${exampleImage(example)}:latest`,
    content,
    config: config({ [CONTENT_LABEL]: content }),
    app,
  };
}

function sha256(text: string): string {
  return createHash('sha256').update(text).digest('hex');
}

/** What `docker save` writes: the layers once, a configuration per image, and a manifest that ties them together. */
function archive(base: Layer, images: readonly Image[]): TarEntry[] {
  const layerName = (one: Layer) => `${one.diffId.slice('sha256:'.length)}/layer.tar`;
  const configName = (image: Image) => `${sha256(image.config)}.json`;
  const layers = [
    ...new Map([base, ...images.map(({ app }) => app)].map((one) => [one.diffId, one])).values(),
  ];
  const manifest = images.map((image) => ({
    Config: configName(image),
    RepoTags: [image.tag],
    Layers: [layerName(base), layerName(image.app)],
  }));
  return [
    ...layers.flatMap((one): TarEntry[] => [
      directory(dirname(layerName(one))),
      { name: layerName(one), mode: 0o644, content: { type: 'tar', entries: one.entries } },
    ]),
    ...images.map((image) => bytes(configName(image), image.config)),
    bytes('manifest.json', JSON.stringify(manifest)),
  ];
}

async function contentOf(socketPath: string, tag: string): Promise<string | undefined> {
  const { status, body } = await call(socketPath, 'GET', `/images/${tag}/json`);
  if (status === 404) return undefined;
  const image = JSON.parse(body) as { Config?: { Labels?: Record<string, string> | null } };
  return image.Config?.Labels?.[CONTENT_LABEL];
}

async function load(socketPath: string, entries: readonly TarEntry[]): Promise<void> {
  const { status, body } = await call(socketPath, 'POST', '/images/load?quiet=1', entries);
  const refusal = /"error":"([^"]*)"/.exec(body)?.[1];
  if (status === 200 && refusal === undefined) return;
  throw new PlatformError('engine_unavailable', `the engine refused the images: ${refusal ?? body.trim()}`, {
    hint: 'Look at its own log, and at the room left on its disk.',
  });
}

/** One request to the engine, with an archive as its body where there is one. */
async function call(
  socketPath: string,
  method: 'GET' | 'POST',
  path: string,
  entries?: readonly TarEntry[],
): Promise<{ status: number; body: string }> {
  try {
    return await new Promise((resolve, reject) => {
      const outgoing = request({ socketPath, method, path, host: 'localhost' }, (response) => {
        let body = '';
        response.setEncoding('utf8');
        response.on('data', (chunk: string) => (body += chunk));
        response.on('end', () => resolve({ status: response.statusCode ?? 0, body }));
        response.on('error', reject);
      });
      outgoing.on('error', reject);
      if (!entries) {
        outgoing.end();
        return;
      }
      outgoing.setHeader('content-type', 'application/x-tar');
      outgoing.setHeader('content-length', tarBytes(entries));
      pipeline(tar(entries), outgoing).catch(reject);
    });
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new PlatformError('engine_unavailable', `no container engine answers at ${socketPath}: ${reason}`, {
      cause,
      hint: 'Start Docker, or name its socket.',
    });
  }
}

if (import.meta.main) {
  await buildExampleImages(process.argv[2] ?? '/var/run/docker.sock', (line) => console.log(line));
  for (const example of EXAMPLES)
    console.log(`${exampleImage(example)} (${basename(import.meta.dirname)}/${example})`);
}
