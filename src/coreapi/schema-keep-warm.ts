/** Bounds and defaults of `policy.keepWarm`: the hours in which an app is kept ready although nobody asks for it. */
import { z } from 'zod';
import type { KeepWarmHours } from '../cmdb/records.ts';
import { parseDays } from './decisions/keep-warm.ts';
import { isTimeZone } from './decisions/zoned-time.ts';

/** What hours are that say only when they begin and end. */
export const DEFAULT_HOURS = { days: 'mon-sun', timeZone: 'UTC', replicas: 1 } as const satisfies Omit<
  KeepWarmHours,
  'from' | 'to'
>;

export type HoursInput = Pick<KeepWarmHours, 'from' | 'to'> & {
  readonly [K in keyof typeof DEFAULT_HOURS]?: KeepWarmHours[K] | undefined;
};

/** Each look at the app goes through all of them. */
const HOURS_MAX = 20;

const hours = (replicasMax: number) =>
  z
    .strictObject({
      days: z
        .string()
        .max(64)
        .refine((text) => parseDays(text) !== undefined, 'must be days such as mon-fri or sat,sun')
        .meta({
          description: 'The days on which they begin: mon-fri, or sat,sun.',
          default: DEFAULT_HOURS.days,
          example: 'mon-fri',
        })
        .optional(),
      from: z
        .string()
        .regex(/^([01]\d|2[0-3]):[0-5]\d$/, 'must be a time of day such as 08:00')
        .meta({ description: 'When they begin.', example: '08:00' }),
      to: z
        .string()
        .regex(/^(([01]\d|2[0-3]):[0-5]\d|24:00)$/, 'must be a time of day such as 18:00, or 24:00')
        .meta({
          description: 'When they end, on the next day where that is not later than from.',
          example: '18:00',
        }),
      timeZone: z
        .string()
        .max(64)
        .refine(isTimeZone, 'must be a time zone such as Europe/Berlin')
        .meta({
          description: 'Where it is that time (IANA).',
          default: DEFAULT_HOURS.timeZone,
          example: 'Europe/Berlin',
        })
        .optional(),
      replicas: z
        .int()
        .min(1)
        .max(replicasMax)
        .meta({
          description: `Containers kept ready; at most maxReplicas. 1 … ${replicasMax}.`,
          default: DEFAULT_HOURS.replicas,
        })
        .optional(),
    })
    .refine(({ from, to }) => from !== to, { path: ['to'], message: 'must be another time than from' });

export function keepWarmInput(replicasMax: number): z.ZodType<readonly HoursInput[], readonly HoursInput[]> {
  return z
    .array(hours(replicasMax))
    .max(HOURS_MAX)
    .meta({
      description: `Hours in which containers are kept ready as by minReplicas. Up to ${HOURS_MAX}.`,
      default: [],
    });
}
