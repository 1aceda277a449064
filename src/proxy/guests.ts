/**
 * Containers that ask for other apps, through the inside door. A guest is one connection: whose it is, is found out when it
 * comes in and stays so, however long it lasts and whoever is given its address afterwards. What its app may ask for is
 * remembered until any app changes; then the next request asks again.
 */
import type { ControlPlane, GuestRights, Route } from './control-plane.ts';

/** Nobody had the address when the connection came in: whoever has it later is not who is connected. */
const NOBODY = '';

export class Guests {
  readonly #control: Pick<ControlPlane, 'guest'>;
  #version = 0;

  constructor(control: Pick<ControlPlane, 'guest'>) {
    this.#control = control;
  }

  /** A container's connection has come in. */
  enter(address: string): Guest {
    return new Guest(this, address);
  }

  /** One more with every change that may concern what guests may ask for. */
  get version(): number {
    return this.#version;
  }

  changed(): void {
    this.#version++;
  }

  ask(address: string): Promise<GuestRights | undefined> {
    return this.#control.guest(address);
  }
}

export class Guest {
  readonly #guests: Guests;
  readonly #address: string;
  #containerId: string | undefined;
  #known: { readonly version: number; readonly rights: GuestRights | null } | undefined;
  #asked: { readonly version: number; readonly rights: Promise<GuestRights | null> } | undefined;

  constructor(guests: Guests, address: string) {
    this.#guests = guests;
    this.#address = address;
    void this.ask().catch(() => undefined); // the first request asks again, and is told
  }

  /** What is remembered; null: it is no container of an app, or no longer. Undefined: it has to be asked for. */
  get rights(): GuestRights | null | undefined {
    return this.#known?.version === this.#guests.version ? this.#known.rights : undefined;
  }

  /** The same, as it is at this moment or later. Errors: as `ControlPlane.guest`. */
  ask(): Promise<GuestRights | null> {
    const { version } = this.#guests;
    if (this.#asked?.version === version) return this.#asked.rights;
    const asked = { version, rights: this.#ask(version) };
    this.#asked = asked;
    asked.rights.catch(() => {
      if (this.#asked === asked) this.#asked = undefined;
    });
    return asked.rights;
  }

  async #ask(version: number): Promise<GuestRights | null> {
    const found = await this.#guests.ask(this.#address);
    this.#containerId ??= found?.containerId ?? NOBODY;
    const rights = found?.containerId === this.#containerId ? found : null;
    this.#known = { version, rights };
    return rights;
  }
}

/** Whether the route is of an app that the guest's app needs. */
export function mayAsk(rights: GuestRights | null, route: Route | null | undefined): route is Route {
  return rights !== null && !!route && rights.needs.includes(route.appId);
}
