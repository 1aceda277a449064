import { mkdtemp, readdir, readlink, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { KernelFiles } from '../../src/compute/kernel-files.ts';
import { openCgroups } from '../../src/compute/process/cgroups.ts';
import { until } from '../support/until.ts';

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'mayfly-kernel-files-'));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

/** How often this process has it open. */
async function timesOpen(path: string): Promise<number> {
  const open = await readdir('/proc/self/fd');
  const targets = await Promise.all(open.map((fd) => readlink(`/proc/self/fd/${fd}`).catch(() => '')));
  return targets.filter((target) => target === path).length;
}

describe("the kernel's files", () => {
  it('say what is in them now, are opened once, and closed when nobody reads them any more', async () => {
    const files = new KernelFiles();
    const path = join(folder, 'pids.current');
    for (const text of ['3\n', '12\n', '4\n']) {
      await writeFile(path, text);
      expect(files.read(path)).toBe(text);
      expect(await timesOpen(path)).toBe(1);
    }
    await until('it to be closed', async () => (await timesOpen(path)) === 0);
    expect(files.read(path)).toBe('4\n');
  });

  it('that are not there are an error each time, until they are', async () => {
    const files = new KernelFiles();
    const path = join(folder, 'cpu.stat');
    for (let i = 0; i < 2; i++) expect(() => files.read(path)).toThrow('ENOENT');
    await writeFile(path, 'nr_periods 0\n');
    expect(files.read(path)).toBe('nr_periods 0\n');
  });

  it('of a group that is gone are an error, and of one made anew under its name they are those of that', async (context) => {
    const cgroups = await openCgroups(`test-${process.pid}`);
    context.skip(cgroups === undefined, 'this process may not write control groups');
    const resources = { cpu: 0.5, memoryBytes: 32 * 2 ** 20, pidsMax: 16 };
    try {
      await cgroups?.create('ctr_1', resources);
      expect(cgroups?.usage('ctr_1').pids).toBe(0);
      await cgroups?.remove('ctr_1');
      expect(() => cgroups?.usage('ctr_1')).toThrow(/ENOENT|ENODEV/);
      await cgroups?.create('ctr_1', resources);
      expect(cgroups?.usage('ctr_1').pids).toBe(0);
    } finally {
      await cgroups?.remove('ctr_1');
    }
  });
});
