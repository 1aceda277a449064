/** Visitors of other kinds: WebSockets, HTTP/2, HTTP/1.0, expectations, and such as speak no HTTP at all. */
import { once } from 'node:events';
import { connect as connectHttp2 } from 'node:http2';
import type { ClientHttp2Session } from 'node:http2';
import { setTimeout as pause } from 'node:timers/promises';
import WebSocket from 'ws';
import type { Random } from '../fuzz/http1-mutate.ts';
import { Content, ContentCheck } from './content.ts';
import { downKey, mayBreak, mayFail, randomPlan, randomSize, targetOf, upKey } from './plan.ts';
import type { Plan } from './plan.ts';
import { describe, Visit } from './visit.ts';
import { connectTo } from './visitors.ts';
import type { World } from './visitors.ts';

const STREAMS = 6;

/** Sends messages and gets them back, and at last closes, or just goes. */
export async function webSocketVisitor(world: World, random: Random): Promise<void> {
  const { ledger, port } = world;
  while (!world.isOver()) {
    const socket = new WebSocket(`ws://127.0.0.1:${port}/`, { headers: { host: 'warm.test' } });
    const failed = once(socket, 'close').then(() => 'closed' as const);
    socket.on('error', (error) => ledger.violation(`a WebSocket failed: ${error.message}`));
    if ((await Promise.race([once(socket, 'open'), failed])) === 'closed') continue;
    for (let i = 0; i < 20 && !world.isOver(); i++) {
      const key = `ws ${random.below(2 ** 31).toString(36)}`;
      const sent = new Content(key).bytes(0, randomSize(random));
      socket.send(sent);
      const came = await Promise.race([once(socket, 'message'), failed]);
      if (came === 'closed') {
        ledger.violation(`a WebSocket closed under ${key}`);
        break;
      }
      const check = new ContentCheck(key);
      check.take(came[0] as Buffer);
      ledger.check(check.wrong);
      if (check.length !== sent.length) ledger.violation(`${key} came back with ${check.length} bytes`);
      ledger.figures.messages++;
    }
    if (random.below(2) === 0) socket.close();
    else socket.terminate();
    await failed;
  }
}

/** Several requests at once on one connection; some streams are reset on the way. */
export async function http2Visitor(world: World, random: Random): Promise<void> {
  while (!world.isOver()) {
    const session = connectHttp2(`https://127.0.0.1:${world.tlsPort}`, {
      ca: world.certPem,
      servername: 'warm.test',
    });
    session.on('error', (error) => world.ledger.violation(`a session of HTTP/2 failed: ${error.message}`));
    await once(session, 'connect');
    for (let round = 0; round < 10 && !world.isOver() && !session.destroyed; round++)
      await Promise.all(
        Array.from({ length: STREAMS }, () =>
          stream(world, random, session, randomPlan(random, 'warm.test')),
        ),
      );
    await new Promise<void>((resolve) => session.close(resolve));
  }
}

async function stream(world: World, random: Random, session: ClientHttp2Session, plan: Plan): Promise<void> {
  const { ledger } = world;
  const { figures } = ledger;
  figures.begun++;
  const sent = session.request(
    { ':method': plan.method, ':path': targetOf(plan), ':authority': plan.host },
    { endStream: plan.upFraming === 'none' },
  );
  const check = new ContentCheck(downKey(plan.id));
  const answer = { status: 0, ended: false };
  sent.on('response', (head) => (answer.status = head[':status'] ?? 0));
  sent.on('data', (bytes: Buffer) => {
    if (answer.status === 200) check.take(bytes);
    figures.bytes += bytes.length;
  });
  sent.on('end', () => (answer.ended = true));
  sent.on('error', () => undefined);
  if (plan.upFraming !== 'none') sent.end(new Content(upKey(plan.id)).bytes(0, plan.up));
  const leaves = random.below(15) === 0;
  const closed = new Promise((resolve) => sent.once('close', resolve));
  if (leaves) {
    await pause(random.below(20));
    sent.close();
  }
  await closed;
  ledger.check(check.wrong);
  const { status, ended } = answer;
  const whole = ended && sent.rstCode === 0 && status !== 0;
  if (leaves) figures.aborted++;
  else if (!whole) {
    figures.broken++;
    if (!mayBreak(plan)) ledger.violation(`${describe(plan)} over HTTP/2 broke with ${sent.rstCode}`);
  } else if (status !== 200) {
    figures.refused++;
    if (!mayFail(plan)) ledger.violation(`${describe(plan)} over HTTP/2 was answered ${status}`);
  } else {
    figures.answered++;
    const due = plan.method === 'HEAD' ? 0 : plan.down;
    if (check.length !== due && !mayBreak(plan))
      ledger.violation(`${describe(plan)} over HTTP/2 got ${check.length} bytes of ${due}`);
  }
}

/** What goes the seldom ways: handed from one transport to the other in the middle of a connection, or refused. */
export async function oddVisitor(world: World, random: Random): Promise<void> {
  while (!world.isOver()) {
    const visit = new Visit(await connectTo(world, random), world.ledger);
    const plan: Plan = {
      ...randomPlan(random, 'warm.test'),
      ...{ method: 'GET', up: 0, upFraming: 'none' },
      ...{ lines: '', deed: 'plain', downFraming: 'length' },
    };
    const host = `Host: ${plan.host}\r\n`;
    const target = targetOf(plan);
    const [head, ...statuses] = random.pick<readonly [string, ...number[]]>([
      [`GET ${target} HTTP/1.0\r\n${host}\r\n`],
      [`GET http://${plan.host}${target} HTTP/1.1\r\n${host}\r\n`],
      [`GET ${target} HTTP/1.1\r\n${host}Expect: 100-continue\r\n\r\n`],
      [`GET ${target} HTTP/1.1\r\n${host}${host}\r\n`, 400],
      [`GET ${target} HTTP/1.1\r\n${host}Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n`, 400],
      ['\x16\x03\x01\x02\x00\r\n\r\n', 400],
      [`GET /${'x'.repeat(9_000)} HTTP/1.1\r\n${host}\r\n`, 414],
    ]);
    visit.expect([{ plan, statuses }]);
    visit.socket.write(Buffer.from(head, 'latin1'));
    await visit.settled;
    visit.leave(false);
    await pause(random.below(20));
  }
}
