/**
 * The app behind the proxy: it does with each request what the request says, and looks at every byte that it is sent. It
 * answers slowly, too early, or not at all, and breaks connections in the middle of heads and of bodies.
 */
import { createServer } from 'node:http';
import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import { setTimeout as pause } from 'node:timers/promises';
import { WebSocketServer } from 'ws';
import { Random } from '../fuzz/http1-mutate.ts';
import { Content, ContentCheck } from './content.ts';
import type { Ledger } from './ledger.ts';
import { downKey, readTarget, upKey } from './plan.ts';
import type { Asked } from './plan.ts';

const PIECE_BYTES = 256 * 1024;
const STALLED_BYTES = 2 * 1024 * 1024;

export class SoakApp implements AsyncDisposable {
  readonly #server: Server;
  readonly #ledger: Ledger;
  readonly #random: Random;
  readonly #webSockets = new WebSocketServer({ noServer: true });
  /** A proxy's request of a body that is not what its visitor sends is seen here first. */
  requests = 0;

  static async open(ledger: Ledger, seed: number): Promise<SoakApp> {
    const app = new SoakApp(ledger, seed);
    await new Promise<void>((resolve) => app.#server.listen(0, '127.0.0.1', resolve));
    return app;
  }

  private constructor(ledger: Ledger, seed: number) {
    this.#ledger = ledger;
    this.#random = new Random(seed);
    this.#server = createServer({ keepAliveTimeout: 600_000, requestTimeout: 0 }, (req, res) => {
      // A connection that breaks is the proxy's, or our own, doing.
      this.#serve(req, res).catch(() => undefined);
    });
    this.#server.on('checkContinue', (req, res) => {
      if (res.socket !== null) res.writeContinue();
      this.#serve(req, res).catch(() => undefined);
    });
    this.#server.on('clientError', (error: NodeJS.ErrnoException, socket: Socket) => {
      // Whatever is sent to an app is HTTP, also where it breaks off.
      if (error.code?.startsWith('HPE_') && error.code !== 'HPE_INVALID_EOF_STATE')
        ledger.violation(`the app was sent what is not HTTP: ${error.code} ${error.message}`);
      socket.destroy();
    });
    this.#server.on('upgrade', (req: IncomingMessage, socket: Socket, early: Buffer) => {
      this.#webSockets.handleUpgrade(req, socket, early, (webSocket) => {
        webSocket.on('error', () => undefined);
        webSocket.on('message', (data, isBinary) => webSocket.send(data, { binary: isBinary }));
      });
    });
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  /** Connections that are open. */
  connections(): Promise<number> {
    return new Promise((resolve, reject) =>
      this.#server.getConnections((error, count) => (error ? reject(error) : resolve(count))),
    );
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const webSocket of this.#webSockets.clients) webSocket.terminate();
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  async #serve(req: IncomingMessage, res: ServerResponse): Promise<void> {
    this.requests++;
    const asked = readTarget(req.url ?? '');
    const said = req.headers['x-id'];
    if (said !== undefined && said !== asked.id)
      this.#ledger.violation(`${asked.id} came with the head of ${String(said)}`);
    res.on('error', () => undefined);
    if (asked.deed === 'early') {
      // The answer may be over before the body has come.
      const body = this.#take(req, asked);
      await this.#answer(req, res, asked);
      await body;
      return;
    }
    await this.#take(req, asked);
    await this.#answer(req, res, asked);
  }

  async #take(req: IncomingMessage, { id, up, deed }: Asked): Promise<void> {
    const check = new ContentCheck(upKey(id));
    // Of a large one nothing is taken until it fills what lies between.
    if (deed === 'slow-read' && up > STALLED_BYTES) await pause(200 + this.#random.below(200));
    try {
      for await (const piece of req) {
        check.take(piece as Buffer);
        if (deed === 'slow-read' && this.#random.below(4) === 0) await pause(this.#random.below(30));
      }
    } finally {
      // What has come is looked at, also of an upload that its visitor breaks off.
      this.#ledger.check(check.wrong);
    }
    if (req.complete && check.length !== up)
      this.#ledger.violation(`${id} was to have a body of ${up} bytes and came whole with ${check.length}`);
  }

  async #answer(req: IncomingMessage, res: ServerResponse, asked: Asked): Promise<void> {
    const { id, down, frame, deed } = asked;
    const { socket } = req;
    if (deed === 'reset-head') {
      socket.write(`HTTP/1.1 200 OK\r\nContent-Length: ${down}\r\nX-`);
      return void setImmediate(() => socket.resetAndDestroy());
    }
    if (deed === 'garbage') return void socket.end('HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n');
    // While the end of the answer before is still being written, Node would put it behind this one's head.
    if (deed === 'interim' && res.socket !== null) res.writeEarlyHints({ link: '</style.css>; rel=preload' });
    if (frame === 'length') res.setHeader('Content-Length', down);
    else if (frame === 'close') {
      res.useChunkedEncodingByDefault = false;
      res.shouldKeepAlive = false;
    }
    if (this.#random.below(2) === 0) res.setHeader('X-Id', id);
    // Without it two answers in a row may have the same head, byte for byte.
    res.writeHead(200);
    if (req.method !== 'HEAD') await this.#write(res, asked);
    if (deed === 'reset-body') socket.resetAndDestroy();
    else if (deed === 'cut-body') socket.destroySoon();
    else res.end();
  }

  async #write(res: ServerResponse, { id, down, deed }: Asked): Promise<void> {
    const content = new Content(downKey(id));
    const whole = deed !== 'reset-body' && deed !== 'cut-body';
    const most = whole ? down : this.#random.below(Math.max(1, down));
    if (!whole) res.flushHeaders();
    for (let from = 0; from < most && !res.destroyed;) {
      const slow = deed === 'slow-write' && from < 20 * 40_000;
      const piece = slow ? 1 + this.#random.below(40_000) : PIECE_BYTES;
      const bytes = content.bytes(from, Math.min(most - from, piece));
      from += bytes.length;
      if (!res.write(bytes)) await drained(res);
      if (slow && this.#random.below(3) === 0) await pause(this.#random.below(15));
    }
  }
}

function drained(res: ServerResponse): Promise<void> {
  return new Promise((resolve) => {
    const done = () => {
      res.off('drain', done).off('close', done);
      resolve();
    };
    res.once('drain', done).once('close', done);
  });
}
