/** Wider, narrower, stronger, weaker, while people are visiting: no request of theirs fails, and nothing is left over. */
import { expect, it, vi } from 'vitest';
import { describeOnEngines, ENGINES, past, Platform, whyNot } from '../support/platform.ts';
import { Traffic } from '../support/traffic.ts';
import { until } from '../support/until.ts';

const MIB = 1024 ** 2;

vi.setConfig({ testTimeout: 120_000 });

async function ready(platform: Platform, name: string) {
  return (await platform.containers(name)).filter(({ state }) => state === 'ready');
}

function readyIs(platform: Platform, name: string, count: number) {
  return until(`${count} containers of ${name} to be ready`, async () => {
    const containers = await ready(platform, name);
    return containers.length === count ? containers : undefined;
  });
}

describeOnEngines('an app that is scaled', (shared) => {
  it('out is answered by all of its containers, each only once it is ready, and no request fails', async () => {
    const platform = shared();
    await platform.create('wide');
    const first = await platform.who('wide');
    await using traffic = new Traffic(platform.program.proxyPort, 'wide.localhost');
    await traffic.further(50);
    expect(traffic.answeredBy).toEqual([first.id]);
    expect(await platform.client.scaleApp('wide', { replicas: 3 })).toMatchObject({
      changed: true,
      from: { replicas: 1 },
      to: { replicas: 3 },
    });
    await until(
      'three to answer',
      () => traffic.failures.length > 0 || traffic.answeredBy.length === 3,
      60_000,
    );
    const shareOf = async () => {
      const before = traffic.visits.length;
      await traffic.further(300);
      return Map.groupBy(traffic.visits.slice(before), ({ id }) => id);
    };
    const shares = [...(await shareOf()).values()].map(({ length }) => length);
    expect(shares).toHaveLength(3);
    expect(Math.min(...shares)).toBeGreaterThan(50);
    expect(traffic.failures).toEqual([]);
    const containers = await readyIs(platform, 'wide', 3);
    const running = await platform.running();
    expect(containers.filter(({ id }) => running.has(id))).toHaveLength(3);
    const story = await platform.story('wide');
    expect(story.filter((type) => type === 'container.planned')).toHaveLength(3);
    expect(story).toContain('scale.decided');
  });

  it('in finishes what it has in flight, and no request fails', async () => {
    const platform = shared();
    await platform.create('narrow', { policy: { drainTimeoutMs: 60_000 } });
    await platform.client.scaleApp('narrow', { replicas: 3 });
    const containers = await readyIs(platform, 'narrow', 3);
    // Each of them has a request that is answered when the test says so.
    const held = containers.map(() => platform.get('narrow', '/hold'));
    await until('each to hold one', async () => {
      const answers = await Promise.all(containers.map((one) => past(one, '/held')));
      return answers.every(({ body }) => body.includes('"held":1'));
    });
    await using traffic = new Traffic(platform.program.proxyPort, 'narrow.localhost');
    await traffic.further(60);
    await platform.client.scaleApp('narrow', { replicas: 1 });
    const [kept] = await readyIs(platform, 'narrow', 1);
    await traffic.further(100);
    const running = await platform.running();
    expect(containers.filter(({ id }) => running.has(id))).toHaveLength(3); // they have work to do still
    for (const one of containers) await past(one, '/release');
    for (const answer of await Promise.all(held)) expect(answer.status).toBe(200);
    await until('the others to be gone', async () => {
      const left = await platform.running();
      return containers.filter(({ id }) => left.has(id)).length === 1;
    });
    const before = traffic.visits.length;
    await traffic.further(50);
    expect(new Set(traffic.visits.slice(before + 10).map(({ id }) => id)).size).toBe(1);
    expect(traffic.failures).toEqual([]);
    expect((await platform.running()).has(kept?.id ?? '')).toBe(true);
  });

  it('up is the same container, given more while it runs; and down again', async (context) => {
    const platform = shared();
    context.skip(
      platform.program.output().includes('nor are CPU and memory limited'),
      'no limits can be set here',
    );
    await platform.create('strong', { policy: { cpu: 0.3, memoryBytes: 192 * MIB } });
    const who = await platform.who('strong');
    const { id } = await platform.container('strong');
    const before = await platform.limits(id);
    expect(before).toMatchObject({ cpu: 0.3, memoryBytes: 192 * MIB });
    await using traffic = new Traffic(platform.program.proxyPort, 'strong.localhost');
    for (const [size, limits] of [
      [
        { cpu: 0.6, memoryBytes: 256 * MIB },
        { cpu: 0.6, memoryBytes: 256 * MIB },
      ],
      [
        { cpu: 0.3, memoryBytes: 192 * MIB },
        { cpu: 0.3, memoryBytes: 192 * MIB },
      ],
    ] as const) {
      await platform.client.scaleApp('strong', size);
      await until(`${size.cpu} CPU`, async () => (await platform.limits(id)).cpu === limits.cpu);
      await until(
        'the record of it',
        async () => (await platform.container('strong')).resources.cpu === limits.cpu,
      );
      expect(await platform.limits(id)).toMatchObject({ ...limits, startedAt: before.startedAt });
      expect((await platform.container('strong')).id).toBe(id);
    }
    await traffic.further(20);
    expect(traffic.answeredBy).toEqual([who.id]);
    expect(traffic.failures).toEqual([]);
    const resized = (await platform.events('strong')).filter(({ type }) => type === 'container.resized');
    expect(resized.map(({ figures }) => [figures['fromCpu'], figures['toCpu']])).toEqual([
      [0.3, 0.6],
      [0.6, 0.3],
    ]);
  });

  it('down keeps the memory that it uses', async (context) => {
    const platform = shared();
    context.skip(
      platform.program.output().includes('nor are CPU and memory limited'),
      'no limits can be set here',
    );
    // It starts big and fills most of that; its policy, once it is changed, is far smaller.
    const filledBytes = 256 * MIB;
    await platform.create('hungry', {
      env: { FILL_BYTES: String(filledBytes) },
      policy: { memoryBytes: 640 * MIB },
    });
    await platform.who('hungry');
    const { id } = await platform.container('hungry');
    await platform.client.patchApp('hungry', { policy: { memoryBytes: 64 * MIB, cpu: 0.4 } });
    const event = await platform.saw('hungry', 'scale.held_back');
    const usedBytes = Number(event.figures['memoryUsedBytes']);
    expect(usedBytes).toBeGreaterThan(filledBytes);
    const limits = await platform.limits(id);
    expect(limits.cpu).toBe(0.4);
    expect(limits.memoryBytes).toBeGreaterThan(usedBytes);
    expect(limits.memoryBytes).toBeLessThan(640 * MIB);
    expect((await platform.container('hungry')).id).toBe(id);
    expect((await platform.get('hungry')).status).toBe(200);
  });

  it('beyond the room of the node is refused with the figures, and goes on as it was', async () => {
    const platform = shared();
    await platform.create('greedy');
    const before = await platform.who('greedy');
    const [node] = await platform.client.listNodes();
    const cpu = Math.min(256, (node?.capacity.cpu ?? 0) + 1);
    await expect(platform.client.scaleApp('greedy', { cpu })).rejects.toMatchObject({
      code: 'no_capacity',
      message: expect.stringContaining(`of ${node?.capacity.cpu} CPU`) as string,
    });
    expect(await platform.who('greedy')).toEqual(before);
  });

  it('falls asleep as a whole, and one of its containers wakes', async () => {
    const platform = shared();
    await platform.create('sleepy', { policy: { idlePauseMs: 1_500 } });
    await platform.client.scaleApp('sleepy', { replicas: 2 });
    await readyIs(platform, 'sleepy', 2);
    await until('both to be paused', async () => {
      const states = (await platform.containers('sleepy')).map(({ state }) => state);
      return states.length === 2 && states.every((state) => state === 'paused');
    });
    await platform.who('sleepy');
    expect(await ready(platform, 'sleepy')).toHaveLength(1);
  });
});

it.for(ENGINES)(
  'three containers outlive a kill -9 of the program, neither doubled nor lost (%s)',
  async (engine, { skip }) => {
    const reason = await whyNot(engine);
    skip(reason !== undefined, reason);
    await using platform = await Platform.open(engine);
    await platform.create('crowd');
    await platform.client.scaleApp('crowd', { replicas: 3 });
    await readyIs(platform, 'crowd', 3);
    const before = await platform.running();
    expect(before.size).toBe(3);
    await platform.kill();
    expect(await platform.running()).toEqual(before);
    await platform.start();
    const answers = await Promise.all(Array.from({ length: 12 }, () => platform.who('crowd')));
    expect(new Set(answers.map(({ id }) => id)).size).toBe(3);
    expect(await platform.running()).toEqual(before);
    expect((await ready(platform, 'crowd')).map(({ id }) => id).sort()).toEqual([...before.keys()].sort());
    await platform.client.scaleApp('crowd', { replicas: 1 });
    await until('two to be gone', async () => (await platform.running()).size === 1);
  },
);

it.for(ENGINES)(
  'an app that is to be kept warm runs from its registration on, and after every start (%s)',
  async (engine, { skip }) => {
    const reason = await whyNot(engine);
    skip(reason !== undefined, reason);
    await using platform = await Platform.open(engine);
    await platform.create('warm', { policy: { minReplicas: 2, idlePauseMs: 100, idleStopMs: 200 } });
    const [victim] = await readyIs(platform, 'warm', 2);
    await platform.crash(victim?.id ?? '');
    await until('another one in its place', async () => {
      const ids = (await ready(platform, 'warm')).map(({ id }) => id);
      return ids.length === 2 && !ids.includes(victim?.id ?? '');
    });
    await platform.stop();
    expect((await platform.running()).size).toBe(0);
    await platform.start();
    await readyIs(platform, 'warm', 2);
    expect((await platform.running()).size).toBe(2);
    expect(await platform.story('warm')).not.toContain('container.paused');
  },
);
