/**
 * Answers that lie ready and that their clients do not take. Together they have a bound; beyond it, whoever has kept us
 * waiting the longest is cut off: a client that reads is never the one.
 */
import type { ServerResponse } from 'node:http';

const MAX_UNREAD_BYTES = 64 * 1024 ** 2;

export class UnreadAnswers {
  readonly #maxBytes: number;
  /** What each still had to be sent when it was made; the oldest comes first. */
  readonly #bytes = new Map<ServerResponse, number>();
  #totalBytes = 0;

  constructor(maxBytes = MAX_UNREAD_BYTES) {
    this.#maxBytes = maxBytes;
  }

  /** To be told of every answer that has been made whole. */
  add(response: ServerResponse): void {
    const bytes = response.writableLength;
    if (bytes === 0 || response.closed) return;
    this.#bytes.set(response, bytes);
    this.#totalBytes += bytes;
    response.once('close', () => this.#forget(response));
    for (const oldest of this.#bytes.keys()) {
      if (this.#totalBytes <= this.#maxBytes) return;
      this.#forget(oldest);
      oldest.destroy();
    }
  }

  #forget(response: ServerResponse): void {
    this.#totalBytes -= this.#bytes.get(response) ?? 0;
    this.#bytes.delete(response);
  }
}
