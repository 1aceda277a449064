/**
 * An app's log goes on from container to container: whoever follows it sees the one that runs now, then its successor,
 * and sleeps with the app in between. The change feed says when to look again.
 */
import type { App, Container } from '../cmdb/records.ts';
import type { Store } from '../cmdb/store.ts';
import { isPlatformError, PlatformError } from '../errors.ts';
import { findApp } from './apps-find.ts';
import type { NodeGateway } from './core-api.ts';
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
   * The lines of the container named, or of the app's newest; with `follow` also those to come, until the signal aborts,
   * the app is deleted, or the container that was named ends. Finds both before it returns. Errors: `not_found`.
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
      return this.#lines(container, { follow, tailLines, signal });
    }
    if (follow) return this.#followApp(app.id, tailLines, signal);
    const newest = (await this.#containers(app.id)).at(-1);
    return newest ? this.#lines(newest, { follow, tailLines, signal }) : nothing();
  }

  async *#followApp(appId: string, tailLines: number, signal: AbortSignal): AsyncGenerator<LogLineView> {
    const oldest = (await this.#containers(appId)).at(-1)?.id ?? '';
    let done = '';
    while (!signal.aborted) {
      // The position is taken before looking: what changes in between wakes the wait below at once.
      const position = await this.#store.revision();
      const next = (await this.#containers(appId)).find(({ id }) => id >= oldest && id > done);
      const options = { follow: true, tailLines: next?.id === oldest ? tailLines : ALL_LINES, signal };
      if (next && (yield* this.#linesOnceThere(next, options))) {
        done = next.id;
      } else {
        if (!(await this.#store.get('app', appId))) return;
        await this.#changed(appId, position, signal);
      }
    }
  }

  /** Returns false when the engine does not know the container yet; it is worth another look when its record changes. */
  async *#linesOnceThere(container: Container, options: LineOptions): AsyncGenerator<LogLineView, boolean> {
    const unborn = container.state === 'planned' || container.state === 'starting';
    try {
      yield* this.#lines(container, options);
      return true;
    } catch (thrown) {
      if (!isPlatformError(thrown, 'not_found')) throw thrown;
      return !unborn;
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

async function* nothing(): AsyncGenerator<never> {
  // A sleeping app that never ran has no log: an empty answer, not an error.
}

function noSuchContainer(app: App, containerId: string): PlatformError {
  return new PlatformError('not_found', `app ${app.name} has no container ${JSON.stringify(containerId)}`, {
    hint: `GET /v1/apps/${app.name}/containers (mayfly ps) names those there are`,
  });
}
