/** Many who want a sleeping app at the same moment: each gets the app's own answer, and one container is started. */
import { expect, it } from 'vitest';
import { describeOnEngines } from '../support/platform.ts';
import { StartGate } from '../support/start-gate.ts';

const CROWD = 300;

describeOnEngines('a crowd before a cold app', (shared) => {
  it('is served by one container, whose answers they all get', async () => {
    const platform = shared();
    await platform.create('cold');

    const answers = await Promise.all(Array.from({ length: CROWD }, () => platform.who('cold')));
    expect(answers).toHaveLength(CROWD);
    expect(new Set(answers.map(({ id }) => id)).size).toBe(1);
    expect((await platform.story('cold')).filter((type) => type.startsWith('container.'))).toEqual([
      'container.planned',
      'container.starting',
      'container.ready',
    ]);
    const { id } = await platform.container('cold');
    expect([...(await platform.running()).keys()]).toEqual([id]);
  });

  it('does not notice that the first start fails', async () => {
    const platform = shared();
    await using gate = await StartGate.open((start) => (start === 1 ? 'fail' : 'go'));
    await platform.create('shaky', { env: gate.env });
    const others = await platform.running();

    const answers = await Promise.all(Array.from({ length: CROWD }, () => platform.who('shaky')));
    expect(answers).toHaveLength(CROWD);
    expect(new Set(answers.map(({ id }) => id)).size).toBe(1);
    expect(gate.starts).toBe(2);
    const { id } = await platform.container('shaky');
    expect([...(await platform.running()).keys()].filter((one) => !others.has(one))).toEqual([id]);

    // Its owner is told what happened.
    const failed = await platform.saw('shaky', 'container.failed');
    expect(failed).toMatchObject({
      reason: 'it exited with code 7 before it listened',
      figures: { lastLines: 'the database is away' },
    });
    expect(failed.containerId).not.toBe(id);
  });
});
