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
      maxAgeMs: 3_600_000,
      restMs: REST_MS,
      refillDelayMs: REFILL_MS,
      clock,
      make: async (): Promise<Sandbox> => {
        if (makingMs > 0) await sleep(clock, makingMs);
        if (broken) throw broken;
        made++;
        return { id: `s${made}`, host: `10.0.0.${made}`, bornAtMs: clock.nowMs() };
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

  it('gives none a second time: one that is spent is discarded, after a rest in which its address is taken', async () => {
    const one = pool({ size: 1 });
    await one.fill();
    const first = await one.take();
    one.retire(first);
    expect(await one.take()).not.toBe(first);
    await clock.advance(REST_MS - 1);
    expect(discarded).toEqual([]);
    await clock.advance(1);
    expect(discarded).toEqual([first.id]);
    expect(await one.take()).not.toBe(first);
  });

  it('gives a start that finds none ready the one that is being made, and only one start', async () => {
    makingMs = MAKING_MS;
    const one = pool({ size: 1 });
    const filled = one.fill();
    await clock.advance(MAKING_MS - 1);
    const taken = one.take();
    const another = one.take();
    await clock.advance(1);
    expect((await taken).id).toBe('s1');
    await clock.advance(MAKING_MS);
    await filled;
    expect(new Set([(await another).id, ...ids(one)])).toEqual(new Set(['s2', 's3']));
  });

  it('replaces what is too old, or dead', async () => {
    const one = pool({ size: 1, maxAgeMs: 60_000 });
    await one.fill();
    const [old] = one.sandboxes;
    await clock.advance(60_000);
    expect(await one.take()).not.toBe(old);
    await clock.advance(REFILL_MS);
    expect(discarded).toEqual([old?.id]);

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

  it('once closed keeps nothing: what is in it goes, what rests, and what is retired later', async () => {
    const one = pool();
    await one.fill();
    const taken = [await one.take(), await one.take()] as const;
    await clock.advance(REFILL_MS);
    one.retire(taken[0]);
    await one.close();
    expect(discarded).toHaveLength(3);
    one.retire(taken[1]);
    await settle();
    expect(discarded).toHaveLength(4);
    expect(clock.pending).toBe(0);
  });
});
