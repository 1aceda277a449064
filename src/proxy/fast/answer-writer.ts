/** Writes an answer to a client as it comes: its head and what came with it in one write, its body by its own framing. */
import type { Socket } from 'node:net';
import { waitHeaders } from '../cold-headers.ts';
import { CHUNK_END, LAST_CHUNK, MAX_CHUNK_HEAD_BYTES, writeChunkHead } from '../http1/chunk-encoding.ts';
import { fieldLines } from '../http1/field-lines.ts';
import { CHUNKED, UNTIL_CLOSE } from '../http1/framing.ts';
import type { ResponseHead } from '../http1/response-head.ts';
import { maxResponseBytes, SEND_CHUNKED, SEND_CLOSE, writeResponse } from '../http1/write-response.ts';
import type { Lease } from '../lease.ts';
import type { FastContext } from './context.ts';
import { COPY_BYTES } from './scratch.ts';

export interface AnswerBeginning {
  readonly lease: Lease;
  /** The client's connection ends with it. */
  readonly last: boolean;
  /** What came of the body, in [from, to). */
  readonly body: Buffer;
  readonly from: number;
  readonly to: number;
}

export class AnswerWriter {
  readonly #context: FastContext;
  readonly #socket: Socket;
  #hasWritten = false;
  /** It ends with the app's connection; the client's goes on, and is sent chunks, so that a break is no end. */
  #wraps = false;

  constructor(context: FastContext, socket: Socket) {
    this.#context = context;
    this.#socket = socket;
  }

  /** An answer before the answer. */
  interim(head: ResponseHead, source: Buffer, start: number): void {
    const { scratch } = this.#context;
    this.#hurry();
    const out = scratch.reserve(maxResponseBytes(head));
    this.#send(writeResponse(head, source, start, out, 0, 0));
  }

  begin(head: ResponseHead, source: Buffer, start: number, beginning: AnswerBeginning): void {
    const { lease, last, body, from, to } = beginning;
    const { scratch } = this.#context;
    this.#hurry();
    this.#wraps = head.framing === UNTIL_CLOSE;
    const chunks = head.framing === CHUNKED || this.#wraps;
    const lines = lease.wait === undefined ? undefined : this.#waitLines(lease);
    const copied = to - from <= COPY_BYTES && !this.#wraps ? to - from : 0;
    const out = scratch.reserve(maxResponseBytes(head, lines) + copied);
    const send = (chunks ? SEND_CHUNKED : 0) | (last ? SEND_CLOSE : 0);
    let end = writeResponse(head, source, start, out, 0, send, lines);
    if (copied > 0) end += body.copy(out, end, from, to);
    this.#send(end);
    if (to - from > copied) this.part(body, from, to);
  }

  part(body: Buffer, from: number, to: number): void {
    const { counters, scratch } = this.#context;
    this.#hurry();
    counters.sentBytes += to - from;
    if (this.#wraps) this.#send(writeChunkHead(to - from, scratch.reserve(MAX_CHUNK_HEAD_BYTES), 0));
    if (to - from <= COPY_BYTES) scratch.copy(this.#socket, body, from, to);
    else this.#socket.write(body.subarray(from, to));
    if (this.#wraps) this.#write(CHUNK_END);
  }

  end(): void {
    if (!this.#wraps) return;
    this.#hurry();
    this.#write(LAST_CHUNK);
  }

  /** What is written first leaves at once; only what follows could be kept back until that has arrived (RFC 9293 §3.7.4). */
  #hurry(): void {
    if (this.#hasWritten) this.#socket.setNoDelay(true);
    this.#hasWritten = true;
  }

  #send(bytes: number): void {
    this.#context.counters.sentBytes += bytes;
    this.#context.scratch.send(this.#socket, bytes);
  }

  #write(bytes: Buffer): void {
    this.#context.counters.sentBytes += bytes.length;
    this.#socket.write(bytes);
  }

  #waitLines(lease: Lease): Buffer | undefined {
    if (lease.wait === undefined) return undefined;
    const headers = waitHeaders(lease, this.#context.clock.monotonicMs());
    return headers.length === 0 ? undefined : fieldLines(headers);
  }
}
