/**
 * What was known of apps before they changed, for as long as hosts are remembered to be theirs: with the database away it is
 * the best there is. It holds for a host that the app still has and that cannot be another's meanwhile: one that it names, or
 * that the longest wildcard which could decide is the app's.
 */
import { wildcardsOf } from '../hostname.ts';
import type { Route } from './control-plane.ts';

interface Former {
  route: Route;
  /** Of the app as it is now, exact and `*.`; none where it is gone. */
  hosts: readonly string[];
  /** Owner numbers that led to it. */
  numbers: number;
}

export class FormerRoutes {
  readonly #byApp = new Map<string, Former>();
  readonly #byNumber = new Map<number, Former>();

  /** The app has changed and has these hosts now. */
  changed(appId: string, hosts: readonly string[]): void {
    const former = this.#byApp.get(appId);
    if (former !== undefined) former.hosts = hosts;
  }

  /** So far the number led to this route. */
  add(number: number, route: Route, hosts: readonly string[]): void {
    const former = this.#byApp.get(route.appId) ?? { route, hosts, numbers: 0 };
    former.route = route;
    former.numbers++;
    this.#byApp.set(route.appId, former);
    this.#byNumber.set(number, former);
  }

  /** No host has the number any more. */
  release(number: number): void {
    const former = this.#byNumber.get(number);
    if (former === undefined) return;
    this.#byNumber.delete(number);
    if (--former.numbers === 0) this.#byApp.delete(former.route.appId);
  }

  /** Whose number it was. */
  appOf(number: number): string | undefined {
    return this.#byNumber.get(number)?.route.appId;
  }

  /** Of a host that is remembered with the number; undefined where it is not certain that it holds still. */
  routeOf(number: number, host: string): Route | undefined {
    const former = this.#byNumber.get(number);
    if (former === undefined) return undefined;
    const [longest = host] = wildcardsOf(host);
    return former.hosts.includes(host) || former.hosts.includes(longest) ? former.route : undefined;
  }
}
