/**
 * A client of HTTP/2 that sends exactly the frames it is told to, right or wrong, from the first byte of a plain connection;
 * and reads enough of the answers to tell what became of each stream. Header fields are sent as literals (RFC 7541 §6.2.2).
 */
import { connect } from 'node:net';
import type { Socket } from 'node:net';
import { until } from './until.ts';

export const DATA = 0;
export const HEADERS = 1;
export const RST_STREAM = 3;
export const SETTINGS = 4;
export const GOAWAY = 7;
export const WINDOW_UPDATE = 8;
export const CONTINUATION = 9;
export const END_STREAM = 1;
export const ACK = 1;
export const END_HEADERS = 4;

const PREFACE = 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n';

export interface Frame {
  readonly type: number;
  readonly flags: number;
  readonly stream: number;
  readonly payload: Buffer;
}

export type Fields = readonly (readonly [name: string, value: string])[];

/** A GET for `a.test`, of which a test changes what it is about. */
export function get(path = '/', more: Fields = []): Fields {
  return [[':method', 'GET'], [':scheme', 'http'], [':authority', 'a.test'], [':path', path], ...more];
}

/** A POST for `a.test`. */
export function post(more: Fields = []): Fields {
  return [[':method', 'POST'], [':scheme', 'http'], [':authority', 'a.test'], [':path', '/'], ...more];
}

export function frame(type: number, flags: number, stream: number, payload: Buffer | string = ''): Buffer {
  const body = typeof payload === 'string' ? Buffer.from(payload, 'latin1') : payload;
  const head = Buffer.alloc(9);
  head.writeUIntBE(body.length, 0, 3);
  head.writeUInt8(type, 3);
  head.writeUInt8(flags, 4);
  head.writeUInt32BE(stream, 5);
  return Buffer.concat([head, body]);
}

export function headerBlock(fields: Fields): Buffer {
  return Buffer.concat(fields.flatMap(([name, value]) => [Buffer.from([0]), literal(name), literal(value)]));
}

/** A length in a prefix of seven bits (§5.1), without Huffman, and the bytes. */
function literal(text: string): Buffer {
  const bytes = Buffer.from(text, 'latin1');
  if (bytes.length < 127) return Buffer.concat([Buffer.from([bytes.length]), bytes]);
  const length = [127];
  let rest = bytes.length - 127;
  for (; rest >= 128; rest >>= 7) length.push((rest & 127) | 128);
  return Buffer.concat([Buffer.from([...length, rest]), bytes]);
}

export class RawH2 implements AsyncDisposable {
  readonly socket: Socket;
  readonly frames: Frame[] = [];
  closed = false;
  #rest: Buffer = Buffer.alloc(0);
  #next = 1;

  private constructor(socket: Socket) {
    this.socket = socket;
    socket.on('data', (chunk: Buffer) => this.#read(chunk));
    socket.on('error', () => undefined);
    socket.on('close', () => (this.closed = true));
  }

  /** Greets, and waits for the server's settings. */
  static async open(port: number): Promise<RawH2> {
    const socket = connect({ port, host: '127.0.0.1' });
    const client = new RawH2(socket);
    client.send(Buffer.from(PREFACE, 'latin1'), frame(SETTINGS, 0, 0));
    await until('the settings of the server', () => client.frames.some(({ type }) => type === SETTINGS));
    client.send(frame(SETTINGS, ACK, 0));
    return client;
  }

  send(...pieces: readonly Buffer[]): this {
    this.socket.write(Buffer.concat(pieces));
    return this;
  }

  /** Sends a request on the next stream, and returns its number. */
  request(fields: Fields, { ends = true }: { readonly ends?: boolean } = {}): number {
    const stream = this.#next;
    this.#next += 2;
    this.send(frame(HEADERS, END_HEADERS | (ends ? END_STREAM : 0), stream, headerBlock(fields)));
    return stream;
  }

  /** What became of a stream: `answered` (headers came, and an end), `reset`, or `closed` with the connection. */
  async fate(stream: number): Promise<'answered' | 'reset' | 'closed'> {
    return until(`the end of stream ${stream}`, () => {
      const own = this.frames.filter((one) => one.stream === stream);
      if (own.some(({ type }) => type === RST_STREAM) && !own.some(({ type }) => type === HEADERS))
        return 'reset';
      if (own.some(({ type, flags }) => type <= HEADERS && (flags & END_STREAM) !== 0)) return 'answered';
      return this.closed || this.frames.some(({ type }) => type === GOAWAY) ? 'closed' : undefined;
    });
  }

  /** The bodies that came on a stream. */
  body(stream: number): string {
    const parts = this.frames.filter((one) => one.stream === stream && one.type === DATA);
    return Buffer.concat(parts.map(({ payload }) => payload)).toString();
  }

  #read(chunk: Buffer): void {
    this.#rest = Buffer.concat([this.#rest, chunk]);
    while (this.#rest.length >= 9) {
      const length = this.#rest.readUIntBE(0, 3);
      if (this.#rest.length < 9 + length) return;
      this.frames.push({
        type: this.#rest.readUInt8(3),
        flags: this.#rest.readUInt8(4),
        stream: this.#rest.readUInt32BE(5) & 0x7fffffff,
        payload: this.#rest.subarray(9, 9 + length),
      });
      this.#rest = this.#rest.subarray(9 + length);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.socket.destroy();
    await until('the socket to close', () => this.closed);
  }
}
