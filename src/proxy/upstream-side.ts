/** What an attempt asks of the container's side: node:http's request and answer fulfil it, and so does a stream of HTTP/2. */
import type { IncomingHttpHeaders, InformationEvent } from 'node:http';
import type { Socket } from 'node:net';

/** A head that is going out, and a body that may follow. */
export interface OutgoingRequest {
  /** It went on a connection that had carried another before. */
  readonly reusedSocket: boolean;
  readonly writableFinished: boolean;
  /** `connecting`: nothing has been sent; 'connect' follows. */
  once(event: 'socket', listener: (socket: Pick<Socket, 'connecting' | 'once'>) => void): unknown;
  once(event: 'response', listener: (answer: UpstreamAnswer) => void): unknown;
  once(event: 'upgrade', listener: (answer: UpstreamAnswer, socket: Socket, early: Buffer) => void): unknown;
  once(event: 'close', listener: () => void): unknown;
  on(event: 'error', listener: (error: Error) => void): unknown;
  on(
    event: 'information',
    listener: (info: Pick<InformationEvent, 'statusCode' | 'rawHeaders'>) => void,
  ): unknown;
  on(event: 'drain', listener: () => void): unknown;
  off(event: 'drain', listener: () => void): unknown;
  flushHeaders(): void;
  write(chunk: Buffer): boolean;
  addTrailers(fields: [string, string][]): void;
  end(): unknown;
  destroy(error?: Error): unknown;
}

export interface UpstreamAnswer {
  /** `1.0`, `1.1`, `2.0` */
  readonly httpVersion: string;
  readonly statusCode?: number | undefined;
  readonly statusMessage?: string | undefined;
  readonly headers: IncomingHttpHeaders;
  readonly rawHeaders: string[];
  /** Once it has ended. */
  readonly rawTrailers: readonly string[];
  /** It has ended as its framing says. */
  readonly complete: boolean;
  on(event: 'data', listener: (chunk: Buffer) => void): unknown;
  on(event: 'error', listener: (error: Error) => void): unknown;
  once(event: 'end' | 'close', listener: () => void): unknown;
  pause(): unknown;
  resume(): unknown;
  destroy(): unknown;
}
