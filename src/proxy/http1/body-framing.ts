/**
 * Where a body ends. It is told the bytes that arrive and says how many of them belong to the body; they are passed on as
 * they are. One of these serves a direction of a connection, message after message; it keeps no bytes.
 */
import { Chunked } from './chunked.ts';
import { BY_LENGTH, CHUNKED, NO_BODY, UNTIL_CLOSE } from './framing.ts';
import type { Framing } from './framing.ts';
import type { ChunkLimits } from './limits.ts';
import type { Refusal } from './refusals.ts';

export class BodyFraming {
  /** The payload among what `next` has just read, as positions in its buffer. Empty where both are the same. */
  dataStart = 0;
  dataEnd = 0;
  #framing: Framing = NO_BODY;
  #left = 0;
  #payloadBytes = 0;
  /** Made for the first body that has chunks. */
  #chunked: Chunked | undefined = undefined;
  readonly #limits: ChunkLimits | undefined;

  constructor(limits?: ChunkLimits) {
    this.#limits = limits;
  }

  /** A message begins: what its head says. */
  begin(framing: Framing, contentLength: number): void {
    this.#framing = framing;
    this.#left = contentLength;
    this.#payloadBytes = 0;
    if (framing !== CHUNKED) return;
    this.#chunked ??= new Chunked(this.#limits);
    this.#chunked.begin();
  }

  /** The body has been read to its end. Never true of one that lasts until the connection closes. */
  get done(): boolean {
    switch (this.#framing) {
      case NO_BODY:
        return true;
      case BY_LENGTH:
        return this.#left === 0;
      case CHUNKED:
        return (this.#chunked as Chunked).done;
      case UNTIL_CLOSE:
        return false;
    }
  }

  /** Whether the body is whole if the connection ends now. */
  get wholeAtClose(): boolean {
    return this.#framing === UNTIL_CLOSE || this.done;
  }

  /** Bytes of the body so far, without what frames them. */
  get payloadBytes(): number {
    return this.#framing === CHUNKED ? (this.#chunked as Chunked).payloadBytes : this.#payloadBytes;
  }

  /** Once `take` or `next` has returned -1. */
  get refusal(): Refusal | undefined {
    return this.#framing === CHUNKED ? (this.#chunked as Chunked).refusal : undefined;
  }

  /**
   * How many of the bytes in [from, to) belong to this body: all of them unless it ends before. -1: they are not what a body
   * is made of; none of them may be passed on, and the message must be broken off so that nobody takes it for whole.
   */
  take(buffer: Buffer, from: number, to: number): number {
    if (this.#framing !== CHUNKED) return this.#count(from, to);
    const chunked = this.#chunked as Chunked;
    let pos = from;
    while (pos < to && !chunked.done) {
      pos = chunked.next(buffer, pos, to);
      if (pos < 0) return -1;
    }
    return pos - from;
  }

  /**
   * The same, but no further than the first piece of payload, which is at [dataStart, dataEnd): for a body that is passed on
   * with another framing than its own. Call it until everything is taken or `done`.
   */
  next(buffer: Buffer, from: number, to: number): number {
    if (this.#framing !== CHUNKED) {
      const taken = this.#count(from, to);
      this.dataStart = from;
      this.dataEnd = from + taken;
      return taken;
    }
    const chunked = this.#chunked as Chunked;
    const reached = chunked.next(buffer, from, to);
    this.dataStart = chunked.dataStart;
    this.dataEnd = chunked.dataEnd;
    return reached < 0 ? -1 : reached - from;
  }

  #count(from: number, to: number): number {
    let taken = to - from;
    if (this.#framing !== UNTIL_CLOSE) {
      if (taken > this.#left) taken = this.#left;
      this.#left -= taken;
    }
    this.#payloadBytes += taken;
    return taken;
  }
}
