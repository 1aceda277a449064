/**
 * Far more visitors than an app may have, on a thread of their own: each asks again at once when it was answered, and after a
 * moment when it was refused, as bad clients do. Bounded in connections, and ended by whoever began it.
 */
import { once } from 'node:events';
import { Worker } from 'node:worker_threads';

export interface FloodOptions {
  readonly port: number;
  readonly host: string;
  readonly path: string;
}

/** What the flood was told. */
export interface FloodCounts {
  readonly answered: number;
  /** 503: the app may not have more at once, nor may more wait for it. */
  readonly refused: number;
  /** Any other status, and broken connections. */
  readonly other: number;
}

export interface Flood {
  stop(): Promise<FloodCounts>;
}

/** Resolves when all bounds are reached: some are answered, and others refused. */
export async function startFlood(options: FloodOptions, signal: AbortSignal): Promise<Flood> {
  const worker = new Worker(new URL('./flood-worker.ts', import.meta.url), { workerData: options });
  // A thread that fails is told to whoever waits for its next word.
  try {
    await once(worker, 'message', { signal });
  } catch (thrown) {
    await worker.terminate();
    throw thrown;
  }
  return {
    async stop() {
      try {
        worker.postMessage('stop');
        const [counts] = (await once(worker, 'message', { signal })) as [FloodCounts];
        return counts;
      } finally {
        await worker.terminate();
      }
    },
  };
}
