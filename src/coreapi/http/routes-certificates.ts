/** The routes of apps' certificates. Parse, call the service, show: nothing is decided here. */
import type { AppCertificates, ServedCertificate } from '../certificates.ts';
import { certificateParams, certificateView, putCertificateBody } from '../schema-certificates.ts';
import type { CertificateView } from '../schema-certificates.ts';
import { appParams } from '../schema-query.ts';
import { page } from '../schema-views.ts';
import { addEndpoint, json, type Api } from './endpoint.ts';

const TAG = 'certificates';

export function addCertificateRoutes(api: Api, certificates: AppCertificates): void {
  addEndpoint(api, {
    method: 'get',
    path: '/v1/apps/{name}/certificates',
    tag: TAG,
    summary: 'List the certificates of an app',
    request: { params: appParams },
    responses: { 200: json(page(certificateView), 'All of them, oldest first') },
    handle: async ({ c, principal, params }) => {
      const items = await certificates.list(principal, params.name);
      return c.json({ items: items.map(view), next: null });
    },
  });

  addEndpoint(api, {
    method: 'get',
    path: '/v1/apps/{name}/certificates/{certificate}',
    tag: TAG,
    summary: 'Show a certificate, without its key',
    request: { params: certificateParams },
    responses: { 200: json(certificateView, 'The certificate') },
    handle: async ({ c, principal, params }) =>
      c.json(view(await certificates.get(principal, params.name, params.certificate))),
  });

  addEndpoint(api, {
    method: 'put',
    path: '/v1/apps/{name}/certificates/{certificate}',
    tag: TAG,
    summary: 'Give an app a certificate, or a newer one',
    description:
      'It is shown on new TLS connections for those of its names that are hosts of the app; open ones stay as they are.',
    request: { params: certificateParams, body: putCertificateBody },
    responses: {
      200: json(certificateView, 'The certificate as it is now'),
      201: json(certificateView, 'The certificate that was added'),
    },
    handle: async ({ c, principal, params, body }) => {
      const put = await certificates.put(principal, params.name, params.certificate, body);
      return c.json(view(put), put.created ? 201 : 200);
    },
  });

  addEndpoint(api, {
    method: 'delete',
    path: '/v1/apps/{name}/certificates/{certificate}',
    tag: TAG,
    summary: 'Delete a certificate',
    request: { params: certificateParams },
    responses: { 204: { description: 'It is gone' } },
    handle: async ({ c, principal, params }) => {
      await certificates.delete(principal, params.name, params.certificate);
      return c.body(null, 204);
    },
  });
}

function view({ certificate, servedNames }: ServedCertificate): CertificateView {
  const { name, names, issuer, fingerprint, notBeforeMs, expiresAtMs, createdAtMs, generation } = certificate;
  return {
    name,
    hosts: [...servedNames],
    names: [...names],
    ...{ issuer, fingerprint, notBeforeMs, expiresAtMs, createdAtMs, generation },
  };
}
