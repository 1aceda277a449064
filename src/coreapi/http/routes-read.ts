/** The routes that read: apps and what belongs to them, containers, nodes, grades, logs and events. */
import type { AppLogs } from '../apps-logs.ts';
import { appParams, eventQuery, logQuery, pageQuery } from '../schema-query.ts';
import {
  appView,
  containerView,
  eventView,
  gradeView,
  logLine,
  nodeView,
  page,
  revisionView,
} from '../schema-views.ts';
import type { Reader } from '../views-read.ts';
import { addEndpoint, json, lines, type Api } from './endpoint.ts';
import { ndjsonResponse, type NdjsonOptions } from './ndjson.ts';

const inOrder = 'Oldest first; `next` is the cursor for the page after.';

export function addReadRoutes(
  api: Api,
  { reader, logs, streams }: { reader: Reader; logs: AppLogs; streams: NdjsonOptions },
): void {
  addEndpoint(api, {
    method: 'get',
    path: '/v1/apps',
    tag: 'apps',
    summary: 'List apps',
    description: inOrder,
    request: { query: pageQuery },
    responses: { 200: json(page(appView), 'A page of apps') },
    handle: async ({ c, principal, query }) => c.json(await reader.apps(principal, query)),
  });

  addEndpoint(api, {
    method: 'get',
    path: '/v1/apps/{name}',
    tag: 'apps',
    summary: 'Show an app',
    request: { params: appParams },
    responses: { 200: json(appView, 'The app') },
    handle: async ({ c, principal, params }) => {
      const app = await reader.app(principal, params.name);
      return c.json(app, 200, { etag: `"${app.generation}"` });
    },
  });

  addEndpoint(api, {
    method: 'get',
    path: '/v1/apps/{name}/revisions',
    tag: 'apps',
    summary: 'List the revisions of an app',
    description: inOrder,
    request: { params: appParams, query: pageQuery },
    responses: { 200: json(page(revisionView), 'A page of revisions') },
    handle: async ({ c, principal, params, query }) =>
      c.json(await reader.revisions(principal, params.name, query)),
  });

  addEndpoint(api, {
    method: 'get',
    path: '/v1/apps/{name}/containers',
    tag: 'containers',
    summary: 'List the containers of an app',
    description: inOrder,
    request: { params: appParams, query: pageQuery },
    responses: { 200: json(page(containerView), 'A page of containers') },
    handle: async ({ c, principal, params, query }) =>
      c.json(await reader.containersOf(principal, params.name, query)),
  });

  addEndpoint(api, {
    method: 'get',
    path: '/v1/apps/{name}/logs',
    tag: 'containers',
    summary: 'Read or follow the log of an app',
    description:
      'Empty lines keep a silent stream alive. A failure on the way is a last line of type `error`.',
    request: { params: appParams, query: logQuery },
    responses: { 200: lines(logLine, 'Lines, oldest first') },
    handle: ({ principal, params, query }) =>
      ndjsonResponse((signal) => logs.open(principal, params.name, query, signal), streams),
  });

  addEndpoint(api, {
    method: 'get',
    path: '/v1/containers',
    tag: 'containers',
    summary: 'List the containers of all apps',
    description: inOrder,
    request: { query: pageQuery },
    responses: { 200: json(page(containerView), 'A page of containers') },
    handle: async ({ c, principal, query }) => c.json(await reader.containers(principal, query)),
  });

  addEndpoint(api, {
    method: 'get',
    path: '/v1/events',
    tag: 'events',
    summary: 'Read or follow what happened, and why',
    description:
      'Oldest first within the page. Without `after` the page is that of the newest events; `before` goes back from there. ' +
      'With `follow` a stream: the page, then every further event.',
    request: { query: eventQuery },
    responses: {
      200: {
        description: 'A page of events, or a stream of them',
        content: { ...json(page(eventView), '').content, ...lines(eventView, '').content },
      },
    },
    handle: async ({ c, principal, query }) =>
      query.follow === true
        ? ndjsonResponse((signal) => reader.followEvents(principal, query, signal), streams)
        : c.json(await reader.events(principal, query)),
  });

  addEndpoint(api, {
    method: 'get',
    path: '/v1/nodes',
    tag: 'nodes',
    summary: 'List the compute nodes',
    request: { query: pageQuery },
    responses: { 200: json(page(nodeView), 'A page of nodes') },
    handle: async ({ c, principal, query }) => c.json(await reader.nodes(principal, query)),
  });

  addEndpoint(api, {
    method: 'get',
    path: '/v1/grades',
    tag: 'nodes',
    summary: 'List the named sizes',
    responses: { 200: json(page(gradeView), 'All grades, from small to large') },
    handle: async ({ c }) => c.json(await reader.grades()),
  });
}
