/**
 * What the access log is told of the requests of one connection, one after the other. There is one only while there is such
 * a log. Of the head it keeps nothing: its bytes are still there when the request is over.
 */
import type { Lease } from '../lease.ts';
import type { RequestFacts, RequestLog } from '../request-log.ts';
import type { Client } from './client.ts';

/** The client went away before its answer began. */
const GONE = 499;

export class RequestNote implements RequestFacts {
  status = 0;
  error: string | undefined = undefined;
  receivedBytes = 0;
  sentBytes = 0;
  startedMs = 0;
  placedMs = Number.NaN;
  firstByteMs = Number.NaN;
  endedMs = 0;
  lease: Lease | undefined = undefined;
  readonly #log: RequestLog;
  readonly #client: Client;
  /** There is a head to tell of. */
  #read = false;
  /** Its field lines, from the CRLF before the first; and the same in lower case. Made when asked for. */
  #lines = '';
  #folded = '';
  /** What had been read and written on the connection before the request. */
  #readBefore = 0;
  #writtenBefore = 0;

  constructor(log: RequestLog, client: Client) {
    this.#log = log;
    this.#client = client;
  }

  get client(): string {
    return this.#client.origin.peer;
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

  /** A head has been read; `rest` is what has arrived behind it. */
  begin(startedMs: number): void {
    const { socket, head, rest } = this.#client;
    this.#read = true;
    this.#readBefore = socket.bytesRead - rest.length - head.headBytes;
    this.#writtenBefore = socket.bytesWritten;
    this.startedMs = startedMs;
    this.placedMs = Number.NaN;
    this.firstByteMs = Number.NaN;
    this.status = GONE;
    this.error = undefined;
    this.lease = undefined;
  }

  placed(lease: Lease, nowMs: number): void {
    this.lease = lease;
    if (Number.isNaN(this.placedMs)) this.placedMs = nowMs;
  }

  answers(status: number, nowMs: number): void {
    this.status = status;
    this.firstByteMs = nowMs;
  }

  /**
   * What went wrong: before the answer, which then says so with this status, or in the middle of it. What follows from it is
   * not the cause, so only the first counts.
   */
  failed(code: string, status: number, nowMs: number): void {
    if (this.error !== undefined) return;
    this.error = code;
    if (Number.isNaN(this.firstByteMs) && status !== GONE) this.answers(status, nowMs);
  }

  over(nowMs: number): void {
    const { socket, rest } = this.#client;
    this.endedMs = nowMs;
    this.receivedBytes = socket.bytesRead - rest.length - this.#readBefore;
    this.sentBytes = socket.bytesWritten - this.#writtenBefore;
    this.#log.over(this);
    this.lease = undefined;
    this.#lines = this.#folded = '';
  }

  /** It was no request. What has been sent of it, and what of an answer, is not told apart from what came before. */
  refused(code: string, status: number, nowMs: number): void {
    this.begin(nowMs);
    this.#read = false;
    this.failed(code, status, nowMs);
    this.over(nowMs);
  }
}
