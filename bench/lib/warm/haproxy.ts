/** HAProxy with one thread; it may splice bodies in the kernel, which is what it does best. */
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { freePort } from '../../../test/support/program.ts';
import type { Peer, Setup } from './peer.ts';
import { processTree } from './process-tree.ts';
import type { Workshop } from './workshop.ts';

export async function startHaproxy(workshop: Workshop, path: string, setup: Setup): Promise<Peer> {
  const { folder, children, cores } = workshop;
  const port = await freePort();
  const configPath = join(folder, `haproxy-${port}.cfg`);
  const mapPath = join(folder, `haproxy-${port}.map`);
  const routes = setup.hostsByApp?.flatMap((hosts, app) => hosts.map((host) => `${host} app${app}`)) ?? [];
  await writeFile(mapPath, `${routes.join('\n')}\n`);
  await writeFile(configPath, config(port, mapPath, setup));
  const args = ['-db', '-f', configPath];
  const child = await children.start({ name: 'haproxy', command: path, args, core: cores.proxy, port });
  return { name: 'haproxy', port, pids: () => processTree(child.pid), isJit: false };
}

function config(port: number, mapPath: string, setup: Setup): string {
  const { upstreamPorts, hostsByApp, tls, accessLog } = setup;
  const backends = upstreamPorts.map(
    (upstream, app) => `
backend app${app}
  server container 127.0.0.1:${upstream}`,
  );
  return `global
  nbthread 1
  maxconn 4096
${accessLog ? '  log stdout format raw local0' : ''}
defaults
  mode http
  timeout connect 5s
  timeout client 1h
  timeout server 1h
  timeout http-keep-alive 1h
  http-reuse always
  option splice-auto
  option forwardfor
${accessLog ? '  log global\n  option httplog' : ''}
frontend front
  bind 127.0.0.1:${port}${tls ? ` ssl crt ${tls.pemPath}` : ''}
  http-request set-header X-Forwarded-Proto ${tls ? 'https' : 'http'}
${hostsByApp ? `  use_backend %[req.hdr(host),lower,map(${mapPath},app0)]` : ''}
  default_backend app0
${backends.join('\n')}
`;
}
