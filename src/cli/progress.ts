/** How far a pull is: one line that is written over on a terminal, a plain line a step elsewhere. */
import type { Output } from './context.ts';
import { oneLine, truncate } from './table.ts';
import { formatBytes } from '../units.ts';

export interface Progress {
  readonly status: string;
  readonly currentBytes: number;
  readonly totalBytes: number;
}

const ERASE_LINE = '\r\u001b[K';

export class ProgressLine {
  readonly #out: Output;
  readonly #what: string;
  #last = '';

  constructor(out: Output, what: string) {
    this.#out = out;
    this.#what = what;
  }

  show(progress: Progress): void {
    if (this.#out.isTTY) {
      const line = `${this.#what}: ${oneLine(progress.status)}${share(progress)}`;
      if (line === this.#last) return;
      this.#last = line;
      this.#out.write(`${ERASE_LINE}${truncate(line, (this.#out.columns ?? 80) - 1)}`);
    } else {
      // A log wants to know of each step once, not of every megabyte.
      const line = `${this.#what}: ${oneLine(progress.status)}`;
      if (line === this.#last) return;
      this.#last = line;
      this.#out.write(`${line}\n`);
    }
  }

  /** Takes the line away; what comes next starts on a clean one. */
  end(): void {
    if (this.#out.isTTY && this.#last !== '') this.#out.write(ERASE_LINE);
    this.#last = '';
  }
}

function share({ currentBytes, totalBytes }: Progress): string {
  if (totalBytes <= 0) return '';
  const percent = Math.min(100, Math.floor((100 * currentBytes) / totalBytes));
  return ` ${percent}% of ${formatBytes(totalBytes)}`;
}
