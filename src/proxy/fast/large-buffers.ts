/** Read buffers for large bodies: a connection has one while it fills it, and a few are kept for the next that do. */

export const LARGE_READ_BYTES = 256 * 1024;
const KEPT = 16;

export class LargeBuffers {
  readonly #kept: Buffer[] = [];

  take(): Buffer {
    return this.#kept.pop() ?? Buffer.allocUnsafeSlow(LARGE_READ_BYTES);
  }

  /** Nobody reads or writes it any more. */
  give(buffer: Buffer): void {
    if (this.#kept.length < KEPT) this.#kept.push(buffer);
  }
}
