import { once } from 'node:events';
import { connect } from 'node:net';

/** The status line's beginning, as the server answers who connects from this address of the machine; nothing if it does not. */
export async function statusFrom(localAddress: string, port: number, path: string): Promise<string> {
  const socket = connect({ port, host: '127.0.0.1', localAddress });
  let heard = '';
  socket.on('data', (chunk: Buffer) => (heard += chunk.toString()));
  socket.on('error', () => undefined);
  socket.write(`GET ${path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n`);
  await once(socket, 'close');
  return heard.slice(0, 12);
}
