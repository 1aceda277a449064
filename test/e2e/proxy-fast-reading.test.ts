/** That Node reads accepted connections into memory of ours: how it is told so is private to Node, and could change. */
import { once } from 'node:events';
import { connect, createServer } from 'node:net';
import type { AddressInfo, Server, Socket } from 'node:net';
import { connect as connectTls, createServer as createTlsServer } from 'node:tls';
import { afterEach, expect, it } from 'vitest';
import { onread, readBy, readInto, readOnInto } from '../../src/proxy/fast/read-into.ts';
import { makePair } from '../support/certificates.ts';

const open: (Server | Socket)[] = [];

afterEach(() => {
  for (const one of open.splice(0)) {
    if ('close' in one) one.close();
    else one.destroy();
  }
});

/** What is read of what the first client says. */
function hear(server: Server, event: 'connection' | 'secureConnection'): Promise<string> {
  const { promise, resolve, reject } = Promise.withResolvers<string>();
  const memory = Buffer.alloc(64);
  server.on(event, (socket: Socket) => {
    open.push(socket);
    const received = (bytes: number) => {
      resolve(memory.toString('latin1', 0, bytes));
      return true;
    };
    if (!readInto(socket, memory, { received })) reject(new Error('it reads as every socket does'));
  });
  open.push(server.listen(0, '127.0.0.1'));
  return promise;
}

it('a plain connection is read into it', async () => {
  const server = createServer({ allowHalfOpen: true });
  const heard = hear(server, 'connection');
  await once(server, 'listening');
  const client = connect((server.address() as AddressInfo).port, '127.0.0.1');
  open.push(client);
  client.write('hello');
  expect(await heard).toBe('hello');
});

it('a connection with TLS is read into it', async () => {
  const { certPem, keyPem } = await makePair(['a.test']);
  const server = createTlsServer({ cert: certPem, key: keyPem });
  const heard = hear(server, 'secureConnection');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const client = connectTls({ port, host: '127.0.0.1', ca: certPem, servername: 'a.test' });
  open.push(client);
  client.write('hello');
  expect(await heard).toBe('hello');
});

it('a connection that is made is read into it, and told elsewhere reads on there', async () => {
  const server = createServer();
  open.push(server.listen(0, '127.0.0.1'));
  await once(server, 'listening');
  const accepted = once(server, 'connection') as Promise<[Socket]>;
  const [first, second] = [Buffer.alloc(64), Buffer.alloc(64)];
  const { port } = server.address() as AddressInfo;
  const client = connect({ port, host: '127.0.0.1', onread: onread(first) });
  open.push(client);
  let read = Promise.withResolvers<number>();
  readBy(client, {
    received: (bytes) => {
      readOnInto(client, second);
      read.resolve(bytes);
      return true;
    },
  });
  const [socket] = await accepted;
  open.push(socket);
  for (const [memory, text] of [
    [first, 'hello'],
    [second, 'again'],
    [second, 'still'],
  ] as const) {
    read = Promise.withResolvers<number>();
    socket.write(text);
    expect(memory.toString('latin1', 0, await read.promise)).toBe(text);
  }
  expect(first.toString('latin1', 0, 5)).toBe('hello');
});
