/** Visitors over HTTP/1.1: patient and hasty ones, such as ask ahead, read slowly, write slowly, and leave in the middle. */
import { once } from 'node:events';
import { connect } from 'node:net';
import type { Socket } from 'node:net';
import { setImmediate, setTimeout as pause } from 'node:timers/promises';
import { connect as connectTls } from 'node:tls';
import type { Random } from '../fuzz/http1-mutate.ts';
import type { Ledger } from './ledger.ts';
import { largePlans, planLike, randomPlan, requestPieces, usualPlan } from './plan.ts';
import type { Plan } from './plan.ts';
import { Visit } from './visit.ts';
import type { Due } from './visit.ts';

export interface World {
  readonly port: number;
  readonly tlsPort: number;
  readonly certPem: string;
  readonly ledger: Ledger;
  /** Nothing new is begun. */
  isOver(): boolean;
}

/** No answer takes longer, however slow both ends are. */
const PATIENCE_MS = 60_000;
const COLD_HOSTS = 8;

/** Of the hosts, most are warm; the cold ones fall asleep again and again; some nobody knows. */
function randomHost(random: Random): string {
  const kind = random.below(20);
  if (kind < 13) return 'warm.test';
  if (kind < 18) return `cold-${random.below(COLD_HOSTS)}.test`;
  return kind === 18 ? 'warm-too.test' : `unknown-${random.below(50)}.test`;
}

function randomDue(random: Random, host: string): Due {
  const plan = randomPlan(random, host);
  return { plan, statuses: host.startsWith('unknown') ? [404] : [] };
}

export async function connectTo(world: World, random: Random): Promise<Socket> {
  const { port, tlsPort, certPem } = world;
  const host = '127.0.0.1';
  if (random.below(4) > 0) {
    const socket = connect({ port, host, noDelay: true });
    await once(socket, 'connect');
    return socket;
  }
  const socket = connectTls({ port: tlsPort, host, ca: certPem, servername: 'warm.test' });
  await once(socket, 'secureConnect');
  // The last of the handshake is still to be sent: whoever left now would leave in the middle of it.
  await setImmediate();
  return socket;
}

/** Visits until the world is over. */
export async function visitor(world: World, random: Random): Promise<void> {
  while (!world.isOver()) {
    const visit = new Visit(await connectTo(world, random), world.ledger);
    const rounds = random.pick([1, 1, 5, 40]);
    const sameHost = random.below(2) === 0 ? randomHost(random) : undefined;
    for (let round = 0; round < rounds && !visit.over && !world.isOver(); round++) {
      const ahead = random.below(4) === 0 ? 2 + random.below(12) : 1;
      const dues = Array.from({ length: ahead }, () => randomDue(random, sameHost ?? randomHost(random)));
      visit.expect(dues);
      const left = await converse(visit, random, dues);
      if (left || !(await settles(visit, world))) break;
    }
    visit.leave(random.below(2) === 0);
  }
}

/** Asks for the same without a pause, one after the other or many ahead: heads repeat, and connections to the app are kept. */
export async function hastyVisitor(world: World, random: Random): Promise<void> {
  while (!world.isOver()) {
    const visit = new Visit(await connectTo(world, random), world.ledger);
    const like = usualPlan(random, random.pick(['warm.test', 'warm-too.test']));
    for (let round = 0; round < 300 && !visit.over && !world.isOver(); round++) {
      const ahead = random.pick([1, 1, 1, 4, 24]);
      const dues = Array.from({ length: ahead }, () => ({ plan: planLike(random, like), statuses: [] }));
      visit.expect(dues);
      await write(visit.socket, Buffer.concat(dues.flatMap(({ plan }) => [...requestPieces(random, plan)])));
      if (!(await settles(visit, world))) break;
    }
    visit.leave(false);
  }
}

/** Asks for much, ahead, and takes nothing of it until everything stands still. */
export async function stubbornVisitor(world: World, random: Random): Promise<void> {
  while (!world.isOver()) {
    const visit = new Visit(await connectTo(world, random), world.ledger);
    const plans = largePlans(random, random.pick(['warm.test', 'warm-too.test']));
    visit.expect(plans.map((plan) => ({ plan, statuses: [] })));
    visit.socket.pause();
    const sent = write(
      visit.socket,
      Buffer.concat(plans.flatMap((plan) => [...requestPieces(random, plan)])),
    );
    await pause(300 + random.below(300));
    await slowly(visit.socket, random);
    await sent;
    await settles(visit, world);
    visit.leave(random.below(2) === 0);
  }
}

/** Sends the requests, and reads as a visitor may. True: it has left. */
async function converse(visit: Visit, random: Random, dues: readonly Due[]): Promise<boolean> {
  const readsSlowly = random.below(8) === 0 ? slowly(visit.socket, random) : undefined;
  const leaves = random.below(12) === 0;
  const pieces = dues.flatMap(({ plan }) => [...requestPieces(random, plan)]);
  const sent = leaves ? pieces.slice(0, random.below(pieces.length + 1)) : pieces;
  await send(visit, random, sent, dues[0]?.plan);
  if (leaves) {
    await pause(random.below(30));
    visit.leave(random.below(2) === 0);
  }
  await readsSlowly;
  return leaves;
}

async function send(visit: Visit, random: Random, pieces: Buffer[], plan: Plan | undefined): Promise<void> {
  const { socket } = visit;
  const style = random.below(4);
  if (style < 2) {
    const bytes = Buffer.concat(pieces);
    if (style === 0 || bytes.length < 2) await write(socket, bytes);
    else {
      const cut = 1 + random.below(bytes.length - 1);
      await write(socket, bytes.subarray(0, cut));
      await setImmediate();
      await write(socket, bytes.subarray(cut));
    }
    return;
  }
  for (const piece of pieces) {
    if (visit.over) return;
    await write(socket, piece);
    if (style === 3 && plan?.deed !== 'early' && random.below(3) === 0) await pause(random.below(10));
  }
}

async function write(socket: Socket, bytes: Buffer): Promise<void> {
  if (bytes.length === 0 || socket.destroyed || !socket.writable || socket.write(bytes)) return;
  await new Promise<void>((resolve) => {
    const done = () => {
      socket.off('drain', done).off('close', done).off('end', done);
      resolve();
    };
    socket.once('drain', done).once('close', done).once('end', done);
  });
}

/** Takes nothing for a while, several times. */
async function slowly(socket: Socket, random: Random): Promise<void> {
  for (let i = 0; i < 5 && !socket.destroyed; i++) {
    socket.pause();
    await pause(random.below(80));
    socket.resume();
    await pause(random.below(10));
  }
}

async function settles(visit: Visit, { ledger }: World): Promise<boolean> {
  const patience = new AbortController();
  const late = pause(PATIENCE_MS, true, { signal: patience.signal }).catch(() => false);
  const isLate = await Promise.race([visit.settled.then(() => false), late]);
  patience.abort();
  if (isLate) ledger.violation(`no answer within ${PATIENCE_MS / 1_000} s: ${visit.open}`);
  return !isLate;
}
