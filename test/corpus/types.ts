/** What a corpus case is: bytes as a peer would send them, and the one way in which they are to be taken. */
import type { REFUSALS } from '../../src/proxy/http1/refusals.ts';

export type Reason = keyof typeof REFUSALS;

/**
 * How it goes on after the messages that are whole: `idle`: nothing is left; `refused`: a head that is not passed on, no byte
 * of it; `broken`: a head is passed on, but its body is not a body, so it must never end for whoever reads it behind us;
 * `incomplete`: more bytes are waited for.
 */
export type End = 'idle' | 'refused' | 'broken' | 'incomplete';

export interface ExpectedRequest {
  readonly method: string;
  /** As the app sees it. */
  readonly target: string;
  /** The Host that the app sees. */
  readonly host: string;
  /** Its payload, latin1. */
  readonly body: string;
  /** Fields that the app must see, each as a whole line. */
  readonly sees?: readonly string[];
  /** Names, in lower case, of fields that it must not see. */
  readonly hidden?: readonly string[];
}

export interface RequestCase {
  readonly family: string;
  readonly name: string;
  /** All that a client sends, latin1. */
  readonly bytes: string;
  /** The requests that the app sees, whole and in this order, and no others. */
  readonly requests: readonly ExpectedRequest[];
  readonly end: End;
  /** Of `refused` and `broken`. */
  readonly reason?: Reason;
}

export interface ExpectedResponse {
  readonly status: number;
  readonly body: string;
  readonly sees?: readonly string[];
  readonly hidden?: readonly string[];
}

export interface ResponseCase {
  readonly family: string;
  readonly name: string;
  /** What was asked. */
  readonly method: string;
  /** All that the app sends, latin1; then it closes the connection. */
  readonly bytes: string;
  /** The answers that the client sees, interim ones first. */
  readonly responses: readonly ExpectedResponse[];
  /** `idle`: whole; `refused`: 502; `broken`: cut off, visibly; `incomplete`: the app closed too soon. */
  readonly end: End;
  readonly reason?: Reason;
  /** Whether the connection to the app may be used again, were it not closed. */
  readonly reusable: boolean;
}
