/**
 * One request and its answer on their way through, and then the next of the same connection: it asks for a lease, sends the
 * request, decides what a failure means (another container, another connection, an error answer, a broken client
 * connection), passes the answer on, and gives the lease back.
 */
import { PlatformError } from '../../errors.ts';
import { countError, countStandIn, countStatus } from '../counters.ts';
import { connectFailure, isLocalFailure, upstreamFailure } from '../failures.ts';
import type { Guest } from '../guests.ts';
import { BY_LENGTH, NO_BODY } from '../http1/framing.ts';
import { HEAD, isIdempotent } from '../http1/methods.ts';
import type { Refusal } from '../http1/refusals.ts';
import type { ResponseHead } from '../http1/response-head.ts';
import { maxRequestBytes, writeRequest } from '../http1/write-request.ts';
import { Lease } from '../lease.ts';
import type { AcquireRequest, Question } from '../lease.ts';
import { reasonOf, StandIn } from '../stand-in.ts';
import { AnswerWriter } from './answer-writer.ts';
import { BodyProgress } from './body-progress.ts';
import type { Client } from './client.ts';
import type { FastContext } from './context.ts';
import { FastQuestion } from './question.ts';
import { COPY_BYTES } from './scratch.ts';
import type { Asker, UpstreamConnection } from './upstream-connection.ts';

/** Nothing is under way. */
const NONE = 0;
/** Waiting for a lease. */
const HELD = 1;
const CONNECTING = 2;
/** The request is being sent or answered. */
const SENT = 3;

/** What is kept of a body that waits: by the client, and by its socket's stream. */
const HELD_BODY_BYTES = 128 * 1024;

/**
 * An app that has just closed a kept connection may be ending, and the kernel takes connections for it until its listening
 * socket is closed too. After this time a connection is one to an app that lives; before it, nothing has been sent on it.
 */
const RETRY_PAUSE_MS = 10;

export class Exchange implements AcquireRequest, Asker {
  /** How much of the request's body has been passed on or dropped. */
  readonly body = new BodyProgress();
  startedMs = 0;
  readonly #context: FastContext;
  readonly #client: Client;
  readonly #answer: AnswerWriter;
  #state = NONE;
  #lease: Lease | undefined;
  #up: UpstreamConnection | undefined;
  #staleRetried = false;
  #bodyTouched = false;
  #answering = false;
  /** The client's connection ends with this answer. */
  #last = false;
  #controller: AbortController | undefined;

  constructor(context: FastContext, client: Client) {
    this.#context = context;
    this.#client = client;
    this.#answer = new AnswerWriter(context, client.socket);
  }

  // ---- what the dispatcher asks

  get bodyBytes(): number {
    const { framing, contentLength } = this.#client.head;
    if (framing === NO_BODY) return 0;
    return framing === BY_LENGTH ? Math.min(contentLength, HELD_BODY_BYTES) : HELD_BODY_BYTES;
  }

  /** Made only for requests that have to wait. */
  get signal(): AbortSignal {
    this.#controller ??= new AbortController();
    return this.#controller.signal;
  }

  get question(): Question {
    return new FastQuestion(this.#client);
  }

  get guest(): Guest | undefined {
    return this.#client.peer.guest;
  }

  // ---- what the client's connection asks

  /** What arrives now is of the body, and is passed on. */
  get takesBody(): boolean {
    return this.#state === SENT && !this.body.done;
  }

  /** It takes more of the answer again. */
  clientTakes(): void {
    this.unread();
    this.#up?.resume();
  }

  clientGone(): void {
    const controller = this.#controller;
    if (!this.#answering) this.#context.counters.clientAborts++;
    this.#failed('client_closed_request', 499);
    this.#up?.destroy();
    this.#end();
    controller?.abort(new PlatformError('client_closed_request', 'the client went away'));
  }

  // ---- the way there

  /** The client has read a head. */
  begin(): void {
    const context = this.#context;
    const { head } = this.#client;
    context.counters.requests++;
    context.begun();
    this.startedMs = context.clock.monotonicMs();
    this.#staleRetried = false;
    this.#bodyTouched = false;
    this.#answering = false;
    this.#last = !head.keepAlive || context.closing;
    this.body.begin(head.framing, head.contentLength);
    this.#client.note?.begin(this.startedMs);
    const placed = context.dispatcher.acquire(head.name, this);
    if (placed instanceof Lease) this.#send(placed);
    else this.#hold(placed);
  }

  #hold(placed: Promise<Lease>): void {
    this.#state = HELD;
    this.#client.withoutDeadline();
    placed.then(
      (lease) => {
        if (this.#state === HELD) this.#send(lease);
        else lease.release();
      },
      (error: unknown) => {
        if (this.#state === HELD) this.#refuse(reasonOf(error));
      },
    );
  }

  #send(lease: Lease): void {
    if (lease.endpoint.protocol === 'h2c') {
      this.#passOn(lease);
      return;
    }
    const { upstreams, limits, clock } = this.#context;
    this.#lease = lease;
    this.#client.note?.placed(lease, lease.wait === undefined ? this.startedMs : clock.monotonicMs());
    lease.onAbort = this.#onAbort;
    const kept = this.#staleRetried ? undefined : upstreams.take(lease.endpoint);
    if (kept !== undefined) {
      this.#up = kept;
      this.#transmit(kept);
      return;
    }
    this.#state = CONNECTING;
    this.#up = upstreams.open(lease.endpoint, this, this.#staleRetried);
    this.#client.waitFor(limits.connectTimeoutMs);
  }

  /** The app speaks HTTP/2 alone; whoever can do that begins with this request anew. */
  #passOn(lease: Lease): void {
    const { counters } = this.#context;
    counters.requests--;
    this.#state = NONE;
    this.#controller = undefined;
    lease.release();
    this.#client.passOn();
    this.#context.ended();
  }

  connected(): void {
    const { clock } = this.#context;
    const up = this.#up;
    if (up === undefined) return;
    const transmit = () => {
      if (this.#state === CONNECTING && this.#up === up) this.#transmit(up);
    };
    if (this.#staleRetried) clock.after(RETRY_PAUSE_MS, transmit);
    else transmit();
  }

  /** The head, and what is there of the body, in one write. */
  #transmit(up: UpstreamConnection): void {
    const { scratch } = this.#context;
    const { head, source, start, origin, rest } = this.#client;
    const { buffer, from } = rest;
    let to = from;
    if (!this.body.done && rest.length > 0) {
      to = this.body.take(buffer, from, rest.to);
      if (to < 0) {
        this.#refuseBody();
        return;
      }
      this.#bodyTouched = true;
      rest.advance(to);
    }
    this.#state = SENT;
    up.expect(this, head.method);
    const copied = to - from <= COPY_BYTES ? to - from : 0;
    const out = scratch.reserve(maxRequestBytes(head, origin) + copied);
    let end = writeRequest(head, source, start, out, 0, origin);
    if (copied > 0) end += buffer.copy(out, end, from, to);
    scratch.send(up.socket, end);
    if (to - from > copied) this.#lendOn(up, buffer, from, to);
    this.#awaitNext(up);
  }

  /** More of the body. */
  relay(buffer: Buffer, from: number, to: number): void {
    const up = this.#up;
    const end = this.body.take(buffer, from, to);
    if (end < 0 || up === undefined) {
      this.#refuseBody();
      return;
    }
    this.#bodyTouched = true;
    if (end - from <= COPY_BYTES) this.#context.scratch.copy(up.socket, buffer, from, end);
    else this.#lendOn(up, buffer, from, end);
    if (end < to) this.#client.putBy(buffer, end, to);
    this.#awaitNext(up);
  }

  /** Writes what was read without a copy; what the kernel does not take at once is not read over. */
  #lendOn({ socket }: UpstreamConnection, buffer: Buffer, from: number, to: number): void {
    socket.write(buffer.subarray(from, to));
    if (socket.writableLength > 0) this.#client.lend();
  }

  drained(): void {
    if (this.#state === SENT && this.#up !== undefined) this.#awaitNext(this.#up);
  }

  /** Who has to do something next, and how long that may take. */
  #awaitNext(up: UpstreamConnection): void {
    const { limits } = this.#context;
    const client = this.#client;
    const full = up.socket.writableLength >= up.socket.writableHighWaterMark;
    if (full && !this.body.done) client.pause();
    else if (client.isPaused && !client.keepsEnough) client.resume();
    this.unread();
    // Once an answer has begun, a client may be silent between parts of its body: the two talk.
    if (this.#answering || this.#lease === undefined) return;
    const forApp = this.body.done || full;
    this.#client.waitFor(forApp ? this.#lease.route.requestTimeoutMs : limits.clientStallMs);
  }

  /**
   * Of a client that is not read nobody hears that it has gone. Where an answer has begun, which may last for ever, and the client
   * takes what there is of it, something has to move within the time the app has.
   */
  unread(): void {
    if (!this.#answering || this.#lease === undefined || this.blocked) return;
    if (this.#client.isPaused) this.#client.waitFor(this.#lease.route.requestTimeoutMs);
    else this.#client.withoutDeadline();
  }

  // ---- what goes wrong on it

  connectFailed(error: Error): void {
    const lease = this.#lease;
    this.#up = undefined;
    if (lease === undefined) return;
    if (isLocalFailure(error)) {
      this.#refuse(upstreamFailure(error, lease.endpoint.containerId));
      return;
    }
    this.#lease = undefined;
    this.#hold(lease.fail(connectFailure(error)));
  }

  broken(why: Error | Refusal | undefined): void {
    const up = this.#up;
    const lease = this.#lease;
    this.#up = undefined;
    if (lease === undefined || up === undefined) return;
    if (this.#answering) {
      // An answer is either whole or visibly broken, never silently short.
      this.#context.counters.truncated++;
      this.#failed('upstream_broken', 502);
      lease.suspect();
      this.#client.abort();
      return;
    }
    const { head } = this.#client;
    // RFC 9112 §9.3.1: a kept connection that closes as it is taken. The container has not seen the request, or may see it
    // twice (RFC 9110 §9.2.2). The second time it is not a kept one.
    const stale = up.reused && !up.heard && !this.#bodyTouched;
    if (stale && head.framing === NO_BODY && isIdempotent(head.method)) {
      this.#staleRetried = true;
      this.#context.counters.staleRetries++;
      this.#send(lease);
      return;
    }
    if (!stale) lease.suspect();
    const { containerId } = lease.endpoint;
    if (why instanceof Error) this.#refuse(upstreamFailure(why, containerId));
    else {
      const what = why === undefined ? 'broke the connection' : 'sent something that is not HTTP';
      this.#refuse(new PlatformError('upstream_broken', `${containerId} ${what}`));
    }
  }

  readonly #onAbort = (): void => {
    const containerId = this.#lease?.endpoint.containerId ?? 'the container';
    this.#refuse(new PlatformError('upstream_broken', `${containerId} had to stop`));
  };

  /** Whoever was waited for last has not done anything. */
  expired(): void {
    const lease = this.#lease;
    if (this.#state === CONNECTING) {
      const { connectTimeoutMs } = this.#context.limits;
      this.#up?.fail(new PlatformError('upstream_timeout', `no connection within ${connectTimeoutMs} ms`));
    } else if (lease === undefined || this.#answering) this.#client.abort();
    else if (!this.body.done && !this.#client.isPaused)
      this.#refuse(new PlatformError('request_timeout', 'the body of the request stopped arriving'));
    else {
      const { appName, requestTimeoutMs } = lease.route;
      this.#refuse(
        new PlatformError('upstream_timeout', `${appName} did not answer within ${requestTimeoutMs} ms`),
      );
    }
  }

  // ---- the way back

  get sent(): boolean {
    return this.body.done;
  }

  get blocked(): boolean {
    return this.#client.blocked;
  }

  interim(head: ResponseHead, source: Buffer, start: number): void {
    if (head.status !== 100) this.#answer.interim(head, source, start); // a 100 nobody has asked for
  }

  answer(head: ResponseHead, source: Buffer, start: number, body: Buffer, from: number, to: number): void {
    const context = this.#context;
    const lease = this.#lease;
    if (lease === undefined) return;
    lease.answered();
    this.#answering = true;
    this.#client.withoutDeadline();
    if (context.closing) this.#last = true;
    countStatus(context.counters, head.status);
    this.#client.note?.answers(head.status, context.clock.monotonicMs());
    this.#answer.begin(head, source, start, { lease, last: this.#last, body, from, to });
    this.#afterWrite();
  }

  answerPart(body: Buffer, from: number, to: number): void {
    this.#answer.part(body, from, to);
    this.#afterWrite();
  }

  #afterWrite(): void {
    if (this.#client.isPaused) this.unread();
    if (this.#client.socket.writableLength === 0) return;
    this.#up?.lend();
    if (this.blocked) this.#client.waitFor(this.#context.limits.clientStallMs);
  }

  answerEnd(): void {
    this.#answer.end();
    this.#end();
    if (this.#last) {
      if (this.body.done) this.#client.close();
      else this.#client.linger();
    } else if (this.body.done) this.#client.next();
    else this.#client.drain();
  }

  // ---- how it ends

  #refuseBody(): void {
    this.#refuse(new PlatformError('ambiguous_http', 'the body of the request is not well-formed HTTP/1.1'));
  }

  /** Answers by itself; where the answer has begun already, all that can be done is to break it. */
  #refuse(error: PlatformError | StandIn): void {
    const { counters, closing, clock } = this.#context;
    const client = this.#client;
    this.#up?.destroy();
    this.#up = undefined;
    if (error instanceof StandIn) {
      client.note?.standsIn(error.code, error.status, clock.monotonicMs());
      countStandIn(counters, error);
    } else {
      this.#context.failureLog.add(error, this.#lease?.endpoint.containerId);
      this.#failed(error.code, error.status);
      if (this.#answering) {
        client.abort();
        return;
      }
      countError(counters, error);
    }
    const received = this.#receivedAll();
    if (!received || error.status === 400 || closing) this.#last = true;
    const accept = this.question.field('accept');
    client.writeError({ error, accept, head: client.head.method === HEAD, close: this.#last });
    this.#end();
    if (!received) client.linger();
    else if (this.#last) client.close();
    else client.next();
  }

  /** Of a request that was not sent, what is there of its body is dropped; it may be all. */
  #receivedAll(): boolean {
    const { rest } = this.#client;
    if (this.body.done) return true;
    const to = this.body.take(rest.buffer, rest.from, rest.to);
    if (to >= 0) rest.advance(to);
    return this.body.done;
  }

  /** For the access log, which keeps what it is told first. */
  #failed(code: string, status: number): void {
    this.#client.note?.failed(code, status, this.#context.clock.monotonicMs());
  }

  /** The slot is free, and the request no longer open. */
  #end(): void {
    const { clock, latency } = this.#context;
    const lease = this.#lease;
    const nowMs = clock.monotonicMs();
    latency.record(nowMs - this.startedMs);
    this.#client.note?.over(nowMs);
    this.#state = NONE;
    this.#up = undefined;
    this.#controller = undefined;
    this.#lease = undefined;
    if (lease !== undefined) {
      lease.onAbort = undefined;
      lease.release(nowMs);
    }
    this.#context.ended();
  }
}
