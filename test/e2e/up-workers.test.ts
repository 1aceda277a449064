/** The data plane in two processes: as one to whoever visits, and neither missed when it goes. */
import { once } from 'node:events';
import { request } from 'node:http';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { past, Platform } from '../support/platform.ts';
import { startProgram } from '../support/program.ts';
import { RawClient } from '../support/raw-http.ts';
import { Traffic } from '../support/traffic.ts';
import { until } from '../support/until.ts';
import { clientsOf, isAlive, workerPids, workersOf } from '../support/workers.ts';

const TWO = ['--workers', '2'];
const NARROW = join(import.meta.dirname, '../support/apps/narrow.mjs');

/** However many ask, there is one container. */
const FIXED = { cpu: 0.5, scaling: { mode: 'off' as const } };

const ask = (host: string) => `GET / HTTP/1.1\r\nHost: ${host}.localhost\r\n\r\n`;

/** Client connections that have been answered once, and the worker that each is with. */
async function connect(platform: Platform, host: string, count: number) {
  const { proxyPort, pid } = platform.program;
  const clients = await Promise.all(Array.from({ length: count }, () => RawClient.open(proxyPort)));
  for (const client of clients) client.send(ask(host));
  for (const client of clients) await client.saw('"id"');
  const owners = workerPids(pid).map((worker) => ({ worker, ports: clientsOf(worker, proxyPort) }));
  return clients.map((client) => {
    const port = client.socket.localPort ?? 0;
    return { client, worker: owners.find(({ ports }) => ports.has(port))?.worker ?? 0 };
  });
}

describe('two workers', () => {
  let platform: Platform;
  beforeAll(async () => {
    platform = await Platform.open('process', TWO);
  });
  afterAll(() => platform[Symbol.asyncDispose]());

  const workers = () => workersOf(platform.program.pid);

  it('are processes of their own, each on a place of its own', () => {
    expect([...workers()].map(([place, pids]) => [place, pids.length]).sort()).toEqual([
      [1, 1],
      [2, 1],
    ]);
  });

  it('want one container between them, however many ask both of them first', async () => {
    await platform.create('cold', { policy: FIXED });
    const answers = await Promise.all(Array.from({ length: 200 }, () => platform.who('cold')));
    expect(new Set(answers.map(({ id }) => id)).size).toBe(1);
    // It was one start, and is told as one, whoever had requests waiting for it.
    await platform.saw('cold', 'app.cold_start');
    const story = await platform.story('cold');
    for (const type of ['container.planned', 'app.cold_start'])
      expect(
        story.filter((one) => one === type),
        type,
      ).toHaveLength(1);
  });

  it('share connections about evenly', async () => {
    await platform.create('even');
    await platform.who('even');
    const connections = await connect(platform, 'even', 200);
    const counts = new Map<number, number>();
    for (const { worker } of connections) counts.set(worker, (counts.get(worker) ?? 0) + 1);
    expect([...counts.keys()].sort()).toEqual(workerPids(platform.program.pid).sort());
    for (const count of counts.values()) expect(count).toBeGreaterThan(60); // five times the deviation of chance
    await Promise.all(connections.map(({ client }) => client[Symbol.asyncDispose]()));
  });

  it('never give a container more than its limit, be it one', async () => {
    const command = [process.execPath, NARROW];
    for (const limit of [1, 3]) {
      const name = `narrow-${limit}`;
      const policy = { ...FIXED, idleStopMs: null, idlePauseMs: null, concurrency: { target: 1, limit } };
      await platform.client.createApp({ name, hosts: [`${name}.localhost`], command, cwd: '/', policy });
      const answers = await Promise.all(Array.from({ length: 150 }, () => platform.get(name, '/?ms=10')));
      expect(answers.filter(({ status }) => status !== 200)).toEqual([]);
      const most = answers.map(({ body }) => (JSON.parse(body) as { most: number }).most);
      expect(Math.max(...most)).toBe(limit);
    }
  });

  it('stop an idle container only when both agree that it is idle', async () => {
    await platform.create('napper', { policy: { idlePauseMs: 300, idleStopMs: 900 } });
    await platform.who('napper');
    const streams = await connect(platform, 'napper', 8);
    const first = streams[0]?.client;
    if (first === undefined) throw new Error('no connection');
    first.send('GET /ticks HTTP/1.1\r\nHost: napper.localhost\r\n\r\n');
    await first.saw('tick 6.'); // 1.5 s, in which one worker has nothing to do with it
    expect(await platform.container('napper')).toMatchObject({ state: 'ready' });
    await Promise.all(streams.map(({ client }) => client[Symbol.asyncDispose]()));
    expect((await platform.saw('napper', 'container.stopped')).reason).toBe('no activity for 900ms');
  });

  it('of which one is killed: its own connections break and nothing else, and it is replaced', async () => {
    await platform.create('steady');
    await platform.who('steady');
    const connections = await connect(platform, 'steady', 40);
    const victim = connections[0]?.worker ?? 0;
    const [lost, kept] = [
      connections.filter(({ worker }) => worker === victim),
      connections.filter(({ worker }) => worker !== victim),
    ];
    expect(kept.length).toBeGreaterThan(0);
    await using traffic = new Fresh(platform.program.proxyPort, 'steady.localhost');
    await traffic.further(50);
    process.kill(victim, 'SIGKILL');
    await until('the victim to be gone', () => !isAlive(victim));
    for (const { client } of lost) await client.rest();
    for (const { client } of kept) {
      client.received = '';
      client.send(ask('steady'));
      await client.saw('"id"');
    }
    await until('it to be replaced', () => {
      const now = workers();
      return (
        now.get(1)?.length === 1 &&
        now.get(2)?.length === 1 &&
        !workerPids(platform.program.pid).includes(victim)
      );
    });
    await traffic.further(100);
    // At most what the victim had accepted at that moment.
    expect(traffic.failures.length).toBeLessThanOrEqual(Fresh.VISITORS);
    const again = await connect(platform, 'steady', 40);
    expect(new Set(again.map(({ worker }) => worker)).size).toBe(2);
    await Promise.all([...connections, ...again].map(({ client }) => client[Symbol.asyncDispose]()));
  });

  it('of which one is killed: what it had in flight keeps no container from going', async () => {
    await platform.create('closing', { policy: { drainTimeoutMs: 600_000 } });
    await platform.who('closing');
    const container = await platform.container('closing');
    const [one] = await connect(platform, 'closing', 1);
    if (one === undefined) throw new Error('no connection');
    one.client.send('GET /hold HTTP/1.1\r\nHost: closing.localhost\r\n\r\n');
    await until('the request to be there', async () =>
      (await past(container, '/held')).body.includes('"held":1'),
    );
    await platform.client.deleteApp('closing');
    await until('the drain to have begun', async () =>
      (await platform.client.listContainers()).some(
        ({ id, state }) => id === container.id && state === 'draining',
      ),
    );
    process.kill(one.worker, 'SIGKILL');
    await until('the container to end', async () => !(await platform.running()).has(container.id));
    await until('two workers', () => workers().size === 2);
    await one.client[Symbol.asyncDispose]();
  });

  it('are replaced one after the other on SIGHUP, and no request fails', async () => {
    await platform.create('rolling');
    await platform.who('rolling');
    await using kept = new Traffic(platform.program.proxyPort, 'rolling.localhost');
    await using fresh = new Fresh(platform.program.proxyPort, 'rolling.localhost');
    for (let round = 0; round < 2; round++) {
      await Promise.all([kept.further(50), fresh.further(50)]);
      const before = workerPids(platform.program.pid);
      process.kill(platform.program.pid, 'SIGHUP');
      await until('all to be replaced', () => {
        const now = workerPids(platform.program.pid);
        return now.length === 2 && now.every((pid) => !before.includes(pid));
      });
    }
    await Promise.all([kept.further(50), fresh.further(50)]);
    expect(kept.failures).toEqual([]);
    expect(fresh.failures).toEqual([]);
  });
});

it('of two workers one that is killed in the middle of a SIGHUP leaves its place to one other', async () => {
  await using platform = await Platform.open('process', TWO);
  const { pid } = platform.program;
  const [victim = 0] = workersOf(pid).get(1) ?? [];
  // Twice: what was left over of the first time would be there yet after the second.
  for (let round = 0; round < 2; round++) {
    const before = workerPids(pid);
    process.kill(pid, 'SIGHUP');
    if (round === 0) process.kill(victim, 'SIGKILL');
    await until('the workers to be others', () => {
      const now = workerPids(pid);
      return [1, 2].every((place) => workersOf(pid).has(place)) && !now.some((one) => before.includes(one));
    });
  }
  await until('one worker a place', () => workerPids(pid).length === 2);
  expect([...workersOf(pid).keys()].sort()).toEqual([1, 2]);
});

/** Visitors who open a connection for every request, and upload something. */
class Fresh implements AsyncDisposable {
  static readonly VISITORS = 4;
  readonly failures: string[] = [];
  answered = 0;
  readonly #visitors: Promise<unknown>;
  #over = false;

  constructor(port: number, host: string) {
    this.#visitors = Promise.all(Array.from({ length: Fresh.VISITORS }, () => this.#visit(port, host)));
  }

  async further(count: number): Promise<void> {
    const wanted = this.answered + count;
    await until(`${count} further visits`, () => this.answered >= wanted);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#over = true;
    await this.#visitors;
  }

  async #visit(port: number, host: string): Promise<void> {
    while (!this.#over && this.answered < 50_000) {
      const outgoing = request({ host: '127.0.0.1', port, method: 'POST', headers: { host }, agent: false });
      try {
        outgoing.end('something');
        const [response] = (await once(outgoing, 'response')) as [
          AsyncIterable<Buffer> & { statusCode: number },
        ];
        for await (const _ of response);
        if (response.statusCode !== 200) this.failures.push(String(response.statusCode));
      } catch (error) {
        this.failures.push(String(error));
      }
      this.answered++;
    }
  }
}

it('a worker that is replaced finishes what it has in flight, for as long as it may', async () => {
  await using platform = await Platform.open('process', [...TWO, '--worker-drain-ms', '3000']);
  await platform.create('ticker');
  await platform.who('ticker');
  await using stream = await RawClient.open(platform.program.proxyPort);
  stream.send('GET /ticks HTTP/1.1\r\nHost: ticker.localhost\r\n\r\n');
  await stream.saw('tick 1.');
  const before = workerPids(platform.program.pid);
  process.kill(platform.program.pid, 'SIGHUP');
  await until('successors to be there', () => {
    const now = workersOf(platform.program.pid);
    return [1, 2].every((place) => now.get(place)?.some((pid) => !before.includes(pid)));
  });
  stream.received = '';
  await stream.saw('tick'); // it goes on
  expect(await platform.who('ticker')).toBeDefined();
  // Its bound is the end of it.
  await stream.rest();
  await until('the old ones to be gone', () => before.every((pid) => !isAlive(pid)));
  expect(workersOf(platform.program.pid).size).toBe(2);
});

it('workers of a program that is killed end by themselves, and the next program has their port', async () => {
  await using platform = await Platform.open('process', TWO);
  await platform.create('orphan');
  const before = await platform.who('orphan');
  const pids = workerPids(platform.program.pid);
  expect(pids).toHaveLength(2);
  await platform.kill();
  await until('the workers to end', () => pids.every((pid) => !isAlive(pid)));
  await platform.start();
  expect(await platform.who('orphan')).toEqual(before);
});

it('SIGTERM ends them all, with what they have in flight', async () => {
  await using platform = await Platform.open('process', TWO);
  await platform.create('last');
  const me = await platform.who('last');
  const container = await platform.container('last');
  const pids = workerPids(platform.program.pid);
  const inFlight = Array.from({ length: 8 }, () => platform.get('last', '/hold'));
  await until('the requests to be there', async () =>
    (await past(container, '/held')).body.includes('"held":8'),
  );
  const stopping = platform.stop();
  await until('new visitors to be refused', () =>
    platform.get('last').then(
      () => false,
      (error: unknown) => String(error).includes('ECONNREFUSED'),
    ),
  );
  await past(container, '/release');
  for (const answer of await Promise.all(inFlight)) expect(JSON.parse(answer.body)).toEqual(me);
  expect(await stopping).toBe(0);
  expect(pids.filter((pid) => isAlive(pid))).toEqual([]);
});

describe.each(['1', '2'])('a port that is taken by a program with %s workers', (workers) => {
  it.each(['1', '2'])('is named by one with %s, and not shared', async (others) => {
    await using platform = await Platform.open('process', ['--workers', workers]);
    const { proxyPort } = platform.program;
    const second = startProgram({ engine: 'process', proxyPort, args: ['--workers', others] });
    await expect(second).rejects.toThrow(`port ${proxyPort} is taken by another program`);
  });
});
