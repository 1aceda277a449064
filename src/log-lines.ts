/**
 * Where log lines go: into an open file, each at once or not at all. A disk that is full, a terminal that has been closed or a pipe
 * that nobody reads costs lines, never a request.
 */
import { constants, fstatSync, openSync, writeSync } from 'node:fs';

const STDERR = 2;

export class LogLines {
  readonly #fd: number;
  /** Of a line that has been written in part. */
  #rest: Uint8Array = new Uint8Array();
  #lost = 0;

  /** Writing to `fd` should fail where it would wait. */
  constructor(fd: number) {
    this.#fd = fd;
  }

  static toStderr(): LogLines {
    return new LogLines(neverWaiting(STDERR));
  }

  /** `line` ends with a newline. */
  write(line: string): void {
    const lost = this.#lost === 0 ? '' : this.#lostLine();
    if (this.#finish() && this.#put(Buffer.from(lost + line))) this.#lost = 0;
    else this.#lost++;
  }

  #lostLine(): string {
    const time = new Date().toISOString();
    return `${JSON.stringify({ level: 40, time, lines: this.#lost, msg: 'lines of this log could not be written' })}\n`;
  }

  /** Whether nothing is left of the line before. */
  #finish(): boolean {
    return this.#rest.length === 0 || (this.#put(this.#rest) && this.#rest.length === 0);
  }

  /** False: nothing of it could be written. */
  #put(bytes: Uint8Array): boolean {
    try {
      this.#rest = bytes.subarray(writeSync(this.#fd, bytes));
      return true;
    } catch {
      return false;
    }
  }
}

/**
 * The same pipe or terminal, opened anew so that a write fails where it would wait (O_NONBLOCK): the one that was inherited is shared
 * with other programs, which do not expect that. Files never wait, and a socket (that of systemd's journal) cannot be opened anew.
 */
function neverWaiting(fd: number): number {
  try {
    const file = fstatSync(fd);
    if (!file.isFIFO() && !file.isCharacterDevice()) return fd;
    return openSync(`/proc/self/fd/${fd}`, constants.O_WRONLY | constants.O_NONBLOCK | constants.O_NOCTTY);
  } catch {
    return fd;
  }
}
