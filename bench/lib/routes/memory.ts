/** What something occupies: the heap, and buffers beside it, before and after. */
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

setFlagsFromString('--expose-gc');
const collect = runInNewContext('gc') as () => void;

export interface Occupied {
  readonly heapBytes: number;
  readonly externalBytes: number;
}

export function occupied(): Occupied {
  collect();
  collect();
  const { heapUsed, external } = process.memoryUsage();
  return { heapBytes: heapUsed, externalBytes: external };
}
