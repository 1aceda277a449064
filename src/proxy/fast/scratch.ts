/**
 * Memory that messages are put together in. Nearly every write is taken by the kernel at once, and the memory is free for the
 * next one; if not, it belongs to that write, and the next message gets other. Under TLS no write is done at once, so what
 * such a write had comes back when it is.
 */
import type { Socket } from 'node:net';
import type { TLSSocket } from 'node:tls';

const SCRATCH_BYTES = 32 * 1024;
/** What lies beside a head is copied to it up to this size, so that both are one write; more is not worth copying. */
export const COPY_BYTES = 16 * 1024;
/** Views up to this length are kept: messages are mostly of few lengths, and finding a view is quicker than making one. */
const MAX_KEPT_BYTES = 4096;

/** Views of one buffer; beyond that all are made anew. */
const MAX_VIEWS = 256;
/** Buffers that no write has at the moment: as many as connections are written to in one turn of the event loop, mostly. */
const KEPT = 64;

class Sheet {
  readonly buffer: Buffer;
  /** A write that had it is done. */
  readonly giveBack: () => void;
  readonly #views = new Map<number, Buffer>();

  constructor(bytes: number, kept: Sheet[]) {
    this.buffer = Buffer.allocUnsafeSlow(bytes);
    this.giveBack = () => {
      if (bytes === SCRATCH_BYTES && kept.length < KEPT) kept.push(this);
    };
  }

  /** The first so many bytes. */
  view(bytes: number): Buffer {
    if (bytes > MAX_KEPT_BYTES) return this.buffer.subarray(0, bytes);
    const kept = this.#views.get(bytes);
    if (kept !== undefined) return kept;
    if (this.#views.size === MAX_VIEWS) this.#views.clear();
    const view = this.buffer.subarray(0, bytes);
    this.#views.set(bytes, view);
    return view;
  }
}

export class Scratch {
  readonly #kept: Sheet[] = [];
  #sheet = new Sheet(SCRATCH_BYTES, this.#kept);

  /** At least so many bytes, good until `send`. */
  reserve(bytes: number): Buffer {
    if (bytes > this.#sheet.buffer.length) this.#sheet = new Sheet(bytes, this.#kept);
    return this.#sheet.buffer;
  }

  /** Writes the first `bytes` of what was reserved. */
  send(socket: Socket, bytes: number): void {
    const sheet = this.#sheet;
    const view = sheet.view(bytes);
    if (socket.writableLength > 0) {
      // It will have to wait; of its own size, as many of them may.
      socket.write(Buffer.from(view));
    } else if (isEncrypted(socket)) {
      socket.write(view, sheet.giveBack);
      this.#next();
    } else {
      socket.write(view);
      if (socket.writableLength > 0 || sheet.buffer.length > SCRATCH_BYTES) this.#next();
    }
  }

  /** Writes [from, to) of a buffer that is used for something else at once; at most `COPY_BYTES`. */
  copy(socket: Socket, buffer: Buffer, from: number, to: number): void {
    buffer.copy(this.#sheet.buffer, 0, from, to);
    this.send(socket, to - from);
  }

  #next(): void {
    this.#sheet = this.#kept.pop() ?? new Sheet(SCRATCH_BYTES, this.#kept);
  }
}

/** Asked without `instanceof`, which goes from prototype to prototype. */
function isEncrypted(socket: Socket): boolean {
  return (socket as Partial<TLSSocket>).encrypted === true;
}
