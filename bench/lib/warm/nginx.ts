/** nginx as a reverse proxy with one worker, keep-alive on both sides, and the forwarding fields that all peers set. */
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { freePort } from '../../../test/support/program.ts';
import type { Peer, Setup } from './peer.ts';
import { processTree } from './process-tree.ts';
import type { Workshop } from './workshop.ts';

export async function startNginx(workshop: Workshop, path: string, setup: Setup): Promise<Peer> {
  const { folder, children, cores } = workshop;
  const port = await freePort();
  const configPath = join(folder, `nginx-${port}.conf`);
  await writeFile(configPath, config(folder, port, setup));
  const args = ['-e', 'stderr', '-p', folder, '-c', configPath];
  const child = await children.start({ name: 'nginx', command: path, args, core: cores.proxy, port });
  return { name: 'nginx', port, pids: () => processTree(child.pid), isJit: false };
}

function config(folder: string, port: number, setup: Setup): string {
  const { upstreamPorts, hostsByApp, tls, accessLog } = setup;
  const upstreams = upstreamPorts.map(
    (upstream, app) => `
  upstream app${app} {
    server 127.0.0.1:${upstream} max_fails=0;
    keepalive 256;
    keepalive_requests 1000000000;
    keepalive_timeout 1h;
  }`,
  );
  const routes = hostsByApp?.flatMap((hosts, app) => hosts.map((host) => `    ${host} app${app};`));
  const map = routes
    ? `
  map_hash_max_size 65536;
  map_hash_bucket_size 128;
  map $host $app {
    default app0;
${routes.join('\n')}
  }`
    : '';
  const certificate = tls
    ? `
    ssl_certificate ${tls.certPath};
    ssl_certificate_key ${tls.keyPath};`
    : '';
  return `daemon off;
${process.getuid?.() === 0 ? 'user root;' : ''}
worker_processes 1;
pid nginx-${port}.pid;
error_log stderr error;
events { worker_connections 8192; }
http {
  access_log ${accessLog ? `${join(folder, 'nginx-access.log')} combined buffer=64k flush=1s` : 'off'};
  keepalive_requests 1000000000;
  keepalive_timeout 1h;
  client_body_temp_path nginx-body;
  proxy_temp_path nginx-proxy;
  fastcgi_temp_path nginx-fastcgi;
  uwsgi_temp_path nginx-uwsgi;
  scgi_temp_path nginx-scgi;${upstreams.join('')}${map}
  server {
    listen 127.0.0.1:${port} ${tls ? 'ssl ' : ''}backlog=4096;${certificate}
    location / {
      proxy_pass http://${hostsByApp ? '$app' : 'app0'};
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_set_header Host $host;
      proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
      proxy_set_header X-Forwarded-Proto $scheme;
    }
  }
}
`;
}
