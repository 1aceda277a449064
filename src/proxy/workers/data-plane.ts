/** The data plane of a program: part of its own process, or in workers of their own. Whoever runs it sees no difference. */
import { PlatformError } from '../../errors.ts';
import type { CertificateChange } from '../doors/certificates.ts';
import { startProxy } from '../server.ts';
import type { ProxySnapshot } from '../snapshot.ts';
import { proxyOptions } from './settings.ts';
import { exclusiveDoors, sharedDoors } from './sockets.ts';
import { startWorkers } from './workers.ts';
import type { WorkersOptions } from './workers.ts';

export interface WorkerSnapshot {
  /** Its place, 1 … N, which two share while one replaces the other; undefined: it is part of this process. */
  readonly worker: number | undefined;
  readonly snapshot: ProxySnapshot;
}

export interface ProgramDataPlane {
  readonly port: number;
  /** Undefined without a TLS door. */
  readonly tlsPort: number | undefined;
  /**
   * What each process of it has counted since its start. A worker that does not answer shows what it had when it was last
   * asked; one that has ended shows its last figures once more.
   */
  snapshots(): Promise<readonly WorkerSnapshot[]>;
  /** For TLS connections that come from now on. What `settings` say must have changed before. */
  changeCertificates(change: CertificateChange): void;
  /**
   * Replaces every worker, one after the other; resolves when the last of the old ones has ended. Asked for while that goes
   * on, it is done once more, for all who asked. Errors: `unsupported` without workers; a worker that does not start, upon
   * which the old ones serve on.
   */
  restart(): Promise<void>;
  /** No further connection is taken; what is in flight may take `graceMs`. Resolves when no process is left. */
  close(options: { readonly graceMs: number }): Promise<void>;
}

/** Resolves when it serves. Errors: what listening gives, e.g. EADDRINUSE; `invalid_config`; `internal`. */
export async function startDataPlane(options: WorkersOptions): Promise<ProgramDataPlane> {
  if (options.count > 1) return startWorkers(options);
  const { control, clock, log } = options;
  const listen = sharedDoors(await exclusiveDoors(options.listen));
  const own = proxyOptions(options.settings(), listen, { workers: 1, clock, log });
  const proxy = await startProxy({ ...own, control }).catch(async (thrown: unknown) => {
    await own.requestLog?.close();
    throw thrown;
  });
  return {
    port: proxy.port,
    tlsPort: proxy.tlsPort,
    snapshots: () => Promise.resolve([{ worker: undefined, snapshot: proxy.snapshot() }]),
    changeCertificates: (change) => proxy.changeCertificates(change),
    restart: () =>
      Promise.reject(
        new PlatformError(
          'unsupported',
          'there are no workers to replace: the proxy is part of this process',
          {
            hint: 'Start it with --workers 2 or more.',
          },
        ),
      ),
    async close(request) {
      await proxy.close(request);
      await own.requestLog?.close();
    },
  };
}
