/** What a caller may say about a certificate, and what is answered: never the key. */
import { z } from 'zod';
import { MAX_CHAIN_BYTES, MAX_KEY_BYTES } from '../certificate.ts';
import { APP_NAME } from './schema-app.ts';
import { appParams } from './schema-query.ts';

const epochMs = (text: string) => z.int().meta({ description: `${text} Milliseconds since the epoch.` });

export const certificateParams = appParams.extend({
  certificate: z
    .string()
    .regex(APP_NAME, { error: 'must be a DNS label: 1 to 63 lower-case letters, digits and inner hyphens' })
    .meta({ description: 'What the certificate is called, unique within the app.', example: 'main' }),
});

/** PUT /v1/apps/:name/certificates/:certificate. */
export const putCertificateBody = z
  .strictObject({
    chain: z
      .string()
      .max(MAX_CHAIN_BYTES)
      .meta({ description: 'PEM: the certificate first, then what leads from it to a root.' }),
    key: z
      .string()
      .max(MAX_KEY_BYTES)
      .meta({ description: 'PEM, without a passphrase. It is never shown again.' }),
  })
  .meta({ id: 'PutCertificate', description: 'A certificate and its key.' });

export const certificateView = z
  .object({
    name: z.string(),
    hosts: z
      .array(z.string())
      .meta({ description: 'What it is shown for: its names that are hosts of the app now.' }),
    names: z.array(z.string()).meta({ description: 'The DNS names it is for.' }),
    issuer: z.string(),
    fingerprint: z.string().meta({ description: 'SHA-256 of the certificate.' }),
    notBeforeMs: epochMs('When it begins to be valid.'),
    expiresAtMs: epochMs('When it ceases to be valid.'),
    createdAtMs: epochMs('When one was given under this name first.'),
    generation: z.int().meta({ description: 'One more with every change.' }),
  })
  .meta({ id: 'Certificate', description: 'A certificate of an app. Its key is not shown.' });

export type PutCertificateBody = z.input<typeof putCertificateBody>;
export type CertificateView = z.output<typeof certificateView>;
