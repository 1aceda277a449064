/**
 * `npm run strictness`: sends the corpus of the tests through Mayfly, nginx and HAProxy, and writes what came of it into
 * docs/strictness.md. A test holds Mayfly's columns to what it does.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { REQUESTS } from '../test/corpus/requests.ts';
import { RESPONSES } from '../test/corpus/responses.ts';
import type { RequestCase, ResponseCase } from '../test/corpus/types.ts';
import {
  askForResponse,
  judgeRequests,
  judgeResponse,
  sendRequests,
  throughLanes,
} from '../test/support/differential.ts';
import type { ObservedRequests, ObservedResponse, Outcome } from '../test/support/differential.ts';
import { openMayfly } from '../test/support/differential-mayfly.ts';
import type { Lanes } from '../test/support/differential-mayfly.ts';
import { HAPROXY, NGINX, openPeer, versionOf } from './strictness-peers.ts';

export const PAGE = join(import.meta.dirname, '../docs/strictness.md');
const BEGIN = '<!-- written by `npm run strictness` -->';
const END = '<!-- to here -->';

interface Judged {
  readonly kind: 'requests' | 'answers';
  readonly family: string;
  readonly name: string;
  /** It has one reading, and has to pass. */
  readonly legal: boolean;
  readonly outcome: Outcome;
}

export interface Observed {
  readonly requests: ReadonlyMap<RequestCase, ObservedRequests>;
  readonly responses: ReadonlyMap<ResponseCase, ObservedResponse>;
}

/** Every case, sent. */
export async function observe(lanes: Lanes): Promise<Observed> {
  const requests = await throughLanes(lanes.requests, REQUESTS, sendRequests);
  const responses = await throughLanes(lanes.responses, RESPONSES, askForResponse);
  return { requests, responses };
}

/** What became of every case. */
export function judge({ requests, responses }: Observed): Judged[] {
  const of = ({ family, name, end }: RequestCase | ResponseCase) => ({ family, name, legal: end === 'idle' });
  return [
    ...[...requests].map(([one, observed]) => ({
      kind: 'requests' as const,
      ...of(one),
      outcome: judgeRequests(one, observed),
    })),
    ...[...responses].map(([one, observed]) => ({
      kind: 'answers' as const,
      ...of(one),
      outcome: judgeResponse(one, observed),
    })),
  ];
}

type Column = readonly [name: string, judged: readonly Judged[]];

/** One table, a line each: families, and in each cell how many cases were refused / passed / altered. */
function tableOf(columns: readonly Column[], kind: Judged['kind'], legal: boolean): string[] {
  const line = (cells: readonly string[]) => `| ${cells.join(' | ')} |`;
  const ofTable = (judged: readonly Judged[]) =>
    judged.filter((one) => one.kind === kind && one.legal === legal);
  const [[, first] = ['', []]] = columns;
  const families = [...new Set(ofTable(first).map(({ family }) => family))].sort();
  const row = (name: string, isOfRow: (one: Judged) => boolean) => {
    const cells = columns.map(([, judged]) => ofTable(judged).filter(isOfRow));
    return line([name, String(cells[0]?.length), ...cells.map(countsOf)]);
  };
  return [
    line(['family', 'cases', ...columns.map(([name]) => name)]),
    line(['---', '---:', ...columns.map(() => '---')]),
    ...families.map((family) => row(family, (one) => one.family === family)),
    row('all', () => true),
  ];
}

function countsOf(judged: readonly Judged[]): string {
  const count = (outcome: Outcome) => judged.filter((one) => one.outcome === outcome).length;
  const altered = count('altered');
  return `${count('refused')} / ${count('passed')} / ${altered > 0 ? `**${altered}**` : altered}`;
}

const TABLES = [
  ['requests', false, 'Requests without one reading, or without an end'],
  ['requests', true, 'Requests that have to pass'],
  ['answers', false, 'Answers of apps without one reading, or without an end'],
  ['answers', true, 'Answers that have to pass'],
] as const;

/** All tables of the page. */
export function tables(columns: readonly Column[]): string {
  return TABLES.map(
    ([kind, legal, title]) => `### ${title}\n\n${tableOf(columns, kind, legal).join('\n')}`,
  ).join('\n\n');
}

export const COLUMNS = [
  ['Mayfly', 'fast'],
  ['Mayfly on node:http', 'http'],
] as const;

async function main(): Promise<void> {
  const columns: Column[] = [];
  const through = async (name: string, opening: Promise<Lanes>) => {
    await using lanes = await opening;
    columns.push([name, judge(await observe(lanes))]);
  };
  for (const [name, transport] of COLUMNS) await through(name, openMayfly(transport));
  for (const peer of [NGINX, HAPROXY]) await through(`${peer.name} ${await versionOf(peer)}`, openPeer(peer));

  const when = `Measured on ${new Date().toISOString().slice(0, 10)}. Each cell: refused / passed / altered.`;
  const page = readFileSync(PAGE, 'utf8');
  const [before = ''] = page.split(BEGIN);
  const after = page.split(END)[1] ?? '';
  writeFileSync(PAGE, `${before}${BEGIN}\n\n${when}\n\n${tables(columns)}\n\n${END}${after}`);
  // What the page tells in words is to be found here.
  for (const [name, judged] of columns)
    for (const { kind, family, name: what, outcome, legal } of judged)
      if (outcome !== (legal ? 'passed' : 'refused'))
        console.log([name, kind, family, what, outcome].join(' | '));
}

if (import.meta.main) await main();
