/** One connection of a visitor over HTTP/1.1: what is sent, what is due for it, and what came. */
import type { Socket } from 'node:net';
import { TLSSocket } from 'node:tls';
import { AnswerReader } from './answers.ts';
import type { AnswerHead, AnswerSink } from './answers.ts';
import { ContentCheck } from './content.ts';
import type { Ledger } from './ledger.ts';
import { downKey, mayBreak, mayFail } from './plan.ts';
import type { Plan } from './plan.ts';

/** What the proxy says by itself to a request that it, or the app, does not serve. */
export interface Due {
  readonly plan: Plan;
  /** Statuses other than 200 that are right. */
  readonly statuses: readonly number[];
}

interface Open extends Due {
  readonly check: ContentCheck;
  head: AnswerHead | undefined;
}

export class Visit implements AnswerSink {
  readonly socket: Socket;
  /** All requests are answered, or the connection is closed. */
  settled: Promise<void>;
  /** Nothing more can be asked on it. */
  over = false;
  readonly #ledger: Ledger;
  readonly #reader = new AnswerReader(this);
  readonly #open: Open[] = [];
  /** The visitor has left. */
  #left = false;
  #closes = false;
  #settle: () => void = () => undefined;

  constructor(socket: Socket, ledger: Ledger) {
    this.socket = socket;
    this.#ledger = ledger;
    this.settled = Promise.resolve();
    socket.on('data', (piece: Buffer) => this.#take(piece));
    socket.on('error', () => undefined);
    socket.on('end', () => this.#ended());
    socket.on('close', () => this.#ended());
  }

  /** To be called before they are sent. */
  expect(dues: readonly Due[]): void {
    this.#ledger.figures.begun += dues.length;
    for (const due of dues)
      this.#open.push({ ...due, check: new ContentCheck(downKey(due.plan.id)), head: undefined });
    this.settled = new Promise((resolve) => (this.#settle = resolve));
    if (this.over) this.#ended();
  }

  /** Without waiting for anything. */
  leave(reset: boolean): void {
    this.#left = true;
    if (reset && !(this.socket instanceof TLSSocket)) this.socket.resetAndDestroy();
    else this.socket.destroy();
  }

  /** What has not been answered, for a message. */
  get open(): string {
    return this.#open.map(({ plan, check }) => `${describe(plan)} (${check.length} bytes came)`).join(', ');
  }

  // ---- what the reader asks

  headOnly(): boolean {
    return this.#open[0]?.plan.method === 'HEAD';
  }

  head(head: AnswerHead): void {
    const open = this.#open[0];
    if (open === undefined) throw new Error(`an answer nobody asked for: ${head.status}`);
    open.head = head;
    if (head.fields.get('connection') === 'close') this.#closes = true;
    const { plan, statuses } = open;
    const said = head.fields.get('x-id');
    if (said !== undefined && said !== plan.id)
      this.#ledger.violation(`${describe(plan)} was answered with the head of ${said}`);
    if (head.status === 200 || statuses.includes(head.status)) return;
    if (head.status === 502 && mayFail(plan)) return;
    const why = head.fields.get('mayfly-error') ?? 'by the app';
    this.#ledger.violation(`${describe(plan)} was answered ${head.status} (${why})`);
  }

  part(bytes: Buffer): void {
    const open = this.#open[0];
    if (open?.head?.status === 200) open.check.take(bytes);
    this.#ledger.figures.bytes += bytes.length;
  }

  end(): void {
    const open = this.#open.shift();
    if (open === undefined) return;
    const { plan, check, head } = open;
    const { figures } = this.#ledger;
    if (head?.status !== 200) figures.refused++;
    else {
      figures.answered++;
      this.#ledger.check(check.wrong);
      const due = plan.method === 'HEAD' ? 0 : plan.down;
      if (check.length !== due && !(mayBreak(plan) && plan.downFraming === 'close'))
        this.#ledger.violation(`${describe(plan)} got ${check.length} bytes of ${due}, as if they were all`);
    }
    if (this.#open.length === 0) this.#settle();
  }

  // ---- how it goes on

  #take(piece: Buffer): void {
    if (this.#left) return;
    try {
      this.#reader.take(piece);
    } catch (error) {
      this.#ledger.violation(`${this.open} got ${error instanceof Error ? error.message : String(error)}`);
      this.leave(false);
    }
  }

  #ended(): void {
    if (!this.#left) this.#reader.close();
    this.over = true;
    const [first, ...further] = this.#open.splice(0);
    this.#settle();
    if (first === undefined) return;
    const { figures } = this.#ledger;
    if (this.#left) {
      figures.aborted += 1 + further.length;
      // What had come until then has to be right all the same.
      this.#ledger.check(first.check.wrong);
      return;
    }
    figures.broken += 1 + further.length;
    this.#ledger.check(first.check.wrong);
    // After an answer that closes, what was sent ahead is not answered; an answer breaks only where the app broke it.
    const answering = first.head !== undefined;
    if (![first, ...further].some(({ plan }) => mayBreak(plan)) && (answering || !this.#closes))
      this.#ledger.violation(
        `${describe(first.plan)} was not answered: the connection closed ` +
          `${answering ? `after ${first.check.length} bytes of it` : 'before it'}, behind it: ${further.map(({ plan }) => describe(plan)).join(', ')}`,
      );
    this.socket.destroy();
  }
}

export function describe({ id, host, method, up, upFraming, down, downFraming, deed }: Plan): string {
  return `${id} (${method} to ${host}, ${up} bytes ${upFraming} up, ${down} ${downFraming} down, ${deed})`;
}
