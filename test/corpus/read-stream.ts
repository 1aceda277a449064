/**
 * What a forwarder does with the bytes of a connection, without the connection: reads heads and bodies one after the other, in
 * whatever pieces they come, and keeps what would be passed on.
 */
import { BodyFraming } from '../../src/proxy/http1/body-framing.ts';
import { CHUNKED, NO_BODY } from '../../src/proxy/http1/framing.ts';
import { COMPLETE, ODD, REFUSED } from '../../src/proxy/http1/head-result.ts';
import type { HeadResult } from '../../src/proxy/http1/head-result.ts';
import { DEFAULT_REQUEST_HEAD_LIMITS, DEFAULT_RESPONSE_HEAD_LIMITS } from '../../src/proxy/http1/limits.ts';
import { METHOD_NAMES } from '../../src/proxy/http1/methods.ts';
import type { Method } from '../../src/proxy/http1/methods.ts';
import { Origin } from '../../src/proxy/http1/origin.ts';
import { PartialHead } from '../../src/proxy/http1/partial-head.ts';
import type { Refusal } from '../../src/proxy/http1/refusals.ts';
import { RequestHead } from '../../src/proxy/http1/request-head.ts';
import { ResponseHead } from '../../src/proxy/http1/response-head.ts';
import { maxRequestBytes, writeRequest } from '../../src/proxy/http1/write-request.ts';
import { maxResponseBytes, SEND_CHUNKED, writeResponse } from '../../src/proxy/http1/write-response.ts';
import type { End } from './types.ts';

/** One message as it would be passed on. */
export interface PassedMessage {
  /** Rewritten. */
  readonly head: string;
  /** As it came, with its framing. */
  body: string;
  payload: string;
  whole: boolean;
}

export interface PassedRequest extends PassedMessage {
  readonly method: string;
  readonly host: string;
  readonly keepAlive: boolean;
  readonly odd: number;
}

export interface PassedResponse extends PassedMessage {
  readonly status: number;
  readonly keepAlive: boolean;
}

export interface ReadStream<Message extends PassedMessage> {
  readonly messages: readonly Message[];
  readonly end: End;
  readonly refusal: Refusal | undefined;
  /** Of answers: whether the connection to the app could carry another request: it says so, and nothing is behind the last byte. */
  readonly reusable: boolean;
}

export const TEST_ORIGIN = { address: '192.0.2.7', protocol: 'http', trusted: false } as const;

/** Cuts the bytes at these positions, in ascending order. */
export function splitAt(bytes: Buffer, cuts: readonly number[]): Buffer[] {
  const pieces: Buffer[] = [];
  let from = 0;
  for (const cut of [...cuts, bytes.length]) {
    // Each piece in memory of its own, as sockets give them: nothing may be read behind its end.
    pieces.push(Buffer.from(bytes.subarray(from, cut)));
    from = cut;
  }
  return pieces;
}

/** Reads all requests in the pieces. */
export function readRequests(
  pieces: readonly Buffer[],
  origin = new Origin(TEST_ORIGIN),
): ReadStream<PassedRequest> {
  const head = new RequestHead();
  return readMessages<PassedRequest>(
    pieces,
    DEFAULT_REQUEST_HEAD_LIMITS.headBytes,
    (buffer, start, end) => head.parse(buffer, start, end),
    (buffer, start) => {
      const passable = (head.odd & ODD.noHost) === 0;
      const out = Buffer.alloc(maxRequestBytes(head, origin));
      const length = passable ? writeRequest(head, buffer, start, out, 0, origin) : 0;
      return {
        head: out.toString('latin1', 0, length),
        body: '',
        payload: '',
        whole: false,
        method: head.methodName,
        host: head.host,
        keepAlive: head.keepAlive,
        odd: head.odd,
      };
    },
    head,
  );
}

/** Reads the answers to one request; stops behind the final one. */
export function readResponses(pieces: readonly Buffer[], method: string): ReadStream<PassedResponse> {
  const head = new ResponseHead();
  const asked = Math.max(0, METHOD_NAMES.indexOf(method)) as Method;
  return readMessages<PassedResponse>(
    pieces,
    DEFAULT_RESPONSE_HEAD_LIMITS.headBytes,
    (buffer, start, end) => head.parse(buffer, start, end, asked),
    (buffer, start) => {
      const send = head.framing === CHUNKED ? SEND_CHUNKED : 0;
      const out = Buffer.alloc(maxResponseBytes(head));
      const length = writeResponse(head, buffer, start, out, 0, send);
      const message = { body: '', payload: '', whole: false, status: head.status, keepAlive: head.keepAlive };
      return { head: out.toString('latin1', 0, length), ...message };
    },
    head,
    (message) => message.status >= 200,
  );
}

function readMessages<Message extends PassedMessage>(
  pieces: readonly Buffer[],
  maxHeadBytes: number,
  parse: (buffer: Buffer, start: number, end: number) => HeadResult,
  write: (buffer: Buffer, start: number) => Message,
  head: RequestHead | ResponseHead,
  isLast?: (message: Message) => boolean,
): ReadStream<Message> {
  const framing = new BodyFraming();
  const messages: Message[] = [];
  let current: Message | undefined;
  let partial: PartialHead | undefined;
  let over = false;
  let left = 0;

  for (const piece of pieces) {
    let pos = 0;
    while (pos < piece.length && !over) {
      if (current === undefined) {
        let result: HeadResult;
        let message: Message | undefined;
        if (partial === undefined) {
          result = parse(piece, pos, piece.length);
          if (result === COMPLETE) {
            message = write(piece, pos);
            pos += head.headBytes;
          } else if (result !== REFUSED) {
            partial = new PartialHead(maxHeadBytes);
            partial.add(piece, pos, piece.length);
            pos = piece.length;
          }
        } else {
          const before = partial.length;
          partial.add(piece, pos, piece.length);
          result = parse(partial.buffer, 0, partial.length);
          if (result === COMPLETE) {
            message = write(partial.buffer, 0);
            pos += head.headBytes - before;
            partial = undefined;
          } else pos = piece.length;
        }
        if (result === REFUSED) return { messages, end: 'refused', refusal: head.refusal, reusable: false };
        if (message === undefined) continue;
        messages.push(message);
        framing.begin(head.framing, head.contentLength);
        current = message;
        if (head.framing === NO_BODY) {
          message.whole = true;
          over = isLast?.(message) === true;
          current = undefined;
        }
        continue;
      }
      const taken = framing.next(piece, pos, piece.length);
      if (taken < 0) return { messages, end: 'broken', refusal: framing.refusal, reusable: false };
      current.body += piece.toString('latin1', pos, pos + taken);
      current.payload += piece.toString('latin1', framing.dataStart, framing.dataEnd);
      pos += taken;
      if (framing.done) {
        current.whole = true;
        over = isLast?.(current) === true;
        current = undefined;
      }
    }
    left += piece.length - pos;
  }
  if (current !== undefined) {
    current.whole = framing.wholeAtClose;
    return { messages, end: current.whole ? 'idle' : 'incomplete', refusal: undefined, reusable: false };
  }
  const idle = partial === undefined && (over || isLast === undefined);
  const reusable = over && left === 0 && head.keepAlive;
  return { messages, end: idle ? 'idle' : 'incomplete', refusal: undefined, reusable };
}
