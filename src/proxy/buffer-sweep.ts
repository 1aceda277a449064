/**
 * Node reads every part of a body into memory of its own, which is garbage once it has been passed on. V8 looks for garbage
 * of that kind when 64 MB of it have come together: a proxy that holds next to nothing of a large body would still grow by
 * that much. A collection of the young generation alone (about a millisecond) after every few megabytes keeps it small.
 */
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

const SWEEP_EVERY_BYTES = 8 * 1024 * 1024;

type CollectGarbage = (options: { readonly type: 'minor' }) => void;

let collect: CollectGarbage | undefined;

/** The collector's own function, which Node shows only to those who ask for it. */
function collector(): CollectGarbage {
  if (collect === undefined) {
    setFlagsFromString('--expose-gc');
    collect = runInNewContext('gc') as CollectGarbage;
    setFlagsFromString('--no-expose-gc');
  }
  return collect;
}

export class BufferSweep {
  #bytes = 0;

  /** So many bytes have been read to be passed on. */
  relayed(bytes: number): void {
    this.#bytes += bytes;
    if (this.#bytes < SWEEP_EVERY_BYTES) return;
    this.#bytes = 0;
    collector()({ type: 'minor' });
  }
}
