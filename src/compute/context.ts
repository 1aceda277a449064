import { availableParallelism } from 'node:os';
import type { Clock } from '../clock.ts';
import type { CoreApi, NodeRegistration } from '../coreapi/core-api.ts';
import type { Log } from '../log.ts';
import type { Turns } from '../turns.ts';
import type { DataPlanes } from './data-planes.ts';
import type { Deadlines } from './deadlines.ts';
import type { Engine } from './engine.ts';
import type { Groups } from './groups.ts';
import type { Live } from './live.ts';
import type { Outbox } from './outbox.ts';
import type { Readiness } from './readiness.ts';
import type { WakeLimits } from './wake-limits.ts';

/** What everything on a node shares. */
export interface NodeContext {
  readonly nodeId: string;
  /** All that the node has. */
  readonly capacity: NodeRegistration['capacity'];
  readonly engine: Engine;
  readonly core: CoreApi;
  readonly readiness: Readiness;
  readonly clock: Clock;
  readonly log: Log;
  readonly outbox: Outbox;
  readonly deadlines: Deadlines;
  readonly dataPlanes: DataPlanes;
  readonly groups: Groups;
  /** CPU that containers of this node are lent for their start at this moment, in cores. */
  readonly lentCpu: () => number;
  readonly wakeLimits: WakeLimits;
  readonly limits: NodeLimits;
  /** Placements on this node, one after the other. */
  readonly turns: Turns;
  /** Stops those of the containers that sleep still, to make room; returns all of them that are on their way out now. */
  readonly reclaim: (containerIds: readonly string[], reason: string) => Live[];
}

export interface NodeLimits {
  /** From SIGTERM to SIGKILL. */
  readonly stopGraceMs: number;
  /** How long an ended container and its logs stay; one per app, the newest. */
  readonly keepEndedMs: number;
  /** Of the machine: more is lent to no container. */
  readonly cores: number;
}

export const DEFAULT_NODE_LIMITS: NodeLimits = {
  stopGraceMs: 10_000,
  keepEndedMs: 600_000,
  cores: availableParallelism(),
};
