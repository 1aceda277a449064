/**
 * Everything Mayfly makes in Docker carries labels, and only by them is it found again: a process that was killed has
 * left no other trace of what it had started.
 */
export const LABEL = {
  /** Whose it is: the node's id. On containers, sandboxes and the network. */
  node: 'mayfly.node',
  /** `app` or `sandbox`. */
  role: 'mayfly.role',
  container: 'mayfly.container',
  app: 'mayfly.app',
  revision: 'mayfly.revision',
  /** Where the app listens. */
  port: 'mayfly.port',
} as const;

/** What selects all that belongs to a node. */
export const ofNode = (nodeId: string) => `${LABEL.node}=${nodeId}`;

/** … and what selects a container among that. */
export const ofContainer = (containerId: string) => `${LABEL.container}=${containerId}`;

/**
 * For people alone: anybody can rename a container, so it is never asked for by its name, but by the engine's id, or a label.
 * The name carries the node as well, so that two nodes on one engine are never in each other's way.
 */
export const containerName = (nodeId: string, containerId: string) => `mayfly-${nodeId}-${containerId}`;

const JOINS = 'container:';

/** The network mode of a container that lives in a sandbox's network namespace. */
export const joining = (sandboxId: string) => `${JOINS}${sandboxId}`;

/** The sandbox whose network a container has joined, from its network mode. */
export const joined = (networkMode: string | undefined) =>
  networkMode?.startsWith(JOINS) ? networkMode.slice(JOINS.length) : undefined;
