/**
 * Events for those who follow them. However many there are, one reader looks what is new and hands each event to the
 * followers of its app, so that a commit costs those who do not follow its app nothing. A follower keeps a bounded
 * number of events that it has not taken yet; one that has missed some finds them in the log.
 */
import { setImmediate as nextTurn } from 'node:timers/promises';
import type { Event } from '../cmdb/records.ts';
import type { EventFilter, Store } from '../cmdb/store.ts';
import { isPlatformError } from '../errors.ts';
import type { EventView } from './schema-views.ts';
import { viewEvent } from './views.ts';

/** Events read at a time, and those that may wait for one follower. */
const BATCH = 1_000;
/** Followers given something in one turn of the event loop: it costs about a tenth of a millisecond each. */
const SERVED_AT_ONCE = 32;

/** Whose events are wanted. */
export type Followed = Pick<EventFilter, 'appId' | 'containerId'>;

interface Reading {
  readonly started: Promise<undefined>;
  readonly stop: AbortController;
}

export class EventFeed {
  readonly #store: Store;
  /** By the app they follow; undefined: every app. */
  readonly #followers = new Map<string | undefined, Set<Follower>>();
  /** There is one as long as there are followers. */
  #reading: Reading | undefined;

  constructor(store: Store) {
    this.#store = store;
  }

  /** Every event after a sequence, from now on until the signal aborts, in order. Errors: the store's. */
  async *follow(followed: Followed, after: number, signal: AbortSignal): AsyncGenerator<EventView> {
    const follower = new Follower(followed, signal);
    let last = after;
    try {
      await this.#add(follower);
      while (!signal.aborted) {
        const events = await this.#store.listEvents({ ...followed, after: last, limit: BATCH });
        yield* await viewEvents(this.#store, events);
        last = events.at(-1)?.sequence ?? last;
        if (events.length === BATCH) continue;
        for (let news = await follower.news(); news; news = await follower.news()) {
          for (const event of news) {
            if (event.sequence <= last) continue; // it was in the log already
            yield event;
            last = event.sequence;
          }
        }
      }
    } finally {
      this.#remove(follower);
    }
  }

  /** Once it resolves, the follower is given every event that is not in the log yet. */
  async #add(follower: Follower): Promise<void> {
    const { appId } = follower.followed;
    const others = this.#followers.get(appId);
    if (others) others.add(follower);
    else this.#followers.set(appId, new Set([follower]));
    await (this.#reading ??= this.#startReading()).started;
  }

  #remove(follower: Follower): void {
    const { appId } = follower.followed;
    const others = this.#followers.get(appId);
    others?.delete(follower);
    if (others?.size === 0) this.#followers.delete(appId);
    if (this.#followers.size > 0) return;
    this.#reading?.stop.abort();
    this.#reading = undefined;
  }

  #startReading(): Reading {
    const stop = new AbortController();
    const { promise, resolve } = Promise.withResolvers<undefined>();
    const reading = { started: promise, stop };
    void this.#read(() => resolve(undefined), stop.signal).catch((thrown: unknown) => {
      if (this.#reading !== reading) return; // its followers have left
      this.#reading = undefined;
      for (const follower of this.#all()) follower.fail(thrown);
      resolve(undefined);
    });
    return reading;
  }

  async #read(started: () => void, signal: AbortSignal): Promise<void> {
    let position = await this.#store.revision();
    let last = (await this.#store.listEvents({ limit: 1 })).at(-1)?.sequence ?? 0;
    started();
    while (!signal.aborted) {
      try {
        for await (const change of this.#store.watch(position, signal)) {
          position = change.revision;
          if (change.op === 'event' && Number(change.id) > last) last = await this.#tell(last);
        }
      } catch (thrown) {
        if (!isPlatformError(thrown, 'revision_compacted')) throw thrown;
        position = await this.#store.revision();
        last = await this.#tell(last);
      }
    }
  }

  /** Hands on what is new after a sequence, and returns the newest. */
  async #tell(after: number): Promise<number> {
    const events = await this.#store.listEvents({ after, limit: BATCH });
    const news = await viewEvents(this.#store, events);
    const served = new Set<Follower>();
    for (const event of news) {
      for (const follower of this.#followersOf(event)) {
        follower.add(event);
        served.add(follower);
      }
    }
    let count = 0;
    for (const follower of served) {
      follower.wake();
      if (++count % SERVED_AT_ONCE === 0) await nextTurn();
    }
    const last = news.at(-1)?.sequence ?? after;
    return news.length === BATCH ? this.#tell(last) : last;
  }

  #followersOf({ appId, containerId }: EventView): Follower[] {
    const ofApp = appId === null ? [] : (this.#followers.get(appId) ?? []);
    return [...ofApp, ...(this.#followers.get(undefined) ?? [])].filter(
      ({ followed }) => followed.containerId === undefined || followed.containerId === containerId,
    );
  }

  #all(): Follower[] {
    return [...this.#followers.values()].flatMap((followers) => [...followers]);
  }
}

class Follower {
  readonly followed: Followed;
  readonly #signal: AbortSignal;
  #waiting: EventView[] = [];
  #missedSome = false;
  #failure: Error | undefined;
  #wake = (): void => undefined;

  constructor(followed: Followed, signal: AbortSignal) {
    this.followed = followed;
    this.#signal = signal;
    signal.addEventListener('abort', () => this.wake(), { once: true });
  }

  add(event: EventView): void {
    if (this.#missedSome) return;
    this.#waiting.push(event);
    if (this.#waiting.length <= BATCH) return;
    this.#waiting = [];
    this.#missedSome = true;
  }

  fail(thrown: unknown): void {
    this.#failure = thrown as Error;
    this.wake();
  }

  wake(): void {
    this.#wake();
  }

  /** What has come since it was asked last, once there is something; undefined: more than is kept, or the signal aborted. */
  async news(): Promise<readonly EventView[] | undefined> {
    if (this.#waiting.length === 0 && !this.#missedSome && !this.#failure && !this.#signal.aborted)
      await new Promise<void>((resolve) => (this.#wake = resolve));
    if (this.#failure) throw this.#failure;
    const [news, missedSome] = [this.#waiting, this.#missedSome];
    this.#waiting = [];
    this.#missedSome = false;
    return missedSome || this.#signal.aborted ? undefined : news;
  }
}

/** With the names of their apps, as far as those are still there: each app is read once. */
export async function viewEvents(store: Store, events: readonly Event[]): Promise<EventView[]> {
  const ids = new Set(events.map(({ appId }) => appId).filter((id) => id !== null));
  const apps = await Promise.all([...ids].map(async (id) => [id, await store.get('app', id)] as const));
  const byId = new Map(apps);
  return events.map((event) => viewEvent(event, event.appId === null ? undefined : byId.get(event.appId)));
}
