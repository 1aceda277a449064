/**
 * A head that repeats the one before is not read again. Whoever reads it must not be able to tell: each sequence is given to
 * one reader for all of it, which remembers, and to a new one for each head, which cannot.
 */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { COMPLETE, INCOMPLETE, ODD } from '../../src/proxy/http1/head-result.ts';
import { GET, HEAD, POST } from '../../src/proxy/http1/methods.ts';
import type { Method } from '../../src/proxy/http1/methods.ts';
import { Origin } from '../../src/proxy/http1/origin.ts';
import { RequestHead } from '../../src/proxy/http1/request-head.ts';
import { ResponseHead } from '../../src/proxy/http1/response-head.ts';
import { maxRequestBytes, writeRequest } from '../../src/proxy/http1/write-request.ts';
import {
  maxResponseBytes,
  SEND_CHUNKED,
  SEND_CLOSE,
  writeResponse,
} from '../../src/proxy/http1/write-response.ts';
import { REQUESTS } from '../corpus/requests.ts';
import { RESPONSES } from '../corpus/responses.ts';

const RUNS = { numRuns: 300 };

/** One head, how its bytes arrive (all but the last so many of them first), and whether it is passed on. */
interface Step {
  readonly text: string;
  readonly late: number;
  readonly written: boolean;
}

/** A few heads in a random order, so that they repeat. */
function sequences(texts: readonly string[]): fc.Arbitrary<Step[]> {
  const few = fc.uniqueArray(fc.constantFrom(...texts), { minLength: 1, maxLength: 4 });
  return few.chain((heads) =>
    fc.array(
      fc.record({
        text: fc.constantFrom(...heads),
        late: fc.oneof({ weight: 4, arbitrary: fc.constant(0) }, fc.nat(40)),
        written: fc.oneof({ weight: 4, arbitrary: fc.constant(true) }, fc.constant(false)),
      }),
      { minLength: 2, maxLength: 12 },
    ),
  );
}

/** In memory of its own, at another place each time. */
function placed(text: string, at: number): Buffer {
  return Buffer.concat([Buffer.alloc(at, '#'), Buffer.from(text, 'latin1')]);
}

const NOTED = 'Host: a.test\r\nTE: trailers\r\nUser-Agent: x/1\r\nX-Request-Id: 7\r\n\r\n';
const TEXTS = [
  ...REQUESTS.map(({ bytes }) => bytes),
  `GET / HTTP/1.1\r\n${NOTED}`,
  `GET /longer HTTP/1.1\r\n${NOTED}`,
];

const origin = new Origin({ address: '192.0.2.7', protocol: 'http', trusted: true });

function readRequest(head: RequestHead, { text, late, written }: Step, at: number): unknown {
  const source = placed(text, at);
  const early = Math.max(at, source.length - late);
  let result = head.parse(source, at, early);
  if (result === INCOMPLETE) result = head.parse(source, at, source.length);
  if (result !== COMPLETE) return { result, refusal: head.refusal };
  const { method, minorVersion, framing, contentLength, expectsContinue, odd, host, keepAlive, headBytes } =
    head;
  const { acceptsTrailers, announcesTrailers, claimsOrigin } = head.fields;
  const { userAgentFrom, userAgentTo, requestIdFrom, requestIdTo } = head.fields;
  const noted = [
    source.toString('latin1', at + userAgentFrom, at + userAgentTo),
    source.toString('latin1', at + requestIdFrom, at + requestIdTo),
  ];
  const read = { method, minorVersion, framing, contentLength, expectsContinue, odd, host, keepAlive };
  const more = {
    noted,
    headBytes,
    target: head.target(source, at),
    acceptsTrailers,
    announcesTrailers,
    claimsOrigin,
  };
  if (head.repeats) {
    const { memory } = head.repetition;
    const kept = head.repetition.withLine(source, at, at + head.line.end);
    if (kept >= 0) expect(memory.toString('latin1', kept, kept + headBytes)).toBe(text.slice(0, headBytes));
  }
  if (!written || (odd & ODD.noHost) !== 0) return { ...read, ...more };
  const out = Buffer.alloc(maxRequestBytes(head, origin));
  const end = writeRequest(head, source, at, out, 0, origin);
  return { ...read, ...more, passed: out.toString('latin1', 0, end) };
}

function readResponse(head: ResponseHead, step: Step, at: number, method: Method, send: number): unknown {
  const source = placed(step.text, at);
  const early = Math.max(at, source.length - step.late);
  let result = head.parse(source, at, early, method);
  if (result === INCOMPLETE) result = head.parse(source, at, source.length, method);
  if (result !== COMPLETE) return { result, refusal: head.refusal };
  const { status, interim, framing, contentLength, keepAlive, headBytes, keepAliveTimeoutSeconds } = head;
  const read = { status, interim, framing, contentLength, keepAlive, headBytes, keepAliveTimeoutSeconds };
  if (!step.written) return read;
  const out = Buffer.alloc(maxResponseBytes(head));
  const end = writeResponse(head, source, at, out, 0, interim ? 0 : send);
  return { ...read, passed: out.toString('latin1', 0, end) };
}

describe('a head that repeats the one before', () => {
  it('of a request: is read and passed on as if it were the first', () => {
    fc.assert(
      fc.property(sequences(TEXTS), (steps) => {
        let head = new RequestHead(undefined, true);
        for (const [at, step] of steps.entries()) {
          const fresh = new RequestHead(undefined, true);
          expect(readRequest(head, step, at)).toEqual(readRequest(fresh, step, at));
          if (fresh.refusal !== undefined || fresh.headBytes === 0) head = new RequestHead(undefined, true);
        }
      }),
      RUNS,
    );
  });

  it('of an answer: is read and passed on as if it were the first, whatever was asked', () => {
    const methods = fc.array(fc.constantFrom(GET, HEAD, POST), { minLength: 12, maxLength: 12 });
    const sends = fc.array(fc.constantFrom(0, SEND_CHUNKED, SEND_CLOSE), { minLength: 12, maxLength: 12 });
    const steps = sequences(RESPONSES.map(({ bytes }) => bytes));
    fc.assert(
      fc.property(steps, methods, sends, (sequence, asked, sent) => {
        let head = new ResponseHead();
        for (const [at, step] of sequence.entries()) {
          const method = asked[at] ?? GET;
          const fresh = new ResponseHead();
          expect(readResponse(head, step, at, method, sent[at] ?? 0)).toEqual(
            readResponse(fresh, step, at, method, sent[at] ?? 0),
          );
          if (fresh.refusal !== undefined || fresh.headBytes === 0) head = new ResponseHead();
        }
      }),
      RUNS,
    );
  });

  it('is known by its bytes alone: the second and third request of a connection are told to repeat', () => {
    const head = new RequestHead(undefined, true);
    const repeats = ['/a', '/b', '/c'].map((path) => {
      readRequest(head, { text: `GET ${path} HTTP/1.1\r\nHost: a.test\r\n\r\n`, late: 0, written: true }, 0);
      return head.repeats;
    });
    expect(repeats).toEqual([false, true, true]);
    const longer = `GET /longer HTTP/1.1\r\n${NOTED}`;
    for (const text of [`GET / HTTP/1.1\r\n${NOTED}`, longer, longer])
      expect(readRequest(head, { text, late: 0, written: true }, 0)).toMatchObject({ noted: ['x/1', '7'] });
    const other = 'GET /d HTTP/1.1\r\nHost: b.test\r\n\r\n';
    expect(readRequest(head, { text: other, late: 0, written: true }, 0)).toMatchObject({ host: 'b.test' });
    expect(head.repeats).toBe(false);
  });

  it('differs from it in one byte, anywhere: is read as what it is', () => {
    const text = `GET /a HTTP/1.1\r\n${NOTED}`;
    const head = new RequestHead(undefined, true);
    const step = (bytes: string) => ({ text: bytes, late: 0, written: true });
    for (let at = 'GET /a HTTP/1.1\r\n'.length; at < text.length; at++)
      for (const byte of ['\0', '\x80', '\xff', 'Q']) {
        readRequest(head, step(text), 0);
        readRequest(head, step(text), 0);
        expect(head.repeats).toBe(true);
        const other = step(text.slice(0, at) + byte + text.slice(at + 1));
        expect(readRequest(head, other, 0)).toEqual(readRequest(new RequestHead(undefined, true), other, 0));
        head.reset();
      }
  });

  it('has a first line too long to be kept beside the fields: that is said', () => {
    const head = new RequestHead();
    const text = `GET /${'x'.repeat(300)} HTTP/1.1\r\n${NOTED}`;
    for (let i = 0; i < 2; i++) readRequest(head, { text, late: 0, written: true }, 0);
    const source = Buffer.from(text, 'latin1');
    expect([head.repeats, head.repetition.withLine(source, 0, head.line.end)]).toEqual([true, -1]);
  });

  it('is read anew after an answer before the answer, which has fields of its own', () => {
    const head = new ResponseHead();
    const final = 'HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n';
    const step = (text: string) => ({ text, late: 0, written: true });
    readResponse(head, step(final), 0, GET, 0);
    readResponse(head, step('HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n'), 0, GET, 0);
    expect(readResponse(head, step(final), 0, GET, 0)).toMatchObject({ status: 200, contentLength: 5 });
    expect(head.repeats).toBe(false);
  });
});
