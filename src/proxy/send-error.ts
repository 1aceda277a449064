/** Sends an answer of our own, an error nearly always, on a response that has not begun, so that it arrives even while the client is still sending. */
import type { Clock } from '../clock.ts';
import type { PlatformError } from '../errors.ts';
import type { ArrivedRequest, OutgoingAnswer } from './client-side.ts';
import { ownAnswer } from './stand-in.ts';
import type { StandIn } from './stand-in.ts';

export interface SendErrorOptions {
  readonly req: ArrivedRequest;
  readonly res: OutgoingAnswer;
  readonly error: PlatformError | StandIn;
  readonly clock: Clock;
  readonly lingerMs: number;
}

/**
 * A connection that is closed while request bytes arrive is reset, and a reset can overtake the answer. So the answer is
 * sent at once, with its length, and the connection closed only when the request is over or `lingerMs` have passed.
 */
export function sendError({ req, res, error, clock, lingerMs }: SendErrorOptions): void {
  const { status, reason, headers, body } = ownAnswer(error, req.headers.accept);
  res.writeHead(status, reason, headers);
  const content = req.method === 'HEAD' ? undefined : body;
  if (req.complete) {
    res.end(content);
    return;
  }
  if (content === undefined) res.flushHeaders();
  else res.write(content);
  const end = () => {
    cancel();
    res.end();
  };
  const cancel = clock.after(lingerMs, end);
  req.once('end', end);
  req.once('close', end);
  req.resume();
}
