/**
 * Where several data planes share the concurrency limit of a container: each gives out only the slots that it has been
 * given, and says when it is short of them. One data plane alone has all of them and no need for this.
 */

/** What a data plane asks of whoever shares out. */
export interface SlotShares {
  /** This is where changes are told, from now on. */
  join(slots: SharedSlots): void;
  /** So many requests of the app wait although it has containers: none of those has a slot left here. */
  short(appId: string, waiting: number): void;
  /** A request to a watched container is over, and whoever waited for its slot has been served. */
  freed(containerId: string): void;
}

/** What a data plane does for it. */
export interface SharedSlots {
  /** So many requests at once may go to the container from here. `watched`: `freed` is called for it. */
  setSlots(containerId: string, share: { readonly slots: number; readonly watched: boolean }): void;
  /** Requests that are on their way to it or being answered. */
  inFlight(containerId: string): number;
}
