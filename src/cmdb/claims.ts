const HOST = 'host:';

/** The names that are unique over the whole store, spelled in one place (see `Store.commit`). */
export const claims = {
  tenantName: (name: string) => `tenant:${name}`,
  gradeName: (name: string) => `grade:${name}`,
  appName: (tenantId: string, name: string) => `app:${tenantId}/${name}`,
  /** A normalised hostname or `*.` wildcard, its labels turned round: all that is below a name begins as it does. */
  host: (host: string) => `${HOST}${turnedRound(host)}`,
  nodeName: (name: string) => `node:${name}`,
  certificate: (appId: string, name: string) => `certificate:${appId}/${name}`,
  /**
   * The places of an app: whichever container takes its requests, or is to, holds one of 0 … maxReplicas - 1, so there are
   * never more of them; and at most one at a time is about to succeed one of those.
   */
  slot: (appId: string, slot: number | 'next') => `slot:${appId}/${slot}`,
};

/** The host that a claim is on; undefined where it is on something else. */
export function hostClaimed(claim: string): string | undefined {
  return claim.startsWith(HOST) ? turnedRound(claim.slice(HOST.length)) : undefined;
}

function turnedRound(host: string): string {
  return host.split('.').reverse().join('.');
}
