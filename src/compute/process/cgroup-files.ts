/** Reading and writing the small text files that cgroups are made of, alike for both versions. */
import { constants } from 'node:fs';
import { mkdir, readdir, readFile, rmdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { PlatformError } from '../../errors.ts';

/** How long the kernel is given to do what it was told (freeze, let go of a group whose processes died). */
const KERNEL_TIMEOUT_MS = 2_000;

/** How often a group is made anew because its parent was removed meanwhile. */
const MAX_TRIES = 10;

/** CPU bandwidth is dealt out in periods of 100 ms; the kernel takes no quota under 1 ms. */
export const CPU_PERIOD_US = 100_000;
const MIN_QUOTA_US = 1_000;

/** What may be used of each period. */
export function cpuQuotaUs(cpu: number): number {
  return Math.max(MIN_QUOTA_US, Math.round(cpu * CPU_PERIOD_US));
}

/** It may be there already. */
export async function makeFolder(path: string): Promise<void> {
  await mkdir(path).catch((error: unknown) => {
    if (!hasCode(error, 'EEXIST')) throw error;
  });
}

/**
 * Makes the group `id` in a parent that is there only as long as it has a group, so that nothing is left of a node without
 * containers, however its platform ended. Where the parent went in between, both are made again.
 */
export async function makeGroup(
  parent: string,
  id: string,
  prepareParent: () => Promise<void> = () => Promise.resolve(),
): Promise<void> {
  for (let tries = 1; ; tries++)
    try {
      await makeFolder(parent);
      await prepareParent();
      await makeFolder(join(parent, id));
      return;
    } catch (error) {
      if (!hasCode(error, 'ENOENT') || tries === MAX_TRIES) throw error;
    }
}

export async function readPids(path: string): Promise<number[]> {
  const text = await readFile(path, 'utf8').catch((error: unknown) => {
    if (hasCode(error, 'ENOENT', 'ENODEV')) return '';
    throw error;
  });
  return text.split('\n').filter(Boolean).map(Number);
}

export async function readNumber(path: string): Promise<number> {
  return Number((await readFile(path, 'utf8')).trim());
}

/** The number behind a key in a file of `key value` lines; 0 where the key, or the file, is missing. */
export async function readKey(path: string, key: string): Promise<number> {
  const text = await readFile(path, 'utf8').catch(() => '');
  const line = text.split('\n').find((each) => each.startsWith(`${key} `));
  return line === undefined ? 0 : Number(line.slice(key.length + 1));
}

/** Writes where the kernel has the file at all (swap accounting, for one, can be switched off). */
export async function writeIfThere(path: string, value: string): Promise<void> {
  await writeFile(path, value, { flag: constants.O_WRONLY | constants.O_TRUNC }).catch((error: unknown) => {
    // ENODEV: the group went between opening and writing.
    if (!hasCode(error, 'ENOENT', 'ENODEV')) throw error;
  });
}

export async function listFolders(path: string): Promise<string[]> {
  const entries = await readdir(path, { withFileTypes: true }).catch((error: unknown) => {
    if (hasCode(error, 'ENOENT')) return [];
    throw error;
  });
  return entries.filter((entry) => entry.isDirectory()).map((entry) => entry.name);
}

/** The last processes of a group may be on their way out still: tried again for a while. */
export async function removeGroup(path: string): Promise<void> {
  const deadlineMs = performance.now() + KERNEL_TIMEOUT_MS;
  for (;;) {
    try {
      await rmdir(path);
      return;
    } catch (error) {
      if (hasCode(error, 'ENOENT')) return;
      if (!hasCode(error, 'EBUSY') || performance.now() > deadlineMs) throw error;
    }
    await pause(2);
  }
}

/** Removes a parent if it is empty: what has groups still is kept. */
export async function removeIfEmpty(path: string): Promise<void> {
  await rmdir(path).catch((error: unknown) => {
    if (!hasCode(error, 'ENOENT', 'EBUSY', 'ENOTEMPTY')) throw error;
  });
}

/** Errors: `engine_unavailable` when it does not become so. */
export async function untilKernel(what: string, isSo: () => Promise<boolean>): Promise<void> {
  const deadlineMs = performance.now() + KERNEL_TIMEOUT_MS;
  while (!(await isSo())) {
    if (performance.now() > deadlineMs)
      throw new PlatformError('engine_unavailable', `${what} had no effect within ${KERNEL_TIMEOUT_MS} ms`);
    await pause(1);
  }
}

/** Whether the system says so: `ENOENT`, `EBUSY` … */
export function hasCode(error: unknown, ...codes: string[]): boolean {
  return codes.includes((error as NodeJS.ErrnoException).code ?? '');
}
