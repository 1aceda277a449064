import { createServer as createHttpServer, type RequestListener } from 'node:http';
import { createServer, type AddressInfo, type Server, type Socket } from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import { systemClock } from '../../src/clock.ts';
import { simulatedReadiness, tcpReadiness } from '../../src/compute/readiness.ts';
import { FakeClock } from '../support/fake-clock.ts';
import { fullBacklog } from '../support/full-backlog.ts';
import { until } from '../support/until.ts';

const TCP = { type: 'tcp' } as const;
const never = () => new AbortController().signal;

describe('readiness over the network', () => {
  const readiness = tcpReadiness(systemClock);
  const servers: Server[] = [];
  const sockets = new Set<Socket>();

  async function listen(server: Server, port = 0): Promise<{ host: string; port: number }> {
    servers.push(server);
    server.on('connection', (socket) => {
      sockets.add(socket);
      socket.on('error', () => {}).once('close', () => sockets.delete(socket));
    });
    await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve));
    return { host: '127.0.0.1', port: (server.address() as AddressInfo).port };
  }

  const serve = (listener: RequestListener) => listen(createHttpServer(listener));

  /** An address where nothing listens. */
  async function freeAddress() {
    const server = createServer();
    const address = await listen(server);
    await new Promise((resolve) => server.close(resolve));
    return address;
  }

  afterEach(async () => {
    // Every connection of a look is closed by the one who looked.
    await until('all connections to be closed', () => sockets.size === 0);
    await Promise.all(servers.splice(0).map((server) => new Promise((resolve) => server.close(resolve))));
  });

  it('is given at once when something listens', async () => {
    const address = await listen(createServer());
    await readiness.waitUntilListening({ address, probe: TCP }, { timeoutMs: 10_000, signal: never() });
  });

  it('is given when something begins to listen later', async () => {
    const address = await freeAddress();
    const waiting = readiness.waitUntilListening(
      { address, probe: TCP },
      { timeoutMs: 10_000, signal: never() },
    );
    await listen(createServer(), address.port);
    await waiting;
  });

  it('fails naming the port and the time when nothing listens', async () => {
    const address = await freeAddress();
    const waiting = readiness.waitUntilListening({ address, probe: TCP }, { timeoutMs: 60, signal: never() });
    await expect(waiting).rejects.toMatchObject({
      code: 'start_failed',
      message: `nothing listened on port ${address.port} within 60ms`,
    });
  });

  it('ends with the reason of the signal, before the first look and between two', async () => {
    const address = await freeAddress();
    const reason = new Error('it has exited with code 7');
    const target = { address, probe: TCP };
    const late = new AbortController();
    const waiting = readiness.waitUntilListening(target, { timeoutMs: 60_000, signal: late.signal });
    late.abort(reason);
    await expect(waiting).rejects.toBe(reason);
    const early = readiness.waitUntilListening(target, {
      timeoutMs: 60_000,
      signal: AbortSignal.abort(reason),
    });
    await expect(early).rejects.toBe(reason);
  });

  it('with a probe is given when the path answers 200 to 399, and not before', async () => {
    const statuses = [503, 404, 302];
    const asked: string[] = [];
    const address = await serve(({ method, url }, response) => {
      asked.push(`${method} ${url}`);
      response.writeHead(statuses[asked.length - 1] ?? 500, { location: '/elsewhere' }).end();
    });
    await readiness.waitUntilListening(
      { address, probe: { type: 'http', path: '/health?deep=1' } },
      { timeoutMs: 10_000, signal: never() },
    );
    // The redirect is an answer; it is not followed.
    expect(asked).toEqual(['GET /health?deep=1', 'GET /health?deep=1', 'GET /health?deep=1']);
  });

  it('with a probe fails with the last status', async () => {
    const address = await serve((_request, response) => response.writeHead(503).end('not yet'));
    const waiting = readiness.waitUntilListening(
      { address, probe: { type: 'http', path: '/health' } },
      { timeoutMs: 200, signal: never() },
    );
    await expect(waiting).rejects.toMatchObject({
      code: 'start_failed',
      message: expect.stringContaining(`GET /health on port ${address.port} answered 503`) as string,
    });
  });

  it('with a probe does not wait for an answer that never comes, nor read one that never ends', async () => {
    const silent = await serve(() => {});
    const waiting = readiness.waitUntilListening(
      { address: silent, probe: { type: 'http', path: '/' } },
      { timeoutMs: 100, signal: never() },
    );
    await expect(waiting).rejects.toMatchObject({
      message: expect.stringContaining('got no answer within 100ms') as string,
    });

    const endless = await serve((_request, response) => {
      response.writeHead(200);
      const write = () => {
        while (!response.destroyed && response.write('x'.repeat(65_536)));
      };
      response.on('drain', write);
      write();
    });
    await readiness.waitUntilListening(
      { address: endless, probe: { type: 'http', path: '/' } },
      { timeoutMs: 10_000, signal: never() },
    );
  });

  it('with a probe ends with the signal while an answer is awaited', async () => {
    const exit = new AbortController();
    const address = await serve(() => exit.abort(new Error('it has exited')));
    const waiting = readiness.waitUntilListening(
      { address, probe: { type: 'http', path: '/' } },
      { timeoutMs: 60_000, signal: exit.signal },
    );
    await expect(waiting).rejects.toThrow('it has exited');
  });
});

describe('what is reached of an address', () => {
  const readiness = tcpReadiness(systemClock);
  const reach = (port: number, timeoutMs: number) =>
    readiness.reach({ host: '127.0.0.1', port }, { timeoutMs, signal: never() });

  it('tells one that accepts from one that refuses, and from one that is too busy to do either', async () => {
    const server = createServer((socket) => socket.end());
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const { port } = server.address() as AddressInfo;
    expect(await reach(port, 10_000)).toBe('accepted');
    await new Promise((resolve) => server.close(resolve));
    expect(await reach(port, 60)).toBe('refused');
    await using busy = await fullBacklog();
    expect(await reach(busy.port, 60)).toBe('silent');
  });
});

describe('simulated readiness', () => {
  const address = { host: '192.0.2.1', port: 10_000 };

  it('is given when the simulated engine listens, within a look of it', async () => {
    const clock = new FakeClock(0);
    const engine = { listening: () => clock.nowMs() >= 700 };
    let readyAtMs: number | undefined;
    const waiting = simulatedReadiness(engine, clock)
      .waitUntilListening({ address, probe: TCP }, { timeoutMs: 5_000, signal: never() })
      .then(() => (readyAtMs = clock.nowMs()));
    await clock.advance(1_000);
    await waiting;
    expect(readyAtMs).toBeGreaterThanOrEqual(700);
    expect(readyAtMs).toBeLessThanOrEqual(750);
    expect(clock.pending).toBe(0);
  });

  it('looks often at first and seldom later', async () => {
    const clock = new FakeClock(0);
    const looksAtMs: number[] = [];
    const engine = {
      listening: () => {
        looksAtMs.push(clock.nowMs());
        return false;
      },
    };
    const waiting = expect(
      simulatedReadiness(engine, clock).waitUntilListening(
        { address, probe: TCP },
        { timeoutMs: 200, signal: never() },
      ),
    ).rejects.toMatchObject({ message: 'nothing listened on port 10000 within 200ms' });
    await clock.advance(300);
    await waiting;
    expect(looksAtMs).toEqual([0, 1, 3, 7, 15, 31, 63, 113, 163]);
    expect(clock.pending).toBe(0);
  });
});
