/**
 * An app that takes the same CPU for every request and says who answered: a shell script behind busybox's web server (package
 * busybox-static), so that it listens some milliseconds after its start, on either engine. What a container of it may do
 * depends on its CPU alone.
 */
import { execFile } from 'node:child_process';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import type { CreateAppBody } from '../../src/coreapi/schema-app.ts';
import { buildTestImage } from '../../test/support/docker.ts';

export type EngineName = 'docker' | 'process';

export interface BurningApp {
  /** The part of an app's body that says what runs. */
  readonly workload: Pick<CreateAppBody, 'env'> &
    ({ image: string; port: number } | { command: string[]; cwd: string });
  /** Takes the CPU. */
  readonly path: string;
}

const BUSYBOX = '/bin/busybox';
const PORT = 8080;
/** Rounds of the loop that is timed to learn how long one takes. */
const TIMED_ROUNDS = 200_000;
/** Of each request, beside the loop: two processes are started. */
const OVERHEAD_MS = 1.5;

const LOOP = 'i=0; while [ $i -lt "$ROUNDS" ]; do i=$((i + 1)); done';
const SCRIPT = `#!/bin/sh
${LOOP}
printf 'Content-Type: text/plain\\r\\n\\r\\n%s' "$WHO"
`;

/** Each container is somebody else. A shell does not end at SIGTERM as the first process of a container unless it says so. */
const serve = (shell: string, folder: string) =>
  `export WHO=$(${shell}cat /proc/sys/kernel/random/uuid); ${shell}chmod 755 ${folder}/cgi-bin/work; ` +
  `trap 'kill $!; exit 0' TERM; ${shell}httpd -f -p "\${HOST:-0.0.0.0}:$PORT" -h ${folder} & wait`;

/** Makes what the engine needs to run it, and removes that when `use` is done. `cpuMs`: CPU that a request takes, about. */
export async function withBurningApp<T>(
  engine: EngineName,
  cpuMs: number,
  use: (app: BurningApp) => Promise<T>,
): Promise<T> {
  const env = { ROUNDS: String(await roundsFor(cpuMs)) };
  const path = '/cgi-bin/work';
  if (engine === 'docker') {
    const image = await buildTestImage({
      command: ['sh', '-c', serve('busybox ', '/www')],
      files: { '/www/cgi-bin/work': SCRIPT },
    });
    try {
      return await use({ workload: { image: image.name, port: PORT, env }, path });
    } finally {
      await image.remove();
    }
  }
  const cwd = await mkdtemp(join(tmpdir(), 'mayfly-bench-app-'));
  try {
    await mkdir(join(cwd, 'cgi-bin'));
    await writeFile(join(cwd, 'cgi-bin/work'), SCRIPT.replace('/bin/sh', `${BUSYBOX} sh`));
    const command = [BUSYBOX, 'sh', '-c', serve(`${BUSYBOX} `, '.')];
    return await use({ workload: { command, cwd, env }, path });
  } finally {
    await rm(cwd, { recursive: true, force: true });
  }
}

/** How often this machine runs the loop in that time; the best of some, for others may be running. */
async function roundsFor(cpuMs: number): Promise<number> {
  const timesMs: number[] = [];
  for (let i = 0; i < 3; i++) {
    const beganMs = performance.now();
    await promisify(execFile)(BUSYBOX, ['sh', '-c', LOOP], { env: { ROUNDS: String(TIMED_ROUNDS) } });
    timesMs.push(performance.now() - beganMs);
  }
  return Math.max(1, Math.round((TIMED_ROUNDS * (cpuMs - OVERHEAD_MS)) / Math.min(...timesMs)));
}
