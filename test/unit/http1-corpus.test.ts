/** Every case of the corpus, read whole and in every other way in which its bytes can arrive. */
import { isDeepStrictEqual } from 'node:util';
import { describe, expect, it } from 'vitest';
import { ERROR_CODES } from '../../src/errors.ts';
import { METHOD_NAMES } from '../../src/proxy/http1/methods.ts';
import { REFUSALS } from '../../src/proxy/http1/refusals.ts';
import { readRequests, readResponses, splitAt } from '../corpus/read-stream.ts';
import type { PassedMessage, ReadStream } from '../corpus/read-stream.ts';
import { REQUESTS } from '../corpus/requests.ts';
import { RESPONSES } from '../corpus/responses.ts';
import type { ExpectedResponse, Reason, RequestCase, ResponseCase } from '../corpus/types.ts';
import { randomCuts, Random } from '../fuzz/http1-mutate.ts';

const SEED = 20260601;
/** Up to here, a message is cut at each of its bytes. */
const SMALL_BYTES = 600;

const reason = (one: { readonly reason?: Reason }) =>
  one.reason === undefined ? undefined : REFUSALS[one.reason];

function expectFields(head: string, expected: Partial<ExpectedResponse>): void {
  const [, ...lines] = head.split('\r\n');
  expect(head.endsWith('\r\n\r\n')).toBe(true);
  for (const line of expected.sees ?? []) expect(lines).toContain(line);
  const names = lines.map((line) => line.split(':', 1)[0]?.toLowerCase());
  for (const name of expected.hidden ?? []) expect(names).not.toContain(name);
}

/** Everything that the pieces' sizes may not change. */
function essence(stream: ReadStream<PassedMessage>): unknown {
  // Of a message that breaks, how much is passed on before depends on when the rest comes.
  const messages = stream.messages.map((one) => (one.whole ? one : { ...one, body: '', payload: '' }));
  return { ...stream, messages };
}

function* waysToCut(bytes: Buffer, seed: number): Generator<number[]> {
  if (bytes.length <= SMALL_BYTES) {
    yield Array.from({ length: Math.max(0, bytes.length - 1) }, (_, i) => i + 1);
    for (let cut = 1; cut < bytes.length; cut++) yield [cut];
  }
  const random = new Random(seed);
  for (let i = 0; i < 8; i++) yield randomCuts(random, bytes.length);
}

function expectTheSameInPieces(bytes: Buffer, whole: unknown, read: (pieces: Buffer[]) => unknown): void {
  for (const cuts of waysToCut(bytes, SEED)) {
    const inPieces = read(splitAt(bytes, cuts));
    // expect() is slow, and this is done a hundred thousand times.
    if (!isDeepStrictEqual(inPieces, whole)) expect([cuts, inPieces]).toEqual([cuts, whole]);
  }
}

describe('the corpus', () => {
  it('has at least 300 cases, each with a name of its own', () => {
    expect(REQUESTS.length + RESPONSES.length).toBeGreaterThanOrEqual(300);
    for (const cases of [REQUESTS, RESPONSES]) {
      const names = cases.map((one: RequestCase | ResponseCase) => `${one.family}: ${one.name}`);
      expect(names.filter((name, i) => names.indexOf(name) !== i)).toEqual([]);
    }
  });

  it('has a case for every reason to refuse a message, and each has a status', () => {
    const met = new Set([...REQUESTS, ...RESPONSES].map((one) => one.reason));
    for (const name of Object.keys(REFUSALS) as Reason[]) {
      expect([name, met.has(name)]).toEqual([name, true]);
      expect(ERROR_CODES[REFUSALS[name].code].status).toBeLessThan(500);
    }
  });
});

describe.each([...Map.groupBy(REQUESTS, (one) => one.family)])('requests: %s', (_family, cases) => {
  it.each(cases.map((one) => [one.name, one] as const))('%s', (_name, one) => {
    const bytes = Buffer.from(one.bytes, 'latin1');
    const stream = readRequests([bytes]);
    expect([stream.end, stream.refusal]).toEqual([one.end, reason(one)]);
    const whole = stream.messages.filter((message) => message.whole);
    expect(whole.map(({ method, payload }) => [method, payload])).toEqual(
      one.requests.map(({ method, body }) => [method, body]),
    );
    one.requests.forEach((expected, i) => {
      const head = whole[i]?.head ?? '';
      expect(head.split('\r\n')[0]).toBe(`${expected.method} ${expected.target} HTTP/1.1`);
      expect(/^host:[ \t]*(.*?)[ \t]*$/im.exec(head)?.[1]).toBe(expected.host);
      expectFields(head, expected);
    });
    // A request line or a head that is refused leaves nothing to pass on; one whose body breaks, its head alone.
    expect(stream.messages.length - whole.length).toBeLessThanOrEqual(one.end === 'refused' ? 0 : 1);
    expectTheSameInPieces(bytes, essence(stream), (pieces) => essence(readRequests(pieces)));
  });
});

describe.each([...Map.groupBy(RESPONSES, (one) => one.family)])('answers: %s', (_family, cases) => {
  it.each(cases.map((one) => [one.name, one] as const))('%s', (_name, one) => {
    const bytes = Buffer.from(one.bytes, 'latin1');
    expect(METHOD_NAMES).toContain(one.method);
    const stream = readResponses([bytes], one.method);
    expect([stream.end, stream.refusal]).toEqual([one.end, reason(one)]);
    const whole = stream.messages.filter((message) => message.whole);
    expect(whole.map(({ status, payload }) => [status, payload])).toEqual(
      one.responses.map(({ status, body }) => [status, body]),
    );
    one.responses.forEach((expected, i) => {
      const head = whole[i]?.head ?? '';
      expect(head).toMatch(new RegExp(`^HTTP/1\\.1 ${expected.status} `));
      expectFields(head, expected);
    });
    if (one.end === 'idle') expect(stream.reusable).toBe(one.reusable);
    expectTheSameInPieces(bytes, essence(stream), (pieces) => essence(readResponses(pieces, one.method)));
  });
});
