/**
 * What an exchange asks of the client's side: node:http's request, response and connection fulfil it, and so does a stream of
 * HTTP/2. Both speak in the terms of HTTP/1.1: names and values in turn, framing by Content-Length or chunks.
 */
import type { IncomingHttpHeaders } from 'node:http';
import type { Peer } from './doors/peer.ts';

/** The body of a request, as it arrives. */
export interface RequestBody {
  /** Names and values in turn; there once it has ended. */
  readonly rawTrailers: readonly string[];
  on(event: 'data', listener: (chunk: Buffer) => void): unknown;
  on(event: 'error', listener: (error: Error) => void): unknown;
  once(event: 'end' | 'close', listener: () => void): unknown;
  off(event: 'data', listener: (chunk: Buffer) => void): unknown;
  off(event: 'end', listener: () => void): unknown;
  pause(): unknown;
  resume(): unknown;
}

export interface ArrivedRequest extends RequestBody {
  readonly method?: string | undefined;
  /** The request target, as it was sent. */
  readonly url?: string | undefined;
  /** `1.0`, `1.1`, `2.0` */
  readonly httpVersion: string;
  readonly rawHeaders: readonly string[];
  readonly headers: IncomingHttpHeaders;
  /** All of it has arrived. */
  readonly complete: boolean;
}

export interface OutgoingAnswer {
  /** Its end says whether it is whole: it has chunks, or frames. */
  readonly chunkedEncoding: boolean;
  readonly writableFinished: boolean;
  /** What has not left yet, and how much of that is enough: in bytes, or in frames of the connection. */
  readonly writableLength: number;
  readonly writableHighWaterMark: number;
  readonly destroyed: boolean;
  /** Null: those before it on its connection are not over. What is written of it waits, and its head goes first. */
  readonly socket?: object | null;
  sendDate: boolean;
  /** HTTP/1.1: the connection is kept after it. */
  shouldKeepAlive: boolean;
  writeHead(status: number, reason: string, headers: string[]): unknown;
  flushHeaders(): void;
  /** False: no more for now; 'drain' follows. */
  write(chunk: Buffer): boolean;
  addTrailers(fields: [string, string][]): void;
  end(content?: Buffer): unknown;
  writeContinue(): void;
  /** An answer before the answer; Node before 26.2 cannot write one over HTTP/1.1. */
  writeInformation?(status: number, headers: string[]): unknown;
  on(event: 'drain', listener: () => void): unknown;
  on(event: 'error', listener: (error: Error) => void): unknown;
  once(event: 'close', listener: () => void): unknown;
}

/** What a connection has to know of a request in progress. */
export interface OpenExchange {
  /** Its request has arrived whole. */
  readonly received: boolean;
  /** Its answer has begun. */
  readonly answering: boolean;
  clientGone(): void;
  /** Breaks both sides off. */
  abort(): void;
}

/** The way to the client that a request came on: a connection, or one stream of it. */
export interface ClientWay {
  readonly peer: Peer;
  /** The answer being sent is the last; what else arrives is not looked at. */
  last: boolean;
  add(exchange: OpenExchange): void;
  remove(exchange: OpenExchange): void;
  /** Breaks it off: an answer that has begun is visibly not whole. */
  cut(): void;
  /** As `cut`, where the end of the connection alone would pass for the end of the answer. */
  reset(): void;
  /** Bytes since it was asked this before. */
  sinceLast(): { readonly receivedBytes: number; readonly sentBytes: number };
}
