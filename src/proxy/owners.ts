/**
 * The apps that remembered hosts belong to, as small numbers that a table of names can hold. When an app changes, its number leads
 * nowhere from then on: that is one step, however many hosts it has. A number is given away again once no host has it.
 */
import type { Route } from './control-plane.ts';
import { FormerRoutes } from './former-routes.ts';
import { MAX_VALUE, NameTable } from './name-table.ts';
import { PackedName } from './packed-name.ts';

export class Owners {
  /** What numbers led to that lead nowhere any more. */
  readonly former = new FormerRoutes();
  /** By number; undefined: the app has changed, and so may its hosts have. Nobody has number 0. */
  readonly #routes: (Route | undefined)[] = [undefined];
  /** How many hosts have the number. */
  readonly #hosts: number[] = [0];
  readonly #free: number[] = [];
  readonly #numbers = new NameTable();
  readonly #name = new PackedName();

  /** Undefined also for 0. */
  routeOf(number: number): Route | undefined {
    return this.#routes[number];
  }

  /** A number for one more host of the app; 0: there are none left. What is known of the app is this from now on. */
  take(route: Route): number {
    const known = this.#numbers.get(this.#name.pack(route.appId));
    const number = known || (this.#free.pop() ?? this.#routes.length);
    if (number > MAX_VALUE) return 0;
    if (known === 0) this.#numbers.set(this.#name.pack(route.appId), number);
    this.#routes[number] = route;
    this.#hosts[number] = (this.#hosts[number] ?? 0) + 1;
    return number;
  }

  /** A host does not have the number any more. */
  release(number: number): void {
    const left = (this.#hosts[number] as number) - 1;
    this.#hosts[number] = left;
    if (left > 0) return;
    const route = this.#routes[number];
    if (route !== undefined) this.#numbers.delete(this.#name.pack(route.appId));
    this.#routes[number] = undefined;
    this.former.release(number);
    this.#free.push(number);
  }

  /** The app has changed, and has these hosts now. */
  forget(appId: string, hosts: readonly string[]): void {
    this.former.changed(appId, hosts);
    const number = this.#numbers.delete(this.#name.pack(appId));
    const route = this.#routes[number];
    if (route === undefined) return;
    this.former.add(number, route, hosts);
    this.#routes[number] = undefined;
  }
}
