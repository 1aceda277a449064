/** A size by force: an instruction of a person, within the app's policy, the tenant's quota and the nodes' room. */
import type { Store } from '../cmdb/store.ts';
import { findApp, requireMatch, type Preconditions } from './apps-find.ts';
import { describeScale } from './decisions/scale.ts';
import { findGrade } from './grades.ts';
import type { Scaling } from './scaling.ts';
import type { ScaleBody, ScaleView } from './schema-scale.ts';
import type { Principal } from './tokens.ts';

export class AppScaling {
  readonly #store: Store;
  readonly #scaling: Scaling;

  constructor(store: Store, scaling: Scaling) {
    this.#store = store;
    this.#scaling = scaling;
  }

  /** Errors: `not_found`, `precondition_failed`, `unknown_grade`, and those of `CoreApi.scale`. */
  async scale(
    principal: Principal,
    nameOrId: string,
    body: ScaleBody,
    preconditions: Preconditions = {},
  ): Promise<ScaleView> {
    const app = await findApp(this.#store, principal, nameOrId);
    requireMatch(app, app.name, preconditions);
    const { id, name } = app;
    const { grade, ...figures } = body;
    const size = grade === undefined ? undefined : await findGrade(this.#store, grade, 'grade');
    const { changed, from, to, directions } = await this.#scaling.scale({
      appId: id,
      by: 'instruction',
      reason: `${principal.kind === 'operator' ? 'an operator' : 'its owner'} asked for it`,
      ...definedOf(figures),
      ...(size && { cpu: size.cpu, memoryBytes: size.memoryBytes }),
    });
    const reason = changed ? describeScale(from, to) : 'it has that size already';
    return { appId: id, appName: name, changed, directions: [...directions], from, to, reason };
  }
}

/** Without the fields that are spelled out as undefined. */
function definedOf({ replicas, cpu, memoryBytes }: Omit<ScaleBody, 'grade'>) {
  return {
    ...(replicas !== undefined && { replicas }),
    ...(cpu !== undefined && { cpu }),
    ...(memoryBytes !== undefined && { memoryBytes }),
  };
}
