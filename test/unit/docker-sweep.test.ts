import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { DockerApi } from '../../src/compute/docker/api.ts';
import { Lives } from '../../src/compute/docker/lives.ts';
import { Sandboxes } from '../../src/compute/docker/sandboxes.ts';
import { Sweep } from '../../src/compute/docker/sweep.ts';
import { FakeClock } from '../support/fake-clock.ts';
import { scriptedDocker } from '../support/scripted-docker.ts';
import type { ScriptedDocker } from '../support/scripted-docker.ts';
import { until } from '../support/until.ts';

const LIST = 'GET list';

/** Looking for what was given up. */
describe('the sweep of the docker engine', () => {
  const clock = new FakeClock();
  let engine: ScriptedDocker;
  let api: DockerApi;
  let sweep: Sweep;
  let asked: string[];
  let isAway: boolean;
  /** What the engine has, by its id: the platform's, and its state. */
  let has: Map<string, { containerId: string; state: string }>;

  beforeEach(async () => {
    asked = [];
    isAway = false;
    has = new Map();
    engine = await scriptedDocker(({ method, url = '' }, answer) => {
      const [, id = ''] = /\/containers\/([^/?]+)/.exec(url) ?? [];
      asked.push(`${method} ${id === 'json' ? 'list' : id}`);
      const row = has.get(id);
      if (isAway) answer.writeHead(500).end('{}');
      else if (id === 'json')
        answer.end(
          JSON.stringify(
            [...has].map(([Id, { containerId, state }]) => ({
              Id,
              Names: [`/${Id}`],
              State: state,
              Labels: { 'mayfly.container': containerId },
            })),
          ),
        );
      else if (method === 'DELETE') answer.writeHead(has.delete(id) ? 204 : 404).end();
      else answer.writeHead(row ? 200 : 404).end(JSON.stringify({ State: { Status: row?.state } }));
    });
    api = new DockerApi({ socketPath: engine.socketPath });
    const lives = new Lives();
    lives.adopt('ctr_live', 'live');
    sweep = new Sweep({
      api,
      nodeId: 'node_1',
      clock,
      sandboxes: new Sandboxes({ api, nodeId: 'node_1', clock, onLeft: () => sweep.doubt() }),
      lives,
      isStarting: (containerId) => containerId === 'ctr_starting',
      onError: () => {},
    });
  });

  afterEach(async () => {
    await sweep.close();
    expect(clock.pending).toBe(0);
    api.close();
    await engine.close();
  });

  const created = (ID: string, containerId: string) => {
    has.set(ID, { containerId, state: 'created' });
    sweep.created({ Action: 'create', Actor: { ID, Attributes: { 'mayfly.container': containerId } } });
  };
  const lists = () => asked.filter((line) => line === LIST).length;

  it('asks for nothing while nothing is in doubt', async () => {
    sweep.begin();
    created('wanted', 'ctr_starting');
    await sweep.looked();
    expect(asked).toEqual([]);
    expect(clock.pending).toBe(0);
  });

  it('removes what nobody knows, and looks no further', async () => {
    sweep.begin();
    has.set('live', { containerId: 'ctr_live', state: 'running' });
    has.set('ended', { containerId: 'ctr_ended', state: 'exited' });
    has.set('starting', { containerId: 'ctr_starting', state: 'created' });
    created('late', 'ctr_late');
    await sweep.looked();
    expect([...has.keys()]).toEqual(['live', 'ended', 'starting']);
    expect(clock.pending).toBe(0);
    await clock.advance(3_600_000);
    expect(lists()).toBe(1);
  });

  it('removes even the remains of a start that was given up', async () => {
    sweep.begin();
    has.set('left', { containerId: 'ctr_left', state: 'exited' });
    sweep.giveUp('ctr_left', undefined);
    await sweep.looked();
    expect(has.size).toBe(0);
  });

  it('leaves one that ended after it was listed', async () => {
    sweep.begin();
    has.set('ending', { containerId: 'ctr_ending', state: 'running' });
    sweep.doubt();
    await until('the list', () => lists() === 1);
    has.set('ending', { containerId: 'ctr_ending', state: 'exited' });
    await sweep.looked();
    expect(has.size).toBe(1);
  });

  it('looks again, ever more seldom and with one timer for all, while the engine does not answer', async () => {
    sweep.begin();
    isAway = true;
    for (const id of ['ctr_1', 'ctr_2', 'ctr_3']) sweep.giveUp(id, undefined);
    for (const waitMs of [1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000]) {
      await sweep.looked();
      expect(clock.pending).toBe(1);
      const before = lists();
      await clock.advance(waitMs - 1);
      expect(lists()).toBe(before);
      await clock.advance(1);
      await until('a look', () => lists() === before + 1);
    }
    isAway = false;
    created('late', 'ctr_1');
    await sweep.looked();
    if (clock.pending > 0) await clock.advance(1_000);
    await sweep.looked();
    expect(has.size).toBe(0);
    expect(clock.pending).toBe(0);
  });

  it('removes nothing before it is known what an earlier process left running', async () => {
    created('theirs', 'ctr_theirs');
    await sweep.looked();
    expect(asked).toEqual([]);
    sweep.begin();
    sweep.doubt();
    await sweep.looked();
    expect(has.size).toBe(0);
  });
});
