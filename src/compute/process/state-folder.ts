/**
 * What the process engine must not forget, as files: a folder per container with its state, its logs and its scratch
 * space. A state is replaced whole or not at all, so that a reader never meets half of one, whenever the writer is killed.
 */
import { chmod, mkdir, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Resources } from '../../cmdb/records.ts';
import { hasCode } from './cgroup-files.ts';
import type { ProcessIdentity } from './proc.ts';

export interface SavedState {
  readonly containerId: string;
  readonly appId: string;
  readonly revisionId: string;
  readonly port: number;
  readonly resources: Resources;
  /** Whether its processes are in a cgroup of its id. */
  readonly inCgroup: boolean;
  /** The boot in which `process` means something. */
  readonly bootId: string;
  /** Null until it is started; a start whose writer died before this was set has left no process. */
  readonly process: ProcessIdentity | null;
  readonly startedAtMs: number | null;
  readonly exit: SavedExit | null;
}

export interface SavedExit {
  /** Null when it ended while nobody looked. */
  readonly exitCode: number | null;
  readonly outOfMemory: boolean;
  /** CPU time used in all. */
  readonly cpuMs: number;
}

export interface ContainerPaths {
  readonly folder: string;
  readonly state: string;
  readonly stdout: string;
  readonly stderr: string;
  /** HOME and TMPDIR of the app. */
  readonly scratch: string;
}

export class StateFolder {
  readonly #root: string;

  constructor(root: string) {
    this.#root = root;
  }

  paths(containerId: string): ContainerPaths {
    const folder = join(this.#root, containerId);
    return {
      folder,
      state: join(folder, 'state.json'),
      stdout: join(folder, 'stdout.log'),
      stderr: join(folder, 'stderr.log'),
      scratch: join(folder, 'scratch'),
    };
  }

  async prepare(): Promise<void> {
    await mkdir(this.#root, { recursive: true, mode: 0o700 });
  }

  async create(state: SavedState): Promise<ContainerPaths> {
    const paths = this.paths(state.containerId);
    await mkdir(paths.scratch, { recursive: true, mode: 0o700 });
    await this.write(state);
    return paths;
  }

  async write(state: SavedState): Promise<void> {
    const path = this.paths(state.containerId).state;
    await writeFile(`${path}.new`, JSON.stringify(state), { mode: 0o600 });
    await rename(`${path}.new`, path);
  }

  /** The ids of all containers that have a folder, and the state of those that have one. */
  async list(): Promise<{ containerId: string; state: SavedState | undefined }[]> {
    const entries = await readdir(this.#root, { withFileTypes: true });
    return Promise.all(
      entries
        .filter((entry) => entry.isDirectory())
        .map(async ({ name }) => ({ containerId: name, state: await this.#read(name) })),
    );
  }

  async remove(containerId: string): Promise<void> {
    const { folder } = this.paths(containerId);
    const removed = () => rm(folder, { recursive: true, force: true, maxRetries: 3 });
    try {
      await removed();
    } catch (thrown) {
      if (!hasCode(thrown, 'EACCES')) throw thrown;
      // What an app may not write in either, the module cache of Go for one, nobody but root may empty.
      await openToOwner(folder);
      await removed();
    }
  }

  async #read(containerId: string): Promise<SavedState | undefined> {
    try {
      return JSON.parse(await readFile(this.paths(containerId).state, 'utf8')) as SavedState;
    } catch (error) {
      if (error instanceof SyntaxError || hasCode(error, 'ENOENT')) return undefined;
      throw error;
    }
  }
}

async function openToOwner(folder: string): Promise<void> {
  await chmod(folder, 0o700);
  for (const entry of await readdir(folder, { withFileTypes: true }))
    if (entry.isDirectory()) await openToOwner(join(folder, entry.name));
}
