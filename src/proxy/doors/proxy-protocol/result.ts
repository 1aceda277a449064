/** What can be said of the bytes that a connection begins with. */
export type ProxyHeader =
  /** Not all of it has arrived. */
  | { readonly state: 'incomplete' }
  | { readonly state: 'refused'; readonly reason: string }
  | {
      readonly state: 'complete';
      /** What follows belongs to the connection. */
      readonly headerBytes: number;
      /** Undefined: the balancer speaks for itself (a health check), or does not know. */
      readonly source: { readonly address: string; readonly port: number } | undefined;
    };

export const INCOMPLETE: ProxyHeader = { state: 'incomplete' };

export function refused(reason: string): ProxyHeader {
  return { state: 'refused', reason };
}
