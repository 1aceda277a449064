/** nginx and HAProxy between the clients and the apps of the differential tests: as they are configured by default, one lane each. */
import { execFile, spawn } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { CaseApp } from '../test/support/differential.ts';
import type { Lane } from '../test/support/differential.ts';
import type { Lanes } from '../test/support/differential-mayfly.ts';
import { freePort } from '../test/support/program.ts';
import { Recorder } from '../test/support/recorder.ts';
import { until } from '../test/support/until.ts';

const LANES = 16;

interface Way {
  readonly port: number;
  readonly appPort: number;
}

export interface Peer {
  readonly name: string;
  /** Debian's. */
  readonly command: string;
  readonly versionArgs: readonly string[];
  config(folder: string, ways: readonly Way[]): string;
  args(folder: string, configPath: string): readonly string[];
}

/** Time-outs are short, so that the end of each case can be waited for; all else that is here has to be said. */
export const NGINX: Peer = {
  name: 'nginx',
  command: '/usr/sbin/nginx',
  versionArgs: ['-v'],
  args: (folder, configPath) => ['-e', 'stderr', '-p', folder, '-c', configPath],
  config: (folder, ways) => `daemon off;
${process.getuid?.() === 0 ? 'user root;' : ''}
worker_processes 1;
pid ${join(folder, 'nginx.pid')};
error_log stderr crit;
events { worker_connections 4096; }
http {
  access_log off;
  client_body_temp_path ${folder}/body;
  proxy_temp_path ${folder}/proxy;
  fastcgi_temp_path ${folder}/fastcgi;
  uwsgi_temp_path ${folder}/uwsgi;
  scgi_temp_path ${folder}/scgi;
  client_header_timeout 500ms;
  client_body_timeout 500ms;
  keepalive_timeout 300ms;
  proxy_http_version 1.1;
  proxy_set_header Connection "";
  map $http_host $asked { '' $host; default $http_host; }
  proxy_set_header Host $asked;
${ways
  .map(
    ({ port, appPort }, i) => `
  upstream app${i} { server 127.0.0.1:${appPort} max_fails=0; keepalive 8; }
  server { listen 127.0.0.1:${port}; location / { proxy_pass http://app${i}; } }`,
  )
  .join('')}
}
`,
};

export const HAPROXY: Peer = {
  name: 'HAProxy',
  command: '/usr/sbin/haproxy',
  versionArgs: ['-v'],
  args: (_folder, configPath) => ['-db', '-f', configPath],
  config: (_folder, ways) => `global
  nbthread 1
defaults
  mode http
  timeout connect 2s
  timeout client 700ms
  timeout server 2s
  timeout http-request 500ms
  timeout http-keep-alive 300ms
${ways
  .map(
    ({ port, appPort }, i) => `
listen way${i}
  bind 127.0.0.1:${port}
  server app 127.0.0.1:${appPort}
`,
  )
  .join('')}`,
};

/** The first figure with a dot in it that the program says of itself. */
export async function versionOf({ command, versionArgs }: Peer): Promise<string> {
  const { stdout, stderr } = await promisify(execFile)(command, [...versionArgs]);
  return /\d+\.\d+\.\d+/.exec(stdout + stderr)?.[0] ?? 'unknown';
}

/** Errors: the program is not installed, or ends. */
export async function openPeer(peer: Peer): Promise<Lanes> {
  const stack = new AsyncDisposableStack();
  const folder = await mkdtemp(join(tmpdir(), 'mayfly-strictness-'));
  stack.defer(() => rm(folder, { recursive: true, force: true }));
  const requests: Lane<Recorder>[] = [];
  const responses: Lane<CaseApp>[] = [];
  for (let i = 0; i < LANES; i++) {
    requests.push({ app: stack.use(await Recorder.open()), port: await freePort() });
    responses.push({ app: stack.use(await CaseApp.open()), port: await freePort() });
  }
  const ways = [
    ...requests.map(({ port, app }) => ({ port, appPort: app.port })),
    ...responses.map(({ port, app }) => ({ port, appPort: app.upstream.port })),
  ];
  const configPath = join(folder, 'config');
  await writeFile(configPath, peer.config(folder, ways));
  const child = spawn(peer.command, [...peer.args(folder, configPath)], {
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  let said = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => (said += text));
  const ended = () => child.exitCode !== null || child.signalCode !== null;
  stack.defer(async () => {
    child.kill('SIGTERM');
    await until(`${peer.name} to end`, ended);
  });
  await until(`${peer.name} to listen`, async () => {
    if (ended()) throw new Error(`${peer.name} ended:\n${said}`);
    return (await Promise.all(ways.map(({ port }) => accepts(port)))).every(Boolean);
  });
  for (const { app } of requests) await app.take();
  return { requests, responses, [Symbol.asyncDispose]: () => stack.disposeAsync() };
}

function accepts(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1', () => {
      socket.destroy();
      resolve(true);
    });
    socket.once('error', () => resolve(false));
  });
}
