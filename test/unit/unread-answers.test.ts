import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { expect, it, onTestFinished } from 'vitest';
import { UnreadAnswers } from '../../src/coreapi/http/unread-answers.ts';
import { RawClient } from '../support/raw-http.ts';
import { until } from '../support/until.ts';

const MIB = 1024 ** 2;
/** More than the sockets on both sides take in. */
const ANSWER = Buffer.alloc(32 * MIB, 'x');

it('cuts off who has left an answer lying the longest, once too much lies there, and nobody who reads', async () => {
  const unread = new UnreadAnswers(40 * MIB);
  const server = createServer((_, response) => {
    response.end(ANSWER);
    unread.add(response);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  onTestFinished(() => void server.close());
  const { port } = server.address() as AddressInfo;
  const ask = async () => {
    const client = await RawClient.open(port);
    client.socket.pause();
    return client.send('GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n');
  };

  await using reader = await ask();
  reader.socket.resume();
  expect((await reader.rest()).length).toBeGreaterThan(ANSWER.length);

  await using first = await ask();
  await until('its answer', () => first.socket.bytesRead > 0);
  await using second = await ask();
  await until('its answer', () => second.socket.bytesRead > 0);
  for (const client of [first, second]) client.socket.resume();
  expect((await first.rest()).length).toBeLessThan(ANSWER.length);
  expect((await second.rest()).length).toBeGreaterThan(ANSWER.length);
});
