/** What a watcher costs and how soon it knows, in the drivers that live in one process. */
import { afterEach, describe, expect, it, vi } from 'vitest';
import { openMemoryStore } from '../../src/cmdb/memory.ts';
import { createTenant, event, expectError } from '../contract/store-fixtures.ts';
import { settle } from '../support/fake-clock.ts';
import { storeSupport } from './store-support.ts';

const { newPath, open } = storeSupport();

const drivers = [
  ['memory', () => openMemoryStore()],
  ['SQLite', () => open({ path: newPath() })],
] as const;

describe.each(drivers)('a watcher of the %s store', (_, openStore) => {
  it('sees a commit of its own process within promise turns: before any I/O that follows it', async () => {
    const store = openStore();
    const changes = store.watch(0, new AbortController().signal)[Symbol.asyncIterator]();
    const next = changes.next();
    await settle();
    let ioHappened = false;
    setImmediate(() => (ioHappened = true));
    await store.commit([createTenant('ten_1')]);
    expect(await next).toMatchObject({ value: { id: 'ten_1' } });
    expect(ioHappened).toBe(false);
    await store.close();
  });

  it('leaves no listener on a signal that outlives many waits', async () => {
    const store = openStore();
    const { signal } = new AbortController();
    const add = vi.spyOn(signal, 'addEventListener');
    const remove = vi.spyOn(signal, 'removeEventListener');
    const changes = store.watch(0, signal)[Symbol.asyncIterator]();
    for (let i = 0; i < 5; i++) {
      const next = changes.next();
      await settle();
      await store.commit([event()]);
      await next;
    }
    expect(add).toHaveBeenCalledTimes(5);
    expect(remove).toHaveBeenCalledTimes(5);
    await store.close();
  });
});

describe("the SQLite store's look for commits of other processes", () => {
  afterEach(() => vi.useRealTimers());

  it('runs one timer while anyone waits for a change, and none otherwise', async () => {
    vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] });
    const store = open({ path: newPath() });
    expect(vi.getTimerCount()).toBe(0);

    const aborts = [new AbortController(), new AbortController()];
    const waits = aborts.map((abort) => store.watch(0, abort.signal)[Symbol.asyncIterator]().next());
    await settle();
    expect(vi.getTimerCount()).toBe(1);

    aborts[0]?.abort();
    expect(await waits[0]).toMatchObject({ done: true });
    expect(vi.getTimerCount()).toBe(1);

    aborts[1]?.abort();
    expect(await waits[1]).toMatchObject({ done: true });
    expect(vi.getTimerCount()).toBe(0);
  });

  it('stops when the store is closed', async () => {
    vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] });
    const store = open({ path: newPath() });
    const wait = store.watch(0, new AbortController().signal)[Symbol.asyncIterator]().next();
    await settle();
    expect(vi.getTimerCount()).toBe(1);
    await store.close();
    await expectError('store_unavailable', wait);
    expect(vi.getTimerCount()).toBe(0);
  });
});
