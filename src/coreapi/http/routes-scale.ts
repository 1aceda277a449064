/** The route that forces a size. */
import type { AppScaling } from '../apps-scale.ts';
import { appParams, ifMatchHeaders } from '../schema-query.ts';
import { scaleBody, scaleView } from '../schema-scale.ts';
import { addEndpoint, json, type Api } from './endpoint.ts';

export function addScaleRoutes(api: Api, scaling: AppScaling): void {
  addEndpoint(api, {
    method: 'post',
    path: '/v1/apps/{name}/scale',
    tag: 'apps',
    summary: 'Give an app another size by force',
    description:
      'Wider or narrower (replicas), stronger or weaker (cpu, memoryBytes or a grade), within its policy, the quota and ' +
      'the nodes’ room. No mode and no cooldown holds it back. It lasts until another size is decided, by a further ' +
      'instruction, by load, or because the app falls asleep; what is to last belongs into the policy. The answer says ' +
      'what was decided; nodes carry it out from then on, without a failed request.',
    request: { params: appParams, headers: ifMatchHeaders, body: scaleBody },
    responses: { 202: json(scaleView, 'What was decided') },
    handle: async ({ c, principal, params, headers, body }) =>
      c.json(await scaling.scale(principal, params.name, body, { ifMatch: headers['if-match'] }), 202),
  });
}
