import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  decideUpkeep,
  expiry,
  LIFETIME_JITTER,
  type UpkeepInput,
} from '../../src/coreapi/decisions/upkeep.ts';
import { policy } from '../support/records.ts';

const size = { cpu: policy().cpu, memoryBytes: policy().memoryBytes, pidsMax: policy().pidsMax };

function input(change: {
  state?: 'ready' | 'paused';
  idlePauseMs?: number | null;
  idleStopMs?: number | null;
  expiresAtMs?: number | null;
  revisionId?: string;
  lastActiveAtMs?: number;
  canPause?: boolean;
  notBeforeMs?: number;
  cpu?: number;
}): UpkeepInput {
  const { state = 'ready', idlePauseMs = 30_000, idleStopMs = 300_000, expiresAtMs = null } = change;
  return {
    container: {
      state,
      expiresAtMs,
      revisionId: 'rev_1',
      resources: { ...size, cpu: change.cpu ?? size.cpu },
    },
    lastActiveAtMs: change.lastActiveAtMs ?? 0,
    app: { policy: policy({ idlePauseMs, idleStopMs }) },
    size: { replicas: 0, cpu: null, memoryBytes: null },
    revision: { id: change.revisionId ?? 'rev_1' },
    canPause: change.canPause ?? true,
    ...(change.notBeforeMs !== undefined && { notBeforeMs: change.notBeforeMs }),
  };
}

describe('what becomes of a container nobody asks for', () => {
  it('is left alone until it has been idle for idlePauseMs, then paused', () => {
    expect(decideUpkeep(input({}), 29_999)).toEqual({ action: 'none', nextAtMs: 30_000 });
    expect(decideUpkeep(input({}), 30_000)).toMatchObject({ action: 'pause', idleSinceMs: 0 });
  });

  it('is stopped after idleStopMs, paused or not', () => {
    expect(decideUpkeep(input({ state: 'paused' }), 299_999)).toEqual({ action: 'none', nextAtMs: 300_000 });
    expect(decideUpkeep(input({ state: 'paused' }), 300_000)).toMatchObject({ action: 'stop' });
    expect(decideUpkeep(input({ idlePauseMs: null }), 300_000)).toMatchObject({
      action: 'stop',
      idleSinceMs: 0,
    });
  });

  it('never sleeps where the policy says never, nor pauses where the engine cannot', () => {
    expect(decideUpkeep(input({ idlePauseMs: null, idleStopMs: null }), 1e12)).toEqual({
      action: 'none',
      nextAtMs: Infinity,
    });
    expect(decideUpkeep(input({ canPause: false }), 40_000)).toEqual({ action: 'none', nextAtMs: 300_000 });
  });

  it('is replaced at the end of its lifetime while it serves, and just ends while it sleeps', () => {
    const old = { expiresAtMs: 1_000, lastActiveAtMs: 999 };
    expect(decideUpkeep(input(old), 1_000)).toMatchObject({ action: 'replace' });
    expect(decideUpkeep(input({ ...old, state: 'paused' }), 1_000)).toMatchObject({ action: 'stop' });
  });

  it('is replaced when a new revision is deployed or its size changes', () => {
    expect(decideUpkeep(input({ revisionId: 'rev_2' }), 1)).toMatchObject({ action: 'replace' });
    expect(decideUpkeep(input({ cpu: 7 }), 1)).toMatchObject({ action: 'replace' });
  });

  it('goes on serving for a while after its replacement failed, and may sleep meanwhile', () => {
    const failed = { revisionId: 'rev_2', notBeforeMs: 50_000 };
    expect(decideUpkeep(input(failed), 10_000)).toEqual({ action: 'none', nextAtMs: 30_000 });
    expect(decideUpkeep(input(failed), 30_000)).toMatchObject({ action: 'pause' });
    expect(decideUpkeep(input({ ...failed, idlePauseMs: null }), 50_000)).toMatchObject({
      action: 'replace',
    });
  });

  it('always names a later moment to ask again, and has something to do at that moment', () => {
    const time = fc.integer({ min: 0, max: 1_000_000 });
    const maybe = fc.option(time);
    fc.assert(
      fc.property(
        fc.record({
          idlePauseMs: maybe,
          idleStopMs: maybe,
          expiresAtMs: maybe,
          lastActiveAtMs: time,
          state: fc.constantFrom('ready' as const, 'paused' as const),
          canPause: fc.boolean(),
          notBeforeMs: time,
          revisionId: fc.constantFrom('rev_1', 'rev_2'),
        }),
        time,
        (change, nowMs) => {
          const upkeep = decideUpkeep(input(change), nowMs);
          if (upkeep.action !== 'none') return;
          expect(upkeep.nextAtMs).toBeGreaterThan(nowMs);
          if (upkeep.nextAtMs !== Infinity) {
            expect(decideUpkeep(input(change), upkeep.nextAtMs).action).not.toBe('none');
          }
        },
      ),
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
