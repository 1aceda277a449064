import { beforeEach, describe, expect, it } from 'vitest';
import { SandboxPool } from '../../src/compute/docker/sandbox-pool.ts';
import type { Sandbox, SandboxPoolOptions } from '../../src/compute/docker/sandbox-pool.ts';
import { sleep } from '../../src/clock.ts';
import { FakeClock, settle } from '../support/fake-clock.ts';

const REST_MS = 1_000;
const REFILL_MS = 250;
const MAKING_MS = 300;

describe('a pool of sandboxes', () => {
  let clock: FakeClock;
  let made: number;
  let makingMs: number;
  let discarded: string[];
  let errors: unknown[];
  let broken: Error | undefined;

  beforeEach(() => {
    clock = new FakeClock();
    made = 0;
    makingMs = 0;
    discarded = [];
    errors = [];
    broken = undefined;
  });

  const pool = (options: Partial<SandboxPoolOptions> = {}) =>
    new SandboxPool({
      size: 2,
      maxUses: 100,
      maxAgeMs: 3_600_000,
      restMs: REST_MS,
      refillDelayMs: REFILL_MS,
      clock,
      make: async (): Promise<Sandbox> => {
        if (makingMs > 0) await sleep(clock, makingMs);
        if (broken) throw broken;
        made++;
        return { id: `s${made}`, host: `10.0.0.${made}`, bornAtMs: clock.nowMs(), uses: 0, dead: false };
      },
      discard: async ({ id }) => {
        discarded.push(id);
      },
      onError: (error) => errors.push(error),
      ...options,
    });

  const ids = (one: SandboxPool) => one.sandboxes.map(({ id }) => id);

  it('keeps so many ready, and is refilled a little after one was taken', async () => {
    const one = pool();
    await one.fill();
    expect(ids(one)).toHaveLength(2);
    await one.take();
    expect(made).toBe(2);
    await clock.advance(REFILL_MS - 1);
    expect(made).toBe(2);
    await clock.advance(1);
    expect(made).toBe(3);
    expect(ids(one)).toHaveLength(2);
  });

  it('never gives the same sandbox to two, and makes one when none is ready', async () => {
    const one = pool();
    await one.fill();
    const taken = await Promise.all(Array.from({ length: 5 }, () => one.take()));
    expect(new Set(taken.map(({ id }) => id)).size).toBe(5);
  });

  it('lets a sandbox rest before another app gets its address', async () => {
    const one = pool({ size: 1 });
    await one.fill();
    const first = await one.take();
    one.giveBack(first);
    expect(await one.take()).not.toBe(first);
    await clock.advance(REST_MS);
    expect(await one.take()).toBe(first);
  });

  it.each([
    { restedMs: REST_MS - MAKING_MS + 1, waits: true, does: 'waits for one that will have rested sooner' },
    { restedMs: REST_MS - MAKING_MS, waits: false, does: 'makes one that will be there as soon' },
  ])('knows how long making one takes, and $does', async ({ restedMs, waits }) => {
    makingMs = MAKING_MS;
    const one = pool({ size: 1 });
    const filled = one.fill();
    await clock.advance(MAKING_MS);
    await filled;
    const first = await one.take();
    one.giveBack(first);
    await clock.advance(restedMs);

    const next = one.take();
    const another = one.take();
    await clock.advance(REST_MS - restedMs);
    expect((await next) === first).toBe(waits);
    await clock.advance(MAKING_MS);
    expect(await another, 'nobody else gets it').not.toBe(await next);
  });

  it('discards what is more than it keeps, once it has rested', async () => {
    const one = pool();
    await one.fill();
    const taken = await Promise.all([one.take(), one.take(), one.take(), one.take()]);
    for (const sandbox of taken) one.giveBack(sandbox);
    await clock.advance(REST_MS - 1);
    expect(discarded).toEqual([]);
    await clock.advance(1);
    expect(ids(one)).toHaveLength(2);
    expect(discarded).toHaveLength(2);
    expect(clock.pending).toBe(0);
  });

  it('discards the surplus also when one comes back while another is made', async () => {
    let finish: (() => void) | undefined;
    let waits = false;
    const one = pool({
      restMs: 0,
      make: async () => {
        if (waits) await new Promise<void>((resolve) => (finish = resolve));
        made++;
        return { id: `s${made}`, host: '10.0.0.1', bornAtMs: clock.nowMs(), uses: 0, dead: false };
      },
    });
    await one.fill();
    const taken = await one.take();
    waits = true;
    await clock.advance(REFILL_MS);
    one.giveBack(taken);
    finish?.();
    await settle();
    await clock.advance(0);
    expect(ids(one)).toHaveLength(2);
    expect(discarded).toHaveLength(1);
  });

  it('has room for a bounded number that rest', async () => {
    const one = pool();
    const taken = await Promise.all(Array.from({ length: 20 }, () => one.take()));
    for (const sandbox of taken) one.giveBack(sandbox);
    expect(ids(one)).toHaveLength(8);
    expect(discarded).toHaveLength(12);
  });

  it('replaces what has served often enough, is too old, or is dead', async () => {
    const one = pool({ size: 1, maxUses: 2, maxAgeMs: 60_000 });
    await one.fill();
    const often = await one.take();
    often.uses = 1;
    one.giveBack(often);
    expect(discarded).toEqual([often.id]);

    await clock.advance(REFILL_MS);
    const [old] = one.sandboxes;
    await clock.advance(60_000);
    expect(await one.take()).not.toBe(old);
    await clock.advance(REFILL_MS);
    expect(discarded).toEqual([often.id, old?.id]);

    const [dying] = one.sandboxes;
    one.lost(dying?.id ?? '');
    await clock.advance(0);
    expect(discarded).toContain(dying?.id);
    expect(ids(one)).toHaveLength(1);
  });

  it('tells what failed in the background, and tries again when it is next used', async () => {
    const one = pool({ size: 1 });
    await one.fill();
    broken = new Error('no engine');
    await one.take();
    await clock.advance(REFILL_MS);
    expect(errors).toEqual([broken]);
    expect(clock.pending).toBe(0);
    await expect(one.take()).rejects.toBe(broken);
    broken = undefined;
    await clock.advance(REFILL_MS);
    expect(ids(one)).toHaveLength(1);
  });

  it('once closed keeps nothing: what is in it goes, and so does what comes back', async () => {
    const one = pool();
    await one.fill();
    const taken = await one.take();
    await one.close();
    expect(discarded).toHaveLength(1);
    one.giveBack(taken);
    await settle();
    expect(discarded).toHaveLength(2);
    expect(clock.pending).toBe(0);
  });
});
