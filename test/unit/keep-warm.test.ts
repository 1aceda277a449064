/** Hours in which an app is kept ready: when they begin and end, and what happens then. */
import { describe, expect, it } from 'vitest';
import type { KeepWarmHours } from '../../src/cmdb/records.ts';
import { resolvePolicy } from '../../src/coreapi/apps-policy.ts';
import { keptWarm, parseDays, policyAt } from '../../src/coreapi/decisions/keep-warm.ts';
import { instantOf, isTimeZone } from '../../src/coreapi/decisions/zoned-time.ts';
import { policyInput } from '../../src/coreapi/schema-policy.ts';
import { NodeUnderTest } from '../support/node-under-test.ts';
import { policy } from '../support/records.ts';

const OFFICE: KeepWarmHours = {
  days: 'mon-fri',
  from: '08:00',
  to: '18:00',
  timeZone: 'Europe/Berlin',
  replicas: 1,
};
const hours = (change: Partial<KeepWarmHours>): KeepWarmHours => ({ ...OFFICE, ...change });
const at = (iso: string) => Date.parse(iso);

/** Whether they are on, and when that changes. */
function state(list: readonly KeepWarmHours[], iso: string): [number, string] {
  const { replicas, untilMs } = keptWarm([...list], at(iso));
  return [replicas, new Date(untilMs).toISOString().replace(':00.000Z', 'Z')];
}

describe('hours', () => {
  // 2026-11-20 is a Friday; Berlin is at UTC+1 then.
  it.each<[string, KeepWarmHours, string, number, string]>([
    ['before they begin', OFFICE, '2026-11-20T06:59:59.999Z', 0, '2026-11-20T07:00Z'],
    ['as they begin', OFFICE, '2026-11-20T07:00Z', 1, '2026-11-20T17:00Z'],
    ['before they end', OFFICE, '2026-11-20T16:59:59.999Z', 1, '2026-11-20T17:00Z'],
    ['as they end, on Friday', OFFICE, '2026-11-20T17:00Z', 0, '2026-11-23T07:00Z'],
    ['on Sunday', OFFICE, '2026-11-22T12:00Z', 0, '2026-11-23T07:00Z'],
    [
      'over midnight',
      hours({ days: 'fri', from: '22:00', to: '06:00' }),
      '2026-11-21T04:00Z',
      1,
      '2026-11-21T05:00Z',
    ],
    [
      'after that',
      hours({ days: 'fri', from: '22:00', to: '06:00' }),
      '2026-11-21T05:00Z',
      0,
      '2026-11-27T21:00Z',
    ],
    [
      'the night before',
      hours({ days: 'fri', from: '22:00', to: '06:00' }),
      '2026-11-20T04:00Z',
      0,
      '2026-11-20T21:00Z',
    ],
    [
      'to the end of the day',
      hours({ days: 'sun', from: '00:00', to: '24:00' }),
      '2026-11-21T23:00Z',
      1,
      '2026-11-22T23:00Z',
    ],
    ['half-hour zones', hours({ timeZone: 'Asia/Kolkata' }), '2026-11-20T02:29Z', 0, '2026-11-20T02:30Z'],
    [
      'across the date line',
      hours({ days: 'mon', timeZone: 'Pacific/Auckland' }),
      '2026-11-22T19:00Z',
      1,
      '2026-11-23T05:00Z',
    ],
    // The clocks in Berlin go forward on 2026-03-29 at 01:00Z, and back on 2026-10-25 at 01:00Z.
    [
      'the day after the clocks went forward',
      hours({ days: 'mon-sun' }),
      '2026-03-29T05:59Z',
      0,
      '2026-03-29T06:00Z',
    ],
    [
      'the day after the clocks went back',
      hours({ days: 'mon-sun' }),
      '2026-10-25T06:59Z',
      0,
      '2026-10-25T07:00Z',
    ],
    [
      'a night that is an hour shorter',
      hours({ days: 'sat', from: '22:00', to: '06:00' }),
      '2026-03-28T21:00Z',
      1,
      '2026-03-29T04:00Z',
    ],
    [
      'a night that is an hour longer',
      hours({ days: 'sat', from: '22:00', to: '06:00' }),
      '2026-10-24T20:00Z',
      1,
      '2026-10-25T05:00Z',
    ],
    [
      'a beginning that is skipped',
      hours({ days: 'sun', from: '02:30', to: '06:00' }),
      '2026-03-29T01:29Z',
      0,
      '2026-03-29T01:30Z',
    ],
    [
      'a beginning that comes twice',
      hours({ days: 'sun', from: '02:30', to: '06:00' }),
      '2026-10-25T00:30Z',
      1,
      '2026-10-25T05:00Z',
    ],
    [
      'an end that comes twice',
      hours({ days: 'sun', from: '01:00', to: '02:30' }),
      '2026-10-25T00:30Z',
      0,
      '2026-11-01T00:00Z',
    ],
  ])('%s: %j at %s are worth %i container(s) until %s', (_, one, iso, replicas, until) => {
    expect(state([one], iso)).toEqual([replicas, until]);
  });

  it('that overlap keep as many as the greater of them, and are looked at again whenever one changes', () => {
    const list = [OFFICE, hours({ from: '12:00', to: '13:00', replicas: 3 })];
    expect(state(list, '2026-11-20T10:59Z')).toEqual([1, '2026-11-20T11:00Z']);
    expect(state(list, '2026-11-20T11:00Z')).toEqual([3, '2026-11-20T12:00Z']);
    expect(state(list, '2026-11-20T12:00Z')).toEqual([1, '2026-11-20T17:00Z']);
  });

  it('that are asked for again answer for another moment, also one before', () => {
    const list = [OFFICE];
    expect(keptWarm(list, at('2026-11-20T07:00Z')).replicas).toBe(1);
    expect(keptWarm(list, at('2026-11-20T06:00Z')).replicas).toBe(0);
    expect(keptWarm(list, at('2026-11-20T18:00Z')).replicas).toBe(0);
  });

  it('raise minReplicas and never lower it', () => {
    const nowMs = at('2026-11-20T09:00Z');
    expect(policyAt(policy({ keepWarm: [OFFICE] }), nowMs).minReplicas).toBe(1);
    expect(policyAt(policy({ keepWarm: [OFFICE], minReplicas: 2 }), nowMs).minReplicas).toBe(2);
    expect(policyAt(policy({ keepWarm: [] }), nowMs).minReplicas).toBe(0);
  });

  it.each([
    ['mon-fri', [1, 2, 3, 4, 5]],
    ['fri-mon', [5, 6, 0, 1]],
    ['sat,sun', [6, 0]],
    ['wed', [3]],
    ['mon-sun', [1, 2, 3, 4, 5, 6, 0]],
    ['weekdays', undefined],
    ['mon-tue-wed', undefined],
    ['', undefined],
  ])('on %j are those of the days %j', (text, days) => {
    const found = parseDays(text);
    expect(found && [...found]).toEqual(days);
  });

  it.each([
    [{ ...OFFICE, timeZone: 'Europe/Atlantis' }, 'keepWarm.0.timeZone'],
    [{ ...OFFICE, days: 'someday' }, 'keepWarm.0.days'],
    [{ ...OFFICE, from: '8:00' }, 'keepWarm.0.from'],
    [{ ...OFFICE, to: '24:01' }, 'keepWarm.0.to'],
    [{ ...OFFICE, to: '08:00' }, 'keepWarm.0.to'],
    [{ ...OFFICE, replicas: 0 }, 'keepWarm.0.replicas'],
  ])('that are none are refused by name: %j', (one, field) => {
    const { error } = policyInput.safeParse({ keepWarm: [one] });
    expect(error?.issues.map(({ path }) => path.join('.'))).toEqual([field]);
  });

  it('need only be times: every day, in UTC, one container', () => {
    const said = policyInput.parse({ keepWarm: [{ from: '08:00', to: '18:00' }] });
    expect(resolvePolicy(said, undefined, undefined).keepWarm).toEqual([
      { days: 'mon-sun', from: '08:00', to: '18:00', timeZone: 'UTC', replicas: 1 },
    ]);
  });
});

describe('a time in a place', () => {
  it('is known wherever the clocks change, at midnight too', () => {
    // Beirut skips the first hour of 2026-03-29; Lord Howe moves by half an hour.
    const day = Math.floor(at('2026-03-29T00:00Z') / 86_400_000);
    expect(new Date(instantOf('Asia/Beirut', day, 30)).toISOString()).toBe('2026-03-28T22:30:00.000Z');
    const lordHowe = Math.floor(at('2026-04-05T00:00Z') / 86_400_000);
    expect(new Date(instantOf('Australia/Lord_Howe', lordHowe, 105)).toISOString()).toBe(
      '2026-04-04T14:45:00.000Z',
    );
    expect([isTimeZone('Europe/Berlin'), isTimeZone('Mars/Olympus')]).toEqual([true, false]);
  });
});

describe('an app with hours', () => {
  /** The clock of the tests begins at 00:16:40 UTC on a Thursday. */
  const MINUTE = 60_000;
  const keepWarm = [{ days: 'thu', from: '01:00', to: '02:00', timeZone: 'UTC', replicas: 2 }];
  const quick = { idlePauseMs: null, idleStopMs: MINUTE };

  it('is started when they begin and let go when they are over, and says why', async () => {
    const node = await new NodeUnderTest().boot();
    await node.createApp('shop', { ...quick, keepWarm });
    await node.createApp('other', quick);
    await node.clock.advance(43 * MINUTE);
    expect(node.alive()).toEqual([]);
    await node.clock.advance(MINUTE);
    expect(node.alive()).toHaveLength(2);
    const reason = 'its hours thu 01:00-02:00 UTC keep 2 ready';
    expect((await node.containers()).map(({ state }) => state)).toEqual(['ready', 'ready']);
    expect((await node.events('container.planned')).map((event) => event.reason)).toEqual([reason, reason]);
    await node.clock.advance(58 * MINUTE);
    expect(node.alive()).toHaveLength(2); // an hour without a request
    await node.clock.advance(3 * MINUTE);
    expect(node.alive()).toEqual([]);
    expect((await node.events('app.keep_warm')).map((event) => [event.reason, event.figures])).toEqual([
      [reason, { replicas: 2 }],
      ['its keep-warm hours are over', { replicas: 0 }],
    ]);
    await node.clock.advance(7 * 24 * 60 * MINUTE);
    expect(node.count('started')).toBe(4); // next Thursday
  });

  it('costs no timer of its own, and an app without hours nothing at all', async () => {
    const node = await new NodeUnderTest().boot();
    const before = node.clock.pending;
    for (let i = 0; i < 20; i++) await node.createApp(`shop-${i}`, { ...quick, keepWarm });
    for (let i = 0; i < 20; i++) await node.createApp(`other-${i}`, quick);
    await node.clock.advance(MINUTE);
    expect(node.clock.pending).toBe(before + 1);
    expect(node.agent.apps).toBe(20);
  });

  it('is kept ready by the next program too, and by one that was away when they began', async () => {
    const node = await new NodeUnderTest().boot();
    await node.createApp('shop', { ...quick, keepWarm });
    await node.close({ leaveRunning: true });
    await node.clock.advance(50 * MINUTE);
    expect(node.alive()).toEqual([]);
    await node.boot();
    await node.clock.advance(MINUTE);
    expect(node.alive()).toHaveLength(2);
  });

  it('sleeps when they are taken from its policy', async () => {
    const node = await new NodeUnderTest().boot();
    await node.createApp('shop', { ...quick, keepWarm });
    await node.clock.advance(50 * MINUTE);
    expect(node.alive()).toHaveLength(2);
    await node.change('shop', { keepWarm: [] });
    await node.clock.advance(20 * MINUTE);
    expect(node.alive()).toEqual([]);
    expect(node.agent.apps).toBe(0);
  });

  it('may be as wide as its hours say, and is not scaled in below that', async () => {
    const node = await new NodeUnderTest().boot();
    await node.createApp('shop', { ...quick, keepWarm });
    await node.clock.advance(50 * MINUTE);
    await expect(node.scale('shop', { replicas: 1 })).rejects.toMatchObject({ code: 'invalid_body' });
    expect((await node.scale('shop', { replicas: 3 })).changed).toBe(true);
    await node.clock.advance(MINUTE);
    expect(node.alive()).toHaveLength(3);
  });

  it('has hours for no more than it may have', async () => {
    const node = await new NodeUnderTest().boot();
    const created = node.createApp('shop', { keepWarm, maxReplicas: 1 });
    await expect(created).rejects.toMatchObject({
      code: 'invalid_body',
      fields: [{ field: 'policy.keepWarm.0.replicas' }],
    });
  });
});
