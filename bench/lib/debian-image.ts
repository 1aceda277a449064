/**
 * Images of Debian packages, made without a registry: debootstrap unpacks and sets up the release that this machine's own
 * apt sources reach, and the engine imports it. What was built once stays in the engine, with a hash of its recipe as a
 * label, and is built anew only where that has changed.
 *
 * debootstrap mounts and starts things in what it builds. It runs in mount and process namespaces of its own, so that
 * nothing of that outlives it, however it ends.
 */
import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { mkdir, mkdtemp, writeFile } from 'node:fs/promises';
import { request, type IncomingMessage } from 'node:http';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { createInterface } from 'node:readline';
import { text } from 'node:stream/consumers';
import { pipeline } from 'node:stream/promises';
import { promisify } from 'node:util';
import { docker, DOCKER_SOCKET } from '../../test/support/docker.ts';
import { progress } from './interruptible.ts';
import { needProgram } from './programs.ts';

export interface DebianRecipe {
  /** The image's name, without a tag. */
  readonly name: string;
  /** What is installed besides the smallest Debian, with all they depend on. */
  readonly packages: readonly string[];
  /** Path in the image to content. */
  readonly files: Readonly<Record<string, string>>;
  readonly command: readonly string[];
  /** Where it listens. */
  readonly port: number;
}

const RECIPE_LABEL = 'mayfly.bench.recipe';
/** Reached where apt's own sources name no Debian release, e.g. on a machine that is none. */
const ELSEWHERE = { mirror: 'http://deb.debian.org/debian', suite: 'stable' };
/** Made for installing packages, and of no use to a container. */
const LEFT_OUT = ['./var/cache/apt/*', './var/lib/apt/lists/*', './dev/*', './proc/*', './sys/*'];

/**
 * The image's name once it is in the engine; building it takes a minute or two, as root. Errors: debootstrap is not installed
 * (with its package) or fails (with its last words), or the engine refuses the image.
 */
export async function ensureDebianImage(recipe: DebianRecipe, signal: AbortSignal): Promise<string> {
  const { name, packages, files, command, port } = recipe;
  const source = await debianSource();
  const hash = createHash('sha256')
    .update(JSON.stringify([recipe, source, LEFT_OUT]))
    .digest('hex');
  if ((await recipeOf(name)) === hash) return name;

  const debootstrap = await needProgram('debootstrap');
  const unshare = await needProgram('unshare');
  if (process.getuid?.() !== 0) throw new Error(`${name} is built by debootstrap, which has to run as root`);
  progress(`building ${name}: ${packages.join(', ')} on Debian ${source.suite}, once, in a minute or two`);
  const folder = await mkdtemp(join(tmpdir(), 'mayfly-image-'));
  try {
    await runTold(
      unshare,
      [
        ...['--mount', '--pid', '--fork', '--kill-child', '--mount-proc', debootstrap],
        ...['--variant=minbase', `--include=${packages.join(',')}`, source.suite, folder, source.mirror],
      ],
      signal,
    );
    for (const [path, content] of Object.entries(files)) {
      await mkdir(dirname(join(folder, path)), { recursive: true });
      await writeFile(join(folder, path), content);
    }
    progress(`importing ${name}`);
    await importFolder(folder, signal, [
      ['repo', name],
      ['tag', 'latest'],
      ['changes', `CMD ${JSON.stringify(command)}`],
      ['changes', `EXPOSE ${port}`],
      ['changes', `LABEL ${RECIPE_LABEL}=${hash}`],
    ]);
    return name;
  } finally {
    // Never into another file system, should something be mounted there against all expectations.
    await promisify(execFile)('rm', ['-rf', '--one-file-system', folder]);
  }
}

interface Source {
  readonly mirror: string;
  readonly suite: string;
}

/** The release this machine runs, from where its apt has it. */
async function debianSource(): Promise<Source> {
  const release = readFileSync('/etc/os-release', 'utf8');
  const suite = /^VERSION_CODENAME=(\w+)$/m.exec(release)?.[1];
  const format = '$(CODENAME) $(COMPONENT) $(REPO_URI)';
  const { stdout } = await promisify(execFile)('apt-get', [
    ...['indextargets', '--format', format, 'Created-By: Packages'],
  ]).catch(() => ({ stdout: '' }));
  const mirror = stdout
    .split('\n')
    .map((line) => line.split(' '))
    .find(([codename, component]) => codename === suite && component === 'main')?.[2];
  return suite === undefined || mirror === undefined ? ELSEWHERE : { mirror, suite };
}

async function recipeOf(name: string): Promise<string | undefined> {
  const { status, body } = await docker('GET', `/images/${name}/json`);
  if (status === 404) return undefined;
  const image = JSON.parse(body.toString()) as { Config?: { Labels?: Record<string, string> | null } };
  return image.Config?.Labels?.[RECIPE_LABEL];
}

/** Says each kind of step once ("Retrieving", "Unpacking" …). Errors: it fails, with its last lines. */
async function runTold(command: string, args: readonly string[], signal: AbortSignal): Promise<void> {
  signal.throwIfAborted();
  // A session of its own: Ctrl-C reaches this program alone, which then ends it.
  const child = spawn(command, args, {
    stdio: ['ignore', 'pipe', 'pipe'],
    detached: true,
    signal,
    killSignal: 'SIGKILL',
    env: { ...process.env, DEBIAN_FRONTEND: 'noninteractive', LC_ALL: 'C' },
  });
  const last: string[] = [];
  const told = new Set<string>();
  for (const stream of [child.stdout, child.stderr]) {
    createInterface({ input: stream }).on('line', (line) => {
      last.push(line);
      if (last.length > 10) last.shift();
      const step = /^I: (\w+ing) /.exec(line)?.[1];
      if (step === undefined || told.has(step)) return;
      told.add(step);
      progress(`  ${step.toLowerCase()} …`);
    });
  }
  child.once('error', () => undefined); // told by how it ends, or by the signal
  const code = await new Promise<number | null>((resolve) => child.once('close', resolve));
  signal.throwIfAborted();
  if (code !== 0) throw new Error(`debootstrap failed (${String(code)}):\n${last.join('\n')}`);
}

/** A folder becomes an image. */
async function importFolder(
  folder: string,
  signal: AbortSignal,
  options: readonly (readonly [string, string])[],
): Promise<void> {
  const query = new URLSearchParams([['fromSrc', '-'], ...options.map(([key, value]) => [key, value])]);
  const left = LEFT_OUT.map((path) => `--exclude=${path}`);
  const tar = spawn('tar', ['--numeric-owner', ...left, '-C', folder, '-c', '.'], {
    stdio: ['ignore', 'pipe', 'inherit'],
    signal,
  });
  const outgoing = request({
    socketPath: DOCKER_SOCKET,
    method: 'POST',
    path: `/images/create?${query.toString()}`,
    headers: { 'Content-Type': 'application/x-tar' },
    signal,
  });
  const answered = new Promise<IncomingMessage>((resolve, reject) => {
    outgoing.once('response', resolve).once('error', reject);
  });
  const [answer, [code]] = await Promise.all([
    answered,
    once(tar, 'close') as Promise<[number | null]>,
    pipeline(tar.stdout, outgoing),
  ]);
  const said = await text(answer);
  if (code === 0 && answer.statusCode === 200 && !said.includes('"error"')) return;
  throw new Error(
    `the engine refused the image (${String(answer.statusCode)}, tar ${String(code)}): ${said.trim()}`,
  );
}
