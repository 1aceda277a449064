/**
 * How often V8 collects everything as crowds come and go over TLS, with what the proxy tells it and without. A child each, as
 * V8 is told once in a process.
 */
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { connect } from 'node:tls';
import { afterEach, expect, test } from 'vitest';
import { makePair } from '../support/certificates.ts';

const MAX_PAIRS = 4;
const CROWDS = 20;
const VISITORS = 64;
const MESSAGES = 20;
const MESSAGE = Buffer.alloc(16 * 1024, 'x');

const children = new Set<ReturnType<typeof fork>>();
afterEach(() => {
  for (const child of children) child.kill('SIGKILL');
  children.clear();
});

test('the connections of a crowd do not bring a collection of everything with them', async () => {
  let [told, plain] = [0, 0];
  // On a busy machine V8 collects seldom either way, and a few collections are chance: then there are more to compare.
  for (let pair = 0; pair < MAX_PAIRS && told >= plain / 2; pair++) {
    told += await collectionsOf([]);
    plain += await collectionsOf(['plain']);
  }
  expect(plain, 'what is compared with: V8 as it is').toBeGreaterThan(2);
  expect(told).toBeLessThan(plain / 2);
}, 120_000);

async function collectionsOf(words: readonly string[]): Promise<number> {
  const { certPem, keyPem } = await makePair(['crowd.test']);
  const child = fork(new URL('../support/collections-child.ts', import.meta.url), [
    certPem,
    keyPem,
    ...words,
  ]);
  children.add(child);
  const [{ port }] = (await once(child, 'message')) as [{ port: number }];
  for (let crowd = 0; crowd < CROWDS; crowd++)
    await Promise.all(Array.from({ length: VISITORS }, () => visit(port)));
  child.send('how often?');
  const [{ collections }] = (await once(child, 'message')) as [{ collections: number }];
  return collections;
}

/** Has its messages sent back, one after the other. */
async function visit(port: number): Promise<void> {
  const socket = connect({ port, host: '127.0.0.1', rejectUnauthorized: false });
  try {
    await once(socket, 'secureConnect');
    for (let sent = 0; sent < MESSAGES; sent++) {
      socket.write(MESSAGE);
      let came = 0;
      while (came < MESSAGE.length) came += ((await once(socket, 'data')) as [Buffer])[0].length;
    }
  } finally {
    socket.destroy();
  }
}
