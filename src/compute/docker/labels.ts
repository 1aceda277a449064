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

/** The name carries the node as well, so that two nodes on one engine never mean each other's container. */
export const containerName = (nodeId: string, containerId: string) => `mayfly-${nodeId}-${containerId}`;

const JOINS = 'container:';

/** The network mode of a container that lives in a sandbox's network namespace. */
export const joining = (sandboxId: string) => `${JOINS}${sandboxId}`;

/** The sandbox whose network a container has joined, from its network mode. */
export const joined = (networkMode: string | undefined) =>
  networkMode?.startsWith(JOINS) ? networkMode.slice(JOINS.length) : undefined;
