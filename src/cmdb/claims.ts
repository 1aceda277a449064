/** The names that are unique over the whole store, spelled in one place (see `Store.commit`). */
export const claims = {
  tenantName: (name: string) => `tenant:${name}`,
  gradeName: (name: string) => `grade:${name}`,
  appName: (tenantId: string, name: string) => `app:${tenantId}/${name}`,
  /** A normalised hostname or `*.` wildcard. */
  host: (host: string) => `host:${host}`,
  nodeName: (name: string) => `node:${name}`,
  /** At most one container of an app on a node takes its requests, and at most one is about to succeed it. */
  slot: (appId: string, nodeId: string, slot: 'current' | 'next') => `slot:${appId}/${nodeId}/${slot}`,
};
