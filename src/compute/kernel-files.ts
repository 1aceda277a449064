/**
 * Small files that the kernel makes up when they are read, kept open between readings. Finding and opening one costs four
 * times as much as reading it (13 and 3 µs), and the files of a busy container are read ten times a second.
 *
 * One that has not been read for a while is closed: an open file of a control group keeps the kernel from forgetting it.
 */
import { closeSync, openSync, readSync } from 'node:fs';

/** Of a container there are four to six; what is more than these is opened for each reading. */
const MAX_OPEN = 1_024;
const CLOSE_AFTER_MS = 1_000;
/** The longest of the files (memory.stat) has 2 KiB. */
const MAX_BYTES = 16 * 1024;

interface OpenFile {
  readonly fd: number;
  /** Since the last look for those that are not. */
  isRead: boolean;
}

export class KernelFiles {
  readonly #open = new Map<string, OpenFile>();
  readonly #contents = Buffer.allocUnsafe(MAX_BYTES);
  #isSweeping = false;

  /** What the file says now, up to 16 KiB. Errors: what the system says; ENOENT or ENODEV of a group that is gone. */
  read(path: string): string {
    const known = this.#open.get(path);
    if (known !== undefined) {
      known.isRead = true;
      try {
        return this.#readFrom(known.fd);
      } catch {
        // Gone; another of the same name may be there.
        this.#close(path, known);
      }
    }
    const fd = openSync(path, 'r');
    try {
      const text = this.#readFrom(fd);
      if (this.#open.size < MAX_OPEN) this.#keep(path, fd);
      return text;
    } finally {
      if (this.#open.get(path)?.fd !== fd) closeSync(fd);
    }
  }

  #readFrom(fd: number): string {
    return this.#contents.toString('latin1', 0, readSync(fd, this.#contents, 0, MAX_BYTES, 0));
  }

  #keep(path: string, fd: number): void {
    this.#open.set(path, { fd, isRead: true });
    if (!this.#isSweeping) this.#sweepLater();
  }

  #close(path: string, { fd }: OpenFile): void {
    this.#open.delete(path);
    closeSync(fd);
  }

  #sweepLater(): void {
    this.#isSweeping = true;
    setTimeout(() => {
      for (const [path, file] of this.#open) {
        if (file.isRead) file.isRead = false;
        else this.#close(path, file);
      }
      if (this.#open.size > 0) this.#sweepLater();
      else this.#isSweeping = false;
    }, CLOSE_AFTER_MS).unref();
  }
}
