import { describe, expect, it } from 'vitest';
import { Outbox } from '../../src/compute/outbox.ts';
import type { ContainerReport } from '../../src/coreapi/core-api.ts';
import type { ContainerState } from '../../src/cmdb/records.ts';
import { PlatformError, type ErrorCode } from '../../src/errors.ts';
import { silentLog } from '../../src/log.ts';
import { container } from '../support/records.ts';
import { FakeClock, settle } from '../support/fake-clock.ts';

/** A Core API that records states, is away when told, and can be made slow. */
function setUp() {
  const clock = new FakeClock();
  const recorded: string[] = [];
  const core = {
    fails: undefined as ErrorCode | undefined,
    attempts: 0,
    gate: Promise.resolve(),
    async report(id: string, { state }: ContainerReport) {
      core.attempts++;
      await core.gate;
      if (core.fails !== undefined) throw new PlatformError(core.fails, 'no');
      recorded.push(`${id} ${state}`);
      return container();
    },
  };
  const outbox = new Outbox(core, clock, silentLog);
  const report = (state: ContainerState, id = 'a') => outbox.report(id, { state, reason: '' });
  return { clock, core, outbox, recorded, report };
}

/** How a promise stands, now. */
async function outcome(promise: Promise<unknown>): Promise<string> {
  let now = 'pending';
  promise.then(
    () => (now = 'resolved'),
    (thrown: unknown) => (now = PlatformError.from(thrown).code),
  );
  await settle();
  return now;
}

describe('the outbox', () => {
  it('records a container’s states in the order they came', async () => {
    const { outbox, recorded, report } = setUp();
    for (const state of ['starting', 'ready', 'draining', 'stopped'] as const) report(state);
    await outbox.recorded('a');
    expect(recorded).toEqual(['a starting', 'a ready', 'a draining', 'a stopped']);
  });

  it('tries again and again while the other side is away, less and less often, and loses nothing', async () => {
    const { clock, core, recorded, report } = setUp();
    core.fails = 'store_unavailable';
    report('starting');
    report('ready');
    await clock.advance(600_000);
    expect(recorded).toEqual([]);
    expect(core.attempts).toBeGreaterThan(100);
    expect(core.attempts).toBeLessThan(150); // every 5 s in the end
    core.fails = undefined;
    await clock.advance(5_000);
    expect(recorded).toEqual(['a starting', 'a ready']);
    expect(clock.pending).toBe(0);
  });

  it('does not let one container’s trouble hold up another', async () => {
    const { core, outbox, recorded, report } = setUp();
    const { promise, resolve } = Promise.withResolvers<undefined>();
    core.gate = promise.then(() => undefined);
    report('starting', 'a');
    core.gate = Promise.resolve();
    report('starting', 'b');
    await outbox.recorded('b');
    expect(recorded).toEqual(['b starting']);
    resolve(undefined);
    await outbox.recorded('a');
    expect(recorded).toEqual(['b starting', 'a starting']);
  });

  it('stays short however often a container sleeps and wakes during an outage', async () => {
    const { clock, core, recorded, report } = setUp();
    core.fails = 'store_unavailable';
    report('ready');
    for (let day = 0; day < 1_000; day++) {
      report('paused');
      report('ready');
    }
    core.fails = undefined;
    await clock.advance(10_000);
    expect(recorded).toEqual(['a ready']);
  });

  it('tells of a sleep that lasts, whatever cancelled out before', async () => {
    const { clock, core, recorded, report } = setUp();
    core.fails = 'store_unavailable';
    report('ready');
    for (const state of ['paused', 'ready', 'paused'] as const) report(state);
    core.fails = undefined;
    await clock.advance(10_000);
    expect(recorded).toEqual(['a ready', 'a paused']);
  });

  it('does not take back what is being sent at that moment', async () => {
    const { clock, core, recorded, report } = setUp();
    core.fails = 'store_unavailable';
    report('paused');
    for (const state of ['ready', 'paused', 'ready'] as const) report(state);
    core.fails = undefined;
    await clock.advance(10_000);
    expect(recorded).toEqual(['a paused', 'a ready']);
  });

  it.each(['invalid_transition', 'not_found'] as const)(
    'drops a report that is refused as %s',
    async (code) => {
      const { core, outbox, recorded, report } = setUp();
      core.fails = code;
      report('ready');
      await settle();
      core.fails = undefined;
      report('draining');
      await outbox.recorded('a');
      expect(recorded).toEqual(['a draining']);
    },
  );
});

describe('whoever waits until all is recorded', () => {
  it('is answered at once when there is nothing to record', async () => {
    expect(await outcome(setUp().outbox.recorded('a'))).toBe('resolved');
  });

  it('waits while it is being recorded', async () => {
    const { core, outbox, report } = setUp();
    const { promise, resolve } = Promise.withResolvers<undefined>();
    core.gate = promise.then(() => undefined);
    report('ready');
    const waiting = outbox.recorded('a');
    expect(await outcome(waiting)).toBe('pending');
    resolve(undefined);
    expect(await outcome(waiting)).toBe('resolved');
  });

  it('is told as soon as the other side turns out to be away, and while it is', async () => {
    const { clock, core, outbox, report } = setUp();
    core.fails = 'store_unavailable';
    report('ready');
    expect(await outcome(outbox.recorded('a'))).toBe('store_unavailable');
    await clock.advance(1_000);
    expect(await outcome(outbox.recorded('a'))).toBe('store_unavailable');
    core.fails = undefined;
    await clock.advance(10_000);
    expect(await outcome(outbox.recorded('a'))).toBe('resolved');
  });

  it('waits for the rest when the first was refused after an outage: the other side is back', async () => {
    const { clock, core, outbox, report } = setUp();
    core.fails = 'store_unavailable';
    report('ready');
    report('draining');
    await settle();
    core.fails = 'not_found';
    const { promise, resolve } = Promise.withResolvers<undefined>();
    const pending = core.report.bind(core);
    core.report = async (id, one) => {
      if (one.state === 'draining') await promise;
      return pending(id, one);
    };
    await clock.advance(1_000);
    const waiting = outbox.recorded('a');
    expect(await outcome(waiting)).toBe('pending');
    resolve(undefined);
    expect(await outcome(waiting)).toBe('resolved');
  });

  it('is told when the outbox is closed, before and after, and no timer is left', async () => {
    const { clock, core, outbox, report } = setUp();
    core.gate = new Promise(() => undefined);
    report('ready');
    const waiting = outbox.recorded('a');
    core.gate = Promise.resolve();
    core.fails = 'store_unavailable';
    report('ready', 'b');
    await settle();
    outbox.close();
    expect(await outcome(waiting)).toBe('store_unavailable');
    report('ready', 'c');
    expect(await outcome(outbox.recorded('c'))).toBe('store_unavailable');
    expect(clock.pending).toBe(0);
    const { attempts } = core;
    await clock.advance(60_000);
    expect(core.attempts).toBe(attempts);
  });
});
