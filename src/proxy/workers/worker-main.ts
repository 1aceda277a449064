/**
 * A worker: the data plane and nothing else, in a process of its own. It is told all it has to know by the control process,
 * serves until that tells it to end, and ends by itself when that is gone.
 */
import { systemClock } from '../../clock.ts';
import { createLog } from '../../log.ts';
import type { Log } from '../../log.ts';
import { startProxy } from '../server.ts';
import type { Proxy } from '../server.ts';
import { Channel } from './channel.ts';
import { PROTOCOL } from './protocol.ts';
import type { CloseRequest, ControlSpeech, FromWorker, Start, ToWorker, WorkerSpeech } from './protocol.ts';
import { RemoteControlPlane } from './remote-control-plane.ts';
import { proxyOptions } from './settings.ts';
import { toWire } from './wire-error.ts';

/** Whoever started it is to have heard its last words. */
const EXIT_AFTER_MS = 1_000;

let remote: RemoteControlPlane | undefined;
let proxy: Promise<Proxy> | undefined;
let requestLog: { close(): Promise<void> } | undefined;

// The terminal and the service manager signal every process there is; what to do about it is the control process's decision.
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => undefined);
process.on('disconnect', () => process.exit(1));
process.on('message', (message) => hear(message as ToWorker));

if (process.send === undefined) {
  process.stderr.write('error: a worker is started by `mayfly up --workers N`, not by hand\n');
  process.exit(2);
}
say({ type: 'loaded', protocol: PROTOCOL });

function say(message: FromWorker, taken: (error?: Error | null) => void = () => undefined): void {
  if (process.connected) process.send?.(message, undefined, {}, taken);
  else taken();
}

function hear(message: ToWorker): void {
  switch (message.type) {
    case 'start':
      void start(message);
      return;
    case 'batch':
      remote?.channel.receive(message.batch);
      return;
    case 'close':
      void close(message);
  }
}

async function start({ worker, workers, listen, settings }: Start): Promise<void> {
  const log = createLog(settings.logLevel, { worker });
  const control = new RemoteControlPlane({
    workers,
    channel: (hearing) => channel(hearing, log),
    snapshot: async () => (await (proxy as Promise<Proxy>)).snapshot(),
    changeCertificates: (change) => void proxy?.then((serving) => serving.changeCertificates(change)),
  });
  remote = control;
  try {
    const own = proxyOptions(settings, listen, { workers, clock: systemClock, log });
    requestLog = own.requestLog;
    proxy = startProxy({ ...own, control, shares: control.shares });
    say({ type: 'listening', port: (await proxy).port });
  } catch (thrown) {
    const { code } = thrown as NodeJS.ErrnoException;
    const errno = typeof code === 'string' && /^E[A-Z_]+$/.test(code) ? code : undefined;
    say({ type: 'failed', error: toWire(thrown), errno }, () => process.exit(1));
  }
}

function channel(
  hearing: ConstructorParameters<typeof Channel<WorkerSpeech, ControlSpeech>>[0]['hearing'],
  log: Log,
): Channel<WorkerSpeech, ControlSpeech> {
  return new Channel<WorkerSpeech, ControlSpeech>({
    hearing,
    send: (batch, taken) => say({ type: 'batch', batch }, taken),
    defer: setImmediate,
    failed: (error) => log.error({ err: error }, 'what the control process said could not be dealt with'),
    stuck: (reason) => {
      log.error({ reason }, 'the control process is stuck; the worker ends');
      process.exit(1);
    },
  });
}

/** Said again, the shorter time counts. */
async function close(request: CloseRequest): Promise<void> {
  const serving = await proxy?.catch(() => undefined);
  await serving?.close(request);
  await requestLog?.close();
  if (serving === undefined) process.exit(0);
  say({ type: 'closed', snapshot: serving.snapshot() }, () => process.exit(0));
  setTimeout(() => process.exit(0), EXIT_AFTER_MS);
}
