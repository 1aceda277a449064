/** Hosts as a hosting company has them, as bytes in one buffer: a million strings would be part of what is measured. */

export class Hosts {
  readonly count: number;
  readonly #bytes: Buffer;
  readonly #starts: Uint32Array;

  constructor(count: number, name: (index: number) => string) {
    this.count = count;
    this.#starts = new Uint32Array(count + 1);
    const parts: Buffer[] = [];
    let at = 0;
    for (let i = 0; i < count; i++) {
      const part = Buffer.from(name(i), 'latin1');
      parts.push(part);
      at += part.length;
      this.#starts[i + 1] = at;
    }
    this.#bytes = Buffer.concat(parts);
  }

  get meanBytes(): number {
    return this.#bytes.length / this.count;
  }

  /** A string of its own each time, as a request brings it. */
  at(index: number): string {
    return this.#bytes.toString('latin1', this.start(index), this.start(index + 1));
  }

  get bytes(): Buffer {
    return this.#bytes;
  }

  start(index: number): number {
    return this.#starts[index] as number;
  }
}

/** `app-1f3k.customer-17.example.com` */
export function hostName(index: number): string {
  return `app-${index.toString(36)}.customer-${index % 977}.example.com`;
}

/** Numbers below `count`, in no order, the same in every run. */
export function shuffledIndexes(length: number, count: number): Uint32Array {
  return indexes(length, (random) => random % count);
}

/**
 * Numbers below `count` as visitors choose sites: the second is asked for half as often as the first, the hundredth a hundredth as often
 * (Zipf's law, as of the web in Breslau et al., INFOCOM 1999). Who is how popular has nothing to do with the number.
 */
export function popularIndexes(length: number, count: number): Uint32Array {
  const byRank = shuffledIndexes(count, count);
  return indexes(length, (random) => byRank[Math.floor(count ** (random / 2 ** 32)) - 1] as number);
}

/** `choose` is given 32 random bits. */
function indexes(length: number, choose: (random: number) => number): Uint32Array {
  const order = new Uint32Array(length);
  let state = 0x9e3779b9;
  for (let i = 0; i < length; i++) {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    order[i] = choose(state >>> 0);
  }
  return order;
}
