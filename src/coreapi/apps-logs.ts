/**
 * An app's log goes on from container to container: whoever follows it sees those that live now, and each that comes after
 * them, and sleeps with the app in between. The change feed says when to look again.
 */
import type { App, Container } from '../cmdb/records.ts';
import type { Store } from '../cmdb/store.ts';
import { isPlatformError, PlatformError } from '../errors.ts';
import { findApp } from './apps-find.ts';
import { Confluence } from './confluence.ts';
import type { NodeGateway } from './core-api.ts';
import { isLiving } from './decisions/lifecycle.ts';
import { listAll } from './list-all.ts';
import { DEFAULT_TAIL_LINES, type LogOptions } from './schema-query.ts';
import type { LogLineView } from './schema-views.ts';
import type { Principal } from './tokens.ts';

/** Of a container that started while its app was being followed, everything is wanted: as much as a node tells. */
const ALL_LINES = 10_000;

export interface AppLogsOptions {
  readonly store: Store;
  readonly gateway: NodeGateway;
}

export class AppLogs {
  readonly #store: Store;
  readonly #gateway: NodeGateway;

  constructor({ store, gateway }: AppLogsOptions) {
    this.#store = store;
    this.#gateway = gateway;
  }

  /**
   * The lines of the container named, or of those of the app that live, one after the other (of the newest where none does);
   * with `follow` also those to come, until the signal aborts, the app is deleted, or the container that was named ends.
   * Finds both before it returns. Errors: `not_found`.
   */
  async open(
    principal: Principal,
    nameOrId: string,
    options: LogOptions,
    signal: AbortSignal,
  ): Promise<AsyncIterable<LogLineView>> {
    const app = await findApp(this.#store, principal, nameOrId);
    const { container: containerId, tail: tailLines = DEFAULT_TAIL_LINES, follow = false } = options;
    if (containerId !== undefined) {
      const container = await this.#store.get('container', containerId);
      if (container?.appId !== app.id) throw noSuchContainer(app, containerId);
      return this.#linesOfOne(app, container, { follow, tailLines, signal });
    }
    if (follow) return this.#followApp(app.id, tailLines, signal);
    return this.#linesOfAll(toBeginWith(await this.#containers(app.id)), { follow, tailLines, signal });
  }

  /** Errors: `not_found`, where the engine never made the container or has removed it. */
  async *#linesOfOne(app: App, container: Container, options: LineOptions): AsyncGenerator<LogLineView> {
    try {
      yield* this.#lines(container, options);
    } catch (thrown) {
      throw isPlatformError(thrown, 'not_found') ? noLog(app, container, thrown) : thrown;
    }
  }

  async *#linesOfAll(
    containers: readonly Container[],
    options: LineOptions,
  ): AsyncGenerator<LogLineView, void, undefined> {
    for (const container of containers) {
      try {
        yield* this.#lines(container, options);
      } catch (thrown) {
        // One that is yet to be made has written nothing, nor has one that is no more left anything.
        if (!isPlatformError(thrown, 'not_found')) throw thrown;
      }
    }
  }

  async *#followApp(
    appId: string,
    tailLines: number,
    caller: AbortSignal,
  ): AsyncGenerator<LogLineView, void, undefined> {
    const over = new AbortController();
    const signal = AbortSignal.any([caller, over.signal]);
    const lines = new Confluence<LogLineView>();
    const reading = this.#readContainers(appId, { follow: true, tailLines, signal }, lines).then(
      () => lines.end(),
      (thrown: unknown) => lines.end({ thrown }),
    );
    try {
      yield* lines;
    } finally {
      over.abort();
      await reading;
    }
  }

  /** Ends when the app is deleted and what its containers wrote is read. Errors: the store's. */
  async #readContainers(appId: string, options: LineOptions, lines: Confluence<LogLineView>): Promise<void> {
    const { signal } = options;
    const before = await this.#containers(appId);
    const atFirst = idsOf(toBeginWith(before));
    let seen = idsOf(before.filter(({ id }) => !atFirst.has(id)));
    const readers = new Set<Promise<void>>();
    const wait = { isOver: new AbortController() };
    while (!signal.aborted) {
      wait.isOver = new AbortController();
      // The position is taken before looking: what changes in between wakes the wait below at once.
      const position = await this.#store.revision();
      const containers = await this.#containers(appId);
      for (const { id } of containers) {
        if (seen.has(id)) continue;
        const tailLines = atFirst.has(id) ? options.tailLines : ALL_LINES;
        const reader = lines.add(this.#linesOnceThere(id, { ...options, tailLines })).then(() => {
          readers.delete(reader);
          wait.isOver.abort();
        });
        readers.add(reader);
      }
      seen = idsOf(containers);
      if (readers.size === 0 && !(await this.#store.get('app', appId))) return;
      await this.#changed(appId, position, AbortSignal.any([signal, wait.isOver.signal]));
    }
    await Promise.all(readers);
  }

  /** Of a container that the engine may not know yet: it is worth another look when a record changes. */
  async *#linesOnceThere(id: string, options: LineOptions): AsyncGenerator<LogLineView, void, undefined> {
    while (!options.signal.aborted) {
      const position = await this.#store.revision();
      const container = await this.#store.get('container', id);
      if (!container) return;
      try {
        yield* this.#lines(container, options);
        return;
      } catch (thrown) {
        if (!isPlatformError(thrown, 'not_found')) throw thrown;
        if (container.state !== 'planned' && container.state !== 'starting') return;
      }
      await this.#changed(container.appId, position, options.signal);
    }
  }

  async *#lines(container: Container, options: LineOptions): AsyncGenerator<LogLineView> {
    for await (const line of this.#gateway.logs(container, options)) {
      yield { ...line, containerId: container.id };
    }
  }

  /** Waits until the app or one of its containers changes, or the signal aborts. */
  async #changed(appId: string, since: number, signal: AbortSignal): Promise<void> {
    try {
      for await (const { kind, id } of this.#store.watch(since, signal)) {
        if (kind === 'app' && id === appId) return;
        if (kind === 'container' && (await this.#store.get('container', id))?.appId === appId) return;
      }
    } catch (thrown) {
      // So much has changed that the feed no longer tells: look again.
      if (!isPlatformError(thrown, 'revision_compacted')) throw thrown;
    }
  }

  /** Oldest first. */
  #containers(appId: string): Promise<Container[]> {
    return listAll(this.#store, 'container', { appId });
  }
}

interface LineOptions {
  readonly follow: boolean;
  readonly tailLines: number;
  readonly signal: AbortSignal;
}

/** Those that live; where none does, the one that ended last. */
function toBeginWith(containers: readonly Container[]): readonly Container[] {
  const living = containers.filter(isLiving);
  return living.length > 0 ? living : containers.slice(-1);
}

function idsOf(containers: readonly Container[]): Set<string> {
  return new Set(containers.map(({ id }) => id));
}

function noSuchContainer(app: App, containerId: string): PlatformError {
  return new PlatformError('not_found', `app ${app.name} has no container ${JSON.stringify(containerId)}`, {
    hint: `GET /v1/apps/${app.name}/containers (mayfly ps) names those there are`,
  });
}

function noLog({ name }: App, { id }: Container, cause: PlatformError): PlatformError {
  return new PlatformError('not_found', `there is no log of container ${id}, which its node does not have`, {
    cause,
    hint: `GET /v1/events?app=${name} (mayfly events --app ${name}) tells what became of it`,
  });
}
