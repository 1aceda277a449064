/** Bounds and defaults of `policy.wake`: who wakes a sleeping app, and what the others are told. */
import { z } from 'zod';
import type { WakeMatcher, WakePolicy } from '../cmdb/records.ts';

export const DEFAULT_WAKE = {
  ignore: [],
  reply: { status: 200, contentType: 'text/plain; charset=utf-8', body: '' },
  perMinute: null,
  waitingPage: false,
} as const satisfies WakePolicy;

/** Every request of a sleeping app is compared with all of them. */
const MATCHERS_MAX = 20;

const matcher = z
  .strictObject({
    path: z
      .string()
      .max(256)
      .regex(
        /^\/[^\s?#*\u007f-\uffff]*\*?$/,
        'must be a path such as /healthz, or /status/* for all below it',
      )
      .meta({
        description:
          'The path as it is sent, without the query: exactly this, or what begins so where it ends in *. Up to 256 characters.',
        example: '/healthz',
      })
      .optional(),
    method: z
      .string()
      .regex(/^[A-Z]{1,16}$/, 'must be a method in capitals, such as HEAD')
      .meta({ description: 'Exactly this method.', example: 'HEAD' })
      .optional(),
    userAgent: z
      .string()
      .max(128)
      .regex(/^[ -~]+$/, 'must be printable ASCII')
      .meta({
        description: 'Is contained in User-Agent, in upper or lower case. 1 … 128 characters.',
        example: 'UptimeRobot',
      })
      .optional(),
  })
  .refine(
    (one) => Object.values(one).some((value) => value !== undefined),
    'must say path, method or userAgent',
  );

const reply = z.strictObject({
  status: z
    .int()
    .min(200)
    .max(599)
    .meta({ description: 'Its status. 200 … 599.', default: DEFAULT_WAKE.reply.status })
    .optional(),
  contentType: z
    .string()
    .max(128)
    .regex(/^[ -~]+$/, 'must be printable ASCII')
    .meta({ description: 'Its Content-Type.', default: DEFAULT_WAKE.reply.contentType })
    .optional(),
  body: z
    .string()
    .max(1_024)
    .meta({ description: 'Its body. Up to 1024 characters.', default: DEFAULT_WAKE.reply.body })
    .optional(),
});

/** Records do not change, so neither do lists that come from them. */
const matchers: z.ZodType<readonly WakeMatcher[], readonly WakeMatcher[]> = z
  .array(matcher)
  .max(MATCHERS_MAX)
  .meta({
    description: `Requests that do not wake the app when it sleeps, but are answered with reply. One of these has to match, and of it all that it says. Up to ${MATCHERS_MAX}.`,
    default: DEFAULT_WAKE.ignore,
  });

export const wakeInput = z.strictObject({
  ignore: matchers.optional(),
  reply: reply.optional(),
  perMinute: z
    .int()
    .min(1)
    .max(600)
    .nullable()
    .meta({
      description:
        'How often visitors may wake it: so many times at once, and once more every 60/perMinute seconds. 1 … 600; null: any number.',
      default: DEFAULT_WAKE.perMinute,
    })
    .optional(),
  waitingPage: z
    .boolean()
    .meta({
      description: 'Browsers that load a page see one that waits for the app, instead of waiting themselves.',
      default: DEFAULT_WAKE.waitingPage,
    })
    .optional(),
});
