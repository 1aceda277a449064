/** More CPU for a container's start: how much, until when, and that it is nobody's size. */
import { describe, expect, it } from 'vitest';
import { decideCrew, type CrewInput } from '../../src/coreapi/decisions/crew.ts';
import { boostedCpu } from '../../src/coreapi/decisions/boost.ts';
import { Live } from '../../src/compute/live.ts';
import { PlatformError } from '../../src/errors.ts';
import { NodeUnderTest, type NodeUnderTestOptions } from '../support/node-under-test.ts';
import { container, policy } from '../support/records.ts';

const LIMITS = { stopGraceMs: 1_000, keepEndedMs: 1_000, cores: 4 };
const BOOST = { idlePauseMs: null, idleStopMs: null, boost: { cpu: 2, afterReadyMs: 1_000 } };

async function booted(options: NodeUnderTestOptions = {}): Promise<NodeUnderTest> {
  const node = await new NodeUnderTest({ limits: LIMITS, ...options }).boot();
  await node.createApp('hello', BOOST);
  return node;
}

const cpus = (node: NodeUnderTest) =>
  node.machine.list().flatMap(({ exit, resources }) => (exit ? [] : [resources.cpu]));
const reservedCpu = async (node: NodeUnderTest) => (await node.store.list('node'))[0]?.reserved.cpu;

describe('what is lent for a start', () => {
  const lent = (change: Partial<Parameters<typeof boostedCpu>[0]>) =>
    boostedCpu({
      policy: { boost: { cpu: 2, afterReadyMs: 0 } },
      resources: { cpu: 0.5, memoryBytes: 1, pidsMax: 1 },
      spareCpu: 10,
      lentCpu: 0,
      cores: 4,
      ...change,
    });

  it.each([
    { what: 'as much as the policy says', change: {}, cpu: 2 },
    { what: 'not more than the machine has', change: { cores: 1 }, cpu: 1 },
    { what: 'not more than nobody has reserved', change: { spareCpu: 0.7 }, cpu: 1.2 },
    { what: 'not what others are lent', change: { spareCpu: 1.7, lentCpu: 1 }, cpu: 1.2 },
    { what: 'nothing on a node that is full', change: { spareCpu: 0 }, cpu: undefined },
    { what: 'nothing on a node whose spare is lent', change: { spareCpu: 1, lentCpu: 1.5 }, cpu: undefined },
    {
      what: 'nothing where the policy says less than its own',
      change: { policy: { boost: { cpu: 0.4, afterReadyMs: 0 } } },
      cpu: undefined,
    },
    { what: 'nothing where the policy has none', change: { policy: policy() }, cpu: undefined },
  ])('is $what', ({ change, cpu }) => {
    expect(lent(change)).toBe(cpu);
  });

  it('is taken back when its time is over, not before, and whoever looks knows when to look again', () => {
    const member = {
      id: 'ctr_1',
      state: 'ready' as const,
      isSuccessor: false,
      revisionId: 'rev_1',
      resources: { cpu: 0.5, memoryBytes: 256 * 2 ** 20, pidsMax: 256 },
      isSizeSure: true,
      isResizing: false,
      resizeNotBeforeMs: 0,
      boostEndsAtMs: 5_000,
      expiresAtMs: null,
      lastActiveAtMs: 0,
    };
    const input: CrewInput = {
      members: [member],
      placing: 0,
      isReplacing: false,
      draining: 0,
      policy: policy({ idlePauseMs: null, idleStopMs: null }),
      revisionId: 'rev_1',
      size: { replicas: 0, cpu: null, memoryBytes: null },
      isAwaited: false,
      isKept: false,
      startNotBeforeMs: 0,
      wakeNotBeforeMs: 0,
      isResting: false,
      canPause: true,
      canResize: true,
    };
    expect(decideCrew(input, 4_999)).toEqual({ actions: [], nextAtMs: 5_000 });
    expect(decideCrew(input, 5_000).actions).toEqual([{ do: 'takeBack', id: 'ctr_1' }]);
    const changing = { ...input, members: [{ ...member, isResizing: true }] };
    expect(decideCrew(changing, 5_000).actions).toEqual([]);
  });

  it('is what its use of CPU is judged by, also where it was taken back in between', () => {
    const live = new Live(container({ resources: { cpu: 0.5, memoryBytes: 1, pidsMax: 1 } }), 'ready', 0);
    expect(live.cpuSince(0)).toBe(0.5);
    live.boost = { cpu: 2, endsAtMs: 100 };
    expect(live.cpuSince(50)).toBe(2);
    live.gotItsSize(100);
    expect(live.cpuSince(50)).toBe(2);
    expect(live.cpuSince(100)).toBe(0.5);
  });
});

describe('a container that starts', () => {
  it('has more CPU until it is ready and a while longer, then its own, and its records never say otherwise', async () => {
    const node = await booted();
    const visit = node.visit('hello');
    await node.clock.advance(55);
    expect(cpus(node)).toEqual([2]);
    expect(await reservedCpu(node)).toBe(0.5);
    await node.clock.advance(1_000);
    expect(await visit).toBe('answered');
    expect(cpus(node)).toEqual([2]);
    await node.clock.advance(100);
    expect(cpus(node)).toEqual([0.5]);
    expect((await node.containers())[0]).toMatchObject({ resources: { cpu: 0.5 } });
    expect((await node.events('container.ready'))[0]?.figures).toMatchObject({ boostCpu: 2 });
    expect(await node.events('container.boost_ended')).toMatchObject([
      { figures: { fromCpu: 2, toCpu: 0.5 } },
    ]);
    expect(await node.events('container.resized')).toEqual([]);
    await node.close();
  });

  it('is lent what is left, where several start on a node that has little to spare', async () => {
    const node = await booted({ capacity: { cpu: 2.5, memoryBytes: 8 * 2 ** 30 } });
    await node.createApp('other', BOOST);
    const visits = [node.visit('hello'), node.visit('other')];
    await node.clock.advance(55);
    // 2.5 less 0.5 for each; the second was placed when the first had been lent its part.
    const total = cpus(node).reduce((sum, cpu) => sum + cpu, 0);
    expect(cpus(node)).toHaveLength(2);
    expect(total).toBeLessThanOrEqual(2.5);
    await node.clock.advance(3_000);
    await Promise.all(visits);
    expect(cpus(node)).toEqual([0.5, 0.5]);
    await node.close();
  });

  it('has its own CPU at the next program, which found it with more', async () => {
    const node = await booted();
    await node.visited('hello', 500);
    expect(cpus(node)).toEqual([2]);
    const [id] = node.alive();
    await node.close({ leaveRunning: true });
    expect(cpus(node)).toEqual([2]);
    await node.boot();
    await node.clock.advance(100);
    expect(cpus(node)).toEqual([0.5]);
    expect(node.alive()).toEqual([id]);
    await node.close();
  });

  it('that sleeps before that is over has its own CPU when it is awake again', async () => {
    const node = await booted();
    await node.change('hello', { idlePauseMs: 200, idleStopMs: 600_000 });
    await node.visited('hello', 900);
    expect(await node.states()).toEqual(['paused']);
    await node.clock.advance(5_000);
    expect(await node.visited('hello', 150)).toBe('answered');
    expect(cpus(node)).toEqual([0.5]);
    await node.close();
  });

  it('keeps it for a while where the engine is away when it is over, and then has its own', async () => {
    const node = await booted();
    await node.visited('hello', 500);
    node.hooks = {
      updateResources: () => Promise.reject(new PlatformError('engine_unavailable', 'it is away')),
    };
    await node.clock.advance(2_000);
    expect(cpus(node)).toEqual([2]);
    expect(await node.visited('hello')).toBe('answered');
    node.hooks = {};
    await node.clock.advance(6_000);
    expect(cpus(node)).toEqual([0.5]);
    await node.close();
  });

  it('is lent nothing by an engine that could not take it back', async () => {
    const node = await booted();
    node.hooks = { capabilities: { ...node.engine.capabilities, liveUpdate: false } };
    await node.visited('hello', 500);
    expect(cpus(node)).toEqual([0.5]);
    await node.close();
  });
});
