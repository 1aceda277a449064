/** Before a peer is measured, it has to answer rightly: a wrong answer is an error, not a fast row. */
import { Agent, request as httpRequest } from 'node:http';
import { request as httpsRequest } from 'node:https';
import { buffer } from 'node:stream/consumers';
import type { ServedApp } from './bed.ts';
import type { Peer } from './peer.ts';
import type { Scenario } from './scenarios.ts';
import { SMALL_BODY } from './scenarios.ts';
import { LARGE_BODY, readArrived } from './upstream.ts';
import type { LoadRequest } from './wrk.ts';

export interface VerifyOptions {
  readonly peer: Peer;
  readonly scenario: Scenario;
  readonly apps: readonly ServedApp[];
  readonly signal: AbortSignal;
}

interface Question extends LoadRequest {
  readonly host: string;
}

/** Requests under way at once when all hosts are gone through. */
const AT_ONCE = 32;
const ANSWER_TIMEOUT_MS = 10_000;

/**
 * Sends the scenario's own request for every app, asks what of such a request arrives, and then, where apps have many
 * hosts, goes through all of them: so that every route has been used before.
 * Errors: another status or body than the upstream's, another method, framing or field, or another app's upstream.
 */
export async function verify({ peer, scenario, apps, signal }: VerifyOptions): Promise<void> {
  const { request, bed } = scenario;
  const expected = Buffer.from(request.path === '/large' ? LARGE_BODY : SMALL_BODY);
  const framing = String(request.body?.length ?? '');
  const must = (isRight: boolean, otherwise: string) => {
    if (!isRight) throw new Error(`${peer.name} cannot be measured for ${scenario.name}: ${otherwise}`);
  };
  const agent = new Agent({ keepAlive: true, maxSockets: AT_ONCE });
  const ask = (question: Question) =>
    bed === 'tls' ? askOverTls(peer.port, question) : askPlainly(peer.port, question, agent);
  const check = async (host: string, upstreamPort: number) => {
    signal.throwIfAborted();
    const mark = `mark-${upstreamPort}`;
    const headers = { ...request.headers, 'X-Bench': mark };
    const { status, body } = await ask({ ...request, host, path: '/check', headers });
    const arrived = readArrived(body.toString());
    must(status === 200, `it answered ${status} for ${host}`);
    must(arrived.method === request.method, `the method arrived as ${JSON.stringify(arrived.method)}`);
    must(
      arrived.framing === framing || (framing !== '' && arrived.framing === 'chunked'),
      `the length of the body arrived as ${JSON.stringify(arrived.framing)}`,
    );
    must(arrived.mark === mark, `a header field arrived as ${JSON.stringify(arrived.mark)}`);
    must(
      arrived.port === upstreamPort,
      `${host} went to port ${arrived.port}, but its app is at ${upstreamPort}`,
    );
  };
  try {
    for (const { hosts, upstreamPort } of apps) {
      const [host = '', ...others] = hosts;
      signal.throwIfAborted();
      const { status, body } = await ask({ ...request, host });
      must(status === 200, `it answered ${status} for ${host}`);
      must(
        body.equals(expected),
        `its answer for ${host} is not the upstream's: ${body.length} bytes, not ${expected.length}`,
      );
      await Promise.all([host, ...others].map((one) => check(one, upstreamPort)));
    }
  } finally {
    agent.destroy();
  }
}

type Answer = Promise<{ status: number; body: Buffer }>;

function askPlainly(port: number, { host, method, path, headers, body }: Question, agent: Agent): Answer {
  const fields = fieldsOf(host, headers, body);
  return answerOf(httpRequest({ host: '127.0.0.1', port, method, path, agent, headers: fields }), body);
}

function askOverTls(port: number, { host, method, path, headers, body }: Question): Answer {
  const options = {
    host: '127.0.0.1',
    port,
    method,
    path,
    agent: false,
    headers: fieldsOf(host, headers, body),
  };
  return answerOf(httpsRequest({ ...options, servername: host, rejectUnauthorized: false }), body);
}

function fieldsOf(host: string, headers: LoadRequest['headers'], body = ''): Record<string, string | number> {
  return { ...headers, Host: host, ...(body !== '' && { 'Content-Length': body.length }) };
}

function answerOf(outgoing: ReturnType<typeof httpRequest>, body: string | undefined): Answer {
  const { promise, resolve, reject } = Promise.withResolvers<{ status: number; body: Buffer }>();
  outgoing.setTimeout(ANSWER_TIMEOUT_MS, () =>
    outgoing.destroy(new Error(`no answer within ${ANSWER_TIMEOUT_MS} ms`)),
  );
  outgoing.once('error', reject);
  outgoing.once('response', (response) => {
    buffer(response).then((bytes) => resolve({ status: response.statusCode ?? 0, body: bytes }), reject);
  });
  outgoing.end(body);
  return promise;
}
