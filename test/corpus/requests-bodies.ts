/** Chunks, chunk extensions and trailers (RFC 9112 §7.1): those that pass, and those that are none. */
import { broken, byte, hex, HIDDEN, incomplete, passed, POST, seen } from './cases.ts';
import type { ExpectedRequest, Reason, RequestCase } from './types.ts';

const CHUNKED = `${POST}Transfer-Encoding: chunked\r\n\r\n`;
const END = '0\r\n\r\n';

const bad = ([name, chunks, reason]: readonly [string, string, Reason]): RequestCase =>
  broken('chunks', name, CHUNKED + chunks, reason);

const SIZES = [
  ...(
    [
      ['no size', `\r\nabc\r\n${END}`, 'badChunkSize'],
      ['a letter', `g\r\nabc\r\n${END}`, 'badChunkSize'],
      ['a word', `three\r\nabc\r\n${END}`, 'badChunkSize'],
      ['a plus', `+3\r\nabc\r\n${END}`, 'badChunkSize'],
      ['a minus', `-3\r\nabc\r\n${END}`, 'badChunkSize'],
      ['0x', `0x3\r\nabc\r\n${END}`, 'badChunkSize'],
      ['a trailing h', `3h\r\nabc\r\n${END}`, 'badChunkSize'],
      ['a space before', ` 3\r\nabc\r\n${END}`, 'badChunkSize'],
      ['a tab before', `\t3\r\nabc\r\n${END}`, 'badChunkSize'],
      ['a space behind', `3 \r\nabc\r\n${END}`, 'badChunkSize'],
      ['a tab behind', `3\t\r\nabc\r\n${END}`, 'badChunkSize'],
      ['a space inside', `1 0\r\n0123456789abcdef\r\n${END}`, 'badChunkSize'],
      ['an underscore inside', `1_0\r\n0123456789abcdef\r\n${END}`, 'badChunkSize'],
      ['a comma', `3,3\r\nabc\r\n${END}`, 'badChunkSize'],
      ['a dot', `3.\r\nabc\r\n${END}`, 'badChunkSize'],
      ['quoted', `"3"\r\nabc\r\n${END}`, 'badChunkSize'],
      ['a NUL behind', `3\x00\r\nabc\r\n${END}`, 'badChunkSize'],
      ['a superscript', `\xb3\r\nabc\r\n${END}`, 'badChunkSize'],
      ['a space behind the last', `3\r\nabc\r\n0 \r\n\r\n`, 'badChunkSize'],
      ['a minus before the last', `3\r\nabc\r\n-0\r\n\r\n`, 'badChunkSize'],
      ['LF behind', `3\nabc\r\n${END}`, 'bareLf'],
      ['LF behind the last', `3\r\nabc\r\n0\n\n`, 'bareLf'],
      ['CR behind', `3\rabc\r\n${END}`, 'bareCr'],
      ['CR CR LF behind', `3\r\r\nabc\r\n${END}`, 'bareCr'],
      ['2^53', `20000000000000\r\nabc`, 'chunkTooLarge'],
      ['2^64', `10000000000000000\r\nabc`, 'chunkTooLarge'],
      ['2^64 + 3', `10000000000000003\r\nabc\r\n${END}`, 'chunkTooLarge'],
      ['2^63', `8000000000000000\r\nabc`, 'chunkTooLarge'],
      ['ffffffffffffffff', `ffffffffffffffff\r\nabc`, 'chunkTooLarge'],
      ['seventeen digits of zeros', `00000000000000003\r\nabc\r\n${END}`, 'chunkTooLarge'],
      ['a thousand zeros', `${'0'.repeat(1000)}\r\n\r\n`, 'chunkTooLarge'],
      ['data longer than its size', `3\r\nabcd\r\n${END}`, 'badChunkEnd'],
      ['data shorter than its size', `5\r\nabc\r\n${END}`, 'badChunkEnd'],
      ['nothing behind the data', `3\r\nabc${END}`, 'badChunkEnd'],
      ['LF behind the data', `3\r\nabc\n${END}`, 'badChunkEnd'],
      ['CR behind the data', `3\r\nabc\r${END}`, 'badChunkEnd'],
      ['LF CR behind the data', `3\r\nabc\n\r${END}`, 'badChunkEnd'],
      ['two bytes that are no CRLF behind the data', `3\r\nabcXX${END}`, 'badChunkEnd'],
      ['two CRLF behind the data', `3\r\nabc\r\n\r\n${END}`, 'badChunkSize'],
      ['an empty line before', `\r\n3\r\nabc\r\n${END}`, 'badChunkSize'],
      ['a request where a size should be', HIDDEN, 'badChunkSize'],
    ] as const
  ).map(bad),
  ...[1, 11, 12, 31, 127, 160].map((code) =>
    bad([`${hex(code)} behind`, `3${byte(code)}\r\nabc\r\n${END}`, 'badChunkSize']),
  ),
];

const EXTENSIONS = (
  [
    ['no name', `3;\r\nabc\r\n${END}`, 'badChunkExtension'],
    ['a value without a name', `3;=b\r\nabc\r\n${END}`, 'badChunkExtension'],
    ['no value', `3;a=\r\nabc\r\n${END}`, 'badChunkExtension'],
    ['two semicolons', `3;;a\r\nabc\r\n${END}`, 'badChunkExtension'],
    ['a space before the semicolon', `3 ;a\r\nabc\r\n${END}`, 'badChunkSize'],
    ['a space behind the semicolon', `3; a\r\nabc\r\n${END}`, 'badChunkExtension'],
    ['a space behind the name', `3;a \r\nabc\r\n${END}`, 'badChunkExtension'],
    ['a space before the value', `3;a= b\r\nabc\r\n${END}`, 'badChunkExtension'],
    ['two values', `3;a=b=c\r\nabc\r\n${END}`, 'badChunkExtension'],
    ['LF behind the name', `3;a\nabc\r\n${END}`, 'bareLf'],
    ['LF behind the semicolon', `3;\nabc\r\n${END}`, 'badChunkExtension'],
    ['LF behind the value', `3;a=b\nabc\r\n${END}`, 'bareLf'],
    ['LF in a quoted value', `3;a="\n"\r\nabc\r\n${END}`, 'badChunkExtension'],
    ['CR in a quoted value', `3;a="\r\n"\r\nabc\r\n${END}`, 'badChunkExtension'],
    ['an escaped LF', `3;a="\\\n"\r\nabc\r\n${END}`, 'badChunkExtension'],
    ['an open quote', `3;a="b\r\nabc\r\n${END}`, 'badChunkExtension'],
    ['something behind the quote', `3;a="b"c\r\nabc\r\n${END}`, 'badChunkExtension'],
    ['CR alone behind', `3;a\rabc\r\n${END}`, 'bareCr'],
    ['a NUL', `3;a\x00\r\nabc\r\n${END}`, 'badChunkExtension'],
    ['a control character in quotes', `3;a="\x01"\r\nabc\r\n${END}`, 'badChunkExtension'],
    ['at the last chunk, with LF', `3\r\nabc\r\n0;a\n\r\n`, 'bareLf'],
    ['too long', `3;a=${'b'.repeat(20_000)}\r\nabc\r\n${END}`, 'chunkExtensionsTooLarge'],
    ['too many in all', `${`1;a=${'b'.repeat(500)}\r\nx\r\n`.repeat(40)}${END}`, 'chunkExtensionsTooLarge'],
  ] as const
).map(([name, chunks, reason]) => broken('chunk extensions', name, CHUNKED + chunks, reason));

const FORBIDDEN = [
  'Content-Length: 5',
  'content-length: 5',
  'Content_Length: 5',
  'Transfer-Encoding: chunked',
  'Transfer-Encoding: identity',
  'Host: b.test',
  'Connection: close',
  'Keep-Alive: timeout=5',
  'HTTP2-Settings: AA',
  'TE: trailers',
  'Trailer: X-A',
  'Upgrade: h2c',
  'Expect: 100-continue',
  'Authorization: Basic eDp5',
  'Proxy-Authorization: Basic eDp5',
  'Proxy: http://b.test',
  'Cookie: a=b',
  'Set-Cookie: a=b',
  'Content-Type: text/html',
  'Content-Encoding: gzip',
  'Content-Range: bytes 0-1/2',
  'Cache-Control: no-store',
  'Max-Forwards: 0',
  'Range: bytes=0-1',
  'If-Match: "a"',
  'Forwarded: for=6.6.6.6',
  'X-Forwarded-For: 6.6.6.6',
  'X_Forwarded_Proto: https',
  'X-Real-IP: 6.6.6.6',
  'Mayfly-Internal: 1',
  'Mayfly_Internal: 1',
].map((line) => broken('trailers', line, `${CHUNKED}0\r\n${line}\r\n\r\n`, 'forbiddenTrailer'));

const TRAILERS = (
  [
    ['a folded one', '0\r\nX-A: b\r\n c\r\n\r\n', 'obsFold'],
    ['a leading space', '0\r\n X-A: b\r\n\r\n', 'leadingSpace'],
    ['a space before the colon', '0\r\nX-A : b\r\n\r\n', 'spaceBeforeColon'],
    ['no colon', '0\r\nGarbage\r\n\r\n', 'noColon'],
    ['no name', '0\r\n: b\r\n\r\n', 'badFieldName'],
    ['a bad name', '0\r\nX(A: b\r\n\r\n', 'badFieldName'],
    ['a NUL in the name', '0\r\nX\x00A: b\r\n\r\n', 'nul'],
    ['a NUL in the value', '0\r\nX-A: b\x00\r\n\r\n', 'nul'],
    ['a control character', '0\r\nX-A: b\x0b\r\n\r\n', 'control'],
    ['LF behind one', '0\r\nX-A: b\n\r\n', 'bareLf'],
    ['CR behind one', '0\r\nX-A: b\rX-B: c\r\n\r\n', 'bareCr'],
    ['LF as the empty line', '0\r\nX-A: b\r\n\n', 'bareLf'],
    ['CR as the empty line', '0\r\n\rX', 'bareCr'],
    ['LF alone', '0\r\n\n', 'bareLf'],
    ['a request where trailers should be', `0\r\n${HIDDEN}`, 'spaceBeforeColon'],
    ['too long', `0\r\nX-A: ${'b'.repeat(10_000)}\r\n\r\n`, 'trailersTooLarge'],
    ['too many', `0\r\n${'X-A: b\r\n'.repeat(100)}\r\n`, 'trailersTooLarge'],
    ['too long a name', `0\r\n${'b'.repeat(10_000)}: b\r\n\r\n`, 'trailersTooLarge'],
  ] as const
).map(([name, chunks, reason]) => broken('trailers', name, CHUNKED + chunks, reason));

const post = (body: string, more: Partial<ExpectedRequest> = {}) => seen({ method: 'POST', body, ...more });

const PASSED = (
  [
    ['one', `3\r\nabc\r\n${END}`, 'abc'],
    ['two', `3\r\nabc\r\n2\r\nde\r\n${END}`, 'abcde'],
    ['none', END, ''],
    ['a size in upper case', `A\r\n0123456789\r\n${END}`, '0123456789'],
    ['a size in lower case', `a\r\n0123456789\r\n${END}`, '0123456789'],
    ['a size with zeros before it', `0003\r\nabc\r\n${END}`, 'abc'],
    ['sixteen digits', `0000000000000003\r\nabc\r\n${END}`, 'abc'],
    ['several zeros at the end', `3\r\nabc\r\n000\r\n\r\n`, 'abc'],
    ['CRLF in the data', `7\r\na\r\nb\r\nc\r\n${END}`, 'a\r\nb\r\nc'],
    ['a request in the data', `${HIDDEN.length.toString(16)}\r\n${HIDDEN}\r\n${END}`, HIDDEN],
    ['every byte in the data', `100\r\n${everyByte()}\r\n${END}`, everyByte()],
    ['an extension', `3;a\r\nabc\r\n${END}`, 'abc'],
    ['an extension with a value', `3;a=b\r\nabc\r\n${END}`, 'abc'],
    ['an extension in quotes', `3;a="b c"\r\nabc\r\n${END}`, 'abc'],
    ['an escaped quote in an extension', `3;a="b\\"c"\r\nabc\r\n${END}`, 'abc'],
    ['several extensions', `3;a;b=c;d="e";f\r\nabc\r\n${END}`, 'abc'],
    ['an extension at the end', `3\r\nabc\r\n0;a=b\r\n\r\n`, 'abc'],
  ] as const
).map(([name, chunks, body]) => passed('chunks', name, CHUNKED + chunks, post(body)));

function everyByte(): string {
  return Array.from({ length: 256 }, (_, code) => byte(code)).join('');
}

const WITH_TRAILERS = [
  passed('trailers', 'one', `${CHUNKED}3\r\nabc\r\n0\r\nX-Sum: 7\r\n\r\n`, post('abc')),
  passed('trailers', 'several', `${CHUNKED}0\r\nX-A: 1\r\nX-B:\r\ngrpc-status: 0\r\n\r\n`, post('')),
  passed('trailers', 'with what follows', `${CHUNKED}0\r\nX-A: 1\r\n\r\n${HIDDEN}`, post(''), {
    target: '/hidden',
  }),
  passed('chunks', 'with what follows', `${CHUNKED}1\r\na\r\n${END}${HIDDEN}`, post('a'), {
    target: '/hidden',
  }),
];

const LENGTHS = [
  passed('bodies', 'by length', `${POST}Content-Length: 3\r\n\r\nabc`, post('abc')),
  passed(
    'bodies',
    'of length 0',
    `${POST}Content-Length: 0\r\n\r\n`,
    post('', { sees: ['Content-Length: 0'] }),
  ),
  passed('bodies', 'none said', `${POST}\r\n`, post('', { sees: ['Content-Length: 0'] })),
  passed('bodies', 'a length with zeros before it', `${POST}Content-Length: 0003\r\n\r\nabc`, post('abc')),
  passed('bodies', 'white space around the length', `${POST}Content-Length: \t 3\t \r\n\r\nabc`, post('abc')),
  passed('bodies', 'no white space before the length', `${POST}Content-Length:3\r\n\r\nabc`, post('abc')),
  passed('bodies', 'in a GET', 'GET / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 3\r\n\r\nabc', {
    body: 'abc',
  }),
  passed(
    'bodies',
    'that are a request',
    `${POST}Content-Length: ${HIDDEN.length}\r\n\r\n${HIDDEN}`,
    post(HIDDEN),
  ),
  passed('bodies', 'with what follows', `${POST}Content-Length: 3\r\n\r\nabc${HIDDEN}`, post('abc'), {
    target: '/hidden',
  }),
  passed(
    'bodies',
    'with an empty line behind',
    `${POST}Content-Length: 3\r\n\r\nabc\r\n${HIDDEN}`,
    post('abc'),
    { target: '/hidden' },
  ),
  incomplete('unfinished bodies', 'by length', `${POST}Content-Length: 3\r\n\r\nab`),
  incomplete(
    'unfinished bodies',
    'of the largest length',
    `${POST}Content-Length: 9007199254740991\r\n\r\nab`,
  ),
  incomplete('unfinished bodies', 'in a size', `${CHUNKED}3`),
  incomplete('unfinished bodies', 'in a chunk', `${CHUNKED}3\r\nab`),
  incomplete('unfinished bodies', 'behind a chunk', `${CHUNKED}3\r\nabc\r\n`),
  incomplete('unfinished bodies', 'of the largest size', `${CHUNKED}1fffffffffffff\r\nab`),
  incomplete('unfinished bodies', 'behind the last chunk', `${CHUNKED}0\r\n`),
  incomplete('unfinished bodies', 'before the last LF', `${CHUNKED}0\r\n\r`),
  incomplete('unfinished bodies', 'in a trailer', `${CHUNKED}0\r\nX-A: b\r\n`),
];

export const BODY_CASES: readonly RequestCase[] = [
  ...SIZES,
  ...EXTENSIONS,
  ...FORBIDDEN,
  ...TRAILERS,
  ...PASSED,
  ...WITH_TRAILERS,
  ...LENGTHS,
];
