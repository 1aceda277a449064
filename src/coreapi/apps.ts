/**
 * Apps as their owners change them. Every change is decided on what is in the store and written by compare-and-set; a
 * change that lost a race is decided anew, so that of two callers neither undoes the other's work unseen.
 */
import type { Clock } from '../clock.ts';
import type { App, Workload } from '../cmdb/records.ts';
import type { Store } from '../cmdb/store.ts';
import { isPlatformError, PlatformError } from '../errors.ts';
import {
  claimError,
  nameTaken,
  planCreate,
  planDelete,
  planUpdate,
  type Draft,
  type Planned,
} from './apps-change.ts';
import { changedContent, contentOf, imageToResolve, wholeContent, type ImageFound } from './apps-content.ts';
import { resolveNeeds, type Needs } from './apps-needs.ts';
import { findApp, findSpec, lookUpApp, requireMatch, type Preconditions } from './apps-find.ts';
import { resolvePolicy } from './apps-policy.ts';
import type { AppSpec, NodeGateway } from './core-api.ts';
import { findGrade } from './grades.ts';
import { retryConflicts } from './retry-conflicts.ts';
import type { CreateAppBody, DeployBody, PatchAppBody, PutAppBody } from './schema-app.ts';
import { APP_NAME } from './schema-app.ts';
import type { PolicyInput } from './schema-policy.ts';
import type { Principal } from './tokens.ts';

export interface PullProgress {
  readonly status: string;
  readonly currentBytes: number;
  readonly totalBytes: number;
}

export interface ChangeOptions extends Preconditions {
  readonly signal: AbortSignal;
  readonly onProgress?: ((progress: PullProgress) => void) | undefined;
}

export interface AppsOptions {
  readonly store: Store;
  readonly gateway: NodeGateway;
  readonly clock: Clock;
}

export class Apps {
  readonly #store: Store;
  readonly #gateway: NodeGateway;
  readonly #clock: Clock;

  constructor({ store, gateway, clock }: AppsOptions) {
    this.#store = store;
    this.#gateway = gateway;
    this.#clock = clock;
  }

  /**
   * Errors: `name_taken`, `host_taken`, `unknown_grade`, `unsupported`, `image_not_found`, `invalid_body` (fields that do
   * not go together).
   */
  async create(principal: Principal, body: CreateAppBody, options: ChangeOptions): Promise<AppSpec> {
    if (await lookUpApp(this.#store, principal, body.name)) throw nameTaken(body.name); // before a long pull, not after
    const images = this.#images(options);
    // Not the name: who loses that has lost it. But what it needs may be changed at this moment.
    return retryConflicts(async () =>
      this.#create(
        principal,
        body.name,
        await this.#wholeDraft(body, images, { principal, name: body.name }),
      ),
    );
  }

  /** Makes the app what the body says, whether or not there is one. Errors: as for `create` and `change`. */
  async put(
    principal: Principal,
    nameOrId: string,
    body: PutAppBody,
    options: ChangeOptions,
  ): Promise<AppSpec & { created: boolean }> {
    const images = this.#images(options);
    return retryConflicts(async () => {
      const app = await lookUpApp(this.#store, principal, nameOrId);
      const name = app?.name ?? nameOrId;
      checkName(name, body.name);
      requireMatch(app, name, options);
      const draft = await this.#wholeDraft(body, images, { principal, name, app });
      if (!app) return { ...(await this.#createUnlessThere(principal, name, draft)), created: true };
      const current = await findSpec(this.#store, principal, app.id);
      return { ...(await this.#update(current, draft, false)), created: false };
    });
  }

  /** Changes what the body names. Errors: as for `create`, and `not_found`, `precondition_failed`, `conflict`. */
  change(
    principal: Principal,
    nameOrId: string,
    body: PatchAppBody,
    options: ChangeOptions,
  ): Promise<AppSpec> {
    return this.#change(principal, nameOrId, body, { ...options, deploy: false });
  }

  /** A new revision, even of the same. Errors: as for `change`. */
  deploy(principal: Principal, nameOrId: string, body: DeployBody, options: ChangeOptions): Promise<AppSpec> {
    return this.#change(principal, nameOrId, body, { ...options, deploy: true });
  }

  /** Errors: `not_found`, `precondition_failed`, `app_needed`. */
  delete(principal: Principal, nameOrId: string, preconditions: Preconditions = {}): Promise<void> {
    return retryConflicts(async () => {
      const app = await findApp(this.#store, principal, nameOrId);
      requireMatch(app, app.name, preconditions);
      await this.#store.commit(await planDelete(this.#store, app, this.#clock.nowMs()));
    });
  }

  async #change(
    principal: Principal,
    nameOrId: string,
    body: PatchAppBody,
    options: ChangeOptions & { deploy: boolean },
  ): Promise<AppSpec> {
    const { deploy } = options;
    const images = this.#images(options);
    return retryConflicts(async () => {
      const current = await findSpec(this.#store, principal, nameOrId);
      requireMatch(current.app, current.app.name, options);
      const before = contentOf(current.revision);
      const image = imageToResolve(body, before.workload, deploy);
      const content = changedContent(body, before, image === undefined ? undefined : await images(image));
      if (deploy || content.workload.type !== before.workload.type)
        this.#requireWorkload(content.workload.type, runs(content.workload));
      const { app } = current;
      const { policy, hosts, name } = app;
      return this.#update(
        current,
        {
          hosts: body.hosts ?? hosts,
          policy: body.policy ? await this.#policy(body.policy, policy) : policy,
          content,
          needs: body.needs
            ? await this.#needs(body.needs, { principal, name, app })
            : { needs: app.needs ?? [], looked: [] },
        },
        deploy,
      );
    });
  }

  async #create(principal: Principal, name: string, draft: Draft): Promise<AppSpec> {
    const { tenantId } = principal;
    return this.#commit(await planCreate(this.#store, draft, { tenantId, name, nowMs: this.#clock.nowMs() }));
  }

  /** Losing the name to another PUT is a race like any other: the loser then finds the app and changes it. */
  async #createUnlessThere(principal: Principal, name: string, draft: Draft): Promise<AppSpec> {
    try {
      return await this.#create(principal, name, draft);
    } catch (thrown) {
      if (!isPlatformError(thrown, 'name_taken')) throw thrown;
      throw new PlatformError('conflict', `app ${name} was created meanwhile`, { cause: thrown });
    }
  }

  async #update(current: AppSpec, draft: Draft, deploy: boolean): Promise<AppSpec> {
    const planned = await planUpdate(this.#store, current, draft, { deploy, nowMs: this.#clock.nowMs() });
    return planned ? this.#commit(planned) : current;
  }

  async #commit({ operations, spec }: Planned): Promise<AppSpec> {
    try {
      await this.#store.commit(operations);
    } catch (thrown) {
      throw isPlatformError(thrown, 'name_taken') ? claimError(thrown, spec.app) : thrown;
    }
    return spec;
  }

  async #wholeDraft(body: PutAppBody, images: ResolveImage, whose: Whose): Promise<Draft> {
    this.#requireWorkload(
      body.image === undefined ? 'command' : 'image',
      body.image ?? body.command?.join(' ') ?? '',
    );
    const policy = await this.#policy(body.policy ?? {}, undefined);
    const found = body.image === undefined ? undefined : await images(body.image);
    const needs = await this.#needs(body.needs ?? [], whose);
    return { hosts: body.hosts, policy, content: wholeContent(body, found), needs };
  }

  #needs(names: readonly string[], { principal, name, app }: Whose): Promise<Needs> {
    return resolveNeeds(this.#store, { tenantId: principal.tenantId, name, app }, names);
  }

  async #policy(input: PolicyInput, base: App['policy'] | undefined): Promise<App['policy']> {
    const grade = typeof input.grade === 'string' ? await findGrade(this.#store, input.grade) : undefined;
    return resolvePolicy(input, base, grade);
  }

  #requireWorkload(type: 'image' | 'command', what: string): void {
    if (this.#gateway.workloads().includes(type)) return;
    throw type === 'image'
      ? new PlatformError('unsupported', `no node here runs images, such as ${what}`, {
          hint: 'give command and cwd instead of image, or run Mayfly with --engine docker',
          fields: [{ field: 'image', reason: 'the engine in use runs commands' }],
        })
      : new PlatformError('unsupported', `no node here runs a command without an image, such as ${what}`, {
          hint: 'give an image, or run Mayfly with --engine process',
          fields: [{ field: 'command', reason: 'the engine in use runs images' }],
        });
  }

  /** Resolves each image once per request, however often the change is decided anew. */
  #images({ signal, onProgress = () => undefined }: ChangeOptions): ResolveImage {
    const flights = new Map<string, Promise<ImageFound>>();
    return (image) => {
      this.#requireWorkload('image', image);
      const flight = flights.get(image) ?? this.#gateway.resolveImage(image, onProgress, signal);
      flights.set(image, flight);
      return flight;
    };
  }
}

/** Whose draft it is; `app`: as it is now. */
interface Whose {
  readonly principal: Principal;
  readonly name: string;
  readonly app?: App | undefined;
}

type ResolveImage = (image: string) => Promise<ImageFound>;

function checkName(name: string, inBody: string | undefined): void {
  const refuse = (reason: string) => {
    throw new PlatformError('invalid_body', `name ${reason}`, { fields: [{ field: 'name', reason }] });
  };
  if (!APP_NAME.test(name))
    refuse('must be a DNS label: 1 to 63 lower-case letters, digits and inner hyphens');
  if (inBody !== undefined && inBody !== name)
    refuse(`must be ${name}, as in the path: an app cannot be renamed`);
}

/** What a workload runs, in a word. */
function runs(workload: Workload): string {
  return workload.type === 'image' ? workload.image : workload.command.join(' ');
}
