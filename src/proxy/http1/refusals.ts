/**
 * Every reason for which a message is not passed on. Where two readers of the same bytes could disagree about where a message
 * ends or whom it is for, a second message can be hidden from one of them (RFC 9112 §11.2): such bytes have no reading here.
 */

export type RefusalCode = 'bad_request' | 'ambiguous_http' | 'headers_too_large' | 'uri_too_long';

export interface Refusal {
  /** What a client is answered. What an app sends and we refuse is `upstream_broken`, whatever the code here. */
  readonly code: RefusalCode;
  /** For whoever sent it: a clause without a full stop. */
  readonly reason: string;
}

const malformed = (reason: string): Refusal => ({ code: 'bad_request', reason });
const ambiguous = (reason: string): Refusal => ({ code: 'ambiguous_http', reason });

export const REFUSALS = {
  // The request line.
  badMethod: malformed('the method is not a token'), // RFC 9110 §9.1
  unknownMethod: malformed('the method is not a known one'), // RFC 9110 §9.1; Node's server would not take it either
  connectMethod: malformed('there is no CONNECT here'), // RFC 9110 §9.3.6: it is for forward proxies
  badRequestLine: malformed('the request line is not "method SP target SP version"'), // RFC 9112 §3
  badTarget: malformed('the request target has a character that may not be in it'), // RFC 9112 §3.2
  noTargetForm: malformed('the request target is neither a path nor an http URL'), // RFC 9112 §3.2
  asteriskForm: malformed('only OPTIONS may have the target *'), // RFC 9112 §3.2.4
  version: malformed('the version is neither HTTP/1.1 nor HTTP/1.0'), // RFC 9112 §2.3
  http2Preface: malformed('this is HTTP/2'), // RFC 9113 §3.4; a caller that speaks it takes the connection from here
  userinfo: ambiguous('the request target has user information in it'), // RFC 9110 §4.2.4
  badAuthority: ambiguous('the request target names no valid host'), // RFC 9110 §4.2.1
  authorityMismatch: ambiguous('the request target names another host than Host does'), // RFC 9112 §3.2.2
  targetTooLong: { code: 'uri_too_long', reason: 'the request target is too long' }, // RFC 9112 §3

  // The status line.
  badStatusLine: malformed('the status line is not "version SP status SP reason"'), // RFC 9112 §4
  badStatus: malformed('the status is not one of 100 to 599'), // RFC 9110 §15
  unaskedUpgrade: malformed('it switched to a protocol nobody asked for'), // RFC 9110 §15.2.2

  // Field lines, in heads and trailers alike.
  bareCr: ambiguous('there is a CR without LF'), // RFC 9112 §2.2
  bareLf: ambiguous('there is a LF without CR'), // RFC 9112 §2.2: MAY be taken for a line's end, so readers differ
  nul: ambiguous('there is a NUL'), // RFC 9110 §5.5
  control: ambiguous('a field value has a control character'), // RFC 9110 §5.5
  obsFold: ambiguous('a field line is folded'), // RFC 9112 §5.2
  leadingSpace: ambiguous('there is white space before the first field'), // RFC 9112 §2.2
  spaceBeforeColon: ambiguous('there is white space between a field name and its colon'), // RFC 9112 §5.1
  noColon: ambiguous('a field line has no colon'), // RFC 9112 §5
  badFieldName: ambiguous('a field name is not a token'), // RFC 9110 §5.1
  headTooLarge: { code: 'headers_too_large', reason: 'the header section is too large' }, // RFC 6585 §5
  tooManyFields: { code: 'headers_too_large', reason: 'there are too many fields' }, // RFC 6585 §5
  tooManyNamed: malformed('Connection names too many fields'), // RFC 9110 §7.6.1; comparing all with all would cost

  // Whom it is for.
  noHost: ambiguous('there is no Host'), // RFC 9112 §3.2
  repeatedHost: ambiguous('there is more than one Host'), // RFC 9112 §3.2
  badHost: ambiguous('the Host is not a valid hostname'), // RFC 9112 §3.2, RFC 9110 §7.2

  // Where it ends.
  repeatedLength: ambiguous('there is more than one Content-Length'), // RFC 9110 §8.6, RFC 9112 §6.3
  badLength: ambiguous('the Content-Length is not a number'), // RFC 9110 §8.6; lists of one value are refused as well
  lengthTooLarge: ambiguous('the Content-Length is beyond counting'), // RFC 9110 §8.6
  repeatedEncoding: ambiguous('there is more than one Transfer-Encoding'), // RFC 9112 §6.1
  badEncoding: ambiguous('the Transfer-Encoding is not chunked alone'), // RFC 9112 §6.1, §7
  encodingInHttp10: ambiguous('HTTP/1.0 has no Transfer-Encoding'), // RFC 9112 §6.1
  lengthAndEncoding: ambiguous('there are both Content-Length and Transfer-Encoding'), // RFC 9112 §6.1, §6.3
  bodyOfTrace: malformed('a TRACE request has no body'), // RFC 9110 §9.3.8
  bodyOfBodiless: ambiguous('an answer that has no body says how long it is'), // RFC 9112 §6.1, RFC 9110 §8.6

  // Chunks.
  badChunkSize: ambiguous('a chunk size is not hexadecimal digits and CRLF'), // RFC 9112 §7.1
  chunkTooLarge: ambiguous('a chunk size is beyond counting'), // RFC 9112 §7.1
  badChunkExtension: ambiguous('a chunk extension is malformed'), // RFC 9112 §7.1.1
  chunkExtensionsTooLarge: ambiguous('chunk extensions are too large'), // RFC 9112 §7.1.1
  badChunkEnd: ambiguous('a chunk does not end where its size says'), // RFC 9112 §7.1
  forbiddenTrailer: ambiguous('a trailer has a field that may not be in it'), // RFC 9110 §6.5.1
  trailersTooLarge: { code: 'headers_too_large', reason: 'the trailers are too large' }, // RFC 9112 §7.1.2
} as const satisfies Record<string, Refusal>;
