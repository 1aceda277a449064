/**
 * What is asked of the proxies: one group of rows each. Scenarios that need the same set-up share a bed (bed.ts); they run
 * one after the other on the same processes.
 */
import type { LoadRequest } from './wrk.ts';

/** In the order of the table. `direct` is no proxy: it says what the load generator and the upstream can do. */
export const PEERS = [
  'direct',
  'nginx',
  'haproxy',
  'caddy',
  'http-proxy',
  'node:http pipe',
  'mayfly',
] as const;
export type PeerName = (typeof PEERS)[number];

/** How the proxies are set up: plainly, with an access log, with TLS, or with 10,000 hosts. */
export type BedKind = 'plain' | 'log' | 'tls' | 'hosts';

export interface Scenario {
  readonly name: string;
  /** A line of the table. */
  readonly what: string;
  readonly bed: BedKind;
  readonly request: LoadRequest;
  readonly answerBytes: number;
  /** Connections that ask, each one request after the other. */
  readonly connections: number;
  /** Connections that stay open without requests meanwhile. */
  readonly idleConnections: number;
  readonly peers: readonly PeerName[];
  /** Its peers in a quick run of several scenarios; without them it is not part of that. */
  readonly quickPeers?: readonly PeerName[];
}

const KIB = 1024;
const MIB = 1024 * KIB;

export const SMALL_BODY = 'mayfly! '.repeat(KIB / 8);
export const LARGE_BODY_BYTES = MIB;
export const POST_BODY = 'a=mayfly'.repeat(KIB / 8);

const GET: LoadRequest = { method: 'GET', path: '/', headers: {} };

/** What a browser sends; with the request line and the Host, 16 fields in about 580 bytes. */
const BROWSER_HEADERS = {
  'sec-ch-ua': '"Chromium";v="138"',
  'sec-ch-ua-mobile': '?0',
  'sec-ch-ua-platform': '"Linux"',
  'Upgrade-Insecure-Requests': '1',
  'User-Agent':
    'Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/138.0.0.0 Safari/537.36',
  Accept: 'text/html,application/xhtml+xml,*/*;q=0.8',
  'Sec-Fetch-Site': 'same-origin',
  'Sec-Fetch-Mode': 'navigate',
  'Sec-Fetch-User': '?1',
  'Sec-Fetch-Dest': 'document',
  Referer: 'http://bench.localhost/',
  'Accept-Encoding': 'gzip, deflate',
  'Accept-Language': 'en-GB,en;q=0.9',
  Cookie: 'session=0123456789abcdef; theme=dark',
  'Cache-Control': 'max-age=0',
};

const BASE = { request: GET, answerBytes: KIB, connections: 64, idleConnections: 0, peers: PEERS } as const;
const SERVERS: readonly PeerName[] = ['nginx', 'haproxy', 'mayfly'];

export const MAIN_SCENARIO = 'plain';

export const SCENARIOS: readonly Scenario[] = [
  {
    ...BASE,
    name: MAIN_SCENARIO,
    what: 'GET, 1 KiB answers, keep-alive',
    bed: 'plain',
    quickPeers: PEERS,
  },
  {
    ...BASE,
    name: 'headers',
    what: 'the same with the 16 header fields of a browser',
    bed: 'plain',
    request: { ...GET, headers: BROWSER_HEADERS },
    quickPeers: SERVERS,
  },
  {
    ...BASE,
    name: 'post',
    what: 'POST with bodies of 1 KiB',
    bed: 'plain',
    request: {
      method: 'POST',
      path: '/',
      headers: { 'Content-Type': 'application/x-www-form-urlencoded' },
      body: POST_BODY,
    },
  },
  {
    ...BASE,
    name: 'large',
    what: '1 MiB answers, 16 connections',
    bed: 'plain',
    request: { ...GET, path: '/large' },
    answerBytes: LARGE_BODY_BYTES,
    connections: 16,
    quickPeers: SERVERS,
  },
  {
    ...BASE,
    name: 'close',
    what: 'a new connection for each request',
    bed: 'plain',
    request: { ...GET, headers: { Connection: 'close' } },
  },
  { ...BASE, name: 'idle', what: '1,000 further connections idle', bed: 'plain', idleConnections: 1_000 },
  { ...BASE, name: 'log', what: 'access log on', bed: 'log', peers: SERVERS },
  {
    ...BASE,
    name: 'tls',
    what: 'over TLS, keep-alive (ECDSA P-256)',
    bed: 'tls',
    peers: SERVERS,
  },
  {
    ...BASE,
    name: 'hosts',
    what: '10,000 hosts of 100 apps in turn',
    bed: 'hosts',
    peers: [...SERVERS, 'http-proxy'],
  },
];

/** Those to run; none where `only` is no scenario's name. */
export function chooseScenarios(options: {
  readonly quick: boolean;
  readonly only: string | undefined;
}): Scenario[] {
  const { quick, only } = options;
  if (only !== undefined) return SCENARIOS.filter(({ name }) => name === only);
  if (!quick) return [...SCENARIOS];
  return SCENARIOS.flatMap((scenario) =>
    scenario.quickPeers ? [{ ...scenario, peers: scenario.quickPeers }] : [],
  );
}
