/**
 * One request and its answer on their way through: it asks for a lease, tries the container, decides what a failure means
 * (another container, another connection, an error answer, a broken client connection), and gives the lease back. Whatever
 * breaks on one side ends the other at once: a client that goes frees its container.
 */
import type { Socket } from 'node:net';
import { PlatformError } from '../errors.ts';
import { Attempt } from './attempt.ts';
import type { ArrivedRequest, ClientWay, OpenExchange, OutgoingAnswer } from './client-side.ts';
import type { ExchangeContext, ExchangeOptions, UpgradeOffer } from './exchange-context.ts';
import { waitHeaders } from './cold-headers.ts';
import { countError, countStandIn, countStatus } from './counters.ts';
import { connectFailure, isLocalFailure, upstreamFailure } from './failures.ts';
import { hasToken, requestHeaders, responseHeaders } from './forward-headers.ts';
import type { Guest } from './guests.ts';
import { HttpNote } from './http-note.ts';
import type { AcquireRequest, Lease, Question } from './lease.ts';
import { STREAM_WINDOW_BYTES } from './limits.ts';
import { relayAnswer } from './relay-answer.ts';
import type { RequestHead } from './request-head.ts';
import { sendError } from './send-error.ts';
import { StallWatch } from './stall-watch.ts';
import { reasonOf, StandIn } from './stand-in.ts';
import { joinSockets, switchingProtocols } from './tunnel.ts';
import type { UpstreamAnswer } from './upstream-side.ts';

/** What Node buffers of a body that nobody reads yet: its stream's high-water mark and one read beyond. */
const HELD_BODY_BYTES = 128 * 1024;
/** RFC 9110 §9.2.2; only without a body are they sent twice. */
const IDEMPOTENT = new Set(['GET', 'HEAD', 'OPTIONS', 'TRACE', 'PUT', 'DELETE']);
/** Answers before the answer; an app that sends more is taken to have none. */
const MAX_INTERIM = 1_000;

export class Exchange implements AcquireRequest, OpenExchange {
  readonly #context: ExchangeContext;
  readonly #way: ClientWay;
  readonly #req: ArrivedRequest;
  readonly #res: OutgoingAnswer;
  readonly #readHead: () => RequestHead;
  readonly #upgrade: UpgradeOffer | undefined;
  readonly #onEnd: () => void;
  readonly #watch: StallWatch;
  /** Only while there is an access log. */
  readonly #note: HttpNote | undefined;
  #head: RequestHead | undefined;
  #lease: Lease | undefined;
  #attempt: Attempt | undefined;
  #staleRetried = false;
  #interimAnswers = 0;
  #answering = false;
  #tunnelled = false;
  #ended = false;
  #controller: AbortController | undefined;

  constructor({ context, way, req, res, readHead, upgrade, onEnd }: ExchangeOptions) {
    this.#context = context;
    this.#way = way;
    this.#req = req;
    this.#res = res;
    this.#readHead = readHead;
    this.#upgrade = upgrade;
    this.#onEnd = onEnd;
    this.#watch = new StallWatch(context.clock);
    this.#note = context.requestLog && new HttpNote(context.requestLog, way, req);
  }

  // ---- what the dispatcher and the connection ask

  get bodyBytes(): number {
    if (this.#head === undefined || this.#head.body === 'none') return 0;
    const mostBytes = this.#req.httpVersion === '2.0' ? STREAM_WINDOW_BYTES : HELD_BODY_BYTES;
    return this.#head.body === 'chunked' ? mostBytes : Math.min(this.#head.contentLength, mostBytes);
  }

  /** Made only for requests that have to wait. */
  get signal(): AbortSignal {
    this.#controller ??= new AbortController();
    return this.#controller.signal;
  }

  get question(): Question {
    const { headers } = this.#req;
    return {
      method: this.#method,
      target: this.#head?.target ?? '',
      field: (name) => headers[name]?.toString(),
    };
  }

  get guest(): Guest | undefined {
    return this.#way.peer.guest;
  }

  get received(): boolean {
    return this.#req.complete;
  }

  get answering(): boolean {
    return this.#answering;
  }

  clientGone(): void {
    if (this.#ended || this.#tunnelled) return;
    if (!this.#answering) this.#context.counters.clientAborts++;
    this.#failed('client_closed_request', 499);
    this.#controller?.abort(new PlatformError('client_closed_request', 'the client went away'));
    this.#end();
  }

  abort(): void {
    if (this.#tunnelled) this.#lease?.onAbort?.();
    else this.clientGone();
  }

  // ---- the way there

  start(): void {
    const { counters, dispatcher, clock } = this.#context;
    const req = this.#req;
    counters.requests++;
    this.#note?.begin(clock.monotonicMs());
    this.#way.add(this);
    req.on('error', ignore);
    this.#res.on('error', ignore);
    this.#res.once('close', () => (this.#res.writableFinished ? this.#end() : this.clientGone()));
    try {
      this.#head = this.#readHead();
    } catch (error) {
      this.#refuse(PlatformError.from(error));
      return;
    }
    if (this.#note !== undefined) this.#note.host = this.#head.host;
    const placed = dispatcher.acquire(this.#head.host, this);
    if (placed instanceof Promise) this.#await(placed);
    else this.#send(placed, this.#head);
  }

  get #method(): string {
    return this.#req.method ?? 'GET';
  }

  #await(placed: Promise<Lease>): void {
    placed.then(
      (lease) => {
        if (this.#ended || this.#head === undefined) lease.release();
        else this.#send(lease, this.#head);
      },
      (error: unknown) => this.#refuse(reasonOf(error)),
    );
  }

  #send(lease: Lease, head: RequestHead): void {
    const { pool, limits, sweep, clock } = this.#context;
    this.#lease = lease;
    this.#note?.placed(lease, clock.monotonicMs());
    lease.onAbort = () =>
      this.#refuse(new PlatformError('upstream_broken', `${lease.endpoint.containerId} had to stop`));
    // An app of HTTP/2 is asked without: it knows no upgrade.
    const upgrades = this.#upgrade !== undefined && lease.endpoint.protocol !== 'h2c';
    let up;
    try {
      up = pool.request(lease.endpoint, {
        method: this.#method,
        path: head.target,
        headers: requestHeaders({
          method: this.#method,
          version: this.#req.httpVersion,
          head,
          rawHeaders: this.#req.rawHeaders,
          peer: this.#way.peer,
          upgrade: upgrades ? 'websocket' : undefined,
        }),
        hasBody: head.body !== 'none',
        fresh: this.#staleRetried || upgrades,
      });
    } catch (error) {
      this.#refuse(new PlatformError('bad_request', 'the request cannot be passed on', { cause: error }));
      return;
    }
    this.#attempt = new Attempt({
      up,
      req: this.#req,
      head,
      watch: this.#watch,
      sweep,
      connectTimeoutMs: limits.connectTimeoutMs,
      requestTimeoutMs: lease.route.requestTimeoutMs,
      clientStallMs: limits.clientStallMs,
      events: {
        connectFailed: (error) => this.#connectFailed(lease, error),
        broken: (error, stale) => this.#broken(lease, head, error, stale),
        interim: (status, rawHeaders) => this.#interim(lease, status, rawHeaders),
        answer: (answer) => this.#answer(lease, answer),
        upgraded: (answer, socket, early) => this.#upgraded(lease, answer, socket, early),
        clientStalled: () =>
          this.#refuse(new PlatformError('request_timeout', 'the body of the request stopped arriving')),
        upstreamStalled: () =>
          this.#refuse(
            new PlatformError(
              'upstream_timeout',
              `${lease.route.appName} did not answer within ${lease.route.requestTimeoutMs} ms`,
            ),
          ),
        closed: () => lease.release(),
      },
    });
  }

  #connectFailed(lease: Lease, error: Error): void {
    this.#attempt = undefined;
    if (isLocalFailure(error)) this.#refuse(upstreamFailure(error, lease.endpoint.containerId));
    else this.#await(lease.fail(connectFailure(error)));
  }

  #broken(lease: Lease, head: RequestHead, error: Error, stale: boolean): void {
    this.#attempt = undefined;
    if (stale && !this.#staleRetried && head.body === 'none' && IDEMPOTENT.has(this.#method)) {
      // The container had closed the kept connection as we took it: it has not seen the request (RFC 9112 §9.3.1).
      this.#staleRetried = true;
      this.#context.counters.staleRetries++;
      this.#send(lease, head);
      return;
    }
    if (!stale) lease.suspect();
    this.#refuse(upstreamFailure(error, lease.endpoint.containerId));
  }

  // ---- the way back

  #interim(lease: Lease, status: number, rawHeaders: readonly string[]): void {
    if (++this.#interimAnswers > MAX_INTERIM) {
      const { containerId } = lease.endpoint;
      this.#refuse(
        new PlatformError('upstream_broken', `${containerId} sent more than ${MAX_INTERIM} interim answers`),
      );
      return;
    }
    const res = this.#res;
    if (this.#answering || this.#req.httpVersion === '1.0') return;
    // Where it cannot be written, or would end up behind the head of the answer, the client does without: it is only a hint.
    if (res.socket === null) return;
    // The same while the client does not take what came before: nothing holds the app back, and all of it would wait here.
    if (res.writableLength >= res.writableHighWaterMark) return;
    if (status !== 100 && res.writeInformation !== undefined)
      res.writeInformation(status, responseHeaders({ rawHeaders, trailers: false }));
    else if (this.#req.headers.expect !== undefined) res.writeContinue();
  }

  #answer(lease: Lease, answer: UpstreamAnswer): void {
    const { limits, sweep } = this.#context;
    lease.answered();
    this.#closeIfLast();
    try {
      relayAnswer({
        answer,
        res: this.#res,
        req: this.#req,
        watch: this.#watch,
        sweep,
        extra: this.#waitHeaders(lease),
        isBroken: () => this.#attempt?.broken === true,
        onWhole: () => {
          // An app that has answered before it has read everything will not be read to by us.
          if (this.#attempt?.sent === true) return;
          this.#dropUpstream();
          this.#dropBody();
        },
        onTruncated: () => this.#truncated(answer),
        onWaiting: () => this.#awaitClient(limits.clientStallMs),
      });
    } catch (error) {
      this.#refuse(
        new PlatformError('upstream_broken', 'the head of the answer is not valid', { cause: error }),
      );
      return;
    }
    this.#answering = true;
    this.#answers(answer.statusCode ?? 0);
  }

  /** Nobody wants the rest of the request; it has its time, in all, as the connection may be used again behind it. */
  #dropBody(): void {
    const { clock, limits } = this.#context;
    const req = this.#req;
    if (!req.complete) {
      const cancel = clock.after(limits.clientStallMs, () => this.#way.cut());
      req.once('end', cancel);
      req.once('close', cancel);
    }
    req.resume();
  }

  /** Until it has taken what is written, or all of an answer that is over. */
  #awaitClient(limitMs: number): void {
    if (this.#ended) return;
    // Behind others on its connection nothing of it is sent yet: they may take as long as they do.
    const inTurn = this.#res.socket !== null;
    this.#watch.watch(limitMs, () => (inTurn ? this.#way.cut() : this.#awaitClient(limitMs)));
  }

  #answers(status: number): void {
    const { counters, clock } = this.#context;
    countStatus(counters, status);
    this.#note?.answers(status, clock.monotonicMs());
  }

  #waitHeaders(lease: Lease): string[] {
    return waitHeaders(lease, this.#context.clock.monotonicMs());
  }

  #truncated(answer: UpstreamAnswer): void {
    if (this.#ended) return;
    this.#context.counters.truncated++;
    this.#failed('upstream_broken', 502);
    this.#lease?.suspect();
    const framed = answer.headers['content-length'] !== undefined || this.#res.chunkedEncoding;
    this.#dropUpstream();
    // Where only the connection's end says that the answer is over, it must not end well.
    if (framed) this.#way.cut();
    else this.#way.reset();
  }

  #upgraded(lease: Lease, answer: UpstreamAnswer, upstream: Socket, early: Buffer): void {
    const { limits, sweep } = this.#context;
    if (this.#upgrade === undefined || !hasToken(answer.headers.upgrade ?? '', 'websocket')) {
      upstream.destroy();
      this.#refuse(new PlatformError('upstream_broken', 'it switched to a protocol nobody asked for'));
      return;
    }
    lease.answered();
    this.#tunnelled = true;
    this.#answers(101);
    const client = this.#upgrade.take();
    client.write(switchingProtocols(answer, this.#waitHeaders(lease)), 'latin1');
    if (early.length > 0) client.write(early);
    if (this.#upgrade.early.length > 0) upstream.write(this.#upgrade.early);
    lease.onAbort = () => {
      client.destroy();
      upstream.destroy();
    };
    joinSockets({ client, upstream, sweep, halfCloseMs: limits.halfCloseMs, onClosed: () => this.#end() });
  }

  // ---- how it ends

  /** Answers by itself; where the answer has begun already, all that can be done is to break it. */
  #refuse(error: PlatformError | StandIn): void {
    if (this.#ended) return;
    const { clock, limits, counters } = this.#context;
    const containerId = this.#lease?.endpoint.containerId;
    this.#dropUpstream();
    if (error.code === 'client_closed_request') return;
    if (error instanceof StandIn) {
      this.#note?.standsIn(error.code, error.status, clock.monotonicMs());
      countStandIn(counters, error);
    } else {
      this.#context.failureLog.add(error, containerId);
      this.#failed(error.code, error.status);
      if (this.#answering) {
        this.#way.cut();
        return;
      }
      countError(counters, error);
    }
    this.#answering = true;
    if (!this.#req.complete || error.status === 400) {
      this.#way.last = true;
      this.#res.shouldKeepAlive = false;
    }
    this.#closeIfLast();
    sendError({ req: this.#req, res: this.#res, error, clock, lingerMs: limits.lingerMs });
    this.#awaitClient(limits.lingerMs + limits.clientStallMs);
  }

  #closeIfLast(): void {
    if (!this.#context.closing()) return;
    this.#way.last = true;
    this.#res.shouldKeepAlive = false;
  }

  /** For the access log, which keeps what it is told first. */
  #failed(code: string, status: number): void {
    this.#note?.failed(code, status, this.#context.clock.monotonicMs());
  }

  #dropUpstream(): void {
    this.#attempt?.destroy();
    this.#attempt = undefined;
    this.#lease?.release();
    this.#lease = undefined;
  }

  #end(): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#watch.close();
    this.#way.remove(this);
    this.#dropUpstream();
    this.#note?.over(this.#context.clock.monotonicMs());
    this.#onEnd();
  }
}

function ignore(): void {
  // A broken stream also closes, and that is where it is dealt with.
}
