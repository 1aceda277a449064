import { describe, expect, it } from 'vitest';
import type { ExitEvent, StartSpec } from '../../src/compute/engine.ts';
import { openSimulatedEngine, type Fault } from '../../src/compute/simulated/simulated-engine.ts';
import { FakeClock } from '../support/fake-clock.ts';

const never = () => new AbortController().signal;

function spec(containerId: string, appId = 'app_1'): StartSpec {
  return {
    containerId,
    appId,
    revisionId: 'rev_1',
    workload: { type: 'command', command: ['simulated'], cwd: '/' },
    env: {},
    port: 8080,
    readOnly: false,
    resources: { cpu: 0.3, memoryBytes: 1 << 29, pidsMax: 64 },
  };
}

/** An engine at time 0, and the ends it told. */
function open(faults: (startNumber: number, spec: StartSpec) => Fault = () => ({})) {
  const clock = new FakeClock(0);
  const engine = openSimulatedEngine({ clock, faults });
  const exits: ExitEvent[] = [];
  engine.onExit((event) => exits.push(event));
  /** Starts it and lets the time pass that its start takes. */
  async function start(containerId: string, passMs = 50) {
    const [started] = await Promise.all([engine.start(spec(containerId), never()), clock.advance(passMs)]);
    return started;
  }
  return { clock, engine, exits, start };
}

describe('a simulated engine', () => {
  it('takes the scripted time to start and to listen', async () => {
    const { clock, engine, start } = open(() => ({ startMs: 300, listenMs: 2_000 }));
    const { address, startMs } = await start('ctr_1', 300);
    expect(startMs).toBe(300);
    expect(engine.listening(address)).toBe(false);
    await clock.advance(1_999);
    expect(engine.listening(address)).toBe(false);
    await clock.advance(1);
    expect(engine.listening(address)).toBe(true);
  });

  it('never listens when the script says so', async () => {
    const { clock, engine, start } = open(() => ({ listenMs: null }));
    const { address } = await start('ctr_1');
    await clock.advance(86_400_000);
    expect(engine.listening(address)).toBe(false);
  });

  it('fails the starts that the script names, by their number within the app', async () => {
    const { clock, engine, start } = open((startNumber) =>
      startNumber < 3 ? { startError: 'no luck' } : {},
    );
    for (const id of ['ctr_1', 'ctr_2'])
      await expect(start(id)).rejects.toMatchObject({ code: 'start_failed', message: 'no luck' });
    await start('ctr_3');
    expect(await engine.listOwn()).toMatchObject([{ containerId: 'ctr_3' }]);
    expect(clock.pending).toBe(0);
  });

  it('ends a container after the scripted time, in which a pause does not count', async () => {
    const { clock, engine, exits, start } = open(() => ({ exitAfterMs: 1_000, exitCode: 9 }));
    await start('ctr_1');
    await clock.advance(600);
    await engine.pause('ctr_1');
    await clock.advance(5_000);
    expect(exits).toEqual([]);
    await engine.unpause('ctr_1');
    await clock.advance(399);
    expect(exits).toEqual([]);
    await clock.advance(1);
    expect(exits).toEqual([{ containerId: 'ctr_1', exitCode: 9, outOfMemory: false }]);
  });

  it('ends a container with its so many-th request, which is not answered', async () => {
    const { clock, engine, exits, start } = open(() => ({ exitAfterRequests: 3, outOfMemory: true }));
    await start('ctr_1');
    expect(engine.noteRequest('ctr_1')).toBe(false); // it does not listen yet
    await clock.advance(10);
    expect([1, 2, 3, 4].map(() => engine.noteRequest('ctr_1'))).toEqual([true, true, false, false]);
    expect(exits).toEqual([{ containerId: 'ctr_1', exitCode: 1, outOfMemory: true }]);
  });

  it('takes connections of a paused container but does not answer them', async () => {
    const { clock, engine, start } = open();
    const { address } = await start('ctr_1');
    await clock.advance(10);
    await engine.pause('ctr_1');
    expect(engine.listening(address)).toBe(true);
    expect(engine.noteRequest('ctr_1')).toBe(false);
  });

  it('lost does not answer, nor tell; back it tells what happened meanwhile', async () => {
    const { clock, engine, exits, start } = open(() => ({ exitAfterMs: 1_000 }));
    const { address } = await start('ctr_1');
    await clock.advance(100);
    engine.loseNode();
    await expect(engine.listOwn()).rejects.toMatchObject({ code: 'engine_unavailable' });
    await expect(engine.stop('ctr_1', 100)).rejects.toMatchObject({ code: 'engine_unavailable' });
    await expect(engine.start(spec('ctr_2'), never())).rejects.toMatchObject({ code: 'engine_unavailable' });
    expect(engine.listening(address)).toBe(false);
    expect(engine.noteRequest('ctr_1')).toBe(false);
    await clock.advance(10_000);
    expect(exits).toEqual([]);
    engine.restoreNode();
    expect(exits).toMatchObject([{ containerId: 'ctr_1' }]);
    expect(await engine.listOwn()).toMatchObject([{ containerId: 'ctr_1', status: 'exited' }]);
  });

  it('fails a start during which the node was lost, and leaves nothing of it', async () => {
    const { clock, engine } = open();
    const starting = expect(engine.start(spec('ctr_1'), never())).rejects.toMatchObject({
      code: 'engine_unavailable',
    });
    engine.loseNode();
    await clock.advance(50);
    await starting;
    engine.restoreNode();
    expect(await engine.listOwn()).toEqual([]);
  });

  it('remembers what truly happened, and when', async () => {
    const { clock, engine, start } = open();
    await start('ctr_1');
    await clock.advance(100);
    await engine.pause('ctr_1');
    await clock.advance(100);
    const stopping = engine.stop('ctr_1', 1_000);
    await clock.advance(10);
    await stopping;
    await engine.remove('ctr_1');
    expect(engine.history.map(({ atMs, what }) => [atMs, what])).toEqual([
      [50, 'started'],
      [150, 'paused'],
      [250, 'unpaused'],
      [260, 'stopped'],
      [260, 'removed'],
    ]);
    expect(engine.history[0]).toMatchObject({ containerId: 'ctr_1', appId: 'app_1', nodeId: 'node_sim' });
    expect(clock.pending).toBe(0);
  });
});
