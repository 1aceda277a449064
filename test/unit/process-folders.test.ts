import { chmod, mkdir, mkdtemp, readdir, readlink, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { launchGated } from '../../src/compute/process/launch.ts';
import { StateFolder } from '../../src/compute/process/state-folder.ts';

const NOBODY = 65_534;

let root: string;
let folder: StateFolder;

beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'mayfly-test.'));
  folder = new StateFolder(join(root, 'process'));
});
afterEach(() => rm(root, { recursive: true, force: true }));

/** Root may do what it is not allowed to. */
async function asNobody(act: () => Promise<void>): Promise<void> {
  if (process.geteuid?.() !== 0) return act();
  await chmod(root, 0o777);
  process.seteuid?.(NOBODY);
  try {
    await act();
  } finally {
    process.seteuid?.(0);
  }
}

it('a folder of an app that took its own right to write is removed all the same', () =>
  asNobody(async () => {
    const { scratch } = folder.paths('ctr_1');
    const module = join(scratch, 'go', 'mod');
    await mkdir(module, { recursive: true });
    await writeFile(join(module, 'x'), '');
    await chmod(module, 0o555);
    await folder.remove('ctr_1');
    expect(await readdir(join(root, 'process'))).toEqual([]);
  }));

it('no log file stays open where the other one cannot be opened', async () => {
  const paths = folder.paths('ctr_1');
  await mkdir(paths.stderr, { recursive: true });
  const launch = { executable: '/bin/true', args: [], cwd: '/', env: {} };
  await expect(launchGated(launch, paths)).rejects.toThrow('EISDIR');
  const opened = await Promise.all(
    (await readdir('/proc/self/fd')).map((fd) => readlink(`/proc/self/fd/${fd}`).catch(() => '')),
  );
  expect(opened).not.toContain(paths.stdout);
});
