import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { BLOCKED_PORTS } from '../../src/blocked-ports.ts';
import { EXIT, exitCodeOf, renderError } from '../../src/cli/exit-codes.ts';
import { readConfig } from '../../src/config.ts';
import type { ConfigSources } from '../../src/config.ts';
import { PlatformError } from '../../src/errors.ts';

const folder = mkdtempSync(join(tmpdir(), 'mayfly-config-'));
afterAll(() => rmSync(folder, { recursive: true }));

function file(content: unknown): string {
  const path = join(folder, `${Math.random()}.json`);
  writeFileSync(path, typeof content === 'string' ? content : JSON.stringify(content));
  return path;
}

function refusal(sources: Partial<ConfigSources>): PlatformError {
  try {
    readConfig({ flags: {}, env: {}, ...sources });
  } catch (thrown) {
    return PlatformError.from(thrown);
  }
  throw new Error('the configuration was taken');
}

test('fetch reaches no port that the Core API is refused', async () => {
  const refused = { cause: { message: 'bad port' } };
  const calls = [...BLOCKED_PORTS].map((port) => fetch(`http://127.0.0.1:${port}`));
  await Promise.all(calls.map((call) => expect(call).rejects.toMatchObject(refused)));
});

describe('the configuration', () => {
  test('has a default for everything, on loopback', () => {
    expect(readConfig({ flags: {}, env: { HOME: '/home/ada' } })).toEqual({
      data: '/home/ada/.local/share/mayfly',
      proxyHost: '127.0.0.1',
      proxyPort: 8080,
      tlsPort: undefined,
      tlsCert: [],
      tlsKey: [],
      tlsDir: undefined,
      trustedProxy: [],
      proxyProtocolFrom: [],
      insidePort: 7080,
      apiHost: '127.0.0.1',
      apiPort: 9080,
      engine: 'auto',
      dockerSocket: '/var/run/docker.sock',
      localRegistry: [],
      workers: 1,
      workerDrainMs: 90_000,
      cpuOvercommit: 4,
      accessLog: undefined,
      accessLogSample: 1,
      metricsHost: '127.0.0.1',
      metricsPort: undefined,
      leaveRunning: false,
      logLevel: 'info',
      operatorToken: undefined,
    });
    const dataOf = (xdg: string) =>
      readConfig({ flags: {}, env: { XDG_DATA_HOME: xdg, HOME: '/home/ada' } }).data;
    expect(dataOf('/data')).toBe('/data/mayfly');
    for (const ignored of ['', 'data', '~/data'])
      expect(dataOf(ignored)).toBe('/home/ada/.local/share/mayfly');
  });

  test('takes lists as repeated flags, as text with commas, and as JSON', () => {
    const read = (sources: Partial<ConfigSources>) =>
      readConfig({ flags: { tlsPort: '8443' }, env: {}, folder: '/srv', ...sources });
    const tls = { tlsPort: '8443', tlsCert: ['a.crt', '/etc/b.crt'], tlsKey: ['a.key', '/etc/b.key'] };
    expect(read({ flags: tls })).toMatchObject({
      tlsPort: 8443,
      tlsCert: ['/srv/a.crt', '/etc/b.crt'],
      tlsKey: ['/srv/a.key', '/etc/b.key'],
    });
    expect(read({ env: { MAYFLY_TRUSTED_PROXY: '192.0.2.0/24, 2001:db8::1' } }).trustedProxy).toEqual([
      '192.0.2.0/24',
      '2001:db8::1/128',
    ]);
    expect(read({ file: file({ proxyProtocolFrom: ['10.0.0.0/8'] }) }).proxyProtocolFrom).toEqual([
      '10.0.0.0/8',
    ]);
  });

  test.each([
    [{ tlsCert: ['a.crt'] }, '--tls-port'],
    [{ tlsPort: '8443', tlsCert: ['a.crt'] }, '--tls-key'],
    [{ trustedProxy: ['192.0.2.0/33'] }, '--trusted-proxy'],
    [{ proxyProtocolFrom: ['balancer.example'] }, '--proxy-protocol-from'],
  ])('refuses %j by the name of what is wrong', (flags, name) => {
    expect(refusal({ flags }).message).toContain(name);
  });

  test.each([
    [{ proxyPort: '4000', apiPort: '4000' }, '--api-port', '--proxy-port'],
    [{ proxyPort: '4000', tlsPort: '4000', tlsDir: '/tls' }, '--tls-port', '--proxy-port'],
    [{ apiPort: '4000', metricsPort: '4000' }, '--metrics-port', '--api-port'],
    [{ tlsPort: '4000', tlsDir: '/tls', metricsPort: '4000' }, '--metrics-port', '--tls-port'],
    [{ proxyPort: '9080' }, '--api-port', '--proxy-port'], // 9080 is the default of the other
    [{ proxyHost: '0.0.0.0', proxyPort: '4000', apiPort: '4000' }, '--api-port', '--proxy-port'],
    [
      { proxyHost: '10.0.0.1', proxyPort: '4000', apiHost: '::', apiPort: '4000' },
      '--api-port',
      '--proxy-port',
    ],
  ])('refuses two servers on one port, naming the flags of both: %j', (flags, field, other) => {
    const error = refusal({ flags });
    const port = Object.values(flags).find((value) => /^\d+$/.test(value)) ?? '';
    expect(error.message).toBe(`${field} must be another port than ${other}; both are ${port}`);
    expect(exitCodeOf(error)).toBe(EXIT.usage);
  });

  test.each([
    [{ proxyPort: '0', tlsPort: '0', tlsDir: '/tls', apiPort: '0', metricsPort: '0' }],
    [{ proxyHost: '10.0.0.1', proxyPort: '4000', apiPort: '4000' }],
    [{ proxyPort: '4000', apiPort: '4001', metricsPort: '4002' }],
  ])('takes servers that can listen beside each other: %j', (flags) => {
    expect(readConfig({ flags, env: {} }).proxyPort).toBe(Number(flags.proxyPort));
  });

  test('takes a file or standard output for the access log, and a share of the requests', () => {
    const read = (flags: Record<string, string>) => readConfig({ flags, env: {}, folder: '/srv' });
    expect(read({ accessLog: 'access.log', accessLogSample: '0.01' })).toMatchObject({
      accessLog: '/srv/access.log',
      accessLogSample: 0.01,
    });
    expect(read({ accessLog: '-', accessLogSample: 'full' })).toMatchObject({
      accessLog: '-',
      accessLogSample: 1,
    });
    for (const share of ['0', '1.1', '-1', 'all', ''])
      expect(refusal({ flags: { accessLogSample: share } }).message).toContain('--access-log-sample must be');
  });

  test('takes flags before variables, and variables before the file', () => {
    const path = file({ proxyPort: 1, apiPort: 1, workers: 1, leaveRunning: true, engine: 'docker' });
    const config = readConfig({
      flags: { proxyPort: '3' },
      env: { MAYFLY_PROXY_PORT: '2', MAYFLY_API_PORT: '2', MAYFLY_ENGINE: '', MAYFLY_CONFIG: path },
    });
    expect(config).toMatchObject({ proxyPort: 3, apiPort: 2, leaveRunning: true, engine: 'docker' });
  });

  test('reads a path in the file relative to the file, elsewhere to the current folder', () => {
    expect(readConfig({ flags: {}, env: {}, file: file({ data: 'store' }) }).data).toBe(
      join(folder, 'store'),
    );
    expect(readConfig({ flags: { data: 'store' }, env: {}, folder: '/srv' }).data).toBe('/srv/store');
    expect(readConfig({ flags: {}, env: { MAYFLY_DOCKER_SOCKET: 'unix:///run/d.sock' } }).dockerSocket).toBe(
      '/run/d.sock',
    );
  });

  test.each([
    [
      { flags: { proxyPort: '99999' } },
      '--proxy-port must be a whole number from 0 to 65535; it is "99999" on the command line',
    ],
    [
      { env: { MAYFLY_API_PORT: '80x' } },
      'MAYFLY_API_PORT must be a whole number from 0 to 65535; it is "80x" in the environment',
    ],
    [
      { flags: { apiPort: '10080' } },
      '--api-port must be a port that HTTP clients connect to, which browsers and Node refuse here; it is "10080" on the command line',
    ],
    [
      { flags: { localRegistry: ['localhost:5000', 'http://localhost'] } },
      '--local-registry must be registries as images name them, such as localhost:5000; it is ["localhost:5000","http://localhost"] on the command line',
    ],
    [
      { flags: { engine: 'podman' } },
      '--engine must be one of auto, docker, process; it is "podman" on the command line',
    ],
    [
      { flags: { workers: '65' } },
      '--workers must be a whole number from 1 to 64; it is "65" on the command line',
    ],
    [
      { flags: { cpuOvercommit: '0' } },
      '--cpu-overcommit must be a number from 0.1 to 100; it is "0" on the command line',
    ],
  ])('names a wrong value, its source and what is allowed: %j', (sources, message) => {
    const error = refusal(sources);
    expect(error.message).toBe(message);
    expect(exitCodeOf(error)).toBe(EXIT.usage);
  });

  test('names a wrong value in the file, and a key that is no setting', () => {
    const path = file({ proxyPort: '8080', proxyprot: 1 });
    // A port in quotes is still that port.
    const error = refusal({ file: path });
    expect(error.message).toBe(
      `proxyprot in ${path} is no setting; there are data, proxyHost, proxyPort, ` +
        'tlsPort, tlsCert, tlsKey, tlsDir, trustedProxy, proxyProtocolFrom, insidePort, apiHost, apiPort, engine, ' +
        'dockerSocket, localRegistry, workers, workerDrainMs, cpuOvercommit, accessLog, accessLogSample, metricsHost, metricsPort, ' +
        'leaveRunning, logLevel, operatorToken',
    );
  });

  test('tells all that is wrong at once', () => {
    const error = refusal({ flags: { proxyPort: '-1', engine: 'x' }, env: { MAYFLY_LOG_LEVEL: 'loud' } });
    expect(renderError(error)).toMatch(
      /^error: 3 settings are wrong\nhint: .*\n {2}--proxy-port: must be .*\n {2}--engine: .*\n {2}MAYFLY_LOG_LEVEL: .*\n$/,
    );
  });

  test('does not show a token that is refused', () => {
    const error = refusal({ env: { MAYFLY_OPERATOR_TOKEN: 'sesame' } });
    expect(error.message).toContain('MAYFLY_OPERATOR_TOKEN must be 16 to 256 printable characters');
    expect(renderError(error)).not.toContain('sesame');
  });

  test('says which file cannot be read', () => {
    expect(refusal({ file: join(folder, 'absent.json') }).message).toMatch(
      /absent\.json cannot be read: ENOENT/,
    );
    expect(refusal({ file: file('{') })).toMatchObject({
      code: 'invalid_config',
      hint: expect.stringContaining('--config') as string,
    });
    expect(refusal({ file: file([1]) }).message).toContain('must hold one JSON object');
  });
});
