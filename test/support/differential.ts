/**
 * The corpus through a real proxy: each case is sent as it stands, by a client that speaks bytes, to an app that notes bytes.
 * What came of it has one of three names, whoever the proxy is.
 */
import { isDeepStrictEqual } from 'node:util';
import { normalizeHost } from '../../src/hostname.ts';
import { readRequests } from '../corpus/read-stream.ts';
import type { ExpectedRequest, RequestCase, ResponseCase } from '../corpus/types.ts';
import { readAsNodeClient } from '../fuzz/http1-node.ts';
import type { SeenRequest, SeenResponse } from '../fuzz/http1-node.ts';
import { RawClient } from './raw-http.ts';
import type { RecordedConnection, Recorder } from './recorder.ts';
import type { Upstream } from './upstreams.ts';
import { rawUpstream } from './upstreams.ts';

/**
 * - `refused`: no whole message of the case came through, and whoever read behind the proxy could see that
 * - `passed`: what came through is what was sent, or one well-formed reading of it, with an answer for each request
 * - `altered`: the next parser refused what it was given, or read other messages than the proxy did
 */
export type Outcome = 'refused' | 'passed' | 'altered';

/** Behind a case that is well-formed: the connection goes on with it, and ends. */
export const SENTINEL = 'GET /sentinel HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n\r\n';

const HIDDEN: SeenRequest = { method: 'GET', target: '/hidden', host: 'a.test', body: '', whole: true };

/** One way into a proxy, and the app behind it: cases go through it one after the other. */
export interface Lane<App> {
  readonly port: number;
  readonly app: App;
}

/** Every case through one of the lanes. */
export async function throughLanes<Case, App, Observed>(
  lanes: readonly Lane<App>[],
  cases: readonly Case[],
  send: (lane: Lane<App>, one: Case) => Promise<Observed>,
): Promise<Map<Case, Observed>> {
  const observed = new Map<Case, Observed>();
  const left = cases.values();
  await Promise.all(
    lanes.map(async (lane) => {
      for (const one of left) observed.set(one, await send(lane, one));
    }),
  );
  return observed;
}

export interface ObservedRequests {
  /** All that the client was sent. */
  readonly received: string;
  /** Of final answers. */
  readonly statuses: readonly number[];
  readonly connections: readonly RecordedConnection[];
  /** Those that came whole, in the order in which the client was answered, and the unanswered ones behind. */
  readonly whole: readonly SeenRequest[];
}

/** Sends one case. Resolves when the proxy has ended the connection, which it has to do by itself. */
export async function sendRequests(
  { port, app }: Lane<Recorder>,
  one: RequestCase,
): Promise<ObservedRequests> {
  await using client = await RawClient.open(port);
  client.send(one.bytes + (one.end === 'idle' ? SENTINEL : ''));
  if (one.end === 'incomplete') client.socket.end();
  const received = await client.rest();
  const connections = await app.take();
  const answered = [...received.matchAll(/X-Seen: (\d+)\r/gi)].map((match) => Number(match[1]));
  const place = (number: number) => (answered.indexOf(number) + answered.length + 1) % (answered.length + 1);
  const whole = connections
    .flatMap(({ requests }) => requests)
    .filter((request) => request.whole)
    .sort((a, b) => place(a.number) - place(b.number))
    .map(({ number: _number, ...request }) => request);
  return { received, statuses: finalStatuses(received), connections, whole };
}

/** The requests of a case that a server sees on a connection, which ends where a client has said so. */
export function served(one: RequestCase): readonly ExpectedRequest[] {
  const { messages } = readRequests([Buffer.from(one.bytes, 'latin1')]);
  const last = messages.findIndex(({ keepAlive }) => !keepAlive);
  return last === -1 ? one.requests : one.requests.slice(0, last + 1);
}

export function judgeRequests(one: RequestCase, observed: ObservedRequests): Outcome {
  const { connections, statuses } = observed;
  if (connections.some(({ refused }) => refused !== undefined)) return 'altered';
  const whole = observed.whole.filter(({ target }) => target !== '/sentinel');
  const expected = served(one);
  const came = whole.slice(0, expected.length);
  if (!came.every((request, i) => isThe(request, expected[i]))) return 'altered';
  if (one.end === 'idle') {
    if (whole.length > expected.length) return 'altered';
    return whole.length === expected.length ? 'passed' : 'refused';
  }
  const [first, ...further] = whole.slice(expected.length);
  if (first === undefined) return 'refused';
  // Something of what is ambiguous came through: as one request, and what hides behind it as another, or not at all.
  const hides = further.length === 0 || (further.length === 1 && isDeepStrictEqual(further[0], HIDDEN));
  const apart = hides && first.target !== '/hidden' && !first.body.includes('/hidden');
  const answers = statuses.filter((status) => status === 200).length;
  return apart && answers === whole.length ? 'passed' : 'altered';
}

/** An app that answers a case's bytes and closes; to the sentinel it answers as one should. */
export class CaseApp implements AsyncDisposable {
  readonly upstream: Upstream;
  readonly #script: { bytes: string };

  static async open(): Promise<CaseApp> {
    const script = { bytes: '' };
    const upstream = await rawUpstream((socket) => {
      let head = '';
      socket.on('data', (data: Buffer) => {
        head += data.toString('latin1');
        if (!head.includes('\r\n\r\n')) return;
        if (head.includes('/sentinel')) socket.write('HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\nsentinel');
        else socket.end(Buffer.from(script.bytes, 'latin1'));
        head = '';
      });
      socket.on('end', () => socket.end());
    });
    return new CaseApp(upstream, script);
  }

  private constructor(upstream: Upstream, script: { bytes: string }) {
    this.upstream = upstream;
    this.#script = script;
  }

  /** Latin1. */
  set answer(bytes: string) {
    this.#script.bytes = bytes;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.upstream.close();
  }
}

export interface ObservedResponse {
  readonly received: string;
  readonly statuses: readonly number[];
  /** What Node's client, strict, takes the first answer for; undefined: it refuses it, or there is none. */
  readonly read: SeenResponse | undefined;
}

/** Asks for one case, and for the sentinel behind it. Resolves when the proxy has ended the connection. */
export async function askForResponse(
  { port, app }: Lane<CaseApp>,
  one: ResponseCase,
): Promise<ObservedResponse> {
  app.answer = one.bytes;
  await using client = await RawClient.open(port);
  client.send(`${one.method} /case HTTP/1.1\r\nHost: a.test\r\n\r\n${SENTINEL}`);
  const received = await client.rest();
  const read = await readAsNodeClient(one.method, received);
  return { received, statuses: finalStatuses(received), read };
}

export function judgeResponse(one: ResponseCase, { received, statuses, read }: ObservedResponse): Outcome {
  // What lies behind an answer is nobody's, unless that is read to the end of the connection.
  if (received.includes('hidden') && !(read?.whole && read.body.includes('hidden'))) return 'altered';
  const expected = one.responses.at(-1);
  if (one.end === 'idle' && read?.whole && read.status === expected?.status && read.body === expected.body)
    return 'passed';
  if (received === '' || statuses[0] === 502 || (read !== undefined && !read.whole)) return 'refused';
  if (read === undefined || one.end === 'idle' || one.end === 'incomplete') return 'altered';
  return 'passed';
}

function finalStatuses(received: string): number[] {
  return [...received.matchAll(/HTTP\/1\.[01] (\d{3})\b/g)]
    .map((match) => Number(match[1]))
    .filter((status) => status >= 200);
}

function isThe(request: SeenRequest, expected: ExpectedRequest | undefined): boolean {
  return (
    expected !== undefined &&
    request.method === expected.method &&
    pathOf(request) === expected.target &&
    request.body === expected.body &&
    sameHost(request.host ?? '', expected.host)
  );
}

/** A proxy may pass on the whole URL that it was sent (RFC 9112 §3.2.2, §3.2.4). */
function pathOf({ method, target }: SeenRequest): string {
  const path = target.replace(/^https?:\/\/[^/?]*/i, '');
  if (path === '') return method === 'OPTIONS' ? '*' : '/';
  return path.startsWith('?') ? `/${path}` : path;
}

function sameHost(one: string, other: string): boolean {
  const normal = (host: string) => normalizeHost(Buffer.from(host, 'latin1').toString()) ?? host;
  return normal(one) === normal(other);
}
