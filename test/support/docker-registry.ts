/** A real image registry (Debian package docker-registry) on loopback, to which Docker speaks plain HTTP. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { docker } from './docker.ts';
import { until } from './until.ts';

const BINARY = '/usr/bin/docker-registry';

/** Why there can be no registry here; undefined if there can. With CI=true that is a failure, not a reason. */
export function whyNoRegistry(): string | undefined {
  if (existsSync(BINARY)) return undefined;
  const reason = `${BINARY} is missing (package docker-registry)`;
  if (process.env.CI === 'true') throw new Error(reason);
  return reason;
}

export interface Registry {
  /** `127.0.0.1:port`, the first part of its images' names. */
  readonly host: string;
  close(): Promise<void>;
}

export async function openRegistry(): Promise<Registry> {
  const folder = await mkdtemp(join(tmpdir(), 'mayfly-registry-'));
  const host = `127.0.0.1:${await freePort()}`;
  const config = {
    version: '0.1',
    log: { level: 'error' },
    storage: { filesystem: { rootdirectory: join(folder, 'data') } },
    http: { addr: host },
  };
  await writeFile(join(folder, 'config.yml'), JSON.stringify(config)); // JSON is YAML
  const child = spawn(BINARY, ['serve', join(folder, 'config.yml')], { stdio: 'ignore' });
  const gone = once(child, 'exit');
  const close = async () => {
    child.kill('SIGKILL');
    await gone;
    await rm(folder, { recursive: true, force: true });
  };
  try {
    await until('the registry to answer', () =>
      fetch(`http://${host}/v2/`).then(
        ({ ok }) => ok,
        () => false,
      ),
    );
  } catch (error) {
    await close();
    throw error;
  }
  return { host, close };
}

/** Pushes an image that bears the registry's name. */
export async function push(name: string): Promise<void> {
  const split = name.lastIndexOf(':');
  const path = `/images/${name.slice(0, split)}/push?tag=${name.slice(split + 1)}`;
  const auth = Buffer.from('{}').toString('base64url');
  const answer = await docker('POST', path, undefined, { 'X-Registry-Auth': auth });
  const said = answer.body.toString();
  if (answer.status !== 200 || said.includes('"error"'))
    throw new Error(`the push of ${name} failed: ${said}`);
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}
