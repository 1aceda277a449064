/**
 * The Core API over HTTP, as a function from a request to an answer: token first, then the bound on the body, then the
 * route. Every refusal is a problem document. Sockets are server.ts.
 */
import { OpenAPIHono } from '@hono/zod-openapi';
import type { MiddlewareHandler } from 'hono';
import { z } from 'zod';
import type { Clock } from '../../clock.ts';
import type { Store } from '../../cmdb/store.ts';
import { PlatformError } from '../../errors.ts';
import type { Log } from '../../log.ts';
import { AppLogs } from '../apps-logs.ts';
import { AppScaling } from '../apps-scale.ts';
import { Apps } from '../apps.ts';
import type { NodeGateway } from '../core-api.ts';
import { problemResponse } from '../problem.ts';
import { Scaling } from '../scaling.ts';
import { authenticate, requireOperator } from '../tokens.ts';
import { Reader } from '../views-read.ts';
import { boundedBody } from './body.ts';
import { addEndpoint, json, type Api, type ApiEnv } from './endpoint.ts';
import { invalidInput, toPlatformError } from './errors.ts';
import type { NdjsonOptions } from './ndjson.ts';
import { AppCertificates } from '../certificates.ts';
import { addAppRoutes } from './routes-apps.ts';
import { addCertificateRoutes } from './routes-certificates.ts';
import { addReadRoutes } from './routes-read.ts';
import { addScaleRoutes } from './routes-scale.ts';

/** Room for every field at its largest in practice; the whole of it is held in memory. */
const MAX_BODY_BYTES = 1024 ** 2;

const OPENAPI_PATH = '/v1/openapi.json';
const METRICS_PATH = '/metrics';
const METRICS_TYPE = 'text/plain; version=0.0.4; charset=utf-8';

export interface ApiOptions {
  readonly store: Store;
  readonly gateway: NodeGateway;
  readonly clock: Clock;
  readonly log: Log;
  readonly defaultTenantId: string;
  /** Says why it cannot serve yet; undefined when it can. */
  readonly ready: () => Promise<string | undefined>;
  /** The page of `/metrics`; without it there is none. */
  readonly metrics?: (() => Promise<string>) | undefined;
  /** Aborted, with a PlatformError, when the server stops. */
  readonly shutdown: AbortSignal;
}

export function createApi(options: ApiOptions): Api {
  const { store, gateway, clock, log, shutdown } = options;
  const api: Api = new OpenAPIHono<ApiEnv>({
    defaultHook: (result) => {
      if (!result.success) throw invalidInput(result.error, result.target);
    },
  });

  const onError = (thrown: unknown): PlatformError => {
    const error = toPlatformError(thrown, shutdown);
    if (error.code === 'internal') log.error({ err: error.cause ?? error }, 'a request broke the Core API');
    return error;
  };
  const streams: NdjsonOptions = { clock, shutdown, onError };
  api.onError((thrown) => {
    const error = onError(thrown);
    // Part of such a body may still be on its way: nothing else can follow on its connection.
    return problemResponse(error, error.code === 'body_too_large' ? { connection: 'close' } : {});
  });
  api.notFound((c) => unknownRoute(api, c.req.method, c.req.path));

  const authenticated: MiddlewareHandler<ApiEnv> = async (c, next) => {
    if (c.req.path === OPENAPI_PATH) return next();
    const token = /^Bearer +(\S+)$/i.exec(c.req.header('authorization') ?? '')?.[1];
    c.set('principal', await authenticate(token, options));
    return next();
  };
  api.use('/v1/*', authenticated);
  api.use('/v1/*', boundedBody(MAX_BODY_BYTES));

  addAppRoutes(api, new Apps({ store, gateway, clock }), streams);
  addScaleRoutes(api, new AppScaling(store, new Scaling(store, clock)));
  addCertificateRoutes(api, new AppCertificates({ store, clock }));
  addReadRoutes(api, { reader: new Reader(store), logs: new AppLogs({ store, gateway }), streams });
  addOpenRoutes(api, options.ready);
  if (options.metrics) {
    api.use(METRICS_PATH, authenticated);
    addMetrics(api, options.metrics);
  }
  return api;
}

/** What needs no token: health, and the description of the API itself. */
function addOpenRoutes(api: Api, ready: ApiOptions['ready']): void {
  const health = z.object({ status: z.string() });

  addEndpoint(api, {
    method: 'get',
    path: '/healthz',
    tag: 'health',
    summary: 'Alive',
    open: true,
    responses: { 200: json(health, 'The process answers') },
    handle: ({ c }) => c.json({ status: 'alive' }),
  });

  addEndpoint(api, {
    method: 'get',
    path: '/readyz',
    tag: 'health',
    summary: 'Able to serve',
    open: true,
    responses: { 200: json(health, 'The store answers and a node is registered') },
    handle: async ({ c }) => {
      const obstacle = await ready();
      if (obstacle === undefined) return c.json({ status: 'ready' });
      throw new PlatformError('not_ready', obstacle, { retryAfterMs: 1_000 });
    },
  });

  // It is large and needs no token: made once, when every route is there, and sent as it is.
  let document: string | undefined;
  addEndpoint(api, {
    method: 'get',
    path: OPENAPI_PATH,
    tag: 'health',
    summary: 'This description (OpenAPI 3.1)',
    open: true,
    responses: { 200: json(z.looseObject({}), 'An OpenAPI document') },
    handle: ({ c }) =>
      c.body((document ??= JSON.stringify(describe(api))), 200, { 'content-type': 'application/json' }),
  });
}

/** It names every tenant's apps: for the operator alone. */
function addMetrics(api: Api, render: () => Promise<string>): void {
  addEndpoint(api, {
    method: 'get',
    path: METRICS_PATH,
    tag: 'health',
    summary: 'What has been counted, as Prometheus reads it',
    responses: {
      200: { description: 'Text format 0.0.4', content: { 'text/plain': { schema: z.string() } } },
    },
    handle: async ({ c, principal }) => {
      requireOperator(principal, 'what the whole machine does');
      return c.body(await render(), 200, { 'content-type': METRICS_TYPE, 'cache-control': 'no-store' });
    },
  });
}

function describe(api: Api): object {
  api.openAPIRegistry.registerComponent('securitySchemes', 'bearer', { type: 'http', scheme: 'bearer' });
  return api.getOpenAPI31Document({
    openapi: '3.1.0',
    info: {
      title: 'Mayfly Core API',
      version: '1',
      description:
        'Apps that the first request starts. Times are in milliseconds, sizes in bytes, CPU in cores.',
    },
  });
}

/** 405 where the path is known and the method is not, else 404. */
function unknownRoute(api: Api, method: string, path: string): Response {
  const allowed = allowedMethods(api, path);
  if (allowed.length === 0) {
    const error = new PlatformError('not_found', `there is no ${path.slice(0, 200)} here`, {
      hint: `GET ${OPENAPI_PATH} lists what there is`,
    });
    return problemResponse(error);
  }
  const error = new PlatformError('method_not_allowed', `${path.slice(0, 200)} does not take ${method}`, {
    hint: `it takes ${allowed.join(', ')}`,
  });
  return problemResponse(error, { allow: allowed.join(', ') });
}

function allowedMethods(api: Api, path: string): string[] {
  const methods = api.openAPIRegistry.definitions.flatMap((definition) => {
    if (definition.type !== 'route') return [];
    const pattern = new RegExp(`^${definition.route.path.replaceAll(/\{\w+\}/g, '[^/]+')}$`);
    return pattern.test(path) ? [definition.route.method.toUpperCase()] : [];
  });
  return methods.includes('GET') ? [...methods, 'HEAD'] : methods;
}
