/**
 * One try at getting an answer from one container. It connects before it reads the client's body, then relays that body
 * with backpressure; what comes of it is told to `events`, and nothing more after `destroy`.
 */
import type { Socket } from 'node:net';
import { PlatformError } from '../errors.ts';
import { trailerFields } from './forward-headers.ts';
import type { BufferSweep } from './buffer-sweep.ts';
import type { RequestBody } from './client-side.ts';
import type { RequestHead } from './request-head.ts';
import type { StallWatch } from './stall-watch.ts';
import type { OutgoingRequest, UpstreamAnswer } from './upstream-side.ts';

export interface AttemptEvents {
  /** No connection came about: nothing was sent, and the body is untouched. */
  connectFailed(error: Error): void;
  /** It broke before an answer began. `stale`: on a kept connection, and nothing of a body was sent. */
  broken(error: Error, stale: boolean): void;
  /** A 1xx answer, 100 and 103 for instance. */
  interim(status: number, rawHeaders: readonly string[]): void;
  answer(answer: UpstreamAnswer): void;
  upgraded(answer: UpstreamAnswer, socket: Socket, early: Buffer): void;
  /** The client sends its body, and has stopped. */
  clientStalled(): void;
  /** The request has been sent, or the container takes no more of it, and no answer begins. */
  upstreamStalled(): void;
  /** The connection is given back or closed. */
  closed(): void;
}

export interface AttemptOptions {
  readonly up: OutgoingRequest;
  readonly req: RequestBody;
  readonly head: RequestHead;
  readonly watch: StallWatch;
  readonly sweep: BufferSweep;
  readonly connectTimeoutMs: number;
  /** From the request's last byte to its answer's head. */
  readonly requestTimeoutMs: number;
  readonly clientStallMs: number;
  readonly events: AttemptEvents;
}

export class Attempt {
  readonly #options: AttemptOptions;
  readonly #up: OutgoingRequest;
  readonly #req: RequestBody;
  #connected = false;
  #bodyTouched = false;
  #answer: UpstreamAnswer | undefined;
  #over = false;
  #broken = false;

  constructor(options: AttemptOptions) {
    this.#options = options;
    this.#up = options.up;
    this.#req = options.req;
    const { up, watch, events, connectTimeoutMs, head } = options;
    watch.watch(connectTimeoutMs, () => {
      up.destroy(new PlatformError('upstream_timeout', `no connection within ${connectTimeoutMs} ms`));
    });
    up.once('socket', (socket) => {
      if (socket.connecting) socket.once('connect', this.#onConnect);
      else this.#onConnect();
    });
    up.on('error', (error) => this.#onError(error));
    up.on('information', (info) => {
      if (!this.#over && info.statusCode !== 101) events.interim(info.statusCode, info.rawHeaders);
    });
    up.once('response', (answer) => {
      this.#answer = answer;
      watch.rest();
      if (this.#over) answer.destroy();
      else events.answer(answer);
    });
    up.once('upgrade', (answer, socket, early) => {
      watch.close();
      if (this.#over) {
        socket.destroy();
        return;
      }
      this.#over = true; // from here on the socket speaks for itself
      events.upgraded(answer, socket, early);
    });
    up.once('close', () => {
      this.#stopReading();
      if (this.#over) return;
      if (this.#answer === undefined) this.#onError(new Error('the connection closed without an answer'));
      else events.closed();
    });
    if (head.body === 'none') up.end();
    else up.flushHeaders();
  }

  /** Everything of the request has been sent. */
  get sent(): boolean {
    return this.#up.writableFinished;
  }

  /** Its connection failed while the answer was still to come. */
  get broken(): boolean {
    return this.#broken;
  }

  /** Nothing more is told. Closes the connection unless its request is over. */
  destroy(): void {
    this.#over = true;
    this.#stopReading();
    this.#up.destroy();
  }

  #onError(error: Error): void {
    if (this.#over) return;
    if (this.#answer !== undefined) {
      // It tells for itself how it ends; but where its connection's end is its own, Node takes any end for a good one.
      this.#broken ||= !this.#answer.complete;
      return;
    }
    this.#over = true;
    this.#stopReading();
    if (this.#connected) this.#options.events.broken(error, this.#up.reusedSocket && !this.#bodyTouched);
    else this.#options.events.connectFailed(error);
  }

  readonly #onConnect = (): void => {
    if (this.#over) return;
    this.#connected = true;
    if (this.#options.head.body === 'none') {
      this.#awaitAnswer();
      return;
    }
    this.#awaitClient();
    this.#req.on('data', this.#onData);
    this.#req.once('end', this.#onEnd);
    this.#up.on('drain', this.#onDrain);
  };

  readonly #onData = (chunk: Buffer): void => {
    this.#bodyTouched = true;
    this.#options.watch.progress();
    this.#options.sweep.relayed(chunk.length);
    if (this.#up.write(chunk)) return;
    this.#req.pause();
    this.#awaitAnswer(); // now it is the container that does not take it
  };

  readonly #onDrain = (): void => {
    this.#req.resume();
    this.#awaitClient();
  };

  readonly #onEnd = (): void => {
    const trailers = trailerFields(this.#req.rawTrailers);
    if (trailers.length > 0) this.#up.addTrailers(trailers);
    this.#up.end();
    this.#awaitAnswer();
  };

  #stopReading(): void {
    this.#req.off('data', this.#onData);
    this.#req.off('end', this.#onEnd);
    this.#up.off('drain', this.#onDrain);
  }

  #awaitAnswer(): void {
    const { watch, requestTimeoutMs, events } = this.#options;
    if (this.#answer === undefined) watch.watch(requestTimeoutMs, () => events.upstreamStalled());
  }

  /** Once an answer has begun, a client may be silent between parts of its body: the two talk. */
  #awaitClient(): void {
    const { watch, clientStallMs, events } = this.#options;
    if (this.#answer === undefined) watch.watch(clientStallMs, () => events.clientStalled());
  }
}
