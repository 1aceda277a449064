/** Request lines, field lines, line ends, hosts and limits that are refused. */
import { byte, GET, hex, incomplete, range, refused } from './cases.ts';
import type { Reason, RequestCase } from './types.ts';

const HOST = 'Host: a.test\r\n\r\n';

const requestLine = ([name, line, reason]: readonly [string, string, Reason]): RequestCase =>
  refused('request line', name, `${line}\r\n${HOST}`, reason);

const REQUEST_LINES = (
  [
    ['HTTP/2.0', 'GET / HTTP/2.0', 'version'],
    ['HTTP/1.2', 'GET / HTTP/1.2', 'version'],
    ['HTTP/1.9', 'GET / HTTP/1.9', 'version'],
    ['HTTP/0.9', 'GET / HTTP/0.9', 'version'],
    ['HTTP/3.0', 'GET / HTTP/3.0', 'version'],
    ['HTTP/1.10', 'GET / HTTP/1.10', 'badRequestLine'],
    ['HTTP/01.1', 'GET / HTTP/01.1', 'version'],
    ['HTTP/1,1', 'GET / HTTP/1,1', 'version'],
    ['http/1.1', 'GET / http/1.1', 'badRequestLine'],
    ['HTTPS/1.1', 'GET / HTTPS/1.1', 'badRequestLine'],
    ['ICY/1.1', 'GET / ICY/1.1', 'badRequestLine'],
    ['RTSP/1.0', 'DESCRIBE / RTSP/1.0', 'unknownMethod'],
    ['no version', 'GET /', 'badRequestLine'],
    ['no version, but a space', 'GET / ', 'badRequestLine'],
    ['no target', 'GET HTTP/1.1', 'badRequestLine'],
    ['two spaces instead of a target', 'GET  HTTP/1.1', 'badRequestLine'],
    ['two spaces before the target', 'GET  / HTTP/1.1', 'badRequestLine'],
    ['two spaces before the version', 'GET /  HTTP/1.1', 'badRequestLine'],
    ['a space behind the version', 'GET / HTTP/1.1 ', 'badRequestLine'],
    ['a tab behind the version', 'GET / HTTP/1.1\t', 'badRequestLine'],
    ['a second version', 'GET / HTTP/1.1 HTTP/1.1', 'badRequestLine'],
    ['a leading space', ' GET / HTTP/1.1', 'badMethod'],
    ['a tab before the target', 'GET\t/ HTTP/1.1', 'badMethod'],
    ['a tab before the version', 'GET /\tHTTP/1.1', 'badTarget'],
    ['a vertical tab before the version', 'GET /\x0bHTTP/1.1', 'badTarget'],
    ['a form feed before the version', 'GET /\x0cHTTP/1.1', 'badTarget'],
    ['a no-break space before the version', 'GET /\xa0HTTP/1.1', 'badTarget'],
    ['a space in the target', 'GET /a b HTTP/1.1', 'badRequestLine'],
    ['a fragment in the target', 'GET /a#b HTTP/1.1', 'badTarget'],
    ['a NUL in the target', 'GET /a\x00b HTTP/1.1', 'badTarget'],
    ['a DEL in the target', 'GET /a\x7fb HTTP/1.1', 'badTarget'],
    ['UTF-8 in the target', 'GET /\xc3\xa9 HTTP/1.1', 'badTarget'],
    ['an overlong slash in the target', 'GET /\xc0\xaf HTTP/1.1', 'badTarget'],
    ['a CR in the target', 'GET /a\rb HTTP/1.1', 'badRequestLine'],
    ['a CR before the version', 'GET /\rHTTP/1.1', 'badRequestLine'],
    ['a lower-case method', 'get / HTTP/1.1', 'unknownMethod'],
    ['a method in mixed case', 'Get / HTTP/1.1', 'unknownMethod'],
    ['a method nobody knows', 'SPY / HTTP/1.1', 'unknownMethod'],
    ['a method with a letter more', 'GETS / HTTP/1.1', 'unknownMethod'],
    ['a method with a letter less', 'GE / HTTP/1.1', 'unknownMethod'],
    ['a colon in the method', 'GET: / HTTP/1.1', 'badMethod'],
    ['a slash in the method', 'GET/ / HTTP/1.1', 'badMethod'],
    ['a NUL in the method', 'G\x00T / HTTP/1.1', 'badMethod'],
    ['a method beyond ASCII', 'G\xc9T / HTTP/1.1', 'badMethod'],
    ['a quoted method', '"GET" / HTTP/1.1', 'badMethod'],
    ['a method without an end', 'G'.repeat(100), 'badMethod'],
    ['CONNECT', 'CONNECT a.test:443 HTTP/1.1', 'connectMethod'],
    ['CONNECT with a path', 'CONNECT / HTTP/1.1', 'connectMethod'],
    ['PRI in HTTP/1.1', 'PRI * HTTP/1.1', 'unknownMethod'],
    ['* for GET', 'GET * HTTP/1.1', 'asteriskForm'],
    ['* for POST', 'POST * HTTP/1.1', 'asteriskForm'],
    ['* and more', 'OPTIONS *x HTTP/1.1', 'noTargetForm'],
    ['a target that is a host', 'GET a.test HTTP/1.1', 'noTargetForm'],
    ['a target that is a host and port', 'GET a.test:80 HTTP/1.1', 'noTargetForm'],
    ['a target that is a query', 'GET ?a HTTP/1.1', 'noTargetForm'],
    ['a relative path', 'GET ../a HTTP/1.1', 'noTargetForm'],
    ['a backslash for a slash', 'GET \\a HTTP/1.1', 'noTargetForm'],
    ['an ftp URL', 'GET ftp://a.test/ HTTP/1.1', 'noTargetForm'],
    ['a file URL', 'GET file:///etc/passwd HTTP/1.1', 'noTargetForm'],
    ['a gopher URL', 'GET gopher://a.test/ HTTP/1.1', 'noTargetForm'],
    ['a URL with one slash', 'GET http:/a.test/ HTTP/1.1', 'noTargetForm'],
    ['a URL without a host', 'GET http:///a HTTP/1.1', 'badAuthority'],
    ['a URL with a port only', 'GET http://:80/a HTTP/1.1', 'badAuthority'],
    ['a URL with a bad port', 'GET http://a.test:x/ HTTP/1.1', 'badAuthority'],
    ['a URL with a port beyond all', 'GET http://a.test:65536/ HTTP/1.1', 'badAuthority'],
    ['a URL with a backslash', 'GET http://a.test\\@b.test/ HTTP/1.1', 'userinfo'],
    ['a URL with a bad host', 'GET http://a..test/ HTTP/1.1', 'badAuthority'],
    ['a URL that names another host', 'GET http://b.test/ HTTP/1.1', 'authorityMismatch'],
    ['a URL that names another port', 'GET http://a.test:81/ HTTP/1.1', 'authorityMismatch'],
    ['an https URL and a Host without its port', 'GET https://a.test:80/ HTTP/1.1', 'authorityMismatch'],
    ['a URL with user information', 'GET http://u@a.test/ HTTP/1.1', 'userinfo'],
    ['a URL with a password', 'GET http://u:p@a.test/ HTTP/1.1', 'userinfo'],
    ['a URL with the Host as its user', 'GET http://a.test@b.test/ HTTP/1.1', 'userinfo'],
    ['a URL with an empty user', 'GET http://@a.test/ HTTP/1.1', 'userinfo'],
    ['a TLS greeting', '\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03', 'badMethod'],
    ['a PROXY line nobody asked for', 'PROXY TCP4 1.2.3.4 5.6.7.8 1 2', 'unknownMethod'],
    ['an answer', 'HTTP/1.1 200 OK', 'badMethod'],
  ] as const
).map(requestLine);

const PREFACE = [
  refused('HTTP/2 preface', 'whole', 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', 'http2Preface'),
  refused('HTTP/2 preface', 'with a request in it', 'PRI * HTTP/2.0\r\nHost: a.test\r\n\r\n', 'http2Preface'),
];

const LINE_ENDS = (
  [
    ['two empty lines before the request', `\r\n\r\n${GET}\r\n`, 'badMethod'],
    ['a LF before the request', `\n${GET}\r\n`, 'badMethod'],
    ['a CR before the request', `\r${GET}\r\n`, 'bareCr'],
    ['LF behind the request line', 'GET / HTTP/1.1\nHost: a.test\r\n\r\n', 'bareLf'],
    ['CR behind the request line', 'GET / HTTP/1.1\rHost: a.test\r\n\r\n', 'bareCr'],
    ['CR CR LF behind the request line', 'GET / HTTP/1.1\r\r\nHost: a.test\r\n\r\n', 'bareCr'],
    ['LF behind a field', 'GET / HTTP/1.1\r\nHost: a.test\nX-A: b\r\n\r\n', 'bareLf'],
    ['CR behind a field', 'GET / HTTP/1.1\r\nHost: a.test\rX-A: b\r\n\r\n', 'bareCr'],
    ['CR CR LF behind a field', 'GET / HTTP/1.1\r\nHost: a.test\r\r\n\r\n', 'bareCr'],
    ['LF CR behind a field', 'GET / HTTP/1.1\r\nHost: a.test\n\rX-A: b\r\n\r\n', 'bareLf'],
    ['LF alone everywhere', 'GET / HTTP/1.1\nHost: a.test\n\n', 'bareLf'],
    ['CR alone everywhere', 'GET / HTTP/1.1\rHost: a.test\r\r', 'bareCr'],
    ['LF as the empty line', `${GET}\n`, 'bareLf'],
    ['LF LF as the empty line', `${GET}X-A: b\n\n`, 'bareLf'],
    ['CR as the empty line', `${GET}\rX-A: b\r\n\r\n`, 'bareCr'],
    ['CR CR LF as the empty line', `${GET}\r\r\n`, 'bareCr'],
    ['a space in the empty line', `${GET} \r\n\r\n`, 'obsFold'],
    ['a tab in the empty line', `${GET}\t\r\n\r\n`, 'obsFold'],
    ['a vertical tab as the empty line', `${GET}\x0b\r\n\r\n`, 'badFieldName'],
    ['LF in a value', `${GET}X-A: b\nTransfer-Encoding: chunked\r\n\r\n`, 'bareLf'],
    ['CR in a value', `${GET}X-A: b\rTransfer-Encoding: chunked\r\n\r\n`, 'bareCr'],
    ['CR at the start of a value', `${GET}X-A:\rb\r\n\r\n`, 'bareCr'],
    ['LF in a name', `${GET}X\nA: b\r\n\r\n`, 'bareLf'],
    ['LF before the colon', `${GET}X-A\n: b\r\n\r\n`, 'bareLf'],
    ['CR LF before the colon', `${GET}X-A\r\n: b\r\n\r\n`, 'noColon'],
  ] as const
).map(([name, bytes, reason]) => refused('line ends', name, bytes, reason));

const FOLDS = (
  [
    ['a field', `${GET}X-A: one\r\n two\r\n\r\n`, 'obsFold'],
    ['a field with a tab', `${GET}X-A: one\r\n\ttwo\r\n\r\n`, 'obsFold'],
    ['an empty value', `${GET}X-A:\r\n two\r\n\r\n`, 'obsFold'],
    ['Host', 'GET / HTTP/1.1\r\nHost:\r\n a.test\r\n\r\n', 'badHost'],
    ['Host at its end', 'GET / HTTP/1.1\r\nHost: a.test\r\n .evil\r\n\r\n', 'obsFold'],
    ['Transfer-Encoding', `${GET}Transfer-Encoding:\r\n chunked\r\n\r\n`, 'badEncoding'],
    ['Transfer-Encoding at its end', `${GET}Transfer-Encoding: chunked\r\n , identity\r\n\r\n`, 'obsFold'],
    ['Content-Length', `${GET}Content-Length: 1\r\n 0\r\n\r\n`, 'obsFold'],
    ['a field that hides another', `${GET}X-A: b\r\n Content-Length: 5\r\n\r\n`, 'obsFold'],
    ['the request line', 'GET / HTTP/1.1\r\n Host: a.test\r\n\r\n', 'leadingSpace'],
    ['the request line with a tab', 'GET / HTTP/1.1\r\n\tHost: a.test\r\n\r\n', 'leadingSpace'],
  ] as const
).map(([name, bytes, reason]) => refused('folded lines', name, bytes, reason));

const NAMES = [
  ...(
    [
      ['a space before the colon', `${GET}X-A : b\r\n\r\n`, 'spaceBeforeColon'],
      ['a tab before the colon', `${GET}X-A\t: b\r\n\r\n`, 'spaceBeforeColon'],
      ['a space before the colon of Host', 'GET / HTTP/1.1\r\nHost : a.test\r\n\r\n', 'spaceBeforeColon'],
      ['a space in a name', `${GET}X A: b\r\n\r\n`, 'spaceBeforeColon'],
      ['no name', `${GET}: b\r\n\r\n`, 'badFieldName'],
      ['no colon', `${GET}Garbage\r\n\r\n`, 'noColon'],
      ['no colon on the first line', 'GET / HTTP/1.1\r\nGarbage\r\nHost: a.test\r\n\r\n', 'noColon'],
    ] as const
  ).map(([name, bytes, reason]) => refused('field names', name, bytes, reason)),
  refused('field names', 'with NUL', `${GET}X\x00A: b\r\n\r\n`, 'nul'),
  ...[...Buffer.from('"(),/;<=>?@[\\]{}'), ...[1, 8, 11, 12, 31, 127, 128, 160, 255]].map((bad) =>
    refused('field names', `with ${hex(bad)}`, `${GET}X${byte(bad)}A: b\r\n\r\n`, 'badFieldName'),
  ),
];

const VALUES = [
  refused('field values', 'with NUL', `${GET}X-A: b\x00c\r\n\r\n`, 'nul'),
  refused('field values', 'with NUL at the end', `${GET}X-A: b\x00\r\n\r\n`, 'nul'),
  ...[...range(1, 32), 127]
    .filter((code) => code !== 9 && code !== 10 && code !== 13)
    .map((code) =>
      refused('field values', `with ${hex(code)}`, `${GET}X-A: b${byte(code)}c\r\n\r\n`, 'control'),
    ),
];

const host = ([name, value, reason]: readonly [string, string, Reason]): RequestCase =>
  refused('Host', name, `GET / HTTP/1.1\r\n${value}\r\n\r\n`, reason);

const HOSTS = (
  [
    ['missing', 'X-A: b', 'noHost'],
    ['missing, with an X-Forwarded-Host', 'X-Forwarded-Host: a.test', 'noHost'],
    ['missing, with a longer name', 'Hosts: a.test', 'noHost'],
    ['twice', 'Host: a.test\r\nHost: b.test', 'repeatedHost'],
    ['twice the same', 'Host: a.test\r\nHost: a.test', 'repeatedHost'],
    ['twice in two cases', 'Host: a.test\r\nhOST: a.test', 'repeatedHost'],
    ['twice with a field between', 'Host: a.test\r\nX-A: b\r\nHost: b.test', 'repeatedHost'],
    ['empty', 'Host:', 'badHost'],
    ['blank', 'Host: \t ', 'badHost'],
    ['empty, then another', 'Host:\r\nHost: a.test', 'badHost'],
    ['two in one', 'Host: a.test, b.test', 'badHost'],
    ['two with a space', 'Host: a.test b.test', 'badHost'],
    ['with a path', 'Host: a.test/x', 'badHost'],
    ['with a query', 'Host: a.test?x', 'badHost'],
    ['with a fragment', 'Host: a.test#x', 'badHost'],
    ['with user information', 'Host: u@a.test', 'badHost'],
    ['with a scheme', 'Host: http://a.test', 'badHost'],
    ['with a bad port', 'Host: a.test:x', 'badHost'],
    ['with a negative port', 'Host: a.test:-80', 'badHost'],
    ['with a port beyond all', 'Host: a.test:65536', 'badHost'],
    ['with two ports', 'Host: a.test:80:80', 'badHost'],
    ['a port only', 'Host: :80', 'badHost'],
    ['with an empty label', 'Host: a..test', 'badHost'],
    ['with a leading dot', 'Host: .a.test', 'badHost'],
    ['with two trailing dots', 'Host: a.test..', 'badHost'],
    ['a dot', 'Host: .', 'badHost'],
    ['a wildcard', 'Host: *.test', 'badHost'],
    ['percent-encoded', 'Host: a%2etest', 'badHost'],
    ['quoted', 'Host: "a.test"', 'badHost'],
    ['with a backslash', 'Host: a.test\\b', 'badHost'],
    ['an open bracket', 'Host: [::1', 'badHost'],
    ['a bare IPv6 address', 'Host: ::1', 'badHost'],
    ['an IPv6 address with a zone', 'Host: [fe80::1%eth0]', 'badHost'],
    ['a label of 64', `Host: ${'x'.repeat(64)}.test`, 'badHost'],
    ['a name of 254', `Host: ${'a.'.repeat(126)}ab`, 'badHost'],
    ['of 2,000 letters', `Host: ${'x'.repeat(2000)}`, 'badHost'],
    ['bytes that are no UTF-8', 'Host: \xff.test', 'badHost'],
  ] as const
).map(host);

const LIMITS = [
  refused(
    'limits',
    'a target of 9,000 bytes',
    `GET /${'x'.repeat(9000)} HTTP/1.1\r\nHost: a.test\r\n\r\n`,
    'targetTooLong',
  ),
  refused('limits', 'a target without an end', `GET /${'x'.repeat(20_000)}`, 'targetTooLong'),
  refused('limits', 'a field of 20,000 bytes', `${GET}X-A: ${'x'.repeat(20_000)}\r\n\r\n`, 'headTooLarge'),
  refused('limits', 'a name of 20,000 bytes', `${GET}${'x'.repeat(20_000)}: a\r\n\r\n`, 'headTooLarge'),
  refused('limits', 'many fields', `${GET}${'a:\r\n'.repeat(500)}\r\n`, 'tooManyFields'),
  refused(
    'limits',
    'many long fields',
    `${GET}${`X-A: ${'x'.repeat(500)}\r\n`.repeat(40)}\r\n`,
    'headTooLarge',
  ),
  refused(
    'limits',
    'many fields named by Connection',
    `${GET}Connection: ${'x,'.repeat(100)}\r\n\r\n`,
    'tooManyNamed',
  ),
];

const INCOMPLETE = (
  [
    ['a method', 'GET'],
    ['a target', 'GET /abc'],
    ['half a version', 'GET / HTTP/1'],
    ['a request line', 'GET / HTTP/1.1\r\n'],
    ['a CR', 'GET / HTTP/1.1\r\nHost: a.test\r'],
    ['half a name', 'GET / HTTP/1.1\r\nHost: a.test\r\nX-'],
    ['no empty line', GET],
    ['half an empty line', `${GET}\r`],
    ['an empty line', '\r\n'],
  ] as const
).map(([name, bytes]) => incomplete('unfinished heads', name, bytes));

export const HEAD_CASES: readonly RequestCase[] = [
  ...REQUEST_LINES,
  ...PREFACE,
  ...LINE_ENDS,
  ...FOLDS,
  ...NAMES,
  ...VALUES,
  ...HOSTS,
  ...LIMITS,
  ...INCOMPLETE,
];
