/**
 * `/metrics` on a port of its own, for a Prometheus that brings no token: whoever reaches the port may read it, so it listens
 * on loopback unless told otherwise.
 */
import { createServer } from 'node:http';
import type { ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { PlatformError } from '../errors.ts';
import type { Log } from '../log.ts';
import { refuseConnections } from '../networks.ts';
import type { Networks } from '../networks.ts';
import { CONTENT_TYPE } from './exposition.ts';

const MAX_CONNECTIONS = 64;
const TIMEOUT_MS = 10_000;

export interface MetricsServerOptions {
  /** Port 0: any free one. */
  readonly listen: { readonly host: string; readonly port: number };
  readonly render: () => Promise<string>;
  readonly log: Log;
  /** Addresses that connections are refused from. */
  readonly refuseFrom?: Networks | undefined;
}

export interface MetricsServer {
  readonly port: number;
  close(): Promise<void>;
}

/** Errors: what `listen` gives, e.g. EADDRINUSE. */
export async function startMetricsServer(options: MetricsServerOptions): Promise<MetricsServer> {
  const { listen, render, log, refuseFrom } = options;
  const server = createServer({ requestTimeout: TIMEOUT_MS, headersTimeout: TIMEOUT_MS });
  server.maxConnections = MAX_CONNECTIONS;
  if (refuseFrom) refuseConnections(server, refuseFrom);
  server.on('request', (request, response) => {
    const path = (request.url ?? '').split('?', 1)[0];
    if (path !== '/metrics') {
      answer(response, 404, 'There is only /metrics here.\n');
    } else if (request.method !== 'GET' && request.method !== 'HEAD') {
      response.setHeader('allow', 'GET, HEAD');
      answer(response, 405, 'This is only read.\n');
    } else {
      render().then(
        (page) => answer(response, 200, page, CONTENT_TYPE),
        (thrown: unknown) => {
          const { status, code, message } = PlatformError.from(thrown);
          log.warn({ code, err: thrown }, 'metrics could not be gathered');
          answer(response, status, `${code}: ${message}\n`);
        },
      );
    }
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(listen, () => {
      server.off('error', reject);
      resolve();
    });
  });
  const { port } = server.address() as AddressInfo;
  return {
    port,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

function answer(response: ServerResponse, status: number, text: string, type = 'text/plain'): void {
  response.writeHead(status, { 'content-type': type, 'cache-control': 'no-store' }).end(text);
}
