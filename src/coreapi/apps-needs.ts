/**
 * Groups: an app may need others of its tenant. What it says about them is checked here against all that these need in their
 * turn: nobody may come to need himself, and waking one app may not become the waking of a hundred.
 *
 * Both sides of a need are recorded, in one commit: so that whoever is needed is not deleted, and that is known from its own
 * record. Every app that was looked at is named in that commit with its generation: of two changes that would close a
 * circle together, one has to look again.
 */
import { isDeepStrictEqual } from 'node:util';
import { claims } from '../cmdb/claims.ts';
import type { App, NamedApp } from '../cmdb/records.ts';
import type { Operation, Store } from '../cmdb/store.ts';
import { PlatformError } from '../errors.ts';
import { NEEDS_MAX } from './schema-app.ts';

/** From an app to the last that is woken for it: so many needs one after the other. */
const NEEDS_DEPTH_MAX = 8;
/** Apps that are woken for one, directly and not. */
const GROUP_MAX = 32;
/** Apps that may name the same one: its record names them all. */
const NEEDED_BY_MAX = 256;

/** The needs of an app as they are to be, with what they were decided on. */
export interface Needs {
  readonly needs: readonly NamedApp[];
  /** They and all that they need, and where there are more of them now also whom they are woken for, as they were then. */
  readonly looked: readonly App[];
}

/** Whose needs they are. `app`: undefined where it is yet to be made. */
interface Whose {
  readonly tenantId: string;
  readonly name: string;
  readonly app: App | undefined;
}

/** Finds what `names` name. Errors: `invalid_body` (an app that is not there, itself, a circle, too many, too deep). */
export async function resolveNeeds(store: Store, whose: Whose, names: readonly string[]): Promise<Needs> {
  const before = whose.app?.needs ?? [];
  if (
    isDeepStrictEqual(
      names,
      before.map(({ name }) => name),
    )
  )
    return { needs: before, looked: [] };
  if (names.length > NEEDS_MAX) throw refused(`may name ${NEEDS_MAX} apps at most`);
  const search = new Search(store, whose);
  const direct: App[] = [];
  for (const [index, name] of names.entries()) {
    const need = await store.findByClaim('app', claims.appName(whose.tenantId, name));
    if (name === whose.name) throw refused(`may not name the app itself (${name})`, index);
    if (!need) throw refused(`names ${name}, which is not an app of this tenant`, index);
    const others = (need.neededBy ?? []).filter(({ appId }) => appId !== whose.app?.id);
    if (others.length >= NEEDED_BY_MAX)
      throw refused(`names ${name}, which ${NEEDED_BY_MAX} apps need already`, index);
    direct.push(need);
  }
  let depth = 0;
  for (const [index, need] of direct.entries())
    depth = Math.max(depth, 1 + (await search.depthOf(need, [whose.name], index)));
  const grows = direct.some(({ id }) => !before.some(({ appId }) => appId === id));
  const { apps, height } = whose.app && grows ? await allAbove(store, whose.app) : { apps: [], height: 0 };
  if (height + depth > NEEDS_DEPTH_MAX)
    throw refused(`would make a chain of ${height + depth} needs; ${NEEDS_DEPTH_MAX} are the most`);
  const needs = direct.map(named);
  for (const app of apps)
    if ((await search.groupOf(app, needs)) > GROUP_MAX)
      throw refused(
        `would have more than ${GROUP_MAX} apps woken for ${app.name}, which needs ${whose.name}`,
      );
  return { needs, looked: [...search.looked(), ...apps] };
}

/** Walks down from the needs, depth first, each app once. */
class Search {
  readonly #store: Store;
  readonly #whose: Whose;
  readonly #seen = new Map<string, { readonly app: App; readonly depth: number }>();
  readonly #apps = new Map<string, App | undefined>();

  constructor(store: Store, whose: Whose) {
    this.#store = store;
    this.#whose = whose;
  }

  /** All that it has walked by. */
  looked(): App[] {
    return [...this.#seen.values()].map(({ app }) => app);
  }

  /** How many apps are woken for `above`, once the app whose needs they are has these; counted up to one too many. */
  async groupOf(above: App, needs: readonly NamedApp[]): Promise<number> {
    const group = new Set(above.needs?.map(({ appId }) => appId));
    for (const id of group) {
      if (group.size > GROUP_MAX) break;
      const next = id === this.#whose.app?.id ? needs : (await this.#read(id))?.needs;
      for (const { appId } of next ?? []) group.add(appId);
    }
    return group.size;
  }

  /** How many needs there are below `app`, one after the other. `path`: the names that lead to it. */
  async depthOf(app: App, path: readonly string[], index: number): Promise<number> {
    const way = [...path, app.name];
    if (path.includes(app.name)) throw refused(`would go in a circle: ${way.join(' → ')}`, index);
    const known = this.#seen.get(app.id);
    if (known) return known.depth;
    if (way.length > NEEDS_DEPTH_MAX + 1)
      throw refused(`would make a chain of more than ${NEEDS_DEPTH_MAX} needs: ${way.join(' → ')}`, index);
    let depth = 0;
    for (const { appId } of app.needs ?? []) {
      const need = appId === this.#whose.app?.id ? this.#whose.app : await this.#read(appId);
      if (need) depth = Math.max(depth, 1 + (await this.depthOf(need, way, index)));
    }
    this.#seen.set(app.id, { app, depth });
    if (this.#seen.size > GROUP_MAX)
      throw refused(`would have more than ${GROUP_MAX} apps woken for ${this.#whose.name}`, index);
    return depth;
  }

  async #read(id: string): Promise<App | undefined> {
    if (!this.#apps.has(id)) this.#apps.set(id, await this.#store.get('app', id));
    return this.#apps.get(id);
  }
}

/** All that need `app`, directly and not, and how many needs lead to it one after the other. */
async function allAbove(store: Store, app: App): Promise<{ apps: App[]; height: number }> {
  const found = new Map<string, App>();
  let level: readonly App[] = [app];
  let height = 0;
  for (; height <= NEEDS_DEPTH_MAX; height++) {
    const ids = new Set(level.flatMap(({ neededBy = [] }) => neededBy.map(({ appId }) => appId)));
    const next = await Promise.all([...ids].map(async (id) => found.get(id) ?? (await store.get('app', id))));
    level = next.filter((one) => one !== undefined);
    if (level.length === 0) break;
    for (const one of level) found.set(one.id, one);
  }
  return { apps: [...found.values()], height };
}

/** What has to be written of the others when the needs of `self` become `to`; nothing where they are so already. */
export async function needsOperations(
  store: Store,
  self: NamedApp,
  from: readonly NamedApp[],
  to: Needs,
): Promise<Operation[]> {
  if (isDeepStrictEqual(from, to.needs)) return [];
  const isIn = (list: readonly NamedApp[], id: string) => list.some(({ appId }) => appId === id);
  const joined = to.looked.map((app) => {
    const isNew = isIn(to.needs, app.id) && !isIn(app.neededBy ?? [], self.appId);
    return touch(app, isNew ? { neededBy: [...(app.neededBy ?? []), self] } : {});
  });
  const dropped = from.filter(({ appId }) => !isIn(to.needs, appId));
  const apps = await Promise.all(dropped.map(({ appId }) => store.get('app', appId)));
  const left = apps.flatMap((app) => {
    if (!app) return [];
    const neededBy = (app.neededBy ?? []).filter(({ appId }) => appId !== self.appId);
    // It may have been looked at as well, below another need; then it is there already.
    const at = to.looked.findIndex(({ id }) => id === app.id);
    if (at === -1) return [touch(app, { neededBy })];
    joined[at] = touch(app, { neededBy });
    return [];
  });
  return [...joined, ...left];
}

/** Errors: `app_needed`, which names those that need it. */
export function refuseIfNeeded({ name, neededBy = [] }: App): void {
  if (neededBy.length === 0) return;
  const names = neededBy.map((other) => other.name).join(', ');
  throw new PlatformError('app_needed', `app ${name} is needed by ${names}`, {
    hint: 'take it out of their needs first (mayfly apps update NAME --need …, or --no-needs), or delete them first',
  });
}

function touch(app: App, set: Partial<Pick<App, 'neededBy'>>): Operation {
  return { op: 'update', kind: 'app', id: app.id, ifGeneration: app.generation, set };
}

function named({ id, name }: App): NamedApp {
  return { appId: id, name };
}

function refused(reason: string, index?: number): PlatformError {
  const field = index === undefined ? 'needs' : `needs.${index}`;
  return new PlatformError('invalid_body', `${field} ${reason}`, { fields: [{ field, reason }] });
}
