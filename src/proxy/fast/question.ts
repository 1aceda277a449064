import { ascii } from '../http1/ascii.ts';
import { findField } from '../http1/find-field.ts';
import type { Question } from '../lease.ts';
import type { Client } from './client.ts';

/** What a client's request asks, read from the bytes of its head as often as somebody wants to know. */
export class FastQuestion implements Question {
  readonly #client: Client;

  constructor(client: Client) {
    this.#client = client;
  }

  get method(): string {
    return this.#client.head.methodName;
  }

  get target(): string {
    const { head, source, start } = this.#client;
    return head.target(source, start);
  }

  field(name: string): string | undefined {
    const { head, source, start } = this.#client;
    return findField(source, start + head.line.end, start + head.headBytes, ascii(name));
  }
}
