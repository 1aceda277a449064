/**
 * Memory that heads are written to. Nearly every write is taken by the kernel at once, and the memory is free for the next
 * one; if not, it belongs to that write, and the next head gets another.
 */
import type { Socket } from 'node:net';

const SCRATCH_BYTES = 32 * 1024;
/** What lies beside a head is copied to it up to this size, so that both are one write; more is not worth copying. */
export const COPY_BYTES = 16 * 1024;

export class Scratch {
  #buffer = Buffer.allocUnsafeSlow(SCRATCH_BYTES);

  /** At least so many bytes, good until `send`. */
  reserve(bytes: number): Buffer {
    if (bytes > this.#buffer.length) this.#buffer = Buffer.allocUnsafeSlow(bytes);
    return this.#buffer;
  }

  /** Writes the first `bytes` of what was reserved. */
  send(socket: Socket, bytes: number): void {
    socket.write(this.#buffer.subarray(0, bytes));
    if (socket.writableLength > 0 || this.#buffer.length > SCRATCH_BYTES)
      this.#buffer = Buffer.allocUnsafeSlow(SCRATCH_BYTES);
  }
}
