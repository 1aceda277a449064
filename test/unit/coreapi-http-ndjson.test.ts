import { describe, expect, it } from 'vitest';
import { HEARTBEAT_MS, ndjsonResponse } from '../../src/coreapi/http/ndjson.ts';
import { withProgress } from '../../src/coreapi/http/progress.ts';
import { PlatformError } from '../../src/errors.ts';
import { take } from '../e2e/api-support.ts';
import { FakeClock, settle } from '../support/fake-clock.ts';

/** A source that gives what it is told to, and says whether it was let go. */
function scripted() {
  const waiting: PromiseWithResolvers<IteratorResult<unknown>>[] = [];
  const state = { asked: 0, returned: false };
  const source = {
    [Symbol.asyncIterator]: () => ({
      next: () => {
        state.asked++;
        const answer = Promise.withResolvers<IteratorResult<unknown>>();
        waiting.push(answer);
        return answer.promise;
      },
      return: () => {
        state.returned = true;
        return Promise.resolve({ done: true as const, value: undefined });
      },
    }),
  };
  const give = (value: unknown) => waiting.shift()?.resolve({ done: false, value });
  const end = () => waiting.shift()?.resolve({ done: true, value: undefined });
  const fail = (thrown: Error) => waiting.shift()?.reject(thrown);
  return { source, state, give, end, fail };
}

async function open(source: AsyncIterable<unknown>) {
  const clock = new FakeClock();
  const shutdown = new AbortController();
  let signal: AbortSignal | undefined;
  const response = await ndjsonResponse(
    (given) => {
      signal = given;
      return source;
    },
    { clock, shutdown: shutdown.signal, onError: (thrown) => PlatformError.from(thrown) },
  );
  const reader = (response.body as ReadableStream<Uint8Array>).getReader();
  const read = async () => {
    const { done, value } = await reader.read();
    return done ? null : Buffer.from(value).toString();
  };
  return { clock, shutdown, reader, read, signal: signal as AbortSignal };
}

describe('a stream of JSON lines', () => {
  it('asks its source only for what is read', async () => {
    const { source, state, give, end } = scripted();
    const { read } = await open(source);
    await settle();
    expect(state.asked).toBe(0);
    const first = read();
    await settle();
    give({ a: 1 });
    expect(await first).toBe('{"a":1}\n');
    await settle();
    expect(state.asked).toBe(1);
    const last = read();
    await settle();
    end();
    expect(await last).toBeNull();
  });

  it('sends an empty line when nothing came for a while, and loses nothing by it', async () => {
    const { source, state, give } = scripted();
    const { clock, read } = await open(source);
    for (let count = 0; count < 3; count++) {
      const beat = read();
      await clock.advance(HEARTBEAT_MS);
      expect(await beat).toBe('\n');
    }
    expect(state.asked).toBe(1);
    const line = read();
    await settle();
    give('late');
    expect(await line).toBe('"late"\n');
    expect(clock.pending).toBe(0);
  });

  it('keeps what came while nobody was reading', async () => {
    const { source, give } = scripted();
    const { clock, read } = await open(source);
    const beat = read();
    await clock.advance(HEARTBEAT_MS);
    await beat;
    give('early');
    await settle();
    expect(await read()).toBe('"early"\n');
  });

  it('ends its source when the client goes away', async () => {
    const { source, state } = scripted();
    const { reader, read, signal } = await open(source);
    void read();
    await settle();
    await reader.cancel();
    expect(signal.aborted).toBe(true);
    expect(state.returned).toBe(true);
  });

  it('tells of a failure in its last line', async () => {
    const { source, fail } = scripted();
    const { read } = await open(source);
    const line = read();
    await settle();
    fail(new PlatformError('engine_unavailable', 'Docker is gone'));
    expect(JSON.parse((await line) ?? '')).toMatchObject({
      type: 'error',
      problem: { code: 'engine_unavailable', detail: 'Docker is gone' },
    });
    expect(await read()).toBeNull();
  });

  it('ends with the reason when the server stops, however its source takes that', async () => {
    for (const react of ['end', 'fail'] as const) {
      const { source, end, fail } = scripted();
      const { read, shutdown, signal } = await open(source);
      const line = read();
      await settle();
      shutdown.abort(new PlatformError('shutting_down', 'stopping'));
      expect(signal.aborted).toBe(true);
      if (react === 'end') end();
      else fail(shutdown.signal.reason as Error);
      expect(JSON.parse((await line) ?? '')).toMatchObject({ problem: { code: 'shutting_down' } });
      expect(await read()).toBeNull();
    }
  });
});

describe('progress', () => {
  it('that nobody reads is bounded, and the newest of it is kept', async () => {
    const lines = withProgress(async (onProgress) => {
      for (let count = 0; count < 1_000; count++) {
        onProgress({ status: String(count), currentBytes: 0, totalBytes: 0 });
      }
      return { type: 'error', problem: { type: '', title: '', status: 1, detail: '', code: '' } };
    });
    const read = await take(lines, Infinity);
    expect(read).toHaveLength(101);
    expect(read[99]).toMatchObject({ type: 'progress', status: '999' });
  });

  it('ends with the failure of its work', async () => {
    const lines = withProgress(async () => {
      throw new PlatformError('image_not_found', 'x');
    });
    await expect(take(lines, Infinity)).rejects.toMatchObject({ code: 'image_not_found' });
  });
});
