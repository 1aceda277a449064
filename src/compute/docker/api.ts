/**
 * The Docker Engine API, as far as Mayfly needs it. The only file that knows dockerode.
 *
 * Every call ends: it has a deadline, and there are two ways for it to fail. The engine answered with an error
 * (`DockerFailure`, which callers turn into what it means for them), or it did not answer (`engine_unavailable`).
 */
import { Agent } from 'node:http';
import { StringDecoder } from 'node:string_decoder';
import Docker from 'dockerode';
import { systemClock } from '../../clock.ts';
import type { Clock } from '../../clock.ts';
import { PlatformError } from '../../errors.ts';

export type CreateBody = Docker.ContainerCreateOptions;
export type ContainerRow = Docker.ContainerInfo;
export type ContainerDetails = Docker.ContainerInspectInfo;
export type StatsSample = Docker.ContainerStats;

export type NetworkRow = Docker.NetworkInspectInfo;

export interface ImageDetails {
  readonly Id: string;
  readonly Config?: { readonly ExposedPorts?: Readonly<Record<string, object>> | null } | null;
}

export interface DockerEvent {
  readonly Action: string;
  readonly Actor: { readonly ID: string; readonly Attributes: Readonly<Record<string, string>> };
}

/** One line of what the engine reports while it pulls or imports an image. */
export interface ProgressMessage {
  readonly id?: string;
  readonly status?: string;
  readonly progressDetail?: { readonly current?: number; readonly total?: number };
  readonly error?: string;
}

export interface DockerApiOptions {
  readonly socketPath: string;
  readonly clock?: Clock;
  /** After this time without an answer a call fails. 30 s unless told. */
  readonly callTimeoutMs?: number;
}

/** An answer whose body comes bit by bit. */
export interface Answer extends AsyncIterable<Buffer> {
  destroy(): void;
}

/** A question that dockerode has no method for. */
interface Request {
  /** With a `?` at its end where there are options. */
  readonly path: string;
  readonly options?: Readonly<Record<string, string | number | boolean>>;
  /** The answer is an `Answer`; else it is read to its end, and parsed. */
  readonly isStream: boolean;
  readonly abortSignal: AbortSignal;
}

/**
 * The engine answered, with an error. The message is the engine's own; where nobody makes more of it, it is `internal`.
 */
export class DockerFailure extends PlatformError {
  /** The HTTP status of the engine's answer. */
  readonly engineStatus: number;

  constructor(engineStatus: number, message: string, cause?: unknown) {
    super('internal', message, { cause });
    this.name = 'DockerFailure';
    this.engineStatus = engineStatus;
  }
}

export const isFailure = (thrown: unknown, status?: number): thrown is DockerFailure =>
  thrown instanceof DockerFailure && (status === undefined || thrown.engineStatus === status);

/** Connections for calls at most; further calls wait for one. */
const MAX_CALLS = 256;
/** … and for pulls, each of which waits for a registry: further ones are refused. */
export const MAX_PULLS = 64;
const CALL_TIMEOUT_MS = 30_000;
/** The engine answers a pull only when the registry has, or has not in all its retries. */
const PULL_ANSWER_TIMEOUT_MS = 120_000;

export class DockerApi {
  readonly socketPath: string;
  readonly #docker: Docker;
  readonly #agent = new Agent({ keepAlive: true, maxSockets: MAX_CALLS, maxFreeSockets: 8 });
  /**
   * For logs, each of which may hold a connection for hours: whoever reads logs must not keep an app from starting. None
   * waits for a connection; how many there may be, their reader says (log-reader.ts).
   */
  readonly #logAgent = new Agent({ keepAlive: false });
  readonly #logDocker: Docker;
  readonly #pullAgent = new Agent({ keepAlive: false });
  readonly #pullDocker: Docker;
  #pulls = 0;
  readonly #clock: Clock;
  readonly #timeoutMs: number;
  /** Of the calls that wait for an answer. */
  readonly #deadlines = new Set<AbortController>();
  #gaveUp = false;

  constructor(options: DockerApiOptions) {
    this.socketPath = options.socketPath;
    this.#clock = options.clock ?? systemClock;
    this.#timeoutMs = options.callTimeoutMs ?? CALL_TIMEOUT_MS;
    // An object of its own: docker-modem takes an agent, but the types of dockerode do not know.
    const over = (agent: Agent) => ({ socketPath: options.socketPath, agent });
    this.#docker = new Docker(over(this.#agent));
    this.#logDocker = new Docker(over(this.#logAgent));
    this.#pullDocker = new Docker(over(this.#pullAgent));
  }

  /** There is no time to wait for answers any more: all calls that do fail, and so do further ones (`shutting_down`). */
  giveUp(): void {
    this.#gaveUp = true;
    for (const deadline of this.#deadlines) deadline.abort(noTime());
  }

  /** Closes all connections. */
  close(): void {
    this.#agent.destroy();
    this.#logAgent.destroy();
    this.#pullAgent.destroy();
  }

  /** The engine's version (`20.10.24`) and what kind of machine it runs on (`amd64`, `arm64`). */
  async version(): Promise<{ version: string; arch: string }> {
    const answer = await this.#call(() => this.#docker.version());
    return { version: answer.Version, arch: answer.Arch };
  }

  /** How many CPUs the engine can give. */
  async cores(): Promise<number> {
    return ((await this.#call(() => this.#docker.info())) as { NCPU: number }).NCPU;
  }

  inspectImage(name: string): Promise<ImageDetails> {
    // Not image.inspect(), which cannot be aborted.
    return this.#call((abortSignal) =>
      dial(this.#docker, { path: `/images/${name}/json`, isStream: false, abortSignal }),
    );
  }

  /**
   * Yields what the engine reports until the image is here. `reference` carries a tag or a digest.
   * Errors: `quota_exceeded` (`MAX_PULLS`).
   */
  async *pull(reference: string, signal: AbortSignal): AsyncGenerator<ProgressMessage> {
    if (this.#pulls >= MAX_PULLS)
      throw new PlatformError('quota_exceeded', `${MAX_PULLS} images are being pulled already`, {
        hint: 'Try again in a minute or two.',
        retryAfterMs: PULL_ANSWER_TIMEOUT_MS,
      });
    this.#pulls++;
    try {
      const stream = await this.#call(
        (abortSignal) => this.#pullDocker.createImage({ fromImage: reference, abortSignal }),
        signal,
        PULL_ANSWER_TIMEOUT_MS,
      );
      yield* messages<ProgressMessage>(stream as unknown as Answer, signal, this.socketPath);
    } finally {
      this.#pulls--;
    }
  }

  /** Makes an image of a tar archive, tags it, and returns once it is there. */
  async importImage(tar: Buffer, image: { repo: string; tag: string; changes: string[] }): Promise<void> {
    const stream = await this.#call((abortSignal) =>
      // dockerode hands a Buffer on as it is, although its types ask for a stream.
      this.#docker.importImage(tar as unknown as NodeJS.ReadableStream, { ...image, abortSignal }),
    );
    const signal = AbortSignal.timeout(this.#timeoutMs);
    for await (const { error } of messages<ProgressMessage>(
      stream as unknown as Answer,
      signal,
      this.socketPath,
    ))
      if (error !== undefined) throw new DockerFailure(500, error);
  }

  listNetworks(label: string): Promise<NetworkRow[]> {
    return this.#call((abortSignal) =>
      this.#docker.listNetworks({ filters: { label: [label] }, abortSignal }),
    );
  }

  async createNetwork(options: Docker.NetworkCreateOptions): Promise<void> {
    await this.#call((abortSignal) => this.#docker.createNetwork({ ...options, abortSignal }));
  }

  async removeNetwork(id: string): Promise<void> {
    await this.#call((abortSignal) => this.#docker.getNetwork(id).remove({ abortSignal }));
  }

  /** Returns the engine's id of the new container. */
  async create(body: CreateBody): Promise<string> {
    return (await this.#call((abortSignal) => this.#docker.createContainer({ ...body, abortSignal }))).id;
  }

  async start(id: string): Promise<void> {
    await this.#call((abortSignal) => this.#docker.getContainer(id).start({ abortSignal }));
  }

  /** The image's stop signal (SIGTERM unless it names another), then SIGKILL after `graceSeconds`. */
  async stop(id: string, graceSeconds: number): Promise<void> {
    const timeoutMs = this.#timeoutMs + graceSeconds * 1000;
    await this.#call(
      (abortSignal) => this.#docker.getContainer(id).stop({ t: graceSeconds, abortSignal }),
      undefined,
      timeoutMs,
    );
  }

  async kill(id: string): Promise<void> {
    await this.#call((abortSignal) => this.#docker.getContainer(id).kill({ signal: 'SIGKILL', abortSignal }));
  }

  /** Kills it if it runs; its anonymous volumes go with it. */
  async remove(id: string): Promise<void> {
    await this.#call((abortSignal) =>
      this.#docker.getContainer(id).remove({ force: true, v: true, abortSignal }),
    );
  }

  /** Returns when the container is removed, by whomever. */
  async waitRemoved(id: string): Promise<void> {
    await this.#call((abortSignal) =>
      this.#docker.getContainer(id).wait({ condition: 'removed', abortSignal }),
    );
  }

  async pause(id: string): Promise<void> {
    await this.#call((abortSignal) => this.#docker.getContainer(id).pause({ abortSignal }));
  }

  async unpause(id: string): Promise<void> {
    await this.#call((abortSignal) => this.#docker.getContainer(id).unpause({ abortSignal }));
  }

  async update(id: string, limits: Docker.HostConfig): Promise<void> {
    await this.#call((abortSignal) => this.#docker.getContainer(id).update({ ...limits, abortSignal }));
  }

  inspect(id: string): Promise<ContainerDetails> {
    return this.#call((abortSignal) => this.#docker.getContainer(id).inspect({ abortSignal }));
  }

  /** Containers that have all of the labels (`key=value`), whatever their state. */
  list(...label: string[]): Promise<ContainerRow[]> {
    return this.#call((abortSignal) =>
      this.#docker.listContainers({ all: true, filters: { label }, abortSignal }),
    );
  }

  stats(id: string): Promise<StatsSample> {
    // The types do not know that it can be aborted.
    const once = (abortSignal: AbortSignal) =>
      ({ stream: false, 'one-shot': true, abortSignal }) as { stream: false };
    return this.#call((abortSignal) => this.#docker.getContainer(id).stats(once(abortSignal)));
  }

  /** The log as the engine multiplexes it, each message with its time. It breaks off when the signal aborts. */
  logs(
    id: string,
    { follow, tailLines, signal }: { follow: boolean; tailLines: number; signal: AbortSignal },
  ): Promise<Answer> {
    const query = { follow, tail: tailLines, stdout: 1, stderr: 1, timestamps: 1 };
    // Not container.logs(): without `follow` that gathers the whole log in memory first.
    return this.#call(
      (abortSignal) =>
        dial(this.#logDocker, {
          path: `/containers/${id}/logs?`,
          isStream: true,
          options: query,
          abortSignal,
        }),
      signal,
    );
  }

  /** Events of containers with the label, from now on until the stream breaks or the signal aborts. */
  async events(
    label: string,
    actions: readonly string[],
    signal: AbortSignal,
  ): Promise<AsyncGenerator<DockerEvent>> {
    const filters = { type: ['container' as const], event: [...actions], label: [label] };
    const stream = await this.#call(
      // The types do not know that it can be aborted.
      (abortSignal) => this.#docker.getEvents({ filters, abortSignal } as Docker.GetEventsOptions),
      signal,
    );
    return messages<DockerEvent>(stream as unknown as Answer, signal, this.socketPath);
  }

  async #call<T>(
    run: (signal: AbortSignal) => Promise<T>,
    signal?: AbortSignal,
    timeoutMs = this.#timeoutMs,
  ): Promise<T> {
    signal?.throwIfAborted();
    if (this.#gaveUp) throw noTime();
    const deadline = new AbortController();
    this.#deadlines.add(deadline);
    const cancel = this.#clock.after(timeoutMs, () =>
      deadline.abort(new Error(`no answer within ${timeoutMs} ms`)),
    );
    const given = signal ? AbortSignal.any([signal, deadline.signal]) : deadline.signal;
    // dockerode never settles when an answer breaks off in the middle: hence the race, and not the signal alone.
    const ended = new Promise<never>((_, reject) => {
      given.addEventListener('abort', () => reject(given.reason as Error), { once: true });
    });
    try {
      return await Promise.race([run(given), ended]);
    } catch (thrown) {
      signal?.throwIfAborted();
      throw explain(deadline.signal.aborted ? deadline.signal.reason : thrown, this.socketPath);
    } finally {
      cancel();
      this.#deadlines.delete(deadline);
    }
  }
}

const noTime = () => new PlatformError('shutting_down', 'there is no time to wait for the Docker Engine');

/** Asks by what dockerode itself asks with, whose types leave it open. */
function dial<T>(docker: Docker, request: Request): Promise<T> {
  const modem = docker.modem as {
    dial(o: object, done: (error: Error | null, answer: T) => void): void;
  };
  return new Promise((resolve, reject) => {
    modem.dial({ ...request, method: 'GET', statusCodes: { 200: true } }, (error, answer) =>
      error ? reject(error) : resolve(answer),
    );
  });
}

/** Lines of JSON, as they come. Returns when the signal aborts; `engine_unavailable` when the stream breaks. */
async function* messages<T>(stream: Answer, signal: AbortSignal, socketPath: string): AsyncGenerator<T> {
  const destroy = () => stream.destroy();
  signal.addEventListener('abort', destroy, { once: true });
  if (signal.aborted) destroy();
  const decoder = new StringDecoder();
  let rest = '';
  try {
    for await (const chunk of stream) {
      const lines = (rest + decoder.write(chunk)).split('\n');
      rest = lines.pop() ?? '';
      for (const line of lines) if (line.trim() !== '') yield JSON.parse(line) as T;
    }
  } catch (thrown) {
    if (!signal.aborted) throw explain(thrown, socketPath);
  } finally {
    signal.removeEventListener('abort', destroy);
    stream.destroy();
  }
}

/** What dockerode threw, as one of the two ways to fail. */
export function explain(thrown: unknown, socketPath: string): unknown {
  if (thrown instanceof PlatformError || !(thrown instanceof Error)) return thrown;
  const { statusCode, json, code } = thrown as { statusCode?: number; json?: unknown; code?: string };
  if (statusCode !== undefined) {
    const said = (json as { message?: unknown } | null | undefined)?.message;
    return new DockerFailure(statusCode, typeof said === 'string' ? said : thrown.message.trim(), thrown);
  }
  if (thrown instanceof TypeError || thrown instanceof SyntaxError) return thrown;
  const hint =
    code === 'EACCES' || code === 'EPERM'
      ? 'Run Mayfly as a user that may open the socket, e.g. a member of the group "docker".'
      : 'Start the Docker Engine (e.g. "systemctl start docker"), or use --engine process.';
  return new PlatformError(
    'engine_unavailable',
    `the Docker Engine at ${socketPath} does not answer: ${code ?? thrown.message}`,
    { cause: thrown, hint },
  );
}
