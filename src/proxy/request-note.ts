/**
 * What is noted of a request on its way, for the access log: when it was placed and answered, and what went wrong first.
 * Each transport adds what it knows of the request itself.
 */
import type { Lease } from './lease.ts';
import type { ConnectionLog, RequestFacts } from './request-log.ts';
import { Span } from './span.ts';

/** The client went away before its answer began. */
const GONE = 499;

/** What is read of a head once the request is over, and logged at once: the same objects for all. */
const TARGET = new Span();
const USER_AGENT = new Span();
const REQUEST_ID = new Span();

export abstract class RequestNote implements RequestFacts {
  status = GONE;
  error: string | undefined = undefined;
  standIn: string | undefined = undefined;
  receivedBytes = 0;
  sentBytes = 0;
  startedMs = 0;
  placedMs = Number.NaN;
  firstByteMs = Number.NaN;
  endedMs = 0;
  lease: Lease | undefined = undefined;
  readonly target = TARGET;
  readonly userAgent = USER_AGENT;
  readonly requestId = REQUEST_ID;
  readonly #log: ConnectionLog;

  constructor(log: ConnectionLog) {
    this.#log = log;
  }

  abstract get client(): string;
  abstract get scheme(): 'http' | 'https';
  abstract get protocol(): string;
  abstract get method(): string;
  abstract get host(): string;
  /** Sets what is read only now: bytes, and each of the three spans. */
  protected abstract complete(): void;

  /** Its head has been read. */
  begin(startedMs: number): void {
    this.#reset(startedMs);
  }

  placed(lease: Lease, nowMs: number): void {
    this.lease = lease;
    if (Number.isNaN(this.placedMs)) this.placedMs = nowMs;
  }

  answers(status: number, nowMs: number): void {
    this.status = status;
    this.firstByteMs = nowMs;
  }

  /**
   * What went wrong: before the answer, which then says so with this status, or in the middle of it. What follows from it is
   * not the cause, so only the first counts.
   */
  failed(code: string, status: number, nowMs: number): void {
    if (this.error !== undefined) return;
    this.error = code;
    if (Number.isNaN(this.firstByteMs) && status !== GONE) this.answers(status, nowMs);
  }

  /** It was answered in the place of an app that sleeps. */
  standsIn(kind: string, status: number, nowMs: number): void {
    this.standIn = kind;
    this.answers(status, nowMs);
  }

  over(nowMs: number): void {
    this.endedMs = nowMs;
    this.complete();
    this.#log.over(this);
    this.lease = undefined;
  }

  /** It was no request: all there is to tell is what that was answered. */
  refused(code: string, status: number, nowMs: number): void {
    this.#reset(nowMs);
    this.failed(code, status, nowMs);
    this.over(nowMs);
  }

  #reset(startedMs: number): void {
    this.startedMs = startedMs;
    this.placedMs = Number.NaN;
    this.firstByteMs = Number.NaN;
    this.status = GONE;
    this.error = undefined;
    this.standIn = undefined;
    this.lease = undefined;
  }
}
