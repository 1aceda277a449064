/** What may stand in a path, a query or a header. Numbers arrive as text; an unknown parameter is refused by name. */
import { z } from 'zod';

/** A whole number in a query string. */
function wholeText(bounds: { min: number; max: number }, fallback: number | undefined, text: string) {
  const { min, max } = bounds;
  const schema = z
    .string()
    .regex(/^\d{1,16}$/, { error: 'must be a whole number' })
    .transform(Number)
    .pipe(z.int().min(min).max(max));
  return schema.optional().meta({
    type: 'integer',
    description: `${text} ${String(min)} … ${String(max)}.`,
    ...(fallback === undefined ? {} : { default: fallback }),
  });
}

/** `1`/`true` or `0`/`false`. */
const flag = (text: string) =>
  z
    .enum(['0', '1', 'false', 'true'])
    .transform((value) => value === '1' || value === 'true')
    .optional()
    .meta({ type: 'string', enum: ['0', '1', 'false', 'true'], description: text, default: '0' });

const text = (description: string) => z.string().min(1).max(100).optional().meta({ description });

export const DEFAULT_PAGE = 100;
export const DEFAULT_TAIL_LINES = 100;

export const appParams = z.object({
  name: z.string().min(1).max(100).meta({ description: 'The name of an app, or its id.', example: 'hello' }),
});

export const pageQuery = z.strictObject({
  limit: wholeText({ min: 1, max: 1_000 }, DEFAULT_PAGE, 'Items on a page, which 1 MiB of them ends before.'),
  after: text('The `next` of the page before.'),
});

export const eventQuery = z
  .strictObject({
    app: text('Only those of this app, by name or id.'),
    container: text('Only those of this container.'),
    after: wholeText(
      { min: 0, max: Number.MAX_SAFE_INTEGER },
      undefined,
      'Events with a greater sequence, oldest first. Without it: the newest.',
    ),
    before: wholeText(
      { min: 0, max: Number.MAX_SAFE_INTEGER },
      undefined,
      'The newest of the events with a smaller sequence. Not together with `after` or `follow`.',
    ),
    limit: wholeText({ min: 1, max: 1_000 }, DEFAULT_PAGE, 'Items on a page.'),
    follow: flag('Go on with what happens from now on, as application/x-ndjson.'),
  })
  .refine((query) => query.after === undefined || query.before === undefined, {
    path: ['before'],
    error: 'cannot be given together with after',
  })
  .refine((query) => query.before === undefined || query.follow !== true, {
    path: ['before'],
    error: 'cannot be given together with follow',
  });

export const logQuery = z.strictObject({
  tail: wholeText({ min: 0, max: 10_000 }, DEFAULT_TAIL_LINES, 'The last so many lines that exist already.'),
  follow: flag('Go on with what is written from now on, also by the containers that come after this one.'),
  container: text('A container of the app. Unless told: those that live, or the newest where none does.'),
});

/** `*`, or entity tags such as `"3"`: generations (RFC 9110, section 13.1). */
const entityTags = (description: string, example: string) =>
  z
    .string()
    .max(200)
    .regex(/^(\*|"\d{1,15}"( *, *"\d{1,15}")*)$/, {
      error: 'must be * or a generation in quotes, such as "3"',
    })
    .transform((tags): '*' | number[] => (tags === '*' ? tags : (tags.match(/\d+/g) ?? []).map(Number)))
    .optional()
    .meta({ type: 'string', description, example });

export const ifMatchHeaders = z.object({
  'if-match': entityTags('Only if the app is at this generation (its ETag).', '"3"'),
});

export const putHeaders = ifMatchHeaders.extend({
  'if-none-match': entityTags('Only if the app is not at this generation; *: only if there is none.', '*'),
});

export interface PageOptions {
  /** 1 … 1,000; 100 unless told. There may be fewer, though others follow: `next` tells. */
  limit?: number | undefined;
  /** The `next` of the page before. */
  after?: string | undefined;
}

export interface EventOptions {
  /** By name or id. */
  app?: string | undefined;
  container?: string | undefined;
  after?: number | undefined;
  before?: number | undefined;
  limit?: number | undefined;
}

export interface LogOptions {
  /** 0 … 10,000; 100 unless told. */
  tail?: number | undefined;
  follow?: boolean | undefined;
  container?: string | undefined;
}
