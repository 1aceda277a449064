/** Random numbers from a seed, and what they do to messages: the same seed, the same bytes. */

/** xorshift128: quick, and good enough to choose bytes with. */
export class Random {
  #a: number;
  #b = 0x9e3779b9;
  #c = 0x243f6a88;
  #d = 0xb7e15162;

  constructor(seed: number) {
    this.#a = seed | 0;
    for (let i = 0; i < 20; i++) this.#next();
  }

  /** An integer from 0 to `bound` - 1. */
  below(bound: number): number {
    return this.#next() % bound;
  }

  pick<T>(items: readonly T[]): T {
    return items[this.below(items.length)] as T;
  }

  #next(): number {
    let t = this.#d;
    const s = this.#a;
    this.#d = this.#c;
    this.#c = this.#b;
    this.#b = s;
    t ^= t << 11;
    t ^= t >>> 8;
    this.#a = t ^ s ^ (s >>> 19);
    return this.#a >>> 0;
  }
}

/** Where to cut a message of this length, in ascending order: into many small pieces, a few large ones, or not at all. */
export function randomCuts(random: Random, length: number): number[] {
  if (length < 2 || random.below(8) === 0) return [];
  const step = random.pick([1, 2, 3, 7, 20, 100, 1000, 10_000]);
  const cuts: number[] = [];
  for (let at = 1 + random.below(step); at < length; at += 1 + random.below(step)) cuts.push(at);
  return cuts;
}

/** What makes readers of HTTP stumble, wherever it is put. */
const MORSELS = [
  '\r\n',
  '\n',
  '\r',
  '\r\r\n',
  '\r\n\r\n',
  '\r\n ',
  '\r\n\t',
  ' ',
  '\t',
  '\0',
  '\x0b',
  '\x7f',
  '\x80',
  '\xff',
  ':',
  ';',
  ',',
  '"',
  '\\',
  '#',
  '@',
  '*',
  '_',
  '0',
  '9',
  'f',
  '-',
  '+',
  '0x',
  ' HTTP/1.1\r\n',
  ' HTTP/1.0\r\n',
  ' HTTP/2.0\r\n',
  'GET / ',
  'OPTIONS * ',
  'http://a.test',
  'Host: a.test\r\n',
  'Host: b.test\r\n',
  'Content-Length: 5\r\n',
  'Content-Length: 05, 5\r\n',
  'Content_Length: 5\r\n',
  'Transfer-Encoding: chunked\r\n',
  'Transfer-Encoding: gzip, chunked\r\n',
  'transfer-encoding : chunked\r\n',
  'Connection: close\r\n',
  'Connection: X-A, Host, Content-Length\r\n',
  'Connection: keep-alive, Upgrade\r\n',
  'Upgrade: websocket\r\n',
  'TE: trailers\r\n',
  'Trailer: X-A\r\n',
  'Expect: 100-continue\r\n',
  'X-Forwarded-For: 6.6.6.6\r\n',
  'Forwarded: for=6.6.6.6\r\n',
  'Mayfly-A: b\r\n',
  'X-A: b\r\n',
  '3\r\nabc\r\n',
  '0\r\n\r\n',
  '0\r\nX-A: b\r\n\r\n',
  '5;a=b\r\nhello\r\n',
];

/** The message (latin1) with one to four things done to it. `others`: where a piece of another one is taken from. */
export function mutate(random: Random, message: string, others: readonly string[]): string {
  let text = message;
  for (let times = 1 + random.below(1 + random.below(4)); times > 0; times--) {
    const at = random.below(text.length + 1);
    const length = random.below(random.pick([2, 4, 16, 64]));
    switch (random.below(7)) {
      case 0: // another byte
        text = text.slice(0, at) + String.fromCharCode(random.below(256)) + text.slice(at + 1);
        break;
      case 1: // one bit
        if (at < text.length)
          text =
            text.slice(0, at) +
            String.fromCharCode(text.charCodeAt(at) ^ (1 << random.below(8))) +
            text.slice(at + 1);
        break;
      case 2: // something more
        text = text.slice(0, at) + random.pick(MORSELS) + text.slice(at);
        break;
      case 3: // something less
        text = text.slice(0, at) + text.slice(at + length);
        break;
      case 4: // something twice
        text = text.slice(0, at + length) + text.slice(at);
        break;
      case 5: {
        // a line, whole, at a line's start
        const lineAt = text.indexOf('\n', at) + 1;
        text = text.slice(0, lineAt) + random.pick(MORSELS) + text.slice(lineAt);
        break;
      }
      default: {
        // a piece of another message
        const other = random.pick(others);
        const from = random.below(other.length + 1);
        text = text.slice(0, at) + other.slice(from, from + length) + text.slice(at);
      }
    }
  }
  return text;
}
