/** What one request is, and what the app is to do with it: all of it is in the request line, so that both ends know. */
import type { Random } from '../fuzz/http1-mutate.ts';
import { Content } from './content.ts';

export type BodyFraming = 'none' | 'length' | 'chunked';
export type AnswerFraming = 'length' | 'chunked' | 'close';

/** `reset-head`, `garbage`: no answer comes about, which is 502. `reset-body`, `cut-body`: one breaks off. */
export type Deed =
  | 'plain'
  | 'early'
  | 'slow-read'
  | 'slow-write'
  | 'interim'
  | 'reset-head'
  | 'garbage'
  | 'reset-body'
  | 'cut-body';

export interface Plan {
  readonly id: string;
  readonly host: string;
  readonly method: 'GET' | 'HEAD' | 'POST' | 'PUT';
  readonly up: number;
  readonly upFraming: BodyFraming;
  readonly down: number;
  readonly downFraming: AnswerFraming;
  readonly deed: Deed;
  /** Further field lines of the request. */
  readonly lines: string;
  /** Its target is a URL: from here on the connection goes another way through the proxy. */
  readonly absolute?: boolean;
}

/** Around the bounds of what is copied, shared and lent in the proxy. */
const SIZES = [0, 1, 64, 1_000, 4_095, 8_192, 16_300, 16_384, 16_385, 20_000, 40_000, 65_536, 70_000];
const LARGE_SIZES = [131_072, 262_143, 262_144, 262_145, 300_000, 530_000, 1_100_000];
const LINES = [
  '',
  'Accept: */*\r\nAccept-Language: de-CH,de;q=0.9\r\nCookie: a=b; c=d\r\n',
  `User-Agent: soak\r\nCookie: ${'x'.repeat(900)}\r\n`,
  'Connection: keep-alive\r\nX-Forwarded-For: 6.6.6.6\r\n',
];

export function randomSize(random: Random): number {
  const kind = random.below(20);
  if (kind < 10) return random.below(300);
  if (kind < 15) return random.pick(SIZES);
  if (kind < 18) return random.below(60_000);
  return random.pick(LARGE_SIZES) + random.below(3);
}

let serial = 0;

function newId(random: Random): string {
  return `${(++serial).toString(36)}-${random.below(1_679_616).toString(36)}`;
}

/** Like another, without anything unusual: of its head only the first line differs. */
export function planLike(random: Random, like: Plan): Plan {
  return { ...like, id: newId(random) };
}

/** What one visitor asks for again and again. */
export function usualPlan(random: Random, host: string): Plan {
  const hasBody = random.below(3) === 0;
  const size = () => (random.below(4) === 0 ? random.pick(SIZES) : random.below(300));
  return {
    id: newId(random),
    host,
    method: hasBody ? 'POST' : 'GET',
    up: hasBody ? 1 + size() : 0,
    upFraming: hasBody ? 'length' : 'none',
    down: size(),
    downFraming: random.pick(['length', 'chunked'] as const),
    deed: 'plain',
    lines: random.pick(LINES),
  };
}

/** More than the kernel takes for somebody who does not read, in many sizes, and what is small behind it. */
export function largePlans(random: Random, host: string): Plan[] {
  const up = random.below(2) === 0;
  return Array.from({ length: 24 }, (_, i) => {
    const like = usualPlan(random, host);
    if (up && i === 2)
      return {
        ...like,
        ...{ method: 'PUT', up: 9_000_000 + random.below(3_000_000), upFraming: 'length', deed: 'slow-read' },
      };
    if (up || random.below(3) === 0) return like;
    return {
      ...like,
      down: 600_000 + random.below(600_000),
      deed: random.pick(['plain', 'slow-write'] as const),
    };
  });
}

export function randomPlan(random: Random, host: string): Plan {
  const id = newId(random);
  const hasBody = random.below(5) < 2;
  const method = hasBody ? random.pick(['POST', 'PUT'] as const) : random.below(12) === 0 ? 'HEAD' : 'GET';
  const lines = random.pick(LINES) + (random.below(3) === 0 ? `X-Id: ${id}\r\n` : '');
  const down = randomSize(random);
  const wished = randomDeed(random, hasBody);
  // An answer without a body is whole before it can be broken, and its connection kept: another request would meet the end.
  const deed = mayBreak({ deed: wished }) && (method === 'HEAD' || down === 0) ? 'plain' : wished;
  const framing = random.pick(['length', 'length', 'length', 'chunked', 'chunked', 'close'] as const);
  return {
    ...{ id, host, method, lines, deed },
    absolute: random.below(30) === 0,
    up: hasBody ? randomSize(random) : 0,
    upFraming: hasBody ? random.pick(['length', 'chunked'] as const) : 'none',
    down,
    // An app that closes while it is still sent to loses its answer; and closing is no way to break one that ends so.
    downFraming: deed === 'early' || deed === 'cut-body' ? 'length' : framing,
  };
}

function randomDeed(random: Random, hasBody: boolean): Deed {
  const kind = random.below(100);
  if (kind < 70) return 'plain';
  if (kind < 78) return hasBody ? 'slow-read' : 'slow-write';
  if (kind < 84) return 'slow-write';
  if (kind < 90) return hasBody ? 'early' : 'plain';
  if (kind < 93) return 'interim';
  return random.pick(['reset-head', 'garbage', 'reset-body', 'cut-body'] as const);
}

/** What the request line says. */
export function targetOf({ id, up, down, downFraming, deed }: Plan): string {
  return `/${id}?up=${up}&down=${down}&frame=${downFraming}&do=${deed}`;
}

export interface Asked {
  readonly id: string;
  readonly up: number;
  readonly down: number;
  readonly frame: AnswerFraming;
  readonly deed: Deed;
}

export function readTarget(target: string): Asked {
  const { pathname, searchParams } = new URL(target, 'http://app');
  return {
    id: pathname.slice(1),
    up: Number(searchParams.get('up')),
    down: Number(searchParams.get('down')),
    frame: searchParams.get('frame') as AnswerFraming,
    deed: searchParams.get('do') as Deed,
  };
}

export const upKey = (id: string) => `up ${id}`;
export const downKey = (id: string) => `down ${id}`;

/** No whole answer is due. */
export function mayBreak({ deed }: Pick<Plan, 'deed'>): boolean {
  return deed === 'reset-body' || deed === 'cut-body';
}

export function mayFail({ deed }: Pick<Plan, 'deed'>): boolean {
  return deed === 'reset-head' || deed === 'garbage' || mayBreak({ deed });
}

/** The request as it is sent. */
export function* requestPieces(random: Random, plan: Plan): Generator<Buffer> {
  const { method, host, up, upFraming, lines, id, absolute } = plan;
  const framing =
    upFraming === 'length'
      ? `Content-Length: ${up}\r\n`
      : upFraming === 'chunked'
        ? 'Transfer-Encoding: chunked\r\n'
        : '';
  yield Buffer.from(
    `${method} ${absolute ? `http://${host}` : ''}${targetOf(plan)} HTTP/1.1\r\nHost: ${host}\r\n${lines}${framing}\r\n`,
  );
  if (upFraming === 'none') return;
  const content = new Content(upKey(id));
  for (let from = 0; from < up;) {
    const bytes = content.bytes(
      from,
      Math.min(up - from, 1 + random.below(random.pick([100, 40_000, 300_000]))),
    );
    from += bytes.length;
    if (upFraming === 'chunked') yield Buffer.from(`${bytes.length.toString(16)}\r\n`);
    yield bytes;
    if (upFraming === 'chunked') yield Buffer.from('\r\n');
  }
  if (upFraming === 'chunked') yield Buffer.from('0\r\n\r\n');
}
