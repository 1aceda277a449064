/**
 * The Core API on a socket. It is a control port: containers, which can reach whatever their host listens on through
 * their network's gateway, are turned away as they connect, before a byte is read. Slow senders have deadlines,
 * connections, the requests waiting on each and the answers not taken a bound, and stopping does not wait for those who
 * follow a log.
 */
import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import { getRequestListener } from '@hono/node-server';
import { sleep, type Clock } from '../../clock.ts';
import type { Store } from '../../cmdb/store.ts';
import { PlatformError } from '../../errors.ts';
import type { Log } from '../../log.ts';
import { refuseConnections, type Networks } from '../../networks.ts';
import type { NodeGateway } from '../core-api.ts';
import { ensureDefaults } from '../grades.ts';
import { problemResponse, toProblem, PROBLEM_TYPE } from '../problem.ts';
import { createApi } from './api.ts';
import { RequestTurns } from './request-turns.ts';
import { UnreadAnswers } from './unread-answers.ts';

const HEADERS_TIMEOUT_MS = 10_000;
const REQUEST_TIMEOUT_MS = 30_000;
const KEEP_ALIVE_MS = 15_000;
const MAX_CONNECTIONS = 2_000;
/** How long a stop lets answers be finished. */
const CLOSE_GRACE_MS = 1_000;
const READY_TIMEOUT_MS = 2_000;

export interface CoreApiServerOptions {
  readonly store: Store;
  readonly gateway: NodeGateway;
  readonly clock: Clock;
  readonly log: Log;
  /** Port 0: any free one. */
  readonly listen: { readonly host: string; readonly port: number };
  /** What else must be so before /readyz says yes: resolves to what is missing, or undefined. */
  readonly ready?: () => Promise<string | undefined>;
  /** The page of `/metrics`; without it there is none. */
  readonly metrics?: (() => Promise<string>) | undefined;
  /** Addresses that connections are refused from. */
  readonly refuseFrom?: Networks;
}

export interface CoreApiServer {
  readonly port: number;
  /** Ends streams, lets answers in the making finish for a second, and frees the port. Idempotent. */
  close(): Promise<void>;
}

/** Errors: what listening gives, e.g. EADDRINUSE; `store_unavailable`. */
export async function startCoreApi(options: CoreApiServerOptions): Promise<CoreApiServer> {
  const { store, gateway, clock, log, listen, refuseFrom } = options;
  const tenant = await ensureDefaults(store, clock);
  const shutdown = new AbortController();
  const api = createApi({
    store,
    gateway,
    clock,
    log,
    defaultTenantId: tenant.id,
    ready: () => obstacle(options),
    metrics: options.metrics,
    shutdown: shutdown.signal,
  });

  const server = createServer({
    headersTimeout: HEADERS_TIMEOUT_MS,
    requestTimeout: REQUEST_TIMEOUT_MS,
    keepAliveTimeout: KEEP_ALIVE_MS,
    connectionsCheckingInterval: 1_000,
    requireHostHeader: false, // the listener refuses it as well, with a problem document
  });
  server.maxConnections = MAX_CONNECTIONS;
  if (refuseFrom) refuseConnections(server, refuseFrom);
  closeSilent(server, clock);
  server.on('clientError', answerBrokenRequest);
  const unread = new UnreadAnswers();
  const listener = getRequestListener(api.fetch, {
    overrideGlobalObjects: false,
    errorHandler: (thrown) =>
      problemResponse(new PlatformError('bad_request', 'the request cannot be read', { cause: thrown })),
  });
  const turns = new RequestTurns({
    serve: (request, response) => void listener(request, response).then(() => unread.add(response)),
    onIdle: () => {
      if (shutdown.signal.aborted) server.closeAllConnections();
    },
  });
  server.on('request', (request, response) => turns.add(request, response));

  server.listen(listen.port, listen.host);
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  let closing: Promise<void> | undefined;

  const close = async () => {
    shutdown.abort(new PlatformError('shutting_down', 'the Core API is stopping', { retryAfterMs: 1_000 }));
    const closed = once(server, 'close');
    server.close();
    if (turns.idle) server.closeAllConnections();
    const giveUp = setTimeout(() => server.closeAllConnections(), CLOSE_GRACE_MS);
    await closed;
    clearTimeout(giveUp);
  };
  return { port, close: () => (closing ??= close()) };
}

/** What keeps it from serving. A store that hangs is one that does not answer. */
async function obstacle({ store, clock, ready }: CoreApiServerOptions): Promise<string | undefined> {
  const timeout = new AbortController();
  const late = sleep(clock, READY_TIMEOUT_MS, timeout.signal).then(
    () => 'the store does not answer in time',
    () => undefined,
  );
  const checks = async () => {
    const nodes = await store.list('node', { limit: 1_000 });
    if (!nodes.some((node) => node.state === 'up')) return 'no compute node is registered';
    return ready?.();
  };
  try {
    return await Promise.race([checks(), late]);
  } finally {
    timeout.abort();
  }
}

/** Node's deadlines begin with the first byte of a request; a connection that never sends one has this. */
function closeSilent(server: Server, clock: Clock): void {
  const deadlines = new WeakMap<Socket, () => void>();
  server.on('connection', (socket: Socket) => {
    const end = clock.after(HEADERS_TIMEOUT_MS, () => {
      if (socket.bytesRead === 0) socket.destroy();
    });
    deadlines.set(socket, end);
    socket.once('close', end);
  });
  server.on('request', ({ socket }: IncomingMessage) => deadlines.get(socket)?.());
}

/** Node's own parser gave up on it: no request object exists, so the answer is written by hand. */
function answerBrokenRequest(error: NodeJS.ErrnoException, socket: Socket): void {
  if (!socket.writable || error.code === 'ECONNRESET') {
    socket.destroy();
    return;
  }
  const problem = toProblem(brokenRequest(error.code));
  const body = JSON.stringify(problem);
  socket.end(
    `HTTP/1.1 ${problem.status} Refused\r\nContent-Type: ${PROBLEM_TYPE}\r\n` +
      `Content-Length: ${Buffer.byteLength(body)}\r\nConnection: close\r\n\r\n${body}`,
  );
}

function brokenRequest(code: string | undefined): PlatformError {
  if (code === 'HPE_HEADER_OVERFLOW') {
    return new PlatformError('headers_too_large', 'the header section is larger than 16 KiB');
  }
  if (code === 'ERR_HTTP_REQUEST_TIMEOUT') {
    return new PlatformError('request_timeout', 'the request did not arrive in time');
  }
  return new PlatformError('bad_request', 'this is not HTTP/1.1 as it can be read');
}
