/** Caddy as a reverse proxy, without its admin port and its certificates. Go takes as many threads as it has cores: one. */
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { freePort } from '../../../test/support/program.ts';
import type { Peer, Setup } from './peer.ts';
import { processTree } from './process-tree.ts';
import type { Workshop } from './workshop.ts';

export async function startCaddy(
  workshop: Workshop,
  path: string,
  { upstreamPorts: [upstreamPort = 0] }: Setup,
): Promise<Peer> {
  const { folder, children, cores } = workshop;
  const port = await freePort();
  const configPath = join(folder, 'Caddyfile');
  await writeFile(
    configPath,
    `{
  admin off
  auto_https off
  grace_period 100ms
  log {
    level ERROR
  }
}
http://:${port} {
  bind 127.0.0.1
  reverse_proxy 127.0.0.1:${upstreamPort} {
    transport http {
      keepalive 1h
      keepalive_idle_conns_per_host 256
    }
  }
}
`,
  );
  const child = await children.start({
    name: 'caddy',
    command: path,
    args: ['run', '--config', configPath, '--adapter', 'caddyfile'],
    core: cores.proxy,
    env: { HOME: folder, XDG_DATA_HOME: folder, XDG_CONFIG_HOME: folder },
    port,
  });
  return { name: 'caddy', port, pids: () => processTree(child.pid), isJit: false };
}
