/**
 * What a revision holds, as a pure function of what was and what is asked. Two contents are compared by value: asking
 * again for what is there already makes no new revision.
 */
import { isDeepStrictEqual } from 'node:util';
import type { Revision, Workload } from '../cmdb/records.ts';
import { PlatformError } from '../errors.ts';
import { MAX_ENV_BYTES, MAX_ENV_KEYS, type DeployBody, type PutAppBody } from './schema-app.ts';

/** The fields of a revision that a caller decides on. */
export type RevisionContent = Pick<Revision, 'workload' | 'env' | 'port' | 'protocol' | 'probe' | 'readOnly'>;

/** What an image reference resolved to. */
export interface ImageFound {
  readonly digest: string;
  readonly exposedPort: number | null;
}

const DEFAULT_PORT = 8080;

/** The content alone: what is given may be a revision, with all that a record has beside it. */
export function contentOf(content: RevisionContent): RevisionContent {
  const { workload, env, port, protocol, probe, readOnly } = content;
  return { workload, env, port, protocol, probe, readOnly };
}

/** Whether deploying the one over the other would change anything. */
export function sameContent(a: RevisionContent, b: RevisionContent): boolean {
  return isDeepStrictEqual(contentOf(a), contentOf(b));
}

/** The content of an app given whole. `found` is there where `body.image` is; the schema has seen to the rest. */
export function wholeContent(body: PutAppBody, found: ImageFound | undefined): RevisionContent {
  return checked({
    workload: wholeWorkload(body, found),
    env: checkedEnv(body.env ?? {}),
    port: body.port ?? found?.exposedPort ?? DEFAULT_PORT,
    protocol: body.protocol ?? 'http1',
    probe: body.probe ?? { type: 'tcp' },
    readOnly: body.readOnly ?? false,
  });
}

function wholeWorkload(
  { image, command, cwd }: PutAppBody | DeployBody,
  found: ImageFound | undefined,
): Workload {
  if (image !== undefined && found)
    return { type: 'image', image, digest: found.digest, command: command ?? null };
  if (command && cwd !== undefined) return { type: 'command', command, cwd };
  throw refused(command ? 'cwd' : 'command', 'is needed for an app without an image');
}

/**
 * The image that has to be resolved before the change can be made: a new one, or on a deploy the present one, whose tag
 * may have moved on.
 */
export function imageToResolve(body: DeployBody, current: Workload, deploy: boolean): string | undefined {
  if (body.image !== undefined) return body.image;
  return deploy && current.type === 'image' && body.cwd === undefined ? current.image : undefined;
}

/**
 * The content after a change: what is left out stays. `found` is what `imageToResolve` resolved to.
 * Errors: `invalid_body` where image, command and cwd do not go together.
 */
export function changedContent(
  body: DeployBody,
  current: RevisionContent,
  found: ImageFound | undefined,
): RevisionContent {
  const workload = changedWorkload(body, current.workload, found);
  const becameImage = workload.type === 'image' && current.workload.type !== 'image';
  return checked({
    workload,
    env: changedEnv(body.env, current.env),
    port: body.port ?? (becameImage ? (found?.exposedPort ?? DEFAULT_PORT) : current.port),
    protocol: body.protocol ?? current.protocol,
    probe: body.probe ?? current.probe,
    readOnly: body.readOnly ?? current.readOnly,
  });
}

/** A probe asks in HTTP/1.1; nobody takes the machine's own files from a plain process. */
function checked(content: RevisionContent): RevisionContent {
  if (content.protocol === 'h2c' && content.probe.type === 'http')
    throw refused('probe', 'must be tcp for an app that speaks h2c alone');
  if (content.readOnly && content.workload.type === 'command')
    throw refused('readOnly', 'is for images; a command without one writes where its user may');
  return content;
}

function changedWorkload(body: DeployBody, current: Workload, found: ImageFound | undefined): Workload {
  const { image, command, cwd } = body;
  if (image !== undefined && cwd !== undefined) {
    throw refused('cwd', 'goes with a command without an image; leave one of the two out');
  }
  if (cwd !== undefined && current.type === 'image') return wholeWorkload(body, undefined);
  if (current.type === 'command') {
    if (image !== undefined) return wholeWorkload(body, found);
    if (command === null) throw refused('command', 'is needed for an app without an image');
    return { type: 'command', command: command ?? current.command, cwd: cwd ?? current.cwd };
  }
  return {
    type: 'image',
    image: image ?? current.image,
    digest: found?.digest ?? current.digest,
    command: command === undefined ? current.command : command,
  };
}

function changedEnv(change: DeployBody['env'], current: Revision['env']): Revision['env'] {
  if (change === undefined) return current;
  const merged: Record<string, string | null> = { ...current, ...change };
  const kept = Object.entries(merged).filter((entry): entry is [string, string] => entry[1] !== null);
  return checkedEnv(Object.fromEntries(kept));
}

/** However many changes brought it together. */
function checkedEnv(env: Revision['env']): Revision['env'] {
  const variables = Object.entries(env);
  if (variables.length > MAX_ENV_KEYS) throw refused('env', `holds at most ${MAX_ENV_KEYS} variables`);
  const bytes = variables.reduce((sum, variable) => sum + Buffer.byteLength(variable.join('=')), 0);
  if (bytes > MAX_ENV_BYTES)
    throw refused(
      'env',
      `holds at most ${MAX_ENV_BYTES / 1024} KiB in all, names and values, not ${bytes} bytes`,
    );
  return env;
}

/** What a revision runs, in one phrase for an event. Never its environment. */
export function describe(workload: Workload): string {
  return workload.type === 'image'
    ? `image ${workload.image} (${workload.digest.slice(0, 19)})`
    : `command ${workload.command[0] ?? ''} in ${workload.cwd}`;
}

function refused(field: string, reason: string): PlatformError {
  return new PlatformError('invalid_body', `${field} ${reason}`, { fields: [{ field, reason }] });
}
