/**
 * What a caller may say about an app. Every object is strict: a misspelt field is refused by name instead of being
 * ignored.
 */
import { z } from 'zod';
import { parseHostPattern } from '../hostname.ts';
import { policyInput } from './schema-policy.ts';

const NUL = '\0';

/** A DNS label (RFC 1123, section 2.1): what an app may be called. */
export const APP_NAME = /^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/;

const ENV_KEY = /^[A-Za-z_][A-Za-z0-9_]*$/;
const IMAGE = /^[A-Za-z0-9][A-Za-z0-9._\-/:@]*$/;
/** Environment variables of an app. */
export const MAX_ENV_KEYS = 256;
/** Characters of the value of one. */
const MAX_ENV_VALUE = 32_768;
/** Names and values together, each with the sign between them: what a program is sure to be started with. */
export const MAX_ENV_BYTES = 128 * 1024;

/** Text that can be passed to a process: no NUL. */
const processText = (maxLength: number) =>
  z
    .string()
    .max(maxLength)
    .refine((text) => !text.includes(NUL), { error: 'must not contain a NUL character' });

const name = z
  .string()
  .regex(APP_NAME, {
    error: 'must be a DNS label: 1 to 63 lower-case letters, digits and inner hyphens',
  })
  .meta({ description: 'A DNS label, unique within the tenant.', example: 'hello' });

/** A hostname in any spelling; comes out in the one form that routing compares. */
const host = z
  .string()
  .max(1_024)
  .transform((text, context) => {
    const parsed = parseHostPattern(text);
    if (parsed.ok) return parsed.pattern;
    context.addIssue({ code: 'custom', message: parsed.reason });
    return z.NEVER;
  });

const hosts = z
  .array(host)
  .max(100)
  .transform((patterns) => [...new Set(patterns)])
  .meta({
    type: 'array',
    items: { type: 'string' },
    maxItems: 100,
    description:
      'Hostnames that reach the app: exact (shop.example) or wildcard (*.shop.example: any one or more labels in its ' +
      'place). Each belongs to one app. At most 100; an empty list parks the app.',
    example: ['hello.localhost'],
  });

/** Apps that one may name as its needs. */
export const NEEDS_MAX = 8;

const needs = z
  .array(z.string().regex(APP_NAME, { error: 'must be the name of an app' }))
  .max(NEEDS_MAX)
  .transform((names) => [...new Set(names)])
  .meta({
    type: 'array',
    items: { type: 'string' },
    maxItems: NEEDS_MAX,
    description:
      'Other apps of the tenant that this one needs: woken before it, in this order, and kept awake while it is. ' +
      'Its containers are told where they are reached (MAYFLY_NEED_<NAME>_URL and _HOST). At ' +
      `most ${String(NEEDS_MAX)}; what they need themselves comes first.`,
    example: ['db'],
  });

const image = z
  .string()
  .max(512)
  .regex(IMAGE, {
    error: 'must be an image reference such as nginx:1.27 or registry.example/team/app@sha256:…',
  })
  .meta({
    description: 'An image; its tag is resolved to a digest now, and containers run that digest.',
    example: 'mayfly/hello',
  });

const command = z
  .array(processText(32_768))
  .min(1)
  .max(256)
  .refine((words) => words[0] !== '', { error: 'must begin with the name of a program' })
  .meta({
    description: 'The program and its arguments; no shell. With an image it overrides the image’s own.',
    example: ['node', 'server.mjs'],
  });

const cwd = processText(4_096)
  .refine((path) => path.startsWith('/'), { error: 'must be an absolute path' })
  .meta({
    description: 'The folder that the command runs in, absolute (process engine).',
    example: '/srv/hello',
  });

const port = z
  .int()
  .min(1)
  .max(65_535)
  .meta({
    description:
      'Where the app listens inside its container. By default the one port that the image exposes, else 8080. The process ' +
      'engine gives the port instead, in PORT.',
  });

const envKey = z
  .string()
  .max(256)
  .regex(ENV_KEY, { error: 'an environment variable is letters, digits and underscores, not first a digit' })
  .refine((key) => key !== 'PORT', { error: 'PORT is set by Mayfly; use the field port' });

/** Variables by name. A record would leave `__proto__` out without a word, and JavaScript has a use of its own for it. */
function variables<V extends z.ZodType<string | null>>(value: V) {
  const record = z.record(envKey, value);
  return z
    .custom<z.input<typeof record>>((input) => !Object.hasOwn(Object(input) as object, '__proto__'), {
      path: ['__proto__'],
      error: 'cannot be the name of an environment variable',
    })
    .pipe(record)
    .refine((env) => Object.keys(env).length <= MAX_ENV_KEYS, {
      error: `at most ${String(MAX_ENV_KEYS)} variables`,
    });
}

const env = variables(processText(MAX_ENV_VALUE)).meta({
  type: 'object',
  additionalProperties: { type: 'string', maxLength: MAX_ENV_VALUE },
  description: 'Environment variables, at most 256 and 128 KiB in all. PORT is set by Mayfly.',
  example: { GREETING: 'hi' },
});

const envChange = variables(processText(MAX_ENV_VALUE).nullable()).meta({
  type: 'object',
  additionalProperties: { type: ['string', 'null'], maxLength: MAX_ENV_VALUE },
  description: 'Environment variables to set; null removes one; others stay.',
});

export const probe = z
  .discriminatedUnion('type', [
    z.strictObject({ type: z.literal('tcp') }),
    z.strictObject({
      type: z.literal('http'),
      path: z
        .string()
        .max(2_048)
        .regex(/^\/[\x21-\x7e]*$/, { error: 'must begin with / and hold no spaces' })
        .meta({ description: 'Answers 200 … 399 when the app serves.', example: '/healthz' }),
    }),
  ])
  .meta({
    id: 'Probe',
    description: 'How to tell that a container serves: its port accepts (tcp), or a path answers (http).',
    default: { type: 'tcp' },
  });

export const protocol = z.enum(['http1', 'h2c']).meta({
  description: 'What the app speaks: HTTP/1.1, or HTTP/2 without TLS from the first byte, as gRPC does.',
  default: 'http1',
});

const readOnly = z.boolean().meta({
  description:
    'The root file system cannot be written; /tmp can, and so can what the image declares as volumes, on the disk of the node.',
  default: false,
});

const runtime = {
  port: port.optional(),
  protocol: protocol.optional(),
  probe: probe.optional(),
  readOnly: readOnly.optional(),
};

interface WorkloadFields {
  image?: string | undefined;
  command?: string[] | undefined;
  cwd?: string | undefined;
}

/** A workload is an image, or a command in a folder; never neither, never a mixture. */
function checkWorkload(body: WorkloadFields, context: z.RefinementCtx): void {
  const refuse = (field: string, message: string) => {
    context.addIssue({ code: 'custom', path: [field], message });
  };
  if (body.image !== undefined) {
    if (body.cwd !== undefined)
      refuse('cwd', 'goes with a command without an image; leave one of the two out');
  } else if (body.command === undefined) {
    refuse('image', 'is needed, or a command and its cwd (process engine)');
  } else if (body.cwd === undefined) {
    refuse('cwd', 'is needed with a command that runs without an image');
  }
}

const appFields = {
  hosts,
  image: image.optional(),
  command: command.optional(),
  cwd: cwd.optional(),
  ...runtime,
  env: env.optional(),
  needs: needs.optional(),
  policy: policyInput.optional(),
};

/** POST /v1/apps. */
export const createAppBody = z
  .strictObject({ name, ...appFields })
  .superRefine(checkWorkload)
  .meta({ id: 'CreateApp', description: 'A new app: an image, or a command and its folder.' });

/** PUT /v1/apps/:name: the app as it is to be, whole; what is left out has its default. */
export const putAppBody = z
  .strictObject({ name: name.optional(), ...appFields })
  .superRefine(checkWorkload)
  .meta({ id: 'PutApp', description: 'The app as it is to be, whole; what is left out has its default.' });

const changes = {
  image: image.optional(),
  command: command.nullable().optional().meta({
    description: 'The program and its arguments; null goes back to the image’s own.',
  }),
  cwd: cwd.optional(),
  ...runtime,
  env: envChange.optional(),
};

/** PATCH /v1/apps/:name: what is left out stays. */
export const patchAppBody = z
  .strictObject({
    hosts: hosts.optional(),
    ...changes,
    needs: needs.optional(),
    policy: policyInput.optional(),
  })
  .meta({ id: 'PatchApp', description: 'What is to change; what is left out stays.' });

/** POST /v1/apps/:name/deploy: a new revision, even where nothing differs but the image behind its tag. */
export const deployBody = z.strictObject(changes).meta({
  id: 'Deploy',
  description:
    'A new revision. What is left out stays as it is; an empty object runs the same again, with the tag resolved anew.',
});

/** What a caller writes. */
export type CreateAppBody = z.input<typeof createAppBody>;
export type PutAppBody = z.input<typeof putAppBody>;
export type PatchAppBody = z.input<typeof patchAppBody>;
export type DeployBody = z.input<typeof deployBody>;
