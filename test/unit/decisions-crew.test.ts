import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Policy } from '../../src/cmdb/records.ts';
import { decideCrew, type CrewInput, type Member } from '../../src/coreapi/decisions/crew.ts';
import { expiry, LIFETIME_JITTER } from '../../src/coreapi/decisions/lifetime.ts';
import { policy } from '../support/records.ts';

const size = { cpu: policy().cpu, memoryBytes: policy().memoryBytes, pidsMax: policy().pidsMax };

function member(change: Partial<Member> = {}): Member {
  return {
    id: 'ctr_1',
    state: 'ready',
    isSuccessor: false,
    revisionId: 'rev_1',
    resources: size,
    isSizeSure: true,
    isResizing: false,
    resizeNotBeforeMs: 0,
    boostEndsAtMs: null,
    expiresAtMs: null,
    lastActiveAtMs: 0,
    ...change,
  };
}

function members(count: number, change: Partial<Member> = {}): Member[] {
  return Array.from({ length: count }, (_, index) => member({ id: `ctr_${index + 1}`, ...change }));
}

type Change = Partial<Omit<CrewInput, 'policy' | 'size'>> & { policy?: Partial<Policy>; replicas?: number };

function input({ policy: some = {}, replicas = 0, ...change }: Change): CrewInput {
  return {
    members: [],
    placing: 0,
    isReplacing: false,
    draining: 0,
    policy: policy(some),
    revisionId: 'rev_1',
    size: { replicas, cpu: null, memoryBytes: null },
    isAwaited: false,
    isKept: false,
    startNotBeforeMs: 0,
    wakeNotBeforeMs: 0,
    isResting: false,
    canPause: true,
    canResize: true,
    ...change,
  };
}

const decide = (change: Change, nowMs = 1) => decideCrew(input(change), nowMs);
const acts = (change: Change, nowMs = 1) =>
  decide(change, nowMs).actions.map((action) => ('id' in action ? `${action.do} ${action.id}` : action.do));

describe('an app that another one needs', () => {
  it('does not sleep, however long it is idle, and is there again when it is not there', () => {
    expect(decide({ members: [member()], isKept: true }, 3_600_000)).toEqual({
      actions: [],
      nextAtMs: Infinity,
    });
    expect(acts({ isKept: true })).toEqual(['start']);
    expect(acts({ isKept: true, members: [member({ state: 'paused' })] })).toEqual(['wake ctr_1']);
  });

  it('gives back what a crowd left, all but one or what its policy keeps', () => {
    const wide = { members: members(3), replicas: 3, isKept: true };
    expect(decide(wide, 29_999)).toEqual({ actions: [], nextAtMs: 30_000 });
    expect(decide(wide, 30_000).actions).toMatchObject([{ do: 'rest', ids: ['ctr_2', 'ctr_3'] }]);
    const two = { ...wide, policy: { minReplicas: 2 } };
    expect(decide(two, 30_000).actions).toMatchObject([{ do: 'rest', ids: ['ctr_3'] }]);
  });
});

describe('an app that nobody asks for', () => {
  it('has nothing done to it, and needs no timer', () => {
    expect(decide({})).toEqual({ actions: [], nextAtMs: Infinity });
  });

  it('is left alone until it has been idle for idlePauseMs, then put to rest', () => {
    expect(decide({ members: [member()] }, 29_999)).toEqual({ actions: [], nextAtMs: 30_000 });
    expect(decide({ members: [member()] }, 30_000).actions).toEqual([
      { do: 'rest', ids: ['ctr_1'], how: 'pause', idleSinceMs: 0, reason: 'no activity for 30s' },
    ]);
  });

  it('is stopped after idleStopMs, paused or not', () => {
    const paused = [member({ state: 'paused' })];
    expect(decide({ members: paused }, 299_999)).toEqual({ actions: [], nextAtMs: 300_000 });
    expect(acts({ members: paused }, 300_000)).toEqual(['retire ctr_1']);
    expect(decide({ members: [member()], policy: { idlePauseMs: null } }, 300_000).actions).toMatchObject([
      { do: 'rest', how: 'stop', idleSinceMs: 0 },
    ]);
  });

  it('never sleeps where the policy says never, nor is paused where the engine cannot', () => {
    const never = { idlePauseMs: null, idleStopMs: null };
    expect(decide({ members: [member()], policy: never }, 1e12)).toEqual({ actions: [], nextAtMs: Infinity });
    expect(decide({ members: [member()], canPause: false }, 40_000)).toEqual({
      actions: [],
      nextAtMs: 300_000,
    });
  });

  it('is idle as a whole: one container that is busy keeps all of them awake', () => {
    const crew = [...members(2), member({ id: 'ctr_3', lastActiveAtMs: 25_000 })];
    expect(decide({ members: crew, replicas: 3 }, 40_000)).toEqual({ actions: [], nextAtMs: 55_000 });
    expect(decide({ members: crew, replicas: 3 }, 55_000).actions).toMatchObject([
      { do: 'rest', ids: ['ctr_1', 'ctr_2', 'ctr_3'] },
    ]);
  });

  it('keeps ready what its policy keeps ready, whatever it had while it was awake', () => {
    const crew = { members: members(3), replicas: 3, policy: { minReplicas: 2 } };
    expect(decide(crew, 30_000).actions).toMatchObject([{ do: 'rest', ids: ['ctr_3'] }]);
    expect(decide({ ...crew, members: members(2), replicas: 0 }, 1e12)).toEqual({
      actions: [],
      nextAtMs: Infinity,
    });
  });
});

describe('what is too little', () => {
  it('is made up for at once, sleepers first', () => {
    expect(acts({ replicas: 3, members: [member()] })).toEqual(['start', 'start']);
    const crew = [member(), member({ id: 'ctr_2', state: 'paused' })];
    expect(acts({ replicas: 3, members: crew })).toEqual(['wake ctr_2', 'start']);
    expect(acts({ replicas: 3, members: crew, placing: 1 })).toEqual(['wake ctr_2']);
    expect(acts({ policy: { minReplicas: 2 } })).toEqual(['start', 'start']);
    expect(decide({ policy: { minReplicas: 1 } }).actions[0]).toMatchObject({
      reason: 'its policy keeps 1 ready',
    });
  });

  it('for a request that waits is one, however many there were when it fell asleep', () => {
    expect(acts({ isAwaited: true })).toEqual(['start']);
    expect(acts({ isAwaited: true, members: members(3, { state: 'paused' }) })).toEqual(['wake ctr_1']);
  });

  it('is not what starts, is being woken, or is being put to rest', () => {
    for (const state of ['starting', 'changing'] as const)
      expect(acts({ replicas: 2, members: [member(), member({ id: 'ctr_2', state })] })).toEqual([]);
  });

  it('waits for the end of the backoff, and so does nothing else', () => {
    const waiting = { replicas: 2, members: [member({ lastActiveAtMs: 50 })], startNotBeforeMs: 100 };
    expect(decide(waiting, 99)).toEqual({ actions: [], nextAtMs: 100 });
    expect(acts(waiting, 100)).toEqual(['start']);
    // It may fall asleep meanwhile.
    expect(acts({ ...waiting, startNotBeforeMs: 1e9 }, 40_000)).toEqual(['rest']);
  });

  it('is not woken again at once where that did not work', () => {
    const asleep = {
      replicas: 2,
      members: [member({ lastActiveAtMs: 50 }), member({ id: 'ctr_2', state: 'paused' })],
    };
    expect(decide({ ...asleep, wakeNotBeforeMs: 100 }, 99)).toEqual({ actions: [], nextAtMs: 100 });
    expect(acts({ ...asleep, wakeNotBeforeMs: 100 }, 100)).toEqual(['wake ctr_2']);
  });

  it('is none beyond maxReplicas', () => {
    expect(acts({ replicas: 9, members: [member()] })).toEqual(['start', 'start']);
  });
});

describe('what is too much', () => {
  it('goes, first who is not ready, then who would have to be replaced next', () => {
    const crew = [
      member({ id: 'ctr_1', expiresAtMs: 900 }),
      member({ id: 'ctr_2', expiresAtMs: 500 }),
      member({ id: 'ctr_3', state: 'starting' }),
    ];
    expect(acts({ replicas: 2, members: crew })).toEqual(['retire ctr_3']);
    expect(acts({ replicas: 1, members: crew })).toEqual(['retire ctr_3', 'retire ctr_2']);
    const old = [member({ id: 'ctr_1', revisionId: 'rev_0' }), member({ id: 'ctr_2', expiresAtMs: 500 })];
    expect(acts({ replicas: 1, members: old })).toEqual(['retire ctr_1']);
  });

  it('leaves as many ready as are wanted, whatever is on its way', () => {
    const crew = [member(), member({ id: 'ctr_2', state: 'changing' })];
    expect(acts({ replicas: 1, members: crew })).toEqual([]);
    expect(acts({ replicas: 1, members: [...crew, member({ id: 'ctr_3' })] })).toEqual(['retire ctr_3']);
  });

  it('in all is ended among the sleepers', () => {
    const crew = [member(), ...['ctr_2', 'ctr_3'].map((id) => member({ id, state: 'paused' }))];
    expect(acts({ members: crew, policy: { maxReplicas: 2 } })).toEqual(['retire ctr_3']);
    expect(acts({ members: crew })).toEqual([]);
  });
});

describe('what should no longer run', () => {
  it('is replaced at the end of its lifetime while it serves, and just ends while it sleeps', () => {
    const old = { expiresAtMs: 1_000, lastActiveAtMs: 999 };
    expect(acts({ members: [member(old)] }, 1_000)).toEqual(['replace ctr_1']);
    expect(acts({ members: [member({ ...old, state: 'paused' })] }, 1_000)).toEqual(['retire ctr_1']);
    expect(acts({ members: [member({ ...old, state: 'paused' })], isAwaited: true }, 1_000)).toEqual([
      'retire ctr_1',
      'start',
    ]);
  });

  it('is what runs another revision, or has another size where that cannot be changed', () => {
    expect(acts({ members: [member({ revisionId: 'rev_0' })] })).toEqual(['replace ctr_1']);
    const bigger = { members: [member()], policy: { cpu: 7 } };
    expect(acts({ ...bigger, canResize: false })).toEqual(['replace ctr_1']);
  });

  it('is called off where it only starts, and has its place until it is gone', () => {
    const starting = { state: 'starting', revisionId: 'rev_0' } as const;
    expect(decide({ members: [member(starting)], isAwaited: true }).actions).toEqual([
      { do: 'retire', id: 'ctr_1', reason: 'a new revision was deployed' },
    ]);
    const serving = member({ id: 'ctr_2', revisionId: 'rev_0' });
    expect(acts({ members: [serving, member({ ...starting, isSuccessor: true })] })).toEqual([
      'retire ctr_1',
    ]);
    // One of them was too many anyway; what is wanted starts on.
    const crew = [member(starting), member({ id: 'ctr_2', state: 'starting' }), member({ id: 'ctr_3' })];
    expect(acts({ replicas: 2, members: crew })).toEqual(['retire ctr_1']);
  });

  it('is replaced one after the other, while as many as are wanted go on', () => {
    const crew = members(3, { revisionId: 'rev_0' });
    expect(acts({ replicas: 3, members: crew })).toEqual(['replace ctr_3']);
    const successor = member({ id: 'ctr_4', state: 'starting', isSuccessor: true });
    expect(acts({ replicas: 3, members: [...crew, successor] })).toEqual([]);
    expect(acts({ replicas: 3, members: crew, isReplacing: true })).toEqual([]);
    expect(
      acts({ replicas: 3, members: [...crew.slice(0, 2), member({ id: 'ctr_3', state: 'starting' })] }),
    ).toEqual([]);
    // One too few: first the number, then the age.
    expect(acts({ replicas: 3, members: crew.slice(0, 2) })).toEqual(['start']);
  });

  it('waits until the one before has gone; a deploy does so where more drain than the app may have', () => {
    const old = { members: members(3, { expiresAtMs: 5 }), replicas: 3, policy: { maxReplicas: 3 } };
    expect(acts({ ...old, draining: 0 }, 5)).toEqual(['replace ctr_3']);
    expect(acts({ ...old, draining: 1 }, 5)).toEqual([]);
    const deployed = { ...old, revisionId: 'rev_2' };
    expect(acts({ ...deployed, draining: 3 }, 5)).toEqual(['replace ctr_3']);
    expect(acts({ ...deployed, draining: 4 }, 5)).toEqual([]);
  });

  it('goes on serving for a while after its replacement failed, and may sleep meanwhile', () => {
    const failed = { members: [member({ revisionId: 'rev_2' })], startNotBeforeMs: 50_000 };
    expect(decide(failed, 10_000)).toEqual({ actions: [], nextAtMs: 30_000 });
    expect(acts(failed, 30_000)).toEqual(['rest']);
    const awake = { ...failed, policy: { idlePauseMs: null } };
    expect(decide(awake, 49_999)).toEqual({ actions: [], nextAtMs: 50_000 });
    expect(acts(awake, 50_000)).toEqual(['replace ctr_1']);
  });
});

describe('a container of another size', () => {
  const bigger = { size: { replicas: 0, cpu: 1, memoryBytes: null } };
  const resize = (change: Change, nowMs = 1) => decideCrew({ ...input(change), ...bigger }, nowMs);

  it('is given the size that is wanted while it serves, and a sleeper is not', () => {
    expect(resize({ members: [member()] }).actions).toEqual([
      { do: 'resize', id: 'ctr_1', to: { ...size, cpu: 1 } },
    ]);
    for (const state of ['paused', 'starting', 'changing'] as const)
      expect(resize({ members: [member({ state })] }).actions).toEqual([]);
  });

  it('is left alone while that is being done, and for a while after it failed', () => {
    expect(resize({ members: [member({ isResizing: true })] }).actions).toEqual([]);
    expect(resize({ members: [member({ resizeNotBeforeMs: 100 })] })).toEqual({ actions: [], nextAtMs: 100 });
    expect(resize({ members: [member({ resizeNotBeforeMs: 100 })] }, 100).actions).toMatchObject([
      { do: 'resize' },
    ]);
  });

  it('is told its size also where it is not known whether it has it', () => {
    expect(decide({ members: [member({ isSizeSure: false })] }).actions).toMatchObject([
      { do: 'resize', to: size },
    ]);
  });

  it('is not given another one while it goes to rest or is replaced', () => {
    expect(resize({ members: [member()] }, 30_000).actions).toMatchObject([{ do: 'rest' }]);
    expect(resize({ members: [member({ revisionId: 'rev_0' })] }).actions).toMatchObject([{ do: 'replace' }]);
  });
});

describe('whatever the crew is like', () => {
  const time = fc.integer({ min: 0, max: 1_000_000 });
  const maybe = fc.option(time);
  const crew = fc.array(
    fc.record({
      state: fc.constantFrom('starting' as const, 'ready' as const, 'changing' as const, 'paused' as const),
      expiresAtMs: maybe,
      lastActiveAtMs: time,
      revisionId: fc.constantFrom('rev_1', 'rev_2'),
    }),
    { maxLength: 6 },
  );
  const anything = fc.record({
    crew,
    successor: fc.boolean(),
    replicas: fc.nat({ max: 6 }),
    minReplicas: fc.nat({ max: 3 }),
    idlePauseMs: maybe,
    idleStopMs: maybe,
    placing: fc.nat({ max: 2 }),
    isAwaited: fc.boolean(),
    isKept: fc.boolean(),
    startNotBeforeMs: time,
    wakeNotBeforeMs: time,
    canPause: fc.boolean(),
    nowMs: time,
  });
  type Anything = typeof anything extends fc.Arbitrary<infer T> ? T : never;
  const of = ({ crew: some, successor, replicas, minReplicas, idlePauseMs, idleStopMs, ...rest }: Anything) =>
    input({
      ...rest,
      replicas,
      policy: { minReplicas, maxReplicas: 4, idlePauseMs, idleStopMs },
      members: some.map((one, index) =>
        member({
          ...one,
          id: `ctr_${index}`,
          isSuccessor: successor && index === 0 && one.state === 'starting',
        }),
      ),
    });

  it('a later moment is named to look again, and whoever keeps looking finds something to do', () => {
    fc.assert(
      fc.property(anything, ({ nowMs, ...change }) => {
        const one = of({ nowMs, ...change });
        let look = decideCrew(one, nowMs);
        let atMs = nowMs;
        expect(look.nextAtMs).toBeGreaterThan(atMs);
        const isWaiting =
          one.placing > 0 || one.members.some(({ state }) => state === 'starting' || state === 'changing');
        if (isWaiting || look.nextAtMs === Infinity) return;
        for (let looks = 0; looks < 20 && look.actions.length === 0; looks++) {
          expect(look.nextAtMs).toBeGreaterThan(atMs);
          atMs = look.nextAtMs;
          if (atMs === Infinity) return;
          look = decideCrew(one, atMs);
        }
        expect(look.actions).not.toEqual([]);
      }),
      { numRuns: 2_000 },
    );
  });

  it('never fewer are left ready than are wanted, and never more come to be than are allowed', () => {
    fc.assert(
      fc.property(anything, ({ nowMs, ...change }) => {
        const one = of({ nowMs, ...change });
        const { actions } = decideCrew(one, nowMs);
        const stateOf = new Map(one.members.map(({ id, state }) => [id, state]));
        const ids = actions.flatMap((action) =>
          'id' in action ? [action.id] : 'ids' in action ? action.ids : [],
        );
        expect(new Set(ids).size).toBe(ids.length);
        const count = (what: string) => actions.filter((action) => action.do === what).length;
        const retired = actions.filter(
          (action) => action.do === 'retire' && stateOf.get(action.id) === 'ready',
        );
        const ready = one.members.filter(({ state }) => state === 'ready').length;
        const wanted = Math.min(4, Math.max(one.policy.minReplicas, one.size.replicas));
        if (retired.length > 0) expect(ready - retired.length).toBeGreaterThanOrEqual(Math.max(1, wanted));
        const ordinary = one.members.filter(({ isSuccessor }) => !isSuccessor).length;
        const added = count('start');
        if (added > 0) expect(ordinary + one.placing + added - count('retire')).toBeLessThanOrEqual(4);
        const successors = one.members.filter(({ isSuccessor }) => isSuccessor).length;
        expect(successors + count('replace')).toBeLessThanOrEqual(1);
        if (nowMs < one.startNotBeforeMs) expect(added + count('replace')).toBe(0);
      }),
      { numRuns: 2_000 },
    );
  });
});

describe('the lifetime', () => {
  it('is shortened by up to a tenth, by chance, so that a fleet does not end at once', () => {
    expect(expiry({ lifetimeMs: 1_000 }, 500, 0)).toBe(1_500);
    expect(expiry({ lifetimeMs: 1_000 }, 500, 1)).toBe(1_500 - 1_000 * LIFETIME_JITTER);
    expect(expiry({ lifetimeMs: null }, 500, 0.5)).toBeNull();
  });
});
