/**
 * One route: what it takes and answers, as a schema, and the function that serves it. The schema is registered for the
 * OpenAPI document in the same call that routes to the function, so the two cannot drift apart.
 */
import type { OpenAPIHono, RouteConfig } from '@hono/zod-openapi';
import type { Context } from 'hono';
import { z } from 'zod';
import { problemView } from '../schema-views.ts';
import type { Principal } from '../tokens.ts';

export interface ApiEnv {
  Variables: { principal: Principal };
}

export type Api = OpenAPIHono<ApiEnv>;
export type ApiContext = Context<ApiEnv>;

interface RequestSchemas {
  params?: z.ZodObject;
  query?: z.ZodType;
  headers?: z.ZodObject;
  /** JSON. `optional`: nothing at all stands for an empty object. */
  body?: z.ZodType;
  optionalBody?: z.ZodType;
}

type Output<T> = T extends z.ZodType ? z.output<T> : undefined;

/** What a handler is given: all of it validated. */
export interface Input<R extends RequestSchemas> {
  readonly c: ApiContext;
  readonly principal: Principal;
  readonly params: Output<R['params']>;
  readonly query: Output<R['query']>;
  readonly headers: Output<R['headers']>;
  readonly body: Output<R['body'] extends z.ZodType ? R['body'] : R['optionalBody']>;
}

export interface Endpoint<R extends RequestSchemas> {
  readonly method: 'get' | 'post' | 'put' | 'patch' | 'delete';
  /** With parameters as `{name}`. */
  readonly path: string;
  readonly summary: string;
  readonly description?: string;
  readonly tag: string;
  /** Needs no token. */
  readonly open?: boolean;
  readonly request?: R;
  readonly responses: RouteConfig['responses'];
  readonly handle: (input: Input<R>) => Response | Promise<Response>;
}

/** Unless a route says which it takes. Open ones take any: what asks for a server's health may add one to pass by caches. */
const noQuery = z.strictObject({});

export function addEndpoint<R extends RequestSchemas>(api: Api, endpoint: Endpoint<R>): void {
  const { method, path, summary, description, tag, open = false, request, responses, handle } = endpoint;
  const body = request?.body ?? request?.optionalBody;
  const config: RouteConfig = {
    method,
    path,
    summary,
    ...(description !== undefined && { description }),
    tags: [tag],
    ...(!open && { security: [{ bearer: [] }] }),
    request: {
      ...(request?.params && { params: request.params }),
      query: (request?.query ?? (open ? z.looseObject({}) : noQuery)) as z.ZodObject,
      ...(request?.headers && { headers: request.headers }),
      ...(body && {
        body: { content: { 'application/json': { schema: body } }, required: request?.body !== undefined },
      }),
    },
    responses: {
      ...responses,
      default: {
        description: 'What went wrong',
        content: { 'application/problem+json': { schema: problemView } },
      },
    },
  };
  // The library's handler type follows from a literal route; ours is generic, and `Input` says the same.
  const valid = (c: Context, part: string) => c.req.valid(part as never) as unknown;
  const handler = (c: ApiContext) =>
    handle({
      c,
      principal: c.get('principal'),
      params: request?.params && valid(c, 'param'),
      query: request?.query && valid(c, 'query'),
      headers: request?.headers && valid(c, 'header'),
      body: body && valid(c, 'json'),
    } as Input<R>);
  api.openapi(config, handler as never);
}

/** A JSON answer, for a route's `responses`. */
export function json(schema: z.ZodType, description: string) {
  return { description, content: { 'application/json': { schema } } };
}

/** An answer of JSON lines; `json` where it may also come as one JSON document. */
export function lines(line: z.ZodType, description: string) {
  return { description, content: { 'application/x-ndjson': { schema: line } } };
}
