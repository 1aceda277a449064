/** How far a body has come: which of the bytes at hand belong to it, by its framing, and whether it is over. */
import { Chunked } from '../http1/chunked.ts';
import { BY_LENGTH, CHUNKED, NO_BODY, UNTIL_CLOSE } from '../http1/framing.ts';
import type { Framing } from '../http1/framing.ts';

export class BodyProgress {
  done = true;
  #framing: Framing = NO_BODY;
  #left = 0;
  /** Made for the first body that has chunks. */
  #chunked: Chunked | undefined;

  /** `contentLength`: bytes, of a body `BY_LENGTH`. */
  begin(framing: Framing, contentLength: number): void {
    this.#framing = framing;
    this.#left = contentLength;
    this.done = framing === NO_BODY;
    if (framing !== CHUNKED) return;
    this.#chunked ??= new Chunked();
    this.#chunked.begin();
  }

  /** Where the part of [from, to) ends that belongs to the body. -1: its chunks are malformed. */
  take(buffer: Buffer, from: number, to: number): number {
    switch (this.#framing) {
      case NO_BODY:
        return from;
      case BY_LENGTH: {
        const length = Math.min(this.#left, to - from);
        this.#left -= length;
        this.done = this.#left === 0;
        return from + length;
      }
      case UNTIL_CLOSE:
        return to;
      case CHUNKED:
        return this.#takeChunks(buffer, from, to);
    }
  }

  /** Nothing else says where it ends. */
  get endsWithConnection(): boolean {
    return this.#framing === UNTIL_CLOSE;
  }

  /** The connection has ended. Whether that is the body's end. */
  end(): boolean {
    if (this.#framing === UNTIL_CLOSE) this.done = true;
    return this.done;
  }

  #takeChunks(buffer: Buffer, from: number, to: number): number {
    const chunked = this.#chunked as Chunked;
    let pos = from;
    while (pos >= 0 && pos < to && !chunked.done) pos = chunked.next(buffer, pos, to);
    this.done = chunked.done;
    return pos;
  }
}
