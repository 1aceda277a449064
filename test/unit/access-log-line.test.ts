/** A line of the access log is JSON, whatever a client has sent. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { LineWriter, MAX_LINE_BYTES } from '../../src/proxy/access-log/line.ts';
import type { Lease } from '../../src/proxy/lease.ts';
import type { RequestFacts } from '../../src/proxy/request-log.ts';
import { Span } from '../../src/proxy/span.ts';

function lease(appId: string, appName: string, wait?: object): Lease {
  return { route: { appId, appName }, endpoint: { containerId: 'ctr_1' }, wait } as unknown as Lease;
}
const LEASE = lease('app_1', 'shop');
const HELD = lease('app_1', 'shop', {});

function span(text: string): Span {
  const bytes = Buffer.from(`..${text}..`, 'latin1');
  const made = new Span();
  made.set(bytes, 2, bytes.length - 2);
  return made;
}

interface Texts {
  readonly target?: string;
  readonly userAgent?: string;
  readonly requestId?: string;
}

function facts({ target = '/', userAgent = '', requestId = '' }: Texts, more: Partial<RequestFacts> = {}) {
  return {
    client: '192.0.2.7',
    scheme: 'https',
    protocol: 'HTTP/1.1',
    method: 'GET',
    host: 'a.test',
    target: span(target),
    userAgent: span(userAgent),
    requestId: span(requestId),
    status: 200,
    error: undefined,
    standIn: undefined,
    receivedBytes: 100,
    sentBytes: 2_000,
    startedMs: 1_000,
    placedMs: 1_000,
    firstByteMs: 1_001.5,
    endedMs: 1_002.25,
    lease: LEASE,
    ...more,
  } satisfies RequestFacts;
}

const out = Buffer.alloc(MAX_LINE_BYTES + 2);

function lineOf(writer: LineWriter, request: RequestFacts, epochMs = 1_790_000_000_123.9): string {
  out.fill('#');
  const end = writer.write(out, 1, request, epochMs);
  expect(end).toBeLessThanOrEqual(MAX_LINE_BYTES + 1);
  return out.toString('latin1', 1, end);
}

const parse = (line: string) => JSON.parse(line) as Record<string, unknown>;

describe('a line of the access log', () => {
  it('tells what is known of a request, in this order', () => {
    const line = lineOf(new LineWriter(), facts({ target: '/a?b=1', userAgent: 'curl/8', requestId: 'r-1' }));
    expect(line.endsWith('}\n')).toBe(true);
    expect(Object.entries(parse(line))).toEqual([
      ['time', '2026-09-21T14:13:20.123Z'],
      ['client', '192.0.2.7'],
      ['scheme', 'https'],
      ['protocol', 'HTTP/1.1'],
      ['method', 'GET'],
      ['host', 'a.test'],
      ['path', '/a?b=1'],
      ['status', 200],
      ['receivedBytes', 100],
      ['sentBytes', 2_000],
      ['totalMs', 2.25],
      ['firstByteMs', 1.5],
      ['app', 'shop'],
      ['appId', 'app_1'],
      ['containerId', 'ctr_1'],
      ['userAgent', 'curl/8'],
      ['requestId', 'r-1'],
    ]);
  });

  it('leaves out what there is not', () => {
    const nothing = { lease: undefined, firstByteMs: Number.NaN, placedMs: Number.NaN };
    const line = parse(
      lineOf(new LineWriter(), facts({}, { ...nothing, status: 499, error: 'client_closed_request' })),
    );
    expect(line).toMatchObject({ status: 499, error: 'client_closed_request', path: '/' });
    for (const key of ['firstByteMs', 'heldMs', 'app', 'userAgent', 'requestId'])
      expect(line).not.toHaveProperty(key);
  });

  it('tells how long a request was held, and only of one that was', () => {
    expect(parse(lineOf(new LineWriter(), facts({}, { lease: HELD, placedMs: 1_000.75 })))).toMatchObject({
      heldMs: 0.75,
    });
    expect(parse(lineOf(new LineWriter(), facts({})))).not.toHaveProperty('heldMs');
  });

  it('is one line of ASCII that reads as what was sent, whatever that is', () => {
    const text = fc.string({
      unit: fc.integer({ min: 0, max: 255 }).map((byte) => String.fromCharCode(byte)),
      maxLength: 200,
    });
    fc.assert(
      fc.property(
        fc.array(fc.record({ target: text, userAgent: text, requestId: text }), { maxLength: 5 }),
        (requests) => {
          // One connection: what is kept from one line to the next must not show.
          const writer = new LineWriter();
          for (const request of requests) {
            const line = lineOf(writer, facts(request));
            expect(line).toMatch(/^[\x20-\x7e]+\n$/);
            const { path, userAgent = '', requestId = '' } = parse(line);
            expect({ target: path, userAgent, requestId }).toEqual(request);
          }
        },
      ),
    );
  });

  it('is bounded: long texts are cut, and say so', () => {
    const worst = '"'.repeat(5_000);
    const many = '\u0001'.repeat(5_000);
    const line = parse(
      lineOf(
        new LineWriter(),
        facts({ target: `/${many}`, userAgent: worst, requestId: many }, { host: worst, method: many }),
      ),
    );
    expect(line['path']).toBe(`/${'\u0001'.repeat(1_023)}…`);
    expect(line['userAgent']).toBe(`${'"'.repeat(256)}…`);
    expect(line['host']).toBe(`${'"'.repeat(256)}…`);
  });

  it('tells of each request on a connection its own host, container and agent', () => {
    const writer = new LineWriter();
    const other = lease('app_2', 'blog');
    const seen = [
      facts({ userAgent: 'one' }),
      facts({ userAgent: 'two' }, { host: 'b.test', lease: other }),
      facts({ userAgent: '' }, { host: 'b.test', method: 'POST', lease: other }),
      facts({ userAgent: 'one' }),
    ].map((request) => {
      const { host, method, app, userAgent } = parse(lineOf(writer, request));
      return [host, method, app, userAgent];
    });
    expect(seen).toEqual([
      ['a.test', 'GET', 'shop', 'one'],
      ['b.test', 'GET', 'blog', 'two'],
      ['b.test', 'POST', 'blog', undefined],
      ['a.test', 'GET', 'shop', 'one'],
    ]);
  });

  it.each([0, 9, 10, 99, 100, 4_294_967_295, 2 ** 31 - 1, 2 ** 31, Number.MAX_SAFE_INTEGER])(
    'writes %d bytes as they are',
    (bytes) => {
      expect(parse(lineOf(new LineWriter(), facts({}, { sentBytes: bytes })))).toMatchObject({
        sentBytes: bytes,
      });
    },
  );

  it('has the time of each request, over seconds and days', () => {
    const writer = new LineWriter();
    for (const epochMs of [0, 999, 1_000, 86_399_999, 86_400_000, 4_102_444_800_000]) {
      const { time } = parse(lineOf(writer, facts({}), epochMs));
      expect(time).toBe(new Date(epochMs).toISOString());
    }
  });
});
