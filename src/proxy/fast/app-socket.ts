/**
 * A connection to an app that is not closed by a write that fails while an answer is awaited: an app that has answered before it has
 * read everything may close then, and its answer lies in the socket (RFC 9112 §9.5).
 */
import { Socket } from 'node:net';

export class AppSocket extends Socket {
  /** True: it is read on, and closed by whoever says so. */
  readsOn: ((error: NodeJS.ErrnoException) => boolean) | undefined;

  override destroy(error?: NodeJS.ErrnoException): this {
    if (error?.syscall === 'write' && this.readsOn?.(error) === true) return this;
    return super.destroy(error);
  }

  /** A stream on which a write has failed says nothing of its end. */
  override push(chunk: unknown, encoding?: BufferEncoding): boolean {
    const takesMore = super.push(chunk, encoding);
    if (chunk === null && this.errored !== null) this.emit('end');
    return takesMore;
  }
}
