/**
 * The demo: Mayfly on a temporary data folder, four example apps, and the story of one container. It is an ordinary user:
 * it starts `mayfly up`, and does the rest through the API and the command line.
 */
import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { createWriteStream, existsSync, readFileSync } from 'node:fs';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { request } from 'node:http';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Command, Option } from 'commander';
import { buildExampleImages, exampleImage, EXAMPLES } from '../examples/images.ts';
import { exitCodeOf, renderError } from '../src/cli/exit-codes.ts';
import { run } from '../src/cli/main.ts';
import { formatDuration } from '../src/units.ts';
import { readConfig } from '../src/config.ts';
import { createClient } from '../src/coreapi/client.ts';
import type { Client } from '../src/coreapi/client.ts';
import type { CreateAppBody } from '../src/coreapi/schema.ts';
import { PlatformError } from '../src/errors.ts';

interface Options {
  readonly engine: 'auto' | 'docker' | 'process';
  readonly dockerSocket: string;
  readonly proxyPort?: string;
  readonly apiPort?: string;
  readonly once?: boolean;
}

/** What Mayfly is told. */
interface Plan {
  readonly engine: 'docker' | 'process';
  readonly dockerSocket: string;
  readonly proxyPort: number;
  readonly apiPort: number;
  readonly token: string;
}

/** A Mayfly that is up. */
interface Demo {
  readonly plan: Plan;
  readonly proxyPort: number;
  readonly apiUrl: string;
  readonly client: Client;
}

const ROOT = join(import.meta.dirname, '..');
const READY_TIMEOUT_MS = 30_000;
/** Longer than Mayfly itself gives its containers. */
const STOP_TIMEOUT_MS = 45_000;

const say = (line = '') => process.stdout.write(`${line}\n`);
const dim = (text: string) =>
  process.stdout.isTTY && !process.env['NO_COLOR'] ? `\u001b[2m${text}\u001b[0m` : text;

async function main(): Promise<number> {
  const options = readOptions();
  const interrupted = new AbortController();
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const)
    process.on(signal, () => interrupted.abort());
  // Nobody reads on (`bin/demo | head`, a closed window): it ends as by Ctrl-C, and what is still said is lost.
  for (const stream of [process.stdout, process.stderr]) stream.on('error', () => interrupted.abort());
  const folder = await mkdtemp(join(tmpdir(), 'mayfly-demo-'));
  let server: Server | undefined;
  try {
    const plan = await makePlan(options);
    server = new Server(plan, folder);
    const { proxyPort, apiUrl } = await server.ready(interrupted.signal);
    const client = createClient({ url: apiUrl, token: plan.token });
    await tour({ plan, proxyPort, apiUrl, client }, interrupted.signal);
    if (options.once) return 0;
    say('Ctrl-C stops everything and leaves nothing behind.');
    await Promise.race([aborted(interrupted.signal), server.exited]);
    if (interrupted.signal.aborted) return 0;
    throw server.failure('Mayfly ended by itself');
  } catch (thrown) {
    if (interrupted.signal.aborted) return 130;
    const error = PlatformError.from(thrown);
    process.stderr.write(renderError(error));
    return exitCodeOf(error);
  } finally {
    await server?.stop();
    await rm(folder, { recursive: true, force: true });
  }
}

function readOptions(): Options {
  return new Command('bin/demo')
    .description('Starts Mayfly with four example apps on a temporary data folder, and shows what it does.')
    .addOption(
      new Option('--engine <engine>', 'what runs the apps; auto: Docker where it answers')
        .choices(['auto', 'docker', 'process'])
        .default('auto'),
    )
    .addOption(
      new Option('--docker-socket <path>', 'where the Docker engine listens')
        .env('MAYFLY_DOCKER_SOCKET')
        .default('/var/run/docker.sock'),
    )
    .option('--proxy-port <port>', 'where the apps are reached (default: 8080, or the next one free)')
    .option('--api-port <port>', 'where the Core API is reached (default: 9080, or the next one free)')
    .option('--once', 'end after the tour')
    .parse()
    .opts<Options>();
}

async function makePlan({ engine, dockerSocket, ...ports }: Options): Promise<Plan> {
  const flags = {
    proxyPort: ports.proxyPort ?? (await freePort(8080)),
    apiPort: ports.apiPort ?? (await freePort(9080)),
  };
  // Checked here, where a wrong one can be named, and not by a child that does not start.
  const { proxyPort, apiPort } = readConfig({ flags, env: {} });
  return {
    ...{ dockerSocket, proxyPort, apiPort },
    engine: await chooseEngine(engine, dockerSocket),
    token: randomBytes(24).toString('base64url'),
  };
}

async function chooseEngine(choice: Options['engine'], socketPath: string): Promise<'docker' | 'process'> {
  if (choice === 'process') return choice;
  const answers = await dockerAnswers(socketPath);
  if (answers) return 'docker';
  const installed = ['/usr/bin/dockerd', '/usr/sbin/dockerd', '/usr/local/bin/dockerd'].some((path) =>
    existsSync(path),
  );
  const hint = installed
    ? 'Docker is installed but does not run: start it with `systemctl start docker`, or with `dockerd &` as root.'
    : 'Install Docker to see the apps isolated from each other (Debian: apt-get install docker.io).';
  if (choice === 'docker') {
    throw new PlatformError('engine_unavailable', `no Docker engine answers at ${socketPath}`, { hint });
  }
  say(
    `No Docker engine answers at ${socketPath}: the apps run as plain processes, without isolation. ${hint}`,
  );
  return 'process';
}

function dockerAnswers(socketPath: string): Promise<boolean> {
  return new Promise((resolve) => {
    const ping = request({ socketPath, path: '/_ping', host: 'localhost', timeout: 3000 }, (response) => {
      response.resume();
      resolve(response.statusCode === 200);
    });
    ping.on('timeout', () => ping.destroy());
    ping.on('error', () => resolve(false));
    ping.end();
  });
}

/** The first free port of twenty. */
async function freePort(first: number): Promise<number> {
  for (let port = first; port < first + 20; port++) {
    const probe = createServer();
    const free = await new Promise<boolean>((resolve) => {
      probe.once('error', () => resolve(false));
      probe.listen(port, '127.0.0.1', () => probe.close(() => resolve(true)));
    });
    if (free) return port;
  }
  throw new PlatformError('invalid_config', `the ports ${first} to ${first + 19} are all taken`, {
    hint: 'Name one with --proxy-port and --api-port.',
  });
}

/** `mayfly up` as a child in a group of its own, so that Ctrl-C reaches the demo first. */
class Server {
  readonly #child: ChildProcess;
  readonly #logPath: string;
  #stdout = '';
  readonly exited: Promise<void>;

  constructor(plan: Plan, folder: string) {
    this.#logPath = join(folder, 'mayfly.log');
    const log = createWriteStream(this.#logPath);
    const { engine, dockerSocket, proxyPort, apiPort, token } = plan;
    const env = Object.entries(process.env).filter(([name]) => !name.startsWith('MAYFLY_'));
    this.#child = spawn(
      join(ROOT, 'bin', 'mayfly'),
      [
        ...['up', '--data', join(folder, 'data'), '--engine', engine, '--docker-socket', dockerSocket],
        ...['--proxy-port', String(proxyPort), '--api-port', String(apiPort)],
      ],
      {
        stdio: ['ignore', 'pipe', 'pipe'],
        detached: true,
        env: { ...Object.fromEntries(env), MAYFLY_OPERATOR_TOKEN: token },
      },
    );
    this.#child.stdout?.on('data', (text) => (this.#stdout += String(text)));
    this.#child.stdout?.pipe(log, { end: false });
    this.#child.stderr?.pipe(log, { end: false });
    this.exited = new Promise((resolve) => {
      this.#child.once('exit', () => resolve());
      this.#child.once('error', () => resolve());
    });
  }

  /** Resolves to its addresses when it says that it is up: at its port another Mayfly could be answering. */
  async ready(signal: AbortSignal): Promise<{ proxyPort: number; apiUrl: string }> {
    const deadlineMs = performance.now() + READY_TIMEOUT_MS;
    for (;;) {
      signal.throwIfAborted();
      const [, appsUrl, apiUrl] = /^ {2}apps +(\S+),[^]*^ {2}Core API +(\S+)\n/m.exec(this.#stdout) ?? [];
      if (appsUrl !== undefined && apiUrl !== undefined)
        return { proxyPort: Number(new URL(appsUrl).port), apiUrl };
      if (this.#hasEnded) throw this.failure('Mayfly did not start');
      if (performance.now() > deadlineMs)
        throw this.failure(`Mayfly was not ready after ${READY_TIMEOUT_MS / 1000} s`);
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }

  failure(message: string): PlatformError {
    const last = readFileSync(this.#logPath, 'utf8').trimEnd().split('\n').slice(-25).join('\n');
    return new PlatformError('internal', `${message}; it said last:\n${last}`);
  }

  get #hasEnded(): boolean {
    return this.#child.exitCode !== null || this.#child.signalCode !== null;
  }

  async stop(): Promise<void> {
    if (this.#hasEnded) return;
    say(dim('\nstopping …'));
    this.#child.kill('SIGTERM');
    const lastResort = setTimeout(() => {
      process.stderr.write(`error: Mayfly did not end within ${STOP_TIMEOUT_MS / 1000} s and was killed\n`);
      this.#child.kill('SIGKILL');
    }, STOP_TIMEOUT_MS);
    await this.exited;
    clearTimeout(lastResort);
  }
}

async function tour(demo: Demo, signal: AbortSignal): Promise<void> {
  const { proxyPort, client } = demo;
  const { engine, dockerSocket, token } = demo.plan;
  say(`Mayfly is up, with the ${engine} engine. Nothing runs yet: an app is a row in a database.`);
  if (engine === 'docker') await buildExampleImages(dockerSocket, (line) => say(dim(line)));
  const apps = await register(client, engine);
  signal.throwIfAborted();

  say();
  say(`$ curl -H 'Host: hello.localhost' http://127.0.0.1:${proxyPort}/`);
  const cold = await get(proxyPort, 'hello.localhost', signal);
  say(cold.body.trimEnd());
  const warm = await get(proxyPort, 'hello.localhost', signal);
  say(
    `  first request: ${formatDuration(cold.tookMs)}, answered by a container that did not exist before it`,
  );
  if (cold.serverTiming !== undefined) say(dim(`    ${phases(cold.serverTiming)}`));
  say(`  second request: ${formatDuration(warm.tookMs)}, the container was there`);

  for (const command of [['ps'], ['events', '--app', 'hello']]) {
    say();
    say(`$ mayfly ${command.join(' ')}`);
    await run(command, {
      stdout: process.stdout,
      stderr: process.stderr,
      stdin: process.stdin,
      env: { ...process.env, MAYFLY_URL: demo.apiUrl, MAYFLY_TOKEN: token },
      up: () => Promise.reject(new Error('the demo is up already')),
    });
  }

  say();
  say('Each of these wakes its app; left alone for 30 s it is paused, for 5 min stopped:');
  const notes: Record<string, string> = {
    chat: 'a chat over WebSocket and SSE; also in a browser',
    burner: 'uses 500 ms of CPU and says how long that took',
    slow: 'takes 3 s to start; the request waits, and is answered',
  };
  for (const { name, host } of apps) {
    const path = name === 'burner' ? '/?ms=500' : '/';
    const note = notes[name];
    say(`  curl -H 'Host: ${host}' 'http://127.0.0.1:${proxyPort}${path}'${note ? dim(`   # ${note}`) : ''}`);
  }
  say(`In a browser: ${apps.map(({ host }) => `http://${host}:${proxyPort}/`).join('  ')}`);
  say();
  say('The same with the command line, in another terminal:');
  say(`  export MAYFLY_URL=${demo.apiUrl} MAYFLY_TOKEN=${token}`);
  say('  bin/mayfly ps; bin/mayfly events -f; bin/mayfly logs hello -f; bin/mayfly --help');
}

/** `mayfly-create;dur=8.1, mayfly-start;dur=80.4` as `create 8.1ms, start 80ms`. */
function phases(serverTiming: string): string {
  const found = serverTiming.matchAll(/(?:mayfly-)?([\w-]+);dur=([\d.]+)/g);
  return [...found]
    .map(([, name = '', duration]) => `${name} ${formatDuration(Number(duration))}`)
    .join(', ');
}

async function register(client: Client, engine: Plan['engine']): Promise<{ name: string; host: string }[]> {
  const apps: { name: string; host: string }[] = [];
  for (const example of EXAMPLES) {
    const folder = join(ROOT, 'examples', example);
    const { command, cwd, ...app } = JSON.parse(
      await readFile(join(folder, 'app.json'), 'utf8'),
    ) as CreateAppBody;
    const workload =
      engine === 'docker' ? { image: exampleImage(example) } : { command, cwd: join(folder, cwd ?? '.') };
    await client.createApp({ ...app, ...workload });
    apps.push({ name: app.name, host: app.hosts[0] ?? '' });
  }
  return apps;
}

interface Got {
  readonly body: string;
  readonly tookMs: number;
  readonly serverTiming: string | undefined;
}

/** A GET as curl would send it: to the proxy's address, with the app's hostname. */
function get(port: number, host: string, signal: AbortSignal): Promise<Got> {
  const startMs = performance.now();
  return new Promise((resolve, reject) => {
    const outgoing = request({ host: '127.0.0.1', port, headers: { host }, signal }, (response) => {
      let body = '';
      response.setEncoding('utf8');
      response.on('data', (chunk: string) => (body += chunk));
      response.on('error', reject);
      response.on('end', () => {
        if (response.statusCode === 200) {
          const timing = response.headers['server-timing'];
          resolve({
            body,
            tookMs: performance.now() - startMs,
            serverTiming: Array.isArray(timing) ? timing.join(', ') : timing,
          });
        } else {
          reject(
            new PlatformError('start_failed', `${host} answered ${response.statusCode ?? 0}: ${body.trim()}`),
          );
        }
      });
    });
    outgoing.on('error', reject);
    outgoing.end();
  });
}

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    signal.addEventListener('abort', () => resolve(), { once: true });
  });
}

process.exitCode = await main();
