/**
 * The way from a container to the apps that its own needs. Their hostnames lead to the gateway of the node's network, where
 * the proxy has a door for containers: a file of ours takes the place of the container's /etc/hosts, because Docker takes
 * no further hosts for a container that joins another's network. Variables say the rest.
 */
import { chmodSync, writeFileSync } from 'node:fs';
import { mkdir, readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { StartSpec } from '../engine.ts';
import { needVariables } from '../need-variables.ts';
import type { Sandbox } from './sandbox-pool.ts';

export interface InsideDoor {
  /** Where the proxy listens for containers, at the gateway's address. */
  readonly port: number;
  /** Absolute folder of the files, for a path that the engine sees as well. */
  readonly folder: string;
}

/** What a container is made with, so that it finds its way. */
export interface Way {
  readonly env: Readonly<Record<string, string>>;
  /** What it sees as /etc/hosts. */
  readonly hostsPath: string;
}

export class WayToNeeds {
  readonly #door: InsideDoor;
  readonly #gateway: () => string | undefined;
  /** Containers whose files this process has made. */
  readonly #laid = new Set<string>();

  /** `gateway`: the network's own address. Undefined: it has none, and there is no way. */
  constructor(door: InsideDoor, gateway: () => string | undefined) {
    this.#door = door;
    this.#gateway = gateway;
  }

  /** Makes sure that the folder is there, and removes the files of containers that are not. */
  async prepare(containerIds: ReadonlySet<string>): Promise<void> {
    const { folder } = this.#door;
    await mkdir(folder, { recursive: true, mode: 0o700 });
    for (const containerId of await readdir(folder))
      if (!containerIds.has(containerId) && !this.#laid.has(containerId)) await this.remove(containerId);
  }

  /** Undefined where the app needs nothing. Errors: the file system's. */
  lay({ containerId, needs = [] }: StartSpec, sandbox: Sandbox): Way | undefined {
    const gateway = this.#gateway();
    if (needs.length === 0 || gateway === undefined) return undefined;
    const hostsPath = this.#path(containerId);
    this.#laid.add(containerId);
    const names = needs.flatMap(({ hosts }) => hosts);
    // A few lines, on the way of a cold start: handing them to another thread takes longer than writing them.
    writeFileSync(hostsPath, hostsFile(gateway, names, sandbox));
    chmodSync(hostsPath, 0o644); // whatever user the app runs as, and whatever our umask
    return { env: needVariables(needs, (host) => `${host}:${this.#door.port}`), hostsPath };
  }

  /** The container is gone, or about to. */
  async remove(containerId: string): Promise<void> {
    await rm(this.#path(containerId), { force: true });
    this.#laid.delete(containerId);
  }

  #path(containerId: string): string {
    return join(this.#door.folder, containerId);
  }
}

/** What Docker would have written, and the needs. The container has its sandbox's hostname. */
function hostsFile(gateway: string, hosts: readonly string[], { id, host }: Sandbox): string {
  const lines = [
    '127.0.0.1\tlocalhost',
    '::1\tlocalhost ip6-localhost ip6-loopback',
    `${host}\t${id.slice(0, HOSTNAME_LENGTH)}`,
    ...hosts.map((name) => `${gateway}\t${name}`),
  ];
  return `${lines.join('\n')}\n`;
}

/** Of a container that was given no hostname: the beginning of its id. */
const HOSTNAME_LENGTH = 12;
