/** An app that a file tells of, and what options change of it. What is allowed is for the server to say. */
import { readFile } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';
import type { Context } from './context.ts';
import { UsageError } from './exit-codes.ts';

const MAX_FILE_BYTES = 1024 * 1024;

type Fields = Readonly<Record<string, unknown>>;

/**
 * An app from a JSON file, or from stdin (`-`). Its `cwd` is relative to the folder of the file, so that the file can
 * stand beside the program it tells of. Errors: UsageError.
 */
export async function readAppFile(path: string, context: Context): Promise<Fields> {
  const name = path === '-' ? 'stdin' : path;
  let content: unknown;
  try {
    content = JSON.parse(path === '-' ? await readAll(context) : await readFile(path, 'utf8'));
  } catch (thrown) {
    if (thrown instanceof UsageError) throw thrown;
    throw new UsageError(
      `--file ${name} cannot be read: ${thrown instanceof Error ? thrown.message : String(thrown)}`,
    );
  }
  if (!isObject(content)) throw new UsageError(`--file ${name} must hold one JSON object`);
  if (typeof content['cwd'] !== 'string') return content;
  return { ...content, cwd: resolve(path === '-' ? '.' : dirname(path), content['cwd']) };
}

async function readAll(context: Context): Promise<string> {
  const pieces: Buffer[] = [];
  let sizeBytes = 0;
  for await (const piece of context.io.stdin) {
    const bytes = Buffer.from(piece);
    sizeBytes += bytes.length;
    if (sizeBytes > MAX_FILE_BYTES) throw new UsageError('--file stdin is larger than 1 MiB');
    pieces.push(bytes);
  }
  return Buffer.concat(pieces).toString('utf8');
}

/** Options win over the file; of `env` and `policy`, field by field. */
export function withOptions(file: Fields, given: Fields): Record<string, unknown> {
  const merged = { ...file, ...given };
  for (const key of ['env', 'policy']) {
    if (key in given) merged[key] = overlay(file[key], given[key]);
  }
  // An image in an option replaces the file's command, which ran without one; a folder replaces the file's image.
  if (given['image'] !== undefined && file['image'] === undefined) {
    if (given['command'] === undefined) delete merged['command'];
    if (given['cwd'] === undefined) delete merged['cwd'];
  }
  if (given['cwd'] !== undefined && given['image'] === undefined) delete merged['image'];
  return merged;
}

/** `over` in place of `under`; where both have fields, each field of its own. */
function overlay(under: unknown, over: unknown): unknown {
  if (!isObject(under) || !isObject(over)) return over;
  const fields = Object.entries(over).map(([key, value]) => [key, overlay(under[key], value)]);
  return { ...under, ...Object.fromEntries(fields) };
}

function isObject(value: unknown): value is Fields {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
