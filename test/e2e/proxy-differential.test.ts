/**
 * The whole corpus, sent as it stands through a real proxy: what reaches an app is exactly the requests that the corpus says, a
 * parser that is not ours takes it for the same, and what has no one reading reaches nobody.
 */
import { readFileSync } from 'node:fs';
import { beforeAll, describe, expect, it } from 'vitest';
import { ERROR_CODES } from '../../src/errors.ts';
import { Origin } from '../../src/proxy/http1/origin.ts';
import { REFUSALS } from '../../src/proxy/http1/refusals.ts';
import { readRequests } from '../corpus/read-stream.ts';
import { REQUESTS } from '../corpus/requests.ts';
import { RESPONSES } from '../corpus/responses.ts';
import type { RequestCase, ResponseCase } from '../corpus/types.ts';
import { judge, observe, PAGE, tables } from '../../scripts/strictness.ts';
import type { Observed } from '../../scripts/strictness.ts';
import { judgeRequests, judgeResponse, SENTINEL } from '../support/differential.ts';
import type { ObservedRequests, ObservedResponse } from '../support/differential.ts';
import { openMayfly } from '../support/differential-mayfly.ts';

/** A bound that a running proxy has in bytes alone: these are as many fields as there is room for. */
const WITHIN_BOUNDS = new Set(['limits: many fields']);

type Named = Pick<RequestCase, 'family' | 'name' | 'end'>;

const nameOf = ({ family, name }: Named) => `${family}: ${name}`;
const outcomeOf = (one: Named) =>
  one.end === 'idle' || WITHIN_BOUNDS.has(nameOf(one)) ? 'passed' : 'refused';

/**
 * What the app is sent, byte for byte. Undefined where that is not only for `http1` to say: what is handed to node:http, and
 * what breaks, of which as much is passed on as came before.
 */
function asWritten(one: RequestCase): string | undefined {
  const origin = new Origin({ address: '127.0.0.1', protocol: 'http', trusted: false });
  const sent = one.bytes + (one.end === 'idle' ? SENTINEL : '');
  const { messages } = readRequests([Buffer.from(sent, 'latin1')], origin);
  if (/HTTP\/1\.0|\r\nexpect:|\r\ntrailer:/i.test(one.bytes) || messages.some(({ odd }) => odd !== 0))
    return undefined;
  if (one.end === 'incomplete' || one.end === 'broken' || WITHIN_BOUNDS.has(nameOf(one))) return undefined;
  const last = messages.findIndex(({ keepAlive }) => !keepAlive);
  const taken = last === -1 ? messages : messages.slice(0, last + 1);
  return taken.map(({ head, body }) => head + body).join('');
}

function through(transport: 'fast' | 'http') {
  let observed: Observed;
  beforeAll(async () => {
    await using mayfly = await openMayfly(transport);
    observed = await observe(mayfly);
  });
  return {
    sent: (one: RequestCase) => observed.requests.get(one) as ObservedRequests,
    asked: (one: ResponseCase) => observed.responses.get(one) as ObservedResponse,
    judged: () => judge(observed),
  };
}

/** A column of the page, a cell a line. */
function columnOf(text: string, name: string): string[] {
  let at = -1;
  return text.split('\n').flatMap((line) => {
    if (!line.startsWith('|')) return [];
    const cells = line.split('|').map((cell) => cell.trim());
    if (cells[1] === 'family') at = cells.indexOf(name);
    return [`${cells[1] ?? ''}, ${cells[2] ?? ''}: ${cells[at] ?? ''}`.replace(/-+:?/g, '-')];
  });
}

describe('by default', () => {
  const { sent, asked, judged } = through('fast');

  describe.each([...Map.groupBy(REQUESTS, (one) => one.family)])('requests: %s', (_family, cases) => {
    it.each(cases.map((one) => [one.name, one] as const))('%s', (_name, one) => {
      const observed = sent(one);
      const { connections, whole, statuses, received } = observed;
      expect([judgeRequests(one, observed), connections.map(({ refused }) => refused)]).toEqual([
        outcomeOf(one),
        connections.map(() => undefined),
      ]);
      const bytes = connections.map((connection) => connection.bytes).join('');
      expect(bytes).toBe(asWritten(one) ?? bytes);
      // Each request that came whole is answered, and in its turn, as `judgeRequests` has seen; what else there is, refused.
      const answered = whole.map(() => 200);
      if (outcomeOf(one) === 'passed') expect(statuses).toEqual(answered);
      else if (one.reason === 'http2Preface') {
        // Whoever says so is spoken to in HTTP/2: SETTINGS come first (RFC 9113 §3.4). What then came is not that.
        expect([received.charCodeAt(3), statuses, whole]).toEqual([4, [], []]);
      } else if (one.end === 'refused') {
        const { code } = REFUSALS[one.reason ?? 'badMethod'];
        expect(statuses).toEqual([...answered, ERROR_CODES[code].status]);
        expect(received.split(/HTTP\/1\.1 (?=\d{3} )/).at(-1)).toMatch(/\r\nConnection: close\r\n/i);
      } else {
        expect(whole).toEqual([]);
        expect(one.end === 'broken' ? [400] : []).toEqual(statuses);
      }
      if (outcomeOf(one) === 'refused') expect(bytes).not.toContain('/hidden');
    });
  });

  describe.each([...Map.groupBy(RESPONSES, (one) => one.family)])('answers: %s', (_family, cases) => {
    it.each(cases.map((one) => [one.name, one] as const))('%s', (_name, one) => {
      const observed = asked(one);
      const { received, statuses, read } = observed;
      expect(judgeResponse(one, observed)).toBe(outcomeOf(one));
      if (one.end === 'refused') expect(statuses).toEqual([502, 200]);
      // The connection goes on, with its own answer, unless one had to be broken off.
      if (one.end === 'idle' || one.end === 'refused') expect(received).toMatch(/\r\n\r\nsentinel$/);
      else expect(statuses[0] === 502 || read?.whole === false).toBe(true);
    });
  });

  it('is what docs/strictness.md says (npm run strictness)', () => {
    const name = 'Mayfly';
    expect(columnOf(readFileSync(PAGE, 'utf8'), name)).toEqual(columnOf(tables([[name, judged()]]), name));
  });
});

/** It is more patient, and says so (docs/data-plane.md); but nothing that it takes is taken for something else behind it. */
describe('on node:http alone', () => {
  const { sent, asked, judged } = through('http');

  it.each([...Map.groupBy(REQUESTS, (one) => one.family)])('requests: %s', (_family, cases) => {
    for (const one of cases) {
      const observed = sent(one);
      const outcome = judgeRequests(one, observed);
      // An app that would not take a method is asked, refuses, and has not been told of anything else.
      const unknown = one.reason === 'unknownMethod' && observed.statuses.at(-1) === 502;
      if (!unknown) expect([nameOf(one), outcome]).not.toEqual([nameOf(one), 'altered']);
      if (one.end === 'idle') expect([nameOf(one), outcome]).toEqual([nameOf(one), 'passed']);
    }
  });

  it.each([...Map.groupBy(RESPONSES, (one) => one.family)])('answers: %s', (_family, cases) => {
    for (const one of cases)
      expect([nameOf(one), judgeResponse(one, asked(one))]).not.toEqual([nameOf(one), 'altered']);
  });

  it('is what docs/strictness.md says (npm run strictness)', () => {
    const name = 'Mayfly on node:http';
    expect(columnOf(readFileSync(PAGE, 'utf8'), name)).toEqual(columnOf(tables([[name, judged()]]), name));
  });
});
