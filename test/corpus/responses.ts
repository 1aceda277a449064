/** Answers of apps, each with the one way in which it is to be taken: framing (RFC 9112 §6.3), and what is answered 502. */
import { byte, hex } from './cases.ts';
import type { ExpectedResponse, Reason, ResponseCase } from './types.ts';

const OK = 'HTTP/1.1 200 OK\r\n';
/** What a poisoned answer would put before a later visitor's. */
const HIDDEN = 'HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nhidden';

function refused(family: string, name: string, bytes: string, reason: Reason, method = 'GET'): ResponseCase {
  return {
    family,
    name,
    method,
    bytes: bytes + HIDDEN,
    responses: [],
    end: 'refused',
    reason,
    reusable: false,
  };
}

function broken(name: string, chunks: string, reason: Reason): ResponseCase {
  const bytes = `${OK}Transfer-Encoding: chunked\r\n\r\n${chunks}`;
  return {
    family: 'chunks',
    name,
    method: 'GET',
    bytes,
    responses: [],
    end: 'broken',
    reason,
    reusable: false,
  };
}

interface Passed extends Partial<ExpectedResponse> {
  readonly method?: string;
  readonly before?: readonly ExpectedResponse[];
  readonly reusable?: boolean;
}

function passed(family: string, name: string, bytes: string, expected: Passed = {}): ResponseCase {
  const { method = 'GET', before = [], reusable = true, ...rest } = expected;
  const responses = [...before, { status: 200, body: '', ...rest }];
  return { family, name, method, bytes, responses, end: 'idle', reusable };
}

function cutShort(name: string, bytes: string): ResponseCase {
  return {
    family: 'cut short',
    name,
    method: 'GET',
    bytes,
    responses: [],
    end: 'incomplete',
    reusable: false,
  };
}

const STATUS_LINES = (
  [
    ['HTTP/2.0', 'HTTP/2.0 200 OK', 'version'],
    ['HTTP/1.2', 'HTTP/1.2 200 OK', 'version'],
    ['HTTP/0.9', 'HTTP/0.9 200 OK', 'version'],
    ['http/1.1', 'http/1.1 200 OK', 'badStatusLine'],
    ['ICY', 'ICY 200 OK and more', 'badStatusLine'],
    ['HTTP/1.10', 'HTTP/1.10 200 OK', 'badStatusLine'],
    ['two spaces', 'HTTP/1.1  200 OK', 'badStatusLine'],
    ['a tab', 'HTTP/1.1\t200 OK', 'badStatusLine'],
    ['two digits', 'HTTP/1.1 20 OK..', 'badStatusLine'],
    ['four digits', 'HTTP/1.1 2000 OK', 'badStatusLine'],
    ['a letter', 'HTTP/1.1 2xx OK', 'badStatusLine'],
    ['a sign', 'HTTP/1.1 -20 OK', 'badStatusLine'],
    ['no space behind the status', 'HTTP/1.1 200OK', 'badStatusLine'],
    ['status 000', 'HTTP/1.1 000 OK', 'badStatus'],
    ['status 099', 'HTTP/1.1 099 OK', 'badStatus'],
    ['status 600', 'HTTP/1.1 600 OK', 'badStatus'],
    ['status 999', 'HTTP/1.1 999 OK', 'badStatus'],
    ['a NUL in the reason', 'HTTP/1.1 200 O\x00K', 'nul'],
    ['a control character in the reason', 'HTTP/1.1 200 O\x01K', 'control'],
    ['a CR in the reason', 'HTTP/1.1 200 O\rK', 'bareCr'],
    ['a LF in the reason', 'HTTP/1.1 200 O\nK', 'bareLf'],
    ['a LF behind the status', 'HTTP/1.1 200\nX-A: b', 'bareLf'],
    ['a request', 'GET / HTTP/1.1 and', 'badStatusLine'],
    ['an empty line before', '\r\nHTTP/1.1 200 OK', 'badStatusLine'],
    ['HTML', '<html><body>Hello', 'badStatusLine'],
  ] as const
).map(([name, line, reason]) => refused('status line', name, `${line}\r\nContent-Length: 0\r\n\r\n`, reason));

const FIELDS = [
  ...(
    [
      ['LF behind a field', `${OK}X-A: b\nContent-Length: 0\r\n\r\n`, 'bareLf'],
      ['CR behind a field', `${OK}X-A: b\rContent-Length: 0\r\n\r\n`, 'bareCr'],
      ['LF alone everywhere', 'HTTP/1.1 200 OK\nContent-Length: 0\n\n', 'bareLf'],
      ['a folded field', `${OK}X-A: b\r\n c\r\nContent-Length: 0\r\n\r\n`, 'obsFold'],
      ['a leading space', `${OK} X-A: b\r\nContent-Length: 0\r\n\r\n`, 'leadingSpace'],
      ['a space before the colon', `${OK}Content-Length : 0\r\n\r\n`, 'spaceBeforeColon'],
      ['a field without a colon', `${OK}Garbage\r\nContent-Length: 0\r\n\r\n`, 'noColon'],
      ['a field without a name', `${OK}: b\r\nContent-Length: 0\r\n\r\n`, 'badFieldName'],
      ['a bad name', `${OK}X(A: b\r\nContent-Length: 0\r\n\r\n`, 'badFieldName'],
      ['a NUL in a name', `${OK}X\x00A: b\r\nContent-Length: 0\r\n\r\n`, 'nul'],
      ['a NUL in a value', `${OK}X-A: b\x00c\r\nContent-Length: 0\r\n\r\n`, 'nul'],
      ['a head without an end', `${OK}X-A: ${'x'.repeat(70_000)}`, 'headTooLarge'],
      ['many fields', `${OK}${'a:\r\n'.repeat(1000)}\r\n`, 'tooManyFields'],
      ['a reason without an end', `HTTP/1.1 200 ${'x'.repeat(70_000)}`, 'headTooLarge'],
    ] as const
  ).map(([name, bytes, reason]) => refused('fields', name, bytes, reason)),
  ...[1, 8, 11, 12, 31, 127].map((code) =>
    refused(
      'fields',
      `${hex(code)} in a value`,
      `${OK}X-A: b${byte(code)}\r\nContent-Length: 0\r\n\r\n`,
      'control',
    ),
  ),
];

const FRAMING = (
  [
    ['length and chunks', 'Content-Length: 5\r\nTransfer-Encoding: chunked', 'lengthAndEncoding'],
    ['chunks and length', 'Transfer-Encoding: chunked\r\nContent-Length: 5', 'lengthAndEncoding'],
    ['two lengths', 'Content-Length: 5\r\nContent-Length: 6', 'repeatedLength'],
    ['the same length twice', 'Content-Length: 5\r\nContent-Length: 5', 'repeatedLength'],
    ['a list of lengths', 'Content-Length: 5, 5', 'badLength'],
    ['an empty length', 'Content-Length:', 'badLength'],
    ['a negative length', 'Content-Length: -1', 'badLength'],
    ['a signed length', 'Content-Length: +5', 'badLength'],
    ['a hexadecimal length', 'Content-Length: 0x5', 'badLength'],
    ['a length beyond counting', 'Content-Length: 99999999999999999999', 'lengthTooLarge'],
    ['gzip, chunked', 'Transfer-Encoding: gzip, chunked', 'badEncoding'],
    ['gzip', 'Transfer-Encoding: gzip', 'badEncoding'],
    ['identity', 'Transfer-Encoding: identity', 'badEncoding'],
    ['chunked, chunked', 'Transfer-Encoding: chunked, chunked', 'badEncoding'],
    ['xchunked', 'Transfer-Encoding: xchunked', 'badEncoding'],
    ['two encodings', 'Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked', 'repeatedEncoding'],
    [
      'too many fields named by Connection',
      `Connection: ${'a,'.repeat(50)}\r\nContent-Length: 0`,
      'tooManyNamed',
    ],
  ] as const
).flatMap(([name, lines, reason]) => [
  refused('framing', name, `${OK}${lines}\r\n\r\nabcde`, reason),
  refused('framing', `${name}, in answer to HEAD`, `${OK}${lines}\r\n\r\n`, reason, 'HEAD'),
]);

const BODILESS = [
  refused(
    'framing',
    'chunks in HTTP/1.0',
    'HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n',
    'encodingInHttp10',
  ),
  refused(
    'framing',
    '204 with a length',
    'HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\nabcde',
    'bodyOfBodiless',
  ),
  refused(
    'framing',
    '204 with chunks',
    'HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n',
    'bodyOfBodiless',
  ),
  refused(
    'framing',
    '103 with a length',
    'HTTP/1.1 103 Early Hints\r\nContent-Length: 5\r\n\r\n',
    'bodyOfBodiless',
  ),
  refused(
    'framing',
    '100 with chunks',
    'HTTP/1.1 100 Continue\r\nTransfer-Encoding: chunked\r\n\r\n',
    'bodyOfBodiless',
  ),
  refused(
    'framing',
    '101 nobody asked for',
    'HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n',
    'unaskedUpgrade',
  ),
];

const PASSED = [
  passed('framing', 'by length', `${OK}Content-Length: 3\r\n\r\nabc`, { body: 'abc' }),
  passed('framing', 'of length 0', `${OK}Content-Length: 0\r\n\r\n`),
  passed('framing', 'chunks', `${OK}Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n`, {
    body: 'abc',
  }),
  passed('framing', 'Chunked', `${OK}transfer-encoding:CHUNKED\r\n\r\n3\r\nabc\r\n0\r\n\r\n`, {
    body: 'abc',
  }),
  passed(
    'framing',
    'chunks with extensions and trailers',
    `${OK}Transfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n3;a=b\r\nabc\r\n0\r\nX-Sum: 7\r\n\r\n`,
    { body: 'abc', sees: ['Trailer: X-Sum'] },
  ),
  passed('framing', 'until the end', `${OK}\r\nabc`, { body: 'abc', reusable: false }),
  passed('framing', 'until the end, empty', `${OK}\r\n`, { reusable: false }),
  passed('framing', 'HTTP/1.0 until the end', 'HTTP/1.0 200 OK\r\nX-Old: yes\r\n\r\nold', {
    body: 'old',
    sees: ['X-Old: yes'],
    reusable: false,
  }),
  passed('framing', 'HTTP/1.0 by length', 'HTTP/1.0 200 OK\r\nContent-Length: 3\r\n\r\nabc', {
    body: 'abc',
    reusable: false,
  }),
  passed(
    'framing',
    'HTTP/1.0 with keep-alive',
    'HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 3\r\n\r\nabc',
    { body: 'abc' },
  ),
  passed('framing', 'the app closes', `${OK}Connection: close\r\nContent-Length: 3\r\n\r\nabc`, {
    body: 'abc',
    hidden: ['connection'],
    reusable: false,
  }),
  passed('framing', '204', 'HTTP/1.1 204 No Content\r\n\r\n', { status: 204 }),
  passed('framing', '204 with length 0', 'HTTP/1.1 204 No Content\r\nContent-Length: 0\r\nX-A: b\r\n\r\n', {
    status: 204,
    sees: ['X-A: b'],
    hidden: ['content-length'],
  }),
  passed(
    'framing',
    '304 with a length',
    'HTTP/1.1 304 Not Modified\r\nETag: "x"\r\nContent-Length: 99\r\n\r\n',
    { status: 304, sees: ['Content-Length: 99'] },
  ),
  passed('framing', '304 with chunks', 'HTTP/1.1 304 Not Modified\r\nTransfer-Encoding: chunked\r\n\r\n', {
    status: 304,
  }),
  passed('framing', 'HEAD with a length', `${OK}Content-Length: 1234\r\n\r\n`, {
    method: 'HEAD',
    sees: ['Content-Length: 1234'],
  }),
  passed('framing', 'HEAD with chunks', `${OK}Transfer-Encoding: chunked\r\n\r\n`, { method: 'HEAD' }),
  passed('framing', 'HEAD without either', `${OK}\r\n`, { method: 'HEAD' }),
  passed('framing', '205 with length 0', 'HTTP/1.1 205 Reset\r\nContent-Length: 0\r\n\r\n', { status: 205 }),
  passed('framing', 'an error with a body', 'HTTP/1.1 500 Oops\r\nContent-Length: 4\r\n\r\noops', {
    status: 500,
    body: 'oops',
  }),
  passed('interim', '100', `HTTP/1.1 100 Continue\r\n\r\n${OK}Content-Length: 0\r\n\r\n`, {
    before: [{ status: 100, body: '' }],
  }),
  passed(
    'interim',
    '103 twice',
    `HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </b>\r\n\r\n${OK}Content-Length: 1\r\n\r\na`,
    {
      body: 'a',
      before: [
        { status: 103, body: '', sees: ['Link: </a>'] },
        { status: 103, body: '', sees: ['Link: </b>'] },
      ],
    },
  ),
  passed('interim', '102 to HEAD', `HTTP/1.1 102 Processing\r\n\r\n${OK}Content-Length: 5\r\n\r\n`, {
    method: 'HEAD',
    before: [{ status: 102, body: '' }],
  }),
  passed('status line', 'no reason', 'HTTP/1.1 200 \r\nContent-Length: 0\r\n\r\n'),
  passed('status line', 'no reason and no space', 'HTTP/1.1 200\r\nX-A: b\r\nContent-Length: 0\r\n\r\n', {
    sees: ['X-A: b'],
  }),
  passed(
    'status line',
    'a reason with a tab and obs-text',
    'HTTP/1.1 200 Tr\xe8s\tbien\r\nContent-Length: 0\r\n\r\n',
  ),
  passed('status line', 'status 599', 'HTTP/1.1 599 X\r\nContent-Length: 0\r\n\r\n', { status: 599 }),
  passed(
    'fields',
    'of the connection end here',
    `${OK}Connection: keep-alive, X-Hop\r\nX-Hop: 1\r\nKeep-Alive: timeout=5\r\nProxy-Authenticate: Basic\r\nProxy-Connection: close\r\nUpgrade: h2c\r\nTE: trailers\r\nHTTP2-Settings: AA\r\nX-Case: Kept\r\nContent-Length: 0\r\n\r\n`,
    {
      sees: ['X-Case: Kept'],
      hidden: [
        'connection',
        'x-hop',
        'keep-alive',
        'proxy-authenticate',
        'proxy-connection',
        'upgrade',
        'te',
        'http2-settings',
      ],
    },
  ),
  passed(
    'fields',
    'those that would pass for ours',
    `${OK}Mayfly-Cold-Start: forged\r\nmayfly_error: forged\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2\r\nContent-Length: 0\r\n\r\n`,
    {
      sees: ['Set-Cookie: a=1', 'Set-Cookie: b=2'],
      hidden: ['mayfly-cold-start', 'mayfly_error'],
    },
  ),
  passed('fields', 'a head of 50,000 bytes', `${OK}X-A: ${'x'.repeat(50_000)}\r\nContent-Length: 0\r\n\r\n`),
];

const BEHIND = [
  passed('framing', 'bytes behind the body', `${OK}Content-Length: 3\r\n\r\nabc${HIDDEN}`, {
    body: 'abc',
    reusable: false,
  }),
  passed('framing', 'bytes behind an answer to HEAD', `${OK}Content-Length: 6\r\n\r\nhidden`, {
    method: 'HEAD',
    reusable: false,
  }),
  passed('framing', 'bytes behind 204', 'HTTP/1.1 204 No Content\r\n\r\nhidden', {
    status: 204,
    reusable: false,
  }),
  passed(
    'framing',
    'bytes behind the last chunk',
    `${OK}Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n${HIDDEN}`,
    { reusable: false },
  ),
];

const CHUNKS = (
  [
    ['no size', '\r\nabc\r\n0\r\n\r\n', 'badChunkSize'],
    ['a letter', 'x\r\nabc\r\n0\r\n\r\n', 'badChunkSize'],
    ['a sign', '-3\r\nabc\r\n0\r\n\r\n', 'badChunkSize'],
    ['0x', '0x3\r\nabc\r\n0\r\n\r\n', 'badChunkSize'],
    ['a space', '3 \r\nabc\r\n0\r\n\r\n', 'badChunkSize'],
    ['LF', '3\nabc\r\n0\r\n\r\n', 'bareLf'],
    ['beyond counting', '10000000000000003\r\nabc\r\n0\r\n\r\n', 'chunkTooLarge'],
    ['too long', '3\r\nabcd\r\n0\r\n\r\n', 'badChunkEnd'],
    ['a bad extension', '3;\r\nabc\r\n0\r\n\r\n', 'badChunkExtension'],
    ['a trailer that frames', '0\r\nContent-Length: 5\r\n\r\n', 'forbiddenTrailer'],
    ['a trailer that sets a cookie', '0\r\nSet-Cookie: a=b\r\n\r\n', 'forbiddenTrailer'],
    ['a trailer that would pass for ours', '0\r\nMayfly-Error: x\r\n\r\n', 'forbiddenTrailer'],
    ['a folded trailer', '0\r\nX-A: b\r\n c\r\n\r\n', 'obsFold'],
  ] as const
).map(([name, chunks, reason]) => broken(name, chunks, reason));

const CUT_SHORT = [
  cutShort('nothing', ''),
  cutShort('in the status line', 'HTTP/1.1 20'),
  cutShort('in the head', `${OK}Content-`),
  cutShort('behind the head', `${OK}Content-Length: 3\r\n\r\n`),
  cutShort('in the body', `${OK}Content-Length: 3\r\n\r\nab`),
  cutShort('in a chunk', `${OK}Transfer-Encoding: chunked\r\n\r\n3\r\nab`),
  cutShort('before the last chunk', `${OK}Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n`),
  cutShort('before the last line', `${OK}Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n`),
];

export const RESPONSES: readonly ResponseCase[] = [
  ...STATUS_LINES,
  ...FIELDS,
  ...FRAMING,
  ...BODILESS,
  ...PASSED,
  ...BEHIND,
  ...CHUNKS,
  ...CUT_SHORT,
];
