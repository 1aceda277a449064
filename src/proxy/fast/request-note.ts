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
  /** What had been read and written on the connection when the request before was over. */
  #readBefore = 0;
  #sentBefore = 0;

  constructor(log: RequestLog, client: Client) {
    super(log.connection());
    this.#client = client;
  }

  get client(): string {
    return this.#client.peer.address;
  }

  get scheme(): 'http' | 'https' {
    return this.#client.peer.protocol;
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

  override begin(startedMs: number): void {
    super.begin(startedMs);
    this.#read = true;
  }

  override refused(code: string, status: number, nowMs: number): void {
    this.#read = false;
    super.refused(code, status, nowMs);
  }

  /** What has been read since the request was over was still of its body, which nobody wanted. */
  skip(): void {
    const { socket, rest } = this.#client;
    this.#readBefore = socket.bytesRead - rest.length;
  }

  protected override complete(): void {
    const { socket, rest } = this.#client;
    const read = socket.bytesRead - rest.length;
    const sent = socket.bytesWritten;
    this.receivedBytes = read - this.#readBefore;
    this.sentBytes = sent - this.#sentBefore;
    this.#readBefore = read;
    this.#sentBefore = sent;
    if (this.#read) this.#find();
    else for (const span of [this.target, this.userAgent, this.requestId]) span.clear();
  }

  #find(): void {
    const { head, source, start } = this.#client;
    const { line, fields } = head;
    this.target.set(source, start + line.targetStart, start + line.targetEnd);
    this.userAgent.set(source, start + fields.userAgentFrom, start + fields.userAgentTo);
    this.requestId.set(source, start + fields.requestIdFrom, start + fields.requestIdTo);
  }
}
