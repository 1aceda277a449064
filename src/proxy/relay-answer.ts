/**
 * Passes an answer on as it comes: its head at once even if no body follows yet (an event stream says nothing for a while),
 * its body with backpressure, its trailers. It is either whole or visibly broken, never silently short.
 */
import type { BufferSweep } from './buffer-sweep.ts';
import type { ArrivedRequest, OutgoingAnswer } from './client-side.ts';
import { responseHeaders, trailerFields } from './forward-headers.ts';
import type { StallWatch } from './stall-watch.ts';
import type { UpstreamAnswer } from './upstream-side.ts';

export interface RelayAnswerOptions {
  readonly answer: UpstreamAnswer;
  readonly res: OutgoingAnswer;
  /** The client's request. */
  readonly req: ArrivedRequest;
  readonly watch: StallWatch;
  readonly sweep: BufferSweep;
  /** Header fields to add: names and values in turn. */
  readonly extra: readonly string[];
  /** Its connection has failed, whatever the answer says of its end. */
  readonly isBroken: () => boolean;
  /** All of it has been handed to the client's connection. */
  readonly onWhole: () => void;
  /** It ended too soon. */
  readonly onTruncated: () => void;
  /** What has been written is more than the client's connection takes for now. */
  readonly onWaiting: () => void;
}

/** Throws where the answer's head cannot be one for the client; nothing has been sent then. */
export function relayAnswer(options: RelayAnswerOptions): void {
  const { answer, res, req, watch, sweep } = options;
  const { statusCode = 502, statusMessage = '' } = answer;
  if (statusCode < 200) throw new RangeError(`${statusCode} is no final status`);
  const chunked = answer.headers['transfer-encoding'] !== undefined || answer.httpVersion === '2.0';
  const trailers = chunked && req.httpVersion !== '1.0' && req.method !== 'HEAD';
  let whole = false;
  let sent = false;

  res.sendDate = false; // the app's own, or none
  res.writeHead(
    statusCode,
    statusMessage,
    responseHeaders({ rawHeaders: answer.rawHeaders, trailers, extra: options.extra }),
  );
  res.on('drain', () => {
    watch.rest();
    answer.resume();
  });
  answer.on('data', (chunk: Buffer) => {
    sent = true;
    sweep.relayed(chunk.length);
    if (res.write(chunk)) return;
    answer.pause();
    options.onWaiting();
  });
  answer.once('end', () => {
    if (!answer.complete || options.isBroken()) return; // 'close' tells
    whole = true;
    if (trailers && answer.rawTrailers.length > 0) res.addTrailers(trailerFields(answer.rawTrailers));
    res.end();
    if (!res.writableFinished) options.onWaiting();
    options.onWhole();
  });
  answer.on('error', () => undefined); // 'close' follows
  answer.once('close', () => {
    if (!whole) options.onTruncated();
  });
  // What arrived together with the head leaves together with it; a head that came alone goes alone, now.
  setImmediate(() => {
    if (!sent && !whole && !res.destroyed) res.flushHeaders();
  });
}
