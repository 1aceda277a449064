import type { IncomingMessage, RequestListener } from 'node:http';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { activation } from '../support/scripted-control-plane.ts';
import {
  CONTINUATION,
  DATA,
  END_HEADERS,
  END_STREAM,
  frame,
  get,
  headerBlock,
  HEADERS,
  post,
  RawH2,
  RST_STREAM,
} from '../support/raw-h2.ts';
import type { Fields } from '../support/raw-h2.ts';
import { testProxy } from '../support/upstreams-proxy.ts';
import type { TestProxy } from '../support/upstreams-proxy.ts';
import { httpUpstream, rawUpstream, readBody } from '../support/upstreams.ts';
import type { Upstream } from '../support/upstreams.ts';
import { until } from '../support/until.ts';

interface Seen {
  readonly line: string;
  readonly headers: IncomingMessage['headersDistinct'];
  readonly body: string;
}

/** What an app sees of a request without fields of its own. */
const PLAIN_FIELDS = [
  'connection',
  'forwarded',
  'host',
  'x-forwarded-for',
  'x-forwarded-host',
  'x-forwarded-proto',
];

let upstream: Upstream;
let proxy: TestProxy;
const seen: Seen[] = [];

const record: RequestListener = (req, res) => {
  readBody(req).then(
    (body) => {
      seen.push({
        line: `${req.method ?? ''} ${req.url ?? ''}`,
        headers: req.headersDistinct,
        body: body.toString(),
      });
      res.end('seen');
    },
    () => seen.push({ line: 'broken', headers: {}, body: '' }),
  );
};

beforeAll(async () => {
  upstream = await httpUpstream(record);
  proxy = await testProxy();
  proxy.control.app('a', { activate: async () => activation([upstream.endpoint], 'warm') });
});
afterAll(async () => {
  await proxy[Symbol.asyncDispose]();
  await upstream.close();
});
beforeEach(() => seen.splice(0));

function without(name: string, fields: Fields = get()): Fields {
  return fields.filter(([one]) => one !== name);
}

function instead(name: string, value: string, fields: Fields = get()): Fields {
  return fields.map(([one, was]) => [one, one === name ? value : was]);
}

describe('a request over HTTP/2 that HTTP/1.1 would read otherwise reaches no app:', () => {
  const cases: [string, Fields][] = [
    ['connection', get('/', [['connection', 'close']])],
    ['keep-alive', get('/', [['keep-alive', 'timeout=5']])],
    ['proxy-connection', get('/', [['proxy-connection', 'keep-alive']])],
    ['transfer-encoding', post([['transfer-encoding', 'chunked']])],
    ['upgrade', get('/', [['upgrade', 'websocket']])],
    ['TE other than trailers', get('/', [['te', 'gzip']])],
    ['a name in capitals', get('/', [['X-Big', '1']])],
    ['CR LF in the path', get('/ HTTP/1.1\r\nEvil: yes')],
    ['a space in the path', get('/a b')],
    ['a fragment in the path', get('/a#b')],
    ['a byte beyond ASCII in the path', get('/\xe9')],
    ['an empty path', get('')],
    ['a path without a slash', get('a')],
    ['an absolute path', get('http://b.test/')],
    ['an asterisk of GET', get('*')],
    ['CR LF in the method', instead(':method', 'GET / HTTP/1.1\r\nEvil: yes')],
    ['a space in the method', instead(':method', 'GET /evil')],
    ['an empty method', instead(':method', '')],
    [
      'CONNECT',
      [
        [':method', 'CONNECT'],
        [':authority', 'a.test'],
      ],
    ],
    ['extended CONNECT', [...instead(':method', 'CONNECT').slice(0, 4), [':protocol', 'websocket']]],
    ['CR LF in the authority', instead(':authority', 'a.test\r\nEvil: yes')],
    ['userinfo in the authority', instead(':authority', 'user@a.test')],
    ['a path in the authority', instead(':authority', 'a.test/evil')],
    ['another scheme', instead(':scheme', 'ftp')],
    ['a scheme with a path', instead(':scheme', 'http://a.test/evil?')],
    ['no method', without(':method')],
    ['no scheme', without(':scheme')],
    ['no path', without(':path')],
    ['neither authority nor Host', without(':authority')],
    ['two authorities', [[':authority', 'a.test'], ...get()]],
    ['two paths', [[':path', '/evil'], ...get()]],
    ['a pseudo field behind a field', [...without(':path'), ['x', '1'], [':path', '/']]],
    ['an unknown pseudo field', [[':evil', '1'], ...get()]],
    ['a pseudo field of answers', [[':status', '200'], ...get()]],
    ['a Host that is not the authority', get('/', [['host', 'b.test']])],
    ['a Host with another port', get('/', [['host', 'a.test:81']])],
    ['two Hosts', [...without(':authority'), ['host', 'a.test'], ['host', 'b.test']]],
    [
      'two Content-Lengths',
      post([
        ['content-length', '0'],
        ['content-length', '1'],
      ]),
    ],
    ['a Content-Length that is no number', post([['content-length', '+0']])],
    ['a list as Content-Length', post([['content-length', '0, 0']])],
    ['a Content-Length without a body', post([['content-length', '5']])],
  ];

  it.each(cases)('%s', async (_, fields) => {
    await using client = await RawH2.open(proxy.port);
    const stream = client.request(fields);
    const fate = await client.fate(stream);
    if (fate === 'answered') expect(client.body(stream)).toMatch(/"status":(400|404)/);
    // What is right on the same connection, or on another, is served: nobody else is disturbed.
    await using other = await RawH2.open(proxy.port);
    const after = other.request(get('/after'));
    expect(await other.fate(after)).toBe('answered');
    expect(seen.map(({ line }) => line)).toEqual(['GET /after']);
  });

  // The library below drops such a field and says nothing of it: the request is judged, and passed on, without.
  const malformed: [string, Fields][] = [
    ['a name with a colon', get('/', [['x:y', '1']])],
    ['a name with a space', get('/', [['x y', '1']])],
    ['a name with CR LF', get('/', [['x\r\ny', '1']])],
    ['an empty name', get('/', [['', '1']])],
    ['CR LF in a value', get('/', [['x', '1\r\nEvil: yes']])],
    ['LF in a value', get('/', [['x', '1\nEvil: yes']])],
    ['CR in a value', get('/', [['x', '1\rEvil: yes']])],
    ['NUL in a value', get('/', [['x', '1\0']])],
    ['a value that begins with a space', get('/', [['x', ' 1']])],
    ['a value that ends with a tab', get('/', [['x', '1\t']])],
  ];

  it.each(malformed)('%s, or the field does not', async (_, fields) => {
    await using client = await RawH2.open(proxy.port);
    expect(await client.fate(client.request(fields))).toBeTruthy();
    for (const { line, headers } of seen) {
      expect(line).toBe('GET /');
      expect(Object.keys(headers).sort()).toEqual(PLAIN_FIELDS);
    }
  });

  it('more body than Content-Length says', async () => {
    await using client = await RawH2.open(proxy.port);
    const stream = client.request(post([['content-length', '3']]), { ends: false });
    client.send(frame(DATA, END_STREAM, stream, 'four'));
    expect(await client.fate(stream)).not.toBe('answered');
    await until('the app to be rid of it', () => proxy.snapshot().inFlight === 0);
    expect(seen.filter(({ line }) => line !== 'broken')).toEqual([]);
  });

  it('less body than Content-Length says', async () => {
    await using client = await RawH2.open(proxy.port);
    const stream = client.request(post([['content-length', '10']]), { ends: false });
    client.send(frame(DATA, END_STREAM, stream, 'four'));
    expect(await client.fate(stream)).not.toBe('answered');
    await until('the app to be rid of it', () => proxy.snapshot().inFlight === 0);
    expect(seen.filter(({ line }) => line !== 'broken')).toEqual([]);
  });
});

describe('a request over HTTP/2 reaches the app as one request of HTTP/1.1,', () => {
  async function ask(fields: Fields, ...frames: ((stream: number) => Buffer)[]): Promise<Seen> {
    await using client = await RawH2.open(proxy.port);
    const stream = client.request(fields, { ends: frames.length === 0 });
    for (const make of frames) client.send(make(stream));
    expect(await client.fate(stream)).toBe('answered');
    expect(client.body(stream)).toBe('seen');
    const [only] = seen;
    expect(seen).toHaveLength(1);
    return only as Seen;
  }

  it('with the authority as its Host', async () => {
    expect((await ask(get('/path?query=%20'))).headers).toMatchObject({ host: ['a.test'] });
  });

  it('with a Host that says the same as the authority in another spelling, once', async () => {
    expect((await ask(get('/', [['host', 'A.TEST.']]))).headers['host']).toEqual(['a.test']);
  });

  it('with a Host alone', async () => {
    expect((await ask([...without(':authority'), ['host', 'a.test']])).headers['host']).toEqual(['a.test']);
  });

  it('with its cookies in one line', async () => {
    const { headers } = await ask(
      get('/', [
        ['cookie', 'a=1'],
        ['x', 'y'],
        ['cookie', 'b=2'],
      ]),
    );
    expect(headers['cookie']).toEqual(['a=1; b=2']);
  });

  it('with a body that looks like a request inside its own framing', async () => {
    const body = 'x\r\n0\r\n\r\nGET /evil HTTP/1.1\r\nHost: a.test\r\n\r\n';
    const chunked = await ask(post(), (stream) => frame(DATA, END_STREAM, stream, body));
    expect(chunked).toMatchObject({ line: 'POST /', body, headers: { 'transfer-encoding': ['chunked'] } });
    seen.splice(0);
    const length = String(body.length);
    const framed = await ask(post([['content-length', length]]), (s) => frame(DATA, END_STREAM, s, body));
    expect(framed).toMatchObject({ body, headers: { 'content-length': [length] } });
  });

  it('with fields that came in several frames', async () => {
    await using client = await RawH2.open(proxy.port);
    const block = headerBlock(get('/', [['x-long', 'v'.repeat(200)]]));
    client.send(
      frame(HEADERS, END_STREAM, 1, block.subarray(0, 20)),
      frame(CONTINUATION, 0, 1, block.subarray(20, 50)),
      frame(CONTINUATION, END_HEADERS, 1, block.subarray(50)),
    );
    expect(await client.fate(1)).toBe('answered');
    expect(seen[0]?.headers['x-long']).toEqual(['v'.repeat(200)]);
  });

  it('with what forwards were claimed taken out, and what we saw put in', async () => {
    const { headers } = await ask(
      get('/', [
        ['x-forwarded-for', '6.6.6.6'],
        ['mayfly-x', '1'],
      ]),
    );
    expect(headers).toMatchObject({ 'x-forwarded-for': ['127.0.0.1'], 'x-forwarded-proto': ['http'] });
    expect(headers).not.toHaveProperty('mayfly-x');
  });

  it('with trailers that may pass, and without those that may not', async () => {
    const requests: string[] = [];
    await using raw = await rawUpstream((socket) => {
      socket.on('data', (chunk: Buffer) => {
        requests.push(chunk.toString('latin1'));
        if (requests.join('').includes('\r\n0\r\n'))
          socket.end('HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n');
      });
    });
    await using own = await testProxy();
    own.control.app('a', { activate: async () => activation([raw.endpoint], 'warm') });
    await using client = await RawH2.open(own.port);
    const stream = client.request(post([['trailer', 'x-sum']]), { ends: false });
    const trailers = headerBlock([
      ['x-sum', '42'],
      ['host', 'evil.test'],
      ['mayfly-x', '1'],
    ]);
    client.send(frame(DATA, 0, stream, 'body'), frame(HEADERS, END_HEADERS | END_STREAM, stream, trailers));
    expect(await client.fate(stream)).toBe('answered');
    const sent = requests.join('');
    expect(sent.slice(sent.indexOf('\r\n0\r\n'))).toBe('\r\n0\r\nx-sum: 42\r\n\r\n');
  });
});

describe('a client of HTTP/2 that goes too far', () => {
  it('is answered 431 for a header section that is somewhat too large, and cut off for one that is far too large', async () => {
    await using client = await RawH2.open(proxy.port);
    const fields = (count: number): Fields =>
      Array.from({ length: count }, (_, i) => [`x-${i}`, 'v'.repeat(500)]);
    const block = (count: number) => headerBlock(get('/', fields(count)));
    const send = (stream: number, bytes: Buffer) => {
      const pieces: Buffer[] = [];
      for (let at = 0; at < bytes.length; at += 16_000) {
        const flags = at + 16_000 >= bytes.length ? END_HEADERS : 0;
        const part = bytes.subarray(at, at + 16_000);
        pieces.push(
          frame(at === 0 ? HEADERS : CONTINUATION, flags | (at === 0 ? END_STREAM : 0), stream, part),
        );
      }
      client.send(...pieces);
    };
    send(1, block(40));
    expect(await client.fate(1)).toBe('answered');
    expect(client.body(1)).toContain('headers_too_large');
    send(3, block(300));
    expect(await client.fate(3)).not.toBe('answered');
    expect(seen).toEqual([]);
  });

  it('has its connection closed when it begins and resets streams without end, and holds no slot of the app', async () => {
    await using client = await RawH2.open(proxy.port);
    const before = proxy.snapshot().requests;
    const CANCEL = Buffer.from([0, 0, 0, 8]);
    for (let sent = 0; sent < 20_000 && !client.closed; sent += 100) {
      for (let i = 0; i < 100; i++) {
        const stream = client.request(get('/reset'));
        client.send(frame(RST_STREAM, 0, stream, CANCEL));
      }
      await new Promise((resolve) => setImmediate(resolve));
    }
    await until('the connection to be closed', () => client.closed);
    await until('the slots to be free', () => proxy.snapshot().inFlight === 0);
    expect(proxy.snapshot().requests - before).toBeLessThan(5_000);
  });

  it('has no more requests in flight than a bound', async () => {
    await using slow = await rawUpstream(() => undefined);
    await using own = await testProxy({ limits: { streams: 10 } });
    own.control.app('a', { activate: async () => activation([slow.endpoint], 'warm') });
    await using client = await RawH2.open(own.port);
    const streams = Array.from({ length: 15 }, () => client.request(get('/')));
    for (const stream of streams.slice(10)) expect(await client.fate(stream)).not.toBe('answered');
    expect(slow.accepted).toBeLessThanOrEqual(10);
    await until('the slots to be free', () => own.snapshot().inFlight === 0);
  });

  it('is not waited for when it says nothing after its greeting', async () => {
    await using own = await testProxy({ limits: { headersTimeoutMs: 200 } });
    await using client = await RawH2.open(own.port);
    await until('the connection to be closed', () => client.closed);
  });
});
