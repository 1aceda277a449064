/**
 * Memory that messages are put together in. Nearly every write is taken by the kernel at once, and the memory is free for the
 * next one; if not, it belongs to that write, and the next message gets other.
 */
import type { Socket } from 'node:net';

const SCRATCH_BYTES = 32 * 1024;
/** What lies beside a head is copied to it up to this size, so that both are one write; more is not worth copying. */
export const COPY_BYTES = 16 * 1024;
/** Views up to this length are kept: messages are mostly of few lengths, and finding a view is quicker than making one. */
const MAX_KEPT_BYTES = 4096;

export class Scratch {
  #buffer = Buffer.allocUnsafeSlow(SCRATCH_BYTES);
  readonly #views = new Map<number, Buffer>();

  /** At least so many bytes, good until `send`. */
  reserve(bytes: number): Buffer {
    if (bytes > this.#buffer.length) this.#replace(bytes);
    return this.#buffer;
  }

  /** Writes the first `bytes` of what was reserved. */
  send(socket: Socket, bytes: number): void {
    if (socket.writableLength > 0) {
      // It will have to wait; of its own size, as many of them may.
      socket.write(Buffer.from(this.#view(bytes)));
      return;
    }
    socket.write(this.#view(bytes));
    if (socket.writableLength > 0 || this.#buffer.length > SCRATCH_BYTES) this.#replace(SCRATCH_BYTES);
  }

  /** Writes [from, to) of a buffer that is used for something else at once; at most `COPY_BYTES`. */
  copy(socket: Socket, buffer: Buffer, from: number, to: number): void {
    buffer.copy(this.#buffer, 0, from, to);
    this.send(socket, to - from);
  }

  #view(bytes: number): Buffer {
    if (bytes > MAX_KEPT_BYTES) return this.#buffer.subarray(0, bytes);
    let view = this.#views.get(bytes);
    if (view === undefined) this.#views.set(bytes, (view = this.#buffer.subarray(0, bytes)));
    return view;
  }

  #replace(bytes: number): void {
    this.#buffer = Buffer.allocUnsafeSlow(bytes);
    this.#views.clear();
  }
}
