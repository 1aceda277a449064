/** Apps as a proxy meets them: real HTTP servers, and servers that speak raw bytes to misbehave in ways HTTP servers cannot. */
import { createServer as createHttpServer } from 'node:http';
import type { IncomingMessage, RequestListener, Server as HttpServer } from 'node:http';
import { createServer as createNetServer } from 'node:net';
import type { AddressInfo, Server, Socket } from 'node:net';
import type { Endpoint } from '../../src/proxy/control-plane.ts';
import { endpoint } from './scripted-control-plane.ts';

export interface Upstream extends AsyncDisposable {
  readonly port: number;
  readonly endpoint: Endpoint;
  /** Connections open now. */
  readonly sockets: ReadonlySet<Socket>;
  /** Connections accepted since the start. */
  readonly accepted: number;
  close(): Promise<void>;
}

export interface UpstreamOptions {
  readonly containerId?: string;
  readonly concurrencyLimit?: number;
  /** 0: any. */
  readonly port?: number;
  /** Before it listens. */
  readonly configure?: (server: HttpServer) => void;
}

export function httpUpstream(listener: RequestListener, options: UpstreamOptions = {}): Promise<Upstream> {
  const server = createHttpServer({ keepAliveTimeout: 60_000 }, listener);
  options.configure?.(server);
  return listening(server, options);
}

export function rawUpstream(
  onConnection: (socket: Socket) => void,
  options: UpstreamOptions = {},
): Promise<Upstream> {
  const server = createNetServer({ allowHalfOpen: true }, (socket) => {
    socket.on('error', () => undefined);
    onConnection(socket);
  });
  return listening(server, options);
}

async function listening(server: Server, options: UpstreamOptions): Promise<Upstream> {
  const sockets = new Set<Socket>();
  let accepted = 0;
  server.on('connection', (socket: Socket) => {
    accepted++;
    sockets.add(socket);
    socket.once('close', () => sockets.delete(socket));
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(options.port ?? 0, '127.0.0.1', resolve);
  });
  const { port } = server.address() as AddressInfo;
  const close = () =>
    new Promise<void>((resolve) => {
      server.close(() => resolve());
      for (const socket of sockets) socket.destroy();
    });
  return {
    port,
    endpoint: endpoint(options.containerId ?? 'ctr_1', port, options.concurrencyLimit ?? 1_000),
    sockets,
    get accepted() {
      return accepted;
    },
    close,
    [Symbol.asyncDispose]: close,
  };
}

/** A port of this machine that nobody listens on. */
export async function deadPort(): Promise<number> {
  await using upstream = await rawUpstream(() => undefined);
  return upstream.port;
}

export async function readBody(message: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of message) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks);
}
