import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { openCgroupsV2 } from '../../src/compute/process/cgroup-v2.ts';
import { findMounts, openCgroups } from '../../src/compute/process/cgroups.ts';

const RESOURCES = { cpu: 0.3, memoryBytes: 512 * 1024 * 1024, pidsMax: 128 };

describe('finding the cgroup mounts', () => {
  const mount = (path: string, type: string, options: string) =>
    `30 24 0:26 / ${path} rw,nosuid shared:9 - ${type} cgroup rw,${options}`;

  it('takes version 2 where it is alone', () => {
    const found = findMounts(mount('/sys/fs/cgroup', 'cgroup2', 'nsdelegate'));
    expect(found).toEqual({ v1: undefined, v2: '/sys/fs/cgroup' });
  });

  it('takes version 1 where every controller is mounted, some of them together', () => {
    const lines = ['memory', 'pids', 'freezer', 'cpu,cpuacct'].map((controllers) =>
      mount(`/sys/fs/cgroup/${controllers}`, 'cgroup', controllers),
    );
    const both = [...lines, mount('/sys/fs/cgroup/unified', 'cgroup2', 'nsdelegate')];
    expect(findMounts(both.join('\n'))).toEqual({
      v1: {
        cpu: '/sys/fs/cgroup/cpu,cpuacct',
        cpuacct: '/sys/fs/cgroup/cpu,cpuacct',
        memory: '/sys/fs/cgroup/memory',
        pids: '/sys/fs/cgroup/pids',
        freezer: '/sys/fs/cgroup/freezer',
      },
      v2: '/sys/fs/cgroup/unified',
    });
    expect(findMounts(lines.slice(1).join('\n')).v1).toBeUndefined();
  });
});

describe('cgroups that may not be written', () => {
  it('are none, and leave nothing of the attempt', async () => {
    const root = await mkdtemp(join(tmpdir(), 'mayfly-cgroup1-'));
    try {
      // Of two hierarchies one is there and one is not: half a group would limit half of what was promised.
      await mkdir(join(root, 'memory'));
      const lines = ['memory', 'pids', 'freezer', 'cpu,cpuacct'].map(
        (controllers) => `30 24 0:26 / ${join(root, controllers)} rw - cgroup cgroup rw,${controllers}`,
      );
      expect(await openCgroups('node_1', lines.join('\n'))).toBeUndefined();
      expect(await readdir(join(root, 'memory'))).toEqual([]);
    } finally {
      await rm(root, { recursive: true });
    }
  });
});

/** The files' contents only: a folder stands for the kernel, which would react to them. */
describe('cgroups of version 2', () => {
  let root: string;
  const file = (name: string) => join(root, 'mayfly-node_1', 'ctr_1', name);
  const read = (name: string) => readFile(file(name), 'utf8');
  async function put(path: string, text: string) {
    await mkdir(dirname(path), { recursive: true });
    await writeFile(path, text);
  }

  async function open() {
    await put(join(root, 'cgroup.controllers'), 'cpuset cpu io memory hugetlb pids\n');
    const cgroups = await openCgroupsV2(root, 'mayfly-node_1');
    if (!cgroups) throw new Error('they could not be opened');
    return cgroups;
  }

  beforeEach(async () => {
    root = await mkdtemp(join(tmpdir(), 'mayfly-cgroup2-'));
  });

  afterEach(() => rm(root, { recursive: true }));

  it('pass the controllers on, to the node and to its containers', async () => {
    await open();
    for (const path of [root, join(root, 'mayfly-node_1')])
      expect(await readFile(join(path, 'cgroup.subtree_control'), 'utf8')).toBe('+cpu +memory +pids');
  });

  it('are not there where a controller is missing, or nothing is mounted', async () => {
    await put(join(root, 'cgroup.controllers'), 'cpuset cpu io pids\n');
    expect(await openCgroupsV2(root, 'mayfly-node_1')).toBeUndefined();
    expect(await openCgroupsV2(join(root, 'nowhere'), 'mayfly-node_1')).toBeUndefined();
  });

  it('limit CPU, memory without swap, and processes, and change that', async () => {
    const cgroups = await open();
    await put(file('memory.swap.max'), 'max'); // the kernel has it where swap is accounted for
    await cgroups.create('ctr_1', RESOURCES);
    expect(await read('cpu.max')).toBe('30000 100000');
    expect(await read('cpu.weight')).toBe('30');
    expect(await read('memory.max')).toBe('536870912');
    expect(await read('memory.swap.max')).toBe('0');
    expect(await read('pids.max')).toBe('128');
    await cgroups.update('ctr_1', { ...RESOURCES, cpu: 2 });
    expect(await read('cpu.max')).toBe('200000 100000');
    expect(await read('cpu.weight')).toBe('200');
    expect(await cgroups.list()).toEqual(['ctr_1']);
  });

  it('take a process in, and say who is in', async () => {
    const cgroups = await open();
    await cgroups.create('ctr_1', RESOURCES);
    expect(await cgroups.members('ctr_1')).toEqual([]);
    await cgroups.add('ctr_1', 4711);
    expect(await read('cgroup.procs')).toBe('4711');
    expect(await cgroups.members('ctr_1')).toEqual([4711]);
    expect(await cgroups.members('ctr_unknown')).toEqual([]);
  });

  it('freeze until the kernel says that it is done, and thaw', async () => {
    const cgroups = await open();
    await put(file('cgroup.events'), 'populated 1\nfrozen 0\n');
    let frozen = false;
    const freezing = cgroups.freeze('ctr_1').then(() => (frozen = true));
    await put(file('cgroup.events'), 'populated 1\nfrozen 0\n');
    expect(frozen).toBe(false);
    await put(file('cgroup.events'), 'populated 1\nfrozen 1\n');
    await freezing;
    expect(await read('cgroup.freeze')).toBe('1');
    expect(await cgroups.isFrozen('ctr_1')).toBe(true);
    await cgroups.thaw('ctr_1');
    expect(await cgroups.isFrozen('ctr_1')).toBe(false);
  });

  it('count what is used, less the cache that can be given back, and know of a kill for want of memory', async () => {
    const cgroups = await open();
    await put(file('cpu.stat'), 'usage_usec 1234500\nuser_usec 1000000\nnr_periods 40\nnr_throttled 10\n');
    await put(file('memory.current'), '9000000\n');
    await put(file('memory.stat'), 'anon 5000000\ninactive_file 4000000\n');
    await put(file('pids.current'), '3\n');
    await put(file('memory.events'), 'oom 1\noom_kill 0\n');
    expect(cgroups.usage('ctr_1')).toEqual({
      ...{ cpuMs: 1_234.5, memoryBytes: 5_000_000, pids: 3 },
      ...{ periods: 40, throttledPeriods: 10, oomKills: 0 },
    });
    expect(await cgroups.wasOutOfMemory('ctr_1')).toBe(false);
    await put(file('memory.events'), 'oom 1\noom_kill 1\n');
    expect(await cgroups.wasOutOfMemory('ctr_1')).toBe(true);
  });

  it('go when they are empty, and a second time', async () => {
    const cgroups = await open();
    await mkdir(join(root, 'mayfly-node_1', 'ctr_1'));
    await cgroups.remove('ctr_1');
    await cgroups.remove('ctr_1');
    expect(await cgroups.list()).toEqual([]);
  });
});
