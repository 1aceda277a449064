/**
 * Where the bytes of sockets are read to. Nearly everything that is read is looked at, written on, and forgotten before the
 * next socket is read, so all of them read into the same few kilobytes: no memory is made for a read, and it is in the
 * processor's cache. Whoever needs something longer copies it (`Client` does, in one place), as the next read overwrites it.
 *
 * A body that fills these bytes gets a large buffer for as long as it does. That one can be written from without a copy;
 * while such a write is under way the next read gets another. Whoever stops in the middle of a body keeps its buffer for as long
 * as it is waited for, so there are no more of them than a bound: further bodies are read in small pieces.
 */
import type { Socket } from 'node:net';
import type { BufferSweep } from '../buffer-sweep.ts';
import { CAN_READ_ON, readOnInto } from './read-into.ts';

const SHARED_BYTES = 16 * 1024;
const LARGE_BYTES = 256 * 1024;
/** Large ones that nobody uses at the moment. */
const KEPT = 16;
/** Large ones that are read into at once: 128 MiB. */
const MAX_TAKEN = 512;

/** The memory of all sockets of a transport. */
export class ReadMemory {
  readonly shared: Buffer = Buffer.allocUnsafeSlow(SHARED_BYTES);
  readonly sweep: BufferSweep;
  readonly #kept: Buffer[] = [];
  #taken = 0;

  constructor(sweep: BufferSweep) {
    this.sweep = sweep;
  }

  /** A large one, or the shared bytes where too many others have one. */
  takeLarge(): Buffer {
    if (this.#taken === MAX_TAKEN) return this.shared;
    this.#taken++;
    return this.#kept.pop() ?? Buffer.allocUnsafeSlow(LARGE_BYTES);
  }

  /** Nobody reads or writes it any more. */
  giveLarge(buffer: Buffer): void {
    this.#taken--;
    if (this.#kept.length < KEPT) this.#kept.push(buffer);
  }

  /** A write has it, and is the last to need it. */
  leaveLarge(): void {
    this.#taken--;
    this.sweep.relayed(LARGE_BYTES);
  }
}

/** Where one socket reads to. */
export class ReadTarget {
  /** What the last read wrote to. */
  buffer: Buffer;
  readonly #memory: ReadMemory;
  readonly #socket: Socket;
  #lent = false;
  #wantsLarge = false;

  /** `socket` reads into the shared bytes. */
  constructor(memory: ReadMemory, socket: Socket) {
    this.#memory = memory;
    this.#socket = socket;
    this.buffer = memory.shared;
  }

  /** So many bytes have been read to it. */
  filled(bytes: number): void {
    if (bytes === SHARED_BYTES && CAN_READ_ON) this.#wantsLarge = true;
  }

  /** A piece of it is still being written. Not of the shared bytes: those are copied to be written. */
  lend(): void {
    this.#lent = this.buffer !== this.#memory.shared;
  }

  /** What was read has been dealt with. `body`: whether what is read next is of a body. */
  next(body: boolean): void {
    const memory = this.#memory;
    const { shared } = memory;
    if (this.buffer === shared && !this.#wantsLarge) return;
    const large = body && (this.#wantsLarge || this.buffer !== shared);
    this.#wantsLarge = false;
    if (!large && this.buffer === shared) return;
    if (this.#lent) memory.leaveLarge();
    else if (this.buffer !== shared) {
      if (large) return;
      memory.giveLarge(this.buffer);
    }
    this.#lent = false;
    this.buffer = large ? memory.takeLarge() : shared;
    readOnInto(this.#socket, this.buffer);
  }

  /** Nothing is read any more. */
  close(): void {
    this.#wantsLarge = false;
    this.next(false);
  }
}
