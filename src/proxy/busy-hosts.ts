/**
 * The hosts that are asked for at the moment, in front of the tables of all. A connection nearly always asks for the same host,
 * and its string is the same object each time: telling that is one comparison, where any table first goes through all of its
 * characters. Each host has one place here, told by a few of them, and takes it from whoever was there.
 */

const PLACES = 1_024;
/** Characters that tell the place, evenly spaced. */
const SAMPLES = 6;

export class BusyHosts {
  readonly #hosts: (string | undefined)[] = new Array<undefined>(PLACES).fill(undefined);
  readonly #values: number[] = new Array<number>(PLACES).fill(0);
  #empty = true;
  #place = 0;

  /** 0: it is not here. */
  get(host: string): number {
    const place = placeOf(host);
    this.#place = place;
    return this.#hosts[place] === host ? (this.#values[place] as number) : 0;
  }

  /** The host that was asked for last, and not found, is here from now on. */
  add(host: string, value: number): void {
    this.#hosts[this.#place] = host;
    this.#values[this.#place] = value;
    this.#empty = false;
  }

  clear(): void {
    if (this.#empty) return;
    this.#hosts.fill(undefined);
    this.#empty = true;
  }
}

function placeOf(host: string): number {
  const { length } = host;
  const step = length <= SAMPLES ? 1 : (length / SAMPLES) | 0;
  let mixed = length;
  for (let i = 0; i < length; i += step) mixed = (Math.imul(mixed, 31) + host.charCodeAt(i)) | 0;
  return (mixed ^ (mixed >>> 10)) & (PLACES - 1);
}
