/** What we pass on must mean to the next reader what it means to us: Node's own parser, strict, is that reader. */
import { describe, expect, it } from 'vitest';
import { readRequests, readResponses } from '../corpus/read-stream.ts';
import { REQUESTS } from '../corpus/requests.ts';
import { RESPONSES } from '../corpus/responses.ts';
import { NodeServer, readAsNodeClient } from '../fuzz/http1-node.ts';

const node = new NodeServer();
const SENTINEL = { method: 'GET', target: '/sentinel', host: 'sentinel.test', body: '', whole: true };

describe('Node’s server takes what we pass on for the same request', () => {
  it.each(
    REQUESTS.filter((one) => one.requests.length > 0).map(
      (one) => [`${one.family}: ${one.name}`, one] as const,
    ),
  )('%s', async (_name, one) => {
    const { messages } = readRequests([Buffer.from(one.bytes, 'latin1')]);
    const whole = messages.filter((message) => message.whole);
    for (const [i, { head, body }] of whole.entries()) {
      const { method, target, host, body: payload } = one.requests[i] ?? {};
      expect(await node.read(head + body, true)).toEqual([
        { method, target, host, body: payload, whole: true },
        SENTINEL,
      ]);
    }
    // On one connection, behind each other, as they may be sent.
    const together = whole.map(({ head, body }) => head + body).join('');
    expect(await node.read(together, true)).toHaveLength(whole.length + 1);
  });
});

describe('Node’s server never takes a request for whole that breaks on its way', () => {
  it.each(
    REQUESTS.filter((one) => one.end === 'broken').map((one) => [`${one.family}: ${one.name}`, one] as const),
  )('%s', async (_name, one) => {
    const { messages } = readRequests([Buffer.from(one.bytes, 'latin1')]);
    const sent = messages.map(({ head, body }) => head + body).join('');
    const seen = await node.read(sent, false);
    expect(seen.filter(({ whole }) => whole)).toEqual([]);
  });
});

describe('Node’s client takes what we pass on for the same answer', () => {
  it.each(
    RESPONSES.filter((one) => one.responses.length > 0).map(
      (one) => [`${one.family}: ${one.name}`, one] as const,
    ),
  )('%s', async (_name, one) => {
    const { messages } = readResponses([Buffer.from(one.bytes, 'latin1')], one.method);
    const sent = messages.map(({ head, body }) => head + body).join('');
    const last = one.responses.at(-1);
    expect(await readAsNodeClient(one.method, sent)).toEqual({
      ...last,
      sees: undefined,
      hidden: undefined,
      whole: true,
    });
  });
});
