/** Clients of HTTP/2 as programs have them: node:http2, with what a test wants to know of an answer. */
import { connect } from 'node:http2';
import type {
  ClientHttp2Session,
  ClientHttp2Stream,
  ClientSessionOptions,
  SecureClientSessionOptions,
} from 'node:http2';
import { until } from './until.ts';

export interface H2Answer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly trailers: Readonly<Record<string, string | string[] | undefined>>;
  readonly body: Buffer;
  readonly text: string;
}

export type H2Session = ClientHttp2Session & AsyncDisposable;

/** Connected; closed when it is disposed of. */
export async function http2Session(
  url: string,
  options: ClientSessionOptions | SecureClientSessionOptions = {},
): Promise<H2Session> {
  const session = connect(url, options);
  await new Promise<void>((resolve, reject) => {
    session.once('connect', () => resolve());
    session.once('error', reject);
  });
  session.on('error', () => undefined);
  const dispose = async () => {
    session.destroy();
    await until('the session to close', () => session.destroyed);
  };
  return Object.assign(session, { [Symbol.asyncDispose]: dispose });
}

/** One request. Rejects where the stream is reset. */
export async function askH2(
  session: ClientHttp2Session,
  headers: Readonly<Record<string, string | string[]>>,
  body?: string | Buffer,
): Promise<H2Answer> {
  const stream = session.request({ ':authority': 'a.test', ...headers }, { endStream: body === undefined });
  if (body !== undefined) stream.end(body);
  return answerOf(stream);
}

export function answerOf(stream: ClientHttp2Stream): Promise<H2Answer> {
  return new Promise((resolve, reject) => {
    let answer: H2Answer['headers'] = {};
    let trailers: H2Answer['trailers'] = {};
    const chunks: Buffer[] = [];
    stream.once('response', (headers) => (answer = headers));
    stream.once('trailers', (fields) => (trailers = fields));
    stream.on('data', (chunk: Buffer) => chunks.push(chunk));
    stream.once('error', reject);
    stream.once('close', () => {
      if (stream.rstCode !== 0) {
        reject(new Error(`the stream was reset with ${stream.rstCode}`));
        return;
      }
      const bytes = Buffer.concat(chunks);
      const status = Number(answer[':status']);
      resolve({ status, headers: answer, trailers, body: bytes, text: bytes.toString() });
    });
  });
}
