/** What the access log is told of a request that node:http or node:http2 has read. */
import type { ArrivedRequest, ClientWay } from './client-side.ts';
import type { Peer } from './doors/peer.ts';
import type { ConnectionLog, RequestLog } from './request-log.ts';
import { RequestNote } from './request-note.ts';
import type { Span } from './span.ts';

/** A connection has one peer, whatever number of requests. */
const logs = new WeakMap<Peer, ConnectionLog>();

export class HttpNote extends RequestNote {
  /** Normalised; known once the head has been judged. */
  host = '';
  readonly #way: ClientWay;
  readonly #req: ArrivedRequest | undefined;

  /** Without `req`: of something that was no request. */
  constructor(log: RequestLog, way: ClientWay, req?: ArrivedRequest) {
    super(logFor(log, way.peer));
    this.#way = way;
    this.#req = req;
  }

  get client(): string {
    return this.#way.peer.address;
  }

  get scheme(): 'http' | 'https' {
    return this.#way.peer.protocol;
  }

  get protocol(): string {
    return this.#req === undefined ? '' : `HTTP/${this.#req.httpVersion}`;
  }

  get method(): string {
    return this.#req?.method ?? '';
  }

  /** Of several sent ahead, what is read of one may be counted with the one before it; in all it is right. */
  protected override complete(): void {
    const { receivedBytes, sentBytes } = this.#way.sinceLast();
    this.receivedBytes = receivedBytes;
    this.sentBytes = sentBytes;
    setText(this.target, this.#req?.url);
    setText(this.userAgent, this.#req?.headers['user-agent']);
    setText(this.requestId, this.#req?.headers['x-request-id']);
  }
}

function logFor(log: RequestLog, peer: Peer): ConnectionLog {
  let own = logs.get(peer);
  if (own === undefined) logs.set(peer, (own = log.connection()));
  return own;
}

function setText(span: Span, text: string | string[] | undefined): void {
  if (typeof text === 'string') span.set(Buffer.from(text, 'latin1'), 0, text.length);
  else span.clear();
}
