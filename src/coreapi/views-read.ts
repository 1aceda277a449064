/** What can be read through the API: pages of apps, revisions, containers, nodes and events, and the event stream. */
import type { Event } from '../cmdb/records.ts';
import type { Store } from '../cmdb/store.ts';
import { findApp, findSpec, lookUpApp, noSuchApp, readPage, specOf } from './apps-find.ts';
import { EventFeed, viewEvents, type Followed } from './event-feed.ts';
import { listGrades } from './grades.ts';
import { DEFAULT_PAGE, type EventOptions, type PageOptions } from './schema-query.ts';
import type {
  AppView,
  ContainerView,
  EventView,
  GradeView,
  NodeView,
  Page,
  RevisionView,
} from './schema-views.ts';
import { requireOperator, type Principal } from './tokens.ts';
import { viewApp, viewContainer, viewGrade, viewNode, viewRevision } from './views.ts';

export class Reader {
  readonly #store: Store;
  readonly #feed: EventFeed;

  constructor(store: Store) {
    this.#store = store;
    this.#feed = new EventFeed(store);
  }

  apps({ tenantId }: Principal, options: PageOptions): Promise<Page<AppView>> {
    return readPage(this.#store, 'app', { ...options, where: { tenantId } }, async (app) => {
      const spec = await specOf(this.#store, app);
      return spec && viewApp(spec); // not one that was deleted while the page was read
    });
  }

  /** Errors: `not_found`. */
  async app(principal: Principal, nameOrId: string): Promise<AppView> {
    return viewApp(await findSpec(this.#store, principal, nameOrId));
  }

  /** Errors: `not_found`. */
  async revisions(principal: Principal, nameOrId: string, options: PageOptions): Promise<Page<RevisionView>> {
    const { id } = await findApp(this.#store, principal, nameOrId);
    return readPage(this.#store, 'revision', { ...options, where: { appId: id } }, viewRevision);
  }

  /** Errors: `not_found`. */
  async containersOf(
    principal: Principal,
    nameOrId: string,
    options: PageOptions,
  ): Promise<Page<ContainerView>> {
    const app = await findApp(this.#store, principal, nameOrId);
    const where = { appId: app.id };
    return readPage(this.#store, 'container', { ...options, where }, (one) => viewContainer(one, app));
  }

  /** Errors: `forbidden`. */
  async containers(principal: Principal, options: PageOptions): Promise<Page<ContainerView>> {
    requireOperator(principal, 'the containers of all apps');
    return readPage(this.#store, 'container', { ...options, where: {} }, async (one) =>
      viewContainer(one, await this.#store.get('app', one.appId)),
    );
  }

  /** Errors: `forbidden`. */
  async nodes(principal: Principal, options: PageOptions): Promise<Page<NodeView>> {
    requireOperator(principal, 'nodes');
    return readPage(this.#store, 'node', { ...options, where: {} }, viewNode);
  }

  async grades(): Promise<Page<GradeView>> {
    return { items: (await listGrades(this.#store)).map(viewGrade), next: null };
  }

  /** Errors: `not_found` (the app), `forbidden` (without an app, to a tenant). */
  async events(principal: Principal, options: EventOptions): Promise<Page<EventView>> {
    const filter = await this.#eventFilter(principal, options);
    const { after, before, limit = DEFAULT_PAGE } = options;
    const events = await this.#store.listEvents({
      ...filter,
      limit,
      ...(after !== undefined && { after }),
      ...(before !== undefined && { before }),
    });
    const next = after === undefined || events.length < limit ? null : await this.#nextAfter(filter, events);
    return { items: await viewEvents(this.#store, events), next };
  }

  /** The cursor behind a full page; null where no event follows. */
  async #nextAfter(filter: Followed, page: readonly Event[]): Promise<string | null> {
    const after = page.at(-1)?.sequence ?? 0;
    const more = await this.#store.listEvents({ ...filter, after, limit: 1 });
    return more.length > 0 ? String(after) : null;
  }

  /**
   * The page that `events` gives, then every further event until the signal aborts. Finds the app before it returns.
   * Errors: as for `events`.
   */
  async followEvents(
    principal: Principal,
    options: Omit<EventOptions, 'before'>,
    signal: AbortSignal,
  ): Promise<AsyncIterable<EventView>> {
    const filter = await this.#eventFilter(principal, options);
    return this.#follow(filter, options, signal);
  }

  async *#follow(
    filter: Followed,
    { after, limit = DEFAULT_PAGE }: EventOptions,
    signal: AbortSignal,
  ): AsyncGenerator<EventView> {
    const first = await this.#store.listEvents({ ...filter, limit, ...(after !== undefined && { after }) });
    yield* await viewEvents(this.#store, first);
    yield* this.#feed.follow(filter, first.at(-1)?.sequence ?? after ?? 0, signal);
  }

  async #eventFilter(principal: Principal, { app, container }: EventOptions): Promise<Followed> {
    if (app === undefined) requireOperator(principal, 'the events of all apps');
    return {
      ...(app !== undefined && { appId: await this.#appIdInEvents(principal, app) }),
      ...(container !== undefined && { containerId: container }),
    };
  }

  /** An operator may ask by id for what happened to an app that is no more. */
  async #appIdInEvents(principal: Principal, nameOrId: string): Promise<string> {
    const app = await lookUpApp(this.#store, principal, nameOrId);
    if (app) return app.id;
    if (principal.kind === 'operator' && nameOrId.startsWith('app_')) return nameOrId;
    throw noSuchApp(nameOrId);
  }
}
