import { describe, expect, it } from 'vitest';
import { toHttp1 } from '../../src/proxy/h2/request-head.ts';

const LIMITS = { headerBytes: 1_000 };
const GET: readonly [string, string][] = [
  [':method', 'GET'],
  [':scheme', 'https'],
  [':authority', 'a.test'],
  [':path', '/'],
];

/** With pseudo-header fields changed (undefined: left out), and further fields. */
function fields(change: Record<string, string | undefined> = {}, ...more: string[]): string[] {
  const pseudo = new Map(GET);
  for (const [name, value] of Object.entries(change)) {
    if (value === undefined) pseudo.delete(name);
    else pseudo.set(name, value);
  }
  return [...[...pseudo].flat(), ...more];
}

const read = (rawHeaders: readonly string[], ends = true) => toHttp1({ rawHeaders, ends }, LIMITS);

describe('the head of a request over HTTP/2, in the terms of HTTP/1.1,', () => {
  it('has the authority as Host, the path as target, and the fields in their order', () => {
    expect(read(fields({ ':path': '/p?q=%20' }, 'x-b', '1', 'x-a', '2'))).toEqual({
      method: 'GET',
      target: '/p?q=%20',
      version: '1.1',
      rawHeaders: ['Host', 'a.test', 'x-b', '1', 'x-a', '2'],
    });
  });

  it('has chunks where a body follows without a length, and cookies in one line', () => {
    const post = fields({ ':method': 'POST' }, 'cookie', 'a=1', 'cookie', 'b=2');
    expect(read(post, false).rawHeaders).toEqual([
      'Host',
      'a.test',
      'cookie',
      'a=1; b=2',
      'Transfer-Encoding',
      'chunked',
    ]);
    expect(read([...post, 'content-length', '3'], false).rawHeaders).not.toContain('Transfer-Encoding');
    expect(read(post).rawHeaders).not.toContain('Transfer-Encoding');
  });

  it.each([
    ['the Host alone', fields({ ':authority': undefined }, 'host', 'b.test'), ['Host', 'b.test']],
    ['an empty authority and a Host', fields({ ':authority': '' }, 'host', 'b.test'), ['Host', 'b.test']],
    [
      'both, in two spellings',
      fields({ ':authority': 'A.test:443' }, 'host', 'a.TEST.:443'),
      ['Host', 'A.test:443'],
    ],
    ['none: that is for the next to judge', fields({ ':authority': undefined }), []],
  ])('names as its host %s', (_, rawHeaders, expected) => {
    expect(read(rawHeaders).rawHeaders).toEqual(expected);
  });

  it('may be OPTIONS of everything', () => {
    expect(read(fields({ ':method': 'OPTIONS', ':path': '*' })).target).toBe('*');
  });

  // Much of this the library below refuses before us; what it lets through one day is refused here.
  it.each([
    ['ambiguous_http', 'connection', fields({}, 'connection', 'close')],
    ['ambiguous_http', 'transfer-encoding', fields({}, 'transfer-encoding', 'chunked')],
    ['ambiguous_http', 'te', fields({}, 'te', 'gzip')],
    ['ambiguous_http', 'a name in capitals', fields({}, 'X-Big', '1')],
    ['ambiguous_http', 'CR LF in a name', fields({}, 'x\r\ny', '1')],
    ['ambiguous_http', 'CR LF in a value', fields({}, 'x', '1\r\nEvil: yes')],
    ['ambiguous_http', 'NUL in a value', fields({}, 'x', '1\0')],
    ['ambiguous_http', 'a value with spaces around it', fields({}, 'x', ' 1')],
    ['ambiguous_http', 'a pseudo field that comes late', [...fields(), 'x', '1', ':path', '/evil']],
    ['ambiguous_http', 'a pseudo field that is repeated', [':path', '/evil', ...fields()]],
    ['ambiguous_http', 'another Host', fields({}, 'host', 'b.test')],
    ['ambiguous_http', 'another port', fields({}, 'host', 'a.test:81')],
    [
      'ambiguous_http',
      'one Host that fits and one that does not',
      fields({}, 'host', 'a.test', 'host', 'b.test'),
    ],
    ['bad_request', 'CONNECT', fields({ ':method': 'CONNECT' })],
    ['bad_request', 'extended CONNECT', fields({ ':protocol': 'websocket' })],
    ['bad_request', 'another scheme', fields({ ':scheme': 'ftp' })],
    ['bad_request', 'no scheme', fields({ ':scheme': undefined })],
    ['bad_request', 'no path', fields({ ':path': undefined })],
    ['bad_request', 'an absolute path', fields({ ':path': 'http://b.test/' })],
    ['bad_request', 'a space in the path', fields({ ':path': '/ HTTP/1.1' })],
    ['bad_request', 'CR LF in the path', fields({ ':path': '/\r\nEvil: yes' })],
    ['bad_request', 'a fragment', fields({ ':path': '/#x' })],
    ['bad_request', 'an asterisk of GET', fields({ ':path': '*' })],
    ['headers_too_large', 'too much', fields({}, 'x', 'v'.repeat(1_000))],
  ])('is refused with %s for %s', (code, _, rawHeaders) => {
    expect(() => read(rawHeaders)).toThrow(expect.objectContaining({ code }) as Error);
  });
});
