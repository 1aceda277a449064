/**
 * Mutated heads and message streams, in pieces, against the HTTP/1.1 reader:
 * `node test/fuzz/http1.ts [--heads N] [--streams N] [--seed N]`. It must not throw, must say the same however the bytes
 * are cut, must agree with a second reader made of regular expressions, and must not pass on what Node's own parser takes
 * differently. What it disagrees on ends it with the bytes in question.
 */
import { isDeepStrictEqual, parseArgs } from 'node:util';
import { COMPLETE, INCOMPLETE, ODD, REFUSED } from '../../src/proxy/http1/head-result.ts';
import type { HeadResult } from '../../src/proxy/http1/head-result.ts';
import { GET, HEAD } from '../../src/proxy/http1/methods.ts';
import { Origin } from '../../src/proxy/http1/origin.ts';
import { RequestHead } from '../../src/proxy/http1/request-head.ts';
import { ResponseHead } from '../../src/proxy/http1/response-head.ts';
import { maxRequestBytes, writeRequest } from '../../src/proxy/http1/write-request.ts';
import { readRequests, readResponses, splitAt, TEST_ORIGIN } from '../corpus/read-stream.ts';
import type { PassedMessage, ReadStream } from '../corpus/read-stream.ts';
import { REQUESTS } from '../corpus/requests.ts';
import { RESPONSES } from '../corpus/responses.ts';
import type { RequestCase, ResponseCase } from '../corpus/types.ts';
import { mutate, Random, randomCuts } from './http1-mutate.ts';
import { NodeServer } from './http1-node.ts';
import { flawOf, judgeBody, judgeRequest, judgeRequests, judgeResponse } from './http1-oracle.ts';

/** Longer seeds make for slow rounds, and the long cases are about limits alone; every so often one is taken all the same. */
const SHORT_BYTES = 1500;
/** One in so many streams is shown to Node. */
const NODE_SAMPLE = 10;

const FRAMINGS = ['none', 'length', 'chunked', 'close'] as const;

interface Seeds {
  /** Those that pass: most mutations are of them, as what is refused already is mostly refused again. */
  readonly good: readonly string[];
  readonly short: readonly string[];
  readonly all: readonly string[];
}

function seedsOf(cases: readonly (RequestCase | ResponseCase)[]): Seeds {
  const short = cases.filter(({ bytes }) => bytes.length <= SHORT_BYTES);
  const good = short.filter(({ end }) => end === 'idle');
  return { good: good.map(bytesOf), short: short.map(bytesOf), all: cases.map(bytesOf) };
}

function bytesOf({ bytes }: RequestCase | ResponseCase): string {
  return bytes;
}

const requestSeeds = seedsOf(REQUESTS);
const responseSeeds = seedsOf(RESPONSES);

export class Disagreement extends Error {}

export interface FuzzCounts {
  passed: number;
  refused: number;
  unfinished: number;
  /** Shown to Node. */
  compared: number;
}

function choose(random: Random, { good, short, all }: Seeds): string {
  const kind = random.below(256);
  return random.pick(kind === 0 ? all : kind < 64 ? short : good);
}

function check(holds: boolean, what: string, details: unknown): void {
  if (!holds) throw new Disagreement(`${what}: ${JSON.stringify(details)}`);
}

/** Parses what has arrived at each cut, each time in other memory and at another place of it. */
function parseInPieces(
  bytes: Buffer,
  cuts: readonly number[],
  parse: (buffer: Buffer, start: number, end: number) => HeadResult,
): HeadResult {
  let result: HeadResult = INCOMPLETE;
  for (const cut of [...cuts, bytes.length]) {
    const start = cut % 3;
    const moved = Buffer.alloc(start + cut);
    bytes.copy(moved, start, 0, cut);
    result = parse(moved, start, moved.length);
    if (result !== INCOMPLETE) return result;
  }
  return result;
}

/** Mutated request heads and, one in four, response heads. */
export function fuzzHeads(random: Random, times: number): FuzzCounts {
  const counts: FuzzCounts = { passed: 0, refused: 0, unfinished: 0, compared: 0 };
  const origin = new Origin(TEST_ORIGIN);
  const out = Buffer.alloc(256 * 1024);
  // Whole, in pieces, and what is passed on: one parser for all of a kind, so that nothing of one head may leak into the next.
  const [whole, pieces, again] = [new RequestHead(), new RequestHead(), new RequestHead()];
  const [answer, answerPieces] = [new ResponseHead(), new ResponseHead()];
  const count = (result: HeadResult) => {
    if (result === COMPLETE) counts.passed++;
    else if (result === REFUSED) counts.refused++;
    else counts.unfinished++;
  };
  for (let i = 0; i < times; i++) {
    if (i % 4 === 3) count(fuzzResponseHead(random, answer, answerPieces));
    else count(fuzzRequestHead(random, whole, pieces, again, origin, out));
  }
  return counts;
}

function fuzzRequestHead(
  random: Random,
  whole: RequestHead,
  pieces: RequestHead,
  again: RequestHead,
  origin: Origin,
  out: Buffer,
): HeadResult {
  const text = mutate(random, choose(random, requestSeeds), requestSeeds.short);
  const bytes = Buffer.from(text, 'latin1');
  for (const head of [whole, pieces, again]) head.reset();
  const result = whole.parse(bytes, 0, bytes.length);
  const cuts = randomCuts(random, bytes.length);
  const resultInPieces = parseInPieces(bytes, cuts, (buffer, start, end) => pieces.parse(buffer, start, end));
  check(
    result === resultInPieces && isDeepStrictEqual(traitsOf(whole), traitsOf(pieces)),
    'cut otherwise, it is another request',
    { text, cuts, whole: traitsOf(whole), pieces: traitsOf(pieces) },
  );
  const judged = judgeRequest(text);
  if (judged === 'unfinished') {
    check(result !== COMPLETE, 'it is passed on without its end', { text });
    return result;
  }
  check((result === COMPLETE) === (judged !== 'refused'), 'the second reader disagrees', {
    text,
    judged,
    whole: whole.refusal,
  });
  if (result !== COMPLETE || judged === 'refused') return result;
  check(
    judged.bytes === whole.headBytes &&
      judged.method === whole.methodName &&
      judged.host === whole.host &&
      judged.body === FRAMINGS[whole.framing] &&
      judged.length === whole.contentLength,
    'the second reader takes it differently',
    { text, judged, whole: traitsOf(whole) },
  );
  if ((whole.odd & ODD.noHost) !== 0) return result;
  const length = writeRequest(whole, bytes, 0, out, 0, origin);
  check(length <= maxRequestBytes(whole, origin), 'it is longer than was said', { text });
  const passed = out.toString('latin1', 0, length);
  check(flawOf(passed) === undefined, 'what is passed on has a flaw', { text, passed, flaw: flawOf(passed) });
  check(passed.startsWith(`${judged.method} ${judged.target} HTTP/1.1\r\n`), 'its target is another', {
    text,
    passed,
  });
  const second = again.parse(out, 0, length + 1);
  check(
    (second === COMPLETE || whole.headBytes > 15_000) &&
      (second !== COMPLETE ||
        (again.headBytes === length &&
          again.methodName === whole.methodName &&
          again.host === whole.host &&
          again.framing === whole.framing &&
          again.contentLength === whole.contentLength &&
          again.fields.acceptsTrailers === whole.fields.acceptsTrailers)),
    'what is passed on is another request',
    { text, passed },
  );
  return result;
}

function traitsOf(head: RequestHead): unknown {
  const { headBytes, methodName, host, framing, contentLength, keepAlive, expectsContinue, odd, refusal } =
    head;
  if (refusal !== undefined || headBytes === 0) return { refusal };
  const { acceptsTrailers, announcesTrailers, claimsOrigin, cuts } = head.fields;
  const lines = Array.from({ length: cuts.count }, (_, i) => [cuts.from(i), cuts.to(i)]);
  return {
    ...{ headBytes, methodName, host, framing, contentLength, keepAlive, expectsContinue, odd },
    ...{ acceptsTrailers, announcesTrailers, claimsOrigin, lines },
  };
}

function fuzzResponseHead(random: Random, whole: ResponseHead, pieces: ResponseHead): HeadResult {
  const text = mutate(random, choose(random, responseSeeds), responseSeeds.short);
  const bytes = Buffer.from(text, 'latin1');
  const method = random.below(5) === 0 ? HEAD : GET;
  whole.reset();
  pieces.reset();
  const result = whole.parse(bytes, 0, bytes.length, method);
  const cuts = randomCuts(random, bytes.length);
  const resultInPieces = parseInPieces(bytes, cuts, (buffer, start, end) =>
    pieces.parse(buffer, start, end, method),
  );
  const traits = ({ headBytes, status, framing, contentLength, keepAlive, refusal }: ResponseHead) =>
    refusal === undefined && headBytes > 0
      ? { headBytes, status, framing, contentLength, keepAlive }
      : { refusal };
  check(
    result === resultInPieces && isDeepStrictEqual(traits(whole), traits(pieces)),
    'cut otherwise, it is another answer',
    { text, cuts, whole: traits(whole), pieces: traits(pieces) },
  );
  const judged = judgeResponse(text, method === HEAD ? 'HEAD' : 'GET');
  if (judged === 'unfinished') {
    check(result !== COMPLETE, 'it is passed on without its end', { text });
    return result;
  }
  check((result === COMPLETE) === (judged !== 'refused'), 'the second reader disagrees', {
    text,
    judged,
    whole: whole.refusal,
  });
  if (result !== COMPLETE || judged === 'refused') return result;
  check(
    judged.bytes === whole.headBytes &&
      judged.status === whole.status &&
      judged.body === FRAMINGS[whole.framing] &&
      judged.length === whole.contentLength,
    'the second reader takes it differently',
    { text, judged, whole: traits(whole) },
  );
  return result;
}

/** Mutated streams of one to three requests and, one in four, the answers to one. */
export async function fuzzStreams(random: Random, times: number): Promise<FuzzCounts> {
  const counts: FuzzCounts = { passed: 0, refused: 0, unfinished: 0, compared: 0 };
  const node = new NodeServer();
  for (let i = 0; i < times; i++) {
    if (i % 4 === 3) {
      fuzzResponses(random, counts);
      continue;
    }
    let text = '';
    for (let many = 1 + random.below(3); many > 0; many--) text += choose(random, requestSeeds);
    text = mutate(random, text, requestSeeds.short);
    const stream = readBothWays(random, text, (pieces) => readRequests(pieces), counts);
    const whole = stream.messages.filter((message) => message.whole);
    const judged = judgeRequests(text);
    check(
      isDeepStrictEqual(
        whole.map(({ method, host, payload }) => ({ method, host, payload })),
        judged.map(({ method, host, payload }) => ({ method, host, payload })),
      ),
      'the second reader sees other requests',
      { text, judged, whole },
    );
    const passable = whole.filter(({ odd }) => (odd & ODD.noHost) === 0);
    if (passable.length === 0 || i % NODE_SAMPLE !== 0) continue;
    counts.compared++;
    const seen = await node.read(passable.map(({ head, body }) => head + body).join(''), true);
    check(
      seen.length === passable.length + 1 &&
        passable.every(
          ({ method, payload }, at) => seen[at]?.method === method && seen[at].body === payload,
        ) &&
        seen.at(-1)?.target === '/sentinel',
      'Node sees other requests',
      { text, passable, seen },
    );
  }
  return counts;
}

function fuzzResponses(random: Random, counts: FuzzCounts): void {
  const text = mutate(random, choose(random, responseSeeds), responseSeeds.short);
  const method = random.below(5) === 0 ? 'HEAD' : 'GET';
  const stream = readBothWays(random, text, (pieces) => readResponses(pieces, method), counts);
  let rest = text;
  for (const message of stream.messages) {
    const head = judgeResponse(rest, method);
    check(typeof head !== 'string', 'the second reader sees no answer', { text, stream });
    if (typeof head === 'string') return;
    const body = judgeBody(rest.slice(head.bytes), head);
    check(
      message.status === head.status &&
        message.whole === (body !== undefined) &&
        (!message.whole || message.payload === body?.payload),
      'the second reader sees another answer',
      { text, stream, head, body },
    );
    rest = rest.slice(head.bytes + (body?.bytes ?? 0));
  }
}

/** Reads the text whole and in pieces: the same must come of it. */
function readBothWays<Message extends PassedMessage>(
  random: Random,
  text: string,
  read: (pieces: readonly Buffer[]) => ReadStream<Message>,
  counts: FuzzCounts,
): ReadStream<Message> {
  const bytes = Buffer.from(text, 'latin1');
  const stream = read([bytes]);
  const cuts = randomCuts(random, bytes.length);
  const otherwise = read(splitAt(bytes, cuts));
  // Of a message that breaks, how much is passed on before depends on when the rest comes.
  const essence = ({ messages, ...rest }: ReadStream<Message>) => ({
    ...rest,
    messages: messages.map((one) => (one.whole ? one : { ...one, body: '', payload: '' })),
  });
  check(isDeepStrictEqual(essence(stream), essence(otherwise)), 'cut otherwise, it is another stream', {
    ...{ text, cuts, stream, otherwise },
  });
  if (stream.end === 'idle') counts.passed++;
  else if (stream.end === 'incomplete') counts.unfinished++;
  else counts.refused++;
  return stream;
}

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      heads: { type: 'string', default: '1000000' },
      streams: { type: 'string', default: '100000' },
      seed: { type: 'string', default: '20260601' },
    },
  });
  const seed = Number(values.seed);
  const random = new Random(seed);
  console.log(`seed ${seed}`);
  const report = (what: string, counts: FuzzCounts, startMs: number) => {
    const seconds = ((performance.now() - startMs) / 1000).toFixed(1);
    const rssMiB = Math.round(process.memoryUsage.rss() / 2 ** 20);
    console.log(`${what}: ${JSON.stringify(counts)} in ${seconds} s, ${rssMiB} MiB`);
  };
  let startMs = performance.now();
  report('heads', fuzzHeads(random, Number(values.heads)), startMs);
  startMs = performance.now();
  report('streams', await fuzzStreams(random, Number(values.streams)), startMs);
}

if (import.meta.main) await main();
