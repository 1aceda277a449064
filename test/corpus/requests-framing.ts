/** Content-Length and Transfer-Encoding that can be read in two ways (RFC 9112 §6): the families of request smuggling. */
import { byte, hex, passed, POST, refused } from './cases.ts';
import type { Reason, RequestCase } from './types.ts';

const CHUNKS = '0\r\n\r\n';

const length = ([name, lines, reason]: readonly [string, string, Reason]): RequestCase =>
  refused('Content-Length', name, `${POST}${lines}\r\n\r\n`, reason);

const LENGTHS = (
  [
    ['empty', 'Content-Length:', 'badLength'],
    ['blank', 'Content-Length:  \t', 'badLength'],
    ['plus', 'Content-Length: +3', 'badLength'],
    ['minus', 'Content-Length: -3', 'badLength'],
    ['minus zero', 'Content-Length: -0', 'badLength'],
    ['hexadecimal', 'Content-Length: 0x3', 'badLength'],
    ['hexadecimal digits', 'Content-Length: a', 'badLength'],
    ['a fraction', 'Content-Length: 3.0', 'badLength'],
    ['an exponent', 'Content-Length: 1e1', 'badLength'],
    ['a thousands separator', 'Content-Length: 1_000', 'badLength'],
    ['a space inside', 'Content-Length: 3 0', 'badLength'],
    ['a tab inside', 'Content-Length: 3\t0', 'badLength'],
    ['a list', 'Content-Length: 3, 3', 'badLength'],
    ['a list without a space', 'Content-Length: 3,3', 'badLength'],
    ['a list of two', 'Content-Length: 3, 40', 'badLength'],
    ['a trailing comma', 'Content-Length: 3,', 'badLength'],
    ['a leading comma', 'Content-Length: ,3', 'badLength'],
    ['a parameter', 'Content-Length: 3;a=b', 'badLength'],
    ['quoted', 'Content-Length: "3"', 'badLength'],
    ['a unit', 'Content-Length: 3b', 'badLength'],
    ['a word', 'Content-Length: chunked', 'badLength'],
    ['a superscript', 'Content-Length: \xb3', 'badLength'],
    ['a no-break space', 'Content-Length:\xa03', 'badLength'],
    ['NUL at the end', 'Content-Length: 3\x00', 'nul'],
    ['vertical tab', 'Content-Length:\x0b3', 'control'],
    ['2^53', 'Content-Length: 9007199254740992', 'lengthTooLarge'],
    ['2^63', 'Content-Length: 9223372036854775808', 'lengthTooLarge'],
    ['2^64', 'Content-Length: 18446744073709551616', 'lengthTooLarge'],
    ['2^64 + 3', 'Content-Length: 18446744073709551619', 'lengthTooLarge'],
    ['a hundred nines', `Content-Length: ${'9'.repeat(100)}`, 'lengthTooLarge'],
    ['a thousand digits and a letter', `Content-Length: ${'9'.repeat(1000)}x`, 'badLength'],
    ['twice, differing', 'Content-Length: 0\r\nContent-Length: 40', 'repeatedLength'],
    ['twice, the other way', 'Content-Length: 40\r\nContent-Length: 0', 'repeatedLength'],
    ['twice, the same', 'Content-Length: 3\r\nContent-Length: 3', 'repeatedLength'],
    ['twice, in two cases', 'Content-Length: 3\r\ncONTENT-lENGTH: 3', 'repeatedLength'],
    ['twice, with a field between', 'Content-Length: 3\r\nX-A: b\r\nContent-Length: 3', 'repeatedLength'],
    ['twice, zeros', 'Content-Length: 0\r\nContent-Length: 00', 'repeatedLength'],
    ['a space before the colon', 'Content-Length : 3', 'spaceBeforeColon'],
    ['a tab before the colon', 'Content-Length\t: 3', 'spaceBeforeColon'],
    ['a NUL in the name', 'Content\x00-Length: 3', 'nul'],
  ] as const
).map(length);

const encoding = ([name, lines, reason]: readonly [string, string, Reason]): RequestCase =>
  refused('Transfer-Encoding', name, `${POST}${lines}\r\n\r\n${CHUNKS}`, reason);

const ENCODINGS = [
  ...(
    [
      ['empty', 'Transfer-Encoding:', 'badEncoding'],
      ['blank', 'Transfer-Encoding:   ', 'badEncoding'],
      ['identity', 'Transfer-Encoding: identity', 'badEncoding'],
      ['gzip', 'Transfer-Encoding: gzip', 'badEncoding'],
      ['gzip, chunked', 'Transfer-Encoding: gzip, chunked', 'badEncoding'],
      ['chunked, gzip', 'Transfer-Encoding: chunked, gzip', 'badEncoding'],
      ['chunked, identity', 'Transfer-Encoding: chunked, identity', 'badEncoding'],
      ['identity, chunked', 'Transfer-Encoding: identity, chunked', 'badEncoding'],
      ['chunked, chunked', 'Transfer-Encoding: chunked, chunked', 'badEncoding'],
      ['chunked,', 'Transfer-Encoding: chunked,', 'badEncoding'],
      [', chunked', 'Transfer-Encoding: , chunked', 'badEncoding'],
      ['xchunked', 'Transfer-Encoding: xchunked', 'badEncoding'],
      ['chunkedx', 'Transfer-Encoding: chunkedx', 'badEncoding'],
      ['chunke', 'Transfer-Encoding: chunke', 'badEncoding'],
      ['x chunked', 'Transfer-Encoding: x chunked', 'badEncoding'],
      ['chunked x', 'Transfer-Encoding: chunked x', 'badEncoding'],
      ['"chunked"', 'Transfer-Encoding: "chunked"', 'badEncoding'],
      ["'chunked'", "Transfer-Encoding: 'chunked'", 'badEncoding'],
      ['chunked;q=1', 'Transfer-Encoding: chunked;q=1', 'badEncoding'],
      ['chunked; q=0', 'Transfer-Encoding: chunked; q=0', 'badEncoding'],
      ['chunked with a long s', 'Transfer-Encoding: chun\xc5\xbfked', 'badEncoding'],
      ['chun\xe9ked', 'Transfer-Encoding: chun\xe9ked', 'badEncoding'],
      ['cow', 'Transfer-Encoding: cow', 'badEncoding'],
      ['a Kelvin sign for the k', 'Transfer-Encoding: chun\xe2\x84\xaaed', 'badEncoding'],
      ['a soft hyphen', 'Transfer-Encoding: chun\xadked', 'badEncoding'],
      ['a no-break space before it', 'Transfer-Encoding:\xa0chunked', 'badEncoding'],
      ['a no-break space behind it', 'Transfer-Encoding: chunked\xa0', 'badEncoding'],
      ['twice', 'Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked', 'repeatedEncoding'],
      ['and another', 'Transfer-Encoding: chunked\r\nTransfer-Encoding: cow', 'repeatedEncoding'],
      ['behind another', 'Transfer-Encoding: cow\r\nTransfer-Encoding: chunked', 'badEncoding'],
      ['and identity', 'Transfer-Encoding: chunked\r\nTransfer-encoding: identity', 'repeatedEncoding'],
      ['twice, in two cases', 'Transfer-Encoding: chunked\r\ntransfer-ENCODING: chunked', 'repeatedEncoding'],
      [
        'twice, with a field between',
        'Transfer-Encoding: chunked\r\nX-A: b\r\nTransfer-Encoding: chunked',
        'repeatedEncoding',
      ],
      ['a space before the colon', 'Transfer-Encoding : chunked', 'spaceBeforeColon'],
      ['a tab before the colon', 'Transfer-Encoding\t: chunked', 'spaceBeforeColon'],
      ['a space before the name', 'X-A: b\r\n Transfer-Encoding: chunked', 'obsFold'],
      ['a LF before the name', 'X-A: b\nTransfer-Encoding: chunked', 'bareLf'],
      ['a CR before the name', 'X-A: b\rTransfer-Encoding: chunked', 'bareCr'],
      ['a NUL in the name', 'Transfer\x00-Encoding: chunked', 'nul'],
      ['a CR before the value', 'Transfer-Encoding:\r chunked', 'bareCr'],
      ['a LF before the value', 'Transfer-Encoding:\n chunked', 'bareLf'],
      ['a CR behind the value', 'Transfer-Encoding: chunked\r', 'bareCr'],
      ['a NUL behind the value', 'Transfer-Encoding: chunked\x00', 'nul'],
    ] as const
  ).map(encoding),
  ...[1, 8, 11, 12, 14, 27, 31, 127].map((code) =>
    encoding([`${hex(code)} before the value`, `Transfer-Encoding: ${byte(code)}chunked`, 'control']),
  ),
];

const BOTH = (
  [
    ['CL.TE', `${POST}Content-Length: 6\r\nTransfer-Encoding: chunked\r\n\r\n${CHUNKS}G`],
    ['TE.CL', `${POST}Transfer-Encoding: chunked\r\nContent-Length: 6\r\n\r\n${CHUNKS}G`],
    ['CL 0 and TE', `${POST}Content-Length: 0\r\nTransfer-Encoding: chunked\r\n\r\n${CHUNKS}`],
    ['CL, a field, TE', `${POST}Content-Length: 5\r\nX-A: b\r\nTransfer-Encoding: chunked\r\n\r\n${CHUNKS}`],
    ['in other cases', `${POST}content-length: 5\r\nTRANSFER-ENCODING: CHUNKED\r\n\r\n${CHUNKS}`],
    [
      'before Host',
      `POST / HTTP/1.1\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\nHost: a.test\r\n\r\n${CHUNKS}`,
    ],
    [
      'in a GET',
      `GET / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n${CHUNKS}`,
    ],
    [
      'the length named by Connection',
      `${POST}Connection: Content-Length\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n${CHUNKS}`,
    ],
    [
      'the encoding named by Connection',
      `${POST}Connection: Transfer-Encoding\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n${CHUNKS}`,
    ],
  ] as const
).map(([name, bytes]) => refused('both framings', name, bytes, 'lengthAndEncoding'));

const BOTH_AND_BAD = [
  refused(
    'both framings',
    'CL and a bad TE',
    `${POST}Content-Length: 5\r\nTransfer-Encoding: xchunked\r\n\r\n${CHUNKS}`,
    'badEncoding',
  ),
  refused(
    'both framings',
    'a bad CL and TE',
    `${POST}Content-Length: x\r\nTransfer-Encoding: chunked\r\n\r\n${CHUNKS}`,
    'badLength',
  ),
  refused(
    'both framings',
    'two CL and TE',
    `${POST}Content-Length: 5\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n${CHUNKS}`,
    'repeatedLength',
  ),
];

const HTTP_1_0 = (
  [
    ['chunked', 'Transfer-Encoding: chunked', 'encodingInHttp10'],
    ['chunked, with keep-alive', 'Connection: keep-alive\r\nTransfer-Encoding: chunked', 'encodingInHttp10'],
    ['identity', 'Transfer-Encoding: identity', 'encodingInHttp10'],
    ['CL and TE', 'Content-Length: 5\r\nTransfer-Encoding: chunked', 'encodingInHttp10'],
  ] as const
).map(([name, lines, reason]) =>
  refused(
    'Transfer-Encoding in HTTP/1.0',
    name,
    `POST / HTTP/1.0\r\nHost: a.test\r\n${lines}\r\n\r\n${CHUNKS}`,
    reason,
  ),
);

/** Fields that a gateway of the CGI kind might take for those that frame: the app does not see them. */
const UNDERSCORES = [
  passed('underscores', 'Content_Length', `${POST}Content_Length: 5\r\nContent-Length: 3\r\n\r\nabc`, {
    method: 'POST',
    body: 'abc',
    hidden: ['content_length'],
  }),
  passed(
    'underscores',
    'Transfer_Encoding',
    `${POST}Transfer_Encoding: chunked\r\nContent-Length: 3\r\n\r\nabc`,
    {
      method: 'POST',
      body: 'abc',
      hidden: ['transfer_encoding', 'transfer-encoding'],
    },
  ),
];

const TRACE = [
  refused(
    'TRACE',
    'with a length',
    'TRACE / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 1\r\n\r\na',
    'bodyOfTrace',
  ),
  refused(
    'TRACE',
    'with chunks',
    `TRACE / HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n${CHUNKS}`,
    'bodyOfTrace',
  ),
];

export const FRAMING_CASES: readonly RequestCase[] = [
  ...LENGTHS,
  ...ENCODINGS,
  ...BOTH,
  ...BOTH_AND_BAD,
  ...HTTP_1_0,
  ...UNDERSCORES,
  ...TRACE,
];
