/** The routes that change apps. Parse, call the service, show: nothing is decided here. */
import type { Apps, ChangeOptions } from '../apps.ts';
import type { AppSpec } from '../core-api.ts';
import { createAppBody, deployBody, patchAppBody, putAppBody } from '../schema-app.ts';
import { appParams, ifMatchHeaders, putHeaders } from '../schema-query.ts';
import { appView, changeLine } from '../schema-views.ts';
import { viewApp } from '../views.ts';
import { addEndpoint, json, lines, type Api, type ApiContext } from './endpoint.ts';
import { NDJSON_TYPE, ndjsonResponse, type NdjsonOptions } from './ndjson.ts';
import { withProgress } from './progress.ts';

const TAG = 'apps';
const STREAMS =
  'With `Accept: application/x-ndjson` the answer is 200 and a stream: progress while the image is pulled, then a line of ' +
  'type `result` or `error`.';

const answer = {
  description: 'The app as it is now',
  content: { ...json(appView, '').content, ...lines(changeLine, '').content },
};

type Changed = AppSpec & { created?: boolean };

export function addAppRoutes(api: Api, apps: Apps, streams: NdjsonOptions): void {
  /** Answers with the app, or with a stream that ends with it. */
  async function change(
    c: ApiContext,
    work: (options: ChangeOptions) => Promise<Changed>,
  ): Promise<Response> {
    if (!c.req.header('accept')?.includes(NDJSON_TYPE)) {
      const signal = AbortSignal.any([c.req.raw.signal, streams.shutdown]);
      return showChange(c, await work({ signal }));
    }
    return ndjsonResponse(
      (signal) =>
        withProgress(async (onProgress) => {
          const changed = await work({ signal, onProgress });
          return { type: 'result', created: changed.created ?? false, app: viewApp(changed) };
        }),
      streams,
    );
  }

  addEndpoint(api, {
    method: 'post',
    path: '/v1/apps',
    tag: TAG,
    summary: 'Create an app',
    description: `Nothing is started: the first request for one of its hosts does. ${STREAMS}`,
    request: { body: createAppBody },
    responses: { 201: answer, 200: lines(changeLine, 'A stream, where one was asked for') },
    handle: ({ c, principal, body }) =>
      change(c, async (options) => ({ ...(await apps.create(principal, body, options)), created: true })),
  });

  addEndpoint(api, {
    method: 'put',
    path: '/v1/apps/{name}',
    tag: TAG,
    summary: 'Make an app what the body says',
    description: `Creates it where there is none. The same body twice changes nothing. ${STREAMS}`,
    request: { params: appParams, headers: putHeaders, body: putAppBody },
    responses: { 200: answer, 201: json(appView, 'The app that was created') },
    handle: ({ c, principal, params, headers, body }) =>
      change(c, (options) =>
        apps.put(principal, params.name, body, {
          ...options,
          ifMatch: headers['if-match'],
          ifNoneMatch: headers['if-none-match'],
        }),
      ),
  });

  addEndpoint(api, {
    method: 'patch',
    path: '/v1/apps/{name}',
    tag: TAG,
    summary: 'Change parts of an app',
    description: `There is a new revision only where what runs has changed. ${STREAMS}`,
    request: { params: appParams, headers: ifMatchHeaders, body: patchAppBody },
    responses: { 200: answer },
    handle: ({ c, principal, params, headers, body }) =>
      change(c, (options) =>
        apps.change(principal, params.name, body, { ...options, ifMatch: headers['if-match'] }),
      ),
  });

  addEndpoint(api, {
    method: 'post',
    path: '/v1/apps/{name}/deploy',
    tag: TAG,
    summary: 'Give an app a new revision',
    description: `Running containers are replaced without a failed request. ${STREAMS}`,
    request: { params: appParams, headers: ifMatchHeaders, optionalBody: deployBody },
    responses: { 200: answer },
    handle: ({ c, principal, params, headers, body }) =>
      change(c, (options) =>
        apps.deploy(principal, params.name, body, { ...options, ifMatch: headers['if-match'] }),
      ),
  });

  addEndpoint(api, {
    method: 'delete',
    path: '/v1/apps/{name}',
    tag: TAG,
    summary: 'Delete an app',
    description: 'Its hosts are free at once; its containers finish what they serve and go.',
    request: { params: appParams, headers: ifMatchHeaders },
    responses: { 204: { description: 'It is gone' } },
    handle: async ({ c, principal, params, headers }) => {
      await apps.delete(principal, params.name, { ifMatch: headers['if-match'] });
      return c.body(null, 204);
    },
  });
}

function showChange(c: ApiContext, changed: Changed): Response {
  const view = viewApp(changed);
  const headers = { etag: `"${view.generation}"` };
  if (changed.created !== true) return c.json(view, 200, headers);
  return c.json(view, 201, { ...headers, location: `/v1/apps/${view.name}` });
}
