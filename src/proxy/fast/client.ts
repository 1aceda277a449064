/**
 * One connection of a client. Its requests are read, forwarded and answered one after the other; what is sent ahead waits, up
 * to a bound. All that one request needs is kept in objects that serve the next one too.
 */
import { EventEmitter } from 'node:events';
import type { Socket } from 'node:net';
import { PlatformError } from '../../errors.ts';
import { countError } from '../counters.ts';
import type { Peer } from '../doors/peer.ts';
import { COMPLETE, INCOMPLETE } from '../http1/head-result.ts';
import type { Origin } from '../http1/origin.ts';
import { PartialHead } from '../http1/partial-head.ts';
import type { RequestHead } from '../http1/request-head.ts';
import type { Placed } from '../roll.ts';
import type { FastContext } from './context.ts';
import { Timed } from './deadlines.ts';
import { errorBytes } from './error-bytes.ts';
import type { ErrorBytesOptions } from './error-bytes.ts';
import { Exchange } from './exchange.ts';
import type { Reading } from './heads.ts';
import { forgetReader, readInto } from './read-into.ts';
import type { Reader } from './read-into.ts';
import { ReadTarget } from './reading.ts';
import { FastNote } from './request-note.ts';
import { Rest } from './rest.ts';
import { greetsInHttp2, HTTP1, HTTP2, vouchesFor } from './vouch.ts';
import type { Elsewhere } from './vouch.ts';

/** Waiting for a request, or in the middle of its head. */
const READING = 0;
/** A request is being forwarded or answered. */
const BUSY = 1;
/** Answered before its body had come: what remains of that is dropped. */
const DRAINING = 2;
/** Answered, but the client has not taken so much of it that the next request has to wait. */
const FLUSHING = 3;
/** The last answer has been written; what the client still sends is dropped, so that it can read that answer. */
const LINGERING = 4;
/** Closed, or handed over. */
const OVER = 5;

/** What waits of a body, or of requests sent ahead, is read up to this, and one read beyond. */
const REST_BYTES = 64 * 1024;
const NOTHING = Buffer.alloc(0);
/** What is allocated for the head of a request that is under way; more where it is longer. */
const KEPT_HEAD_BYTES = 1024;

export class Client extends Timed implements Placed, Reader {
  place = 0;
  readonly socket: Socket;
  readonly peer: Peer;
  readonly origin: Origin;
  readonly head: RequestHead;
  /** Where the head is that was read last. */
  source: Buffer = NOTHING;
  start = 0;
  readonly rest = new Rest();
  /** Only while there is an access log. */
  readonly note: FastNote | undefined;
  readonly #context: FastContext;
  readonly #exchange: Exchange;
  readonly #reading: Reading;
  readonly #reads: ReadTarget;
  /** Where heads are copied to that are needed for longer than what was read stays. */
  #kept = NOTHING;
  #partial: PartialHead | undefined;
  /** Nothing is read. The socket knows that too, but it would be one more place in memory for each request to look at. */
  isPaused = false;
  #state = READING;

  /** `socket` is used by nobody else from here on. */
  constructor(context: FastContext, socket: Socket, peer: Peer) {
    super();
    const { limits } = context;
    this.#context = context;
    this.peer = peer;
    const { requestLog } = context;
    this.#reading = context.heads.take(peer);
    this.head = this.#reading.head;
    this.origin = this.#reading.origin;
    this.note = requestLog && new FastNote(requestLog, this);
    this.socket = socket;
    this.#reads = new ReadTarget(context.memory, socket);
    this.#exchange = new Exchange(context, this);
    this.#listen();
    if (!readInto(socket, context.memory.shared, this)) socket.on('data', this.#onChunk);
    this.waitFor(limits.headersTimeoutMs);
  }

  // ---- what the transport asks

  /** Nothing of a request has arrived. */
  get idle(): boolean {
    return this.#state === READING && (this.#partial === undefined || this.#partial.blank);
  }

  /** What has been written still leaves; nothing else is read. */
  closeSoon(): void {
    this.socket.destroySoon();
  }

  abort(): void {
    this.socket.destroy();
  }

  /** Resolves when nothing of what has been answered waits to leave any more. */
  async taken(): Promise<void> {
    const { socket } = this;
    if (socket.writableLength === 0 && this.#state !== LINGERING) return;
    await new Promise<void>((resolve) => {
      socket.once('close', () => resolve());
      // One that has been ended closes by itself, gently.
      if (!socket.writableEnded) socket.write('', () => resolve());
    });
  }

  // ---- what the exchange asks

  /** Whether it takes no more of an answer at the moment. A socket that says so emits 'drain' later. */
  get blocked(): boolean {
    return this.socket.writableLength >= this.socket.writableHighWaterMark;
  }

  waitFor(ms: number): void {
    this.#context.deadlines.after(this, ms);
  }

  /** Nothing more is read of it, not even that it goes, until `resume`. */
  pause(): void {
    this.isPaused = true;
    this.socket.pause();
  }

  resume(): void {
    this.isPaused = false;
    this.socket.resume();
  }

  /** What comes before its time; the socket is not read beyond a bound. */
  putBy(buffer: Buffer, from: number, to: number): void {
    this.rest.add(buffer, from, to);
    if (!this.keepsEnough) return;
    this.pause();
    if (this.#state === BUSY) this.#exchange.unread();
  }

  /** No more is read beside what waits. */
  get keepsEnough(): boolean {
    return this.rest.length >= REST_BYTES;
  }

  /** The request, of which nothing has been sent, is for an app that this transport does not serve. */
  passOn(): void {
    const { buffer, from, to } = this.rest;
    this.#handOver([this.#headBytes(), buffer.subarray(from, to)], HTTP1);
  }

  /** What was read last is still being written to an app. */
  lend(): void {
    this.#reads.lend();
  }

  writeError(options: ErrorBytesOptions): void {
    const bytes = errorBytes(options);
    this.#context.counters.sentBytes += bytes.length;
    this.socket.write(bytes);
  }

  /** The answer is whole, the request has come: on to the next. */
  next(): void {
    const { limits, closesIdle } = this.#context;
    this.source = NOTHING;
    if (this.blocked) {
      this.#state = FLUSHING;
      this.waitFor(limits.clientStallMs);
      return;
    }
    const { buffer, from, to } = this.rest;
    this.#state = READING;
    this.rest.clear();
    this.waitFor(limits.keepAliveMs);
    if (to - from < REST_BYTES && this.isPaused) this.resume();
    if (from < to) this.#read(buffer, from, to);
    else if (closesIdle) this.close();
  }

  /** The answer is whole, and the last. */
  close(): void {
    if (this.rest.length > 0 || this.isPaused) {
      this.linger(); // it has sent ahead, and may go on
      return;
    }
    this.#state = LINGERING;
    if (this.socket.writableLength === 0) {
      this.socket.destroy();
      return;
    }
    this.waitFor(this.#context.limits.clientStallMs);
    this.socket.destroySoon();
  }

  /** As `close`, while the client still sends: closing at once would reset the connection under the answer. */
  linger(): void {
    this.#state = LINGERING;
    this.rest.clear();
    const { lingerMs, clientStallMs } = this.#context.limits;
    this.waitFor(this.socket.writableLength > 0 ? clientStallMs : lingerMs);
    this.resume();
    this.socket.end();
  }

  /** The answer is whole, but not the request: nobody reads the rest of that, and only then comes the next. */
  drain(): void {
    const { buffer, from, to } = this.rest;
    this.#state = DRAINING;
    this.waitFor(this.#context.limits.clientStallMs); // for all of it
    this.resume();
    this.#dropBody(buffer, from, to);
  }

  // ---- reading

  /** The next bytes are of a body. */
  get #readsBody(): boolean {
    return this.#state === DRAINING || (this.#state === BUSY && this.#exchange.takesBody);
  }

  received(bytes: number): boolean {
    const { buffer } = this.#reads;
    // Handed over: whoever has it now reads it as a stream.
    if (this.#state === OVER) return this.socket.push(Buffer.from(buffer.subarray(0, bytes)));
    this.#reads.filled(bytes);
    this.#take(buffer, bytes);
    this.#detach(buffer);
    this.#reads.next(this.#readsBody);
    return true;
  }

  readonly #onChunk = (chunk: Buffer): void => {
    this.#context.memory.sweep.relayed(chunk.length);
    this.#take(chunk, chunk.length);
  };

  #take(buffer: Buffer, bytes: number): void {
    this.#context.counters.receivedBytes += bytes;
    switch (this.#state) {
      case READING:
        this.#read(buffer, 0, bytes);
        break;
      case BUSY:
        if (this.#exchange.takesBody) this.#exchange.relay(buffer, 0, bytes);
        else this.putBy(buffer, 0, bytes);
        break;
      case FLUSHING:
        this.putBy(buffer, 0, bytes);
        break;
      case DRAINING:
        this.#dropBody(buffer, 0, bytes);
    }
  }

  /** The next read, of anybody, writes over these bytes: what is still needed of them is copied. */
  #detach(buffer: Buffer): void {
    if (this.rest.buffer === buffer) this.rest.detach();
    if (this.source !== buffer) return;
    const { headBytes, line, repeats, repetition } = this.head;
    if (repeats) {
      const at = repetition.withLine(buffer, this.start, this.start + line.end);
      if (at >= 0) {
        this.source = repetition.memory;
        this.start = at;
        return;
      }
    }
    if (headBytes > this.#kept.length) this.#kept = Buffer.allocUnsafe(Math.max(KEPT_HEAD_BYTES, headBytes));
    buffer.copy(this.#kept, 0, this.start, this.start + headBytes);
    this.source = this.#kept;
    this.start = 0;
  }

  #read(buffer: Buffer, from: number, to: number): void {
    const { head } = this;
    const partial = this.#partial;
    let result;
    let bodyFrom;
    let before = 0;
    if (partial !== undefined && partial.length > 0) {
      before = partial.length;
      const wasBlank = partial.blank;
      partial.add(buffer, from, to);
      result = head.parse(partial.buffer, 0, partial.length);
      if (result === INCOMPLETE) {
        if (wasBlank) this.#awaitHead(partial);
        return;
      }
      this.source = partial.buffer;
      this.start = 0;
      bodyFrom = from + head.headBytes - before;
      partial.length = 0;
    } else {
      result = head.parse(buffer, from, to);
      if (result === INCOMPLETE) {
        this.#keepPartial(buffer, from, to);
        return;
      }
      this.source = buffer;
      this.start = from;
      bodyFrom = from + head.headBytes;
    }
    if (result !== COMPLETE) {
      if (!greetsInHttp2(this)) this.#reject();
      else
        this.#handOver(
          [this.source.subarray(this.start, this.start + before), buffer.subarray(from, to)],
          HTTP2,
        );
    } else if (vouchesFor(head)) {
      this.rest.set(buffer, bodyFrom, to);
      this.#state = BUSY;
      this.#exchange.begin();
    } else this.#handOver([this.#headBytes(), buffer.subarray(bodyFrom, to)], HTTP1);
  }

  #keepPartial(buffer: Buffer, from: number, to: number): void {
    if (from === to) return;
    this.#partial ??= new PartialHead(this.#context.limits.headerBytes);
    this.#partial.add(buffer, from, to);
    this.#awaitHead(this.#partial);
  }

  /** From its first byte on. */
  #awaitHead(partial: PartialHead): void {
    if (!partial.blank) this.waitFor(this.#context.limits.headersTimeoutMs);
  }

  /** The bytes have no reading, so neither has what follows them. */
  #reject(): void {
    const { code = 'bad_request', reason = 'this is not an HTTP/1.1 request' } = this.head.refusal ?? {};
    this.#refuse(new PlatformError(code, reason));
  }

  /** Answers what has not become a request. */
  #refuse(error: PlatformError): void {
    const { counters, clock } = this.#context;
    countError(counters, error);
    this.writeError({ error, accept: undefined, head: false, close: true });
    this.note?.refused(error.code, error.status, clock.monotonicMs());
    this.linger();
  }

  #headBytes(): Buffer {
    return this.source.subarray(this.start, this.start + this.head.headBytes);
  }

  #handOver(unread: readonly Buffer[], to: Elsewhere): void {
    const { socket } = this;
    this.#leave();
    socket.pause();
    this.#unlisten();
    socket.off('error', ignore);
    this.source = NOTHING;
    socket.unshift(Buffer.concat(unread));
    this.#context.handOver(this, to);
    if (to === HTTP1) socket.resume();
  }

  #dropBody(buffer: Buffer, from: number, to: number): void {
    const { body } = this.#exchange;
    const end = body.take(buffer, from, to);
    if (end < 0) {
      this.socket.destroy();
      return;
    }
    this.rest.set(buffer, end, to);
    if (!body.done) return;
    this.note?.skip();
    this.next();
  }

  // ---- writing, time, and the end

  #listen(): void {
    const { socket } = this;
    socket.on('drain', this.#onDrain).on('end', this.#onEnd);
    socket.on('error', ignore).on('close', this.#onClose);
  }

  /** Errors of the socket are still heard: one that nobody hears ends the program. */
  #unlisten(): void {
    const { socket } = this;
    socket.off('data', this.#onChunk).off('drain', this.#onDrain);
    socket.off('end', this.#onEnd).off('close', this.#onClose);
  }

  readonly #onDrain = (): void => {
    if (this.#state === BUSY) this.#exchange.clientTakes();
    else if (this.#state === FLUSHING) this.next();
  };

  expired(): void {
    switch (this.#state) {
      case READING:
        if (this.idle) this.socket.destroy();
        else this.#refuse(new PlatformError('request_timeout', 'the header section did not arrive in time'));
        break;
      case BUSY:
        this.#exchange.expired();
        break;
      default:
        this.socket.destroy();
    }
  }

  /** A client that has ended its side while it waits has gone: nobody can tell the two apart. */
  readonly #onEnd = (): void => {
    if (this.#state === DRAINING || this.#state === FLUSHING) {
      // It has its answer, and may still be taking it.
      this.#state = LINGERING;
      this.rest.clear();
    }
    if (this.idle || this.#state === LINGERING) this.closeSoon();
    else this.socket.destroy();
  };

  readonly #onClose = (): void => {
    const busy = this.#state === BUSY;
    this.#leave();
    this.#context.gone(this);
    // V8 may keep a closed socket for long (docs/performance.md): then not with all of this. Errors are still heard.
    EventEmitter.prototype.removeAllListeners.call(this.socket);
    this.socket.on('error', ignore);
    forgetReader(this.socket);
    if (busy) this.#exchange.clientGone();
    else this.#context.heads.giveBack(this.#reading);
  };

  #leave(): void {
    this.#state = OVER;
    this.#reads.close();
    this.#context.deadlines.remove(this);
  }
}

function ignore(): void {
  // A broken socket also closes, and that is where it is dealt with.
}
