/**
 * The REST API as TypeScript: one method per endpoint, problem documents as the errors they were on the other side.
 * Answers are taken as the server sends them; it is the same program.
 */
import { systemClock } from '../clock.ts';
import type { Clock } from '../clock.ts';
import { PlatformError } from '../errors.ts';
import { jsonLines } from './client-stream.ts';
import { fromProblem, PROBLEM_TYPE } from './problem.ts';
import type {
  AppView,
  CertificateView,
  ChangeLine,
  ContainerView,
  CreateAppBody,
  DeployBody,
  EventOptions,
  EventView,
  GradeView,
  LogLineView,
  LogOptions,
  NodeView,
  Page,
  PageOptions,
  PatchAppBody,
  PutAppBody,
  PutCertificateBody,
  RevisionView,
  ScaleBody,
  ScaleView,
} from './schema.ts';

const LARGEST_PAGE = 1_000;

/** After how long somebody who waits for an answer is told whom for, and how long for one that takes no work. */
const SLOW_MS = 5_000;
const ANSWER_LIMIT_MS = 60_000;
const JSON_TYPE = 'application/json';
const LINES_TYPE = 'application/x-ndjson';

export interface ClientOptions {
  /** e.g. `http://127.0.0.1:9080`. */
  readonly url: string;
  readonly token: string;
  /** The platform's own unless told. */
  readonly fetch?: typeof fetch | undefined;
  readonly clock?: Clock | undefined;
  /** Told once for each answer that has not begun after five seconds. */
  readonly onSlow?: (() => void) | undefined;
}

export interface ChangeOptions {
  /** Told how far the pull of an image is. */
  readonly onProgress?: ((progress: Progress) => void) | undefined;
  /** The change is made only if the app is at this generation. */
  readonly ifGeneration?: number | undefined;
  readonly signal?: AbortSignal | undefined;
}

export type Progress = Omit<Extract<ChangeLine, { type: 'progress' }>, 'type'>;

/**
 * Every method may fail with the errors of its endpoint, with `unauthorized`, and with `api_unavailable` when nobody
 * answers at the URL, or somebody who is not a Core API. Apps are named by name or id. A stream ends quietly when its
 * signal aborts.
 */
export interface Client {
  createApp(body: CreateAppBody, options?: ChangeOptions): Promise<AppView>;
  /** Creates it, or makes it what the body says. */
  putApp(app: string, body: PutAppBody, options?: ChangeOptions): Promise<AppView>;
  patchApp(app: string, body: PatchAppBody, options?: ChangeOptions): Promise<AppView>;
  deployApp(app: string, body?: DeployBody, options?: Omit<ChangeOptions, 'ifGeneration'>): Promise<AppView>;
  /** A size by force; what is decided is carried out from then on. */
  scaleApp(app: string, body: ScaleBody): Promise<ScaleView>;
  deleteApp(app: string, options?: Pick<ChangeOptions, 'ifGeneration'>): Promise<void>;
  getApp(app: string): Promise<AppView>;

  /** All of them, read page by page; `appsPage` reads one. */
  listApps(): Promise<AppView[]>;
  appsPage(options?: PageOptions): Promise<Page<AppView>>;
  listRevisions(app: string): Promise<RevisionView[]>;
  listAppContainers(app: string): Promise<ContainerView[]>;
  /** Adds a certificate to the app, or puts a newer one in its place. */
  putCertificate(app: string, name: string, body: PutCertificateBody): Promise<CertificateView>;
  getCertificate(app: string, name: string): Promise<CertificateView>;
  deleteCertificate(app: string, name: string): Promise<void>;
  listCertificates(app: string): Promise<CertificateView[]>;
  listContainers(): Promise<ContainerView[]>;
  listNodes(): Promise<NodeView[]>;
  listGrades(): Promise<GradeView[]>;

  /** One page, oldest first: the newest events, or those after or before a sequence. */
  listEvents(options?: EventOptions): Promise<EventView[]>;
  /** That page, then every further event. */
  followEvents(options?: Omit<EventOptions, 'before'>, signal?: AbortSignal): AsyncIterable<EventView>;
  logs(app: string, options?: LogOptions, signal?: AbortSignal): AsyncIterable<LogLineView>;

  openApi(): Promise<object>;
  /** Errors: `not_ready`, with what is missing. */
  ready(): Promise<void>;
}

/** Errors: `invalid_config` (the URL), `unauthorized` (the token cannot be one). */
export function createClient(options: ClientOptions): Client {
  return new HttpClient(options);
}

interface RequestOptions {
  readonly query?: Record<string, string | number | boolean | undefined> | undefined;
  readonly body?: unknown;
  /** JSON unless told. */
  readonly accept?: string;
  /** It may take any time, as the pull of an image does. */
  readonly isLong?: boolean;
  readonly ifGeneration?: number | undefined;
  readonly signal?: AbortSignal | undefined;
}

class HttpClient implements Client {
  readonly #base: string;
  readonly #token: string;
  readonly #fetch: typeof fetch;
  readonly #clock: Clock;
  readonly #onSlow: () => void;

  constructor({ url, token, ...options }: ClientOptions) {
    this.#base = baseOf(url);
    // What cannot stand in a header must not get as far as an error message that quotes it.
    if (!/^[\x21-\x7e]+$/.test(token)) {
      throw new PlatformError(
        'unauthorized',
        'the token is empty or holds characters that a token cannot have',
      );
    }
    this.#token = token;
    this.#fetch = options.fetch ?? fetch;
    this.#clock = options.clock ?? systemClock;
    this.#onSlow = options.onSlow ?? (() => undefined);
  }

  createApp(body: CreateAppBody, options?: ChangeOptions) {
    return this.#change('POST', '/v1/apps', body, options);
  }

  putApp(app: string, body: PutAppBody, options?: ChangeOptions) {
    return this.#change('PUT', appPath(app), body, options);
  }

  patchApp(app: string, body: PatchAppBody, options?: ChangeOptions) {
    return this.#change('PATCH', appPath(app), body, options);
  }

  deployApp(app: string, body: DeployBody = {}, options?: ChangeOptions) {
    return this.#change('POST', appPath(app, '/deploy'), body, options);
  }

  scaleApp(app: string, body: ScaleBody) {
    return this.#json<ScaleView>('POST', appPath(app, '/scale'), 'appName', { body });
  }

  async deleteApp(app: string, options: Pick<ChangeOptions, 'ifGeneration'> = {}): Promise<void> {
    await this.#request('DELETE', appPath(app), options);
  }

  getApp(app: string) {
    return this.#json<AppView>('GET', appPath(app), 'id');
  }

  listApps() {
    return this.#all<AppView>('/v1/apps');
  }

  appsPage(options: PageOptions = {}) {
    return this.#json<Page<AppView>>('GET', '/v1/apps', 'items', { query: { ...options } });
  }

  listRevisions(app: string) {
    return this.#all<RevisionView>(appPath(app, '/revisions'));
  }

  listAppContainers(app: string) {
    return this.#all<ContainerView>(appPath(app, '/containers'));
  }

  putCertificate(app: string, name: string, body: PutCertificateBody) {
    const path = appPath(app, certificatePath(name));
    return this.#json<CertificateView>('PUT', path, 'name', { body });
  }

  getCertificate(app: string, name: string) {
    return this.#json<CertificateView>('GET', appPath(app, certificatePath(name)), 'name');
  }

  async deleteCertificate(app: string, name: string): Promise<void> {
    await this.#request('DELETE', appPath(app, certificatePath(name)));
  }

  async listCertificates(app: string) {
    const path = appPath(app, '/certificates');
    return (await this.#json<Page<CertificateView>>('GET', path, 'items')).items;
  }

  listContainers() {
    return this.#all<ContainerView>('/v1/containers');
  }

  listNodes() {
    return this.#all<NodeView>('/v1/nodes');
  }

  async listGrades() {
    return (await this.#json<Page<GradeView>>('GET', '/v1/grades', 'items')).items;
  }

  async listEvents(options: EventOptions = {}) {
    const query = { ...options };
    return (await this.#json<Page<EventView>>('GET', '/v1/events', 'items', { query })).items;
  }

  followEvents(options: Omit<EventOptions, 'before'> = {}, signal?: AbortSignal) {
    const query = { ...options, follow: true };
    return this.#stream('/v1/events', { query, signal }) as AsyncIterable<EventView>;
  }

  logs(app: string, options: LogOptions = {}, signal?: AbortSignal) {
    const path = appPath(app, '/logs');
    return this.#stream(path, { query: { ...options }, signal }) as AsyncIterable<LogLineView>;
  }

  openApi() {
    return this.#json<{ openapi: string }>('GET', '/v1/openapi.json', 'openapi');
  }

  async ready(): Promise<void> {
    await this.#request('GET', '/readyz');
  }

  async #change(
    method: string,
    path: string,
    body: unknown,
    { onProgress, ...options }: ChangeOptions = {},
  ): Promise<AppView> {
    const request = { ...options, body, isLong: true };
    if (!onProgress) return this.#json<AppView>(method, path, 'id', request);
    const response = await this.#request(method, path, { ...request, accept: LINES_TYPE });
    for await (const item of this.#lines(method, response, options.signal)) {
      const line = item as ChangeLine;
      if (line.type === 'result') return line.app;
      if (line.type === 'progress') onProgress(line);
    }
    options.signal?.throwIfAborted();
    throw this.#brokeOff(method, undefined);
  }

  async #all<T>(path: string): Promise<T[]> {
    const all: T[] = [];
    let after: string | undefined;
    do {
      const page = await this.#json<Page<T>>('GET', path, 'items', { query: { limit: LARGEST_PAGE, after } });
      all.push(...page.items);
      after = page.next ?? undefined;
    } while (after !== undefined);
    return all;
  }

  /** `field` is one that the answer has if a Core API gave it. */
  async #json<T extends object>(
    method: string,
    path: string,
    field: keyof T & string,
    options?: RequestOptions,
  ): Promise<T> {
    const response = await this.#request(method, path, options);
    let body: unknown;
    try {
      body = await response.json();
    } catch (thrown) {
      throw this.#brokeOff(method, thrown);
    }
    if (typeof body === 'object' && body !== null && field in body) return body as T;
    throw this.#foreign(`its answer has no "${field}"`);
  }

  async *#stream(path: string, options: RequestOptions): AsyncGenerator {
    if (options.signal?.aborted) return;
    try {
      const response = await this.#request('GET', path, { ...options, accept: LINES_TYPE });
      yield* this.#lines('GET', response, options.signal);
    } catch (thrown) {
      if (!options.signal?.aborted) throw thrown;
    }
  }

  async *#lines(method: string, response: Response, signal: AbortSignal | undefined): AsyncGenerator {
    if (!response.body) throw this.#brokeOff(method, undefined);
    try {
      yield* jsonLines(response.body);
    } catch (thrown) {
      if (thrown instanceof PlatformError || signal?.aborted) throw thrown;
      throw this.#brokeOff(method, thrown);
    }
  }

  /** A 2xx answer of a Core API, of the type that was asked for; anything else is thrown. */
  async #request(method: string, path: string, options: RequestOptions = {}): Promise<Response> {
    const { query = {}, body, accept = JSON_TYPE, ifGeneration } = options;
    const url = new URL(this.#base + path);
    for (const [key, value] of Object.entries(query)) {
      if (value !== undefined) url.searchParams.set(key, String(value));
    }
    const init: RequestInit = {
      method,
      headers: {
        authorization: `Bearer ${this.#token}`,
        accept,
        ...(body !== undefined && { 'content-type': JSON_TYPE }),
        ...(ifGeneration !== undefined && { 'if-match': `"${ifGeneration}"` }),
      },
      ...(body !== undefined && { body: JSON.stringify(body) }),
      // A change that is sent on elsewhere may arrive there as a read.
      redirect: 'error',
    };
    const response = await this.#answerTo(method, url, init, options);
    const isDone = method === 'DELETE' ? response.status === 204 : response.ok && typeOf(response) === accept;
    if (isDone) return response;
    throw await this.#refusal(response);
  }

  async #answerTo(
    method: string,
    url: URL,
    init: RequestInit,
    { signal, isLong }: RequestOptions,
  ): Promise<Response> {
    const tooLate = new AbortController();
    const timers = [this.#clock.after(SLOW_MS, this.#onSlow)];
    if (!isLong) timers.push(this.#clock.after(ANSWER_LIMIT_MS, () => tooLate.abort(this.#late(method))));
    const signals = [tooLate.signal, ...(signal ? [signal] : [])];
    try {
      return await this.#fetch(url, { ...init, signal: AbortSignal.any(signals) });
    } catch (thrown) {
      signal?.throwIfAborted();
      tooLate.signal.throwIfAborted();
      throw this.#unreachable(thrown);
    } finally {
      for (const cancel of timers) cancel();
    }
  }

  /** What went wrong, as the answer tells it. */
  async #refusal(response: Response): Promise<PlatformError> {
    const { status } = response;
    const type = typeOf(response);
    if (type === PROBLEM_TYPE) {
      const retryAfterS = Number(response.headers.get('retry-after') ?? NaN);
      const problem = fromProblem(await response.json().catch(() => undefined), {
        ...(Number.isFinite(retryAfterS) && { retryAfterMs: retryAfterS * 1_000 }),
      });
      if (problem) return problem;
    }
    await response.body?.cancel().catch(() => undefined);
    return this.#foreign(`it answers ${status} with ${type ?? 'no type'}`);
  }

  #unreachable(cause: unknown): PlatformError {
    const why = reasonOf(cause);
    return new PlatformError('api_unavailable', `no Core API answers at ${this.#base} (${why})`, {
      cause,
      hint: 'start one with "mayfly up", or name another address with --url or MAYFLY_URL',
    });
  }

  #late(method: string): PlatformError {
    const message = `the Core API at ${this.#base} has not answered for ${ANSWER_LIMIT_MS / 1_000} s`;
    return new PlatformError('api_unavailable', message, { hint: tryAgain(method) });
  }

  #foreign(because: string): PlatformError {
    return new PlatformError('api_unavailable', `${this.#base} is not a Core API: ${because}`, {
      hint: 'name the address that "mayfly up" prints with --url or MAYFLY_URL',
    });
  }

  #brokeOff(method: string, cause: unknown): PlatformError {
    return new PlatformError('api_unavailable', `the Core API at ${this.#base} broke off its answer`, {
      cause,
      hint: tryAgain(method),
    });
  }
}

function baseOf(url: string): string {
  const parsed = URL.parse(url);
  if (parsed?.protocol !== 'http:' && parsed?.protocol !== 'https:') {
    throw new PlatformError('invalid_config', `${JSON.stringify(url)} is not the URL of a Core API`, {
      hint: 'give one such as http://127.0.0.1:9080',
    });
  }
  return parsed.origin + parsed.pathname.replace(/\/+$/, '');
}

function appPath(app: string, rest = ''): string {
  // A URL would take these as steps through its path.
  if (/^\.{0,2}$/.test(app)) throw new PlatformError('not_found', `there is no app ${JSON.stringify(app)}`);
  return `/v1/apps/${encodeURIComponent(app)}${rest}`;
}

function certificatePath(name: string): string {
  return `/certificates/${encodeURIComponent(name)}`;
}

/** What to do where an answer did not come to its end. */
function tryAgain(method: string): string {
  return method === 'GET' ? 'try again' : 'whether the change was made is not known: look, then try again';
}

/** Without its parameters. */
function typeOf(response: Response): string | undefined {
  return response.headers.get('content-type')?.split(';')[0]?.trim();
}

/** fetch says "fetch failed" and keeps the reason in its cause. */
function reasonOf(thrown: unknown): string {
  const cause = thrown instanceof Error && thrown.cause instanceof Error ? thrown.cause : thrown;
  if (cause instanceof Error) return 'code' in cause ? String(cause.code) : cause.message;
  return String(cause);
}
