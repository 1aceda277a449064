/** What a call of `parse` comes to. */

/** More bytes are needed: call again with all of the head so far, wherever it is by then. */
export const INCOMPLETE = 0;
/** It has been read to its end; what is behind it belongs to the body or to the next message. */
export const COMPLETE = 1;
/** It is not passed on, and nothing that follows on the connection means anything: `refusal` says why. */
export const REFUSED = 2;
export type HeadResult = typeof INCOMPLETE | typeof COMPLETE | typeof REFUSED;

/**
 * Legal, but not what nearly all requests are: reasons for a caller to hand the connection to someone with more patience.
 * Bits of `RequestHead.odd`.
 */
export const ODD = {
  /** GET with `Upgrade: websocket`, asked for by `Connection` too. Other protocols are not offered: HTTP/1.1 goes on. */
  webSocket: 1,
  /** The target is a URL. `writeRequest` makes a path of it. */
  absoluteForm: 2,
  /** `OPTIONS *`: about the server as a whole. */
  asteriskForm: 4,
  /** A method without a number, such as PROPFIND. */
  method: 8,
  /** HTTP/1.0 without a Host: nobody can say whom it is for. `host` is empty; it cannot be passed on. */
  noHost: 16,
  /** The Host has bytes that are not ASCII; it was read as UTF-8. */
  idnHost: 32,
  /** `Expect` asks for something else than 100-continue. */
  expectation: 64,
  /** It says which trailers will come: of those, some may not pass. */
  trailers: 128,
} as const;
