/** Programs that benches need and this project does not bring: where they are, and which Debian package brings them. */
import { execFile } from 'node:child_process';
import { constants } from 'node:fs';
import { access } from 'node:fs/promises';
import { delimiter, join } from 'node:path';
import { promisify } from 'node:util';

const PACKAGES = {
  nginx: 'nginx',
  haproxy: 'haproxy',
  caddy: 'caddy',
  wrk: 'wrk',
  taskset: 'util-linux',
  unshare: 'util-linux',
  openssl: 'openssl',
  debootstrap: 'debootstrap',
} as const;
export type ProgramName = keyof typeof PACKAGES;

/** Its path; undefined where it is not installed. Servers are often in folders that only root's PATH names. */
export async function findProgram(program: ProgramName): Promise<string | undefined> {
  const folders = [...(process.env['PATH'] ?? '').split(delimiter), '/usr/local/sbin', '/usr/sbin', '/sbin'];
  for (const path of folders.filter((folder) => folder !== '').map((folder) => join(folder, program))) {
    const runs = await access(path, constants.X_OK).then(
      () => true,
      () => false,
    );
    if (runs) return path;
  }
  return undefined;
}

/** The same for one that nothing works without. Errors: it is not installed, with its package. */
export async function needProgram(program: ProgramName): Promise<string> {
  const path = await findProgram(program);
  if (path === undefined) throw new Error(isMissing(program));
  return path;
}

/** What to say where it is not installed. */
export function isMissing(program: ProgramName): string {
  return `${program} is not installed: apt-get install ${PACKAGES[program]}`;
}

/** The first figure with a dot in it that a program tells of itself. */
export async function versionOf(path: string, args: readonly string[]): Promise<string> {
  // wrk tells its version and then fails.
  const told = await promisify(execFile)(path, args).catch((failure: unknown) => failure);
  const { stdout = '', stderr = '' } = told as { stdout?: string; stderr?: string };
  return /\d+\.[\w.]+/.exec(stdout + stderr)?.[0] ?? 'unknown';
}
