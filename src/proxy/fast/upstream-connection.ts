/**
 * One connection to a container: it reads answers, and tells whoever has asked on it what comes. What it tells of is overwritten
 * by the next read, unless that is told to be `lent`.
 */
import { UNSAID } from '../http1/framing.ts';
import { COMPLETE, INCOMPLETE } from '../http1/head-result.ts';
import { DEFAULT_RESPONSE_HEAD_LIMITS } from '../http1/limits.ts';
import type { Method } from '../http1/methods.ts';
import { PartialHead } from '../http1/partial-head.ts';
import type { Refusal } from '../http1/refusals.ts';
import type { ResponseHead } from '../http1/response-head.ts';
import { LAST_WORDS_MS } from '../limits.ts';
import { AppSocket } from './app-socket.ts';
import { BodyProgress } from './body-progress.ts';
import { Timed } from './deadlines.ts';
import { forgetReader, onread, readBy } from './read-into.ts';
import type { Reader } from './read-into.ts';
import { ReadTarget } from './reading.ts';
import type { Shelf, UpstreamConnections } from './upstream-connections.ts';

/** Whoever has a request on the connection. */
export interface Asker {
  connected(): void;
  /** No connection came about, or it was closed before it was sent anything. */
  connectFailed(error: Error): void;
  /** An answer before the answer, 103 for instance; its head is at `start` of `source`. */
  interim(head: ResponseHead, source: Buffer, start: number): void;
  /** The head of the answer, and what came of its body in [from, to) of `body`. */
  answer(head: ResponseHead, source: Buffer, start: number, body: Buffer, from: number, to: number): void;
  answerPart(body: Buffer, from: number, to: number): void;
  /** It is over, as its framing says; the connection may have another asker already. */
  answerEnd(): void;
  /** It ended too soon, or is not HTTP. The connection is closed. */
  broken(why: Error | Refusal | undefined): void;
  /** It takes more of the request again. */
  drained(): void;
  /** All of the request has been handed to the connection. */
  readonly sent: boolean;
  /** Whether it takes more of the answer at the moment; `resume` is called when it does again. */
  readonly blocked: boolean;
}

export class UpstreamConnection extends Timed implements Reader {
  readonly socket: AppSocket;
  /** Where it belongs when it is idle. */
  readonly shelf: Shelf;
  /** It has carried a request before. */
  reused = false;
  /** Something of an answer has arrived. */
  heard = false;
  /** For how long the app says it keeps an idle connection, in seconds; -1 if it does not say. */
  keepAliveTimeoutSeconds = UNSAID;
  #asker: Asker | undefined;
  readonly #home: UpstreamConnections;
  readonly #body = new BodyProgress();
  /** While one is read. */
  #head: ResponseHead | undefined;
  #partial: PartialHead | undefined;
  #method: Method = 0;
  /** It has been sent a request. */
  #asked = false;
  #answering = false;
  /** The app keeps the connection when this answer is over. */
  #keepsAlive = false;
  readonly #reads: ReadTarget;
  #error: Error | undefined;

  constructor(home: UpstreamConnections, shelf: Shelf, asker: Asker) {
    super();
    this.#home = home;
    this.shelf = shelf;
    this.#asker = asker;
    const { host, port } = shelf;
    this.socket = new AppSocket({ noDelay: true, onread: onread(home.memory.shared) });
    this.socket.connect({ host, port });
    this.#reads = new ReadTarget(home.memory, this.socket);
    readBy(this.socket, this);
    this.socket.once('connect', () => this.#asker?.connected());
    this.socket.readsOn = this.#readsOn;
    this.socket.on('error', (error) => {
      this.#error = error;
      home.forget(this);
    });
    this.socket.on('drain', () => this.#asker?.drained());
    this.socket.once('end', () => this.#ended());
    this.socket.once('close', () => this.#closed());
  }

  /** The next bytes are the answer to a request of this method. */
  expect(asker: Asker, method: Method): void {
    this.#asker = asker;
    this.#method = method;
    this.#asked = true;
    this.#answering = false;
    this.heard = false;
  }

  /** Forgets its asker and closes: what it says from here on concerns nobody. */
  destroy(): void {
    this.#asker = undefined;
    this.#home.forget(this);
    this.socket.destroy();
  }

  /** Fails as if the system had said so. */
  fail(error: Error): void {
    this.socket.destroy(error);
  }

  resume(): void {
    this.socket.resume();
  }

  /** It was idle too long, or has had time enough for its last words. */
  expired(): void {
    if (this.#asker === undefined) this.destroy();
    else if (!this.#answering) this.socket.destroy(this.#error);
  }

  readonly #readsOn = (error: NodeJS.ErrnoException): boolean => {
    if (this.#asker === undefined || this.#error !== undefined) return false;
    // Of an answer that ends with its connection a reset is no end; a pipe is broken only behind the app's farewell.
    if (this.#answering && this.#body.endsWithConnection && error.code !== 'EPIPE') return false;
    this.#error = error;
    if (!this.#answering) this.#home.waitFor(this, LAST_WORDS_MS);
    return true;
  };

  /** What was read last is still being written to a client. */
  lend(): void {
    this.#reads.lend();
  }

  received(bytes: number): boolean {
    const asker = this.#asker;
    if (asker === undefined) {
      // An app that speaks unasked means something that nobody here can know.
      this.destroy();
      return false;
    }
    this.heard = true;
    this.#reads.filled(bytes);
    if (this.#answering) this.#part(asker, this.#reads.buffer, 0, bytes);
    else this.#readHead(asker, bytes);
    this.#reads.next(this.#asker !== undefined);
    return this.#asker?.blocked !== true;
  }

  #readHead(asker: Asker, bytes: number): void {
    const { buffer } = this.#reads;
    const head = (this.#head ??= this.shelf.takeHead());
    let from = 0;
    for (;;) {
      let source: Buffer = buffer;
      let start = from;
      let result;
      if (this.#partial !== undefined && this.#partial.length > 0) {
        const partial = this.#partial;
        const before = partial.length;
        partial.add(buffer, from, bytes);
        source = partial.buffer;
        start = 0;
        result = head.parse(source, 0, partial.length, this.#method);
        if (result === COMPLETE) from += head.headBytes - before;
      } else {
        result = head.parse(buffer, from, bytes, this.#method);
        if (result === COMPLETE) from += head.headBytes;
        else if (result === INCOMPLETE) {
          if (from === bytes) return;
          this.#partial ??= new PartialHead(DEFAULT_RESPONSE_HEAD_LIMITS.headBytes);
          this.#partial.add(buffer, from, bytes);
        }
      }
      if (result === INCOMPLETE) return;
      if (this.#partial !== undefined) this.#partial.length = 0;
      if (result !== COMPLETE) {
        this.#break(head.refusal);
        return;
      }
      if (!head.interim) {
        this.#answer(asker, head, source, start, from, bytes);
        return;
      }
      asker.interim(head, source, start);
      if (this.#asker !== asker) return;
    }
  }

  #answer(
    asker: Asker,
    head: ResponseHead,
    source: Buffer,
    start: number,
    from: number,
    bytes: number,
  ): void {
    const { buffer } = this.#reads;
    this.#body.begin(head.framing, head.contentLength);
    this.#answering = true;
    this.#keepsAlive = head.keepAlive;
    this.keepAliveTimeoutSeconds = head.keepAliveTimeoutSeconds;
    const to = this.#body.take(buffer, from, bytes);
    asker.answer(head, source, start, buffer, from, to < 0 ? from : to);
    this.#head = undefined;
    this.shelf.giveHead(head);
    this.#after(asker, to, bytes);
  }

  #part(asker: Asker, buffer: Buffer, from: number, bytes: number): void {
    const to = this.#body.take(buffer, from, bytes);
    if (to > from) asker.answerPart(buffer, from, to);
    this.#after(asker, to, bytes);
  }

  #after(asker: Asker, to: number, bytes: number): void {
    if (this.#asker !== asker) return; // it has gone meanwhile
    if (to < 0) this.#break(undefined);
    else if (this.#body.done) this.#finish(asker, to === bytes);
  }

  /** `clean`: nothing follows the answer. */
  #finish(asker: Asker, clean: boolean): void {
    this.#asker = undefined;
    // An app that has answered before it has read everything will not be read to by us.
    const idle = asker.sent && this.socket.writableLength === 0 && this.#error === undefined;
    if (clean && idle && this.#keepsAlive) this.#home.keep(this);
    else this.destroy();
    asker.answerEnd();
  }

  #break(why: Error | Refusal | undefined): void {
    const asker = this.#asker;
    this.destroy();
    asker?.broken(why);
  }

  #ended(): void {
    const asker = this.#asker;
    if (asker !== undefined && this.#answering && this.#body.end()) this.#finish(asker, false);
    else if (asker !== undefined && this.#asked) this.#break(undefined);
    else {
      // 'close' comes a moment later: nobody takes it until then.
      this.#home.forget(this);
      this.socket.destroy();
    }
  }

  #closed(): void {
    const asker = this.#asker;
    this.#asker = undefined;
    this.#reads.close();
    forgetReader(this.socket);
    this.#home.forget(this);
    if (asker === undefined) return;
    const error = this.#error ?? new Error('the connection closed without an answer');
    if (this.#asked) asker.broken(error);
    else asker.connectFailed(error);
  }
}
