/**
 * What a running container is given in place of what it has. It is never given less memory than it uses, with some room
 * above: the kernel would kill it for the next page. What it cannot give back now is asked for again later.
 */
import type { Resources } from '../../cmdb/records.ts';

/** What a container is left above what it uses, as a share of that. */
const MEMORY_HEADROOM = 0.25;
/** Limits count in pages. */
const PAGE_BYTES = 4096;

export interface ResizeInput {
  readonly has: Resources;
  readonly wanted: Resources;
  readonly memoryUsedBytes: number;
}

export interface Resize {
  readonly to: Resources;
  /** The most of both, of each kind: what has to be reserved while it changes from one to the other. */
  readonly peak: Resources;
  /** It uses so much memory that it cannot be given as little as is wanted. */
  readonly isHeldBack: boolean;
}

/** Memory in use cannot be taken away: less than that, with some headroom, a container is not given. */
export function decideResize({ has, wanted, memoryUsedBytes }: ResizeInput): Resize {
  const needed = Math.ceil((memoryUsedBytes * (1 + MEMORY_HEADROOM)) / PAGE_BYTES) * PAGE_BYTES;
  const memoryBytes = Math.max(wanted.memoryBytes, Math.min(has.memoryBytes, needed));
  const to = { ...wanted, memoryBytes };
  return { to, peak: most(has, to), isHeldBack: memoryBytes > wanted.memoryBytes };
}

function most(a: Resources, b: Resources): Resources {
  return {
    cpu: Math.max(a.cpu, b.cpu),
    memoryBytes: Math.max(a.memoryBytes, b.memoryBytes),
    pidsMax: Math.max(a.pidsMax, b.pidsMax),
  };
}
