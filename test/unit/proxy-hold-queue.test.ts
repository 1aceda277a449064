import { describe, expect, it } from 'vitest';
import { PlatformError } from '../../src/errors.ts';
import { HoldBudget, HoldQueue } from '../../src/proxy/hold-queue.ts';
import { FakeClock, settle } from '../support/fake-clock.ts';

function bench() {
  const clock = new FakeClock();
  const budget = new HoldBudget({ requests: 100, bytes: 1_000 });
  let emptied = 0;
  const queue = new HoldQueue<string, string>({
    clock,
    budget,
    timeoutMs: 1_000,
    timedOut: () => new PlatformError('upstream_timeout', 'too long'),
    resized: () => undefined,
    emptied: () => emptied++,
  });
  const outcomes: string[] = [];
  const push = (what: string, first = false, signal?: AbortSignal) =>
    void queue.push({ what, bytes: 10, signal, maxRequests: 50, maxBytes: 500, first }).then(
      (got) => outcomes.push(`${what} ${got}`),
      (error: unknown) => outcomes.push(`${what} ${(error as PlatformError).code}`),
    );
  const order = () => {
    const all: string[] = [];
    for (let waiter = queue.shift(); waiter !== undefined; waiter = queue.shift()) all.push(waiter.what);
    return all;
  };
  return { clock, budget, queue, outcomes, push, order, emptied: () => emptied };
}

describe('a hold queue', () => {
  it('is first come, first served', () => {
    const { push, order } = bench();
    for (const what of ['a', 'b', 'c']) push(what);
    expect(order()).toEqual(['a', 'b', 'c']);
  });

  it('lets those who were at the head before in first, in their own order', () => {
    const { push, order, queue } = bench();
    push('a');
    push('b');
    push('again 1', true);
    push('again 2', true);
    expect(queue.shift()?.what).toBe('again 1');
    push('again 3', true);
    expect(order()).toEqual(['again 2', 'again 3', 'a', 'b']);
    push('c');
    push('again 4', true);
    expect(order()).toEqual(['again 4', 'c']);
  });

  it('lets anyone leave, from the head, the middle and the end', async () => {
    const { push, order, outcomes, budget } = bench();
    const signals = [0, 1, 2, 3, 4].map(() => new AbortController());
    signals.forEach(({ signal }, at) => push(`${at}`, false, signal));
    for (const at of [0, 2, 4]) signals[at]?.abort(new PlatformError('client_closed_request', 'gone'));
    await settle();
    expect(outcomes).toEqual(['0', '2', '4'].map((what) => `${what} client_closed_request`));
    expect(budget.requests).toBe(2);
    expect(order()).toEqual(['1', '3']);
    expect(budget).toMatchObject({ requests: 0, bytes: 0 });
  });

  it('does not take in one who has gone already', async () => {
    const { push, outcomes, budget } = bench();
    push('a', false, AbortSignal.abort(new PlatformError('client_closed_request', 'gone')));
    await settle();
    expect(outcomes).toEqual(['a client_closed_request']);
    expect(budget.requests).toBe(0);
  });

  it('makes nobody wait longer than its time, with one timer, and none when it is empty', async () => {
    const { clock, push, outcomes, queue, emptied } = bench();
    push('a');
    await clock.advance(400);
    push('b');
    // Let in first, it goes when the next one goes at the latest: the timer looks at the head alone.
    push('again', true);
    expect(clock.pending).toBe(1);
    await clock.advance(600);
    expect(outcomes).toEqual(['again upstream_timeout', 'a upstream_timeout']);
    expect(clock.pending).toBe(1);
    await clock.advance(400);
    expect(outcomes).toHaveLength(3);
    expect([queue.size, clock.pending, emptied()]).toEqual([0, 0, 1]);
  });

  it('keeps no timer for one who was served', () => {
    const { clock, push, queue } = bench();
    push('a');
    queue.shift();
    expect(clock.pending).toBe(0);
  });
});
