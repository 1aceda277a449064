import { describe, expect, it } from 'vitest';
import { PlatformError } from '../../src/errors.ts';
import { Channel } from '../../src/proxy/workers/channel.ts';
import type { Batch } from '../../src/proxy/workers/channel.ts';
import { FakeClock } from '../support/fake-clock.ts';

interface Talk {
  readonly tells: { readonly note: string; readonly sum: number };
  readonly asks: { readonly double: { readonly what: number; readonly answer: number } };
}

/** One end, whose turns of the event loop and whose wire are the test's. */
class End {
  readonly sent: Batch[] = [];
  readonly heard: string[] = [];
  readonly failures: unknown[] = [];
  readonly stuck: string[] = [];
  readonly channel: Channel<Talk, Talk>;
  answer: (what: number) => Promise<number> = (what) => Promise.resolve(what * 2);
  readonly #deferred: (() => void)[] = [];
  readonly #taken: (() => void)[] = [];
  /** The system takes messages at once. */
  takes = true;

  constructor(clock?: FakeClock) {
    this.channel = new Channel<Talk, Talk>({
      send: (batch, taken) => {
        this.sent.push(JSON.parse(JSON.stringify(batch)) as Batch);
        if (this.takes) taken();
        else this.#taken.push(taken);
      },
      hearing: {
        tells: {
          note: (what) => void this.heard.push(what),
          sum: (what) => void this.heard.push(String(what)),
        },
        asks: { double: (what) => this.answer(what) },
      },
      defer: (flush) => void this.#deferred.push(flush),
      failed: (error) => this.failures.push(error),
      stuck: (reason) => this.stuck.push(reason),
      ...(clock === undefined ? {} : { acknowledge: { clock, withinMs: 10_000 } }),
    });
  }

  /** The turn is over. */
  turn(): void {
    for (const flush of this.#deferred.splice(0)) flush();
  }

  /** The system takes what it was sent. */
  take(): void {
    for (const taken of this.#taken.splice(0)) taken();
  }
}

/** Carries what each has sent to the other until both are silent. */
async function talk(a: End, b: End): Promise<void> {
  const delivered = new Map([
    [a, 0],
    [b, 0],
  ]);
  for (let round = 0; round < 20; round++) {
    for (const [from, to] of [
      [a, b],
      [b, a],
    ] as const) {
      from.turn();
      for (let at = delivered.get(from) ?? 0; at < from.sent.length; at++)
        to.channel.receive(from.sent[at] as Batch);
      delivered.set(from, from.sent.length);
    }
    await new Promise((resolve) => setImmediate(resolve));
  }
}

describe('a channel', () => {
  it('carries all of one turn in one message, in order', async () => {
    const [one, two] = [new End(), new End()];
    one.channel.tell('note', 'a');
    const answer = one.channel.ask('double', 21);
    one.channel.tell('note', 'b');
    expect(one.sent).toEqual([]);
    one.turn();
    expect(one.sent).toHaveLength(1);
    await talk(one, two);
    expect(two.heard).toEqual(['a', 'b']);
    expect(await answer).toBe(42);
    expect(one.channel.pending).toBe(0);
  });

  it('says once what was told several times in a turn, as it is at the end', async () => {
    const [one, two] = [new End(), new End()];
    for (const text of ['old', 'newer', 'newest']) one.channel.tellMerged('note', 'k', text);
    one.channel.tellMerged('note', 'other', 'else');
    for (const n of [1, 2, 3]) one.channel.tellMerged('sum', 'k', n, (before, now) => before + now);
    await talk(one, two);
    expect(two.heard).toEqual(['newest', 'else', '6']);
  });

  it('keeps what comes after a question after it', async () => {
    const [one, two] = [new End(), new End()];
    two.answer = (what) => {
      two.heard.push('?');
      return Promise.resolve(what);
    };
    one.channel.tellMerged('note', 'k', 'before');
    void one.channel.ask('double', 1);
    one.channel.tellMerged('note', 'k', 'after');
    await talk(one, two);
    expect(two.heard).toEqual(['before', '?', 'after']);
  });

  it('sends the next message when the system has taken the one before, with all that has come up meanwhile', () => {
    const one = new End();
    one.takes = false;
    one.channel.tell('note', 'first');
    one.turn();
    for (const text of ['second', 'third']) {
      one.channel.tell('note', text);
      one.turn();
    }
    expect(one.sent).toHaveLength(1);
    one.take();
    one.turn();
    expect(one.sent.map(({ operations }) => operations.length)).toEqual([1, 2]);
  });

  it('cuts long messages into several', async () => {
    const [one, two] = [new End(), new End()];
    for (let i = 0; i < 2_500; i++) one.channel.tell('sum', i);
    await talk(one, two);
    expect(one.sent.map(({ operations }) => operations.length)).toEqual([1_000, 1_000, 500]);
    expect(two.heard).toEqual(Array.from({ length: 2_500 }, (_, i) => String(i)));
  });

  it('carries errors with all that a caller acts on, and makes strangers `internal`', async () => {
    const [one, two] = [new End(), new End()];
    const asked = async () => {
      const answer = one.channel.ask('double', 1).then(
        () => undefined,
        (error: unknown) => error,
      );
      await talk(one, two);
      return answer;
    };
    two.answer = () =>
      Promise.reject(
        new PlatformError('start_backoff', 'shop is tried again later', {
          hint: 'wait',
          retryAfterMs: 1_500,
          fields: [{ field: 'a', reason: 'b' }],
          cause: new Error('secret'),
        }),
      );
    const error = await asked();
    expect(error).toBeInstanceOf(PlatformError);
    expect(error).toMatchObject({
      code: 'start_backoff',
      message: 'shop is tried again later',
      hint: 'wait',
      retryAfterMs: 1_500,
      fields: [{ field: 'a', reason: 'b' }],
    });
    expect((error as Error).cause).toBeUndefined();
    two.answer = () => Promise.reject(new RangeError('what?'));
    expect(await asked()).toMatchObject({ code: 'internal', message: 'what?' });
  });

  it('refuses questions beyond a bound, and all of them once it is closed', async () => {
    const one = new End();
    const asked = Array.from({ length: 20_000 }, () =>
      one.channel.ask('double', 1).catch((error: unknown) => error),
    );
    await expect(one.channel.ask('double', 1)).rejects.toMatchObject({
      code: 'hold_full',
      retryAfterMs: 1_000,
    });
    one.channel.close();
    expect(await asked[0]).toMatchObject({ code: 'shutting_down' });
    expect(await asked.at(-1)).toMatchObject({ code: 'shutting_down' });
    await expect(one.channel.ask('double', 1)).rejects.toMatchObject({ code: 'shutting_down' });
    one.turn();
    expect(one.sent).toEqual([]);
  });

  it('goes on when something that was heard cannot be dealt with', async () => {
    const [one, two] = [new End(), new End()];
    one.channel.receive({
      operations: [
        [0, 'nobody', 'knows this'],
        [0, 'note', 'but this'],
      ],
    });
    expect(one.failures).toHaveLength(1);
    expect(one.heard).toEqual(['but this']);
    await talk(one, two);
  });
});

describe('a channel whose other end is silent', () => {
  it('says so when nothing is acknowledged in time, once, and leaves no timer where it is', async () => {
    const clock = new FakeClock();
    const [one, two] = [new End(clock), new End()];
    one.channel.tell('note', 'hello');
    await talk(one, two);
    expect(clock.pending).toBe(0);
    one.channel.tell('note', 'are you there?');
    one.turn();
    await clock.advance(9_999);
    expect(one.stuck).toEqual([]);
    await clock.advance(1);
    expect(one.stuck).toEqual(['it has acknowledged nothing for 10000 ms']);
    one.channel.tell('note', 'hello?');
    one.turn();
    await clock.advance(20_000);
    expect(one.stuck).toHaveLength(1);
    one.channel.close();
    expect(clock.pending).toBe(0);
  });

  it('says so also where there was nothing to tell it but that it is to show itself', async () => {
    const clock = new FakeClock();
    const [one, two] = [new End(clock), new End()];
    one.channel.probe();
    await talk(one, two);
    expect([one.sent.length, two.sent.length, two.heard]).toEqual([1, 1, []]);
    expect(clock.pending).toBe(0);
    one.channel.probe();
    one.turn();
    await clock.advance(10_000);
    expect(one.stuck).toEqual(['it has acknowledged nothing for 10000 ms']);
  });

  it('is patient with one that lags behind', async () => {
    const clock = new FakeClock();
    const [one, two] = [new End(clock), new End()];
    for (let round = 0; round < 5; round++) {
      one.channel.tell('note', 'more');
      one.turn();
      await clock.advance(6_000);
      two.channel.receive(one.sent.at(-1) as Batch);
      two.turn();
      one.channel.receive(two.sent.at(-1) as Batch);
    }
    expect(one.stuck).toEqual([]);
    expect(clock.pending).toBe(0);
  });

  it('says so when too much waits to leave', () => {
    const one = new End();
    one.takes = false;
    for (let i = 0; i <= 102_000; i++) one.channel.tell('sum', i);
    expect(one.stuck).toEqual(['100000 operations wait to leave']);
  });
});
