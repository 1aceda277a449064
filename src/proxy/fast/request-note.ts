/**
 * What the access log is told of the requests of one connection, one after the other. There is one only while there is such
 * a log. Of the head it keeps nothing: its bytes are still there when the request is over.
 */
import type { RequestLog } from '../request-log.ts';
import { RequestNote } from '../request-note.ts';
import type { Client } from './client.ts';

export class FastNote extends RequestNote {
  readonly #client: Client;
  /** There is a head to tell of. */
  #read = false;
  /** Its field lines, from the CRLF before the first; and the same in lower case. Made when asked for. */
  #lines = '';
  #folded = '';
  /** What had been read and written on the connection when the request before was over. */
  #readBefore = 0;
  #sentBefore = 0;

  constructor(log: RequestLog, client: Client) {
    super(log);
    this.#client = client;
  }

  get client(): string {
    return this.#client.peer.address;
  }

  get protocol(): string {
    return this.#read ? 'HTTP/1.1' : '';
  }

  get method(): string {
    return this.#read ? this.#client.head.methodName : '';
  }

  get host(): string {
    return this.#read ? this.#client.head.host : '';
  }

  get target(): string {
    const { head, source, start } = this.#client;
    return this.#read ? head.target(source, start) : '';
  }

  field(name: string): string | undefined {
    if (this.#lines === '') {
      if (!this.#read) return undefined;
      const { head, source, start } = this.#client;
      this.#lines = source.toString('latin1', start + head.line.end - 2, start + head.headBytes);
      this.#folded = this.#lines.toLowerCase();
    }
    const at = this.#folded.indexOf(`\r\n${name}:`);
    if (at === -1) return undefined;
    const from = at + name.length + 3;
    return this.#lines.slice(from, this.#lines.indexOf('\r\n', from)).trim();
  }

  override begin(startedMs: number): void {
    super.begin(startedMs);
    this.#read = true;
  }

  override over(nowMs: number): void {
    super.over(nowMs);
    this.#lines = this.#folded = '';
  }

  override refused(code: string, status: number, nowMs: number): void {
    this.#read = false;
    super.refused(code, status, nowMs);
  }

  protected override measure(): void {
    const { socket, rest } = this.#client;
    const read = socket.bytesRead - rest.length;
    const sent = socket.bytesWritten;
    this.receivedBytes = read - this.#readBefore;
    this.sentBytes = sent - this.#sentBefore;
    this.#readBefore = read;
    this.#sentBefore = sent;
  }
}
