/**
 * What the platform answers in the place of an app that sleeps, because the app's wake policy says so. It is no failure, but
 * it ends a request's wait as one does, and so it comes the same way: as what a promise is rejected with.
 */
import { STATUS_CODES } from 'node:http';
import { PlatformError } from '../errors.ts';
import { errorAnswer } from './error-answer.ts';
import type { OwnAnswer } from './error-answer.ts';

/** The reply to a request that does not wake the app, or a page that waits for it. */
export type StandInKind = 'asleep' | 'waiting_page';

export interface StandInOptions {
  readonly status: number;
  readonly contentType: string;
  readonly body: string;
  /** Further names and values, in turn. */
  readonly headers: readonly string[];
}

export class StandIn extends Error {
  readonly code: StandInKind;
  readonly answer: OwnAnswer;

  constructor(code: StandInKind, { status, contentType, body, headers }: StandInOptions) {
    super(`the app is answered for: ${code}`);
    this.name = 'StandIn';
    this.code = code;
    // RFC 9110 §15.3.5, §15.4.5: these two have no content.
    const isEmpty = status === 204 || status === 304;
    const bytes = Buffer.from(isEmpty ? '' : body);
    const framing = isEmpty ? [] : ['Content-Type', contentType, 'Content-Length', String(bytes.length)];
    this.answer = {
      status,
      reason: STATUS_CODES[status] ?? '',
      headers: [...framing, 'Cache-Control', 'no-store', ...headers],
      body: bytes,
    };
  }

  get status(): number {
    return this.answer.status;
  }
}

/** What ended a request's wait for a container other than by a container. */
export function reasonOf(thrown: unknown): PlatformError | StandIn {
  return thrown instanceof StandIn ? thrown : PlatformError.from(thrown);
}

/** What the client is answered then. `accept` is the request's `Accept` field. */
export function ownAnswer(why: PlatformError | StandIn, accept: string | undefined): OwnAnswer {
  return why instanceof StandIn ? why.answer : errorAnswer(why, accept);
}
