/** Whoever runs the paper's container and makes it more: Mayfly, or a person with HAProxy and Docker's command line. */
import type { Resources } from '../../../src/cmdb/records.ts';
import { dockerJson } from '../../../test/support/docker.ts';
import { processLimits } from '../../../test/support/kernel-limits.ts';
import { ensureDebianImage, type DebianRecipe } from '../debian-image.ts';

/** What the paper's container has, and what becomes of it. */
export const SIZE: Resources = { cpu: 0.3, memoryBytes: 512 * 2 ** 20, pidsMax: 256 };
export const REPLICAS_AFTER = 2;
export const CPU_AFTER = 0.6;

export type SubjectName = 'mayfly' | 'by hand';

export interface Subject {
  readonly name: SubjectName;
  /** On 127.0.0.1. */
  readonly port: number;
  readonly host: string;
  /** The engine's id of its container; asked while there is one. */
  container(): Promise<string>;
  /** A second container beside the first. Resolves when the instruction has been accepted, or sooner. */
  scaleOut(): Promise<void>;
  /** Twice the CPU for the first one. */
  scaleUp(): Promise<void>;
  close(): Promise<void>;
}

/** Apache with mod_php as Debian ships it, and a page that calls phpinfo(). */
const APACHE_PHP: DebianRecipe = {
  name: 'mayfly-bench/apache-php',
  packages: ['apache2', 'libapache2-mod-php'],
  files: { 'var/www/html/index.php': '<?php phpinfo();\n' },
  // As apachectl does it, but without a shell that stays as process 1 and takes no signals.
  command: ['sh', '-c', '. /etc/apache2/envvars; mkdir -p "$APACHE_RUN_DIR"; exec apache2 -DFOREGROUND'],
  port: 80,
};
/** index.html is Debian's own, and would be found first. */
export const PATH = '/index.php';
export const PORT = APACHE_PHP.port;

export function ensureImage(signal: AbortSignal): Promise<string> {
  return ensureDebianImage(APACHE_PHP, signal);
}

/** A running container, as the engine and the kernel see it. */
export interface Running {
  readonly id: string;
  readonly startedAt: string;
  /** Cores, as its cgroup has it now. */
  cpu(): number;
}

export async function look(subject: Subject): Promise<Running> {
  const id = await subject.container();
  const { State } = await dockerJson<{ State: { Pid: number; StartedAt: string } }>(
    'GET',
    `/containers/${id}/json`,
  );
  return { id, startedAt: State.StartedAt, cpu: () => processLimits(State.Pid).cpu };
}
