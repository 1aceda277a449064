/** Worker processes by themselves, between a scripted control plane and a real app. */
import { readFileSync } from 'node:fs';
import { connect } from 'node:tls';
import type { TLSSocket } from 'node:tls';
import { afterEach, describe, expect, it } from 'vitest';
import { systemClock } from '../../src/clock.ts';
import type { Clock } from '../../src/clock.ts';
import { DataPlanes } from '../../src/compute/data-planes.ts';
import { silentLog } from '../../src/log.ts';
import type { Certificate } from '../../src/proxy/doors/certificates.ts';
import { startWorkers } from '../../src/proxy/workers/workers.ts';
import type { Workers, WorkersOptions } from '../../src/proxy/workers/workers.ts';
import { makePair, shown } from '../support/certificates.ts';
import { activation, ScriptedControlPlane } from '../support/scripted-control-plane.ts';
import { ask } from '../support/upstreams-proxy.ts';
import { httpUpstream } from '../support/upstreams.ts';
import type { Upstream } from '../support/upstreams.ts';
import { until } from '../support/until.ts';
import { freePort } from '../support/program.ts';
import { isAlive } from '../support/workers.ts';

class Control extends ScriptedControlPlane {
  readonly planes = new DataPlanes();
  override attach: ScriptedControlPlane['attach'] = (plane) => this.planes.attach(plane);
}

const CLOSED: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const close of CLOSED.splice(0).reverse()) await close();
});

async function start(options: Partial<WorkersOptions> = {}) {
  const upstream: Upstream = await httpUpstream((_req, res) => res.end('hello'));
  CLOSED.push(() => upstream.close());
  const control = new Control();
  control.app('a', {
    activate: () => {
      control.planes.publish('a', [upstream.endpoint]);
      return Promise.resolve(activation([upstream.endpoint], 'warm'));
    },
  });
  const workers = await startWorkers({
    ...{ control, clock: systemClock, log: silentLog, count: 2, drainMs: 5_000 },
    listen: { http: { host: '127.0.0.1', port: 0 } },
    settings: () => settings,
    ...options,
  });
  CLOSED.push(() => workers.close({ graceMs: 1_000 }));
  return { workers, control };
}

const settings = {
  logLevel: 'silent' as const,
  ...{ refuseFrom: [], trustedProxies: [], proxyProtocolFrom: [] },
};

const requests = async (workers: Workers) =>
  (await workers.snapshots()).reduce((sum, { snapshot }) => sum + snapshot.requests, 0);

/** Asks over TLS, and says which certificate was shown, and whether a session was taken up. */
async function askTls(port: number | undefined, servername: string, session?: Buffer) {
  const socket: TLSSocket = connect({
    host: '127.0.0.1',
    port,
    servername,
    session,
    rejectUnauthorized: false,
  });
  let received = '';
  let ticket: Buffer | undefined;
  socket.on('data', (chunk: Buffer) => (received += chunk.toString()));
  socket.on('session', (one) => (ticket = one));
  socket.write(`GET / HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n\r\n`);
  const seen = { certificate: '', reused: false };
  socket.once('secureConnect', () => {
    // Of a session that is taken up, the certificate is not sent again.
    seen.certificate = socket.getPeerX509Certificate()?.fingerprint256 ?? '';
    seen.reused = socket.isSessionReused();
  });
  await new Promise((resolve, reject) => socket.once('close', resolve).once('error', reject));
  expect(received).toMatch(/^HTTP\/1\.1 200 .*hello/s);
  return { ...seen, ticket };
}

describe('the figures of workers', () => {
  it('add up to what was asked, also when some of them have been replaced or killed', async () => {
    const { workers } = await start();
    for (let i = 0; i < 20; i++) await ask(workers);
    expect(await requests(workers)).toBe(20);
    const places = (await workers.snapshots()).map(({ worker }) => worker).sort();
    expect(places).toEqual([1, 2]);

    const seen = new Map<number, number>();
    const look = async () => {
      for (const { snapshot } of await workers.snapshots()) seen.set(snapshot.process.pid, snapshot.requests);
      return [...seen.values()].reduce((sum, one) => sum + one, 0);
    };
    await workers.restart();
    for (let i = 0; i < 10; i++) await ask(workers);
    expect(await look()).toBe(30); // the last figures of the old ones are among them, once
    const [victim = 0] = workers.pids;
    process.kill(victim, 'SIGKILL');
    await until('a successor', () => workers.pids.length === 2 && !workers.pids.includes(victim));
    expect(await look()).toBe(30); // as they were when they were last asked
  });
});

describe('workers with a TLS door', () => {
  it('show the same certificates, take up each other’s sessions, and follow what changes', async () => {
    const [old, renewed] = await Promise.all([makePair(['a.test']), makePair(['a.test'])]);
    let certificates: Certificate[] = [shown('one', old)];
    const ticketKeys = '5a'.repeat(48);
    const { workers } = await start({
      listen: { http: { host: '127.0.0.1', port: 0 }, tls: { host: '127.0.0.1', port: 0 } },
      settings: () => ({ ...settings, tls: { certificates, ticketKeys } }),
    });
    expect(workers.tlsPort).not.toBe(workers.port);
    const fresh = () => Promise.all(Array.from({ length: 12 }, () => askTls(workers.tlsPort, 'a.test')));
    const first = await fresh();
    expect(new Set(first.map(({ certificate }) => certificate)).size).toBe(1);
    const session = first.find(({ ticket }) => ticket !== undefined)?.ticket;
    // The kernel sends these to either worker.
    for (let i = 0; i < 12; i++)
      expect(await askTls(workers.tlsPort, 'a.test', session)).toMatchObject({ reused: true });

    certificates = [shown('one', renewed)];
    workers.changeCertificates({ remove: ['one'], put: certificates });
    const shownNow = async () => new Set((await fresh()).map(({ certificate }) => certificate));
    await until('both to show it', async () => {
      const now = await shownNow();
      return now.size === 1 && !now.has(first[0]?.certificate ?? '');
    });
    const then = await shownNow();
    await workers.restart();
    expect(await shownNow()).toEqual(then);
  }, 60_000);
});

describe('workers with a door for containers', () => {
  it('know whose connection it is and what that may ask for, and so do their successors', async () => {
    const port = await freePort();
    const { workers, control } = await start({
      listen: { http: { host: '127.0.0.1', port: 0 }, inside: { host: '127.0.0.1', port } },
      settings: () => ({ ...settings, refuseFrom: ['127.0.0.2/32'] }),
    });
    const may = (needs: readonly string[]) =>
      control.guests.set('127.0.0.2', { containerId: 'front-1', appName: 'front', needs });
    const statuses = async () => {
      // The kernel sends these to either worker.
      const asked = Array.from({ length: 12 }, () =>
        ask({ port }, { host: 'a.test', localAddress: '127.0.0.2' }),
      );
      return [...new Set((await Promise.all(asked)).map(({ status }) => status))];
    };
    may([]);
    expect(await statuses()).toEqual([403]);
    may(['a']);
    expect(await statuses()).toEqual([200]);
    await workers.restart();
    expect(await statuses()).toEqual([200]);
    await expect(ask(workers, { host: 'a.test', localAddress: '127.0.0.2' })).rejects.toThrow(
      /hang up|RESET/,
    );
  }, 60_000);
});

describe('a worker', () => {
  it('is told no secret where other users of the machine could read it', async () => {
    process.env['MAYFLY_OPERATOR_TOKEN'] = 'op-token-0123456789';
    try {
      const pair = await makePair(['a.test']);
      const tls = { certificates: [shown('one', pair)], ticketKeys: '5a'.repeat(48) };
      const { workers } = await start({
        listen: { http: { host: '127.0.0.1', port: 0 }, tls: { host: '127.0.0.1', port: 0 } },
        settings: () => ({ ...settings, tls }),
      });
      for (const pid of workers.pids) {
        const [words, environment] = ['cmdline', 'environ'].map((file) =>
          readFileSync(`/proc/${pid}/${file}`, 'utf8'),
        );
        expect(words?.split('\0').at(-2)).toMatch(/^[12]$/); // its place, for whoever looks at the list
        expect(words).not.toContain('PRIVATE KEY');
        expect(environment).not.toContain('op-token');
        expect(environment).not.toContain('PRIVATE KEY');
      }
    } finally {
      delete process.env['MAYFLY_OPERATOR_TOKEN'];
    }
  });

  it('that does not start is named, and leaves no other behind', async () => {
    const control = new Control();
    const starting = start({
      control,
      settings: () => ({ ...settings, accessLog: { path: '/nowhere/at/all.log', sample: 1 } }),
    });
    await expect(starting).rejects.toMatchObject({ code: 'invalid_config' });
    // Nobody is attached any more who could have anything in flight.
    expect(await control.planes.drain('c1')).toEqual({ drained: true });
  });

  it('that dies again and again is replaced each time, and the others serve meanwhile', async () => {
    const { workers } = await start();
    for (let deaths = 0; deaths < 4; deaths++) {
      const victim = workers.pids[0] ?? 0;
      process.kill(victim, 'SIGKILL');
      await until('it to be dead', () => !isAlive(victim) && !workers.pids.includes(victim));
      // A place that stays empty for a while is nobody's: the kernel sends no connection there.
      expect((await ask(workers)).text).toBe('hello');
      await until('a successor', () => workers.pids.length === 2, 30_000);
    }
    for (let i = 0; i < 10; i++) expect((await ask(workers)).text).toBe('hello');
  }, 60_000);

  it('that stands still is replaced, also where there is nothing to tell it', async () => {
    // Its seconds are shorter.
    const clock: Clock = { ...systemClock, after: (ms, run) => systemClock.after(ms / 5, run) };
    const { workers } = await start({ clock });
    const victim = workers.pids[0] ?? 0;
    process.kill(victim, 'SIGSTOP');
    await until('it to be dead', () => !isAlive(victim) && !workers.pids.includes(victim));
    await until('a successor', () => workers.pids.length === 2);
  }, 60_000);

  it('that binds for itself, where Node knows no other way, serves and is replaced as well', async () => {
    const { workers } = await start({ keepSockets: false });
    const before = workers.pids;
    expect((await ask(workers)).text).toBe('hello');
    await workers.restart();
    expect(workers.pids.filter((pid) => before.includes(pid))).toEqual([]);
    for (let i = 0; i < 10; i++) expect((await ask(workers)).text).toBe('hello');
  });

  it('is replaced once more for all who ask while that goes on', async () => {
    const { workers } = await start();
    const rounds: number[][] = [[...workers.pids]];
    await Promise.all([
      workers.restart().then(() => rounds.push([...workers.pids])),
      workers.restart().then(() => rounds.push([...workers.pids])),
      workers.restart(),
    ]);
    expect(rounds).toHaveLength(3);
    expect(new Set(rounds.flat()).size).toBe(6);
  }, 60_000);

  it('that is killed while a restart replaces it leaves its place to one other', async () => {
    const { workers } = await start();
    const [first = 0] = workers.pids;
    const restarting = workers.restart();
    // Its successor is being started by now, and takes far longer to than this one to die.
    process.kill(first, 'SIGKILL');
    await restarting;
    // What is done to a place is done in turn: whatever the death has led to is over when this is.
    await workers.restart();
    await workers.snapshots(); // with the last figures of those that have ended
    const living = (await workers.snapshots()).map(({ worker, snapshot }) => [worker, snapshot.process.pid]);
    expect(living.sort()).toEqual(workers.pids.map((pid, index) => [index + 1, pid]));
    expect(workers.pids).toHaveLength(2);
    expect((await ask(workers)).text).toBe('hello');
  }, 60_000);
});
