/** A client that sends exactly the bytes it is given, and shows exactly what came back. */
import { connect } from 'node:net';
import type { Socket } from 'node:net';
import { until } from './until.ts';

export class RawClient implements AsyncDisposable {
  readonly socket: Socket;
  /** Everything received, as latin1. */
  received = '';
  /** The other side has ended or broken the connection. */
  ended = false;
  closed = false;
  error: Error | undefined;

  private constructor(socket: Socket) {
    this.socket = socket;
    socket.on('data', (chunk: Buffer) => (this.received += chunk.toString('latin1')));
    socket.on('end', () => (this.ended = true));
    socket.on('close', () => (this.closed = this.ended = true));
    socket.on('error', (error) => (this.error = error));
  }

  static open(port: number): Promise<RawClient> {
    return new Promise((resolve, reject) => {
      const socket = connect({ port, host: '127.0.0.1', allowHalfOpen: true });
      socket.once('error', reject);
      socket.once('connect', () => {
        socket.off('error', reject);
        resolve(new RawClient(socket));
      });
    });
  }

  send(text: string | Buffer): this {
    this.socket.write(typeof text === 'string' ? Buffer.from(text, 'latin1') : text);
    return this;
  }

  /** Waits until what was received contains the text. */
  async saw(text: string): Promise<string> {
    await until(`"${text}" in what was received`, () => {
      if (this.received.includes(text)) return true;
      if (this.closed) throw new Error(`closed without "${text}" in: ${JSON.stringify(this.received)}`);
      return false;
    });
    return this.received;
  }

  /** Waits for the other side's end and returns everything it said. */
  async rest(): Promise<string> {
    await until('the end of the connection', () => this.ended);
    return this.received;
  }

  get statuses(): number[] {
    return [...this.received.matchAll(/HTTP\/1\.1 (\d{3}) /g)].map((match) => Number(match[1]));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.socket.destroy();
    await until('the socket to close', () => this.socket.closed);
  }
}

/** One request on a connection of its own: everything that came back until the end. Sends `Connection: close` nowhere by itself. */
export async function exchangeRaw(port: number, bytes: string | Buffer): Promise<string> {
  await using client = await RawClient.open(port);
  client.send(bytes);
  return await client.rest();
}
