/** What load does to an app's size, on real engines: seen while requests come, decided at once, and no request notices. */
import { expect, it } from 'vitest';
import { describeOnEngines, past } from '../support/platform.ts';
import { until } from '../support/until.ts';

describeOnEngines('load', (shared) => {
  it('of more requests at once than one container is meant for makes an app wider', async () => {
    const platform = shared();
    await platform.create('crowded', {
      policy: { maxReplicas: 3, scaling: { mode: 'out' }, concurrency: { target: 3, limit: 100 } },
    });
    const first = await platform.who('crowded');
    const waiting = Array.from({ length: 9 }, () => platform.who('crowded', '/hold'));
    const decided = await platform.saw('crowded', 'scale.decided');
    expect(decided.figures).toMatchObject({ by: 'load' });
    const ready = await until('three containers to be ready', async () => {
      const all = (await platform.containers('crowded')).filter(({ state }) => state === 'ready');
      return all.length === 3 ? all : undefined;
    });
    const seen = new Set<string>();
    await until('the others to be given requests', async () => {
      seen.add((await platform.who('crowded')).id);
      return seen.size === 2;
    });
    expect(seen).not.toContain(first.id);
    for (const container of ready) await past(container, '/release');
    // Those who came before there were others are answered by the one they were sent to.
    expect(new Set((await Promise.all(waiting)).map(({ id }) => id))).toEqual(new Set([first.id]));
  });

  it('of one request brings the spares that are to be ready beside it, and they sleep when it does', async () => {
    const platform = shared();
    await platform.create('spared', {
      policy: { maxReplicas: 3, spares: 1, scaling: { mode: 'out' }, idlePauseMs: null, idleStopMs: 1_500 },
    });
    await platform.who('spared');
    const decided = await platform.saw('spared', 'scale.decided');
    expect(decided).toMatchObject({ figures: { by: 'load', spares: 1, fromReplicas: 1, toReplicas: 2 } });
    const states = async () => (await platform.containers('spared')).map(({ state }) => state);
    await until('a second container to be ready', async () => (await states()).join() === 'ready,ready');
    await until('both to be gone', async () => (await states()).every((state) => state === 'stopped'));
    const decisions = (await platform.events('spared')).filter(({ type }) => type === 'scale.decided');
    expect(decisions.map(({ figures }) => [figures.by, figures.toReplicas])).toEqual([
      ['load', 2],
      ['silence', 0],
    ]);
  });

  it('that needs more CPU than there is makes the container stronger, which goes on as it is', async () => {
    const platform = shared();
    await platform.create('strained', {
      env: { BURN: '1' },
      policy: { cpu: 0.2, scaling: { mode: 'up', cpuMax: 0.8 } },
    });
    const before = await platform.who('strained');
    const { id } = await platform.container('strained');
    let answered = 0;
    const resized = await until('it to be given more', async () => {
      expect(await platform.who('strained')).toEqual(before);
      answered++;
      return (await platform.events('strained')).find(({ type }) => type === 'container.resized');
    });
    expect(resized).toMatchObject({ containerId: id, figures: { fromCpu: 0.2 } });
    expect(Number(resized.figures.toCpu)).toBeGreaterThan(0.2);
    expect(Number(resized.figures.toCpu)).toBeLessThanOrEqual(0.8);
    expect(await platform.container('strained')).toMatchObject({ id, state: 'ready' });
    expect(await platform.who('strained')).toEqual(before);
    expect(answered).toBeGreaterThan(0);
    const decided = await platform.saw('strained', 'scale.decided');
    expect(decided.figures).toMatchObject({ by: 'load' });
    expect(decided.reason).toContain('CPU');
  });

  it('that uses up all of its CPU has it let other apps go first, until nobody asks for it', async () => {
    const platform = shared();
    await platform.create('hungry', {
      env: { BURN: '1' },
      policy: { cpu: 0.1, scaling: { mode: 'off' }, idlePauseMs: null },
    });
    await platform.who('hungry');
    const { id } = await platform.container('hungry');
    await until('it to yield', async () => {
      await platform.who('hungry');
      return platform.yields(id);
    });
    await until('it to yield no more', async () => !(await platform.yields(id)));
    expect(await platform.container('hungry')).toMatchObject({ id, state: 'ready' });
  });
});
