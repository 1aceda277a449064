/** A Core API on a real socket, with the memory store behind it and nodes that do what a test says. */
import { expect, onTestFinished } from 'vitest';
import { systemClock, type Clock } from '../../src/clock.ts';
import { openMemoryStore } from '../../src/cmdb/memory.ts';
import type { Container } from '../../src/cmdb/records.ts';
import type { Store } from '../../src/cmdb/store.ts';
import { createClient, type Client } from '../../src/coreapi/client.ts';
import type { NodeGateway } from '../../src/coreapi/core-api.ts';
import {
  startCoreApi,
  type CoreApiServer,
  type CoreApiServerOptions,
} from '../../src/coreapi/http/server.ts';
import type { Problem } from '../../src/coreapi/schema.ts';
import { ensureOperatorToken } from '../../src/coreapi/tokens.ts';
import { PlatformError } from '../../src/errors.ts';
import { newId } from '../../src/ids.ts';
import type { Log } from '../../src/log.ts';
import { container } from '../support/records.ts';

export const TOKEN = 'an-operator-token-for-tests';

interface GatewayLine {
  readonly atMs: number;
  readonly stream: 'stdout' | 'stderr';
  readonly text: string;
}

/** What one container has written; goes on until `end`. */
export class FakeLog {
  readonly #lines: GatewayLine[] = [];
  #ended = false;
  #wake = new Set<() => void>();
  /** Readers that follow it at this moment. */
  followers = 0;

  write(...texts: string[]): void {
    this.#lines.push(...texts.map((text) => ({ atMs: 1, stream: 'stdout' as const, text })));
    for (const wake of this.#wake) wake();
  }

  end(): void {
    this.#ended = true;
    for (const wake of this.#wake) wake();
  }

  async *read({
    follow,
    tailLines,
    signal,
  }: Parameters<NodeGateway['logs']>[1]): AsyncGenerator<GatewayLine> {
    let position = Math.max(0, this.#lines.length - tailLines);
    this.followers++;
    try {
      for (;;) {
        while (position < this.#lines.length) yield this.#lines[position++] as GatewayLine;
        if (!follow || this.#ended || signal.aborted) return;
        await new Promise<void>((resolve) => {
          this.#wake.add(resolve);
          signal.addEventListener('abort', () => resolve(), { once: true });
        });
      }
    } finally {
      this.followers--;
    }
  }
}

export class FakeGateway implements NodeGateway {
  types: ('image' | 'command')[] = ['image', 'command'];
  readonly images = new Map<string, { digest: string; exposedPort: number | null }>();
  readonly logsOf = new Map<string, FakeLog>();
  /** How often an image was asked for. */
  resolutions = 0;
  /** What happens before an image is found: progress, waiting, failing. */
  beforePull: (onProgress: Parameters<NodeGateway['resolveImage']>[1], signal: AbortSignal) => Promise<void> =
    () => Promise.resolve();

  readonly resolveImage: NodeGateway['resolveImage'] = async (image, onProgress, signal) => {
    this.resolutions++;
    await this.beforePull(onProgress, signal);
    const found = this.images.get(image);
    if (!found)
      throw new PlatformError('image_not_found', `image ${image} is not there`, { hint: 'build it' });
    return found;
  };

  workloads(): readonly ('image' | 'command')[] {
    return this.types;
  }

  logs({ id }: Container, options: Parameters<NodeGateway['logs']>[1]): AsyncIterable<GatewayLine> {
    const log = this.logsOf.get(id);
    if (log) return log.read(options);
    throw new PlatformError('not_found', `container ${id} does not exist`);
  }
}

export interface LogEntry {
  readonly level: string;
  readonly details: unknown;
  readonly message: string;
}

/** Keeps what is logged, as text that a test can search. */
export function recordingLog(): Log & { readonly entries: LogEntry[] } {
  const entries: LogEntry[] = [];
  const at =
    (level: string) =>
    (details: unknown, message = '') =>
      void entries.push({ level, details, message });
  return { entries, debug: at('debug'), info: at('info'), warn: at('warn'), error: at('error') } as never;
}

export interface Api {
  readonly url: string;
  readonly port: number;
  readonly client: Client;
  readonly store: Store;
  readonly gateway: FakeGateway;
  readonly log: ReturnType<typeof recordingLog>;
  readonly server: CoreApiServer;
  /** A request with the operator's token; `body` is sent as JSON. */
  readonly call: (method: string, path: string, options?: CallOptions) => Promise<Response>;
}

export interface CallOptions {
  readonly body?: unknown;
  readonly headers?: Record<string, string>;
  readonly signal?: AbortSignal;
}

/** Starts one, with an image `web:1` that exposes port 80, and stops it when the test is over. */
export async function startApi(
  options: Partial<Pick<CoreApiServerOptions, 'ready' | 'refuseFrom' | 'store'>> & { clock?: Clock } = {},
): Promise<Api> {
  const { store = openMemoryStore(), clock = systemClock, ...rest } = options;
  const gateway = new FakeGateway();
  gateway.images.set('web:1', { digest: 'sha256:1111', exposedPort: 80 });
  const log = recordingLog();
  await ensureOperatorToken(store, { fromEnv: TOKEN });
  const listen = { host: '127.0.0.1', port: 0 };
  const server = await startCoreApi({ store, clock, gateway, log, listen, ...rest });
  onTestFinished(async () => {
    await server.close();
    await store.close();
  });
  const url = `http://127.0.0.1:${server.port}`;
  const call: Api['call'] = (method, path, { body, headers, signal } = {}) =>
    fetch(url + path, {
      method,
      headers: {
        authorization: `Bearer ${TOKEN}`,
        ...(body !== undefined && { 'content-type': 'application/json' }),
        ...headers,
      },
      ...(body !== undefined && { body: typeof body === 'string' ? body : JSON.stringify(body) }),
      ...(signal && { signal }),
    });
  const client = createClient({ url, token: TOKEN });
  return { url, port: server.port, client, store, gateway, log, server, call };
}

/** Ids sort by their millisecond; containers that a test adds one after another are given one each. */
let containerMs = Date.now();

/** A container of the app as a compute node would have recorded it, with an empty log. */
export async function addContainer(
  { store, gateway }: Api,
  appId: string,
  change: Partial<Container> = {},
): Promise<{ id: string; log: FakeLog }> {
  const { id = newId('ctr', containerMs++) } = change;
  const { generation: _, ...record } = container({ appId, ...change, id });
  await store.commit([{ op: 'create', kind: 'container', record }]);
  const log = new FakeLog();
  gateway.logsOf.set(id, log);
  return { id, log };
}

/** The first `count` items of a stream. */
export async function take<T>(source: AsyncIterable<T>, count: number): Promise<T[]> {
  const items: T[] = [];
  for await (const item of source) {
    items.push(item);
    if (items.length === count) break;
  }
  return items;
}

/** The problem document that a request is refused with. */
export async function refusal(
  api: Api,
  method: string,
  path: string,
  options: CallOptions = {},
): Promise<Problem & { headers: Headers }> {
  const answer = await api.call(method, path, options);
  expect(answer.headers.get('content-type')).toBe('application/problem+json');
  const problem = (await answer.json()) as Problem;
  expect(problem.status).toBe(answer.status);
  expect(problem.type).toBe(`urn:mayfly:error:${problem.code}`);
  return { ...problem, headers: answer.headers };
}
