/**
 * The proxy of a soak, in a process of its own, so that what it keeps can be seen from outside. Started with `fork` and told to
 * `begin`; it tells what it has whenever it is asked. Its cold apps fall asleep again and again.
 */
import { systemClock } from '../../src/clock.ts';
import { silentLog } from '../../src/log.ts';
import type { Activation } from '../../src/proxy/control-plane.ts';
import type { ProxySnapshot } from '../../src/proxy/snapshot.ts';
import { startProxy } from '../../src/proxy/server.ts';
import { Random } from '../fuzz/http1-mutate.ts';
import { shown } from '../support/certificates.ts';
import type { Pair } from '../support/certificates.ts';
import { activation, endpoint, ScriptedControlPlane } from '../support/scripted-control-plane.ts';

export interface Kept {
  readonly snapshot: ProxySnapshot;
  /** What keeps the event loop alive, by kind. */
  readonly resources: Readonly<Record<string, number>>;
  readonly heapBytes: number;
  /** Buffers included. */
  readonly externalBytes: number;
}

export type ToProxy =
  | { readonly type: 'begin'; readonly appPort: number; readonly seed: number; readonly pair: Pair }
  /** `settled`: after a collection of garbage. */
  | { readonly type: 'ask'; readonly settled: boolean };

export type FromProxy =
  | { readonly type: 'listening'; readonly port: number; readonly tlsPort: number }
  | { readonly type: 'kept'; readonly kept: Kept };

const COLD_APPS = 8;
const SLEEP_EVERY_MS = 150;
const START_MS = 120;

const tell = (message: FromProxy) => {
  if (process.connected) process.send?.(message);
};

async function begin({ appPort, seed, pair }: Extract<ToProxy, { type: 'begin' }>): Promise<void> {
  const random = new Random(seed);
  const control = new ScriptedControlPlane();
  const route = { requestTimeoutMs: 30_000 };
  for (const name of ['warm', 'warm-too'])
    control.app(name, {
      route,
      activate: async () => activation([endpoint(`ctr_${name}`, appPort, 1_000)], 'warm'),
    });
  let serial = 0;
  const awake = new Map<string, string>();
  for (let i = 0; i < COLD_APPS; i++) {
    const appId = `cold-${i}`;
    // Few at once, so that some wait although a container is ready.
    const start = async (): Promise<Activation> => {
      await new Promise((resolve) => setTimeout(resolve, random.below(START_MS)));
      const containerId = `ctr_${appId}_${++serial}`;
      awake.set(appId, containerId);
      return activation([endpoint(containerId, appPort, 4)]);
    };
    control.app(appId, { route, activate: start });
  }
  const proxy = await startProxy({
    control,
    clock: systemClock,
    log: silentLog,
    listen: { host: '127.0.0.1', port: 0 },
    tls: {
      listen: { host: '127.0.0.1', port: 0 },
      certificates: [shown('crt_1', pair, { isDefault: true })],
    },
  });
  const sleeping = setInterval(() => {
    const [appId, containerId] = random.pick([...awake, ['', '']] as const);
    if (appId === '' || containerId === '') return;
    awake.delete(appId);
    void control.dataPlane.drain(containerId);
  }, SLEEP_EVERY_MS);

  const settle = async () => {
    // What the control plane was told is kept by it for tests to look at: that is not the proxy's.
    control.observed.length = 0;
    control.coldStarts.length = 0;
    // What one collection finds to be unused, another can give back.
    for (let i = 0; i < 3; i++) {
      globalThis.gc?.();
      await new Promise((resolve) => setImmediate(resolve));
    }
  };
  const answer = () => {
    const resources: Record<string, number> = {};
    for (const kind of process.getActiveResourcesInfo())
      if (kind !== 'Immediate') resources[kind] = (resources[kind] ?? 0) + 1; // never lasts: the one of `settle`, mostly
    const { heapUsed, external } = process.memoryUsage();
    tell({
      type: 'kept',
      kept: { snapshot: proxy.snapshot(), resources, heapBytes: heapUsed, externalBytes: external },
    });
  };
  process.on('message', (message: ToProxy) => {
    if (message.type !== 'ask') return;
    if (message.settled) void settle().then(answer);
    else answer();
  });
  process.once('disconnect', () => {
    clearInterval(sleeping);
    void proxy.close({ graceMs: 0 });
  });
  tell({ type: 'listening', port: proxy.port, tlsPort: proxy.tlsPort ?? 0 });
}

process.once('message', (message: ToProxy) => {
  if (message.type === 'begin') void begin(message);
});
