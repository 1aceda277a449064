/** What the access log is told of a request that node:http has read. */
import type { IncomingMessage } from 'node:http';
import type { ClientConnection } from './client-connection.ts';
import type { RequestLog } from './request-log.ts';
import { RequestNote } from './request-note.ts';

export class HttpNote extends RequestNote {
  /** Normalised; known once the head has been judged. */
  host = '';
  readonly #connection: ClientConnection;
  readonly #req: IncomingMessage | undefined;

  /** Without `req`: of something that was no request. */
  constructor(log: RequestLog, connection: ClientConnection, req?: IncomingMessage) {
    super(log);
    this.#connection = connection;
    this.#req = req;
  }

  get client(): string {
    return this.#connection.peer.address;
  }

  get protocol(): string {
    return this.#req === undefined ? '' : `HTTP/${this.#req.httpVersion}`;
  }

  get method(): string {
    return this.#req?.method ?? '';
  }

  get target(): string {
    return this.#req?.url ?? '';
  }

  field(name: string): string | undefined {
    const value = this.#req?.headers[name];
    return typeof value === 'string' ? value : value?.[0];
  }

  /** Of several sent ahead, what is read of one may be counted with the one before it; in all it is right. */
  protected override measure(): void {
    const { receivedBytes, sentBytes } = this.#connection.sinceLast();
    this.receivedBytes = receivedBytes;
    this.sentBytes = sentBytes;
  }
}
