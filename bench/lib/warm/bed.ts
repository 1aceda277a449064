/**
 * Everything that a group of scenarios needs, running: Mayfly with its apps warm, and the peers in front of the same
 * containers. All proxies run from the beginning on; those that are not asked use nothing.
 */
import { execFile } from 'node:child_process';
import { writeFile, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { startCaddy } from './caddy.ts';
import { startHaproxy } from './haproxy.ts';
import { startMayfly } from './mayfly.ts';
import { startNginx } from './nginx.ts';
import { startNodePeer } from './node-peers.ts';
import type { Peer, Setup, TlsFiles } from './peer.ts';
import type { BedKind, PeerName } from './scenarios.ts';
import { prepareUpstream } from './upstream.ts';
import type { LoadTarget } from './wrk.ts';
import type { Workshop } from './workshop.ts';

export interface ServedApp {
  readonly hosts: readonly string[];
  /** Where its container listens on 127.0.0.1. */
  readonly upstreamPort: number;
}

export interface Bed {
  /** In the order of the table; those that are missing are in the notes. */
  readonly peers: readonly Peer[];
  readonly target: LoadTarget;
  readonly apps: readonly ServedApp[];
  close(): Promise<void>;
}

/** The name in the URL that wrk connects to, and so its SNI. */
export const TLS_HOST = 'localhost';
const PLAIN_HOST = 'bench.localhost';
const APPS = 100;
/** As many as one app may have. */
const HOSTS_PER_APP = 100;

/** Undefined where nothing can be measured with what is installed, which the notes then say. */
export async function openBed(
  workshop: Workshop,
  kind: BedKind,
  wanted: readonly PeerName[],
): Promise<Bed | undefined> {
  const { folder, children } = workshop;
  const tls = kind === 'tls' ? await makeCertificate(workshop) : undefined;
  if (kind === 'tls' && !tls) return undefined;
  const hostsByApp = kind === 'hosts' ? manyHosts() : undefined;
  const accessLog = kind === 'log';

  const appHosts = hostsByApp ?? [[kind === 'tls' ? TLS_HOST : PLAIN_HOST]];
  const command = await prepareUpstream(workshop);
  const mayfly = await startMayfly(workshop, { hostsByApp: appHosts, command, tls, accessLog });
  const { upstreamPorts } = mayfly;
  const setup: Setup = { upstreamPorts, hostsByApp, tls, accessLog };
  const started: (Peer | undefined)[] = [];
  for (const name of wanted)
    started.push(name === 'mayfly' ? mayfly.peer : await startPeer(workshop, name, setup));

  const hostsPath = join(folder, 'hosts');
  await writeFile(hostsPath, `${inTurn(appHosts).join('\n')}\n`);
  return {
    peers: started.filter((peer) => peer !== undefined),
    target: hostsByApp ? { hostsPath } : { host: appHosts[0]?.[0] ?? '' },
    apps: upstreamPorts.map((upstreamPort, app) => ({ hosts: appHosts[app] ?? [], upstreamPort })),
    close: () => children.stopAll(),
  };
}

async function startPeer(
  workshop: Workshop,
  name: Exclude<PeerName, 'mayfly'>,
  setup: Setup,
): Promise<Peer | undefined> {
  switch (name) {
    case 'direct':
      return { name, port: setup.upstreamPorts[0] ?? 0, pids: undefined, isJit: false };
    case 'nginx':
      return startNginx(workshop, await workshop.need('nginx'), setup);
    case 'haproxy': {
      const path = await workshop.find('haproxy');
      return path === undefined ? undefined : startHaproxy(workshop, path, setup);
    }
    case 'caddy': {
      const path = await workshop.find('caddy');
      return path === undefined ? undefined : startCaddy(workshop, path, setup);
    }
    case 'http-proxy':
    case 'node:http pipe':
      return startNodePeer(workshop, name, setup);
  }
}

function manyHosts(): string[][] {
  return Array.from({ length: APPS }, (_app, app) =>
    Array.from({ length: HOSTS_PER_APP }, (_host, host) => `host${host}.app${app}.localhost`),
  );
}

/** Each app's first host, then each app's second one … */
function inTurn(hostsByApp: readonly (readonly string[])[]): string[] {
  const [first = []] = hostsByApp;
  return first.flatMap((_, index) => hostsByApp.map((hosts) => hosts[index] ?? ''));
}

async function makeCertificate(workshop: Workshop): Promise<TlsFiles | undefined> {
  const { folder } = workshop;
  const openssl = await workshop.find('openssl');
  if (openssl === undefined) return undefined;
  const [certPath, keyPath, pemPath] = ['cert.pem', 'key.pem', 'both.pem'].map((name) =>
    join(folder, name),
  ) as [string, string, string];
  const kind = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '2'];
  const name = ['-subj', `/CN=${TLS_HOST}`, '-addext', `subjectAltName=DNS:${TLS_HOST}`];
  await promisify(execFile)(openssl, [
    'req',
    '-x509',
    ...kind,
    ...name,
    '-keyout',
    keyPath,
    '-out',
    certPath,
  ]);
  await writeFile(pemPath, (await readFile(certPath, 'utf8')) + (await readFile(keyPath, 'utf8')));
  return { certPath, keyPath, pemPath };
}
