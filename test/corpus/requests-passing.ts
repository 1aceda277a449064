/** What is legal, however odd, and how the app sees it. */
import { METHODS } from 'node:http';
import { GET, HIDDEN, passed, POST, seen } from './cases.ts';
import type { RequestCase } from './types.ts';

const TARGETS = [
  '/',
  '//',
  '//b.test/x',
  '/a/../b/./c',
  '/%2e%2e/%2F',
  '/a%00b',
  '/a;b=c',
  '/?',
  '/?a=b&c=d',
  '/?url=http://b.test/',
  '/?q={"a":[1|2]}^`<>\\',
  "/a'b(c)*d!",
  '/@b.test',
  '/:80',
  `/${'x'.repeat(8000)}`,
].map((target) =>
  passed('targets', target.slice(0, 40), `GET ${target} HTTP/1.1\r\nHost: a.test\r\n\r\n`, { target }),
);

const FORMS = [
  passed('targets', 'a URL', 'GET http://a.test/x?y HTTP/1.1\r\nHost: a.test\r\n\r\n', { target: '/x?y' }),
  passed('targets', 'a URL in capitals', 'GET HTTP://A.test/x HTTP/1.1\r\nHost: a.test\r\n\r\n', {
    target: '/x',
  }),
  passed('targets', 'a URL without a path', 'GET http://a.test HTTP/1.1\r\nHost: a.test\r\n\r\n', {}),
  passed('targets', 'a URL with a query alone', 'GET http://a.test?y HTTP/1.1\r\nHost: a.test\r\n\r\n', {
    target: '/?y',
  }),
  passed('targets', 'a URL with an @ in its path', 'GET http://a.test/@b HTTP/1.1\r\nHost: a.test\r\n\r\n', {
    target: '/@b',
  }),
  passed(
    'targets',
    'a URL with the default port',
    'GET http://a.test:80/x HTTP/1.1\r\nHost: a.test\r\n\r\n',
    { target: '/x' },
  ),
  passed(
    'targets',
    'a URL with the port of Host',
    'GET http://a.test:81/x HTTP/1.1\r\nHost: a.test:81\r\n\r\n',
    { target: '/x', host: 'a.test:81' },
  ),
  passed('targets', 'an https URL', 'GET https://a.test/x HTTP/1.1\r\nHost: a.test:443\r\n\r\n', {
    target: '/x',
    host: 'a.test:443',
  }),
  passed(
    'targets',
    'a URL and a body',
    'POST http://a.test/x HTTP/1.1\r\nHost: a.test\r\nContent-Length: 1\r\n\r\na',
    { method: 'POST', target: '/x', body: 'a' },
  ),
  passed('targets', 'a URL in HTTP/1.0 without a Host', 'GET http://a.test/x HTTP/1.0\r\n\r\n', {
    target: '/x',
    sees: ['Host: a.test'],
  }),
  passed('targets', 'OPTIONS *', 'OPTIONS * HTTP/1.1\r\nHost: a.test\r\n\r\n', {
    method: 'OPTIONS',
    target: '*',
  }),
  passed(
    'targets',
    'OPTIONS of a URL without a path',
    'OPTIONS http://a.test HTTP/1.1\r\nHost: a.test\r\n\r\n',
    { method: 'OPTIONS', target: '*' },
  ),
];

const KNOWN = METHODS.filter((method) => method !== 'CONNECT').map((method) =>
  passed('methods', method, `${method} / HTTP/1.1\r\nHost: a.test\r\n\r\n`, { method }),
);

const HOSTS = [
  'a.test',
  'A.Test',
  'a.test.',
  'a.test:8080',
  'a.test:',
  'A.TEST.:80',
  'localhost',
  '127.0.0.1',
  '[::1]',
  '[::1]:80',
  '[2001:DB8::A]',
  'my_service.internal',
  'xn--mnchen-3ya.example',
  'm\xc3\xbcnchen.example',
  `${'x'.repeat(63)}.test`,
].map((host) => passed('Host', host, `GET / HTTP/1.1\r\nHost: ${host}\r\n\r\n`, { host }));

const FIELDS = [
  passed('fields', 'repeated ones stay as they are', `${GET}X-A: 1\r\nx-a: 2\r\nX-A: 1\r\n\r\n`, {
    sees: ['X-A: 1', 'x-a: 2'],
  }),
  passed('fields', 'without white space', 'GET / HTTP/1.1\r\nHost:a.test\r\nX-A:b\r\n\r\n', {
    sees: ['X-A:b'],
  }),
  passed('fields', 'with much white space', 'GET / HTTP/1.1\r\nHost: \t a.test \t\r\nX-A:  b  \r\n\r\n', {
    sees: ['X-A:  b  '],
  }),
  passed('fields', 'with an empty value', `${GET}X-A:\r\n\r\n`, { sees: ['X-A:'] }),
  passed('fields', 'with a blank value', `${GET}X-A: \t\r\n\r\n`, {}),
  passed('fields', 'with a tab', `${GET}X-A: a\tb\tc\td\te\r\n\r\n`, { sees: ['X-A: a\tb\tc\td\te'] }),
  passed('fields', 'with obs-text', `${GET}X-A: \x80\xff\xfe~\xff\xff\xff\xff~~~\r\n\r\n`, {
    sees: ['X-A: \x80\xff\xfe~\xff\xff\xff\xff~~~'],
  }),
  passed('fields', 'with every token character in the name', `${GET}!#$%&'*+.^_\`|~-09azAZ: b\r\n\r\n`, {
    sees: ["!#$%&'*+.^_`|~-09azAZ: b"],
  }),
  passed('fields', 'with colons in the value', `${GET}X-A: b: c\r\nX-B::\r\n\r\n`, {
    sees: ['X-A: b: c', 'X-B::'],
  }),
  passed('fields', 'of one letter', `${GET}a:b\r\nt:\r\nx: 1\r\nm: 2\r\np:3\r\n\r\n`, {
    sees: ['a:b', 'x: 1', 'm: 2', 'p:3'],
  }),
  passed(
    'fields',
    'that only begin like others',
    `${GET}Hos: 1\r\nHosts: 2\r\nContent-Lengt: 3\r\nContent-Lengths: 4\r\nTransfer-Encodings: 5\r\nConnections: 6\r\nProxyX: 7\r\nMayflyx: 8\r\nX-Forwardedx: 9\r\nX-Real-IPs: 10\r\nTEs: 11\r\n\r\n`,
    {
      sees: [
        'Hos: 1',
        'Hosts: 2',
        'Content-Lengt: 3',
        'Content-Lengths: 4',
        'Transfer-Encodings: 5',
        'Connections: 6',
        'ProxyX: 7',
        'Mayflyx: 8',
        'X-Forwardedx: 9',
        'X-Real-IPs: 10',
        'TEs: 11',
      ],
    },
  ),
  passed('fields', 'a value of 10,000 bytes', `${GET}X-A: ${'x'.repeat(10_000)}\r\n\r\n`, {}),
  passed('fields', 'an empty line before the request', `\r\n${GET}X-A: b\r\n\r\n`, { sees: ['X-A: b'] }),
  passed('fields', 'an Expect', `${POST}Expect: 100-continue\r\nContent-Length: 1\r\n\r\na`, {
    method: 'POST',
    body: 'a',
    sees: ['Expect: 100-continue'],
  }),
];

const HOP_BY_HOP = [
  passed(
    'fields of the connection',
    'end here',
    `${GET}Connection: close, X-Hop\r\nX-Hop: 1\r\nKeep-Alive: timeout=5\r\nProxy-Connection: keep-alive\r\nProxy-Authorization: Basic eDp5\r\nProxy: http://b.test\r\nUpgrade: h2c\r\nHTTP2-Settings: AA\r\nX-Kept: 1\r\n\r\n`,
    {
      sees: ['X-Kept: 1'],
      hidden: [
        'connection',
        'x-hop',
        'keep-alive',
        'proxy-connection',
        'proxy-authorization',
        'proxy',
        'upgrade',
        'http2-settings',
      ],
    },
  ),
  passed(
    'fields of the connection',
    'named before and behind',
    `${GET}X-A: 1\r\nX-B: 2\r\nConnection: x-a\r\nConnection: , x-C,,\tX-b ,\r\nX-C: 3\r\nX-D: 4\r\nx-a: 5\r\n\r\n`,
    {
      sees: ['X-D: 4'],
      hidden: ['connection', 'x-a', 'x-b', 'x-c'],
    },
  ),
  passed(
    'fields of the connection',
    'those that frame and route are not removed',
    `${POST}Connection: Host, Content-Length, close\r\nContent-Length: 3\r\n\r\nabc`,
    {
      method: 'POST',
      body: 'abc',
      hidden: ['connection'],
    },
  ),
  passed(
    'fields of the connection',
    'a named encoding is not removed',
    `${POST}Connection: Transfer-Encoding\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\n`,
    { method: 'POST', body: 'a' },
  ),
  passed(
    'fields of the connection',
    'an upgrade that only Upgrade asks for',
    `${GET}Upgrade: websocket\r\n\r\n`,
    { hidden: ['upgrade'] },
  ),
  passed(
    'fields of the connection',
    'TE keeps trailers alone',
    `${GET}TE: trailers, deflate;q=0.5\r\nConnection: TE\r\n\r\n`,
    {
      sees: ['TE: trailers', 'Connection: TE'],
    },
  ),
  passed(
    'fields of the connection',
    'TE without trailers goes',
    `${GET}TE: deflate;q=0.5, xtrailers\r\n\r\n`,
    { hidden: ['te', 'connection'] },
  ),
  passed(
    'fields of the connection',
    'the encoding in one spelling',
    `${POST}TRANSFER-ENCODING:\tChUnKeD \r\n\r\n1\r\na\r\n0\r\n\r\n`,
    {
      method: 'POST',
      body: 'a',
      sees: ['Transfer-Encoding: chunked'],
    },
  ),
];

const CLAIMS = [
  passed(
    'claims',
    'where it came from is said by us',
    `${GET}X-Forwarded-For: 6.6.6.6\r\nx_forwarded_for: 6.6.6.6\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Host: b.test\r\nX-Forwarded-Port: 443\r\nX-Forwarded: a\r\nX-Real-IP: 6.6.6.6\r\nForwarded: for=6.6.6.6\r\nX-Request-Id: 7\r\n\r\n`,
    {
      sees: [
        'X-Forwarded-For: 192.0.2.7',
        'X-Forwarded-Host: a.test',
        'X-Forwarded-Proto: http',
        'Forwarded: for=192.0.2.7;host=a.test;proto=http',
        'X-Request-Id: 7',
      ],
      hidden: ['x_forwarded_for', 'x-forwarded-port', 'x-forwarded', 'x-real-ip'],
    },
  ),
  passed(
    'claims',
    'what is ours is not taken from a client',
    `${GET}Mayfly-Internal: 1\r\nmayfly_internal: 1\r\nMAYFLY-A: 1\r\nmayfly: 1\r\n\r\n`,
    {
      hidden: ['mayfly-internal', 'mayfly_internal', 'mayfly-a', 'mayfly'],
    },
  ),
];

const HTTP_1_0 = [
  passed('HTTP/1.0', 'with a Host', 'GET /x HTTP/1.0\r\nHost: a.test\r\n\r\n', { target: '/x' }),
  passed('HTTP/1.0', 'with a body', 'POST /x HTTP/1.0\r\nHost: a.test\r\nContent-Length: 1\r\n\r\na', {
    method: 'POST',
    target: '/x',
    body: 'a',
  }),
  passed(
    'HTTP/1.0',
    'with keep-alive',
    `GET /x HTTP/1.0\r\nHost: a.test\r\nConnection: keep-alive\r\n\r\n${HIDDEN}`,
    { target: '/x' },
    { target: '/hidden' },
  ),
  passed(
    'HTTP/1.0',
    'without its Expect',
    'POST /x HTTP/1.0\r\nHost: a.test\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\na',
    { method: 'POST', target: '/x', body: 'a', hidden: ['expect'] },
  ),
];

const PIPELINED: RequestCase[] = [
  passed(
    'pipelines',
    'three',
    `${GET}\r\nGET /2 HTTP/1.1\r\nHost: b.test\r\n\r\n${HIDDEN}`,
    {},
    { target: '/2', host: 'b.test' },
    { target: '/hidden' },
  ),
  {
    family: 'pipelines',
    name: 'garbage behind a request',
    bytes: `${GET}\r\nGARBAGE\r\n\r\n`,
    requests: [seen({})],
    end: 'refused',
    reason: 'badMethod',
  },
  {
    family: 'pipelines',
    name: 'a smuggled one behind a request',
    bytes: `${GET}\r\n${POST}Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n${HIDDEN}`,
    requests: [seen({})],
    end: 'refused',
    reason: 'lengthAndEncoding',
  },
  {
    family: 'pipelines',
    name: 'another version behind a request',
    bytes: `${GET}\r\nGET / HTTP/2.0\r\nHost: a.test\r\n\r\n`,
    requests: [seen({})],
    end: 'refused',
    reason: 'version',
  },
  {
    family: 'pipelines',
    name: 'a body longer than its length',
    bytes: `${POST}Content-Length: 3\r\n\r\nabcd${GET}\r\n`,
    requests: [seen({ method: 'POST', body: 'abc' })],
    end: 'refused',
    reason: 'unknownMethod',
  },
];

export const PASSING_CASES: readonly RequestCase[] = [
  ...TARGETS,
  ...FORMS,
  ...KNOWN,
  ...HOSTS,
  ...FIELDS,
  ...HOP_BY_HOP,
  ...CLAIMS,
  ...HTTP_1_0,
  ...PIPELINED,
];
