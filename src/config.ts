/**
 * What `mayfly up` can be told, read and checked once. Every setting is one row of a table: its flag, its variable, its
 * key in the file, its default and its rule. Flags win over `MAYFLY_*`, those over the file; what is wrong is said with
 * its name, where it came from, and what is allowed, all of it at once.
 */
import { readFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { dirname, isAbsolute, join, resolve } from 'node:path';
import {
  apiPort,
  choice,
  flag,
  host,
  list,
  logTarget,
  network,
  number,
  path,
  port,
  Refused,
  registry,
  share,
  socketPath,
  token,
} from './config-rules.ts';
import type { Rule } from './config-rules.ts';
import { PlatformError } from './errors.ts';
import type { FieldError } from './errors.ts';
import { LOG_LEVELS } from './log.ts';
import type { LogLevel } from './log.ts';
import { nearest } from './nearest.ts';

export const ENGINE_CHOICES = ['auto', 'docker', 'process'] as const;

export interface UpConfig {
  /** Absolute folder of everything that must last; made where it is missing. */
  readonly data: string;
  readonly proxyHost: string;
  /** 0: any free one. */
  readonly proxyPort: number;
  /** Where apps are reached over TLS, on the same address; 0: any free one. Undefined: there is no such door. */
  readonly tlsPort: number | undefined;
  /** Absolute paths: each certificate has its key at the same place of the other list. */
  readonly tlsCert: readonly string[];
  readonly tlsKey: readonly string[];
  /** Absolute folder of further pairs. */
  readonly tlsDir: string | undefined;
  /** Networks (`192.0.2.0/24`) of proxies whose `X-Forwarded-*` is believed. */
  readonly trustedProxy: readonly string[];
  /** Networks of load balancers that begin each connection with a PROXY header. */
  readonly proxyProtocolFrom: readonly string[];
  /** Where containers reach what their apps need, at the address of their network's gateway; on Docker alone. */
  readonly insidePort: number;
  readonly apiHost: string;
  /** 0: any free one. */
  readonly apiPort: number;
  readonly engine: (typeof ENGINE_CHOICES)[number];
  /** Absolute path of the Docker engine's Unix socket. */
  readonly dockerSocket: string;
  /** On this machine or its link, as images name them (`localhost:5000`): from others there nothing is pulled. */
  readonly localRegistry: readonly string[];
  /** Proxy processes; 1: the proxy is part of the program itself. */
  readonly workers: number;
  /** How long a worker that is replaced (SIGHUP) may take to finish what it has in flight, WebSockets included. */
  readonly workerDrainMs: number;
  /** CPU that containers may be promised in all, per CPU of the machine. */
  readonly cpuOvercommit: number;
  /** Absolute path of the file that gets a line for each request; `-` is standard output. Undefined: there is none. */
  readonly accessLog: string | undefined;
  /** The share of requests that get one, above 0, up to 1. Those answered with 500 and above always do. */
  readonly accessLogSample: number;
  readonly metricsHost: string;
  /** Where `/metrics` is read without a token; 0: any free one. Undefined: on the Core API alone. */
  readonly metricsPort: number | undefined;
  /** Leave containers running on shutdown; the next start adopts them. */
  readonly leaveRunning: boolean;
  readonly logLevel: LogLevel;
  /** Set instead of a generated one; never a flag, which other users of the machine could read. */
  readonly operatorToken: string | undefined;
}

type Env = Readonly<Record<string, string | undefined>>;

interface Setting<T> {
  readonly flag: string | null;
  readonly env: string;
  readonly fallback: (env: Env) => T;
  readonly rule: Rule<T>;
}

const SETTINGS: { readonly [K in keyof UpConfig]: Setting<UpConfig[K]> } = {
  data: { flag: '--data', env: 'MAYFLY_DATA', fallback: defaultData, rule: path },
  proxyHost: { flag: '--proxy-host', env: 'MAYFLY_PROXY_HOST', fallback: () => '127.0.0.1', rule: host },
  proxyPort: { flag: '--proxy-port', env: 'MAYFLY_PROXY_PORT', fallback: () => 8080, rule: port },
  tlsPort: { flag: '--tls-port', env: 'MAYFLY_TLS_PORT', fallback: () => undefined, rule: port },
  tlsCert: { flag: '--tls-cert', env: 'MAYFLY_TLS_CERT', fallback: () => [], rule: list(path) },
  tlsKey: { flag: '--tls-key', env: 'MAYFLY_TLS_KEY', fallback: () => [], rule: list(path) },
  tlsDir: { flag: '--tls-dir', env: 'MAYFLY_TLS_DIR', fallback: () => undefined, rule: path },
  trustedProxy: {
    flag: '--trusted-proxy',
    env: 'MAYFLY_TRUSTED_PROXY',
    fallback: () => [],
    rule: list(network),
  },
  proxyProtocolFrom: {
    flag: '--proxy-protocol-from',
    env: 'MAYFLY_PROXY_PROTOCOL_FROM',
    fallback: () => [],
    rule: list(network),
  },
  insidePort: {
    flag: '--inside-port',
    env: 'MAYFLY_INSIDE_PORT',
    fallback: () => 7080,
    rule: number({ min: 1, max: 65_535 }),
  },
  apiHost: { flag: '--api-host', env: 'MAYFLY_API_HOST', fallback: () => '127.0.0.1', rule: host },
  apiPort: { flag: '--api-port', env: 'MAYFLY_API_PORT', fallback: () => 9080, rule: apiPort },
  engine: { flag: '--engine', env: 'MAYFLY_ENGINE', fallback: () => 'auto', rule: choice(ENGINE_CHOICES) },
  dockerSocket: {
    flag: '--docker-socket',
    env: 'MAYFLY_DOCKER_SOCKET',
    fallback: () => '/var/run/docker.sock',
    rule: socketPath,
  },
  localRegistry: {
    flag: '--local-registry',
    env: 'MAYFLY_LOCAL_REGISTRY',
    fallback: () => [],
    rule: list(registry),
  },
  workers: { flag: '--workers', env: 'MAYFLY_WORKERS', fallback: () => 1, rule: number({ min: 1, max: 64 }) },
  workerDrainMs: {
    flag: '--worker-drain-ms',
    env: 'MAYFLY_WORKER_DRAIN_MS',
    fallback: () => 90_000,
    rule: number({ min: 0, max: 3_600_000 }),
  },
  cpuOvercommit: {
    flag: '--cpu-overcommit',
    env: 'MAYFLY_CPU_OVERCOMMIT',
    fallback: () => 4,
    rule: number({ min: 0.1, max: 100, whole: false }),
  },
  accessLog: {
    flag: '--access-log',
    env: 'MAYFLY_ACCESS_LOG',
    fallback: () => undefined,
    rule: logTarget,
  },
  accessLogSample: {
    flag: '--access-log-sample',
    env: 'MAYFLY_ACCESS_LOG_SAMPLE',
    fallback: () => 1,
    rule: share,
  },
  metricsHost: {
    flag: '--metrics-host',
    env: 'MAYFLY_METRICS_HOST',
    fallback: () => '127.0.0.1',
    rule: host,
  },
  metricsPort: {
    flag: '--metrics-port',
    env: 'MAYFLY_METRICS_PORT',
    fallback: () => undefined,
    rule: port,
  },
  leaveRunning: { flag: '--leave-running', env: 'MAYFLY_LEAVE_RUNNING', fallback: () => false, rule: flag },
  logLevel: {
    flag: '--log-level',
    env: 'MAYFLY_LOG_LEVEL',
    fallback: () => 'info',
    rule: choice(LOG_LEVELS),
  },
  operatorToken: { flag: null, env: 'MAYFLY_OPERATOR_TOKEN', fallback: () => undefined, rule: token },
};

function defaultData(env: Env): string {
  const { XDG_DATA_HOME: xdg = '' } = env;
  // A relative one is to be ignored (XDG Base Directory Specification).
  return join(isAbsolute(xdg) ? xdg : join(env['HOME'] || homedir(), '.local', 'share'), 'mayfly');
}

export interface ConfigSources {
  /** By key of `UpConfig`; a key that was not given is absent or undefined. */
  readonly flags: Readonly<Record<string, unknown>>;
  readonly env: Env;
  /** The file named by `--config` or `MAYFLY_CONFIG`. */
  readonly file?: string | undefined;
  /** What relative paths are relative to; the current folder unless told. */
  readonly folder?: string;
}

/** Errors: `invalid_config`, with a field for every wrong setting. */
export function readConfig(sources: ConfigSources): UpConfig {
  const folder = sources.folder ?? process.cwd();
  const filePath = sources.file ?? (sources.env['MAYFLY_CONFIG'] || undefined);
  const file = filePath === undefined ? {} : readFile(resolve(folder, filePath));
  const wrong: FieldError[] = Object.keys(file)
    .filter((key) => !Object.hasOwn(SETTINGS, key))
    .map((key) => ({ field: key, reason: `in ${filePath ?? ''} is no setting; there are ${known()}` }));

  const read = <K extends keyof UpConfig>(key: K): UpConfig[K] | undefined => {
    const setting: Setting<UpConfig[K]> = SETTINGS[key];
    const given = (
      [
        [setting.flag ?? key, sources.flags[key], 'on the command line', folder],
        // An empty variable is one that is not set.
        [setting.env, sources.env[setting.env] || undefined, 'in the environment', folder],
        [key, file[key], `in ${filePath ?? ''}`, dirname(resolve(folder, filePath ?? ''))],
      ] as const
    ).find(([, raw]) => raw !== undefined);
    if (!given) return setting.fallback(sources.env);
    const [name, raw, source, relativeTo] = given;
    try {
      return setting.rule(raw, relativeTo);
    } catch (thrown) {
      if (!(thrown instanceof Refused)) throw thrown;
      const shown = key === 'operatorToken' ? 'what it is set to' : JSON.stringify(raw);
      wrong.push({ field: name, reason: `${thrown.message}; it is ${shown} ${source}` });
      return undefined;
    }
  };
  const config = Object.fromEntries(
    (Object.keys(SETTINGS) as (keyof UpConfig)[]).map((key) => [key, read(key)]),
  ) as unknown as UpConfig;
  if (wrong.length === 0) wrong.push(...contradictions(config));
  if (wrong.length > 0) throw refusal(wrong);
  return config;
}

/** What else the command line reads. */
const OTHER_VARIABLES = ['MAYFLY_CONFIG', 'MAYFLY_URL', 'MAYFLY_TOKEN'];

/** `MAYFLY_*` variables that set nothing, each with the one that was probably meant. */
export function unknownVariables(env: Env): { name: string; meant: string | undefined }[] {
  const known = [...Object.values(SETTINGS).map((setting) => setting.env), ...OTHER_VARIABLES];
  const bare = (name: string) => name.slice('MAYFLY_'.length);
  return Object.keys(env)
    .filter((name) => name.startsWith('MAYFLY_') && !known.includes(name))
    .map((name) => {
      const meant = nearest(bare(name), known.map(bare));
      return { name, meant: meant === undefined ? undefined : `MAYFLY_${meant}` };
    });
}

/** What is right by itself, but not together. */
function contradictions(config: UpConfig): FieldError[] {
  return [...tlsContradictions(config), ...sharedPorts(config)];
}

function tlsContradictions({ tlsPort, tlsCert, tlsKey, tlsDir }: UpConfig): FieldError[] {
  const told = tlsCert.length > 0 || tlsKey.length > 0 || tlsDir !== undefined;
  if (told && tlsPort === undefined)
    return [{ field: '--tls-port', reason: 'must be given where there are certificates' }];
  if (tlsCert.length === tlsKey.length) return [];
  const reason = `must be given as often as --tls-cert: there are ${tlsKey.length} keys and ${tlsCert.length} certificates`;
  return [{ field: '--tls-key', reason }];
}

/** Two servers of the program cannot listen at one place. */
function sharedPorts(config: UpConfig): FieldError[] {
  const { proxyHost, apiHost, metricsHost } = config;
  const servers = [
    { field: '--proxy-port', host: proxyHost, port: config.proxyPort },
    { field: '--tls-port', host: proxyHost, port: config.tlsPort },
    { field: '--api-port', host: apiHost, port: config.apiPort },
    { field: '--metrics-port', host: metricsHost, port: config.metricsPort },
  ].filter(({ port }) => port !== undefined && port !== 0);
  return servers.flatMap(({ field, host, port }, index) => {
    const other = servers
      .slice(0, index)
      .find(
        (one) => one.port === port && (one.host === host || isEverywhere(one.host) || isEverywhere(host)),
      );
    return other ? [{ field, reason: `must be another port than ${other.field}; both are ${port}` }] : [];
  });
}

/** All addresses of the machine. */
function isEverywhere(host: string): boolean {
  return host === '0.0.0.0' || host === '::';
}

function known(): string {
  return Object.keys(SETTINGS).join(', ');
}

function refusal(wrong: readonly FieldError[]): PlatformError {
  const [first] = wrong;
  const hint = 'mayfly up --help tells every setting, with its range and default';
  if (wrong.length === 1 && first) {
    return new PlatformError('invalid_config', `${first.field} ${first.reason}`, { hint });
  }
  return new PlatformError('invalid_config', `${wrong.length} settings are wrong`, { fields: wrong, hint });
}

function readFile(filePath: string): Record<string, unknown> {
  let content: unknown;
  try {
    content = JSON.parse(readFileSync(filePath, 'utf8'));
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new PlatformError(
      'invalid_config',
      `the configuration file ${filePath} cannot be read: ${reason}`,
      { cause, hint: 'Name a file of JSON that this user may read with --config or MAYFLY_CONFIG.' },
    );
  }
  if (typeof content === 'object' && content !== null && !Array.isArray(content)) {
    return content as Record<string, unknown>;
  }
  throw new PlatformError('invalid_config', `the configuration file ${filePath} must hold one JSON object`);
}
