/**
 * A proxy in a process of its own, so that what it needs of memory can be measured. Started with `fork`; the messages are
 * `ProxyChildMessage` both ways. Its one app, `a.test`, becomes ready when it is told where the upstream is.
 */
import { systemClock } from '../../src/clock.ts';
import { startProxy } from '../../src/proxy/server.ts';
import { silentLog } from '../../src/log.ts';
import { transportUnderTest } from './proxy-transport.ts';
import { activation, deferred, endpoint, ScriptedControlPlane } from './scripted-control-plane.ts';

export type ProxyChildMessage =
  | { readonly type: 'listening'; readonly port: number }
  /** To the child: the app's port. */
  | { readonly type: 'ready'; readonly port: number }
  /** To the child: measure anew from here. */
  | { readonly type: 'measure' }
  /** From the child, every few milliseconds. Heap and external memory in use, before and at the highest since `measure`. */
  | {
      readonly type: 'memory';
      readonly held: number;
      readonly idleBytes: number;
      readonly peakBytes: number;
    };

const ready = deferred<number>();
const control = new ScriptedControlPlane();
control.app('a', {
  route: { requestTimeoutMs: 60_000 },
  activate: async () => activation([endpoint('ctr_1', await ready.promise)]),
});
const proxy = await startProxy({
  control,
  clock: systemClock,
  log: silentLog,
  listen: { host: '127.0.0.1', port: 0 },
  transport: transportUnderTest(),
});

const inUse = () => {
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
};
let idleBytes = inUse();
let peakBytes = idleBytes;
// The parent may have left already, which 'disconnect' says a moment later.
const send = (message: ProxyChildMessage) => process.send?.(message, undefined, undefined, () => undefined);
const sampling = setInterval(() => {
  peakBytes = Math.max(peakBytes, inUse());
  send({ type: 'memory', held: proxy.snapshot().held, idleBytes, peakBytes });
}, 5);

process.on('message', (message: ProxyChildMessage) => {
  if (message.type === 'ready') ready.resolve(message.port);
  if (message.type !== 'measure') return;
  globalThis.gc?.();
  idleBytes = peakBytes = inUse();
});
process.once('disconnect', () => {
  clearInterval(sampling);
  void proxy.close({ graceMs: 0 });
});
send({ type: 'listening', port: proxy.port });
