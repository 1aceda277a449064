import { expect, it, vi } from 'vitest';
import { openMemoryStore } from '../../src/cmdb/memory.ts';
import { EventFeed, type Followed } from '../../src/coreapi/event-feed.ts';
import { event, expectError } from '../contract/store-fixtures.ts';
import { settle } from '../support/fake-clock.ts';

const eventsOf = (appId: string, count: number) => Array.from({ length: count }, () => event({ appId }));
const upTo = (newest: number) => Array.from({ length: newest }, (_, index) => index + 1);

/** Follows from the beginning. `seen` grows as events are taken; after the first, no other is before `mayGoOn`. */
function follow(feed: EventFeed, followed: Followed, mayGoOn = Promise.resolve()) {
  const leaving = new AbortController();
  const seen: number[] = [];
  const run = async () => {
    for await (const { sequence } of feed.follow(followed, 0, leaving.signal)) {
      seen.push(sequence);
      await mayGoOn;
    }
  };
  const done = run();
  done.catch(() => undefined);
  return { seen, done, leave: () => leaving.abort() };
}

it('reads what is new once, however many follow, and hands it to the followers of its app', async () => {
  const store = openMemoryStore();
  const feed = new EventFeed(store);
  const ofA = upTo(50).map(() => follow(feed, { appId: 'app_a' }));
  const ofAll = follow(feed, {});
  const ofAnother = follow(feed, { appId: 'app_a', containerId: 'ctr_2' });
  await settle();
  const reads = vi.spyOn(store, 'listEvents');
  await store.commit(eventsOf('app_b', 1));
  await settle();
  await store.commit(eventsOf('app_a', 2));
  await settle();
  expect(reads).toHaveBeenCalledTimes(2);
  for (const { seen } of ofA) expect(seen).toEqual([2, 3]);
  expect(ofAll.seen).toEqual([1, 2, 3]);
  expect(ofAnother.seen).toEqual([]);
});

it('loses and repeats nothing for a follower that comes while events do', async () => {
  const store = openMemoryStore();
  const feed = new EventFeed(store);
  const followers = [];
  for (let round = 0; round < 20; round++) {
    const commit = store.commit(eventsOf('app_a', 3));
    followers.push(follow(feed, { appId: 'app_a' }));
    await commit;
  }
  await settle();
  for (const { seen } of followers) expect(seen).toEqual(upTo(60));
});

it('has a follower that is slow, or a feed that was, find in the log what it missed', async () => {
  const store = openMemoryStore({ retention: { maxChanges: 10 } });
  const gate = Promise.withResolvers<undefined>();
  const feed = new EventFeed(store);
  const slow = follow(feed, { appId: 'app_a' }, gate.promise);
  const quick = follow(feed, { appId: 'app_a' });
  await settle();
  for (let commits = 0; commits < 5; commits++) {
    await store.commit(eventsOf('app_a', 500));
    await settle();
  }
  expect(quick.seen).toEqual(upTo(2_500));
  expect(slow.seen).toEqual([1]);
  gate.resolve(undefined);
  await settle();
  expect(slow.seen).toEqual(upTo(2_500));
});

it('ends for who leaves, stops reading after the last, and begins anew with the next', async () => {
  const store = openMemoryStore();
  const feed = new EventFeed(store);
  const first = follow(feed, {});
  await settle();
  first.leave();
  await first.done;
  const reads = vi.spyOn(store, 'listEvents');
  await store.commit(eventsOf('app_a', 1));
  await settle();
  expect(reads).not.toHaveBeenCalled();
  const second = follow(feed, {});
  await settle();
  await store.commit(eventsOf('app_a', 1));
  await settle();
  expect([first.seen, second.seen]).toEqual([[], [1, 2]]);
});

it('tells its followers when the store fails', async () => {
  const store = openMemoryStore();
  const { done } = follow(new EventFeed(store), {});
  await settle();
  await store.close();
  await expectError('store_unavailable', done);
});
