import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readdir, rm, symlink, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import type { AddressInfo, Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { systemClock } from '../../src/clock.ts';
import { openMemoryStore } from '../../src/cmdb/memory.ts';
import { openSqliteStore } from '../../src/cmdb/sqlite.ts';
import type { Store } from '../../src/cmdb/store.ts';
import { createCore } from '../../src/coreapi/core.ts';
import type { NodeGateway } from '../../src/coreapi/core-api.ts';
import { startCoreApi } from '../../src/coreapi/http/server.ts';
import type { CoreApiServer } from '../../src/coreapi/http/server.ts';
import { ensureOperatorToken } from '../../src/coreapi/tokens.ts';
import { PlatformError } from '../../src/errors.ts';
import { silentLog } from '../../src/log.ts';
import { mayfly } from '../support/cli.ts';
import type { CliOptions } from '../support/cli.ts';
import { FakeClock } from '../support/fake-clock.ts';

const TOKEN = 'a-token-for-this-test';
const HELLO = ['apps', 'create', 'hello', '--host', 'hello.localhost', '--image', 'mayfly/hello'];

/** A node that has every image but one, and an app that wrote two lines. */
const gateway: NodeGateway = {
  async resolveImage(image, onProgress) {
    if (image === 'absent') {
      throw new PlatformError('image_not_found', 'image absent is not here, and no registry answers', {
        hint: 'pull it first',
      });
    }
    if (image === 'big') {
      onProgress({ status: 'Downloading', currentBytes: 50, totalBytes: 200 });
      onProgress({ status: 'Extracting', currentBytes: 0, totalBytes: 0 });
    }
    return { digest: `sha256:${'0'.repeat(64)}`, exposedPort: 8080 };
  },
  workloads: () => ['image', 'command'],
  async *logs(container, { follow, signal }) {
    if (container.state === 'failed') throw new PlatformError('not_found', 'there is no such container here');
    yield { atMs: 1_000, stream: 'stdout', text: 'listening' };
    yield { atMs: 2_000, stream: 'stderr', text: '\u001b[31mred\u001b[0m and \u001b[2Jclear' };
    if (follow) await new Promise((resolve) => signal.addEventListener('abort', resolve, { once: true }));
  },
};

let store: Store;
let server: CoreApiServer;
let env: Record<string, string>;

beforeEach(async () => {
  store = openMemoryStore();
  await ensureOperatorToken(store, { fromEnv: TOKEN });
  server = await startCoreApi({
    store,
    gateway,
    clock: systemClock,
    log: silentLog,
    listen: { host: '127.0.0.1', port: 0 },
  });
  env = { MAYFLY_URL: `http://127.0.0.1:${server.port}`, MAYFLY_TOKEN: TOKEN };
});

afterEach(async () => {
  await server.close();
  await store.close();
});

const cli = (words: readonly string[], options: CliOptions = {}) => mayfly(words, { env, ...options });

/** Like `cli`, for what must work. */
async function ok(words: readonly string[], options: CliOptions = {}): Promise<string> {
  const { exitCode, stdout, stderr } = await cli(words, options);
  expect({ exitCode, stderr }).toEqual({ exitCode: 0, stderr: '' });
  return stdout;
}

/** A container of the app that started and serves. Returns its id. */
async function startContainer(appName: string): Promise<string> {
  const core = createCore({ store, clock: systemClock });
  const capacity = { cpu: 4, memoryBytes: 2 ** 32 };
  await core.register({ nodeId: 'node_1', name: 'here', engine: 'docker', capacity });
  const { id: appId } = JSON.parse(await ok(['apps', 'show', appName, '--json'])) as { id: string };
  const reason = 'a request for hello.localhost came while the app slept';
  const plan = await core.plan({ appId, nodeId: 'node_1', reason, successor: false, have: [] });
  if (plan.action !== 'run') throw new Error('the node is full');
  const { id } = plan.container;
  await core.report(id, { state: 'starting', reason });
  const phasesMs = { create: 8, start: 80, listen: 12 };
  await core.report(id, {
    state: 'ready',
    reason: 'it listens',
    address: { host: '127.0.0.1', port: 1 },
    phasesMs,
  });
  return id;
}

describe('apps', () => {
  test('are created from options, listed, shown, changed and deleted', async () => {
    expect(
      await ok([
        ...HELLO,
        ...['--env', 'GREETING=hi there=you', '--probe', '/healthz', '--read-only'],
        ...['--policy', 'cpu=0.3', '--policy', 'memoryBytes=512MiB', '--policy', 'idlePauseMs=never'],
      ]),
    ).toBe('created hello, reached at hello.localhost\n');

    const app = JSON.parse(await ok(['apps', 'show', 'hello', '--json'])) as object;
    expect(app).toMatchObject({
      name: 'hello',
      hosts: ['hello.localhost'],
      revision: {
        number: 1,
        image: 'mayfly/hello',
        port: 8080,
        env: { GREETING: 'hi there=you' },
        probe: { type: 'http', path: '/healthz' },
        readOnly: true,
      },
      policy: { cpu: 0.3, memoryBytes: 536_870_912, idlePauseMs: null },
    });
    expect(await ok(['apps', 'show', 'hello'])).toMatch(/^size +0\.3 CPU, 512 MiB$/m);

    expect(await ok(['apps', 'list'])).toMatch(
      /^NAME +HOSTS +RUNS .*\nhello +hello\.localhost +mayfly\/hello +1 +0\.3 +512 MiB /,
    );

    await ok([
      'apps',
      'update',
      'hello',
      '--host',
      'a.localhost',
      '--unset-env',
      'GREETING',
      '--no-read-only',
    ]);
    expect(JSON.parse(await ok(['apps', 'show', 'hello', '--json']))).toMatchObject({
      hosts: ['a.localhost'],
      revision: { number: 2, env: {}, readOnly: false },
      policy: { cpu: 0.3 },
    });

    expect(await ok(['apps', 'delete', 'hello'])).toBe('deleted hello\n');
    expect(JSON.parse(await ok(['apps', 'list', '--json']))).toEqual([]);
  });

  test('need others, in the order given, until told otherwise', async () => {
    for (const name of ['db', 'mail']) await ok(['apps', 'create', name, '--image', 'mayfly/hello']);
    await ok([
      ...HELLO,
      '--need',
      'mail',
      '--need',
      'db',
      '--policy',
      'boost.cpu=1',
      '--policy',
      'boost.afterReadyMs=5s',
    ]);
    const shown = await ok(['apps', 'show', 'hello']);
    expect(shown).toMatch(/^needs +mail, db$/m);
    expect(shown).toMatch(/^boost +1 CPU while it starts and 5s longer$/m);
    expect(await ok(['apps', 'show', 'db'])).toMatch(/^needed by +hello$/m);
    const refused = await cli(['apps', 'delete', 'db']);
    expect(refused.exitCode).not.toBe(0);
    expect(refused.stderr).toContain('app db is needed by hello');
    await ok(['apps', 'update', 'hello', '--need', 'db']);
    expect(await ok(['apps', 'show', 'hello'])).toMatch(/^needs +db$/m);
    await ok(['apps', 'update', 'hello', '--no-needs']);
    expect(await ok(['apps', 'show', 'hello'])).not.toContain('needs');
    await ok(['apps', 'delete', 'db']);
  });

  test('run a command in a folder, given after --', async () => {
    await ok([
      'apps',
      'create',
      'cmd',
      '--cwd',
      'examples/hello',
      '--',
      'node',
      '--enable-source-maps',
      'server.mjs',
    ]);
    expect(JSON.parse(await ok(['apps', 'show', 'cmd', '--json']))).toMatchObject({
      revision: {
        image: null,
        command: ['node', '--enable-source-maps', 'server.mjs'],
        cwd: join(process.cwd(), 'examples/hello'),
      },
    });
  });

  test.each([
    ['apps update', ['apps', 'update', 'hello', '--env', 'A=1', 'B=2'], 'B=2'],
    ['apps update', ['apps', 'update', 'hello', 'stray', '--', 'serve'], 'stray'],
    ['apps create', ['apps', 'create', 'other', 'mayfly/hello:2'], 'mayfly/hello:2'],
    ['deploy', ['deploy', 'hello', 'mayfly/hello:2'], 'mayfly/hello:2'],
  ])('%s takes no program but after --', async (_command, words, stray) => {
    await ok(HELLO);
    const { exitCode, stderr } = await cli(words);
    expect({ exitCode, stderr }).toEqual({
      exitCode: 2,
      stderr: `error: ${stray} is a word too many\nhint: a program goes after --; each variable needs its own --env\n`,
    });
    expect(JSON.parse(await ok(['apps', 'show', 'hello', '--json']))).toMatchObject({
      revision: { number: 1, command: null },
    });
  });

  test('have no name after --', async () => {
    await ok(['apps', 'create', '--file', '-', '--', 'serve'], { stdin: '{"name":"piped","image":"x"}' });
    expect(JSON.parse(await ok(['apps', 'show', 'piped', '--json']))).toMatchObject({
      revision: { command: ['serve'] },
    });
    for (const command of [['apps', 'update'], ['deploy']]) {
      expect(await cli([...command, '--', 'piped', 'other'])).toMatchObject({ exitCode: 2, stdout: '' });
    }
  });

  test('come from a file whose folder is relative to it, and options win over the file', async () => {
    const file = join(import.meta.dirname, '../../examples/hello/app.json');
    await ok([
      'apps',
      'create',
      'other',
      '--host',
      'o.localhost',
      '--file',
      file,
      '--env',
      'A=1',
      '--policy',
      'cpu=1',
    ]);
    expect(JSON.parse(await ok(['apps', 'show', 'other', '--json']))).toMatchObject({
      hosts: ['o.localhost'],
      revision: { cwd: join(file, '..'), env: { GREETING: 'Hello', A: '1' } },
      policy: { cpu: 1, memoryBytes: 268_435_456 },
    });

    await ok(['apps', 'create', '--file', file, '--image', 'mayfly/hello']);
    expect(JSON.parse(await ok(['apps', 'show', 'hello', '--json']))).toMatchObject({
      revision: { image: 'mayfly/hello', command: null, cwd: null },
    });
  });

  test('keep what their file says beside an option, and lose its image to a folder', async () => {
    const policy = {
      wake: { perMinute: 3, ignore: [{ path: '/healthz' }] },
      concurrency: { target: 5, limit: 7 },
      boost: { cpu: 1 },
    };
    const stdin = JSON.stringify({ name: 'hello', image: 'mayfly/hello', env: { A: '1' }, policy });
    await ok(
      [
        ...['apps', 'create', '--file', '-', '--env', 'B=2', '--policy', 'wake.waitingPage=true'],
        ...['--policy', 'concurrency.target=6', '--policy', 'boost.afterReadyMs=2s'],
      ],
      { stdin },
    );
    expect(JSON.parse(await ok(['apps', 'show', 'hello', '--json']))).toMatchObject({
      revision: { env: { A: '1', B: '2' } },
      policy: {
        wake: { perMinute: 3, ignore: [{ path: '/healthz' }], waitingPage: true },
        concurrency: { target: 6, limit: 7 },
        boost: { cpu: 1, afterReadyMs: 2_000 },
      },
    });

    await ok(['apps', 'create', 'plain', '--file', '-', '--cwd', '/srv', '--', 'serve'], { stdin });
    expect(JSON.parse(await ok(['apps', 'show', 'plain', '--json']))).toMatchObject({
      revision: { image: null, command: ['serve'], cwd: '/srv' },
    });
  });

  test('come from stdin', async () => {
    const stdin = JSON.stringify({ name: 'piped', hosts: ['p.localhost'], image: 'x' });
    expect(await ok(['apps', 'create', '--file', '-'], { stdin })).toBe(
      'created piped, reached at p.localhost\n',
    );
    const broken = await cli(['apps', 'create', '--file', '-'], { stdin: '{' });
    expect(broken.exitCode).toBe(2);
    expect(broken.stderr).toMatch(/^error: --file stdin cannot be read: /);
  });

  test('are shown with all that was said of them, and nothing that clears the screen', async () => {
    await ok([
      ...['apps', 'create', 'all', '--image', 'node', '--read-only', '--policy', 'requestTimeoutMs=10s'],
      ...['--policy', 'keepWarm=mon-fri 08:00-18:00 Europe/Berlin x2', '--policy', 'drainTimeoutMs=5s'],
      ...['--policy', 'wake.ignore=/healthz,UptimeRobot', '--policy', 'wake.perMinute=3'],
      ...['--policy', 'wake.waitingPage=true', '--', 'node', '\u001b[2J\u001b]0;owned\u0007'],
    ]);
    const shown = await ok(['apps', 'show', 'all'], { terminalColumns: 80, env: { ...env, NO_COLOR: '1' } });
    expect(shown).not.toMatch(/[\u0000-\u0009\u000b-\u001f]/);
    expect(shown.split('\n')).toEqual(
      expect.arrayContaining([
        'command     node  [2J ]0;owned',
        'files       read-only, but for /tmp',
        'containers  0 always kept ready, 3 at most',
        'kept ready  mon-fri 08:00-18:00 Europe/Berlin x2',
        'wake        3 times a minute at most, but not by /healthz, User-Agent UptimeRobot, answered with 200, browsers are shown a page that waits',
        'request     fails after 10s without an answer',
        'drain       5s at most for what is in flight',
      ]),
    );
    const program = ['--', 'node', '\u001b[2J'];
    await ok(['apps', 'create', 'plain', '--cwd', '/srv', ...program]);
    expect(await ok(['deploy', 'plain'])).toBe('deployed revision 2 of plain: node  [2J\n');
  });

  test('get a new revision on deploy, with its number and what it runs', async () => {
    await ok(HELLO);
    expect(await ok(['deploy', 'hello', '--image', 'mayfly/hello:2'])).toBe(
      'deployed revision 2 of hello: mayfly/hello:2\n',
    );
  });
});

describe('a pull', () => {
  const big = ['apps', 'create', 'big', '--image', 'big'];

  test('is told step by step where nobody watches, apart from the result', async () => {
    const { stdout, stderr } = await cli([...big, '--json']);
    expect(stderr).toBe('big: Downloading\nbig: Extracting\n');
    expect(JSON.parse(stdout)).toMatchObject({ name: 'big' });
  });

  test('is one line on a terminal, which goes away', async () => {
    const { stderr } = await cli(big, { terminalColumns: 80 });
    expect(stderr).toContain('\r\u001b[Kbig: Downloading 25% of 200 B');
    expect(stderr).not.toContain('\n');
    expect(stderr.endsWith('\r\u001b[K')).toBe(true);
  });
});

describe('what goes wrong', () => {
  test('has a line for the error, one for the way out, and one for every field', async () => {
    const { exitCode, stdout, stderr } = await cli([...HELLO, '--policy', 'cpu=0', '--port', '99999']);
    expect({ exitCode, stdout }).toEqual({ exitCode: 1, stdout: '' });
    expect(stderr).toMatch(/^error: /);
    expect(stderr).toMatch(/^ {2}policy\.cpu: .*0\.01/m);
    expect(stderr).toMatch(/^ {2}port: /m);
  });

  test.each([
    ['what is not there', ['apps', 'show', 'nobody'], 4],
    ['an image that cannot be had', ['apps', 'create', 'a', '--image', 'absent'], 1],
    ['an unknown option', ['ps', '--josn'], 2],
    ['a missing argument', ['apps', 'show'], 2],
    ['no command at all', [], 2],
    ['half a command', ['apps'], 2],
    ['an app without a name', ['apps', 'create', '--image', 'x'], 2],
    ['an update of nothing', ['apps', 'update', 'hello'], 2],
    ['a variable without a value', [...HELLO, '--env', 'X'], 2],
    ['a variable that is set and removed', ['deploy', 'hello', '--env', 'A=1', '--unset-env', 'A'], 2],
    ['needs and none', ['apps', 'update', 'hello', '--need', 'a', '--no-needs'], 2],
    ['a count that is none', ['logs', 'hello', '--tail', 'all'], 2],
  ])('%s has its exit code', async (_what, words, expected) => {
    const { exitCode, stdout } = await cli(words);
    expect({ exitCode, stdout }).toEqual({ exitCode: expected, stdout: '' });
  });

  test('the hint names the command, and what was probably meant', async () => {
    expect((await cli(['ps', '--josn'])).stderr).toBe(
      "error: unknown option '--josn'\nhint: did you mean --json?\n",
    );
    expect((await cli(['apps', 'show'])).stderr).toContain('hint: mayfly apps show --help ');
    expect((await cli(['apps', 'create', 'a', '--image', 'absent'])).stderr).toBe(
      'error: image absent is not here, and no registry answers\nhint: pull it first\n',
    );
  });

  test('a server that is not there has an exit code of its own', async () => {
    const url = env['MAYFLY_URL'] ?? '';
    await server.close();
    const { exitCode, stderr } = await cli(['ps']);
    expect(exitCode).toBe(3);
    expect(stderr).toContain(url);
    expect(stderr).toMatch(/^hint: .*mayfly up/m);
  });

  test('one that is silent is named after 5 s, and given up after a minute', async () => {
    const silent = createServer().listen(0, '127.0.0.1');
    try {
      await once(silent, 'listening');
      const url = `http://127.0.0.1:${(silent.address() as AddressInfo).port}`;
      const clock = new FakeClock();
      const connected = once(silent, 'connection');
      const reading = cli(['ps', '--url', url], { clock });
      const [socket] = (await connected) as [Socket];
      await clock.advance(60_000);
      expect(await reading).toEqual({
        exitCode: 3,
        stdout: '',
        stderr:
          `still waiting for an answer of the Core API at ${url}\n` +
          `error: the Core API at ${url} has not answered for 60 s\nhint: try again\n`,
      });
      socket.destroy();
    } finally {
      silent.close();
    }
  });

  test('a wrong token is refused by the server, a missing one before it is asked', async () => {
    expect((await cli(['ps', '--token', 'another-token-altogether'])).exitCode).toBe(1);
    const { exitCode, stderr } = await mayfly(['ps'], { env: {} });
    expect(exitCode).toBe(2);
    expect(stderr).toContain('MAYFLY_TOKEN');
  });

  test('the operator token of `mayfly up` is taken where no other was given', async () => {
    const { MAYFLY_URL = '' } = env;
    expect((await mayfly(['ps'], { env: { MAYFLY_URL, MAYFLY_OPERATOR_TOKEN: TOKEN } })).exitCode).toBe(0);
  });
});

describe('what goes on', () => {
  test('ps shows state, age, cold start and reason of every container', async () => {
    await ok(HELLO);
    expect((await cli(['ps'])).stderr).toBe('no containers: every app sleeps\n');
    const id = await startContainer('hello');
    const lines = (await ok(['ps'])).split('\n');
    expect(lines[0]).toMatch(/^APP +CONTAINER +STATE +AGE +COLD START +CPU +MEMORY +REASON$/);
    expect(lines[1]).toMatch(
      new RegExp(`^hello +${id} +ready +(<1s|\\d+s) +100ms +0\\.5 +256 MiB +it listens$`),
    );
    expect(JSON.parse(await ok(['ps', 'hello', '--json']))).toMatchObject([
      { id, state: 'ready', appName: 'hello' },
    ]);
  });

  test('a terminal gets colours and no line wider than itself; NO_COLOR is respected', async () => {
    await ok(HELLO);
    await startContainer('hello');
    const coloured = await ok(['ps'], { terminalColumns: 100 });
    expect(coloured).toContain('\u001b[32mready\u001b[0m');
    const plain = await ok(['ps'], { terminalColumns: 100, env: { ...env, NO_COLOR: '1' } });
    expect(plain).not.toContain('\u001b');
    expect(Math.max(...plain.split('\n').map((line) => line.length))).toBeLessThanOrEqual(100);
  });

  test('events say what happened, to which app, and why', async () => {
    await ok(HELLO);
    await startContainer('hello');
    const table = await ok(['events', '--app', 'hello']);
    expect(table).toMatch(/^WHEN +EVENT +APP +REASON\n/);
    expect(table).toMatch(/ container\.ready +hello +it listens$/m);
    const events = JSON.parse(await ok(['events', '--limit', '1', '--json'])) as { type: string }[];
    expect(events.map(({ type }) => type)).toEqual(['container.ready']);
  });

  test('events -f goes on until Ctrl-C, one JSON document a line', async () => {
    await ok(HELLO);
    const ctrlC = new AbortController();
    let stdout = '';
    const following = cli(['events', '-f', '--json', '--app', 'hello'], {
      interrupted: () => ctrlC.signal,
      onStdout(text) {
        stdout += text;
        if (text.includes('app.created')) void startContainer('hello');
        if (text.includes('container.ready')) ctrlC.abort();
      },
    });
    expect(await following).toMatchObject({ exitCode: 130, stderr: '' });
    const types = stdout
      .trimEnd()
      .split('\n')
      .map((line) => (JSON.parse(line) as { type: string }).type);
    expect(types).toEqual(['app.created', 'container.planned', 'container.starting', 'container.ready']);
  });

  test('logs show every line, and cannot clear the screen of who reads them', async () => {
    await ok(HELLO);
    await startContainer('hello');
    const onTerminal = await ok(['logs', 'hello'], { terminalColumns: 80 });
    expect(onTerminal).toContain('\u001b[31mred\u001b[0m and [2Jclear\n');
    const lines = (await ok(['logs', 'hello', '--json'])).trimEnd().split('\n');
    expect(lines.map((line) => (JSON.parse(line) as { text: string }).text)).toEqual([
      'listening',
      '\u001b[31mred\u001b[0m and \u001b[2Jclear',
    ]);
  });

  test('logs of an app that has none say where to look instead', async () => {
    await ok(HELLO);
    const nothing = {
      exitCode: 0,
      stdout: '',
      stderr: 'no lines: hello has not run lately, or has written nothing; mayfly events --app hello tells\n',
    };
    expect(await cli(['logs', 'hello'])).toEqual(nothing);
    const id = await startContainer('hello');
    await createCore({ store, clock: systemClock }).report(id, { state: 'failed', reason: 'it ended' });
    expect(await cli(['logs', 'hello'])).toEqual(nothing);
    const { exitCode, stderr } = await cli(['logs', 'hello', '--container', id]);
    expect(exitCode).toBe(4);
    expect(stderr).toMatch(
      new RegExp(`^error: there is no log of container ${id}, .*\nhint: .*mayfly events --app hello`),
    );
  });

  test('logs -f ends on Ctrl-C', async () => {
    await ok(HELLO);
    await startContainer('hello');
    const ctrlC = new AbortController();
    const result = await cli(['logs', 'hello', '-f'], {
      interrupted: () => ctrlC.signal,
      onStdout: (text) => {
        if (text.includes('clear')) ctrlC.abort();
      },
    });
    expect(result).toMatchObject({ exitCode: 130, stderr: '' });
    expect(result.stdout).toContain('listening\n');
  });

  test('nodes show the room they have, grades the sizes there are', async () => {
    await ok(HELLO);
    await startContainer('hello');
    expect(await ok(['nodes'])).toMatch(/^here +docker +up +0\.5 of 4 +256 MiB of 4 GiB /m);
    expect(await ok(['grades'])).toMatch(/^micro +0\.3 +512 MiB$/m);
  });
});

describe('help', () => {
  const commands = [
    ...[
      ['up'],
      ['apps', 'create'],
      ['apps', 'list'],
      ['apps', 'show'],
      ['apps', 'update'],
      ['apps', 'scale'],
      ['apps', 'delete'],
    ],
    ...[['deploy'], ['logs'], ['ps'], ['events'], ['nodes'], ['grades'], ['completion'], ['help']],
  ];

  test.each(commands.map((words) => [words.join(' ')]))('%s has examples', async (words) => {
    expect(await ok([...words.split(' '), '--help'])).toMatch(/\nExamples:\n {2}/);
  });

  test('is shown of any command, by help before it or --help behind it', async () => {
    for (const words of [[], ['apps'], ['apps', 'create'], ['logs']]) {
      expect(await ok(['help', ...words])).toBe(await ok([...words, '--help']));
    }
    expect(await ok(['apps', 'help', 'create'])).toBe(await ok(['apps', 'create', '--help']));
    expect(await cli(['help', 'apps', 'nope'])).toEqual({
      exitCode: 2,
      stdout: '',
      stderr: 'error: there is no command mayfly apps nope\nhint: mayfly apps --help shows what there is\n',
    });
    expect(await cli(['help', 'nope'])).toMatchObject({ exitCode: 2, stdout: '' });
    expect(await cli(['apps', 'nope', '--help'])).toEqual(await cli(['help', 'apps', 'nope']));
    expect(await cli(['nope', '--help'])).toEqual(await cli(['help', 'nope']));
    expect(await ok(['apps', 'create', 'hello', '--help'])).toBe(await ok(['apps', 'create', '--help']));
  });

  test('the exit codes are documented', async () => {
    expect(await ok(['--help'])).toMatch(
      /Exit codes:\n {2}0 .*\n {2}1 .*\n {2}2 .*\n {2}3 .*\n {2}4 .*\n {2}130 /,
    );
  });

  test('the version is that of the package', async () => {
    expect(await ok(['--version'])).toMatch(/^\d+\.\d+\.\d+\n$/);
  });
});

describe('up', () => {
  test('is given a checked configuration, and its exit code is the command’s', async () => {
    let dataFolder = '';
    const { exitCode } = await mayfly(['up', '--data', '/srv/mayfly', '--proxy-port', '0'], {
      async up({ data }) {
        dataFolder = data;
        return 7;
      },
    });
    expect({ exitCode, dataFolder }).toEqual({ exitCode: 7, dataFolder: '/srv/mayfly' });
  });

  test('names variables that set nothing, and what was probably meant', async () => {
    const variables = { MAYFLY_PROXY_PROT: '1', MAYFLY_SEED: '7', MAYFLY_TOKEN: 'x', MAYFLY_API_PORT: '0' };
    const { stderr } = await mayfly(['up'], { env: variables, up: () => Promise.resolve(0) });
    expect(stderr).toBe(
      'warning: MAYFLY_PROXY_PROT is no setting; did you mean MAYFLY_PROXY_PORT?\n' +
        'warning: MAYFLY_SEED is no setting\n',
    );
  });

  test('is not run with a wrong one', async () => {
    const { exitCode, stderr } = await mayfly(['up', '--workers', '65'], {
      up: () => Promise.reject(new Error('it was run')),
    });
    expect(exitCode).toBe(2);
    expect(stderr).toMatch(/^error: --workers must be /);
  });
});

test('bin/mayfly runs through a link from elsewhere, and its exit code is the command’s', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'mayfly-link-'));
  try {
    await symlink(join(import.meta.dirname, '../../bin/mayfly'), join(folder, 'mayfly'));
    const launch = (words: string[]) =>
      promisify(execFile)(join(folder, 'mayfly'), words, { cwd: folder, env: { ...process.env, ...env } });
    expect((await launch(['apps', 'list', '--json'])).stdout).toBe('[]\n');
    await expect(launch(['apps', 'show', 'nobody'])).rejects.toMatchObject({ code: 4 });
  } finally {
    await rm(folder, { recursive: true });
  }
});

describe('bin/mayfly, where its output cannot go', () => {
  const MAYFLY = join(import.meta.dirname, '../../bin/mayfly');

  /** Runs a line of bash in which `mayfly` is a command. */
  // What the tests are told is nothing to it: it would say that it knows no such setting.
  const outside = Object.fromEntries(
    Object.entries(process.env).filter(([name]) => !name.startsWith('MAYFLY_')),
  );
  const inShell = (line: string) =>
    new Promise<{ exitCode: unknown; stderr: string }>((resolve) => {
      const script = `set -o pipefail; mayfly() { "$0" "$@"; }; ${line}`;
      execFile('bash', ['-c', script, MAYFLY], { env: { ...outside, ...env } }, (error, _stdout, stderr) => {
        resolve({ exitCode: error?.code ?? 0, stderr });
      });
    });

  test.each(['apps list --json', '--help', 'completion bash'])(
    'says so of a full disk: %s',
    async (words) => {
      expect(await inShell(`mayfly ${words} >/dev/full`)).toEqual({
        exitCode: 1,
        stderr: 'error: the output cannot be written: ENOSPC: no space left on device, write\n',
      });
    },
  );

  test('ends well when its reader has left', async () => {
    expect(await inShell('mayfly completion bash | true')).toEqual({ exitCode: 0, stderr: '' });
  });

  test.each(['>/dev/full', '| true'])(
    '`up` %s ends in order, and keeps no token that nobody was shown',
    async (nowhere) => {
      const data = await mkdtemp(join(tmpdir(), 'mayfly-full-'));
      try {
        const up = `mayfly up --data ${data} --engine process --proxy-port 0 --api-port 0`;
        expect(await inShell(`${up} --log-level error ${nowhere}`)).toEqual({
          exitCode: 1,
          stderr: expect.stringMatching(/^error: the output cannot be written: .*\n$/) as string,
        });
        expect(await readdir(data)).not.toContain('lock.pid');
        const kept = openSqliteStore({ path: join(data, 'mayfly.db') });
        expect(await kept.list('token')).toEqual([]);
        await kept.close();
      } finally {
        await rm(data, { recursive: true });
      }
    },
  );
});

test('bin/mayfly keeps what Node makes of the sources, and does without where it cannot', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'mayfly-cache-'));
  const root = join(import.meta.dirname, '../..');
  try {
    const version = (cache: string | undefined) =>
      promisify(execFile)(join(root, 'bin/mayfly'), ['--version'], {
        env: { ...process.env, NODE_COMPILE_CACHE: cache },
      });
    await version(undefined);
    expect(await readdir(join(root, 'node_modules/.cache/mayfly'))).not.toEqual([]);
    await version(join(folder, 'elsewhere'));
    expect(await readdir(join(folder, 'elsewhere'))).not.toEqual([]);
    await writeFile(join(folder, 'file'), '');
    for (const cache of ['', join(folder, 'file')]) {
      const { stdout, stderr } = await version(cache);
      expect(stdout).toMatch(/^\d+\.\d+\.\d+\n$/);
      expect(stderr).toBe('');
    }
  } finally {
    await rm(folder, { recursive: true });
  }
});
